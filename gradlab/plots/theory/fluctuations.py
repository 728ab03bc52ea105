"""How gradients differ between initialisations: ln|Ju|^2 over seeds beside its law, its variance against sum 1/n."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.frames.log_norm_variances import log_norm_variances
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import FAINT, Looks, line_width, shaded
from gradlab.plots.ground.tables import checked, levels

#: Networks whose histograms are drawn where none are named.
_SHOWN = 3


def fluctuations(
    frame: pd.DataFrame,
    *,
    hue: str = "network",
    theory: pd.DataFrame,
    first_order: float | None = 5.0,
    shown: Sequence[Any] | None = None,
    bins: int = 40,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> np.ndarray:
    r"""Draw histograms of ln|Ju|^2 over seeds with the predicted density, and its variance against the sum of 1/n.

    Parameters
    ----------
    frame : DataFrame
        A row for each network and seed: ``network``, ``ln_norm2`` (ln|Ju|^2 in nats, -inf for a dead
        network) and ``inverse_width_sum``, :math:`\sum_l 1/n_l`.
    hue : str
        Column of `frame` that colours the networks.
    theory : DataFrame
        The prediction: ``network``, ``ln_norm2``, ``density`` along each curve, and ``variance``, the
        same in all rows of a network.
    first_order : float, optional
        Slope of the line through 0 on the right: 5 for ReLU, 2 for linear networks. None: no line.
    shown : sequence, optional
        Networks whose histograms are drawn; by default up to three of different `hue`, from the least varying to the
        most.
    bins : int
        Of a histogram.
    ax : two Axes, optional
        Where to draw; a figure of its own where it is left out.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    ndarray of two Axes
        Bars on the right are 95 % intervals of the variance over seeds, by the sample's own fourth moment.
    """
    import seaborn

    checked(frame, "network", "ln_norm2", "inverse_width_sum", hue)
    checked(theory, "network", "ln_norm2", "density", "variance")
    table = log_norm_variances(frame, theory, hue)
    chosen = list(shown) if shown is not None else _spread(table, hue)
    for name in chosen:
        if name not in set(table["network"]):
            raise GradlabError(f"networks among {', '.join(map(str, table['network']))}", repr(name))
    look = Looks(hue, None, levels(frame, hue))
    with canvas(ax, preset, 1, 2, title=title, wide=True) as sheet:
        left, right = sheet.axes.flat
        for name in chosen:
            row = table[table["network"] == name].iloc[0]
            values = frame.loc[frame["network"] == name, "ln_norm2"].to_numpy(float)
            colour = look.colour(row[hue])
            kind = look.line(row[hue], None)
            seaborn.histplot(
                x=values[np.isfinite(values)], bins=bins, stat="density", element="step", color=colour, alpha=0.25,
                linewidth=line_width(0.7), ax=left, gid="histogram",
            )  # fmt: skip
            curve = theory[theory["network"] == name].sort_values("ln_norm2")
            left.plot(curve["ln_norm2"], curve["density"], color=shaded(colour), linestyle=kind, gid="law")
        left.set(xlabel=r"$\ln|Ju|^2$  [nat]", ylabel="density over initialisations  [1/nat]", ylim=(0, None))
        for value, rows in table.groupby(hue, observed=True, sort=False):
            style = {"color": look.colour(value), "marker": look.marker(value), "linestyle": ""}
            at = rows["inverse_width_sum"].to_numpy(float)
            error = np.array([rows["variance"] - rows["low"], rows["high"] - rows["variance"]])
            right.errorbar(at, rows["variance"], error, **style, elinewidth=line_width(0.7), zorder=3, gid="measured")
            right.plot(at, rows["law"], linestyle="", marker="_", color="black", zorder=4, gid="law")
        if first_order is not None:
            reach = 1.05 * table["inverse_width_sum"].max()
            right.plot(
                [0, reach],
                [0, first_order * reach],
                color=FAINT,
                linewidth=line_width(0.7),
                zorder=1,
                gid="first order",
            )
        right.set(
            xlabel=r"$\sum_l 1/n_l$", ylabel=r"$\mathrm{Var}\,\ln|Ju|^2$  [nat$^2$]", xlim=(0, None), ylim=(0, None)
        )
        place_legend(sheet, _handles(look, hue, first_order), legend)
        sheet.describe(_caption(frame, table, chosen, first_order))
    return sheet.result()


def _spread(table: pd.DataFrame, hue: str) -> list[Any]:
    """Return networks from the least varying to the most, each of another colour where there are enough of these."""
    ordered = table.sort_values("variance")
    middle = ordered.groupby(hue, observed=True, sort=False)["network"].agg(lambda rows: rows.iloc[len(rows) // 2])
    ordered = ordered[ordered["network"].isin(middle)] if len(middle) > 1 else ordered
    places = np.unique(np.linspace(0, len(ordered) - 1, min(_SHOWN, len(ordered))).round().astype(int))
    return ordered["network"].iloc[places].tolist()


def _handles(look: Looks, hue: str, first_order: float | None) -> dict[str, Any]:
    from matplotlib.lines import Line2D

    shown = {
        words.math(words.entry(hue, v)): Line2D(
            [], [], linestyle=look.line(v, None), color=look.colour(v), marker=look.marker(v)
        )
        for v in look.hues
    }
    shown["exact law"] = Line2D([], [], linestyle="", marker="_", color="black")
    if first_order is not None:
        shown[rf"first order, ${first_order:g}\sum_l 1/n_l$"] = Line2D([], [], color=FAINT)
    return shown


def _caption(samples: pd.DataFrame, table: pd.DataFrame, chosen: list[Any], first_order: float | None) -> Caption:
    least, most = (table.loc[table["variance"].agg(which)] for which in ("idxmin", "idxmax"))
    inside = int(((table["low"] <= table["law"]) & (table["law"] <= table["high"])).sum())
    ends = [least] if len(table) == 1 else [least, most]
    variances = words.listed(f"{row['variance']:.2g} ({row['network']}; law {row['law']:.2g})" for row in ends)
    parts = [
        f"The variance of ln|Ju|² over initialisations is {variances}; the law lies in the 95 % interval of {inside} "
        f"of {words.span([len(table)], 'network')}.",
        f"Left: ln|Ju|² over n = {words.span([int(v) for v in table['n']], 'seed')}, of "
        f"{words.listed(chosen)}; smooth lines are the predicted density.",
        "Right: its variance; bars are 95 % intervals, black dashes the predicted variance.",
        "" if first_order is None else f"Grey line: the first order, {first_order:g} Σ 1/n.",
    ]
    if table["n_dead"].sum():
        parts.append(f"{table['n_dead'].sum()} of {len(samples)} networks are dead (|Ju| = 0) and left out.")
    return sentences(parts)
