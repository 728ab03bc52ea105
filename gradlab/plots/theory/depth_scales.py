"""How deep signals reach: variance and correlation on their way to the fixed points, with fitted depth scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab.frames.scales import depth_scales as fitted_scales
from gradlab.frames.scales import distances
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas, decade_axis
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.centred import Centred
from gradlab.plots.ground.centred import critical as found_critical
from gradlab.plots.ground.decades import counting_axis
from gradlab.plots.ground.legends import OUTSIDE, Place, place_legend
from gradlab.plots.ground.styles import line_width, marker_size
from gradlab.plots.ground.tables import hidden

if TYPE_CHECKING:
    from gradlab.theory.prediction import Prediction
    from gradlab.theory.refusal import Refusal

#: Beyond so many layers a scale is said to be longer, not how long: no network here is as deep.
_LONG = 1000.0
#: Resolved layers in a row, after a gap, that are more than noise.
_RUN = 3


def depth_scales(
    frame: pd.DataFrame,
    *,
    theory: Mapping[str, Prediction | Refusal],
    critical: float | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> np.ndarray:
    r"""Draw the distance of variance and correlation from their fixed points, against layer, with fitted depth scales.

    Parameters
    ----------
    frame : DataFrame
        With `log10_preactivation_rms` and `log10_one_minus_c`, of two seeds or more.
    theory : mapping
        From `gradlab.predict_all`, with inputs: else there is no correlation.
    critical : float, optional
        As in `transition`.
    ax : two Axes, optional
        Where to draw; a figure of its own where it is left out.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    ndarray of two Axes
        Dots above three standard errors, theory's lines, and the fits of `gradlab.depth_scales` over the layers they
        were made on; beside each network the fitted scale, then theory's in brackets.
    """
    far = distances(frame, theory)
    fits = fitted_scales(frame, theory)
    if critical is None:
        slopes = fits[fits["scale"] == "xi_grad"].sort_values("sigma_w2")
        critical = found_critical(slopes.assign(predicted=np.exp(-0.5 / slopes["theory"])))
    colours = Centred(far["sigma_w2"], critical)
    with canvas(ax, preset, 1, 2, title=title, wide=True, height=2.9) as sheet:
        for axes, quantity, other in zip(sheet.axes.flat, ("q", "c"), ("xi_q", "xi_c"), strict=True):
            rows = far[far["quantity"] == quantity]
            shown: dict[str, Any] = {}
            deepest, heights = 1, []
            for network, line in rows.groupby("network", sort=False):
                fit = fits[(fits["network"] == network) & (fits["scale"] == other)].iloc[0]
                seen = _loud(line["resolved"].to_numpy(bool))
                dots = _approach(axes, line, seen, fit, colours.look(line["sigma_w2"].iloc[0]))
                shown[_entry(quantity, fit, float(line["sigma_w2"].iloc[0]), legend)] = dots
                deepest = max(deepest, int(line.loc[seen, "layer"].max()) if seen.any() else 1)
                heights += line.loc[seen, "log10_distance"].tolist()
            if deepest < rows["layer"].max() / 2:  # the rest of the axis would be empty
                axes.set_xlim(0, 1.5 * deepest)
            if heights:  # theory goes on below what can be measured
                axes.set_ylim(min(heights) - 0.3, max(*heights, rows["theory"].max()) + 0.2)
            decade_axis(axes)
            counting_axis(axes, [1])
            axes.set_xlabel(words.axis("layer"))
            axes.set_ylabel(rf"$|{quantity} - {quantity}^*|$")
            if legend is True or legend == "inside":  # each panel has its own scales
                place_legend(Canvas(np.array([[axes]]), sheet.ours), shown, "inside")
        if legend in OUTSIDE:
            place_legend(sheet, shown, legend)
        sheet.describe(_caption(frame, far, fits))
    return sheet.result()


def _loud(resolved: np.ndarray) -> np.ndarray:
    """Return the resolved layers up to the first gap, and beyond it those in a row: single ones are noise."""
    kept = resolved.copy()
    gap = np.flatnonzero(~resolved)
    start = int(gap[0]) if len(gap) and resolved[: gap[0]].any() else len(resolved)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], resolved[start:], [False]]).astype(int))) + start
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin < _RUN:
            kept[begin:end] = False
    return kept


def _approach(ax: Any, line: pd.DataFrame, seen: np.ndarray, fit: pd.Series, look: dict[str, Any]) -> Any:
    """Draw the dots of a network, its theory, and the fit."""
    layer, y = line["layer"].to_numpy(), line["log10_distance"].to_numpy(float)
    colour = look["color"]
    ax.plot(layer, line["theory"], linewidth=line_width(0.7), zorder=2, gid="theory", color=colour)
    (dots,) = ax.plot(layer[seen], y[seen], markersize=marker_size(0.75), zorder=3, gid="measured", **look)
    if np.isfinite(fit["value"]):
        inside = (layer >= fit["first_layer"]) & (layer <= fit["last_layer"])
        slope = -1 / (fit["value"] * np.log(10))
        fitted = y[inside].mean() + slope * (layer[inside] - layer[inside].mean())
        broad = {"linestyle": "--", "linewidth": line_width(1.3), "color": colour}
        ax.plot(layer[inside], fitted, zorder=2.5, gid="fit", **broad)
    return dots


def _entry(quantity: str, fit: pd.Series, sigma_w2: float, legend: Place) -> str:
    """Return a network in the legend, with its scale where the legend is the panel's own."""
    name = rf"$\sigma_w^2 = {sigma_w2:.3g}$"
    if legend in OUTSIDE:
        return name
    return rf"{name}: $\xi_{quantity}$ {_scale(fit['value'])} ({_scale(fit['theory'])})"


def _scale(value: float) -> str:
    return "no fit" if np.isnan(value) else "∞" if np.isinf(value) else "> 1000" if value > _LONG else f"{value:.3g}"


def _caption(frame: pd.DataFrame, far: pd.DataFrame, fits: pd.DataFrame) -> Caption:
    n = words.span([int(v) for v in far["n_seeds"].unique()], "seed")
    parts = []
    for scale, what in (("xi_q", "variance"), ("xi_c", "correlation")):
        rows = fits[(fits["scale"] == scale) & np.isfinite(fits["value"])].sort_values("value")
        if len(rows):
            ends = rows.iloc[[0, -1]] if len(rows) > 1 else rows
            texts = (
                f"{_scale(r.value)} (theory {_scale(r.theory)}) layers at σ_w² = {r.sigma_w2:.3g}"
                for r in ends.itertuples()
            )
            parts.append(f"The {what} comes a factor e nearer to its fixed point in {words.listed(texts)}.")
    return sentences([
        *(parts or ["No network's approach to its fixed point is long enough above noise to be fitted."]),
        "Left: distance of the preactivation variance q, right: of two inputs' correlation c, from their fixed points, "
        f"of means over n = {n} (where c* = 1, of the geometric mean of 1 − c); no dot within three standard errors of "
        "0. Thin lines: theory. Dashed: the fit, whose scale stands in the legend beside theory's in brackets. "
        f"Setting: {words.setting(hidden(frame))}.",
    ])  # fmt: skip
