"""Units of a layer that are the same to the bit, in weights and gradients: they take the same steps, and stay the same.

Of each unit two sums of 32 bits are kept, of its bits times odd random numbers, which wrap around and so do not depend
on the order of the sum. Two units that differ share both by chance once in 2**64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def identical_fraction(weight: Array, grad: Array, depth: int = 0, features: Sequence[int] = ()) -> np.ndarray:
    """Share of the units whose weights and gradients are those of another unit, to the bit.

    Parameters
    ----------
    weight, grad : Array
        Of one shape.
    depth : int
        Leading axes that stand for layers, each with a share of its own.
    features : sequence of int
        Axes of the outputs, counted without those of the layers; empty: the last one.

    Returns
    -------
    ndarray, shape ``weight.shape[:depth]``
        NaN for what is no matrix of several units: biases, gains.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> weight = jnp.asarray([[1.0, 2.0, 1.0], [3.0, 4.0, 3.0]])
    >>> print(f"{identical_fraction(weight, weight):.2f}")
    0.67
    """
    layers, shape = weight.shape[:depth], weight.shape[depth:]
    axes = tuple(features) or (len(shape) - 1,)
    if len(shape) < 2 or weight.size == 0 or math.prod(shape[axis] for axis in axes) < 2:
        return np.full(layers, np.nan)
    marks = np.asarray(_marks(weight, grad, depth, tuple(axis + depth for axis in axes)))
    return np.array([_repeated(layer) for layer in marks]).reshape(layers)


@functools.partial(jax.jit, static_argnames=("depth", "axes"))
def _marks(weight: Array, grad: Array, depth: int, axes: tuple[int, ...]) -> Array:
    """Compute four sums of each unit of each layer, shape (layers, units, 4)."""
    marks = []
    for number, x in enumerate((weight, grad)):
        ins = [axis for axis in range(depth, x.ndim) if axis not in axes]
        rows = _words(jnp.transpose(x, (*range(depth), *axes, *ins)))
        rows = rows.reshape(math.prod(x.shape[:depth]), math.prod(x.shape[axis] for axis in axes), -1)
        for draw in range(2):
            odd = jax.random.bits(jax.random.key(2 * number + draw), rows.shape[-1:], jnp.uint32) | jnp.uint32(1)
            marks.append(jnp.sum(rows * odd, -1, dtype=jnp.uint32))
    return jnp.stack(marks, -1)


def _words(x: Array) -> Array:
    """Return the bits of an array in words of 32, those of wider entries along a last axis."""
    size = x.dtype.itemsize
    if size >= 4:
        x = jnp.stack([x.real, x.imag], -1) if jnp.iscomplexobj(x) else x
        return lax.bitcast_convert_type(x, jnp.uint32)
    return lax.bitcast_convert_type(x, {2: jnp.uint16, 1: jnp.uint8}[size]).astype(jnp.uint32)


def _repeated(marks: np.ndarray) -> float:
    """Share of the rows that occur more than once."""
    _, counts = np.unique(marks, axis=0, return_counts=True)
    return float(counts[counts > 1].sum() / len(marks))
