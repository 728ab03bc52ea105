"""Columns of the frame, for each layer, from what was read of its arrays: on the host, in double precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradlab._tree import Layers
from gradlab.monitoring.reading import ABSENT, SHIFT, lost

#: Where the norms of each tree stand: of the weights, of the biases.
NORMS: dict[str, tuple[str, str]] = {
    "gradient": ("log10_weight_grad_norm", "log10_bias_grad_norm"),
    "clipped": ("log10_clipped_weight_grad_norm", "log10_clipped_bias_grad_norm"),
    "update": ("log10_weight_update_norm", "log10_bias_update_norm"),
}


def layer_columns(layers: Layers, names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of the frame, each of shape (…, layers).

    Parameters
    ----------
    layers : Layers
        Which arrays belong to which layer.
    names : sequence of str
        The quantities.
    values : ndarray, shape (…, quantities, slots)
        From `gradlab.monitoring.reading.read`.
    """
    with np.errstate(all="ignore"):  # what is zero, absent or not finite stands as such in the frame
        return _columns(layers, _Read(layers, names, values))


class _Read:
    """What was read, by name, (…, slots) in float64, with sums over the slots of layers."""

    def __init__(self, layers: Layers, names: Sequence[str], values: np.ndarray):
        self.bits = 64 if values.dtype == np.float64 else 32
        self.arrays = {name: values[..., i, :].astype(np.float64) for i, name in enumerate(names)}
        self.trees = [name.removesuffix(" squares") for name in names if name.endswith(" squares")]
        self.entries = np.array([leaf.entries for leaf in layers.slots])
        kinds = [[getattr(row, kind) for row in layers.rows] for kind in ("weights", "biases")]
        longest = max(len(slots) for kind in kinds for slots in kind)
        self.places = np.array([[[*slots, *[-1] * (longest - len(slots))] for slots in kind] for kind in kinds])

    def there(self, tree: str) -> np.ndarray:
        """Return whether each slot has an array of the tree."""
        return self.arrays[f"{tree} squares"] != ABSENT

    def norm(self, tree: str) -> np.ndarray:
        """log10 of the norm of each slot: -inf for a true zero, NaN or inf where an entry is."""
        plain, up, down, bad = (
            self.arrays[f"{tree} {n}"] for n in ("squares", "squares up", "squares down", "not finite")
        )
        shift = SHIFT[self.bits] * np.log10(2)
        well = np.isfinite(plain) & (plain > self.entries * lost(f"float{self.bits}"))
        scaled = np.where(np.isposinf(plain), np.log10(down) / 2 + shift, np.log10(up) / 2 - shift)
        logs = np.where(well | (bad > 0), np.log10(plain) / 2, scaled)
        return np.where(self.there(tree), logs, np.nan)

    def of_kinds(self, values: np.ndarray) -> np.ndarray:
        """Return the slots of weights and of biases of each layer, (…, 2, layers, slots); 0 where there is none."""
        values = np.broadcast_to(values, (*values.shape[:-1], len(self.entries)))
        return np.where(self.places < 0, 0, values[..., self.places])

    def total(self, values: np.ndarray, where: np.ndarray) -> np.ndarray:
        """Sums of a number for each slot that is there, (…, 2, layers)."""
        return self.of_kinds(np.where(where, values, 0)).sum(-1)

    def norms(self, tree: str) -> np.ndarray:
        """log10 norms of the weights, and of the biases, of each layer together; NaN where there are none."""
        logs = np.where(self.there(tree), self.norm(tree), -np.inf)
        logs = np.where(self.places < 0, -np.inf, logs[..., self.places])
        return np.where(self.count(tree) > 0, pooled(logs), np.nan)

    def count(self, *trees: str) -> np.ndarray:
        """Entries that all of these trees have, (…, 2, layers)."""
        return self.total(self.entries, np.all([self.there(tree) for tree in trees], axis=0))

    def both(self, name: str, *trees: str) -> np.ndarray:
        """Return the sum over weights and biases of each layer, over their entries."""
        there = np.all([self.there(tree) for tree in trees], axis=0)
        return self.total(self.arrays[name], there).sum(-2) / self.count(*trees).sum(-2)


def pooled(logs: np.ndarray) -> np.ndarray:
    """Return log10 of the norm of several arrays together, along the last axis, from log10 of the norm of each."""
    top = logs.max(-1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0)
    return (shift + np.log10((10 ** (2 * (logs - shift))).sum(-1, keepdims=True)) / 2)[..., 0]


def _columns(layers: Layers, read: _Read) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    norms = {tree: read.norms(tree) for tree in read.trees}
    for tree in read.trees:
        if tree in NORMS:
            columns |= {name: norms[tree][..., kind, :] for kind, name in enumerate(NORMS[tree])}
    there = read.there("gradient")
    gradient = lambda name: np.where(there, read.arrays[f"gradient {name}"], 0)
    sizes = gradient("sizes")
    sizes = np.where(np.isposinf(sizes), gradient("sizes down") * 2.0 ** SHIFT[read.bits], sizes)
    weights = read.count("gradient")[..., 0, :]
    columns["log10_weight_grad_mean_abs"] = np.log10(read.total(sizes, there)[..., 0, :] / weights)
    top = read.of_kinds(gradient("top")).max(-1)[..., 0, :]
    columns["log10_weight_grad_max_abs"] = np.where(weights > 0, np.log10(top), np.nan)
    whole = pooled(np.where(there, read.norm("gradient"), -np.inf))
    columns["log10_global_grad_norm"] = np.broadcast_to(whole[..., None], weights.shape)
    columns["gradient_zero_fraction"] = 1 - read.both("gradient not zero", "gradient")
    below = read.both("gradient not zero", "gradient") - read.both("gradient normal", "gradient")
    columns["gradient_underflow_fraction"] = below
    columns["gradient_absent"] = read.total(1.0 - there, ~there).sum(-2)
    for tree in read.trees:
        if tree != "clipped":
            columns[f"{tree}_not_finite"] = read.total(read.arrays[f"{tree} not finite"], read.there(tree)).sum(-2)
    if "weight" in read.trees:
        columns["weight_norm"] = 10 ** norms["weight"][..., 0, :]
    if "moved" in read.arrays:
        columns["log10_update_ratio"] = (norms["update"] - norms["weight"])[..., 0, :]
        columns["moved_fraction"] = read.both("moved", "update", "weight")
    return columns
