"""Dropout with an explicit key."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from gradlab._errors import GradlabError
from gradlab.core.gradient import Site
from gradlab.core.layer import Layer
from gradlab.core.scaled import Scaled, normalise


def dropout(rate: float, key: Array | int) -> Layer:
    r"""Each number is 0 with probability `rate`, else divided by 1 - `rate`: :math:`y = m\circ x/(1-r)`, E y = x.

    Parameters
    ----------
    rate : float
        r, at least 0 and below 1.
    key : int or JAX key
        Fixes the mask m, for each shape of the batch. Groups share it.

    Raises
    ------
    GradlabError
        `rate` outside [0, 1).

    Notes
    -----
    The key belongs to the layer, not to its parameters: so parameters are what is trained, and
    forward pass, backward pass and any reference see the same mask. A new mask in each step is a new
    layer, made inside the step from that step's key; under `jax.jit` the key is an argument like any
    other and nothing is compiled again. The copies of a `repeat` are one layer, with one mask; for
    one each hand `repeat` a function of the copy's number:
    ``repeat(lambda i: dropout(0.1, jax.random.fold_in(key, i)), depth)``.

    Srivastava et al. 2014, section 4, with the factor in training instead of afterwards.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from gradlab.core.scaled import plain
    >>> y, _ = dropout(0.5, key=0).forward({}, plain(jnp.ones((1, 6))))
    >>> sorted(set(y.mantissa[0].tolist()))
    [0.0, 2.0]
    """
    if not 0 <= rate < 1:
        raise GradlabError("a dropout rate of at least 0 and below 1", f"{rate!r}", "rate=0.1")
    key = jax.random.key(key) if isinstance(key, int) else key

    def forward(_, x):
        lead = 1 if x.exponent is None else x.exponent.ndim
        kept = jax.random.bernoulli(key, 1 - rate, x.mantissa.shape[lead - 1 :])
        y = _masked(x, kept, rate)
        return y, (y, kept)

    def backward(_, saved, dy, read):
        y, kept = saved
        record = read(Site("dropout", (), {}, None, y, dy, {}))
        return _masked(dy, kept, rate), record

    return Layer(lambda key, shape: ({}, shape), forward, backward)


def _masked(s: Scaled, kept: Array, rate: float) -> Scaled:
    return normalise(Scaled(jnp.where(kept, s.mantissa / (1 - rate), 0), s.exponent))
