"""Numbers far outside the range of a float: a mantissa and a power of two.

A backward pass is linear in its cotangent, so dividing the cotangent by a power of two (exact)
and counting the powers in an integer changes nothing but the range. A gradient of 1e-600 is
then as precise in float32 as one of 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

#: Products keep the full precision of their dtype, also where an accelerator would round their factors: to TF32 on a
#: GPU, to bfloat16 on a TPU.
PRECISION = "highest"
matmul = functools.partial(jnp.matmul, precision=PRECISION)
#: Context in which products that say nothing else have it too: those of a user's layer or optimiser.
full_precision = functools.partial(jax.default_matmul_precision, PRECISION)

#: Of a dtype: the integer of its size, the digits behind the exponent's field, and what is added to an exponent there.
_FORMATS = {"float32": (jnp.int32, 23, 127), "float64": (jnp.int64, 52, 1023)}
#: 2**k is a normal number of float32 for every |k| up to here, and exact.
_LIMIT = 125
#: The exponent of a zero: lower than any that occurs, and two of them still fit int32.
LOWEST = -(2**30)


class Scaled(NamedTuple):
    """The array ``mantissa * 2**exponent``.

    Parameters
    ----------
    mantissa : Array, shape (..., batch, features)
        Floats.
    exponent : Array, shape a prefix of the mantissa's
        int32, one per example (and group). None in a plain array, which is never rescaled: this file alone asks for it.
    """

    mantissa: Array
    exponent: Any

    @property
    def is_plain(self) -> bool:
        """Return whether it is never rescaled."""
        return self.exponent is None

    @property
    def powers(self) -> Array:
        """Return the exponents; a single 0 for a plain array."""
        return jnp.int32(0) if self.is_plain else self.exponent

    @property
    def lead(self) -> int:
        """Return how many axes the exponents have: those of groups and examples. A plain array has no groups."""
        return 1 if self.is_plain else self.exponent.ndim

    @property
    def positions(self) -> tuple[int, ...]:
        """Return the axes between examples and features."""
        return tuple(range(self.lead, self.mantissa.ndim - 1))

    def value(self) -> Array:
        """Return the plain array; it overflows and underflows as its dtype does."""
        return self.mantissa if self.is_plain else times_power(self.mantissa, self.exponent)

    def map(self, function: Callable[[Array], Array], of_exponent: Callable[[Array], Array] = lambda e: e) -> Scaled:
        """Apply a function to the mantissas, and another one to the exponents if there are any."""
        return Scaled(function(self.mantissa), None if self.is_plain else of_exponent(self.exponent))

    def constant(self, x: Array, lead: int | None = None) -> Scaled:
        """Plain numbers over exponents of 0, where this one has any: for as many leading axes as here, or `lead`."""
        return self.map(lambda _: x, lambda e: jnp.zeros(x.shape[: e.ndim if lead is None else lead], jnp.int32))

    def times(self, other: Scaled) -> Scaled:
        """Return the product, entry by entry."""
        return self.map(lambda m: m * other.mantissa, lambda e: e + other.exponent)


class Log2(NamedTuple):
    """The logarithm to base 2 of a size, ``fraction + exponent``, split so that float32 keeps it exact.

    At an exponent of -6290 one step of float32 is 5e-4; the integer part is therefore kept apart,
    and joined in float64 by NumPy. A true zero has fraction -inf.
    """

    fraction: Array
    exponent: Array


def power(k: Array, dtype) -> Array:
    """2**k, exact, for integers |k| <= 125 (larger ones are clipped)."""
    return _power(_clip(k, _LIMIT), dtype)


def weight(gap: Array, dtype) -> Array:
    """Return 2**gap, the factor of a number whose exponent lies -gap >= 0 below that of a sum; 0 far below rounding."""
    return _power(lax.max(gap, gap.dtype.type(-_FORMATS[jnp.dtype(dtype).name][-1])), dtype)


def _power(k: Array, dtype) -> Array:
    """2**k by the bits of the exponent's field, in which 0 is 0: without a look at the limits."""
    kind, digits, bias = _FORMATS[jnp.dtype(dtype).name]
    return lax.bitcast_convert_type((k + bias).astype(kind) << digits, dtype)


def _clip(k: Array, limit: int) -> Array:
    """`jnp.clip` without a call of its own, of which a program would hold hundreds."""
    return lax.clamp(k.dtype.type(-limit), k, k.dtype.type(limit))


def expand(k: Array, like: Array) -> Array:
    """`k` with trailing axes of length 1, so that it broadcasts against `like`."""
    return k.reshape(k.shape + (1,) * (like.ndim - k.ndim))


def by_feature(p: Array, like: Array) -> Array:
    """Put axes of length 1 into one number per feature (and group), so that it broadcasts against `like`."""
    return p.reshape(*p.shape[:-1], *(1,) * (like.ndim - p.ndim), p.shape[-1])


def times_power(x: Array, k: Array) -> Array:
    """``x * 2**k`` where `k` belongs to the leading axes of `x`."""
    k = expand(_clip(k, 2 * _FORMATS[x.dtype.name][-1]), x)
    half = k >> 1  # in two steps, because 2**k alone may overflow where the product does not
    return x * _power(half, x.dtype) * _power(k - half, x.dtype)


