"""Counts of activations and deltas in bins, layer by layer: read on the pass that every measurement makes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from gradlab.config import seed_numbers
from gradlab.core.parameters import require_network
from gradlab.measurement import single
from gradlab.measurement.batch import DeviceBatch
from gradlab.measurement.bins import joined_sizes
from gradlab.measurement.measure import dtype_of
from gradlab.measurement.rows import rows
from gradlab.measurement.stats import COUNTS, SIZES
from gradlab.networks.network import Network, as_key, example_shape


class Histograms(NamedTuple):
    """Counts for each hidden layer and bin.

    Parameters
    ----------
    layers : tuple of int
        Numbers of the hidden layers: of blocks, or of time steps.
    counts : dict of str to ndarray, shape (layers, 104) or (layers, 259)
        Of "activation" and "delta". Bins are: below -5, the 101 between -5 and 5, from 5 on, and exact zeros,
        which are in no other bin. Of sizes, of "delta" and "weight_grad", as `measurement.bins.size_counts` has them.
    """

    layers: tuple[int, ...]
    counts: dict[str, np.ndarray]


def count(
    net: Network, x: Any, y: Any, *, key: Array | int, seeds: int, loss: str | None, params: Any = None,
    sizes: bool = False,
) -> Histograms:  # fmt: skip
    """Count activations and deltas over their own rms, or sizes; parameters as for `gradlab.histograms`."""
    require_network(net, Network)
    wanted = SIZES if sizes else COUNTS
    dtype = "float32" if params is None else dtype_of(net, params)
    with jax.enable_x64(dtype == "float64"):
        batch = DeviceBatch.of(x, y, loss, dtype, net.outputs if params is None else net.outputs_in(params))
        if params is None:
            example_shape(net, batch.x)
            records = single.drawn([net], batch, as_key(key), seed_numbers(seeds), wanted)[0][0]
        else:
            params, batch = batch.with_params(net, params, key)
            records = [single.given(net, params, batch, wanted)]
    found = [rows(net, batch.outputs, record, axes=1) for record in records]
    numbers, columns = found[0]
    hidden = [i for i, number in enumerate(numbers[:-1]) if number >= 1]
    add = joined_sizes if sizes else lambda counts: np.sum(counts, 0)
    total = lambda column: np.stack([add([columns[column][i] for _, columns in found]) for i in hidden]).astype(int)
    counts = {column.rsplit("_", 1)[0]: total(column) for column in wanted if column in columns}
    return Histograms(tuple(numbers[i] for i in hidden), counts)
