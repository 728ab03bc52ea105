"""Keys of random numbers. Where a key's value is known, they are made and folded without the compiler."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab import config
from gradlab._errors import GradlabError

_THREEFRY = "threefry2x32"


def as_key(key: Array | int) -> Array:
    """Return a JAX key from an integer; a key as it is.

    Raises
    ------
    GradlabError
        An integer outside 32 bits, which JAX would cut, or something else.
    """
    if isinstance(key, Integral):
        number = config.integer("key", key, 0)
        plain = jax.config.jax_default_prng_impl == _THREEFRY
        return _wrapped(np.array([0, number], np.uint32)) if plain else jax.random.key(number)
    kind: Any = getattr(key, "dtype", None)
    if kind is not None and jnp.issubdtype(kind, jax.dtypes.prng_key):
        return cast("Array", key)
    if kind == jnp.uint32:
        return jax.random.wrap_key_data(cast("Array", key))
    raise GradlabError("key to be an integer or a JAX key", config.shown(key), "key=0, or key=jax.random.key(0)")


def words_of(key: Array) -> np.ndarray | None:
    """Return the two 32-bit words of a key; None where JAX must draw: when traced, or by another generator."""
    if isinstance(key, jax.core.Tracer) or not jax.config.jax_threefry_partitionable:
        return None
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or jax.random.key_impl(key) != _THREEFRY or key.ndim:
        return None
    words = jax.random.key_data(key)
    return None if isinstance(words, jax.core.Tracer) else np.asarray(words)


def fold_in(key: Array, number: Any) -> Array:
    """Return what `jax.random.fold_in` returns."""
    words = words_of(key)
    if words is None or isinstance(number, jax.core.Tracer):
        return jax.random.fold_in(key, number)
    return _wrapped(_folded(words, [number])[0])


def fold_in_each(key: Array, numbers: Sequence[int]) -> list[Array]:
    """`fold_in` of each number."""
    words = words_of(key)
    if words is None:
        return [jax.random.fold_in(key, number) for number in numbers]
    return [_wrapped(folded) for folded in _folded(words, numbers)]


def threefry(first: Any, second: Any, high: Any, low: Any) -> tuple[Any, Any]:
    """Compute the generator that JAX uses by default, on NumPy or JAX arrays of 32-bit words.

    Salmon et al. 2011. JAX's own is a primitive, which the compiler turns into a loop on CPUs: three times its time.
    """
    words = first, second, first ^ second ^ np.uint32(0x1BD11BDA)
    high, low = high + words[0], low + words[1]
    for i in range(5):
        for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[i % 2]:
            high = high + low
            low = high ^ (low << np.uint32(turn) | low >> np.uint32(32 - turn))
        high, low = high + words[(i + 1) % 3], low + words[(i + 2) % 3] + np.uint32(i + 1)
    return high, low


def _folded(words: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Words of the keys that are `words` folded with each number."""
    low = np.asarray(numbers).astype(np.uint32)
    return np.stack(threefry(*words[:, None], np.zeros_like(low), low), -1)


def _wrapped(words: np.ndarray) -> Array:
    return jax.random.wrap_key_data(words, impl=_THREEFRY)
