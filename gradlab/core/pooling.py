"""From positions to one row of features: what stands before the readout of an image or a sequence."""

from __future__ import annotations

import math

import jax.numpy as jnp

from gradlab._errors import GradlabError
from gradlab.core.gradient import Site
from gradlab.core.layer import Layer
from gradlab.core.scaled import normalise


def global_mean() -> Layer:
    r"""Take the mean over positions, :math:`y = \frac1P\sum_p x_p`; each position gets :math:`\delta/P` back.

    Raises
    ------
    GradlabError
        Examples without positions.

    Examples
    --------
    >>> import jax
    >>> global_mean().init(jax.random.key(0), (8, 8, 16))[1]
    (16,)
    """

    def init(key, shape):
        return {}, _with_positions(shape)[-1:]

    def forward(_, x):
        return normalise(x.map(lambda m: jnp.mean(m, x.positions))), x

    def backward(_, x, dy, read):
        record = read(Site("global_mean", (), {}, x, None, dy, {}))
        count = math.prod(x.mantissa.shape[a] for a in x.positions)
        share = lambda d: jnp.broadcast_to(jnp.expand_dims(d / count, x.positions), x.mantissa.shape)
        return dy.map(share), record

    return Layer(init, forward, backward)


def flatten() -> Layer:
    """Put all axes of an example along one, positions first; the delta goes back into its shape.

    Examples
    --------
    >>> import jax
    >>> flatten().init(jax.random.key(0), (8, 8, 16))[1]
    (1024,)
    """

    def forward(_, x):
        return x.map(lambda m: m.reshape(*m.shape[: x.lead], -1)), x

    def backward(_, x, dy, read):
        record = read(Site("flatten", (), {}, x, None, dy, {}))
        return dy.map(lambda d: d.reshape(x.mantissa.shape)), record

    return Layer(lambda key, shape: ({}, (math.prod(shape),)), forward, backward)


def _with_positions(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) < 2:
        raise GradlabError("examples of shape (positions..., features)", f"{tuple(shape)}", "no pooling at all")
    return tuple(shape)
