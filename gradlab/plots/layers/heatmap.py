"""The heat map: how many decades lie between the first and the last hidden layer, for any two coordinates."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.frames.rates_by_seed import log10_rates
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, lay_out, name_panel
from gradlab.plots.ground.captions import Caption, roles, sentences
from gradlab.plots.ground.cells import HATCHES, SMALL, number, one_network_a_cell, third
from gradlab.plots.ground.facets import panels
from gradlab.plots.ground.headers import broken, share_labels, write_headers
from gradlab.plots.ground.styles import NEUTRAL, Looks, line_width
from gradlab.plots.ground.tables import checked, failures, levels, listed, matching, of_networks, summaries
from gradlab.plots.ground.zones import DECADE, EXPLODING, bar, colour, colours, is_dark, outline, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Beyond so many cells side by side there is no room for a second line in each.
MOST_ACROSS = 20
#: Letters in one line of a tick's label.
_LETTERS = 20
_HALF = {
    "ci95": "half the 95 % t-interval of the mean over seeds", "sd": "standard deviation over seeds",
    "range": "half the distance from the smallest to the largest seed",
}  # fmt: skip


def heatmap(
    frame: pd.DataFrame,
    *,
    x: str = "init",
    y: str = "depth",
    row: str | Sequence[str] | None = None,
    col: str | Sequence[str] | None = None,
    band: Literal["ci95", "sd", "range"] = "ci95",
    annotate: bool | None = None,
    limit: float | None = None,
    ax: Any = None,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw log10 of the first over the last hidden layer's rms delta, a cell for each pair of coordinates.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`, with `log10_delta_rms`.
    x, y : str
        Two coordinates of the networks.
    row, col : str or sequence of str, optional
        Others, with a row, or a column, of panels for each value. None for both: the one that differs besides, if there
        is one, has columns.
    band : {"ci95", "sd", "range"}
        What half of stands behind ± in a cell, as in `gradlab.summarise`.
    annotate : bool, optional
        Whether the numbers stand in the cells. None: where a panel has up to 64.
    limit : float, optional
        Decades at the ends of the colours. None: the largest drawn. One decade, the verdict's line, has the same tone
        in every figure.
    ax : Axes or sequence of Axes, optional
        One for each panel.
    title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes (rows, columns) where there are several panels
        Black lines part the cells that lie beyond a decade. Hatched cells hold seeds with a delta that is exactly 0, or
        that failed; the count stands in the cell. Grey cells are not in the frame.
    """
    checked(frame, "log10_delta_rms", "network", "seed", "layer", "depth", x, y)
    if x == y:
        raise GradlabError("two different coordinates", f"x={x!r} and y={y!r}", 'x="init", y="depth"')
    if limit is not None and not 0 < limit < np.inf:
        raise GradlabError("limit to be a positive number of decades", repr(limit), "limit=10")
    if band not in ("ci95", "sd", "range"):
        raise unknown("band", band, ("ci95", "sd", "range"))
    frame = of_networks(frame)
    table = log10_rates(frame, x, y)
    table["ratio"] = table["decades"].mask(table["n_zero"] > 0, -np.inf)
    down, along = listed(row, table), listed(col, table)
    if row is None and col is None and (extra := third(table, x, y)) is not None:
        along = [extra]
    by = [*down, *along, y, x]
    one_network_a_cell(table, by)
    means, _ = summaries(table, by, "ratio", band)
    grid = panels(table, down), panels(table, along)
    across, up = levels(table, x), levels(table, y)
    largest = float(means["mean"].abs().max()) if means["mean"].notna().any() else 0.0
    norm = scale(limit or largest)
    wide = len(grid[1]) * (len(across) + 1) > 8
    if annotate is None:
        annotate = len(up) * len(across) <= SMALL
    uncertain = annotate and len(grid[1]) * len(across) <= MOST_ACROSS
    height = max(1.9, (0.34 if uncertain else 0.26) * len(up) * len(grid[0]) + 0.25 * (len(grid[0]) - 1) + 1.25)
    with canvas(ax, preset, *map(len, grid), title=title, wide=wide, height=height) as sheet:
        image = None
        for i, (line, (_, of_row)) in enumerate(zip(sheet.axes, grid[0], strict=True), 1):
            for axes, (header, of_col) in zip(line, grid[1], strict=True):
                part = matching(means, {**of_row, **of_col})
                image = _panel(axes, part, x, y, across, up, norm, annotate, uncertain)
                name_panel(sheet, axes, header if not sheet.ours else "")
                axes.set_xlabel(words.axis(x))
                axes.set_ylabel(words.axis(y) if axes is line[0] else "")
                if sheet.ours:
                    axes.tick_params(labelleft=axes is line[0], labelbottom=i == len(grid[0]))
        label = r"$\log_{10}(\mathrm{rms}\ \delta_1\,/\,\mathrm{rms}\ \delta_L)$"
        bar(sheet.figure, image, list(sheet.axes.flat), label, beyond=limit is not None and largest > limit)
        if sheet.ours and sum(map(len, grid)) > 2:
            share_labels(sheet, words.axis(x), words.axis(y) if len(grid[0]) > 1 else "")
            write_headers(sheet, *([header for header, _ in side] for side in grid))
        if sheet.ours:
            _turn(sheet.axes)
        sheet.describe(_caption(frame, table, means, down, along, band, uncertain))
    return sheet.result(grid=bool(down))


