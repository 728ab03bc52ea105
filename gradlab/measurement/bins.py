"""Entries counted in bins.

The bins are those of Glorot & Bengio 2010, figures 6 and 7: 101 of equal width in [-5, 5], two for what lies
beyond, and a count of exact zeros, which would otherwise hide in the middle bin.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import Array

BINS, REACH = 101, 5.0
#: Left edges of the bins, and the right edge of the last; what lies beyond has bins of its own.
EDGES = np.linspace(-REACH, REACH, BINS + 1)


def bin_counts(values: Array, lead: int = 0) -> Array:
    """Counts of the entries of an array, shape (..., 104): below, the bins, above, exact zeros.

    Parameters
    ----------
    values : Array
    lead : int
        Leading axes that are kept: each of their places has counts of its own. NaN are in no bin.
    """
    shape = values.shape[:lead]
    values = values.reshape(math.prod(shape), -1)
    # clipped as a float: infinity has no integer
    place = jnp.clip(jnp.floor((values + REACH) * (BINS / (2 * REACH))) + 1, 0, BINS + 1).astype(jnp.int32)
    place = jnp.where(values == 0, BINS + 2, place)
    place = jnp.where(jnp.isnan(values), BINS + 3, place)  # behind the last bin, where nothing is kept
    rows = jnp.arange(len(values))[:, None]
    counts = jnp.zeros((len(values), BINS + 3), jnp.int32).at[rows, place].add(1, mode="drop")
    return counts.reshape(*shape, BINS + 3)
