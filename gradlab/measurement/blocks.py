"""From the records of a block's layers to the one row that a block has in the frame.

A block of a residual network or a transformer holds several weights and activations. Its row shows

- the backward signal where it is handed on: the gradient on the residual stream at the block's
  output if it has one, else at the preactivations of its first weight;
- the forward signal there too: of a stream `log10_preactivation_rms` is its rms, and
  `log10_activation_rms` that of the last activation;
- all weights of the block as one vector of parameters, and all biases.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from gradlab.core.gradient import Reader, Site
from gradlab.measurement.bins import joined_sizes
from gradlab.measurement.stats import ENTRIES, statistics

#: Columns of the backward signal.
SIGNAL = ("log10_delta_rms", "delta_log10_mean", "zero_example_fraction", "float32_zero_fraction", "delta_counts",
          "delta_sizes")  # fmt: skip
#: Columns that each weight of a block has.
OF_A_WEIGHT = ("weight_norm", "log10_weight_grad_norm", "gradient_cosine_mean", "gradient_snr", *ENTRIES)
#: Columns of the stream, the preactivation of a block.
STREAM = (*SIGNAL, "log10_preactivation_rms", "log10_one_minus_c", "zero_pair_fraction")


@jax.tree_util.register_pytree_node_class
class Seen:
    """What a reader made of one site, with the kind of the site beside it."""

    def __init__(self, kind: str, columns: dict[str, Any]):
        self.kind, self.columns = kind, columns

    def tree_flatten(self):
        """The columns, and the kind as what does not change."""
        return (self.columns,), self.kind

    @classmethod
    def tree_unflatten(cls, kind, children):
        """Put together again."""
        return cls(kind, *children)


def seen(columns: Iterable[str]) -> Reader:
    """The reader `statistics`, whose records say what kind of layer they are of."""
    read = statistics(columns)

    def tagged(site: Site) -> Seen:
        return Seen(site.kind, read(site))

    return tagged


def row(record: Any) -> dict[str, np.ndarray]:
    """The columns of a block, from the tree of its layers' records, in the order of the signal.

    Parameters
    ----------
    record : tree of Seen
        On the host, logarithms joined to log10 (`measurement.stats.to_numpy`); a leading axis of
        equal blocks is kept.

    Returns
    -------
    dict of str to ndarray
    """
    sites = [s for s in jax.tree.leaves(record, is_leaf=lambda v: isinstance(v, Seen)) if isinstance(s, Seen)]
    own = [s.columns for s in sites if s.kind != "residual"]
    found: dict[str, np.ndarray] = {}
    for name, join in _JOINS.items():
        values = [columns[name] for columns in own if name in columns]
        if values:
            found[name] = join(values)
    for columns in (s.columns for s in sites if s.kind == "residual"):
        found |= {name: columns[name] for name in STREAM if name in columns}
    if sum(any(name in columns for name in OF_A_WEIGHT) for columns in own) > 1:
        found.pop("gradient_cosine_mean", None)  # the cosine of the whole is not a mean of its parts'
        if "gradient_snr" in found:
            found["gradient_snr"] = _snr(found, own)
        if "log10_weight_grad_mean_abs" in found:
            found["log10_weight_grad_mean_abs"] = _mean_entry(own)
    return found


def _mean_entry(own: list[dict[str, np.ndarray]]) -> np.ndarray:
    """log10 of the mean over the entries of all weights of the block."""
    parts = [c for c in own if "weight_entries" in c]
    with np.errstate(divide="ignore"):
        sums = [np.asarray(c["log10_weight_grad_mean_abs"]) + np.log10(c["weight_entries"]) for c in parts]
    return _log10_sum(sums) - np.log10(sum(c["weight_entries"] for c in parts))


def _snr(found: dict[str, np.ndarray], own: list[dict[str, np.ndarray]]) -> np.ndarray:
    r"""B |mean|^2 / tr Cov of the block, from its weights' own: each trace is B |mean|^2 / snr."""
    parts = [c for c in own if "gradient_snr" in c]
    if any("log10_weight_grad_norm" not in c for c in parts):
        return np.full_like(found["gradient_snr"], np.nan)
    squares = lambda c: 2 * np.asarray(c["log10_weight_grad_norm"])
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = [squares(c) - np.log10(c["gradient_snr"]) for c in parts]
        return 10.0 ** (_log10_sum([squares(c) for c in parts]) - _log10_sum(noise))


def _log10_sum(values: list[np.ndarray]) -> np.ndarray:
    """log10 of the sum of 10**v."""
    return functools.reduce(
        lambda a, b: np.logaddexp2(*(np.asarray(v) / np.log10(2.0) for v in (a, b))) * np.log10(2.0), values
    )


def _norm(values: list[np.ndarray]) -> np.ndarray:
    """log10 of the root of the sum of squares."""
    return 0.5 * _log10_sum([2 * np.asarray(v) for v in values])


def _first(values: list[np.ndarray]) -> np.ndarray:
    return values[0]


def _last(values: list[np.ndarray]) -> np.ndarray:
    return values[-1]


def _mean(values: list[np.ndarray]) -> np.ndarray:
    return np.mean(np.stack(values), 0)


#: How the columns of a block's layers become one.
_JOINS: dict[str, Callable[[list[np.ndarray]], np.ndarray]] = {
    **dict.fromkeys(SIGNAL, _first),
    "log10_weight_grad_norm": _norm,
    "log10_weight_grad_mean_abs": _first,
    "log10_weight_grad_max_abs": lambda values: np.max(np.stack(values), 0),
    "log10_bias_grad_norm": _norm,
    "weight_grad_sizes": joined_sizes,
    "log10_activation_rms": _last,
    "activation_mean_over_rms": _last,
    "activation_p98_over_rms": _last,
    "activation_counts": _last,
    "log10_preactivation_rms": _first,
    "log10_one_minus_c": _first,
    "zero_pair_fraction": _first,
    "saturated_fraction": _mean,
    "dead_fraction": _mean,
    "weight_norm": lambda values: np.sqrt(np.sum(np.square(np.stack(values)), 0)),
    "log10_per_example_grad_norm_rms": _norm,
    "gradient_cosine_mean": _first,
    "gradient_snr": _first,
}
