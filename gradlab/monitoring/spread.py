"""How the entries of a layer's gradient are spread about zero: counts in bins of their own rms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab._tree import Layers
from gradlab.measurement.arrays import log10_norm, over_size, pooled
from gradlab.measurement.bins import BINS, bin_counts


def gradient_counts(layers: Layers, grads: Sequence[Any]) -> Array:
    """Count the entries of the weights' gradient in the bins of `gradlab.measurement.bins.EDGES`, (layers, 104).

    Parameters
    ----------
    layers : Layers
        Which arrays belong to which layer.
    grads : sequence of array
        Aligned with ``layers.leaves``, None where there is none. A layer whose gradient is not finite has no counts.
    """
    shares = [
        value if value is None or not leaf.stacked else value[i]
        for leaf, value in zip(layers.leaves, grads, strict=True)
        for i in range(leaf.layers)
    ]
    return jnp.stack(
        [_of_layer([shares[slot] for slot in row.weights if shares[slot] is not None]) for row in layers.rows]
    )


def _of_layer(weights: Sequence[Any]) -> Array:
    nothing = jnp.zeros(BINS + 3, jnp.int32)
    if not weights:
        return nothing
    norm = pooled(jnp.stack([log10_norm(weight).astype(jnp.float32) for weight in weights]))
    rms = norm - jnp.asarray(0.5 * np.log10(max(sum(weight.size for weight in weights), 1)), norm.dtype)
    counts = sum((bin_counts(over_size(weight, rms)) for weight in weights), nothing)
    return jnp.where(jnp.isfinite(norm) | jnp.isneginf(norm), counts, 0)
