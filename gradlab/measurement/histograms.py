"""Per-layer histograms of activations and back-propagated gradients: a second, tidy table.

The bins of Glorot & Bengio 2010, figures 6 and 7: 101 of equal width in [-5, 5], two for what lies
beyond, and a count of exact zeros, which would otherwise hide in the middle bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.core.backprop import run, targets
from gradlab.core.gradient import Site
from gradlab.core.losses import default_loss
from gradlab.core.scaled import align
from gradlab.networks.mlp import MLP
from gradlab.networks.network import as_key, outputs_of

if TYPE_CHECKING:
    import pandas as pd

BINS, REACH = 101, 5.0
#: Left edges of the bins; the first and the last hold what lies beyond.
EDGES = np.linspace(-REACH, REACH, BINS + 1)


def histograms(net: MLP, x: Any, y: Any, *, key: Any = 0, seeds: int = 1, loss: str | None = None) -> pd.DataFrame:
    r"""Counts of activations, and of deltas over their own rms, in each hidden layer.

    Parameters
    ----------
    net : network
    x, y : arrays
        As for `gradlab.measure`.
    key : int or JAX key
    seeds : int
        Counts are summed over this many draws.
    loss : str, optional

    Returns
    -------
    DataFrame
        One row per signal ("activation", "delta"), layer and bin: `signal`, `layer`, `bin` (centre;
        -inf and inf for what lies beyond +-5; NaN for the exact zeros, which are in no other bin),
        `left`, `right`, `count`, and the columns `activation`, `init`, `depth` of the network. The
        deltas are divided by the layer's own rms, which leaves their shape.
    """
    import pandas as pd

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
    rows = []
    for signal, table in _by_layer(total).items():
        for number, count in enumerate(table[: net.config.depth], 1):
            centres = [-np.inf, *(0.5 * (EDGES[:-1] + EDGES[1:])), np.inf, np.nan]
            lefts = [-np.inf, *EDGES[:-1], REACH, 0.0]
            rights = [-REACH, *EDGES[1:], np.inf, 0.0]
            rows += zip([signal] * len(count), [number] * len(count), centres, lefts, rights, count, strict=True)
    frame = pd.DataFrame(rows, columns=["signal", "layer", "bin", "left", "right", "count"])
    config = net.config
    return frame.assign(activation=config.activation, init=config.init, depth=config.depth)


def _counts(site: Site) -> dict[str, Any]:
    """The reader: bin counts of the activation (at its layer) or of the delta (at the dense layer)."""
    if site.kind == "activation":
        return {"activation": _count(site.y.value())}
    mantissa, _ = align(site.dy)
    size = jnp.sqrt(jnp.mean(mantissa**2))
    return {"delta": _count(mantissa / jnp.where(size > 0, size, 1))}


def _count(values: Any) -> Any:
    """Counts: below, the bins, above, exact zeros."""
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