def plain(x: Array) -> Scaled:
    """`x` as a `Scaled` that is never rescaled: the ordinary forward pass."""
    return Scaled(x, None)


def scaled(x: Array, axes: int = 1) -> Scaled:
    """`x` with one exponent for each index of its leading axes; the last `axes` axes share it."""
    return normalise(Scaled(x, jnp.zeros(x.shape[: x.ndim - axes], jnp.int32)))


def normalise(s: Scaled) -> Scaled:
    """Return the same numbers with the largest mantissa of each example in [1/2, 1).

    An example that is zero throughout gets the exponent `LOWEST`, so that it never sets the scale
    of others.
    """
    if s.is_plain:
        return s
    top = jnp.max(jnp.abs(s.mantissa), tuple(range(s.lead, s.mantissa.ndim)))
    k = exponent_of(top)
    mantissa = s.mantissa * expand(_power(-k, top.dtype), s.mantissa)
    return Scaled(mantissa, jnp.where(top == 0, LOWEST, s.exponent + k))


def exponent_of(x: Array) -> Array:
    """k with |x| in [2**(k-1), 2**k), within +-125; 0 where x is not finite, of no meaning where it is 0."""
    kind, digits, bias = _FORMATS[x.dtype.name]
    field = lax.bitcast_convert_type(jnp.abs(x), kind) >> digits
    k = field.astype(jnp.int32) - (bias - 1)
    return jnp.where(k > bias + 1, 0, _clip(k, _LIMIT))  # what stands beside it is not divided by it


def octaves(x: Array) -> Array:
    """k with |x| in [2**(k-1), 2**k), of any normal number; of no meaning where x is 0 or not finite."""
    return jnp.frexp(x)[1]


def align(s: Scaled, axis: int = -1) -> Scaled:
    """Bring a normalised `s` over one common exponent along `axis` of its exponents, which then lack this axis.

    An example that lies far below the rounding of whatever sums the two becomes 0.
    """
    if s.is_plain:
        return s
    top = jnp.max(s.exponent, axis, keepdims=True)
    mantissa = s.mantissa * expand(weight(s.exponent - top, s.mantissa.dtype), s.mantissa)
    return Scaled(mantissa, jnp.squeeze(top, axis))


def alive_exponent(exponent: Array) -> Array:
    """Return the exponent, 0 where it belongs to a zero."""
    return jnp.where(exponent < LOWEST // 2, 0, exponent)


def add(a: Scaled, b: Scaled) -> Scaled:
    """Return the sum, over the larger of the two exponents."""
    if a.is_plain and b.is_plain:
        return Scaled(a.mantissa + b.mantissa, None)
    top = jnp.maximum(a.exponent, b.exponent)
    one, two = (s.mantissa * expand(weight(s.exponent - top, s.mantissa.dtype), s.mantissa) for s in (a, b))
    return normalise(Scaled(one + two, top))


def times_number(factor: Any, s: Scaled) -> Scaled:
    """`s` times one number, or one for each group; what becomes 0 loses its exponent, so that it sets no scale."""
    factor = jnp.asarray(factor, s.mantissa.dtype)
    return normalise(s.map(lambda m: m * expand(factor, m)))


def for_groups(s: Scaled) -> Scaled:
    """Give each group its own exponents, for something that was computed from an input that all groups share."""
    return s.map(lambda m: m, lambda e: jnp.broadcast_to(e, s.mantissa.shape[: e.ndim]))


def with_positions(s: Scaled) -> Scaled:
    """Merge all axes between examples and features into one; each position has its example's exponent."""
    m = s.mantissa.reshape(*s.mantissa.shape[: s.lead], -1, s.mantissa.shape[-1])
    return s.map(lambda _: m, lambda e: jnp.broadcast_to(e[..., None], m.shape[:-1]))


def as_rows(s: Scaled) -> Scaled:
    """(..., batch, positions, features) as (..., batch * positions, features)."""
    *groups, _, _, features = s.mantissa.shape
    return s.map(lambda m: m.reshape(*groups, -1, features), lambda e: e.reshape(*groups, -1))


def log2_norm(squares: Array, exponent: Array, count: Array | float = 1.0) -> Log2:
    """log2 of ``sqrt(squares / count) * 2**exponent``."""
    return Log2(0.5 * jnp.log2(squares / count), exponent)


def split(x: Array) -> tuple[Array, Array]:
    """Integers q and rests r in [0, 1) with ``q + r = x / ln 2``: exp(-x) = 2**-q * 2**-r, for 0 <= x < 2**29."""
    t = x * jnp.asarray(1.4426950408889634, x.dtype)
    q = jnp.floor(t)
    return q.astype(jnp.int32), t - q


def to_numpy(record: Any) -> Any:
    """Return a record on the host: `Log2` becomes log10 in float64, everything else float64."""

    def one(v):
        if isinstance(v, Log2):
            return (np.asarray(v.fraction, np.float64) + np.asarray(v.exponent, np.float64)) * np.log10(2.0)
        return np.asarray(v, np.float64)

    return jax.tree.map(one, record, is_leaf=lambda v: isinstance(v, Log2))
