"""The layers of a diagnosed model as rows of the tidy frame: a place with its activation and its parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradlab._status import Status, written
from gradlab._tree import BIASES
from gradlab.config import content_hash
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.findings import Finding
from gradlab.diagnosis.sites import Parameter

if TYPE_CHECKING:
    from gradlab.diagnosis.diagnosis import Diagnosis

#: Kinds of places that carry the signal: each is a row. Activations stand in the row of what they follow.
CARRYING: tuple[str, ...] = ("product", "inner", "logits", "lookup", "carry", "custom", "tap")
#: Columns of the frame that are those of a place, and of the activation behind it.
OF_PLACE: dict[str, str] = {
    "log10_delta_rms": "log10_delta_rms", "log10_preactivation_rms": "log10_value_rms",
    "log10_one_minus_c": "log10_one_minus_c", "float32_zero_fraction": "delta_lost_float32",
}  # fmt: skip
OF_ACTIVATION: dict[str, str] = {
    "log10_activation_rms": "log10_value_rms", "activation_mean_over_rms": "value_mean_over_rms",
    "saturated_fraction": "saturated_fraction", "dead_fraction": "dead_fraction",
}  # fmt: skip


@dataclass(frozen=True)
class LayerRow:
    """One row: numbers of places and parameters in an `Evidence`.

    Parameters
    ----------
    name : str
        The user's own.
    place, activation : int
        -1 where there is none: a row of parameters alone, such as those of a norm, has neither.
    weights, biases : tuple of int
        Parameters whose gradients stand in the row. A parameter that feeds several places stands at the first.
    """

    name: str
    place: int = -1
    activation: int = -1
    weights: tuple[int, ...] = ()
    biases: tuple[int, ...] = ()


def layer_rows(evidence: Evidence) -> tuple[LayerRow, ...]:
    """Return the rows, from the input to the loss; every parameter stands in one of them."""
    parameters = evidence.parameters
    behind = {}  # the last activation that follows a place in the same step
    at = {(place.site.number, place.at): i for i, place in enumerate(evidence.places)}
    for i, place in enumerate(evidence.places):
        followed = at.get((place.site.follows, place.at))
        if place.site.kind == "activation" and followed is not None:
            behind.setdefault(followed, i)
    rows: list[LayerRow] = []
    taken: set[int] = set()
    for i, place in enumerate(evidence.places):
        alone = place.site.kind == "activation" and i not in behind.values()
        if place.site.kind not in CARRYING and not alone:
            continue
        numbers = [n for n, p in enumerate(parameters) if n not in taken and i in p.places]
        biases = tuple(n for n in numbers if _is_bias(parameters[n], [parameters[m] for m in numbers]))
        weights = tuple(n for n in numbers if n not in biases)
        groups = {_group(parameters[n]) for n in weights}
        mates = [n for n, p in enumerate(parameters) if not p.places and n not in taken and _group(p) in groups]
        biases += tuple(n for n in mates if _is_bias(parameters[n], [parameters[m] for m in weights]))
        taken |= {*weights, *biases}
        rows.append(LayerRow(place.name, i, behind.get(i, -1), weights, biases))
    return _with_the_rest(rows, parameters, taken)


def _with_the_rest(rows: list[LayerRow], parameters: Sequence[Parameter], taken: set[int]) -> tuple[LayerRow, ...]:
    """Rows of the parameters that feed no place, behind the row of what meets data before them."""
    groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for n, parameter in enumerate(parameters):
        if n not in taken:
            groups.setdefault(_group(parameter), []).append(n)
    for (name, at), numbers in groups.items():
        mates = [parameters[n] for n in numbers]
        biases = tuple(n for n in numbers if len(numbers) > 1 and _is_bias(parameters[n], mates))
        weights = tuple(n for n in numbers if n not in biases)
        row = LayerRow(name + "".join(f"[{i}]" for i in at), weights=weights, biases=biases)
        rows.insert(_behind(rows, parameters, numbers[0]), row)
    return tuple(rows)


def _behind(rows: Sequence[LayerRow], parameters: Sequence[Parameter], n: int) -> int:
    """Return where a parameter's row belongs: behind the last one before it, in its own step of a stack."""
    at = parameters[n].at
    where = {
        m: i for i, row in enumerate(rows) for m in (*row.weights, *row.biases) if not at or parameters[m].at == at
    }
    before = [m for m in where if m < n]
    if before or not at:
        return where[max(before)] + 1 if before else 0
    # the first of its step stands before the others
    return min(where.values(), default=len(rows))


