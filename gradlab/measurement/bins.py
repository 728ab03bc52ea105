"""Count the entries of arrays in bins: bins of equal width, or bins between powers of the square root of two.

The bins of equal width are those of Glorot & Bengio 2010, figures 6 and 7: 101 in [-5, 5], one for smaller and one for
larger values, and a count of exact zeros, which would otherwise hide in the middle bin. Sizes are counted between
powers of the square root of two, because multiplying by a power of two then moves entries by whole bins; and, where
only the ends of the formats count, in a few bins between these.
"""

from __future__ import annotations

import itertools
import math

import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab._formats import FORMATS, SHORT_FORMATS
from gradlab.core.scaled import Scaled, alive_exponent, expand, exponent_of, octaves, power

BINS, REACH = 101, 5.0
#: Left edges of the bins, and the right edge of the last one.
EDGES = np.linspace(-REACH, REACH, BINS + 1)
#: Number of bins of sizes, from the largest entry down: half an octave each, 38.5 decades in all.
SIZES = 256
#: log2 of the ends of the short formats: of their smallest positive numbers, and the first powers beyond the largest.
ENDS: tuple[int, ...] = tuple(
    sorted({end for name in SHORT_FORMATS for end in (FORMATS[name].smallest, FORMATS[name].beyond)})
)


def bin_counts(values: Array, lead: int = 0) -> Array:
    """Count the entries of an array in 104 bins: below, the 101 bins, above, exact zeros.

    Parameters
    ----------
    values : Array
        The values to count. NaN are in no bin.
    lead : int
        Number of leading axes to keep. Each place along them has counts of its own.
    """
    shape = values.shape[:lead]
    values = values.reshape(math.prod(shape), -1)
    # Clipped before the conversion, because infinity has no integer.
    place = jnp.clip(jnp.floor((values + REACH) * (BINS / (2 * REACH))) + 1, 0, BINS + 1).astype(jnp.int32)
    place = jnp.where(values == 0, BINS + 2, place)
    place = jnp.where(jnp.isnan(values), BINS + 3, place)  # behind the last bin, where nothing is kept
    rows = jnp.arange(len(values))[:, None]
    counts = jnp.zeros((len(values), BINS + 3), jnp.int32).at[rows, place].add(1, mode="drop")
    return counts.reshape(*shape, BINS + 3)


def size_counts(s: Scaled, lead: int) -> Array:
    """Count the sizes of the entries of `s` in bins of half an octave.

    Parameters
    ----------
    s : Scaled
        The entries to count.
    lead : int
        Number of leading axes to keep. Each place along them has counts of its own.

    Returns
    -------
    Array of int32, shape (..., 259)
        The bins from the largest entry down, the number of smaller entries, the number of exact zeros, and the number
        h of the first bin, whose entries lie in [2**(h/2 - 1), 2**((h - 1)/2)). Entries that are not finite are in no
        bin.
    """
    mantissa = s.mantissa
    k = exponent_of(mantissa)
    upper = jnp.abs(mantissa) * power(-k, mantissa.dtype) >= np.sqrt(0.5)
    shift = expand(alive_exponent(s.powers), mantissa)
    place = 2 * (k + shift) + upper.astype(jnp.int32)
    usable = (mantissa != 0) & jnp.isfinite(mantissa)
    shape = mantissa.shape[:lead]
    flat = lambda x: jnp.broadcast_to(x, mantissa.shape).reshape(math.prod(shape), -1)
    place, usable, zero = flat(place), flat(usable), flat(mantissa == 0)
    lowest = jnp.iinfo(jnp.int32).min
    top = jnp.max(jnp.where(usable, place, lowest), -1, keepdims=True, initial=lowest)
    missing = jnp.where(zero, SIZES + 1, SIZES + 2)
    slot = jnp.where(usable, jnp.minimum(top - place, SIZES), missing)
    counts = jnp.zeros((len(place), SIZES + 2), jnp.int32)
    counts = counts.at[jnp.arange(len(place))[:, None], slot].add(1, mode="drop")
    top = jnp.where(top == lowest, 0, top)
    return jnp.concatenate([counts, top], -1).reshape(*shape, SIZES + 3)


