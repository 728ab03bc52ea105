r"""1 - c, c the correlation of the preactivations of two inputs, far below the rounding of c itself.

Two inputs of an ordered network become equal to the last bit within a few layers, while theory
goes on: 1 - c falls to 1e-1000. As long as the two signals differ well above their rounding, their
difference is taken as it stands. Below that it is carried from layer to layer by the chain rule,

.. math:: \Delta z_{l} = \Delta a_{l-1} W_l,\qquad \Delta a_l = \phi'(z_l + \tfrac12\Delta z_l)\,\Delta z_l,

a linear recursion, scaled like the backward pass. From the difference d of z_1 and z_2,

.. math:: 1 - c^2 = |d_\perp|^2/|z_2|^2,\qquad 1 - c = (1-c^2)/(1+c),

d_perp the part of d orthogonal to z_1: nothing cancels.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from gradlab.core.activations import Activation, by_slices, phi_of
from gradlab.core.scaled import Log2, Scaled, align, expand, matmul, normalise, power

#: Pairs at most: all B(B-1)/2 of them would cost more than the layer.
PAIRS = 32
#: A difference above this share of the signal is taken from the signals; below, it is carried.
RESOLVED = 1e-3


def first_of_pairs(s: Scaled) -> tuple[Scaled, Scaled]:
    """Examples 0, 2, 4, ... and 1, 3, 5, ... as pairs."""
    count = min(PAIRS, s.mantissa.shape[-2] // 2)
    take = lambda start: Scaled(s.mantissa[..., start : 2 * count : 2, :], s.exponent[..., start : 2 * count : 2])
    return take(0), take(1)


def between(one: Scaled, two: Scaled) -> Scaled:
    """Second minus first, over the first one's exponent."""
    shift = jnp.clip(two.exponent - one.exponent, -60, 60)
    gap = two.mantissa * expand(power(shift, two.mantissa.dtype), two.mantissa) - one.mantissa
    return normalise(Scaled(gap, one.exponent))


def difference(s: Scaled) -> tuple[Scaled, Array]:
    """Second minus first of each pair, and whether it is resolved by the signals."""
    one, two = first_of_pairs(s)
    gap = between(one, two)
    size = jnp.max(jnp.abs(one.mantissa), -1)
    resolved = jnp.max(jnp.abs(gap.mantissa), -1) * power(gap.exponent - one.exponent, size.dtype) > RESOLVED * size
    return gap, resolved


def apart(s: Scaled) -> Log2:
    """1 - c from the signals themselves; NaN where a pair is equal to within a few hundred roundings."""
    gap, _ = difference(s)
    one, _ = first_of_pairs(s)
    value = one_minus_c(one, gap)
    size = jnp.max(jnp.abs(gap.mantissa), -1) * power(gap.exponent - one.exponent, s.mantissa.dtype)
    largest = jnp.max(jnp.abs(one.mantissa), -1)
    # two zeros are no pair that has become equal
    known = jnp.all((size > 256 * jnp.finfo(s.mantissa.dtype).eps * largest) | (largest + size == 0), -1)
    return Log2(jnp.where(known, value.fraction, jnp.nan), value.exponent)


def _choose(resolved: Array, a: Scaled, b: Scaled) -> Scaled:
    return Scaled(jnp.where(resolved[..., None], a.mantissa, b.mantissa), jnp.where(resolved, a.exponent, b.exponent))


def step(params, entries, z: Scaled, gap: Scaled) -> tuple[Scaled, Log2]:
    """One block: the difference of its inputs becomes that of its outputs, and 1 - c of its preactivations.

    Parameters
    ----------
    params : dict
        Of the dense layer.
    entries : tuple
        Of the activation layer.
    z : Scaled, shape (group..., batch, units)
        Preactivations.
    gap : Scaled, shape (group..., pairs, fan_in)
        Difference of the inputs.
    """
    carried = matmul(gap.mantissa, params["weight"])
    if "gain" in params:
        carried = carried * expand(params["gain"], carried)
    carried = normalise(Scaled(carried, jnp.broadcast_to(gap.exponent, carried.shape[:-1])))
    direct, resolved = difference(z)
    gap_z = _choose(resolved, direct, carried)
    one, two = first_of_pairs(z)
    linear = normalise(by_slices(entries, _through, one, gap_z))
    direct_y = between(by_slices(entries, phi_of, one), by_slices(entries, phi_of, two))
    return _choose(resolved, direct_y, linear), one_minus_c(one, gap_z)


def _through(entry: Activation, z: Scaled, gap: Scaled) -> Scaled:
    """phi' at the midpoint, times the difference."""
    if entry.homogeneous:  # its derivative does not depend on the scale, and the gap is far below it
        return Scaled(entry.dphi(z.mantissa) * gap.mantissa, gap.exponent)
    return Scaled(entry.dphi(z.value() + 0.5 * gap.value()) * gap.mantissa, gap.exponent)


def zero_pairs(s: Scaled) -> Array:
    """Share of the pairs of which a signal is exactly 0: they have no correlation."""
    one, two = (jnp.any(v.mantissa != 0, -1) for v in first_of_pairs(s))
    return 1 - jnp.mean((one & two).astype(s.mantissa.dtype), -1)


def one_minus_c(one: Scaled, gap: Scaled) -> Log2:
    """log2 of the mean over pairs of 1 - c, from the first of each pair and the difference.

    Pairs with a signal that is exactly 0 have no correlation and are left out, whichever of the two it is; NaN where
    there is no other pair.
    """
    z, d = one.mantissa, gap.mantissa
    shift = gap.exponent - one.exponent
    near = jnp.where(shift > -125, power(jnp.minimum(shift, 60), z.dtype), 0)
    two = z + d * near[..., None]
    size1, size2 = jnp.sum(z * z, -1), jnp.sum(two * two, -1)
    safe = lambda v: jnp.where(v > 0, v, 1)
    across = d - (jnp.sum(d * z, -1) / safe(size1))[..., None] * z
    # once more: the first projection leaves a rounding of d along z
    across = across - (jnp.sum(across * z, -1) / safe(size1))[..., None] * z
    c = jnp.sum(z * two, -1) / jnp.sqrt(safe(size1) * safe(size2))
    small = jnp.sum(across * across, -1) / safe(size2) / (1 + jnp.maximum(c, 0))
    opposite = c < 0
    alive = (size1 > 0) & (size2 > 0)
    value = jnp.where(alive, jnp.where(opposite, 1 - c, small), 0)
    mantissa, exponent = align(normalise(Scaled(value[..., None], jnp.where(opposite, 0, 2 * shift).astype(jnp.int32))))
    count = jnp.sum(alive.astype(value.dtype), -1)
    mean = jnp.sum(mantissa[..., 0], -1) / jnp.maximum(count, 1)
    return Log2(jnp.where(count > 0, jnp.log2(mean), jnp.nan), exponent)