def _panel(
    ax: Any, part: pd.DataFrame, x: str, y: str, across: Sequence[Hashable], up: Sequence[Hashable], norm: Any,
    annotate: bool, uncertain: bool,
) -> Any:  # fmt: skip
    """Draw the cells of one panel; the first value of `y` is at the bottom."""
    import seaborn

    cells = {(up.index(cell[y]), across.index(cell[x])): cell for _, cell in part.iterrows()}
    values = np.full((len(up), len(across)), np.nan)
    texts = np.full(values.shape, "", dtype=object)
    for place, cell in cells.items():
        values[place] = cell["mean"]
        texts[place] = _text(cell, uncertain) if annotate and not _lost(cell) else ""
    seaborn.heatmap(
        values, mask=~np.isfinite(values), cmap=colours(), norm=norm, vmin=norm.vmin, vmax=norm.vmax, cbar=False,
        linewidths=line_width(0.4), linecolor="white", annot=texts, fmt="", ax=ax,
        annot_kws={"fontsize": _size("\n".join(texts.flat)), "linespacing": 0.95, "gid": "cell", "zorder": 4},
        xticklabels=[broken(words.named(v), _LETTERS) for v in across],
        yticklabels=[broken(words.named(v), _LETTERS) for v in up],
    )  # fmt: skip
    for text in [text for text in ax.texts if text.get_gid() == "cell" and not text.get_text()]:
        text.remove()
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.tick_params(axis="y", labelrotation=0)
    outline(ax, values, np.arange(len(across) + 1), np.arange(len(up) + 1))
    for place in np.ndindex(values.shape):
        _dress(ax, *place, cells.get(place), annotate, uncertain, norm)
    return ax.collections[0]


def _lost(cell: Any) -> dict[str, int]:
    """Return how many seeds of a cell have an exact zero, and how many failed; what there is none of is left out."""
    counts = {"zero": int(cell["n_zero"]), "failed": int(cell["n_not_finite"])}
    return {name: count for name, count in counts.items() if count}


def _text(cell: Any, uncertain: bool) -> str:
    """Return the number in a cell, and half of its band in a second line."""
    half = (cell["high"] - cell["low"]) / 2
    return number(cell["mean"]) + (f"\n±{number(half).lstrip('+')}" if uncertain and np.isfinite(half) else "")