def end_counts(s: Scaled, lead: int) -> Array:
    """Count the entries of `s` between the ends of the formats, whatever their exponents.

    Parameters
    ----------
    s : Scaled
        The entries to count.
    lead : int
        Number of leading axes to keep. Each place along them has counts of its own.

    Returns
    -------
    Array of int32, shape (..., 8)
        The entries that are not 0 below the first of `ENDS`, between each end and the next, and from the last one on.
        Infinite entries are among the last; NaN are in no bin.
    """
    m = s.mantissa
    k = jnp.where(jnp.isinf(m), ENDS[-1] + 1, octaves(m) + expand(alive_exponent(s.powers), m))
    usable = (m != 0) & ~jnp.isnan(m)
    count = lambda which: jnp.sum(which & usable, tuple(range(lead, m.ndim)), dtype=jnp.int32)
    # |x| lies in [2**(k - 1), 2**k), so it is at least 2**end where k > end
    above = [count(True), *(count(k > end) for end in ENDS)]
    return jnp.stack([*(a - b for a, b in itertools.pairwise(above)), above[-1]], -1)


def end_shares(counts: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Return the shares of entries ``below`` and ``above`` the range of a format; NaN where all entries are 0."""
    total = np.sum(counts, -1)
    first, last = ENDS.index(FORMATS[name].smallest), ENDS.index(FORMATS[name].beyond)
    with np.errstate(invalid="ignore"):
        below, above = np.sum(counts[..., : first + 1], -1) / total, np.sum(counts[..., last + 1 :], -1) / total
    return {"below": below, "above": above}


def joined_sizes(counts: list[np.ndarray]) -> np.ndarray:
    """Add several counts of sizes, each of shape (..., 259), on the host."""
    counts = [np.asarray(c, float) for c in counts]
    top = np.max([np.where(c[..., : SIZES + 1].sum(-1) > 0, c[..., -1], -np.inf) for c in counts], 0)
    total = np.zeros_like(counts[0])
    for c in counts:
        gap = np.where(np.isfinite(top), top, 0) - c[..., -1]
        to = np.minimum(np.arange(SIZES) + gap[..., None], SIZES).astype(int)
        to = np.maximum(to, 0)  # counts without any entry have no first bin
        index = np.moveaxis(np.indices(to.shape), 0, -1)[..., :-1]
        np.add.at(total, (*np.moveaxis(index, -1, 0), to), c[..., :SIZES])
        total[..., SIZES : SIZES + 2] += c[..., SIZES : SIZES + 2]
    total[..., -1] = np.where(np.isfinite(top), top, 0)
    return total


def bin_rows(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Make the columns ``bin left right count`` of one histogram's counts, shape (104,)."""
    return {
        "bin": np.array([-np.inf, *(0.5 * (EDGES[:-1] + EDGES[1:])), np.inf, np.nan]),
        "left": np.array([-np.inf, *EDGES[:-1], REACH, 0.0]),
        "right": np.array([-REACH, *EDGES[1:], np.inf, 0.0]),
        "count": counts,
    }


def size_rows(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Make columns in log10 of one histogram's counts of sizes, shape (259,), from the smallest, without empty bins."""
    bins, smaller, zeros, top = counts[:SIZES], counts[SIZES], counts[SIZES + 1], counts[SIZES + 2]
    edge = np.log10(2.0) * (top - np.arange(SIZES + 1) - 1) / 2  # the right one of each bin, and the last one's left
    left, right = edge[1:], edge[:-1]
    seen = np.flatnonzero(bins)[::-1]
    return {
        "bin": np.array([-np.inf, *(0.5 * (left + right)[seen]), np.nan]),
        "left": np.array([-np.inf, *left[seen], -np.inf]),
        "right": np.array([edge[-1], *right[seen], -np.inf]),
        "count": np.array([smaller, *bins[seen], zeros]),
    }
