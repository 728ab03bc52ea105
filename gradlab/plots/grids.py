"""The heat map: how many decades lie between the first and the last hidden layer, for any two coordinates."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots import words
from gradlab.plots.canvas import canvas, name_panel
from gradlab.plots.captions import attach
from gradlab.plots.depths import log10_rates
from gradlab.plots.styles import DIVERGING, NEUTRAL, line_width
from gradlab.plots.tables import checked, differing, failures, levels, matching, require, summaries

#: Up to this many cells in a panel are annotated.
SMALL = 64
HATCHES = {"zero": "////", "failed": "xxxx"}


def heatmap(
    frame: pd.DataFrame,
    x: str = "init",
    y: str = "depth",
    *,
    facet: str | None = None,
    annotate: bool | None = None,
    limit: float | None = None,
    ax: Any = None,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Any:
    """log10 of the first over the last hidden layer's rms delta, a cell for each pair of coordinates.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`, with `log10_delta_rms`.
    x, y : str
        Two coordinates of the networks.
    facet : str, optional
        A third, with a panel for each value. None: the one that differs besides, if there is one.
    annotate : bool, optional
        Whether the numbers stand in the cells. None: where a panel has up to 64.
    limit : float, optional
        Decades at the ends of the colours, to give several figures one scale. None: the largest drawn.
    ax : Axes or sequence of Axes, optional
        One for each panel.
    title, preset
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are several panels
        Hatched cells hold seeds with a delta that is exactly 0, or that failed; the count stands in the cell.
        Grey cells are not in the frame.
    """
    checked(frame, "log10_delta_rms", "network", "seed", "layer", "depth", x, y)
    require(frame, facet)
    if x == y:
        raise GradlabError("two different coordinates", f"x={x!r} and y={y!r}", 'x="init", y="depth"')
    if limit is not None and not 0 < limit < np.inf:
        raise GradlabError("limit to be a positive number of decades", repr(limit), "limit=10")
    table = log10_rates(frame, x, y)
    table["ratio"] = table["decades"].mask(table["n_zero"] > 0, -np.inf)
    if facet is None:
        facet = third(table, x, y)
    by = [name for name in (facet, y, x) if name is not None]
    one_network_a_cell(table, by)
    means, _ = summaries(table, by, "ratio", "range")
    panels = levels(table, facet) if facet is not None else [None]
    columns, rows = levels(frame, x), levels(frame, y)
    top = limit or max(float(means["mean"].abs().max()), 1e-9) if means["mean"].notna().any() else limit or 1.0
    wide = len(panels) * (len(columns) + 1) > 8
    height = max(1.9, 0.26 * len(rows) + 1.25)
    with canvas(ax, preset, 1, len(panels), title=title, wide=wide, height=height) as board:
        image = None
        for axes, value in zip(board.axes.flat, panels, strict=True):
            part = means if facet is None else matching(means, {facet: value})
            image = _panel(axes, part, x, y, columns, rows, top, annotate)
            if facet is not None:
                name_panel(board, axes, words.entry(facet, value))
            axes.set_xlabel(words.axis(x))
        board.axes.flat[0].set_ylabel(words.axis(y))
        if board.own:
            for axes in board.axes.flat[1:]:
                axes.set_yticklabels([])
        beyond = limit is not None and float(means["mean"].abs().max()) > limit
        bar = board.figure.colorbar(
            image, ax=list(board.axes.flat), extend="both" if beyond else "neither", shrink=1.0, aspect=16, pad=0.02
        )
        bar.set_label(r"$\log_{10}(\mathrm{rms}\ \delta_1\,/\,\mathrm{rms}\ \delta_L)$  [decades]")
        bar.outline.set_visible(False)
        if board.own and (wide or len(panels) == 1):
            _turn(board.axes)
        text = _caption(frame, table, means, facet)
        for axes in board.axes.flat:
            attach(axes, text)
    return board.axes.ravel() if len(panels) > 1 else board.axes.flat[0]


def third(table: pd.DataFrame, x: str, y: str) -> str | None:
    """The coordinate that differs within a cell, if it is one."""
    if (_networks(table, [y, x]) <= 1).all():
        return None
    rest = [name for name in differing(table, (x, y)) if name not in ("network", "sigma_w2", "sigma_b2")]
    return rest[0] if len(rest) == 1 else None


def one_network_a_cell(table: pd.DataFrame, by: Sequence[str]) -> None:
    """Refuse to average networks that are not the same, or steps of one."""
    several = _networks(table, by)
    if (several > 1).any():
        rest = [n for n in differing(table, by) if n != "network"] or ["network"]
        name = rest[0]
        value = table[name].iloc[0]
        raise GradlabError(
            f"one network in each cell of {' × '.join(by)}",
            f"up to {several.max()}, which differ in {words.listed(rest)}",
            f"frame[frame[{name!r}] == {value!r}], or facet={name!r}",
        )


def _networks(table: pd.DataFrame, by: Sequence[str]) -> pd.Series:
    """How many networks there are in each cell; at another step a network is another one."""
    keys = [name for name in ("network", "step") if name in table]
    networks = table[[*dict.fromkeys([*by, *keys])]].drop_duplicates().assign(networks=1)
    counts: Any = networks.groupby(list(by), observed=True, dropna=False)["networks"].sum()
    return counts


def _panel(
    ax: Any, part: pd.DataFrame, x: str, y: str, columns: Sequence[Hashable], rows: Sequence[Hashable], top: float,
    annotate: bool | None,
) -> Any:  # fmt: skip
    import matplotlib
    from matplotlib.colors import Normalize

    values = np.full((len(rows), len(columns)), np.nan)
    found: dict[tuple[int, int], Any] = {}
    for _, cell in part.iterrows():
        place = rows.index(cell[y]), columns.index(cell[x])
        found[place] = cell
        values[place] = cell["mean"]
    colours = matplotlib.colormaps[DIVERGING]
    norm = Normalize(-top, top)
    edges = np.arange(len(columns) + 1) - 0.5, np.arange(len(rows) + 1) - 0.5
    image = ax.pcolormesh(
        *edges, np.ma.masked_invalid(values), cmap=colours, norm=norm, edgecolors="white", linewidth=line_width(0.4)
    )
    annotate = values.size <= SMALL if annotate is None else annotate
    for row in range(len(rows)):
        for column in range(len(columns)):
            cell = found.get((row, column))
            _dress(ax, row, column, cell, annotate, colours, norm)
    ax.set_xticks(range(len(columns)), [words.named(v) for v in columns])
    ax.set_yticks(range(len(rows)), [words.named(v) for v in rows])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def _dress(ax: Any, row: int, column: int, cell: Any, annotate: bool, colours: Any, norm: Any) -> None:
    """Hatch a cell that holds zeros or failures, grey one that holds nothing, and write what is in it."""
    from matplotlib.patches import Rectangle

    box = {"xy": (column - 0.5, row - 0.5), "width": 1, "height": 1}
    text, dark = "–", False
    if cell is None:
        ax.add_patch(Rectangle(**box, facecolor="0.92", edgecolor="white", linewidth=line_width(0.4), gid="absent"))
    else:
        n, zero, failed = int(cell["n"]), int(cell["n_zero"]), int(cell["n_not_finite"])
        total = n + zero + failed
        text = number(cell["mean"]) if n else ""
        if n:
            r, g, b, _ = colours(norm(cell["mean"]))
            dark = 0.299 * r + 0.587 * g + 0.114 * b < 0.5
        for name, count in (("zero", zero), ("failed", failed)):
            if count:
                face = "none" if n else "white"
                edge = "white" if dark else NEUTRAL
                hatched = {"facecolor": face, "edgecolor": edge, "hatch": HATCHES[name], "linewidth": 0}
                ax.add_patch(Rectangle(**box, **hatched, gid=name))
                text += f"{chr(10) if text else ''}{count}/{total} {name}"
    if annotate or (cell is not None and "/" in text):
        size = _size(text)
        behind = {"facecolor": colours(norm(cell["mean"])) if dark else "white", "pad": 0.8, "linewidth": 0}
        boxed = behind if cell is not None and "/" in text else None
        ax.text(
            column, row, text, ha="center", va="center", fontsize=size, linespacing=0.95,
            color="white" if dark else "black", bbox=boxed, gid="cell",
        )  # fmt: skip


def _size(text: str) -> float:
    """In points; a count takes more room than a number."""
    import matplotlib
    from matplotlib.font_manager import FontProperties

    size = FontProperties(size=matplotlib.rcParams["xtick.labelsize"]).get_size_in_points()
    return 0.85 * size if "/" in text else size


def number(value: float) -> str:
    """Decades in a cell: ``−19``, ``−1.9``, ``−0.07``."""
    size = abs(value)
    digits = 0 if size >= 9.95 else 1 if size >= 0.095 else 2
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def _turn(axes: np.ndarray) -> None:
    """Turn the labels of columns that would overlap."""
    for ax in axes.flat:
        labels = ax.get_xticklabels()
        ax.figure.draw_without_rendering()
        boxes = [label.get_window_extent() for label in labels]
        if any(a.x1 + 2 > b.x0 for a, b in itertools.pairwise(boxes)):
            for each in axes.flat:
                each.tick_params(axis="x", labelrotation=35)
                for label in each.get_xticklabels():
                    label.set(ha="right", rotation_mode="anchor")
            return


def _caption(frame: pd.DataFrame, table: pd.DataFrame, means: pd.DataFrame, facet: str | None) -> str:
    n = words.span([int(v) for v in means.loc[means["n"] > 0, "n"]] or [0], "seed")
    parts = [
        "log10 of the rms delta of the first over that of the last hidden layer (δ = ∂(loss of one example)/"
        f"∂(preactivation)), geometric mean over n = {n}: negative is vanishing, positive exploding, 0 (black) steady.",
        f"A panel for each {facet}." if facet else "",
    ]
    zeros, failed = int(means["n_zero"].sum()), int(means["n_not_finite"].sum())
    if zeros:
        parts.append(f"Hatched: {zeros} networks and seeds with a delta that is exactly 0, in no mean.")
    if failed:
        why = failures(frame)["status"].unique() if "status" in frame else []
        parts.append(f"Cross-hatched: {failed} that failed{': ' if len(why) else ''}{'; '.join(map(str, why))}.")
    parts.append(f"Setting: {words.setting(frame[frame['layer'] >= 1])}.")
    return " ".join(part for part in parts if part)
