"""The clipping cliff: the loss of a recurrent unit over its two parameters, with descents that meet its wall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas, colour_bar, decade_axis, mark_alone, mark_floor
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import step_axis
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import LIGHTEST, SEQUENTIAL, line_width
from gradlab.plots.ground.tables import lines, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colour, line and marker of each way of descent; they differ in grey too, and from the colours of the surface.
LOOKS: dict[str, dict[str, Any]] = {
    "unclipped": {"color": "#D55E00", "linestyle": (0, (4, 1.4)), "marker": "s"},
    "clipped": {"color": "white", "linestyle": "-", "marker": "o"},
}
#: White does not show on white: what is white over the surface is black beside it.
_BESIDE = "black"


#: That the colours span, at most.
_DECADES = 2.0


def cliff(
    record: Any,
    *,
    starts: Sequence[int] = (0,),
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw the loss of a recurrent unit over weight and bias, descents with and without clipping, and their losses.

    Parameters
    ----------
    record : Cliff
        From `gradlab.clipping_cliff`.
    starts : sequence of int
        Numbers of the starts whose descents are drawn.
    ax : Axes or two Axes, optional
        One: the surface alone.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of two Axes
        The surface in logarithmic colours, of two decades at most; where a descent leaves it, its line ends at the
        edge. Beside it, the loss against the update.

    Examples
    --------
    >>> import gradlab as gl
    >>> found = gl.clipping_cliff([4.0, 5.0, 6.0], [-3.0, -2.5, -2.0], [(6.0, -2.0)], updates=150)
    >>> len(gl.plots.cliff(found))
    2
    """
    if not hasattr(record, "surface") or not hasattr(record, "paths"):
        raise GradlabError("what gl.clipping_cliff returns", type(record).__name__, "gl.clipping_cliff(w, b, starts)")
    for name in ("w", "b", "log10_loss"):
        require(record.surface, name)
    known = set(record.paths["start"])
    for start in starts:
        if start not in known:
            raise GradlabError(f"starts among 0 … {max(known)}", repr(start), "starts=[0]")
    paths = record.paths[record.paths["start"].isin(list(starts))]
    single = ax is not None and np.size(np.asarray(ax, dtype=object)) == 1
    with canvas(ax, preset, 1, 1 if single else 2, title=title, wide=not single, height=2.9) as sheet:
        left = sheet.axes.flat[0]
        _surface(sheet, left, record.surface)
        _descents(left, paths)
        if sheet.ours:
            sheet.figure.get_layout_engine().set(wspace=0.06)
        if not single:
            _losses(sheet.axes.flat[1], paths)
        place_legend(sheet, {**_handles(), **sheet.notes}, legend)
        sheet.describe(_caption(record, paths, not single))
    return sheet.result()


def _surface(sheet: Canvas, ax: Any, surface: pd.DataFrame) -> None:
    table = surface.pivot(index="b", columns="w", values="log10_loss")
    values = table.to_numpy(float)
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise GradlabError("a loss that is finite somewhere", "none", "another grid of w and b")
    # the valley of the target is as deep as the grid is fine: colours end before it, so that the wall has most of them
    low = max(float(finite.min()), float(finite.max()) - _DECADES)
    colours = matplotlib.colors.ListedColormap(matplotlib.colormaps[SEQUENTIAL](np.linspace(0, LIGHTEST, 256)))
    image = ax.pcolormesh(
        table.columns, table.index, np.maximum(values, low), cmap=colours, vmin=low, vmax=float(finite.max()),
        shading="nearest", rasterized=True,
    )  # fmt: skip
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim(), xlabel="recurrent weight $w$", ylabel="bias $b$")
    bar = colour_bar(sheet, [ax], image, "loss", extend="min" if finite.min() < low else "neither")
    ticks = np.array([m * 10.0**k for k in range(math.floor(low), math.ceil(float(finite.max()))) for m in (1, 2, 5)])
    ticks = ticks[(ticks >= 10**low) & (ticks <= 10 ** float(finite.max()))]
    bar.set_ticks(np.log10(ticks), labels=[f"{v:g}" for v in ticks])


