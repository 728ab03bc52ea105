"""The second tidy table: counts of activations and back-propagated gradients, a row a layer and bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gradlab.frames.rows import activation_at

if TYPE_CHECKING:
    from gradlab.networks.network import Network


def histograms(
    net: Network, x: Any, y: Any, *, key: Any = 0, seeds: int = 1, loss: str | None = None, params: Any = None
) -> pd.DataFrame:
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
    params : pytree, optional
        Given weights, instead of draws.

    Returns
    -------
    DataFrame
        One row per signal ("activation", "delta"), layer and bin: `signal`, `layer`, `bin` (centre;
        -inf and inf for what lies beyond +-5; NaN for the exact zeros, which are in no other bin),
        `left`, `right`, `count`, and the columns `architecture`, `activation`, `init`, `depth` of the network.
        The deltas are divided by the layer's own rms, which leaves their shape. NaN are in no bin.

    Notes
    -----
    What is counted is what the row of the layer shows in `gradlab.frame`: its delta (of a block the gradient
    on the residual stream, of a time step that of the step), and its last activation (of a step the state).

    Examples
    --------
    >>> import gradlab as gl, numpy as np
    >>> x, y = np.ones((4, 3), "float32"), np.arange(4) % 2
    >>> table = histograms(gl.ResNet(depth=2, width=4), x, y)
    >>> table.groupby(["signal", "layer"])["count"].sum().tolist()
    [16, 16, 16, 16]
    """
    from gradlab.measurement.histograms import count

    record = count(net, x, y, key=key, seeds=seeds, loss=loss, params=params)
    tables = [
        bin_table(row).assign(signal=signal, layer=number, activation=activation_at(net.config, number))
        for signal, table in record.counts.items()
        for number, row in zip(record.layers, table, strict=True)
    ]
    config = net.config
    order = ["signal", "layer", "bin", "left", "right", "count", "architecture", "activation", "init", "depth"]
    frame = pd.concat(tables, ignore_index=True)
    return frame.assign(architecture=config.architecture, init=config.init, depth=len(record.layers))[order]


def bin_table(counts: np.ndarray) -> pd.DataFrame:
    """One histogram's counts, shape (104,), as rows: ``bin left right count``."""
    from gradlab.measurement.bins import EDGES, REACH

    return pd.DataFrame(
        {
            "bin": [-np.inf, *(0.5 * (EDGES[:-1] + EDGES[1:])), np.inf, np.nan],
            "left": [-np.inf, *EDGES[:-1], REACH, 0.0],
            "right": [-REACH, *EDGES[1:], np.inf, 0.0],
            "count": counts,
        }
    )
