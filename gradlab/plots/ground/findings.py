"""The first sentence of a caption: what is to be seen, in numbers of the table that was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab.plots.ground import words
from gradlab.plots.ground.tables import differing, lines

#: What travels from the input on; the rest comes from the loss.
FORWARD: tuple[str, ...] = ("log10_activation_rms", "log10_preactivation_rms", "log10_one_minus_c")
#: Columns whose description is longer than a sentence bears.
_SHORT: dict[str, str] = {
    "log10_delta_rms": "rms delta", "delta_log10_mean": "delta of one example",
    "log10_weight_grad_norm": "weight gradient's norm", "log10_bias_grad_norm": "bias gradient's norm",
    "log10_update_ratio": "update over the weight", "log10_weight_update_norm": "weight update's norm",
    "log10_one_minus_c": "1 − c of two inputs",
}  # fmt: skip


def quantity(column: str) -> str:
    """Name a column in few words."""
    return _SHORT.get(column) or words.described(column).split(",")[0].split(" (")[0]


def labels(rows: pd.DataFrame) -> dict[Any, str]:
    """Return each network in the words that tell it from the others; nothing where there is one."""
    if "network" not in rows:
        return {}
    names = [name for name in differing(rows, ("step",)) if name != "network"]
    first = rows.drop_duplicates("network")
    return {row["network"]: ", ".join(words.entry(n, row[n]) for n in names) for _, row in first.iterrows()}


def _label(key: dict[str, Any], known: dict[Any, str]) -> str:
    """Return the coordinates of a line, each once; "last step" needs no number beside it."""
    without = ("network", "layer", "set", *(("step",) if "end" in key else ()))
    parts = [known.get(key["network"], "")] if "network" in key else []
    parts += [words.entry(n, v) if n != "panel" else v for n, v in key.items() if n not in without]
    return ", ".join(dict.fromkeys(piece for text in parts for piece in text.split(", ") if piece))


def profile(rows: pd.DataFrame, means: pd.DataFrame, column: str, keys: Sequence[str], x: str) -> str:
    """Say what the quantity does from end to end of the networks, of those in which it changes least and most."""
    if not (column.startswith("log10_") or column == "delta_log10_mean"):
        return ""
    known = labels(rows)
    changes: list[tuple[float, str, int]] = []
    for key, line in lines(means, keys):
        line = line.sort_values(x, ascending=(x == "layer"))
        if len(line) < 2:
            continue
        ends = [_end(line.iloc[0]), _end(line.iloc[-1])]
        away = ends[1] - ends[0] if column in FORWARD else ends[0] - ends[1]
        if not np.isnan(away):
            changes.append((away, _label(key, known), len(line)))
    if not changes:
        return ""
    way = "From the first to the last" if column in FORWARD else "From the last to the first"
    if len(changes) == 1:
        return f"{way} of {changes[0][2]} layers the {quantity(column)} {words.change(changes[0][0])}."
    low, high = min(changes), max(changes)
    what = "networks" if "network" in rows and rows["network"].nunique() == len(changes) else "lines"
    does = f"{words.change(low[0])}{_of(low[1])} and {words.change(high[0])}{_of(high[1])}"
    if words.change(low[0]) == words.change(high[0]):
        does = f"{words.change(low[0])} in all"
    return f"{way} layer the {quantity(column)} {does}, the ends of {len(changes)} {what}."


def _end(row: pd.Series) -> float:
    """Return log10 of a mean; -inf where all seeds are exactly zero, NaN where none is finite."""
    return -np.inf if row["n"] == 0 and row["n_zero"] > 0 else float(row["mean"])


def _of(label: str) -> str:
    return f" ({label})" if label else ""


def last_step(rows: pd.DataFrame, means: pd.DataFrame, column: str, keys: Sequence[str], x: str) -> str:
    """Say between which values a quantity lies at the end of a training, and of which layers and networks."""
    known = labels(rows)
    logs = column.startswith("log10_") or column == "delta_log10_mean"
    ends: list[tuple[float, str]] = []
    steps = set()
    for key, line in lines(means, keys):
        finite = line[np.isfinite(line["mean"].to_numpy(float))]
        if len(finite):
            row = finite.sort_values(x).iloc[-1]
            steps.add(row[x])
            where = f"layer {key['layer']}" if "layer" in key else str(key.get("set", ""))
            label = ", ".join(part for part in (where, _label(key, known)) if part)
            ends.append((float(row["mean"]), label))
    if not ends:
        return ""
    when = "At the last steps with a finite value"
    if len(steps) == 1:
        step = next(iter(steps))
        when = f"At the last step, {step:g}," if step == means[x].max() else f"At step {step:g}, the last finite one,"
    value = lambda v: f"{10**v:.2g}" if logs and v > -300 else f"10^{v:.3g}" if logs else f"{v:.2g}"
    low, high = min(ends), max(ends)
    name = quantity(column)
    if len(ends) > 1 and value(low[0]) == value(high[0]):
        return f"{when} the {name} is {value(low[0])} in all {len(ends)} lines."
    if len(ends) == 1:
        return f"{when} the {name} is {value(low[0])}{_of(low[1])}."
    return f"{when} the {name} lies between {value(low[0])}{_of(low[1])} and {value(high[0])}{_of(high[1])}."


def extremes(table: pd.DataFrame, value: str, what: str, names: Sequence[str], log10: bool = True) -> str:
    """Say between which values a column of a table lies, and of which networks."""
    finite = table[np.isfinite(table[value].to_numpy(float))]
    if finite.empty:
        return ""
    ends = []
    for place in (finite[value].idxmin(), finite[value].idxmax()):
        row = finite.loc[place]
        number = f"{10 ** row[value]:.3g}" if log10 else f"{row[value]:.3g}"
        ends.append(f"{number}{_of(', '.join(words.entry(n, row[n]) for n in names if n in row))}")
    if len(finite) == 1:
        return f"{what} is {ends[0]}."
    if ends[0].split(" (")[0] == ends[1].split(" (")[0]:
        return f"{what} is {ends[0].split(' (')[0]} in all {len(finite)}."
    return f"{what} lies between {ends[0]} and {ends[1]}."
