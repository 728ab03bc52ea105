"""Random arrays of any shape from one compiled program.

Entry i of JAX's elementwise draws depends on the key and on i alone. So one program that draws a block of entries, from
any entry on, serves every shape, layer and seed: the compiler is asked once for each distribution and dtype, and the
bits are those of `jax.random`. Inside a transformation (`jax.jit`, `jax.vmap`) JAX draws itself.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab.core.keys import fold_in_each, threefry, words_of

#: Entries that one call draws at most, and those of one turn of its loop: few enough that they stay in the cache and
#: that XLA does not share them out among threads, which costs more than it gains.
_BLOCK, _TURN = 2**16, 2**10


def by_entries(draw: Callable[..., Any]) -> Callable[..., Any]:
    """``draw(key, shape, dtype)`` without a new program for a new shape.

    Parameters
    ----------
    draw : callable
        Elementwise on random bits, as `jax.random.normal` is: entry i depends on the key and i alone.

    Returns
    -------
    callable
        It returns a NumPy array, or a traced one inside a transformation.
    """

    @functools.partial(jax.jit, static_argnums=2)
    def block(words, turns, dtype):
        def turn(i, entries):
            first = words.at[3].add(jnp.uint32(_TURN) * i.astype(jnp.uint32))
            drawn = draw(jax.random.wrap_key_data(first, impl=_FROM_AN_ENTRY_ON), (_TURN,), dtype)
            return lax.dynamic_update_slice(entries, drawn, (_TURN * i,))

        return lax.fori_loop(0, turns, turn, jnp.zeros(_BLOCK, dtype))

    @functools.wraps(draw)
    def drawn(key, shape, dtype):
        words = words_of(key)
        if words is None:
            return draw(key, shape, dtype)

        def entries(first, count):
            start = np.array([*words, first >> 32, first & 0xFFFFFFFF], np.uint32)
            return np.asarray(block(start, np.int32(-(-count // _TURN)), np.dtype(dtype)))[:count]

        size = math.prod(shape)
        if size <= _BLOCK:  # as the program returns it, without a copy
            return entries(0, size).reshape(shape)
        whole = np.empty(size, dtype)
        for first in range(0, size, _BLOCK):
            part = whole[first : first + _BLOCK]
            part[:] = entries(first, part.size)
        return whole.reshape(shape)

    return drawn


def _bits(words: Array, width: int, shape: tuple[int, ...]) -> Array:
    """Random bits of the entries from a given one on: a key's two words, and two of the first entry's number."""
    numbers = words[3] + lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    high, low = threefry(words[0], words[1], words[2], numbers)
    if width == 64:
        return high.astype(jnp.uint64) << jnp.uint64(32) | low.astype(jnp.uint64)
    return (high ^ low).astype(f"uint{width}")


def _never(*_: Any) -> Any:
    raise NotImplementedError("a key of entries only draws")


#: JAX's default generator with keys that also say at which entry to begin, so that JAX's own draws can be used.
_FROM_AN_ENTRY_ON = jax.extend.random.define_prng_impl(
    key_shape=(4,), seed=_never, split=_never, random_bits=_bits, fold_in=_never, name="threefry_entries", tag="entries"
)


def numpy_for(key: Array) -> Any:
    """NumPy, which compiles nothing, where the draws of a key are NumPy arrays; else jax.numpy."""
    return jnp if words_of(key) is None else np


def placed(array: Any) -> Array:
    """Return a NumPy array as a JAX array. `jnp.asarray` would compile a copy for each shape."""
    return jax.device_put(array) if isinstance(array, np.ndarray) else array


def stacked(draw: Callable[[Any, Array], Any], key: Array, numbers: Sequence[int]) -> Any:
    """Trees ``draw(number, key folded with it)`` of all numbers, along a leading axis.

    They are drawn one after another: all at once would hold the temporaries of every one in memory.
    """
    if words_of(key) is None or not numbers:
        return lax.map(lambda i: draw(i, jax.random.fold_in(key, i)), jnp.asarray(numbers))
    rooms: list[np.ndarray] = []
    for i, (number, its_key) in enumerate(zip(numbers, fold_in_each(key, numbers), strict=True)):
        leaves, structure = jax.tree.flatten(draw(number, its_key))
        rooms = rooms or [_room((len(numbers), *v.shape), v.dtype) for v in leaves]
        for room, leaf in zip(rooms, leaves, strict=True):
            room[i] = leaf
    return jax.device_put(jax.tree.unflatten(structure, rooms))


def _room(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an empty array that begins at a multiple of 64 bytes, where JAX takes it over without a copy."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)