def _descents(ax: Any, paths: pd.DataFrame) -> None:
    from matplotlib.patheffects import Normal, Stroke

    thin = line_width(0.55)
    halo = [Stroke(linewidth=2 * thin, foreground="black"), Normal()]
    for key, rows in lines(paths, ["method", "start"]):
        rows = rows.sort_values("step")
        at = rows[["w", "b"]].to_numpy(float).T
        look = LOOKS[key["method"]]
        above = 3.5 if key["method"] == "unclipped" else 3  # both are one until the wall
        line = {"color": look["color"], "linestyle": look["linestyle"], "linewidth": thin, "path_effects": halo}
        ax.plot(*at, **line, zorder=above, gid=key["method"])
        # small marks, so that steps are seen where they are long
        mark = {"marker": look["marker"], "color": look["color"], "markeredgecolor": "black"}
        ax.plot(
            *at, **mark, linestyle="", markersize=2.4 * thin, markeredgewidth=0.35 * thin, zorder=above, gid="update"
        )
        star = {"color": "white", "markersize": 9 * thin, "markeredgecolor": "black", "zorder": 4}
        ax.plot(*at[:, :1], marker="*", linestyle="", gid="start", **star)


def _losses(ax: Any, paths: pd.DataFrame) -> None:
    thin = line_width(0.55)
    for key, rows in lines(paths, ["method", "start"]):
        rows = rows.sort_values("step")
        step, loss = rows["step"].to_numpy(float), rows["log10_loss"].to_numpy(float)
        look = _beside(key["method"])
        seen = np.where(np.isfinite(loss), loss, np.nan)
        look = {**look, "marker": "", "linewidth": thin, "zorder": 3 if key["method"] == "unclipped" else 2}
        ax.plot(step, seen, **look, gid=key["method"])
        mark_alone(ax, step, seen, {**look, "gid": "alone"})
        if np.isneginf(loss).any():
            mark_floor(ax, step[np.isneginf(loss)], look["color"])
    decade_axis(ax, int(np.isneginf(paths["log10_loss"]).any()))
    step_axis(ax, paths["step"].unique())
    ax.set(xlabel="update", ylabel="loss")


def _beside(method: str) -> dict[str, Any]:
    look = LOOKS[method]
    return {**look, "color": _BESIDE if look["color"] == "white" else look["color"]}


def _handles() -> dict[str, Any]:
    from matplotlib.lines import Line2D

    shown = {}
    for method, look in LOOKS.items():
        face = {"markerfacecolor": look["color"], "markeredgecolor": "black"}
        shown[method] = Line2D([], [], **_beside(method), **face)
    return shown


def _caption(record: Any, paths: pd.DataFrame, both: bool) -> Caption:
    updates, n = int(paths["step"].max()), paths["start"].nunique()
    jumps = _longest(paths)
    longest = words.listed(f"{jumps[name]:.2g} {name}" for name in LOOKS if name in jumps)
    parts = [
        f"The longest step in the plane is {longest}.",
        f"Loss of one {record.activation} unit that is applied {record.time_steps} times, h = φ(w h + b) from h = 0, "
        f"(h − {record.target:g})², over its two parameters; colours are logarithmic, and end where the scale does.",
        f"Descents from n = {n} start{'' if n == 1 else 's'} (stars), no mean and no band: {updates} updates with the "
        f"learning rate {record.learning_rate:g}, the gradient as it is or clipped to the norm {record.clip:g}.",
        "Right: the loss against the update." if both else "",
    ]
    return sentences(parts)


def _longest(paths: pd.DataFrame) -> dict[str, float]:
    """Return the longest step of each method, in the plane of the parameters."""
    longest: dict[str, float] = {}
    for key, rows in lines(paths, ["method", "start"]):
        moves = np.diff(rows.sort_values("step")[["w", "b"]].to_numpy(float), axis=0)
        here = float(np.hypot(*moves.T).max(initial=0.0))
        longest[key["method"]] = max(longest.get(key["method"], 0.0), here)
    return longest
