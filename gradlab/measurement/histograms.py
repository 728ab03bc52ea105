"""Per-layer histograms of activations and back-propagated gradients.

The bins of Glorot & Bengio 2010, figures 6 and 7: 101 of equal width in [-5, 5], two for what lies
beyond, and a count of exact zeros, which would otherwise hide in the middle bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.config import MLPConfig
from gradlab.core.backprop import run, targets
from gradlab.core.gradient import Site
from gradlab.core.losses import default_loss
from gradlab.core.scaled import align
from gradlab.networks.network import Network, as_key, outputs_of

BINS, REACH = 101, 5.0
#: Left edges of the bins; the first and the last hold what lies beyond.
EDGES = np.linspace(-REACH, REACH, BINS + 1)


class Histograms(NamedTuple):
    """Counts for each hidden layer and bin, shape (depth, 104).

    Bins are: below -5, the 101 between -5 and 5, from 5 on, and exact zeros, which are in no other bin.
    """

    config: MLPConfig
    counts: dict[str, np.ndarray]


def count(net: Network, x: Any, y: Any, *, key: Any = 0, seeds: int = 1, loss: str | None = None) -> Histograms:
    """Count activations, and deltas over their own rms; parameters as for `gradlab.histograms`."""
    with jax.enable_x64(False):
        loss = loss or default_loss(y)
        x = jnp.asarray(np.asarray(x), "float32")
        outputs = outputs_of(y)
        y = targets(loss, y, outputs, x.dtype)
        layer = net.layer(outputs)

        @jax.jit
        def counts(key):
            params = layer.init(key, x.shape[1:])[0]
            return run(layer, params, x, y, loss, _counts)[1]

        total = None
        for seed in range(seeds):
            found = jax.tree.map(np.asarray, counts(jax.random.fold_in(as_key(key), seed)))
            total = found if total is None else jax.tree.map(np.add, total, found)
    return Histograms(net.config, {k: v[: net.config.depth] for k, v in _by_layer(total).items()})


def _counts(site: Site) -> dict[str, Any]:
    """The reader: bin counts of the activation (at its layer) or of the delta (at the dense layer)."""
    if site.kind == "activation":
        return {"activation": bin_counts(site.y.value())}
    mantissa, _ = align(site.dy)
    size = jnp.sqrt(jnp.mean(mantissa**2))
    return {"delta": bin_counts(mantissa / jnp.where(size > 0, size, 1))}


def bin_counts(values: Any) -> Any:
    """Counts of an array's entries, shape (104,): below, the bins, above, exact zeros."""
    values = values.reshape(-1)
    place = jnp.clip(jnp.floor((values + REACH) * (BINS / (2 * REACH))).astype(jnp.int32) + 1, 0, BINS + 1)
    place = jnp.where(values == 0, BINS + 2, place)
    return jnp.zeros(BINS + 3, jnp.int32).at[place].add(1)


def _by_layer(records: Sequence[Any]) -> dict[str, np.ndarray]:
    """Records of first block, runs and readout as one array (layers, bins) for each signal."""
    merged = [{**dense, **act} for dense, act in records]
    return {
        signal: np.concatenate([np.atleast_2d(block[signal]) for block in merged]) for signal in ("activation", "delta")
    }
