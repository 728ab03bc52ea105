"""What autodiff prints: the same weight gradients, computed in several ways, and where each way dies."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, decade_axis, mark_alone, mark_ceiling, mark_floor
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import counting_axis
from gradlab.plots.ground.legends import Place, inks_of, place_legend
from gradlab.plots.ground.styles import COLOURS, FAINT, LINES, MARKERS, NEUTRAL
from gradlab.plots.ground.tables import checked, levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Smallest normal numbers; XLA flushes what is below. The squares of a norm underflow at the root.
FLOORS: dict[str, float] = {"float16": -14 * math.log10(2), "float32": -126 * math.log10(2)}
SQUARES = FLOORS["float32"] / 2


def autodiff(
    frame: pd.DataFrame,
    *,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes:
    """Draw log10 of the weight-gradient norm against layer, by each method, with the floors of float16 and float32.

    Parameters
    ----------
    frame : DataFrame
        Columns ``method layer log10_weight_grad_norm``, with -inf where the method shows 0.
    ax : Axes, optional
        Where to draw; a figure of its own where it is left out.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes
        A cross is the last layer, on the way back, in which a method shows a number; the layers that it shows
        as 0 are marked on the floor.
    """
    column = "log10_weight_grad_norm"
    checked(frame, "method", "layer", column)
    methods = levels(frame, "method")
    with canvas(ax, preset, title=title, height=3.1) as sheet:
        axes = sheet.axes.flat[0]
        shown, deaths, row = {}, [], 0
        for i, method in enumerate(methods):
            rows = frame[frame["method"] == method].sort_values("layer")
            at, value = rows["layer"].to_numpy(dtype=float), rows[column].to_numpy(dtype=float)
            look = _look(str(method), i)
            seen = np.where(np.isfinite(value), value, np.nan)
            (line,) = axes.plot(at, seen, gid="method", **look, markevery=_every(len(at), i))
            mark_alone(axes, at, seen, {**look, "gid": "alone"})
            shown[str(method)] = line
            dead = np.isneginf(value)
            if dead.any():
                mark_floor(axes, at[dead], look["color"], row)
                row += 1
                deaths.append((method, at, value, dead, look["color"]))
            lost = np.isnan(value) | np.isposinf(value)
            if lost.any():
                mark_ceiling(axes, at[lost], look["color"])
        finite = frame.loc[np.isfinite(frame[column]), column]
        floors = _floors(axes, finite, bool(deaths))
        decade_axis(axes, row)
        counting_axis(axes, [1])
        _deaths(axes, deaths)
        axes.set_xlabel(words.axis("layer"))
        axes.set_ylabel(r"weight gradient $\|\partial L\,/\,\partial W\|_F$  [unit of loss]")
        place_legend(sheet, shown, legend)
        _name_floors(axes, floors, float(frame["layer"].min()), float(frame["layer"].max()))
        sheet.describe(_caption(frame, methods, deaths, floors))
    return axes


def _look(method: str, i: int) -> dict[str, Any]:
    """Return a broad line for what is right, on which others may lie, and thin ones with markers for these."""
    import matplotlib

    width = matplotlib.rcParams["lines.linewidth"]
    if i == 0:
        return {"color": COLOURS[0], "linewidth": 3 * width, "alpha": 0.45, "zorder": 2, "solid_capstyle": "butt"}
    if "64" in method:
        return {"color": "black", "linestyle": LINES[2], "zorder": 3.5}
    colour = COLOURS[(0, 3, 1, 2, 5, 4, 6)[i % 7]]
    return {"color": colour, "linestyle": LINES[i % 2], "marker": MARKERS[i % len(MARKERS)], "zorder": 3 + 0.1 * i}


def _every(n: int, i: int) -> Any:
    step = max(1, n // 10)
    return (step * (i % 3) // 3, step)


def _floors(ax: Any, finite: pd.Series, died: bool) -> list[tuple[str, float]]:
    """Return lines at the smallest numbers that the data reach; where squares vanish too, if a norm died."""
    lowest = float(finite.min()) if len(finite) else 0.0
    thin, drawn = _thin(ax), []
    entries = list(FLOORS.items())
    if died:
        entries.insert(1, ("squares", SQUARES))
    for name, floor in entries:
        if floor < lowest - 5:
            continue
        dashes = (0, (1, 2)) if name == "squares" else (0, (6, 3))
        grey = FAINT if name == "squares" else NEUTRAL
        ax.axhline(floor, color=grey, linewidth=thin, linestyle=dashes, zorder=1, gid=name)
        drawn.append((name, floor))
    return drawn


def _name_floors(ax: Any, floors: list[tuple[str, float]], first: float, last: float) -> None:
    """Name each line at an end and on a side where nothing is drawn; where there is none, the caption alone says it."""
    ax.figure.draw_without_rendering()
    inks = list(inks_of(ax))
    if ax.get_legend() is not None:
        inks.append(ax.get_legend().get_window_extent().overlaps)
    sides = [(x, ha, va) for va in ("bottom", "top") for x, ha in ((first, "left"), (last, "right"))]
    for name, floor in floors:
        text = "squares leave float32" if name == "squares" else f"{name} floor"
        for said, (x, ha, va) in itertools.product((f"{text}, {_power(floor)}", text), sides):
            up = (0, 1.5 if va == "bottom" else -1.5)
            look = {"ha": ha, "va": va, "fontsize": _small(), "color": NEUTRAL, "gid": "floor"}
            made = ax.annotate(said, (x, floor), up, textcoords="offset points", **look)
            box = made.get_window_extent()
            inside = ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1 and box.width < 0.9 * ax.bbox.width
            if inside and not any(covers(box) for covers in inks):
                inks.append(box.overlaps)
                break
            made.remove()


def _power(value: float) -> str:
    power = math.floor(value)
    return rf"${10 ** (value - power):.1f}\times10^{{{power}}}$"


def _thin(ax: Any) -> float:
    return ax.spines["left"].get_linewidth()


def _small() -> Any:
    import matplotlib

    return matplotlib.rcParams["xtick.labelsize"]


def _deaths(ax: Any, deaths: list[Any]) -> None:
    """Draw a cross at the last number, a line down to the floor, and the layers that are lost."""
    import matplotlib
    from matplotlib.lines import Line2D

    size = matplotlib.rcParams["lines.markersize"]
    low, high = ax.get_ylim()
    ordered = sorted(deaths, key=lambda d: -d[1][d[3]].max())
    for place, (_, at, value, dead, colour) in enumerate(ordered):
        edge = at[dead].max()
        alive = np.isfinite(value) & (at > edge)
        if alive.any():
            x = at[alive].min()
            y = value[at == x][0]
            cross = {"marker": "X", "markersize": 1.8 * size, "color": colour, "markeredgecolor": "white"}
            ax.plot([x], [y], zorder=6, gid="death", **cross)
            drop = Line2D([x, x], [low, y], color=colour, linewidth=_thin(ax), zorder=1.5, gid="drop")
            ax.add_artist(drop)  # it says nothing of the limits of the axis
        else:
            x, y = edge, high
        first = int(at[dead].min())
        text = f"0 in layers\n{first}–{int(edge)}" if edge > first else f"0 in\nlayer {first}"
        height = low + (0.30 if place == 0 else 0.20) * (high - low)
        ax.annotate(
            text, (x, min(height, y)), (3, 0), textcoords="offset points", ha="left", va="center", color=_dark(colour),
            fontsize=_small(), linespacing=1.0, gid="lost",
        )  # fmt: skip


def _dark(colour: Any) -> Any:
    """Return the colour, dark enough to be read as text on white."""
    import matplotlib

    r, g, b = matplotlib.colors.to_rgb(colour)
    scale = min(1.0, 0.42 / max(0.299 * r + 0.587 * g + 0.114 * b, 1e-6))
    return (r * scale, g * scale, b * scale)


def _caption(table: pd.DataFrame, methods: list[Any], deaths: list[Any], floors: list[tuple[str, float]]) -> Caption:
    lost = [
        f"{method} shows 0 in {int(dead.sum())} of {len(at)} layers, up to layer {int(at[dead].max())}"
        for method, at, _, dead, _ in deaths
    ]
    layers = words.span([int(table["layer"].nunique())], "layer")
    parts = [
        f"{'; '.join(lost)}." if lost else f"All {len(methods)} methods show a number in all {layers}.",
        f"Frobenius norm of each hidden layer's weight gradient, computed by {'; '.join(map(str, methods))}.",
        "One network, n = 1 seed, no band.",
    ]
    if lost:
        parts.append("Crosses: the last number before a method dies on its way from the loss.")
        parts.append("Triangles on the floor: exact zeros.")
    named = [f"{name}, {10**floor:.2g}" for name, floor in floors if name != "squares"]
    if named:
        parts.append(f"Dashed: the smallest normal numbers of {words.listed(named)}.")
    if len(named) < len(floors):
        parts.append(f"Dotted: where the squares of a norm leave float32, {10**SQUARES:.2g}.")
    return sentences(parts)
