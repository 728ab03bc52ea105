"""The rate, factor of the delta per layer, against depth or another number of the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from gradlab._errors import GradlabError
from gradlab.frames.rates_by_seed import log10_rates
from gradlab.frames.summaries import rates
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas, decade_axis, draw_lines, handles
from gradlab.plots.ground.captions import Caption, averages, roles, sentences
from gradlab.plots.ground.decades import counting_axis
from gradlab.plots.ground.facets import panels
from gradlab.plots.ground.findings import extremes
from gradlab.plots.ground.headers import share_labels, write_headers
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import FAINT, NEUTRAL
from gradlab.plots.ground.tables import (
    checked,
    chosen_band,
    differing,
    listed,
    looks,
    matching,
    of_networks,
    require,
    summaries,
)

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes


def rate_against_depth(
    frame: pd.DataFrame,
    *,
    x: str = "depth",
    hue: str | None = None,
    style: str | None = None,
    shade: str | None = None,
    row: str | Sequence[str] | None = None,
    col: str | Sequence[str] | None = None,
    band: Literal["ci95", "sd", "range", "seeds"] | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw the rate of each network, the factor of its rms delta per layer toward the input.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`, with `log10_delta_rms`.
    x : str
        The number of the network to draw it against.
    row, col : str or sequence of str, optional
        Columns with a row, or a column, of panels for each of their values. All panels share their axes.
    ax : Axes or array of Axes, optional
        One for each panel.
    hue, style, shade, band, legend, title, preset : optional
        As in `gradient_flow`; the band is over the seeds' log10 rates, "ci95" is that of `gradlab.rates`.

    Returns
    -------
    Axes, or array of Axes (rows, columns) where there are several panels
        Hollow marks are networks whose profile is a power law: their rate is one of this depth only.
    """
    checked(frame, "log10_delta_rms", "network", "seed", "layer", "depth", x)
    band = chosen_band(frame, band)
    of_network = rates(frame)
    of_seed = log10_rates(frame, x)
    down, along = listed(row, of_seed), listed(col, of_seed)
    look = looks(of_networks(frame), hue, style, without=("depth", x, *down, *along), shade=shade)
    keys = list(dict.fromkeys(n for n in (look.hue, look.style, look.shade, *_apart(of_seed, x)) if n is not None))
    for name in keys:
        require(of_seed, name)
    drawn = of_seed[of_seed["verdict"] != "single layer"]
    if drawn.empty:
        raise GradlabError("a network of more than one hidden layer", "single layers", "depth=2 or more")
    grid = panels(of_seed, down), panels(of_seed, along)
    many = len(grid[0]) * len(grid[1]) > 1
    height = 2.6 if len(grid[0]) == 1 else 0.8 + 1.3 * len(grid[0])
    shared = {"sharex": True, "sharey": True} if ax is None else {}
    with canvas(ax, preset, *map(len, grid), title=title, wide=many, height=height, **shared) as sheet:
        counts = []
        for line, (_, of_row) in zip(sheet.axes, grid[0], strict=True):
            for axes, (_, of_col) in zip(line, grid[1], strict=True):
                key = {**of_row, **of_col}
                part = matching(drawn, key)
                floor = 0
                if len(part):
                    means, seeds = summaries(part, [*keys, x], "log10_rate", band)
                    counts.append(means.assign(**key))
                    floor = draw_lines(sheet, axes, means, seeds, keys, x, look, sparse=False)
                    _hollow(sheet, axes, matching(of_network, key) if many else of_network, means, keys, x, look)
                axes.axhline(0, color=FAINT, linewidth=axes.spines["left"].get_linewidth(), zorder=1, gid="steady")
                decade_axis(axes, floor, at_least=0.3)
                counting_axis(axes, drawn[x].unique())
                axes.set_xlabel(words.axis(x))
                axes.set_ylabel("rate [factor of the rms delta per layer]" if sheet.ours else "rate [factor per layer]")
        if many:
            share_labels(sheet, words.axis(x), "rate [factor of the rms delta per layer]")
            write_headers(sheet, *([header for header, _ in side] for side in grid))
        place_legend(sheet, handles(look, sheet, band), legend)
        sheet.describe(_caption(frame, of_network, pd.concat(counts), x, look, band, down, along))
    return sheet.result(grid=True)


def _apart(table: pd.DataFrame, x: str) -> list[str]:
    """Return what distinguishes the lines besides `x`; not the depth, where the line runs along it."""
    return [n for n in differing(table.drop(columns="network"), (x,)) if not (n == "depth" and x == "depth")]


def _hollow(
    sheet: Canvas, ax: Any, of_network: pd.DataFrame, means: pd.DataFrame, keys: list[str], x: str, look: Any
) -> None:
    """Draw rates of power laws hollow: they must not be carried to other depths."""
    laws = of_network[of_network["verdict"] == "algebraic"]
    for _, network in laws.iterrows():
        key = {name: network[name] for name in keys if name in network}
        point = matching(means, {**key, x: network[x]})
        shape = {n: v for n, v in look.of(key).items() if n != "linestyle"}
        ax.plot(
            point[x], point["mean"], linestyle="", markerfacecolor="white", zorder=3.5, gid="algebraic", **shape
        )  # fmt: skip
    if len(laws):
        from matplotlib.lines import Line2D

        sheet.notes["power law of depth"] = Line2D(
            [], [], linestyle="", marker="o", color=NEUTRAL, markerfacecolor="white"
        )


def _caption(
    frame: pd.DataFrame, table: pd.DataFrame, means: pd.DataFrame, x: str, look: Any, band: str, rows: Sequence[str],
    columns: Sequence[str],
) -> Caption:  # fmt: skip
    names = [n for n in (look.hue, look.style, look.shade, *rows, *columns, x) if n is not None]
    parts = [
        extremes(means.reset_index(drop=True), "mean", "The rate", list(dict.fromkeys(names))),
        f"Rate, (rms delta of the first over that of the last hidden layer)^(1/(depth − 1)), against {words.short(x)}.",
        roles(look, rows, columns),
        averages(["log10_rate"], means, band, frame["seed"].nunique()),
        "Grey line: 1, steady.",
    ]
    if (table["verdict"] == "algebraic").any():
        parts.append("Hollow: the profile is a power law of depth, and the rate holds for this depth only.")
    if (table["verdict"] == "single layer").any():
        parts.append("Networks of one hidden layer have no rate.")
    failed = int((table["n_failed"] > 0).sum())
    if failed:
        parts.append(f"{failed} of {len(table)} networks failed in some seeds or all.")
    parts.append(f"Setting: {words.setting(frame[frame['layer'] >= 1])}.")
    return sentences(parts)
