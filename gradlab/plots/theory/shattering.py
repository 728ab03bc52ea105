"""Shattered gradients: how alike those of two inputs are by layer or distance, and gradients along a line of inputs."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from gradlab._errors import unknown
from gradlab.frames.cosines import cosines
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import log10_axis
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import Looks, line_width
from gradlab.plots.ground.tables import checked, levels, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What the cosines may be drawn against.
ALONG: dict[str, str] = {
    "from_loss": "layers below the output",
    "layer": "layer (0 = the input gradient)",
    "distance": "distance of the two inputs",
}


def shattering(
    frame: pd.DataFrame,
    *,
    x: Literal["from_loss", "layer", "distance"] = "from_loss",
    hue: str | None = None,
    theory: pd.DataFrame | None = None,
    log: bool = True,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes:
    """Draw how alike the gradients of two inputs are: their cosine against the layer, or against their distance.

    It is 1 where both inputs ask for the same change, and near 0 where gradients are shattered, like noise.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` of `gradlab.shattering`: ``seed``, ``cosine``, ``pairs`` and `x`; rows of one seed and
        one `x` are averaged, weighted by their pairs.
    x : {"from_loss", "layer", "distance"}
        Layers counted from the loss or from the input, or the distance of the two inputs.
    hue : str, optional
        Column that tells lines apart.
    theory : DataFrame, optional
        The prediction: `x`, ``cosine`` and `hue`; drawn as black lines.
    log : bool
        Draw log10 of the size of the cosine, hollow where it is negative. Where the interval holds 0 the band is
        open below, and a dotted line shows the half-width: the noise that such a mean is part of.
    ax : Axes, optional
        Where to draw; a figure of its own where it is left out.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes
        Bands are 95 % t-intervals of the mean over seeds.
    """
    if x not in ALONG:
        raise unknown("what to draw against", x, ALONG)
    checked(frame, "seed", "cosine", "pairs", x)
    require(frame, hue)
    if theory is not None:
        checked(theory, "cosine", x)
        require(theory, hue)
    look = Looks(hue, None, levels(frame, hue))
    means = cosines(frame, x, hue)
    negative = noise = 0
    with canvas(ax, preset, title=title) as sheet:
        axes = sheet.axes.flat[0]
        for value, rows in _groups(means, hue):
            style = look.of({hue: value} if hue else {})
            at = rows[x].to_numpy(float)
            middle, low, high = (rows[name].to_numpy(float) for name in ("mean", "low", "high"))
            hollow = (middle < 0) & log
            if log:
                unresolved = (low <= 0) & (high >= 0)
                negative, noise = negative + int(hollow.sum()), noise + int(unresolved.sum())
                with np.errstate(divide="ignore"):
                    half = np.where(unresolved, np.log10((high - low) / 2), np.nan)
                axes.plot(
                    at, half, color=style["color"], linestyle=":", linewidth=line_width(0.8), zorder=2.5, gid="noise"
                )
                middle, low, high = _log10_sizes(middle, low, high, unresolved)
            axes.fill_between(at, low, high, color=style["color"], alpha=0.25, linewidth=0, zorder=1.5, gid="band")
            for which, fill in ((~hollow, {}), (hollow, {"markerfacecolor": "white"})):
                if which.any():
                    gid = "negative mean" if fill else "mean"
                    axes.plot(at[which], middle[which], **{**style, "linestyle": "", **fill}, zorder=3, gid=gid)
        for _, rows in _groups(theory, hue) if theory is not None else ():
            rows = rows[rows["cosine"] > 0] if log else rows
            value = rows["cosine"].to_numpy(float)
            at, value = rows[x].to_numpy(float), np.log10(value) if log else value
            axes.plot(at, value, color="black", linewidth=line_width(0.7), zorder=2, gid="law")
        if log:
            log10_axis(axes)
        if x != "distance":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel=ALONG[x], ylabel="cosine of two inputs' gradients")
        place_legend(sheet, _handles(look, hue, theory is not None), legend)
        sheet.describe(_caption(frame, means, x, hue, theory is not None, negative, noise))
    return axes


def _log10_sizes(middle: np.ndarray, low: np.ndarray, high: np.ndarray, unresolved: np.ndarray) -> list[np.ndarray]:
    """Return log10 of the sizes of means and their intervals' ends; an interval with 0 in it ends below all means."""
    sizes = np.where(middle == 0, np.nan, np.abs(middle))
    near, far = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
    below = 0.1 * np.nanmin(sizes) if np.isfinite(sizes).any() else 1.0
    return [np.log10(v) for v in (sizes, np.where(unresolved, below, near), far)]


def _groups(table: pd.DataFrame, hue: str | None) -> list[tuple[Hashable, pd.DataFrame]]:
    return [(None, table)] if hue is None else list(table.groupby(hue, observed=True, sort=False))


def _handles(look: Looks, hue: str | None, law: bool) -> dict[str, Any]:
    from matplotlib.lines import Line2D

    shown = {}
    for value in look.hues if hue else ():
        style = {"color": look.colour(value), "marker": look.marker(value), "linestyle": ""}
        shown[words.math(words.entry(hue, value))] = Line2D([], [], **style)
    if law:
        shown["theory, infinite width"] = Line2D([], [], color="black", linewidth=line_width(0.7))
    return shown


def _caption(
    table: pd.DataFrame, means: pd.DataFrame, x: str, hue: str | None, law: bool, negative: int, noise: int
) -> Caption:
    ends = []
    for value, rows in _groups(means, hue):
        first, last = (rows.sort_values(x).iloc[i] for i in (0, -1))
        where = f" ({words.entry(hue, value)})" if hue else ""
        ends.append(f"from {first['mean']:.2g} at {first[x]:.3g} to {last['mean']:.2g} at {last[x]:.3g}{where}")
    parts = [
        f"The cosine of two inputs' gradients goes {words.listed(ends)}, against the {ALONG[x].split(' (')[0]}.",
        f"Means over pairs and n = {words.span([table['seed'].nunique()], 'seed')}; bands are 95 % t-intervals over "
        "seeds.",
        f"Colour and marker: {hue}." if hue else "",
        "Black: what is expected at infinite width." if law else "",
        f"Hollow: sizes of negative means ({negative})." if negative else "",
        f"Dotted: half the interval of means that cannot be told from 0 ({noise})." if noise else "",
    ]
    return sentences(parts)
