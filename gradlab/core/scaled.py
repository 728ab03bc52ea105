"""Numbers far outside the range of a float: a mantissa and a power of two.

A backward pass is linear in its cotangent, so dividing the cotangent by a power of two (exact)
and counting the powers in an integer changes nothing but the range. A gradient of 1e-600 is
then as precise in float32 as one of 1.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

#: Products keep the full precision of their dtype, also where an accelerator would round it.
matmul = functools.partial(jnp.matmul, precision="highest")

#: 2**k is a normal number of float32 for every |k| up to here, and exact.
_LIMIT = 125
#: What is added to the exponent of a float32, and of a float64, to make its field.
_BIAS = (127, 1023)
#: The exponent of a zero: lower than any that occurs, and two of them still fit int32.
LOWEST = -(2**30)


class Scaled(NamedTuple):
    """The array ``mantissa * 2**exponent``.

    Parameters
    ----------
    mantissa : Array, shape (..., batch, features)
        Floats.
    exponent : Array or None, shape a prefix of the mantissa's
        int32, one per example (and group). None: a plain array that is never rescaled.
    """

    mantissa: Array
    exponent: Array | None

    def value(self) -> Array:
        """The plain array; it overflows and underflows as its dtype does."""
        return self.mantissa if self.exponent is None else times_power(self.mantissa, self.exponent)


class Log2(NamedTuple):
    """The logarithm to base 2 of a size, ``fraction + exponent``, split so that float32 keeps it exact.

    At an exponent of -6290 one step of float32 is 5e-4; the integer part is therefore kept apart,
    and joined in float64 by NumPy. A true zero has fraction -inf.
    """

    fraction: Array
    exponent: Array


def power(k: Array, dtype) -> Array:
    """2**k, exact, for integers |k| <= 125 (larger ones are clipped)."""
    return _of_field(_clamp(k, -_LIMIT, _LIMIT), dtype)


def expand(k: Array, like: Array) -> Array:
    """`k` with trailing axes of length 1, so that it broadcasts against `like`."""
    return k.reshape(k.shape + (1,) * (like.ndim - k.ndim))


def by_feature(p: Array, like: Array) -> Array:
    """One number for each feature (and group), with axes of length 1 between, so that it broadcasts against `like`."""
    return p.reshape(*p.shape[:-1], *(1,) * (like.ndim - p.ndim), p.shape[-1])


def times_power(x: Array, k: Array) -> Array:
    """``x * 2**k`` where `k` belongs to the leading axes of `x`."""
    k = expand(k, x)
    half = k >> 1  # in two steps, because 2**k alone may overflow where the product does not
    rest = k - half
    scale = lambda x, k: x * _wide_power(k, x.dtype)
    # a power that is infinite by itself would turn 0 into NaN
    return jnp.where(x == 0, x, scale(scale(x, half), rest))


def _wide_power(k: Array, dtype) -> Array:
    """2**k with saturation to 0 and inf, also far outside the range."""
    bias = _BIAS[jnp.dtype(dtype) == jnp.float64]
    return _of_field(_clamp(k, -bias, bias + 1), dtype)


def _of_field(k: Array, dtype) -> Array:
    """2**k by the bits of the exponent field, in which 0 is 0, and all ones is inf."""
    wide = jnp.dtype(dtype) == jnp.float64
    kind, bits = (jnp.int64, 52) if wide else (jnp.int32, 23)
    return lax.bitcast_convert_type((k.astype(kind) + _BIAS[wide]) << bits, dtype)


def _clamp(k: Array, low: int, high: int) -> Array:
    """`jnp.clip` without a call of its own, of which a program would hold hundreds."""
    return lax.clamp(k.dtype.type(low), k, k.dtype.type(high))


def plain(x: Array) -> Scaled:
    """`x` as a `Scaled` that is never rescaled: the ordinary forward pass."""
    return Scaled(x, None)


def scaled(x: Array, axes: int = 1) -> Scaled:
    """`x` with one exponent for each index of its leading axes; the last `axes` axes share it."""
    return normalise(Scaled(x, jnp.zeros(x.shape[: x.ndim - axes], jnp.int32)))


def normalise(s: Scaled) -> Scaled:
    """The same numbers with the largest mantissa of each example in [1/2, 1).

    An example that is zero throughout gets the exponent `LOWEST`, so that it never sets the scale
    of others.
    """
    if s.exponent is None:
        return s
    axes = tuple(range(s.exponent.ndim, s.mantissa.ndim))
    top = _largest(s.mantissa, axes)
    k = exponent_of(top)
    return Scaled(
        s.mantissa * expand(power(-k, s.mantissa.dtype), s.mantissa), jnp.where(top == 0, LOWEST, s.exponent + k)
    )


def _largest(x: Array, axes: tuple[int, ...]) -> Array:
    """The largest |entry| along the axes: of those, if any, the last axis is one. A NaN may be passed over.

    Halves of the last axis are compared first, whole rows at a time: XLA's own reduction along it takes twice as long.
    They are compared by a select, as a maximum that must answer NaN is slow as well; a NaN stays in the mantissas.
    """
    x = jnp.abs(x)
    while axes and x.shape[-1] % 2 == 0 and x.shape[-1] > 16:
        half = x.shape[-1] // 2
        first, second = x[..., :half], x[..., half:]
        x = jnp.where(first >= second, first, second)
    return jnp.max(x, axes)


def exponent_of(x: Array) -> Array:
    """k with |x| in [2**(k-1), 2**k), within +-125; 0 where x is 0 or not finite."""
    kind, bits, bias = (jnp.int64, 52, 1022) if x.dtype == jnp.float64 else (jnp.int32, 23, 126)
    field = (lax.bitcast_convert_type(jnp.abs(x), kind) >> bits).astype(jnp.int32)
    k = _clamp(field - bias, -_LIMIT, _LIMIT)
    return jnp.where((x != 0) & jnp.isfinite(x), k, 0)


def align(s: Scaled, axis: int = -1) -> tuple[Array, Array]:
    """Mantissas of a normalised `s` over one common exponent along `axis`, and that exponent.

    An example that lies 2**125 or more below the largest becomes 0: it is far below the rounding of
    whatever sums the two. `axis` counts axes of ``s.exponent``.
    """
    top = jnp.max(s.exponent, axis, keepdims=True)
    weight = jnp.where(s.exponent - top > -_LIMIT, power(s.exponent - top, s.mantissa.dtype), 0)
    return s.mantissa * expand(weight, s.mantissa), jnp.squeeze(alive_exponent(top), axis)


def alive_exponent(exponent: Array) -> Array:
    """The exponent, 0 where it belongs to a zero."""
    return jnp.where(exponent < LOWEST // 2, 0, exponent)


def add(a: Scaled, b: Scaled) -> Scaled:
    """The sum, over the larger of the two exponents."""
    if a.exponent is None and b.exponent is None:
        return Scaled(a.mantissa + b.mantissa, None)
    top = jnp.maximum(a.exponent, b.exponent)

    def over_top(s: Scaled) -> Array:
        gap = s.exponent - top
        return s.mantissa * expand(jnp.where(gap > -_LIMIT, power(gap, s.mantissa.dtype), 0), s.mantissa)

    return normalise(Scaled(over_top(a) + over_top(b), alive_exponent(top)))


def log2_norm(squares: Array, exponent: Array, count: Array | float = 1.0) -> Log2:
    """log2 of ``sqrt(squares / count) * 2**exponent``."""
    return Log2(0.5 * jnp.log2(squares / count), alive_exponent(exponent))


def split(x: Array) -> tuple[Array, Array]:
    """Integers q and rests r in [0, 1) with ``q + r = x / ln 2``: exp(-x) = 2**-q * 2**-r, for 0 <= x < 2**29."""
    t = x * jnp.asarray(1.4426950408889634, x.dtype)
    q = jnp.floor(t)
    return q.astype(jnp.int32), t - q


def to_numpy(record: Any) -> Any:
    """A record on the host: `Log2` becomes log10 in float64, everything else float64."""

    def one(v):
        if isinstance(v, Log2):
            return (np.asarray(v.fraction, np.float64) + np.asarray(v.exponent, np.float64)) * np.log10(2.0)
        return np.asarray(v, np.float64)

    return jax.tree.map(one, record, is_leaf=lambda v: isinstance(v, Log2))
