"""Forward signal, delta and weight gradient, layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab._types import MEASURED
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas, decade_axis, draw_lines, handles, mark_failures, mark_frozen
from gradlab.plots.ground.captions import averages, roles, sentences
from gradlab.plots.ground.decades import counting_axis
from gradlab.plots.ground.facets import panels
from gradlab.plots.ground.findings import extremes, profile, quantity
from gradlab.plots.ground.headers import broken, label_columns, share_labels, write_headers
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.overlay import Overlay
from gradlab.plots.ground.styles import Looks
from gradlab.plots.ground.tables import (
    checked,
    chosen_band,
    differing,
    hidden,
    levels,
    lines,
    listed,
    looks,
    matching,
    of_networks,
    require,
    summaries,
    without_gradient,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Weight gradients alone cannot see a too small initialisation, so the three stand side by side.
SIGNALS: tuple[str, ...] = ("log10_activation_rms", "log10_delta_rms", "log10_weight_grad_norm")
#: Lines of one panel; values that light and dark tell apart.
MOST_LINES, _SHADES = 24, 4
#: Names of a stranger's layers on an axis, and letters of each.
_TICKS, _LETTERS = 14, 22


def gradient_flow(
    frame: pd.DataFrame,
    *,
    value: str | Sequence[str] | None = None,
    x: Literal["layer", "from_loss"] = "layer",
    hue: str | None = None,
    style: str | None = None,
    shade: str | None = None,
    row: str | Sequence[str] | None = None,
    band: Literal["ci95", "sd", "range", "seeds"] | None = None,
    theory: Any = None,
    readout: bool = False,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw forward signal, delta and weight gradient against layer, side by side, as log10 values on linear axes.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`. Every network has a line of its own.
    value : str or sequence of str, optional
        Measured columns. None: `log10_activation_rms`, `log10_delta_rms`, `log10_weight_grad_norm`.
    x : {"layer", "from_loss"}
        Layers counted from the input, or from the loss (1 = the last hidden layer), where nets of all depths meet.
    hue, style : str, optional
        Columns that give colour and marker, and kind of line. None for both: the first two that differ.
    shade : str, optional
        Column of two or three values, such as ``step``: the first is drawn light, the last dark.
    row : str or sequence of str, optional
        Columns with a row of panels for each of their values, named at its right. All rows share their axes.
    band : {"ci95", "sd", "range", "seeds"}, optional
        As in `gradlab.summarise`. None: up to 8 seeds are thin lines with their geometric mean, more are "ci95".
    theory : Prediction, or mapping of Prediction or Refusal by network, optional
        From `gradlab.theory.predict` for one network, or `gradlab.predict_all`: darker dashed lines of the same
        functional, backward ones from the measured last hidden layer on. The caption says which functional they are,
        and where theory is refused and why.
    readout : bool
        Whether the readout stands behind the hidden layers; its units are few, so it is off the line.
    ax : Axes or sequence of Axes, optional
        One for each column, row by row; a single one shows the delta, unless `value` says otherwise.
    legend : bool or {"inside", "right", "above", "below"}
        Where the legend stands. True: above the axes where the figure is made here; on axes that are given inside,
        where there is room, else in room made above the lines. "right", "above" and "below" stand outside of all
        axes: a layout engine makes room, or all panels move alike. False: no legend; `gradlab.plots.legend` draws
        one that several panels share.
    title : str, optional
        Above the figure; over the first of axes that are given. A slide has one, a figure in a paper a caption.
    preset : {"paper", "slide"}, optional
        Size, fonts and lines. None: "paper" where the figure is made here, nothing on axes that are given.

    Returns
    -------
    Axes, or array of Axes
        An array where there are several columns, of (rows, columns) where `row` is given. `gradlab.plots.caption` has
        the caption.
    """
    checked(frame, "layer", "seed")
    value = _columns(frame, value, ax)
    frame = of_networks(frame)
    if x not in ("layer", "from_loss"):
        raise unknown("x", x, ("layer", "from_loss"))
    band = chosen_band(frame, band)
    facets = listed(row, frame)
    look = looks(frame, hue, style, facets, shade)
    shown = hidden(frame, readout)
    if not (hue or style or shade or facets):
        look = _shaded(look, shown)
    if x == "from_loss":
        require(frame, "depth")
        shown = shown.assign(from_loss=shown["depth"] + 1 - shown["layer"])
    names = [n for n in ("network", "run", "loss", "data", "dtype", "batch", "step") if n in shown]
    differ = [n for n in names if shown[n].nunique(dropna=False) > 1]
    shown_by = [n for n in (look.hue, look.style, look.shade) if n is not None]
    keys = list(dict.fromkeys([*shown_by, *differ]))
    _few_enough(shown, keys, facets)
    several = len(value) > 1
    foreign = x == "layer" and of_strangers(shown)
    across = words.axis(x) if not foreign else "layer of the model"
    if theory is not None:
        require(shown, "network")
    over = None if theory is None else Overlay(theory, shown)
    grid = panels(frame, facets)
    size = {"height": 2.3} if len(grid) == 1 else {"height": 0.7 + 1.2 * len(grid), "sharex": "col", "sharey": "col"}
    if ax is not None:
        size = {}
    with canvas(ax, preset, len(grid), len(value), title=title, wide=several, **size) as sheet:
        counts: list[pd.DataFrame] = []
        failed: list[str] = []
        seen: list[pd.DataFrame] = []
        telling = SIGNALS[1] if SIGNALS[1] in value else value[0]
        for line, (_, key) in zip(sheet.axes, grid, strict=True):
            part, whole = matching(shown, key), matching(frame, key)
            for axes, column in zip(line, value, strict=True):
                if len(part):
                    means, seeds = summaries(part, [*keys, x], column, band)
                    counts.append(means)
                    seen += [means] if column == telling else []
                    floor = draw_lines(sheet, axes, means, seeds, keys, x, look)
                    for one, frozen in lines(without_gradient(part, column), keys):
                        if len(frozen):
                            mark_frozen(sheet, axes, np.sort(frozen[x].unique()), look.of(one)["color"])
                    if over is not None:
                        over.draw(sheet, axes, part, means, column, keys, x, look)
                    if column.startswith("log10_") or column == "delta_log10_mean":
                        decade_axis(axes, floor)
                    if foreign:
                        _name_layers(axes, shown)
                    else:
                        counting_axis(axes, [1])
                axes.set_xlabel(across)
                axes.set_ylabel(words.axis(column, frame))
                marked = mark_failures(sheet, axes, whole, keys, look)
            failed += marked
        _label(sheet, [header for header, _ in grid], across)
        place_legend(sheet, handles(look, sheet, band), legend)
        parts = _caption(
            frame, shown, pd.concat(counts) if counts else None, value, across, look, band, failed, differ, facets
        )
        first = ""
        if seen and foreign:  # how its layers follow one another is not known
            named = pd.concat(seen).merge(shown.drop_duplicates("layer")[["layer", "layer_name"]], on="layer")
            first = extremes(named, "mean", f"The {quantity(telling)}", ["layer_name"], telling.startswith("log10_"))
        elif seen:
            first = profile(shown, pd.concat(seen), telling, keys, x)
        sheet.describe(sentences([first, *parts, over.caption if over is not None else ""]))
    return sheet.result(grid=bool(facets))


