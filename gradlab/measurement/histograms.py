"""Counts of activations and deltas in bins, layer by layer: read on the pass that every measurement makes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from gradlab.config import seed_numbers
from gradlab.core.parameters import require_network
from gradlab.measurement.bins import joined_sizes
from gradlab.measurement.measure import arrays, dtype_of, with_given
from gradlab.measurement.networks import drawn_records, given_record, rows_of
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
        if params is None:
            x, y, loss, outputs = arrays(x, y, loss, dtype, net.outputs)
            example_shape(net, x)
            numbers = seed_numbers(seeds)
            records, _ = drawn_records(net, net, x, y, outputs, loss, as_key(key), numbers, wanted, dtype)
        else:
            params, x, y, loss, outputs = with_given(net, params, x, y, loss, key, dtype)
            records = [given_record(net, params, x, y, outputs, loss, wanted, dtype)]
    found = [rows_of(net, outputs, record, axes=1) for record in records]
    numbers, _ = found[0]
    hidden = [i for i, number in enumerate(numbers[:-1]) if number >= 1]
    add = joined_sizes if sizes else lambda counts: np.sum(counts, 0)
    total = lambda column: np.stack([add([rows[i][column] for _, rows in found]) for i in hidden]).astype(int)
    counts = {column.rsplit("_", 1)[0]: total(column) for column in wanted if column in found[0][1][hidden[0]]}
    return Histograms(tuple(numbers[i] for i in hidden), counts)
