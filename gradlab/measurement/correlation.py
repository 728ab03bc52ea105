r"""1 - c, c the correlation of the preactivations of two inputs, far below the rounding of c itself.

Two inputs of an ordered network become equal to the last bit within a few layers, while theory
goes on: 1 - c falls to 1e-1000. As long as the two signals differ well above their rounding, their
difference is taken as it stands. Below that it is carried from layer to layer by the chain rule,

.. math:: \Delta z_{l} = \Delta a_{l-1} W_l,\qquad \Delta a_l = \phi'(z_l + \tfrac12\Delta z_l)\,\Delta z_l,

a linear recursion, scaled like the backward pass. From the difference d of z_1 and z_2,

.. math:: 1 - c^2 = |d_\perp|^2/|z_2|^2,\qquad 1 - c = (1-c^2)/(1+c),

d_perp the part of d orthogonal to z_1, so that nothing cancels.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gradlab.core.activations import Activation, by_slices, slope
from gradlab.core.dense import gained
from gradlab.core.scaled import Scaled, expand, matmul, normalise, power
from gradlab.measurement.kept import Pairs

#: Largest number of pairs: all B(B-1)/2 of them would cost more than the layer.
PAIRS = 32
#: A difference above this share of the signal is taken from the signals; a smaller one is carried by the chain rule.
RESOLVED = 1e-3


def first_of_pairs(s: Scaled) -> tuple[Scaled, Scaled]:
    """Pair examples 0, 2, 4, ... with examples 1, 3, 5, ..."""
    count = min(PAIRS, s.mantissa.shape[-2] // 2)
    take = lambda start: Scaled(s.mantissa[..., start : 2 * count : 2, :], s.exponent[..., start : 2 * count : 2])
    return take(0), take(1)


def difference(s: Scaled) -> Scaled:
    """Subtract the first from the second of each pair, with the exponent of the first."""
    one, two = first_of_pairs(s)
    shift = jnp.clip(two.exponent - one.exponent, -60, 60)
    gap = two.mantissa * expand(power(shift, two.mantissa.dtype), two.mantissa) - one.mantissa
    return normalise(Scaled(gap, one.exponent))


def _relative(one: Scaled, gap: Scaled) -> tuple[Array, Array]:
    """Return the largest entry of each difference, and of each first signal, in the units of the first signal."""
    size = jnp.max(jnp.abs(gap.mantissa), -1) * power(gap.exponent - one.exponent, gap.mantissa.dtype)
    return size, jnp.max(jnp.abs(one.mantissa), -1)


def pairs_from_signals(s: Scaled) -> Pairs:
    """Compute 1 - c from the signals themselves; NaN where a pair is equal to within a few hundred roundings."""
    gap, (one, _) = difference(s), first_of_pairs(s)
    pairs = one_minus_c(one, gap)
    size, largest = _relative(one, gap)
    # Two signals that are 0 are known to be equal, and not by rounding.
    known = (size > 256 * jnp.finfo(size.dtype).eps * largest) | (largest + size == 0)
    return Pairs(jnp.where(known, pairs.value, jnp.nan), pairs.exponent, pairs.alive)


class PairGap(NamedTuple):
    """Hold the difference of each pair behind an activation, before the next product.

    Parameters
    ----------
    linear : Scaled, shape (group..., pairs, units)
        The difference by the chain rule.
    resolved : Array of bool, shape (group..., pairs)
        Whether the signals themselves show the difference, well above their rounding.
    """

    linear: Scaled
    resolved: Array

    def at(self, x: Scaled) -> Scaled:
        """Return the difference of the signals `x`: their own where it is resolved, otherwise the linear one."""
        return _choose(self.resolved, difference(x), self.linear)


def input_gap(x: Scaled) -> PairGap:
    """Return the difference of the inputs of a network, which the data themselves show."""
    gap = difference(x)
    return PairGap(gap, jnp.ones(gap.exponent.shape, bool))


def behind_weight(params, x: Scaled, before: PairGap) -> Scaled:
    """Carry the difference of the inputs `x` through a weight."""
    gap = before.at(x)
    product = gained(params, matmul(gap.mantissa, params["weight"]))
    return normalise(Scaled(product, jnp.broadcast_to(gap.exponent, product.shape[:-1])))


def behind_activation(entries, z: Scaled, gap: Scaled) -> tuple[PairGap, Pairs]:
    """Carry the difference of preactivations through their activation, and compute 1 - c of the preactivations.

    Parameters
    ----------
    entries : tuple
        The activations of the layer, each with the slice of the group that has it.
    z : Scaled, shape (group..., batch, units)
        The preactivations.
    gap : Scaled, shape (group..., pairs, units)
        Their difference, as the weight gave it.
    """
    one, _ = first_of_pairs(z)
    direct = difference(z)
    size, largest = _relative(one, direct)
    resolved = size > RESOLVED * largest
    gap = _choose(resolved, direct, gap)
    return PairGap(normalise(by_slices(entries, _through, one, gap)), resolved), one_minus_c(one, gap)


def behind_blocks(entries, first: tuple, run: tuple | None, before: PairGap) -> tuple[PairGap, Pairs]:
    """Carry the difference through a block and the repeated blocks behind it, in one loop.

    Parameters
    ----------
    entries : tuple
        The activations of the layers, each with the slice of the group that has it.
    first, run : (params, (x, z))
        Parameters of the dense layers, their inputs and preactivations. The arrays of the repeated blocks have a
        leading axis; None if there are none.
    before : Step
        The difference of the inputs.

    Returns
    -------
    Step, Pairs
        The differences behind the blocks, and 1 - c at their preactivations, along a leading axis.
    """
    params, (x, z) = first
    gap = behind_weight(params, x, before)
    if run is None:
        return jax.tree.map(lambda v: v[None], behind_activation(entries, z, gap))
    more, (inputs, signals) = run
    last = len(signals.mantissa) - 1
    at = lambda tree, i: jax.tree.map(lambda v: lax.dynamic_index_in_dim(v, i, 0, False), tree)

    def body(gap, i):
        here = jax.tree.map(lambda one, v: jnp.where(i == 0, one, v), z, at(signals, jnp.maximum(i - 1, 0)))
        here_gap, pairs = behind_activation(entries, here, gap)
        following = jnp.minimum(i, last)  # behind the last block nothing follows: its product is not used
        return behind_weight(at(more, following), at(inputs, following), here_gap), (here_gap, pairs)

    return lax.scan(body, gap, jnp.arange(last + 2))[1]


def _choose(resolved: Array, a: Scaled, b: Scaled) -> Scaled:
    return Scaled(jnp.where(resolved[..., None], a.mantissa, b.mantissa), jnp.where(resolved, a.exponent, b.exponent))


def _second(one: Scaled, gap: Scaled, share: float = 1.0) -> Array:
    """Add a share of the difference to the first signal; return mantissas with the exponent of the first signal."""
    shift = gap.exponent - one.exponent
    near = jnp.where(shift > -125, power(jnp.minimum(shift, 60), gap.mantissa.dtype), 0)
    return one.mantissa + gap.mantissa * (share * near)[..., None]


def _through(entry: Activation, z: Scaled, gap: Scaled) -> Scaled:
    """Multiply the difference by phi' at the midpoint of the pair."""
    # A homogeneous activation has one slope on each side of 0, and the difference is too small to change the side.
    middle = z if entry.homogeneous else Scaled(_second(z, gap, 0.5), z.exponent)
    return Scaled(slope(entry, middle) * gap.mantissa, gap.exponent)


def one_minus_c(one: Scaled, gap: Scaled) -> Pairs:
    """Compute 1 - c of each pair from the first signal and the difference.

    A pair has no correlation where one of its signals is exactly 0.
    """
    z, d = one.mantissa, gap.mantissa
    two = _second(one, gap)
    size1, size2 = jnp.sum(z * z, -1), jnp.sum(two * two, -1)
    safe = lambda v: jnp.where(v > 0, v, 1)
    across = d - (jnp.sum(d * z, -1) / safe(size1))[..., None] * z
    # Projected twice, because the first projection leaves a rounding error of d along z.
    across = across - (jnp.sum(across * z, -1) / safe(size1))[..., None] * z
    c = jnp.sum(z * two, -1) / jnp.sqrt(safe(size1) * safe(size2))
    small = jnp.sum(across * across, -1) / safe(size2) / (1 + jnp.maximum(c, 0))
    opposite = c < 0
    exponent = jnp.where(opposite, 0, 2 * (gap.exponent - one.exponent))
    return Pairs(jnp.where(opposite, 1 - c, small), exponent, (size1 > 0) & (size2 > 0))
