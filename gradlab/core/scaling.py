"""A fixed factor on a signal, as LayerNorm scaling has one behind each norm (Sun et al. 2025)."""

from __future__ import annotations

from jax import Array

from gradlab.core.gradient import Site
from gradlab.core.layer import Layer
from gradlab.core.scaled import times_number


def scaling(factor: float | Array) -> Layer:
    r"""Multiply a signal by a number that is not learnt: :math:`y = cx,\ \partial L/\partial x = c\,\delta`.

    Parameters
    ----------
    factor : float or Array
        c: a number, which may be traced, or an array with one for each group.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from gradlab.core.scaled import plain
    >>> scaling(0.5).forward({}, plain(jnp.ones((1, 2))))[0].mantissa.tolist()
    [[0.5, 0.5]]
    """

    def forward(_, x):
        y = times_number(factor, x)
        return y, y

    def backward(_, y, dy, read):
        return times_number(factor, dy), read(Site("scaling", (), {}, None, y, dy, {}))

    return Layer(lambda key, shape: ({}, shape), forward, backward)