def _dress(ax: Any, row: int, column: int, cell: Any, annotate: bool, uncertain: bool, norm: Any) -> None:
    """Hatch a cell that holds zeros or failures and count them in it; grey one that holds nothing."""
    from matplotlib.patches import Rectangle

    box = {"xy": (column, row), "width": 1, "height": 1}
    middle = {"x": column + 0.5, "y": row + 0.5, "ha": "center", "va": "center", "gid": "cell", "zorder": 4}
    if cell is None:
        ax.add_patch(Rectangle(**box, facecolor="0.92", edgecolor="white", linewidth=line_width(0.4), gid="absent"))
        if annotate:
            ax.text(s="–", fontsize=_size(""), **middle)
        return
    n, lost = int(cell["n"]), _lost(cell)
    under = colour(cell["mean"], norm) if n else (1.0, 1.0, 1.0, 1.0)
    ink = "white" if is_dark(under) else "black"
    for name in lost:
        hatched = {"facecolor": "none" if n else "white", "edgecolor": "white" if ink == "white" else NEUTRAL}
        ax.add_patch(Rectangle(**box, **hatched, hatch=HATCHES[name], linewidth=0, gid=name))
    if n and not annotate and cell["mean"] > DECADE:  # without a number, dots tell red from blue in a grey print
        ax.add_patch(Rectangle(**box, facecolor="none", edgecolor=ink, hatch=EXPLODING, linewidth=0, gid="exploding"))
    if lost:
        counts = [f"{count}/{n + sum(lost.values())} {name}" for name, count in lost.items()]
        text = "\n".join([*([_text(cell, uncertain)] if n else []), *counts])
        boxed = {"facecolor": under, "pad": 0.8, "linewidth": 0}
        ax.text(s=text, fontsize=_size(text), color=ink, linespacing=0.95, bbox=boxed, **middle)


def _size(text: str) -> float:
    """Return the size of a text in a cell, in points; two lines, and a count, are set smaller than a number."""
    import matplotlib
    from matplotlib.font_manager import FontProperties

    size = FontProperties(size=matplotlib.rcParams["xtick.labelsize"]).get_size_in_points()
    return 0.85 * size if "/" in text or "\n" in text else size


def _turn(axes: np.ndarray) -> None:
    """Turn the labels of columns that would overlap."""
    lay_out(axes.flat[0].figure)
    for ax in axes.flat:
        labels = ax.get_xticklabels()
        boxes = [label.get_window_extent() for label in labels]
        if any(a.x1 + 2 > b.x0 for a, b in itertools.pairwise(boxes)):
            for each in axes.flat:
                each.tick_params(axis="x", labelrotation=35)
                for label in each.get_xticklabels():
                    label.set(ha="right", rotation_mode="anchor")
            return


def _caption(
    frame: pd.DataFrame, table: pd.DataFrame, means: pd.DataFrame, rows: list[str], cols: list[str], band: str,
    uncertain: bool,
) -> Caption:  # fmt: skip
    n = words.span([int(v) for v in means.loc[means["n"] > 0, "n"]] or [0], "seed")
    finite = means["mean"].dropna()
    zones = [int((finite < -DECADE).sum()), int((finite.abs() <= DECADE).sum()), int((finite > DECADE).sum())]
    parts = [
        f"Toward the input the delta falls by more than a decade in {zones[0]} of {len(means)} networks (blue, −), "
        f"stays within one in {zones[1]} (light) and grows by more in {zones[2]} (red, +).",
        "Numbers: log10 of the rms delta of the first over that of the last hidden layer (δ = ∂(loss of one example)/"
        f"∂(preactivation)), geometric mean over n = {n}.",
        f"±: {_HALF[band]}." if uncertain and means["low"].notna().any() else "",
        "Black lines: one decade, the line of the verdict.",
        roles(Looks(None, None), rows, cols),
    ]
    zeros, failed = int(means["n_zero"].sum()), int(means["n_not_finite"].sum())
    if zeros:
        parts.append(f"Hatched: {zeros} networks and seeds with a delta that is exactly 0, in no mean.")
    if failed:
        why = failures(frame)["status"].unique() if "status" in frame else []
        parts.append(f"Cross-hatched: {failed} that failed{': ' if len(why) else ''}{'; '.join(map(str, why))}.")
    parts.append(f"Setting: {words.setting(frame[frame['layer'] >= 1])}.")
    return sentences(parts)
