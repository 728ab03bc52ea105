"""Dropout with an explicit key: a layer, and the value by which a whole network gets its masks."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gradlab._errors import GradlabError
from gradlab.core.gradient import Site
from gradlab.core.keys import as_key
from gradlab.core.layer import Layer, serial, tangent
from gradlab.core.scaled import Scaled, normalise


def dropout(rate: float, key: Array | int) -> Layer:
    r"""Set each number to 0 with probability `rate`, else divide it by 1 - `rate`: :math:`y = m\circ x/(1-r)`.

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
    _check(rate)

    def forward(_, x):
        kept = _kept(x, key, rate)
        y = _masked(x, kept, rate)
        return y, (y, kept)

    def backward(_, saved, dy, read):
        y, kept = saved
        record = read(Site("dropout", (), {}, None, y, dy, {}))
        return _masked(dy, kept, rate), record

    return Layer(lambda key, shape: ({}, shape), forward, backward)


class Dropout(NamedTuple):
    """The dropout of a whole network: one rate and one key, from which each layer draws a mask of its own.

    ``net.layer(outputs, dropout)`` is a network with its masks, and `gradlab.backprop` takes it too; each network's
    notes say where its masks stand. Parameters, and so draws and checkpoints, are those of the network without it.
    A new mask in each step is a new key, which may be traced.

    Parameters
    ----------
    rate : float
        Probability of a 0, at least 0 and below 1.
    key : int or JAX key
        What all masks are drawn from.

    Examples
    --------
    >>> import jax, gradlab as gl
    >>> net, x, y = gl.MLP(depth=2, width=4), jax.numpy.ones((3, 2)), jax.numpy.array([0, 1, 1])
    >>> loss, grads = gl.backprop(net, net.init_params(0, x, y), x, y, dropout=gl.Dropout(0.5, key=1))
    """

    rate: float
    key: Array | int

    def within(self, network: Layer) -> Layer:
        """Put a mask behind each layer of a network that has a place for one (`Layer.mask`).

        Parameters
        ----------
        network : Layer
            A `serial`. Copies of a `repeat` have the masks of their number, other parts those of their fold.

        Returns
        -------
        Layer
            With the parameters and the records of `network`.

        Raises
        ------
        GradlabError
            A rate outside [0, 1).
        """
        _check(self.rate)
        return serial(*(part._replace(layer=self._inside(part.layer, part.fold)) for part in network.sequence))

    def _inside(self, layer: Layer, block: Any) -> Layer:
        """Return a part of the block of this number with its masks."""
        change = lambda inner, number: self._inside(inner, block if number is None else number)
        inner = layer if layer.rebuilt is None else layer.rebuilt(change)
        if layer.mask is None:
            return inner
        count, place = layer.mask
        return self._behind(inner, block * count + place)

    def _behind(self, layer: Layer, number: Any) -> Layer:
        """Return `layer` with the mask of this number behind it; the number may be traced."""
        rate = self.rate
        key = lambda: jax.random.fold_in(as_key(self.key), number)

        def forward(params, x):
            y, saved = layer.forward(params, x)
            kept = _kept(y, key(), rate)
            return _masked(y, kept, rate), (saved, kept)

        def backward(params, saved, dy, read):
            inner, kept = saved
            return layer.backward(params, inner, _masked(dy, kept, rate), read)

        def along(params, saved, dx):
            inner, kept = saved
            return _masked(tangent(layer, params, inner, dx), kept, rate)

        of_layer = layer.parts
        parts = of_layer and (lambda tree: [*of_layer(tree), ("dropout", dropout(rate, key()), {})])
        return Layer(layer.init, forward, backward, parts, along)


def _check(rate: float) -> None:
    # a rate that is traced inside jit cannot be looked at
    if not isinstance(rate, jax.core.Tracer) and not 0 <= rate < 1:
        raise GradlabError("a dropout rate of at least 0 and below 1", f"{rate!r}", "rate=0.1")


def _kept(x: Scaled, key: Array | int, rate: float) -> Array:
    """Draw where `x` is kept: one draw for each number of a batch, which groups share."""
    return jax.random.bernoulli(as_key(key), 1 - rate, x.mantissa.shape[x.lead - 1 :])


def _masked(s: Scaled, kept: Array, rate: float) -> Scaled:
    return normalise(s.map(lambda m: jnp.where(kept, m / (1 - rate), 0)))
