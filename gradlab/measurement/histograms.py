"""Counts of activations and deltas in bins, layer by layer: read on the pass that every measurement makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import Array

from gradlab.config import seed_numbers
from gradlab.core.parameters import require_network
from gradlab.measurement import single
from gradlab.measurement.batch import DeviceBatch
from gradlab.measurement.bins import bin_rows, joined_sizes, size_rows
from gradlab.measurement.measure import dtype_of
from gradlab.measurement.rows import rows
from gradlab.measurement.stats import COUNTS, SIZES
from gradlab.networks.network import Network, as_key, example_shape


@dataclass(frozen=True)
class Histograms:
    """Counts for each hidden layer and bin. `gradlab.frame` makes the table.

    Parameters
    ----------
    config : network
    layers : tuple of int
        Numbers of the hidden layers: of blocks, or of time steps.
    counts : dict of str to ndarray, shape (layers, 104) or (layers, 259)
        Of each signal. Bins are: below -5, the 101 between -5 and 5, from 5 on, and exact zeros, which are in no
        other bin; of a signal "log10_...", as `measurement.bins.size_counts` has them.
    """

    config: Network
    layers: tuple[int, ...]
    counts: dict[str, np.ndarray]

    def rows(self) -> dict[str, np.ndarray]:
        """A row for each signal, layer and bin: ``signal layer depth bin left right count``."""
        parts = []
        for signal, table in self.counts.items():
            table_of = size_rows if signal.startswith("log10_") else bin_rows
            for layer, counts in zip(self.layers, table, strict=True):
                found = table_of(counts)
                where = {"signal": signal, "layer": layer, "depth": len(self.layers)}
                parts.append({name: np.full(len(found["bin"]), value) for name, value in where.items()} | found)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def histograms(
    net: Network, x: Any, y: Any, *, key: Array | int = 0, seeds: int | Sequence[int] = 1, loss: str | None = None,
    params: Any = None, log10: bool = False,
) -> Histograms:  # fmt: skip
    r"""Counts of activations, and of deltas over their own rms, in each hidden layer; or of sizes, over any range.

    Parameters
    ----------
    net : network
    x, y : arrays
        As for `gradlab.measure`.
    key : int or JAX key
    seeds : int or sequence of int
        Counts are summed over so many draws, or over these.
    loss : str, optional
    params : pytree, optional
        Given weights, instead of draws.
    log10 : bool
        Count log10 of the absolute values of the deltas and of the entries of the weight gradients instead, which are
        divided by nothing: `gradlab.plots.ridges` draws them. They may be of any size, such as 1e-600.

    Returns
    -------
    Histograms
        `gradlab.frame` makes a table of it, one row per signal ("activation", "delta"), layer and bin: the fields of
        the network, `signal`, `layer`, `bin` (centre; -inf and inf for what lies beyond +-5; NaN for the exact
        zeros, which are in no other bin), `left`, `right`, `count`. The deltas are divided by the layer's own
        rms, which leaves their shape. NaN are in no bin.

        With ``log10=True`` the signals are "log10_delta" and "log10_weight_grad", and `bin`, `left` and `right` log10
        of absolute values, in bins of half an octave; -inf holds what is 38 decades below the layer's largest entry,
        or more.

    Notes
    -----
    What is counted is what the row of the layer shows in the frame of `gradlab.measure`: its delta (of a block the
    gradient on the residual stream, of a time step that of the step), and its last activation (of a step the state).

    Examples
    --------
    >>> import gradlab as gl, numpy as np
    >>> x, y = np.ones((4, 3), "float32"), np.arange(4) % 2
    >>> table = gl.frame(histograms(gl.ResNet(depth=2, width=4), x, y))
    >>> table.groupby(["signal", "layer"])["count"].sum().tolist()
    [16, 16, 16, 16]
    """
    require_network(net, Network)
    wanted = SIZES if log10 else COUNTS
    dtype = "float32" if params is None else dtype_of(net, params)
    with jax.enable_x64(dtype == "float64"):
        batch = DeviceBatch.of(x, y, loss, dtype, net.outputs if params is None else net.outputs_in(params))
        if params is None:
            example_shape(net, batch.x)
            records = single.drawn([net], batch, as_key(key), seed_numbers(seeds), wanted)[0][0]
        else:
            params, batch = batch.with_params(net, params, key)
            records = [single.given(net, params, batch, wanted, net)]
    found = [rows(net, batch.outputs, record, axes=1) for record in records]
    numbers, columns = found[0]
    hidden = [i for i, number in enumerate(numbers[:-1]) if number >= 1]
    add = joined_sizes if log10 else lambda counts: np.sum(counts, 0)
    total = lambda column: np.stack([add([columns[column][i] for _, columns in found]) for i in hidden]).astype(int)
    signal = lambda column: ("log10_" if log10 else "") + column.rsplit("_", 1)[0]
    counts = {signal(column): total(column) for column in wanted if column in columns}
    return Histograms(net, tuple(numbers[i] for i in hidden), counts)
