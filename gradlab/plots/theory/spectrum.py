"""Densities of the singular values of Jacobians, on an axis of their log10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas
from gradlab.plots.ground.decades import prepare
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import Looks, line_width, shaded
from gradlab.plots.ground.tables import checked, levels, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Bins over the decades that the values span.
BINS = 60
#: Columns of a law.
_LAW = ("log10_singular_value", "density")


def spectrum(
    frame: pd.DataFrame,
    *,
    hue: str | None = None,
    theory: pd.DataFrame | None = None,
    bins: int = BINS,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes:
    """The density of log10 of the singular values, pooled over seeds and inputs, a line for each value of `hue`.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame`: ``log10_singular_value``, ``weight``, and ``resolved`` where there is one.
    hue : str, optional
        The column that gives colours. None: the first of activation, init and depth that differs.
    theory : DataFrame, optional
        ``log10_singular_value``, ``density`` per decade, and `hue`: a thin darker line for each value of `hue`. A row
        without a density (NaN) is the largest singular value of theory, a thin vertical line.
    bins : int
        Of equal width in log10 over all lines.
    ax : Axes, optional
    legend, title, preset
        As in `gradient_flow`.

    Returns
    -------
    Axes
        Exact zeros and values below the rounding of the largest are in no bin; the caption counts them.
    """
    checked(frame, "log10_singular_value", "weight")
    if hue is None:
        hue = next((n for n in ("activation", "init", "depth") if n in frame and frame[n].nunique() > 1), None)
    require(frame, hue)
    laws = pd.DataFrame(columns=_LAW) if theory is None else theory
    for name in (*_LAW, *([hue] if hue else [])):
        if len(laws):
            require(laws, name)
    found = levels(frame, hue) if hue else [None]
    look = Looks(hue, None, found, [])
    value = frame["log10_singular_value"].to_numpy(float)
    keep = np.isfinite(value)
    if "resolved" in frame:
        keep &= frame["resolved"].to_numpy(bool)
    low, high = (value[keep].min(), value[keep].max()) if keep.any() else (-1.0, 0.0)
    room = max(0.02 * (high - low), 0.05)
    grid = np.linspace(low - room, high + room, bins + 1)
    with canvas(ax, preset, title=title) as sheet:
        axes = sheet.axes.flat[0]
        shown = {}
        for level in found:
            own = (frame[hue] == level).to_numpy(bool) if hue else np.ones(len(frame), bool)
            colour = look.colour(level)
            weight = frame["weight"].to_numpy(float)[own]
            heights, _ = np.histogram(value[own & keep], grid, weights=weight[keep[own]] / weight.sum())
            kind = {"color": colour, "linestyle": look.line(level, None)}
            line = axes.stairs(heights / np.diff(grid), grid, gid="density", linewidth=line_width(), **kind)
            shown[words.math(words.entry(hue, level)) if hue else "measured"] = line
            of_level = laws[laws[hue] == level] if hue and len(laws) else laws
            curve = of_level[of_level["density"].notna()]
            if len(curve):
                at = curve["log10_singular_value"], curve["density"]
                axes.plot(*at, color=shaded(colour), linewidth=line_width(0.7), gid="theory", zorder=3)
            for edge in of_level.loc[of_level["density"].isna(), "log10_singular_value"]:
                axes.axvline(edge, linewidth=line_width(0.7), gid="edge", **kind)
        axes.set_xlim(grid[0], grid[-1])
        prepare(axes, "x")
        axes.set_ylim(0, None)
        axes.set_xlabel("singular value of the Jacobian  [1]")
        axes.set_ylabel("density  [share per decade]")
        place_legend(sheet, shown if len(shown) > 1 else {}, legend)
        sheet.describe(_caption(frame, keep, hue, found, laws))
    return axes


def _middle_half(rows: pd.DataFrame) -> tuple[float, float]:
    """log10 of the values below which a quarter, and three quarters, of the weight lie."""
    rows = rows.sort_values("log10_singular_value")
    share = np.cumsum(rows["weight"].to_numpy(float))
    at = np.searchsorted(share, np.array([0.25, 0.75]) * share[-1])
    low, high = rows["log10_singular_value"].to_numpy(float)[at]
    return low, high


def _caption(table: pd.DataFrame, keep: np.ndarray, hue: str | None, found: Sequence[Any], laws: pd.DataFrame) -> str:
    n = [table[name].nunique() for name in ("seed", "input") if name in table]
    pooled = " and ".join(words.span([v], unit) for v, unit in zip(n, ("seed", "input"), strict=False))
    halves = []
    for level in found:
        own = keep & ((table[hue] == level).to_numpy(bool) if hue else True)
        if own.any():
            low, high = _middle_half(table[own])
            halves.append(f"{10**low:.3g} and {10**high:.3g}{f' ({words.entry(hue, level)})' if hue else ''}")
    parts = (
        [f"The middle half of the Jacobian's singular values lies between {words.listed(halves)}."] if halves else []
    )
    parts.append(f"Density of their log10, pooled over n = {pooled or len(table)}; no band.")
    if laws["density"].isna().any():
        parts.append("Upright lines, thin: the largest by theory.")
    if laws["density"].notna().any():
        parts.append("Thin, darker: the density by theory.")
    zeros = int(np.isneginf(table["log10_singular_value"]).sum())
    below = int((~keep).sum()) - zeros
    if zeros:
        parts.append(f"{zeros} exact zeros are in no bin.")
    if below:
        parts.append(f"{below} values below the rounding of the largest are in no bin.")
    return " ".join(part for part in parts if part)
