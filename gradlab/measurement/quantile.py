"""Quantiles without sorting: compiled code on CPUs sorts one number after another, but counts many at once."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax


def upper_quantile(x: Array, share: float) -> Array:
    """Compute the value above which a given share of the entries along the last axis lies.

    Parameters
    ----------
    x : Array, shape (..., n)
        Floats of 32 or 64 bits.
    share : float
        Share of the entries above the value, from 0 (the largest entry) to 1 (the smallest).

    Returns
    -------
    Array, shape (...)
        Interpolated between two entries, as by ``numpy.quantile(x, 1 - share, axis=-1)``; NaN counts as larger than
        every number.

    Notes
    -----
    The bits of floats, read as integers, have the order of the floats, once those of negative floats are inverted. The
    k-th largest is therefore found bit by bit, from the highest: a bit is set if k entries or more are that large. Each
    bit takes one count over the entries, and the result is exact.

    Examples
    --------
    >>> float(upper_quantile(jnp.arange(101.0), 0.02))
    98.0
    """
    n = x.shape[-1]
    place = share * (n - 1)  # from the largest
    rank = int(place)
    keys = _ordered(x)
    above = _kth_largest(keys, rank + 1)
    reached = jnp.sum(keys >= above[..., None], -1) > rank + 1
    following = jnp.max(jnp.where(keys < above[..., None], keys, 0), -1)
    next_key = jnp.where(reached | (rank + 1 >= n), above, following)
    first, second = _value(above, x.dtype), _value(next_key, x.dtype)
    between = first + (second - first) * jnp.asarray(place - rank, x.dtype)
    return jnp.where((first == second) | (place == rank), first, between)  # infinities have no difference


def _ordered(x: Array) -> Array:
    """Map floats to unsigned integers in the same order."""
    kind, bits = (jnp.uint64, 64) if x.dtype == jnp.float64 else (jnp.uint32, 32)
    pattern = lax.bitcast_convert_type(x, kind)
    sign = jnp.asarray(1 << (bits - 1), kind)
    return jnp.where(pattern & sign, ~pattern, pattern | sign)


def _value(key: Array, dtype) -> Array:
    """Map an ordered integer back to its float."""
    sign = jnp.asarray(1 << (8 * key.dtype.itemsize - 1), key.dtype)
    return lax.bitcast_convert_type(jnp.where(key & sign, key & ~sign, ~key), dtype)


def _kth_largest(keys: Array, k: int) -> Array:
    bits = 8 * keys.dtype.itemsize

    def body(turn, key):
        larger = key | (jnp.asarray(1, keys.dtype) << (bits - 1 - turn).astype(keys.dtype))
        return jnp.where(jnp.sum(keys >= larger[..., None], -1) >= k, larger, key)

    return lax.fori_loop(0, bits, body, jnp.zeros(keys.shape[:-1], keys.dtype))
