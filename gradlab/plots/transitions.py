"""Through the transition: gradients on both sides of the critical line, and how deep signals reach beside theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.frames.predictions import BACKWARD, against_theory
from gradlab.frames.scales import depth_scales as fitted_scales
from gradlab.frames.scales import distances
from gradlab.frames.summaries import summarise
from gradlab.plots import words
from gradlab.plots.canvas import canvas, decade_axis
from gradlab.plots.captions import attach
from gradlab.plots.decades import counting_axis
from gradlab.plots.legends import Place, place_legend
from gradlab.plots.styles import DIVERGING, FAINT, MARKERS, NEUTRAL, line_width, marker_size
from gradlab.plots.tables import checked, hidden

if TYPE_CHECKING:
    from gradlab.theory.prediction import Prediction

#: Of the diverging colours, the parts that are not lost on white.
_DARK = 0.38
#: Dots along a line.
_DOTS = 12


def transition(
    frame: pd.DataFrame,
    predictions: Mapping[str, Prediction | str],
    *,
    column: str | None = None,
    critical: float | None = None,
    inset: bool = True,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Any:
    r"""Gradient against layer for weight variances on both sides of the transition: dots measured, lines theory.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.run`: networks that differ in `sigma_w2`.
    predictions : mapping
        From `gradlab.predictions`.
    column : str, optional
        ``delta_log10_mean`` or ``log10_delta_rms``, relative to the last hidden layer; measured and predicted are the
        same functional. None: the first of them that the frame has.
    critical : float, optional
        The variance at the centre of the colours. None: where the predicted rate is 1, between two networks.
    inset : bool
        Whether the depth scale :math:`|\xi_\nabla|` stands in a corner, against the weight variance.
    ax : Axes, optional
    legend, title, preset
        As in `gradient_flow`.

    Returns
    -------
    Axes
    """
    column = column or next((name for name in BACKWARD if name in frame), BACKWARD[0])
    checked(frame, column, "network", "seed", "layer", "depth", "sigma_w2")
    table = against_theory(frame, predictions, column=column)
    table = table[table["rate"].notna()].sort_values("sigma_w2")
    drawn = table[table["refused"] == ""]
    if drawn.empty:
        why = words.listed(sorted(set(table["refused"]))) or "no rate"
        raise GradlabError("a network that theory has a rate for", why, "gl.predictions(sweep)")
    centre = _critical(drawn) if critical is None else critical
    colours = Centred(drawn["sigma_w2"], centre)
    with canvas(ax, preset, title=title, height=2.9) as board:
        axes = board.axes.flat[0]
        axes.axhline(0, color=FAINT, linewidth=line_width(0.5), zorder=1, gid="steady")
        for row in drawn.itertuples():
            own = frame[frame["network"] == row.network]
            points, low, high = _relative(own, column, row.depth)
            look = {"color": colours(row.sigma_w2)}
            layer = np.arange(1, row.depth + 1)
            axes.plot(layer, predictions[str(row.network)].columns[column][: row.depth], gid="theory", zorder=2, **look)
            few = np.unique(np.linspace(0, row.depth - 1, min(_DOTS, row.depth)).round().astype(int))
            reach = np.array([points - low, high - points])[:, few]
            look |= {"linestyle": "", "marker": "o", "markersize": marker_size(), "elinewidth": line_width(0.6)}
            axes.errorbar(layer[few], points[few], np.nan_to_num(reach), zorder=3, label=f"{row.sigma_w2:.3g}", **look)
        decade_axis(axes)
        counting_axis(axes, [1])
        axes.set_xlabel(words.axis("layer"))
        axes.set_ylabel(r"rms $\delta_l$ over rms $\delta_L$  [1]")
        if inset:
            _inset(axes, drawn, colours, centre)
        place_legend(board, _handles(drawn, colours), legend)
        attach(axes, _caption(frame, drawn, table, predictions, column, inset))
    return axes


class Centred:
    """Diverging colours of weight variances, dark at the critical one.

    Parameters
    ----------
    values : sequence of float
    centre : float
    """

    def __init__(self, values: Sequence[float], centre: float):
        self.centre = centre
        self.reach = max(float(np.abs(np.log(np.asarray(values, float) / centre)).max()), 1e-9)

    def __call__(self, value: float) -> str:
        """The colour of a variance."""
        place = np.log(value / self.centre) / self.reach
        return matplotlib.colors.to_hex(matplotlib.colormaps[DIVERGING](0.5 + _DARK * place))


def _critical(table: pd.DataFrame) -> float:
    """Where the predicted rate passes 1; the nearest network where it does not."""
    w, rate = table["sigma_w2"].to_numpy(float), np.log(table["predicted"].to_numpy(float))
    for i in np.flatnonzero(rate[:-1] * rate[1:] < 0):
        return float(w[i] - rate[i] * (w[i + 1] - w[i]) / (rate[i + 1] - rate[i]))
    return float(w[np.argmin(np.abs(rate))])


def _relative(own: pd.DataFrame, column: str, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and interval over seeds of each layer's log10 over that of the last hidden layer."""
    cells = hidden(own)
    last = cells[cells["layer"] == depth].set_index("seed")[column]
    shifted = cells.assign(**{column: cells[column] - cells["seed"].map(last)})
    means = summarise(shifted, ["layer"], column).sort_values("layer")
    mean, low, high = (means[name].to_numpy(float) for name in ("mean", "low", "high"))
    return mean, low, high


def _inset(ax: Any, table: pd.DataFrame, colours: Centred, critical: float) -> None:
    r"""|xi_grad| against the weight variance: dots measured, lines theory."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.4 * (high - low))  # room, above where the lines meet
    small = ax.inset_axes((0.64, 0.7, 0.35, 0.29))
    scale = lambda rate: np.abs(1 / (2 * np.log(rate)))
    with np.errstate(divide="ignore"):
        for side in (table["sigma_w2"] < critical, table["sigma_w2"] > critical):
            small.plot(
                table.loc[side, "sigma_w2"], np.log10(scale(table.loc[side, "predicted"])), color=NEUTRAL,
                linewidth=line_width(0.7), gid="theory",
            )  # fmt: skip
        small.axvline(critical, color=FAINT, linestyle=":", linewidth=line_width(0.7), gid="critical")
        for row in table.itertuples():
            resolved = row.low > 1 or row.high < 1 or np.isnan(row.low)
            if resolved:  # else the interval holds an infinite scale
                ends = np.log10([scale(row.low), scale(row.high)])
                look = {"color": colours(row.sigma_w2), "linewidth": line_width(0.7)}
                small.plot([row.sigma_w2] * 2, ends, gid="interval", **look)
                dot = {"marker": "o", "markersize": marker_size(0.7), **look}
                small.plot(row.sigma_w2, np.log10(scale(row.rate)), gid="measured", **dot)
    decade_axis(small, at_least=0.5)
    size = 0.85 * matplotlib.font_manager.FontProperties(size=matplotlib.rcParams["font.size"]).get_size_in_points()
    small.tick_params(labelsize=size)
    small.set_xlabel(r"$\sigma_w^2$", fontsize=size, labelpad=1)
    small.set_ylabel(r"$|\xi_\nabla|$ [layers]", fontsize=size, labelpad=1)


def _handles(table: pd.DataFrame, colours: Centred) -> dict[str, Any]:
    from matplotlib.lines import Line2D

    shown: dict[str, Any] = {}
    for i, value in enumerate(table["sigma_w2"]):
        name = rf"$\sigma_w^2 = {value:.3g}$" if i == 0 else f"{value:.3g}"
        shown[name] = Line2D([], [], color=colours(value), marker="o", markersize=marker_size())
    return shown


def _caption(
    frame: pd.DataFrame, drawn: pd.DataFrame, table: pd.DataFrame, predictions: Any, column: str, inset: bool
) -> str:
    first = predictions[str(drawn["network"].iloc[0])]
    n = words.span([int(v) for v in drawn["n_seeds"]], "seed")
    parts = [
        f"{words.described(column).capitalize()}, relative to the last hidden layer, against layer.",
        f"Dots: geometric means over n = {n}, bars their 95 % t-interval; lines: theory, {first.functional[column]}.",
        r"Inset: the depth scale |ξ∇| = 1/|ln rate²| beside theory's; no point where the interval holds 1."
        if inset
        else "",
    ]
    refused = table[table["refused"] != ""]
    for why, rows in refused.groupby("refused", sort=False):
        parts.append(f"Not drawn, because {why}: {words.listed(f'σ_w² = {v:.3g}' for v in rows['sigma_w2'])}.")
    parts.append(f"Setting: {words.setting(hidden(frame))}.")
    return " ".join(p for p in parts if p)


def depth_scales(
    frame: pd.DataFrame,
    predictions: Mapping[str, Prediction | str],
    *,
    critical: float | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Any:
    r"""Distance of variance and correlation from their fixed points, against layer, with fitted depth scales.

    Parameters
    ----------
    frame : DataFrame
        With `log10_preactivation_rms` and `log10_one_minus_c`, of two seeds or more.
    predictions : mapping
        From `gradlab.predictions`, with inputs: else there is no correlation.
    critical : float, optional
        As in `transition`.
    ax : two Axes, optional
    legend, title, preset
        As in `gradient_flow`.

    Returns
    -------
    ndarray of two Axes
        Dots above three standard errors, theory's lines, and the fits of `gradlab.depth_scales` over the layers they
        were made on; beside each network the fitted scale, then theory's in brackets.
    """
    far = distances(frame, predictions)
    fits = fitted_scales(frame, predictions)
    if critical is None:
        slopes = fits[fits["scale"] == "xi_grad"].sort_values("sigma_w2")
        critical = _critical(slopes.assign(predicted=np.exp(-0.5 / slopes["theory"])))
    colours = Centred(far["sigma_w2"], critical)
    with canvas(ax, preset, 1, 2, title=title, wide=True, height=2.9) as board:
        for axes, quantity, other in zip(board.axes.flat, ("q", "c"), ("xi_q", "xi_c"), strict=True):
            own = far[far["quantity"] == quantity]
            for i, (network, line) in enumerate(own.groupby("network", sort=False)):
                fit = fits[(fits["network"] == network) & (fits["scale"] == other)].iloc[0]
                _approach(axes, line, fit, {"color": colours(line["sigma_w2"].iloc[0])}, MARKERS[i % len(MARKERS)])
            shown = own.loc[own["resolved"], "log10_distance"]
            deepest = own.loc[own["resolved"], "layer"].max()
            if deepest < own["layer"].max() / 2:  # the rest of the axis would be empty
                axes.set_xlim(0, 1.5 * deepest)
            if len(shown):  # theory goes on below what can be measured
                axes.set_ylim(shown.min() - 0.3, max(shown.max(), own["theory"].max()) + 0.2)
            decade_axis(axes)
            counting_axis(axes, [1])
            axes.set_xlabel(words.axis("layer"))
            axes.set_ylabel(rf"$|{quantity} - {quantity}^*|$  [1]")
            if legend:
                names = rf"$\xi_{quantity}$ (theory):"
                corner = "upper right" if quantity == "q" else "lower left"
                axes.legend(title=names, loc=corner, fontsize="small", handlelength=1.2, labelspacing=0.2)
        attach(board.axes.flat[0], _depth_caption(frame, far))
    return board.axes.reshape(-1)


def _approach(ax: Any, line: pd.DataFrame, fit: pd.Series, look: dict[str, Any], marker: str) -> None:
    """Dots of a network, its theory, and the fit."""
    layer, y = line["layer"].to_numpy(), line["log10_distance"].to_numpy(float)
    loud = line["resolved"].to_numpy(bool)
    value = _scale(fit["value"])
    ax.plot(layer, line["theory"], linewidth=line_width(0.7), zorder=2, gid="theory", **look)
    ax.plot(
        layer[loud], y[loud], linestyle="", marker=marker, markersize=marker_size(0.75), zorder=3, gid="measured",
        label=rf"{value} ({_scale(fit['theory'])})  $\sigma_w^2 = {line['sigma_w2'].iloc[0]:.3g}$", **look,
    )  # fmt: skip
    if np.isfinite(fit["value"]):
        inside = (layer >= fit["first_layer"]) & (layer <= fit["last_layer"])
        slope = -1 / (fit["value"] * np.log(10))
        fitted = y[inside].mean() + slope * (layer[inside] - layer[inside].mean())
        ax.plot(layer[inside], fitted, linestyle="--", linewidth=line_width(1.3), zorder=2.5, gid="fit", **look)


def _scale(value: float) -> str:
    return "–" if np.isnan(value) else "∞" if np.isinf(value) else f"{value:.3g}"


def _depth_caption(frame: pd.DataFrame, far: pd.DataFrame) -> str:
    n = words.span([int(v) for v in far["n_seeds"].unique()], "seed")
    return (
        "Distance of the preactivation variance q (left) and of two inputs' correlation c (right) from their fixed "
        f"points, of means over n = {n} (where c* = 1, of the geometric mean of 1 − c); no dot where it is within "
        "three standard errors of 0. Lines: theory. Dashed: the fit whose depth scale, a factor e in so many layers, "
        f"stands in the legend beside theory's. Setting: {words.setting(hidden(frame))}."
    )