def _label(sheet: Canvas, rows: Sequence[str], x: str) -> None:
    """Write one label for the x-axes of a figure of ours; with several rows, quantities stand above their columns."""
    if not sheet.ours or sheet.axes.size == 1:
        return
    share_labels(sheet, x)
    if len(rows) > 1:
        write_headers(sheet, rows, label_columns(sheet))


def _columns(frame: pd.DataFrame, columns: str | Sequence[str] | None, ax: Any) -> list[str]:
    if columns is None:
        shown = [name for name in SIGNALS if name in frame] or SIGNALS  # of another's model, what there is
        several = ax is None or np.size(np.asarray(ax, dtype=object)) > 1
        columns = shown if several else SIGNALS[1] if SIGNALS[1] in shown else shown[0]
    columns = [columns] if isinstance(columns, str) else list(columns)
    for name in columns:
        if name not in MEASURED or (frame["layer"] >= 1).any():  # where all failed there is no measured column
            require(frame, name, "measured column")
    return columns


def _caption(
    frame: pd.DataFrame, rows: pd.DataFrame, counts: pd.DataFrame | None, columns: Sequence[str], x: str, look: Any,
    band: str, failed: Sequence[str], differ: Sequence[str], facets: Sequence[str],
) -> list[str]:  # fmt: skip
    what = "; ".join(words.described(c) for c in columns)
    parts = [f"{what[:1].upper()}{what[1:]}, against the {x.replace(' (', ', ').rstrip(')')}."]
    parts.append(roles(look, facets))
    shown_by = [n for n in (look.hue, look.style, look.shade, *facets) if n is not None]
    rest = _rest(rows, shown_by) if differ else []
    if rest:
        rest = [words.short(name) for name in rest]
        parts.append(f"Networks that differ in {words.listed(rest)} have lines of their own.")
    if counts is not None:
        parts.append(averages(columns, counts, band, rows["seed"].nunique()))
    if setting := words.setting(rows if len(rows) else frame):
        parts.append(f"Setting: {setting}.")
    if failed:
        parts.append(f"Failed, and marked × in the upper left corner: {'; '.join(failed)}.")
    return parts


