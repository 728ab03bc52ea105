"""Frames of training runs: panels by configuration, layers in order of colour, an axis of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots import words
from gradlab.plots.canvas import Canvas, mark_out_of_range
from gradlab.plots.styles import NEUTRAL, Looks
from gradlab.plots.tables import FEW_SEEDS, checked, chosen_band, differing, hidden, levels, lines, require, some_layers

#: Panels of one figure; lines of layers that have markers; layers that the legend names.
MOST_PANELS, MARKED, NAMED = 12, 7, 6


def trained(frame: Any, x: str, *needed: str) -> pd.DataFrame:
    """The frame, if it can be drawn against `x`; or an error."""
    checked(frame, x, "layer", "seed", *needed)
    if not pd.api.types.is_numeric_dtype(frame[x]):
        raise GradlabError("a column of numbers that counts training", repr(x), 'x="step"')
    return frame


def panels(frame: pd.DataFrame, facet: str | Sequence[str] | None, x: str) -> list[tuple[str, pd.DataFrame]]:
    """Title and rows of each panel: of each configuration where none is asked for."""
    if facet is None:
        names = differing(frame, (x, "step"))
    else:
        names = [facet] if isinstance(facet, str) else list(facet)
    for name in names:
        require(frame, name)
    found = [(title(key), rows) for key, rows in lines(frame, names)]
    if len(found) > MOST_PANELS:
        name = names[0]
        raise GradlabError(
            f"up to {MOST_PANELS} panels", f"{len(found)}, of {words.listed(names)}",
            f"frame[frame[{name!r}] == {frame[name].iloc[0]!r}], or facet=",
        )  # fmt: skip
    return found


def title(key: dict[str, Any]) -> str:
    """A configuration in words: ``tanh, Xavier normal, depth 5``."""
    return ", ".join(words.entry(name, value) for name, value in key.items())


def configured(frame: pd.DataFrame, x: str) -> tuple[pd.DataFrame, str | None]:
    """The coordinate that tells networks apart; a column `configuration` is made where there are several."""
    names = differing(frame, (x, "step"))
    if len(names) < 2:
        return frame, next(iter(names), None)
    labels = {tuple(key.values()): title(key) for key, _ in lines(frame[names].drop_duplicates(), names)}
    named = [labels[key] for key in frame[names].itertuples(index=False, name=None)]
    whole = pd.Categorical(named, categories=list(dict.fromkeys(labels.values())))
    return frame.assign(configuration=whole), "configuration"


def of_layers(frame: pd.DataFrame, value: str, readout: bool) -> pd.DataFrame:
    """The rows of layers; of weights that all time steps share, and no layer has of its own, their one row."""
    rows = hidden(frame, readout)
    if "layer_name" in frame and not hidden(frame)[value].notna().any():
        shared = frame.loc[(frame["layer"] == 0) & frame[value].notna()]
        head = rows.loc[rows["layer_name"] == "readout"]
        return pd.concat([shared, head]) if len(shared) else rows
    return rows


def layer_looks(frame: pd.DataFrame, layers: Sequence[int] | None, style: str | None) -> Looks:
    """From the input, dark, to the output, light; all layers where none are asked for."""
    require(frame, style)
    chosen = some_layers(frame, layers) if len(frame) else []
    if not chosen:
        raise GradlabError("a layer that was measured", "none", "layers=None, or another frame")
    return Looks("layer", style, chosen, levels(frame, style), marked=len(chosen) <= MARKED)


def some_named(shown: dict[str, Any], looks: Looks) -> dict[str, Any]:
    """The legend without most layers where they are many: first, last and some between, as their colours are."""
    places = np.linspace(0, len(looks.hues) - 1, min(NAMED, len(looks.hues))).round().astype(int)
    left_out = {words.entry("layer", v) for i, v in enumerate(looks.hues) if i not in places}
    return {name: handle for name, handle in shown.items() if name not in left_out}


def band_of_layers(frame: pd.DataFrame, band: str | None) -> Any:
    """The band asked for; else from the smallest to the largest of few seeds: a line each would be too many."""
    if band is None and frame["seed"].nunique() <= FEW_SEEDS:
        return "range"
    return chosen_band(frame, band)


def apart(rows: pd.DataFrame, x: str) -> list[str]:
    """What must never be averaged: lines of several networks, runs or data stay several lines."""
    names = [n for n in ("network", "run", "loss", "data", "dtype", "batch", "step") if n in rows and n != x]
    return [n for n in names if rows[n].nunique(dropna=False) > 1]


def mark_ends(board: Canvas, ax: Any, rows: pd.DataFrame, x: str, keys: Sequence[str], looks: Looks) -> list[str]:
    """Mark on the upper edge where a training went out of range, though numbers may stand there; and say what did."""
    ended = rows[rows["status"] != "ok"] if "status" in rows else rows[:0]
    names = []
    for key, group in lines(ended, keys) if len(ended) else []:
        mark_out_of_range(board, ax, np.sort(group[x].unique()), looks.of(key)["color"] if keys else NEUTRAL)
        for status, of in group.groupby("status", observed=True):
            names.append(f"{words.span([of['seed'].nunique()], 'seed')}{' of ' * bool(key)}{title(key)}: {status}")
    return names


def initial(steps: pd.Series) -> str:
    """What a caption says of step 0, where there is one."""
    return "; 0 is the initialisation" if (steps == 0).any() else ""


def grid(panels: int, given: bool) -> tuple[int, int]:
    """Rows and columns: side by side on axes that are given, else at most three in a row."""
    if given or panels <= 3:
        return 1, panels
    columns = 2 if panels == 4 else 3
    return -(-panels // columns), columns