def _group(parameter: Parameter) -> tuple[str, tuple[int, ...]]:
    """Return what hangs on one parent in one step of a stack: a kernel with its bias."""
    path = _without(parameter)
    return path.rpartition("/")[0] or path, parameter.at


def _without(parameter: Parameter) -> str:
    return parameter.path.removesuffix("".join(f"[{i}]" for i in parameter.at))


def _is_bias(parameter: Parameter, mates: Sequence[Parameter]) -> bool:
    rank = len(parameter.shape)
    named = rank < 2 and _without(parameter).rpartition("/")[2].lower() in BIASES
    return named or rank < max((len(mate.shape) for mate in mates), default=0)


def marks(d: Diagnosis, rows: Sequence[LayerRow]) -> list[tuple[Finding, ...]]:
    """Return the findings that name a row, its activation or a parameter in it."""
    by_row = []
    for row in rows:
        places = [d.evidence.places[i].name for i in (row.place, row.activation) if i >= 0]
        paths = [d.evidence.parameters[n].path for n in (*row.weights, *row.biases)]
        names = {row.name, *places, *paths}
        by_row.append(tuple(finding for finding in d.findings if not names.isdisjoint(finding.layers)))
    return by_row


def codes(findings: Sequence[Finding]) -> str:
    """``GL001 GL010``."""
    return " ".join(dict.fromkeys(finding.rule.name for finding in findings))


