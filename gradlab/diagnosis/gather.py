"""From what was read of a model to the table that rules judge: a row for each place, a row for each parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gradlab._formats import FORMATS
from gradlab.diagnosis import precision, reading
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.precision import Exact
from gradlab.diagnosis.sites import Coverage, Parameter, Place, Site, Unseen

#: Kinds of sites that are counted as products.
PRODUCTS = ("product", "inner", "logits", "weights", "lookup")

#: Adam's epsilon, the default of optax and of PyTorch: where a gradient is smaller, the update is not.
ADAM_EPSILON = 1e-8
#: What the columns of a vector are called for the values of places, and for their deltas.
VALUES = {
    "log10_rms": "log10_value_rms",
    "mean_over_rms": "value_mean_over_rms",
    "log10_max": "log10_value_max",
    "zero_fraction": "value_zero_fraction",
    "not_finite": "value_not_finite",
    "saturated_fraction": "saturated_fraction",
    "log10_one_minus_c": "log10_one_minus_c",
}
DELTAS = {
    "log10_rms": "log10_delta_rms",
    "log10_max": "log10_delta_max",
    "zero_fraction": "delta_zero_fraction",
    "not_finite": "delta_not_finite",
    "cosine": "delta_cosine",
}


def exact_columns(evidence: Evidence, looks: Sequence[Exact]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Columns of places and of parameters of the second look; NaN for samples that it was not taken of."""
    places, parameters = evidence.places, evidence.parameters
    fields = len(precision.EXACT_FIELDS)
    by_role = lambda role: [{n: v for (n, part), v in look.sites.items() if part == role} for look in looks]
    value, delta = (precision.columns(_stacked(places, by_role(role), fields)) for role in ("value", "delta"))
    of_leaves = np.array([[look.leaves[p.leaf][p.at] for p in parameters] for look in looks], np.float64)
    leaf = precision.columns(of_leaves.reshape(len(looks), len(parameters), fields))
    entries = np.array([max(math.prod(p.shape), 1) for p in parameters])
    signals = {"exact_log10_value_rms": value["log10_rms"], "exact_log10_delta_rms": delta["log10_rms"]}
    gradients = {"exact_log10_grad_norm": leaf["log10_rms"] + 0.5 * np.log10(entries)}
    for name in FORMATS:
        signals[f"delta_lost_{name}"], gradients[f"grad_lost_{name}"] = delta[f"lost_{name}"], leaf[f"lost_{name}"]
    missing = evidence.samples - len(looks)
    wide = lambda columns: {k: np.pad(v, ((0, missing), (0, 0)), constant_values=np.nan) for k, v in columns.items()}
    return wide(signals), wide(gradients)


def places_of(sites: Sequence[Site], entries: Mapping[int, np.ndarray]) -> tuple[Place, ...]:
    """Return a place for each step of each site, in the order of the signal; sites of one scan stand together.

    Parameters
    ----------
    sites : sequence of Site
        In the order of the program.
    entries : dict of int to ndarray
        How many entries were read at each site, by the steps of its scans: 0 in a branch that was not taken.
    """
    first: dict[Any, int] = {}
    placed = []
    for site in sites:
        if site.number not in entries:
            continue
        start = first.setdefault(site.scans[0] if site.scans else site.number, site.number)
        taken = np.argwhere(entries[site.number] > 0)
        placed += [(start, tuple(at), site) for at in taken.tolist()]
    ordered = sorted(placed, key=lambda entry: (entry[0], entry[1], entry[2].number))
    return tuple(Place(site, at) for _, at, site in ordered)


def coverage_of(sites: Sequence[Site], unseen: Sequence[Unseen], rules: Sequence[str] = ()) -> Coverage:
    """Return how many of the products were read."""
    seen = sum(site.kind in PRODUCTS for site in sites)
    return Coverage(
        seen,
        seen + sum(place.products for place in unseen),
        tuple(unseen),
        sum(site.kind == "tap" for site in sites),
        tuple(rules),
    )


def signals_of(
    places: Sequence[Place], values: Sequence[Mapping[int, Any]], deltas: Sequence[Mapping[int, Any]]
) -> dict[str, np.ndarray]:
    """Columns of the places, (samples, places), from the vectors of each sample's sites."""
    fields = len(reading.FIELDS)
    forward = reading.columns(_stacked(places, values, fields))
    backward = reading.columns(_stacked(places, deltas, fields))
    columns = {name: forward[key] for key, name in VALUES.items()}
    columns |= {name: backward[key] for key, name in DELTAS.items()}
    active = np.array([place.site.kind == "activation" for place in places], bool)
    return {**columns, "dead_fraction": np.where(active, forward["dead_fraction"], np.nan)}


