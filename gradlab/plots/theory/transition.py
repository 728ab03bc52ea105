"""Through the transition: gradients on both sides of the critical line, measured and predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.frames.predictions import counterpart
from gradlab.frames.summaries import BACKWARD, rates, summarise
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, decade_axis
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.centred import Centred
from gradlab.plots.ground.centred import critical as found_critical
from gradlab.plots.ground.decades import counting_axis
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import FAINT, NEUTRAL, line_width, marker_size
from gradlab.plots.ground.tables import checked, hidden
from gradlab.theory.meanfield import mean_field

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gradlab.theory.prediction import Prediction
    from gradlab.theory.refusal import Refusal

#: Dots along a line; places of theory's curve on each side of the critical variance.
_DOTS, _FINE = 12, 24


def transition(
    frame: pd.DataFrame,
    *,
    value: str | None = None,
    theory: Mapping[str, Prediction | Refusal],
    critical: float | None = None,
    inset: bool = True,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes:
    r"""Draw gradient against layer for weight variances on both sides of the transition: dots measured, lines theory.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.run`: networks that differ in `sigma_w2`.
    value : str, optional
        ``delta_log10_mean``, or with a batch of one ``log10_delta_rms``, relative to the last hidden layer: measured
        and predicted are the same functional. None: the first of them that the frame has.
    theory : mapping
        From `gradlab.predict_all`.
    critical : float, optional
        The variance at the centre of the colours. None: where theory's chi1 is 1, for networks of one activation and
        one bias variance; else where the predicted rate passes 1 between two networks.
    inset : bool
        Whether the depth scale :math:`|\xi_\nabla|` stands in a corner, against the weight variance.
    ax : Axes, optional
        Where to draw; a figure of its own where it is left out.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes
    """
    value = value or next((name for name in BACKWARD if name in frame), BACKWARD[0])
    checked(frame, value, "network", "seed", "layer", "depth", "sigma_w2")
    table = rates(frame, column=value, theory=theory)
    table = table[table["rate"].notna()].sort_values("sigma_w2")
    drawn = table[table["refused"] == ""]
    if drawn.empty:
        why = words.listed(sorted(set(table["refused"]))) or "no rate"
        raise GradlabError("a network that theory has a rate for", why, "gl.predict_all(sweep)")
    centre = found_critical(drawn) if critical is None else critical
    colours = Centred(drawn["sigma_w2"], centre)
    last: dict[float, float] = {}
    with canvas(ax, preset, title=title, height=2.9) as sheet:
        axes = sheet.axes.flat[0]
        axes.axhline(0, color=FAINT, linewidth=line_width(0.5), zorder=1, gid="steady")
        for row in drawn.itertuples():
            rows_of_network = frame[frame["network"] == row.network]
            points, low, high = _relative(rows_of_network, value, row.depth)
            look = colours.look(row.sigma_w2)
            layer = np.arange(1, row.depth + 1)
            predicted = theory[str(row.network)]
            expected = predicted.columns[counterpart(value, row.batch)][: row.depth]
            axes.plot(layer, expected, color=look["color"], gid="theory", zorder=2)
            few = np.unique(np.linspace(0, row.depth - 1, min(_DOTS, row.depth)).round().astype(int))
            reach = np.nan_to_num(np.array([points - low, high - points])[:, few])
            look |= {"markersize": marker_size(), "elinewidth": line_width(0.6)}
            axes.errorbar(layer[few], points[few], reach, zorder=3, label=f"{row.sigma_w2:.3g}", **look)
            last[row.sigma_w2] = float(points[0])
        decade_axis(axes)
        counting_axis(axes, [1])
        axes.set_xlabel(words.axis("layer"))
        axes.set_ylabel(r"rms $\delta_l$ over rms $\delta_L$")
        if inset:
            _inset(axes, drawn, colours, centre)
        place_legend(sheet, _handles(drawn, colours), legend)
        sheet.describe(_caption(frame, drawn, table, theory, value, inset, last, centre))
    return axes


def _relative(rows_of_network: pd.DataFrame, column: str, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and interval over seeds of each layer's log10 over that of the last hidden layer."""
    cells = hidden(rows_of_network)
    last = cells[cells["layer"] == depth].set_index("seed")[column]
    shifted = cells.assign(**{column: cells[column] - cells["seed"].map(last)})
    means = summarise(shifted, ["layer"], column).sort_values("layer")
    mean, low, high = (means[name].to_numpy(float) for name in ("mean", "low", "high"))
    return mean, low, high


def _inset(ax: Any, table: pd.DataFrame, colours: Centred, critical: float) -> None:
    r"""Draw |xi_grad| against the weight variance: marks measured, dashes predicted, the line mean field."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.4 * (high - low))  # room, above where the lines meet
    small = ax.inset_axes((0.64, 0.7, 0.35, 0.29))
    scale = lambda rate: np.abs(1 / (2 * np.log(rate)))
    with np.errstate(divide="ignore"):
        for side in _curve(table, critical):
            small.plot(*side, color=NEUTRAL, linewidth=line_width(0.7), gid="theory")
        small.axvline(critical, color=FAINT, linestyle=":", linewidth=line_width(0.7), gid="critical")
        for row in table.itertuples():
            dash = {"marker": "_", "markersize": marker_size(1.2), "color": NEUTRAL, "zorder": 2}
            small.plot(row.sigma_w2, np.log10(scale(row.predicted)), gid="predicted", **dash)
            resolved = row.low > 1 or row.high < 1 or np.isnan(row.low)
            if resolved:  # else the interval holds an infinite scale
                ends = np.log10([scale(row.low), scale(row.high)])
                look = colours.look(row.sigma_w2)
                bar = {"color": look["color"], "linewidth": line_width(0.7)}
                small.plot([row.sigma_w2] * 2, ends, gid="interval", **bar)
                look["markersize"] = marker_size(0.7)
                small.plot(row.sigma_w2, np.log10(scale(row.rate)), gid="measured", **look)
    decade_axis(small, at_least=0.5)
    size = 0.85 * matplotlib.font_manager.FontProperties(size=matplotlib.rcParams["font.size"]).get_size_in_points()
    small.tick_params(labelsize=size)
    small.set_xlabel(r"$\sigma_w^2$", fontsize=size, labelpad=1)
    small.set_ylabel(r"$|\xi_\nabla|$ [layers]", fontsize=size, labelpad=1)


def _curve(table: pd.DataFrame, critical: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return variance and log10 of mean field's |xi_grad| on both sides of the critical value, finest beside it."""
    kinds = table[["activation", "sigma_b2"]].drop_duplicates()
    if len(kinds) != 1:
        return []
    known = {"sigma_b2": float(kinds["sigma_b2"].iloc[0])}
    sides = []
    for end in (float(table["sigma_w2"].min()), float(table["sigma_w2"].max())):
        at = critical + (end - critical) * np.geomspace(1e-2, 1, _FINE)
        try:
            predicted = [mean_field(str(kinds["activation"].iloc[0]), sigma_w2=w, **known) for w in at]
        except GradlabError:  # an activation that is not registered here
            return []
        sides.append((at, np.log10(np.abs([one.xi_grad for one in predicted]))))
    return sides


def _handles(table: pd.DataFrame, colours: Centred) -> dict[str, Any]:
    from matplotlib.lines import Line2D

    shown: dict[str, Any] = {}
    for i, value in enumerate(table["sigma_w2"]):
        name = rf"$\sigma_w^2 = {value:.3g}$" if i == 0 else f"{value:.3g}"
        shown[name] = Line2D([], [], **{**colours.look(value), "linestyle": "-"}, markersize=marker_size())
    return shown


def _caption(
    frame: pd.DataFrame, drawn: pd.DataFrame, table: pd.DataFrame, theory: Any, column: str, inset: bool,
    last: Mapping[float, float], critical: float,
) -> Caption:  # fmt: skip
    n = words.span([int(v) for v in drawn["n_seeds"]], "seed")
    ends = sorted({min(last), max(last)})
    parts = [
        "From the last to the first hidden layer the gradient "
        + words.listed(f"{words.change(last[w])} at σ_w² = {w:.3g}" for w in ends)
        + f"; theory's critical value is {critical:.3g}.",
        f"Drawn is {words.described(column)}, relative to the last hidden layer.",
        f"Marks: geometric means over n = {n}, bars their 95 % t-interval; lines: theory, "
        f"{drawn['functional'].iloc[0]}.",
        r"Inset: the depth scale |ξ∇| = 1/|ln rate²|, measured (marks; none where the interval holds 1), expected of "
        "these networks (dashes) and of infinitely deep and wide ones (line)."
        if inset
        else "",
    ]
    refused = table[table["refused"] != ""]
    for why, rows in refused.groupby("refused", sort=False):
        parts.append(f"Not drawn, because {why}: {words.listed(f'σ_w² = {v:.3g}' for v in rows['sigma_w2'])}.")
    parts.append(f"Setting: {words.setting(hidden(frame))}.")
    return sentences(parts)