def columns(evidence: Evidence, rows: Sequence[LayerRow]) -> dict[str, np.ndarray]:
    """Measured columns of the frame, each of shape (samples, rows)."""
    parameters = evidence.parameters
    table: dict[str, np.ndarray] = {}
    place = [row.place for row in rows]
    # without an activation what leaves a layer is what it computes
    leaving = [row.place if row.activation < 0 else row.activation for row in rows]
    for chosen, names in ((place, OF_PLACE), (leaving, OF_ACTIVATION)):
        for name, column in names.items():
            table[name] = _taken(_finite(evidence, column), chosen)
    gradient = np.where(evidence.gradient("grad_not_finite") > 0, np.nan, evidence.gradient("log10_grad_norm"))
    stopped = np.array([p.state != "used" for p in parameters], bool)
    gradient = np.where(stopped, np.nan, gradient)
    weight = evidence.gradient("log10_weight_norm")
    each = lambda values, kind: np.stack([_pooled(values, getattr(row, kind)) for row in rows], axis=1)
    table["log10_weight_grad_norm"] = each(gradient, "weights")
    table["log10_bias_grad_norm"] = each(gradient, "biases")
    top = evidence.gradient("log10_grad_max")
    table["log10_weight_grad_max_abs"] = np.stack(
        [top[:, row.weights].max(axis=1) if row.weights else np.full(len(top), np.nan) for row in rows], axis=1
    )
    with np.errstate(over="ignore"):
        table["weight_norm"] = 10 ** each(weight, "weights")
    first = [row.weights[0] if row.weights else -1 for row in rows]
    for name, column in (("log10_update_ratio", "log10_update_ratio"), ("gradient_snr", "gradient_snr"),
                         ("gradient_zero_fraction", "grad_zero_fraction")):  # fmt: skip
        table[name] = _taken(evidence.gradient(column), first)
    all_of = [(*row.weights, *row.biases) for row in rows]
    bad = evidence.gradient("grad_not_finite")
    table["gradient_not_finite"] = np.stack(
        [bad[:, numbers].sum(axis=1) if numbers else np.full(len(bad), np.nan) for numbers in all_of], axis=1
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        losses = np.broadcast_to(evidence.losses[:, None].astype(np.float64), (evidence.samples, len(rows)))
        table["log10_abs_loss"], table["loss_sign"] = np.log10(np.abs(losses)), np.sign(losses)
    # what was looked at nowhere is no column
    return {name: values for name, values in table.items() if not np.isnan(values).all()}


def _finite(evidence: Evidence, column: str) -> np.ndarray:
    """Return a column of the places, NaN where some entry is not finite: a size of what is left would mislead."""
    signal = "delta" if "delta" in column else "value"
    return np.where(evidence.signal(f"{signal}_not_finite") > 0, np.nan, evidence.signal(column))


def _taken(values: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    padded = np.concatenate([values, np.full((len(values), 1), np.nan)], axis=1)
    return padded[:, list(chosen)]


def _pooled(logs: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """log10 of the norm of several arrays together, of each sample."""
    if not chosen:
        return np.full(len(logs), np.nan)
    logs = logs[:, list(chosen)]
    logs = logs[:, ~np.isnan(logs).all(axis=0)] if not np.isnan(logs).all() else logs
    top = logs.max(axis=1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return (shift + np.log10((10 ** (2 * (logs - shift))).sum(axis=1, keepdims=True)) / 2)[:, 0]


_STATES = {
    "frozen": "frozen by stop_gradient",
    "cut": "the loss has no derivative by it",
    "disconnected": "does not reach the loss",
}


def statuses(evidence: Evidence, rows: Sequence[LayerRow]) -> np.ndarray:
    """Return what keeps a row from being whole, or what it should not be read without, (samples, rows); else ``ok``."""
    values, deltas = evidence.signal("value_not_finite"), evidence.signal("delta_not_finite")
    grads, exact = evidence.gradient("grad_not_finite"), evidence.gradient("log10_grad_norm")
    lost_grads = np.isneginf(evidence.gradient("log10_grad_norm", exact=False)) & (exact > -np.inf)
    known = evidence.signal("log10_delta_rms")
    lost_deltas = np.isneginf(evidence.signal("log10_delta_rms", exact=False)) & (known > -np.inf)
    made = np.full((evidence.samples, len(rows)), "ok", object)
    for j, row in enumerate(rows):
        numbers = (*row.weights, *row.biases)
        stopped = [evidence.parameters[n].state for n in numbers if evidence.parameters[n].state != "used"]
        for i in range(evidence.samples):
            bad = [(values[i, k], "value") for k in (row.place, row.activation) if k >= 0]
            bad += [(deltas[i, row.place], "delta")] if row.place >= 0 else []
            bad += [(grads[i, n], "gradient") for n in numbers]
            what = list(dict.fromkeys(name for count, name in bad if count > 0))
            lost = ["delta"] if row.place >= 0 and lost_deltas[i, row.place] else []
            lost += ["gradient"] if any(lost_grads[i, n] for n in numbers) else []
            if what:
                made[i, j] = written({Status.NOT_FINITE: ", ".join(what)})
            elif stopped:
                some = "" if len(stopped) == len(numbers) else f"{len(stopped)} of {len(numbers)} arrays, "
                reasons = ", ".join(_STATES[s] for s in sorted(set(stopped)))
                made[i, j] = written({Status.NO_GRADIENT: some + reasons})
            elif numbers and all(np.isneginf(exact[i, n]) for n in numbers):
                made[i, j] = written({Status.ZERO: ""})
            elif lost:
                text = f"{' and '.join(lost)} 0 in the working precision, but not in float64"
                made[i, j] = written({Status.UNDERFLOW: text})
    return made


def frame_rows(evidence: Evidence) -> dict[str, np.ndarray]:
    """Coordinates and columns of the frame's rows: samples slow, layers fast."""
    rows = layer_rows(evidence)
    shapes = [[p.path, list(p.shape)] for p in evidence.parameters]
    count, samples = len(rows), evidence.samples
    tile = lambda values: np.tile(np.asarray(values, object), samples)
    sizes = [_size(evidence, row) for row in rows]
    table = {
        "seed": np.repeat(np.arange(samples), count),
        "network": tile([content_hash([shapes, [row.name for row in rows]])] * count),
        "layer": np.tile(np.arange(1, count + 1), samples),
        "layer_name": tile([row.name for row in rows]),
        "width": np.tile([width for width, _ in sizes], samples),
        "fan_in": np.tile([fan_in for _, fan_in in sizes], samples),
        "dtype": tile([_dtype(evidence, row) for row in rows]),
        "activation": tile(["" if r.activation < 0 else evidence.places[r.activation].site.function for r in rows]),
        **{name: values.ravel() for name, values in columns(evidence, rows).items()},
    }
    return {**table, "status": statuses(evidence, rows).ravel()}


def _size(evidence: Evidence, row: LayerRow) -> tuple[float, float]:
    """Units of a row, and inputs of each: both together are the entries of its weights."""
    entries = sum(math.prod(evidence.parameters[n].shape) for n in row.weights)
    site = evidence.places[row.place].site if row.place >= 0 else None
    if site is not None and site.features:
        width = math.prod(site.shape[a] for a in site.features)
    else:
        shape = evidence.parameters[row.weights[0]].shape if row.weights else (0,)
        width = shape[-1] if shape else 1
    return width or np.nan, entries / width if entries and width else np.nan


def _dtype(evidence: Evidence, row: LayerRow) -> str:
    if row.place >= 0:
        return evidence.places[row.place].site.dtype
    return evidence.parameters[row.weights[0]].dtype if row.weights else ""
