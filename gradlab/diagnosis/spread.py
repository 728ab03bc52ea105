"""How the entries of a layer's gradient are spread about zero: counts in bins of their own rms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab._tree import Layers
from gradlab.measurement.arrays import over_size
from gradlab.measurement.bins import BINS, bin_counts


def gradient_counts(layers: Layers, grads: Sequence[Any], log10_norms: Array) -> Array:
    """Bin counts of the weights' gradient, (layers, 104), in `gradlab.measurement.bins.EDGES`.

    Parameters
    ----------
    layers : Layers
    grads : sequence of array
        Aligned with ``layers.leaves``.
    log10_norms : Array, shape (layers,)
        log10 of the norm of each layer's weight gradient; where it is not finite nothing is counted.
    """
    shares = [
        value if value is None or not leaf.stacked else value[i]
        for leaf, value in zip(layers.leaves, grads, strict=True)
        for i in range(leaf.layers)
    ]
    rows = []
    for row, norm in zip(layers.rows, log10_norms, strict=True):
        entries = sum(layers.slots[slot].entries for slot in row.weights)
        rms = norm - jnp.asarray(0.5 * np.log10(max(entries, 1)), norm.dtype)
        found = [bin_counts(over_size(shares[slot], rms)) for slot in row.weights if shares[slot] is not None]
        counts = sum(found, jnp.zeros(BINS + 3, jnp.int32))
        rows.append(jnp.where(jnp.isfinite(norm) | jnp.isneginf(norm), counts, 0))
    return jnp.stack(rows)