def _shaded(look: Looks, rows: pd.DataFrame) -> Looks:
    """Add light and dark for what colour and line do not tell, where it has few values."""
    rest = [n for n in _rest(rows, [n for n in (look.hue, look.style) if n]) if len(levels(rows, n)) <= _SHADES]
    if look.hue is None or not rest:
        return look
    return dataclasses.replace(look, shade=rest[0], shades=levels(rows, rest[0]))


def _few_enough(rows: pd.DataFrame, keys: Sequence[str], facets: Sequence[str]) -> None:
    """Refuse a panel in which no line could be told from another."""
    if not keys:
        return
    combinations = rows[[*dict.fromkeys([*facets, *keys])]].drop_duplicates()
    most = (
        int(combinations.groupby(list(facets), observed=True, dropna=False).size().max())
        if facets
        else len(combinations)
    )
    if most > MOST_LINES:
        name = next((n for n in differing(rows, facets) if n != "network"), "network")
        value = rows[name].iloc[0]
        raise GradlabError(
            f"up to {MOST_LINES} lines in a panel", f"{most}", f"frame[frame[{name!r}] == {value!r}], or row={name!r}"
        )


def of_strangers(rows: pd.DataFrame) -> bool:
    """Return whether the layers are those of another's model: they have names, and their order is that of a tree."""
    return "architecture" in rows and "layer_name" in rows and bool((rows["architecture"].astype(str) == "").all())


def _name_layers(ax: Any, rows: pd.DataFrame) -> None:
    """Write the names on the axis, of some layers where they are many."""
    names = rows.drop_duplicates("layer").sort_values("layer").set_index("layer")["layer_name"]
    places = np.unique(np.linspace(0, len(names) - 1, min(_TICKS, len(names))).round().astype(int))
    shown = [broken(words.named(names.iloc[i]), _LETTERS, 1) for i in places]
    ax.set_xticks(names.index[places], shown, rotation=40, ha="right", rotation_mode="anchor")


def _rest(rows: pd.DataFrame, shown: list[str]) -> list[str]:
    """Return what differs between lines that look alike."""
    names = [n for n in differing(rows, shown) if n != "network"]
    if not shown:
        return names
    groups = rows.groupby(shown, observed=True, dropna=False)
    return [n for n in names if (groups[n].nunique(dropna=False) > 1).any()]