def _stacked(places: Sequence[Place], samples: Sequence[Mapping[int, Any]], fields: int) -> np.ndarray:
    nothing = np.full(fields, np.nan)
    pick = lambda vectors_of, place: (
        np.asarray(vectors_of[place.site.number])[place.at] if place.site.number in vectors_of else nothing
    )
    vectors = [[pick(vectors_of, place) for place in places] for vectors_of in samples]
    return np.array(vectors, np.float64).reshape(len(samples), len(places), fields)


def parameters_of(
    paths: Sequence[str],
    leaves: Sequence[Any],
    states: Sequence[str],
    depths: Sequence[int],
    order: Sequence[int],
    places: Sequence[Place],
) -> tuple[Parameter, ...]:
    """Return a row for each array, or for each layer's share of a stacked one, in the order of first use."""
    feeds: dict[str, list[int]] = {}
    for i, place in enumerate(places):
        feeds.setdefault(place.site.parameter, []).append(i)
    leaf_order = [*order, *(i for i in range(len(leaves)) if i not in set(order))]
    entries, first = [], {}
    for leaf, scan in zip(leaf_order, _scans_of(leaf_order, paths, depths, feeds, places), strict=True):
        shape, depth = tuple(np.shape(leaves[leaf])), depths[leaf]
        start = (
            len(entries) if scan is None else first.setdefault(scan, len(entries))
        )  # leaves of one scan stand together
        for at in np.ndindex(shape[:depth]):
            mine = tuple(i for i in feeds.get(paths[leaf], ()) if places[i].at[:depth] == at)
            path = paths[leaf] + "".join(f"[{i}]" for i in at)
            one = Parameter(path, leaf, at, shape[depth:], str(leaves[leaf].dtype), states[leaf], mine)
            entries.append((start, at, len(entries), one))
    return tuple(one for *_, one in sorted(entries, key=lambda entry: entry[:3]))


def _scans_of(
    order: Sequence[int],
    paths: Sequence[str],
    depths: Sequence[int],
    feeds: Mapping[str, Sequence[int]],
    places: Sequence[Place],
) -> list[Any]:
    """Return the scan that takes each leaf apart, or None; a leaf that feeds no place goes with its neighbours."""
    scans: list[Any] = []
    for leaf in order:
        fed = feeds.get(paths[leaf], ())
        scans.append(places[fed[0]].site.scans[0] if depths[leaf] and fed else None)
    for ways in (range(1, len(order)), range(len(order) - 2, -1, -1)):
        step = ways.step
        for i in ways:
            if scans[i] is None and depths[order[i]]:
                scans[i] = scans[i - step]
    return scans


def gradients_of(parameters: Sequence[Parameter], grads: Sequence[Any], params: Sequence[Any]) -> dict[str, np.ndarray]:
    """Columns of the parameters, (samples, parameters), from the gradients and the parameters of each sample."""
    rows = []
    for gradient, weight in zip(grads, params, strict=True):
        arrays = [
            (np.asarray(g), np.asarray(w))
            for g, w in zip(jax.tree.leaves(gradient), jax.tree.leaves(weight), strict=True)
        ]
        rows.append([_of_parameter(*(array[p.at] for array in arrays[p.leaf])) for p in parameters])
    return {name: np.array([[row[name] for row in sample] for sample in rows], float) for name in rows[0][0]}


def _of_parameter(gradient: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    norm, top, finite, size = _norm(gradient)
    some = finite[finite > 0]
    return {
        "log10_grad_norm": norm,
        "log10_grad_max": top,
        "grad_zero_fraction": float(np.mean(gradient == 0)) if size else np.nan,
        "grad_not_finite": float(size - len(finite)),
        "below_adam_fraction": float(np.mean(some < ADAM_EPSILON)) if len(some) else np.nan,
        "log10_weight_norm": _norm(weight)[0],
    }


def _norm(array: np.ndarray) -> tuple[float, float, np.ndarray, int]:
    """log10 of the norm and of the largest entry; the absolute entries that are finite; how many entries there are."""
    flat = np.abs(array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)).ravel()
    finite = flat[np.isfinite(flat)]
    top = finite.max(initial=0.0)
    if not len(finite):
        return np.nan, np.nan, finite, flat.size
    if top == 0:
        return -np.inf, -np.inf, finite, flat.size
    return float(np.log10(top) + 0.5 * np.log10(np.sum((finite / top) ** 2))), float(np.log10(top)), finite, flat.size
