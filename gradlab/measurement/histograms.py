"""Count activations and deltas in bins, layer by layer, on the pass that every measurement makes."""

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

#: The signal whose entries each of the counted columns holds.
COUNTED = {
    "activation_counts": "activation", "delta_counts": "delta", "activation_sizes": "log10_activation",
    "delta_sizes": "log10_delta", "weight_grad_sizes": "log10_weight_grad",
}  # fmt: skip


@dataclass(frozen=True)
class Histograms:
    """Hold counts for each hidden layer and bin. `gradlab.frame` makes the table.

    Parameters
    ----------
    config : network
        The network.
    layers : tuple of int
        Numbers of the hidden layers (or blocks, or time steps).
    counts : dict of str to ndarray, shape (layers, 104) or (layers, 259)
        Counts by signal. The 104 bins are: below -5, 101 between -5 and 5, from 5 on, and exact zeros, which are in no
        other bin. Signals "log10_..." have the bins of `measurement.bins.size_counts`.
    batch : int
        Number of examples.
    """

    config: Network
    layers: tuple[int, ...]
    counts: dict[str, np.ndarray]
    batch: int

    def rows(self) -> dict[str, np.ndarray]:
        """Return one row for each signal, layer and bin: ``batch signal layer depth bin left right count``."""
        parts = []
        for signal, table in self.counts.items():
            table_of = size_rows if signal.startswith("log10_") else bin_rows
            for layer, counts in zip(self.layers, table, strict=True):
                columns = table_of(counts)
                where = {"batch": self.batch, "signal": signal, "layer": layer, "depth": len(self.layers)}
                parts.append({name: np.full(len(columns["bin"]), value) for name, value in where.items()} | columns)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def histograms(
    net: Network, x: Any, y: Any, *, key: Array | int = 0, seeds: int | Sequence[int] = 1, loss: str | None = None,
    params: Any = None, log10: bool = False,
) -> Histograms:  # fmt: skip
    r"""Count activations, and deltas over their own rms, in bins for each hidden layer.

    Parameters
    ----------
    net : network
        The network to look at.
    x, y : arrays
        Inputs and targets, as for `gradlab.measure`.
    key : int or JAX key
        Key from which the weights are drawn: seed s draws from the key folded with s.
    seeds : int or sequence of int
        Number of seeds, or their numbers; the counts are sums over them. More seeds make smoother histograms.
    loss : str, optional
        Name of the loss. None: softmax cross-entropy for integer `y`, otherwise mean squared error.
    params : pytree, optional
        Weights to use instead of random ones, for example after training.
    log10 : bool
        True: count log10 of the absolute values of the activations, of the deltas and of the entries of the weight
        gradients instead. They may be of any size, such as 1e-600, and are divided by nothing; `gradlab.plots.ridges`
        and `gradlab.plots.scales` draw them.

    Returns
    -------
    Histograms
        `gradlab.frame` makes a table of it, one row per signal ("activation", "delta"), layer and bin: the fields of
        the network, `signal`, `layer`, `bin` (its centre; -inf and inf for values beyond -5 and 5; NaN for exact
        zeros, which are in no other bin), `left`, `right`, `count`. The deltas are divided by the layer's own
        rms, so that their distribution is seen whatever their size. NaN are in no bin.

        With ``log10=True`` the signals are "log10_activation", "log10_delta" and "log10_weight_grad", and `bin`, `left`
        and `right` are log10 of absolute values, in bins of half an octave. The bin -inf holds entries that are 38
        decades or more below the layer's largest one.

    Raises
    ------
    GradlabError
        If the data or the parameters do not fit the network.

    Notes
    -----
    The counted arrays are those of the layer's row in the frame of `gradlab.measure`: its delta (for a block the
    gradient on the residual stream) and its last activation (for a time step the state).

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
    tables = [rows(net, batch.outputs, record, axes=1) for record in records]
    numbers, columns = tables[0]
    hidden = [i for i, number in enumerate(numbers[:-1]) if number >= 1]
    add = joined_sizes if log10 else lambda counts: np.sum(counts, 0)
    total = lambda column: np.stack([add([columns[column][i] for _, columns in tables]) for i in hidden]).astype(int)
    counts = {COUNTED[column]: total(column) for column in wanted if column in columns}
    return Histograms(net, tuple(numbers[i] for i in hidden), counts, len(batch.x))
