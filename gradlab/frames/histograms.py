"""The second tidy table: counts of activations and back-propagated gradients, a row a layer and bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from gradlab.networks.network import Network


def histograms(net: Network, x: Any, y: Any, *, key: Any = 0, seeds: int = 1, loss: str | None = None) -> pd.DataFrame:
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
    from gradlab.measurement.histograms import count

    record = count(net, x, y, key=key, seeds=seeds, loss=loss)
    tables = [
        bin_table(row).assign(signal=signal, layer=number)
        for signal, table in record.counts.items()
        for number, row in enumerate(table, 1)
    ]
    config = record.config
    frame = pd.concat(tables, ignore_index=True)[["signal", "layer", "bin", "left", "right", "count"]]
    return frame.assign(activation=config.activation, init=config.init, depth=config.depth)


def bin_table(counts: np.ndarray) -> pd.DataFrame:
    """One histogram's counts, shape (104,), as rows: ``bin left right count``."""
    from gradlab.measurement.histograms import EDGES, REACH

    return pd.DataFrame(
        {
            "bin": [-np.inf, *(0.5 * (EDGES[:-1] + EDGES[1:])), np.inf, np.nan],
            "left": [-np.inf, *EDGES[:-1], REACH, 0.0],
            "right": [-REACH, *EDGES[1:], np.inf, 0.0],
            "count": counts,
        }
    )
