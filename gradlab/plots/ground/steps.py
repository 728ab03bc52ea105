"""Frames of training runs: panels by configuration, layers in order of colour, an axis of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots.ground import facets, words
from gradlab.plots.ground.canvas import Canvas, mark_out_of_range
from gradlab.plots.ground.facets import MOST_COLUMNS, MOST_ROWS, arrange, factors
from gradlab.plots.ground.styles import NEUTRAL, Looks
from gradlab.plots.ground.tables import (
    FEW_SEEDS,
    checked,
    chosen_band,
    hidden,
    levels,
    lines,
    listed,
    matching,
    of_networks,
    require,
    some_layers,
    whole,
)

#: Lines of layers that have markers; layers that the legend names.
MARKED, NAMED = 7, 6


def trained(frame: Any, x: str, *needed: str) -> pd.DataFrame:
    """Return the frame if it can be drawn against `x`, and raise an error if it cannot."""
    checked(frame, x, "layer", "seed", *needed)
    if not pd.api.types.is_numeric_dtype(frame[x]):
        raise GradlabError("a column of numbers that counts training", repr(x), 'x="step"')
    return frame


@dataclass(frozen=True)
class Grid:
    """Panels of configurations: in rows and columns that have headers, or one after the other with a title each.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    panels : list of (str, DataFrame)
        Title and rows of each, row by row.
    row, col : list of str
        The headers; empty where the panels have titles.
    names : list of list of str
        The coordinates of the rows, of the columns.
    """

    shape: tuple[int, int]
    panels: list[tuple[str, pd.DataFrame]]
    row: list[str]
    col: list[str]
    names: tuple[list[str], list[str]]


def grid_of(
    frame: pd.DataFrame, rows: str | Sequence[str] | None, cols: str | Sequence[str] | None, x: str, given: bool
) -> Grid:
    """Return the panels asked for; where none are, one for each configuration."""
    frame = of_networks(frame)
    down, along = listed(rows, frame), listed(cols, frame)
    if rows is None and cols is None:
        names, _ = factors(frame, (x, "step"))
        if len(names) < 2 or given:
            made = panels(frame, None, x)
            return Grid(grid(len(made), given), made, [], [], (names, []))
        made = arrange(frame, most=(1, MOST_ROWS, MOST_COLUMNS), without=(x, "step"))
        if len(made.frame) < len(frame):
            raise _too_many(frame, names, len(frame[names].drop_duplicates()))
        down, along = made.row, made.col
    sides = facets.panels(frame, down), facets.panels(frame, along)
    shape = len(sides[0]), len(sides[1])
    if shape[0] * shape[1] > MOST_ROWS * MOST_COLUMNS:
        raise _too_many(frame, [*down, *along], shape[0] * shape[1])
    made = [
        (", ".join(part for part in (row, column) if part), matching(frame, {**a, **b}))
        for row, a in sides[0]
        for column, b in sides[1]
    ]
    return Grid(shape, made, [header for header, _ in sides[0]], [header for header, _ in sides[1]], (down, along))


def _too_many(frame: pd.DataFrame, names: Sequence[str], count: int) -> GradlabError:
    return GradlabError(
        f"up to {MOST_ROWS * MOST_COLUMNS} panels", f"{count}, of {words.listed(map(words.short, names))}",
        f"frame[frame[{names[0]!r}] == {frame[names[0]].iloc[0]!r}]",
    )  # fmt: skip


def panels(frame: pd.DataFrame, rows: str | Sequence[str] | None, x: str) -> list[tuple[str, pd.DataFrame]]:
    """Return title and rows of each panel: of each configuration where none is asked for."""
    names = factors(frame, (x, "step"))[0] if rows is None else listed(rows, frame)
    made = [(title(key), rows) for key, rows in lines(frame, names)]
    if len(made) > MOST_ROWS * MOST_COLUMNS:
        raise _too_many(frame, names, len(made))
    return made


def title(key: dict[str, Any]) -> str:
    """Return a configuration in words: ``tanh, Xavier normal, depth 5``."""
    return ", ".join(words.entry(name, value) for name, value in key.items())


def configured(frame: pd.DataFrame, x: str, without: Sequence[str] = ()) -> tuple[pd.DataFrame, str | None]:
    """Return the coordinate that tells networks apart; a column `configuration` is made where there are several."""
    names, _ = factors(frame, (x, "step", *without))
    if len(names) < 2:
        return frame, next(iter(names), None)
    labels = {tuple(key.values()): title(key) for key, _ in lines(frame[names].drop_duplicates(), names)}
    named = [labels[key] for key in frame[names].itertuples(index=False, name=None)]
    whole = pd.Categorical(named, categories=list(dict.fromkeys(labels.values())))
    return frame.assign(configuration=whole), "configuration"


def of_layers(frame: pd.DataFrame, value: str, readout: bool) -> pd.DataFrame:
    """Return the rows of layers; of weights that all time steps share, and no layer has of its own, their one row."""
    rows = hidden(frame, readout)
    if "layer_name" in frame and not hidden(frame)[value].notna().any():
        shared = frame.loc[(frame["layer"] == 0) & frame[value].notna()]
        head = rows.loc[rows["layer_name"] == "readout"]
        return pd.concat([shared, head]) if len(shared) else rows
    return rows


def layer_looks(frame: pd.DataFrame, layers: Sequence[int] | None, style: str | None) -> Looks:
    """Return colours of layers from dark, at the input, to light; of all layers where none are asked for."""
    require(frame, style)
    chosen = some_layers(frame, layers) if len(frame) else []
    if not chosen:
        raise GradlabError("a layer that was measured", "none", "layers=None, or another frame")
    return Looks("layer", style, chosen, levels(frame, style), marked=len(chosen) <= MARKED)


def some_named(shown: dict[str, Any], looks: Looks) -> dict[str, Any]:
    """Return the legend without most layers where they are many: first, last and some between, as their colours are."""
    places = np.linspace(0, len(looks.hues) - 1, min(NAMED, len(looks.hues))).round().astype(int)
    left_out = {words.entry("layer", v) for i, v in enumerate(looks.hues) if i not in places}
    return {name: handle for name, handle in shown.items() if name not in left_out}


def band_of_layers(frame: pd.DataFrame, band: str | None) -> Any:
    """Return the band asked for; else from the smallest to the largest of few seeds: a line each would be too many."""
    if band is None and frame["seed"].nunique() <= FEW_SEEDS:
        return "range"
    return chosen_band(frame, band)


def never_averaged(rows: pd.DataFrame, x: str) -> list[str]:
    """Return what must never be averaged: lines of several networks, runs or data stay several lines."""
    names = [n for n in ("network", "run", "loss", "data", "dtype", "batch", "step") if n in rows and n != x]
    return [n for n in names if rows[n].nunique(dropna=False) > 1]


def mark_ends(sheet: Canvas, ax: Any, rows: pd.DataFrame, x: str, keys: Sequence[str], looks: Looks) -> list[str]:
    """Mark on the upper edge where a training went out of range, though numbers may stand there; and say what did."""
    ended = rows[~whole(rows)] if "status" in rows else rows[:0]
    names = []
    for key, group in lines(ended, keys) if len(ended) else []:
        mark_out_of_range(sheet, ax, np.sort(group[x].unique()), looks.of(key)["color"] if keys else NEUTRAL)
        for status, alike in group.groupby("status", observed=True):
            names.append(f"{words.span([alike['seed'].nunique()], 'seed')}{' of ' * bool(key)}{title(key)}: {status}")
    return names


def initial(steps: pd.Series) -> str:
    """Say what step 0 is, where there is one."""
    return "; 0 is the initialisation" if (steps == 0).any() else ""


def grid(panels: int, given: bool) -> tuple[int, int]:
    """Return rows and columns of panels: side by side on axes that are given, else at most three in a row."""
    if given or panels <= 3:
        return 1, panels
    columns = 2 if panels == 4 else 3
    return -(-panels // columns), columns
