"""The second tidy table: counts of activations and back-propagated gradients, a row a layer and bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gradlab.config import one_after_another

if TYPE_CHECKING:
    from gradlab.networks.network import Network


def histograms(
    net: Network, x: Any, y: Any, *, key: Any = 0, seeds: int = 1, loss: str | None = None, params: Any = None,
    log10: bool = False,
) -> pd.DataFrame:  # fmt: skip
    r"""Counts of activations, and of deltas over their own rms, in each hidden layer; or of sizes, over any range.

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
    log10 : bool
        Count log10 of the absolute values of the deltas and of the entries of the weight gradients instead, which are
        divided by nothing: `gradlab.plots.ridges` draws them. They may be of any size, such as 1e-600.

    Returns
    -------
    DataFrame
        One row per signal ("activation", "delta"), layer and bin: `signal`, `layer`, `bin` (centre;
        -inf and inf for what lies beyond +-5; NaN for the exact zeros, which are in no other bin),
        `left`, `right`, `count`, and the columns `architecture`, `activation`, `init`, `depth` of the network.
        The deltas are divided by the layer's own rms, which leaves their shape. NaN are in no bin.

        With ``log10=True`` the signals are "log10_delta" and "log10_weight_grad", and `bin`, `left` and `right` log10
        of absolute values, in bins of half an octave; -inf holds what is 38 decades below the layer's largest entry,
        or more.

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

    record = count(net, x, y, key=key, seeds=seeds, loss=loss, params=params, sizes=log10)
    table_of, prefix = (size_table, "log10_") if log10 else (bin_table, "")
    tables = [
        table_of(row).assign(signal=prefix + signal, layer=number)
        for signal, table in record.counts.items()
        for number, row in zip(record.layers, table, strict=True)
    ]
    order = ["signal", "layer", "bin", "left", "right", "count", "architecture", "activation", "init", "depth"]
    frame = pd.concat(tables, ignore_index=True)
    about = {"architecture": net.architecture, "activation": one_after_another(net.activations)}
    return frame.assign(**about, init=net.init, depth=len(record.layers))[order]


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


def size_table(counts: np.ndarray) -> pd.DataFrame:
    """One histogram's counts of sizes, shape (259,), as rows in log10, the smallest first; without empty bins."""
    from gradlab.measurement.bins import SIZES

    bins, smaller, zeros, top = counts[:SIZES], counts[SIZES], counts[SIZES + 1], counts[SIZES + 2]
    edge = np.log10(2.0) * (top - np.arange(SIZES + 1) - 1) / 2  # the right one of each bin, and the last one's left
    left, right = edge[1:], edge[:-1]
    seen = np.flatnonzero(bins)[::-1]
    return pd.DataFrame(
        {
            "bin": [-np.inf, *(0.5 * (left + right)[seen]), np.nan],
            "left": [-np.inf, *left[seen], -np.inf],
            "right": [edge[-1], *right[seen], -np.inf],
            "count": [smaller, *bins[seen], zeros],
        }
    )
