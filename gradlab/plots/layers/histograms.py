"""Histograms by layer: Glorot & Bengio 2010, figures 6 (activations) and 7 (back-propagated gradients)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, name_panel
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.headers import broken
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import COLOURS, LIGHTEST, LINES, NEUTRAL, SEQUENTIAL, marker_size
from gradlab.plots.ground.tables import checked, levels, matching, some_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Panels side by side, on a slide and elsewhere; of more layers, as many evenly spaced ones.
PANELS = {"slide": 3}
MOST = 5
SIGNALS: dict[str, str] = {"activation": "activation $a$", "delta": "delta over its own rms"}
TABLE = ("signal", "layer", "bin", "left", "right", "count")
#: Letters of a line beside a row.
_LETTERS = 20


def histograms(
    frame: pd.DataFrame,
    *,
    signal: Literal["activation", "delta"] | None = None,
    row: str | Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    overlay: bool = False,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw densities of activations and of deltas: a row for each initialiser, a panel or a curve for each layer.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.histograms`; several networks by `pandas.concat`. Columns ``signal layer bin count``: `bin` is
        the left edge or the centre, -inf and inf hold what lies beyond, NaN the exact zeros. ``left right``, if any.
    signal : {"activation", "delta"}, optional
        None: both, one below the other.
    row : str or sequence of str, optional
        Columns with a row for each value. None: those that differ, such as `init`.
    layers : sequence of int, optional
        None: up to 5, on a slide 3, evenly spaced from the first to the last.
    overlay : bool
        Whether the layers are curves in one panel, as in the paper, instead of a panel each.
    ax : array of Axes, optional
        A row for each signal and initialiser, a column for each layer.
    legend, title, preset : optional
        As in `gradient_flow`; there is a legend where the layers are curves.

    Returns
    -------
    Axes, or array of Axes (rows, layers)
        A stem at 0 is the share of exact zeros, triangles at the edges are what lies beyond.
    """
    checked(frame, "signal", "layer", "bin", "count")
    signals_there = levels(frame, "signal")
    if any(str(s).startswith("log10_") for s in signals_there):
        raise GradlabError("counts of values", "of log10 of their sizes", "gl.plots.ridges(table)")
    if signal is not None and signal not in signals_there:
        raise unknown("signal", signal, map(str, signals_there))
    signals = [signal] if signal is not None else sorted(signals_there, key=lambda s: s != "activation")
    keys = _keys(frame, row)
    chosen = some_layers(frame, layers, MOST if overlay else PANELS.get(preset or "", MOST))
    frame = frame.loc[frame["signal"].isin(signals)]
    groups = [key for _, key in frame[keys].drop_duplicates().iterrows()] if keys else [pd.Series(dtype=object)]
    grid = [(s, dict(key)) for s in signals for key in groups]
    columns = 1 if overlay else len(chosen)
    with canvas(
        ax, preset, len(grid), columns, title=title, wide=not overlay,
        height=0.55 + (1.6 if overlay else 1.05) * len(grid),
    ) as sheet:  # fmt: skip
        reach = {s: _reach(frame[frame["signal"] == s]) for s in signals}
        of_row = []
        for name, key in grid:
            part = matching(frame[frame["signal"] == name], key)
            of_row.append([_share(part[part["layer"] == layer]) for layer in chosen])
        tops = {s: _top(shares for (n, _), shares in zip(grid, of_row, strict=True) if n == s) for s in signals}
        for i, ((name, key), shares) in enumerate(zip(grid, of_row, strict=True)):
            for j, (layer, share) in enumerate(zip(chosen, shares, strict=True)):
                axes = sheet.axes[i, 0 if overlay else j]
                look = _look(i % len(groups), j, len(chosen), overlay)
                _draw(axes, share, look, f"layer {layer}", overlay, name)
                if not overlay and i == 0:
                    name_panel(sheet, axes, f"layer {layer}")
            _finish(sheet, i, grid, name, key, reach[name], shares, tops[name])
        if overlay:
            named = sheet.axes.flat[0].get_legend_handles_labels()
            place_legend(sheet, dict(zip(named[1], named[0], strict=True)), legend)
        if sheet.ours:
            sheet.figure.supylabel("density", fontsize=_rc("axes.labelsize"))
        sheet.describe(_caption(frame, signals, keys, chosen))
    return sheet.result(grid=True)


def _keys(table: pd.DataFrame, rows: str | Sequence[str] | None) -> list[str]:
    if rows is None:
        others = [n for n in table.columns if n not in TABLE and table[n].nunique(dropna=False) > 1]
        return others or [n for n in ("init",) if n in table]
    names = [rows] if isinstance(rows, str) else list(rows)
    for name in names:
        if name not in table.columns:
            raise unknown("column", name, map(str, table.columns))
    return names


def edges(part: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return left and right edges of the bins: as given, or from what `bin` is, the centre or the left edge."""
    if "left" in part and "right" in part:
        return part["left"].to_numpy(dtype=float), part["right"].to_numpy(dtype=float)
    at = part["bin"].to_numpy(dtype=float)
    known = np.unique(at[np.isfinite(at)])
    width = float(np.median(np.diff(known))) if len(known) > 1 else 1.0
    # 101 centres of equal bins are symmetric about 0, left edges are not
    left = at - width / 2 if abs(known[0] + known[-1]) < width / 2 else at
    return left, left + width


def _share(part: pd.DataFrame) -> dict[str, Any]:
    """Return density of each bin, share of exact zeros and of what lies beyond, of all entries."""
    part = part.assign(bin=part["bin"].astype(float)).groupby("bin", dropna=False, as_index=False).agg(
        {"count": "sum", **{n: "first" for n in ("left", "right") if n in part}}
    )  # fmt: skip
    total = max(float(part["count"].sum()), 1.0)
    inside = part[np.isfinite(part["bin"])].sort_values("bin")
    left, right = edges(inside)
    count = lambda rows: float(part.loc[rows, "count"].sum()) / total
    at = part["bin"]
    return {
        "left": left, "right": right, "density": inside["count"].to_numpy(dtype=float) / total / (right - left),
        "zero": count(at.isna()), "below": count(at == -np.inf), "above": count(at == np.inf),
    }  # fmt: skip


def _reach(table: pd.DataFrame) -> tuple[float, float]:
    """Return what of the axis is occupied; 0 is always there."""
    finite = table[np.isfinite(table["bin"].astype(float)) & (table["count"] > 0)]
    if finite.empty:
        return -1.0, 1.0
    left, right = edges(finite)
    low, high = min(left.min(), 0.0), max(right.max(), 0.0)
    pad = 0.04 * (high - low)
    return max(low - pad, -5.2), min(high + pad, 5.2)


def _look(group: int, place: int, layers: int, overlay: bool) -> dict[str, Any]:
    import matplotlib

    if not overlay:
        return {"color": COLOURS[(0, 3, 2, 5, 1, 4, 6)[group % 7]], "linestyle": "-"}
    colour = matplotlib.colormaps[SEQUENTIAL](LIGHTEST * place / max(layers - 1, 1))
    return {"color": colour, "linestyle": LINES[place % len(LINES)]}


def _draw(ax: Any, share: dict[str, Any], look: dict[str, Any], label: str, overlay: bool, signal: str) -> None:
    steps = np.append(share["left"], share["right"][-1:])
    if overlay:
        centres = (share["left"] + share["right"]) / 2
        ax.plot(centres, share["density"], label=label, gid=signal, **look)
    else:
        ax.stairs(share["density"], steps, fill=True, color=look["color"], alpha=0.75, linewidth=0, gid=signal)
        said = [f"0: {_percent(share['zero'])}"] if share["zero"] else []
        beyond = share["below"] + share["above"]
        said += [f"beyond ±5: {_percent(beyond)}"] if beyond else []
        if said:
            ax.text(
                0.98, 0.97, "\n".join(said), transform=ax.transAxes, ha="right", va="top", gid="beyond",
                fontsize=_small(), linespacing=1.0,
            ).set_in_layout(False)  # fmt: skip
    if share["zero"]:
        ax.plot(
            [0], [0], marker="v", linestyle="", color=look["color"] if overlay else "black", clip_on=False, gid="zero",
            zorder=4, markersize=marker_size(0.75),
        )  # fmt: skip
    for side, at in (("below", 0.0), ("above", 1.0)):
        if share[side]:
            ax.plot(
                [at], [0.04], marker="<" if side == "below" else ">", linestyle="", color=NEUTRAL, clip_on=False,
                transform=ax.transAxes, gid=side, markersize=marker_size(0.75),
            )  # fmt: skip


def _top(rows: Any) -> float:
    """Return the largest density of all layers of all rows."""
    return max([float(share["density"].max(initial=0.0)) for shares in rows for share in shares] + [1e-12])


def _finish(
    sheet: Any, i: int, grid: Sequence[tuple[str, dict[str, Hashable]]], name: str, key: dict[str, Any],
    reach: tuple[float, float], shares: Sequence[dict[str, Any]], top: float,
) -> None:  # fmt: skip
    """Give each signal one scale, so that layers and rows can be compared, and label the edge of each block."""
    from matplotlib.ticker import MaxNLocator

    last = i + 1 == len(grid) or grid[i + 1][0] != name
    said = max(bool(s["zero"]) + bool(s["below"] or s["above"]) for s in shares)
    share = said * 1.2 * _points() / max(72 * 0.68 * sheet.figure.get_figheight() / len(grid), 1)
    room = 1.08 if sheet.axes.shape[1] == 1 else min(1.06 / max(1 - share, 0.4), 2.6)
    for j, ax in enumerate(sheet.axes[i]):
        ax.set_xlim(*reach)
        ax.set_ylim(0, room * top)
        ax.locator_params(axis="y", nbins=3)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
        if j and sheet.ours:
            ax.set_yticklabels([])
        if not last and sheet.ours:
            ax.set_xticklabels([])
    middle = sheet.axes[i, (sheet.axes.shape[1] - 1) // 2]
    if not sheet.ours:  # whose neighbours may be another's
        for ax in sheet.axes[i]:
            ax.set_xlabel(SIGNALS.get(name, name))
        sheet.axes[i, 0].set_ylabel("density")
    elif last:
        middle.set_xlabel(SIGNALS.get(name, name))
    if key:
        named = [words.entry(n, v) for n, v in key.items()]
        short = [text.replace(" ", "\n", 1) if len(text) <= _LETTERS else broken(text, _LETTERS, 2) for text in named]
        text = "\n".join(short)
        ax = sheet.axes[i, -1]
        ax.annotate(
            text, (1, 0.5), xytext=(4, 0), xycoords="axes fraction", textcoords="offset points", rotation=270,
            ha="left", va="center", gid="row", multialignment="center", linespacing=1.0,
        )  # fmt: skip


def _percent(share: float) -> str:
    return "100 %" if share == 1 else f"{100 * share:.2g} %" if share < 0.995 else "> 99 %"


def _rc(name: str) -> Any:
    import matplotlib

    return matplotlib.rcParams[name]


def _small() -> Any:
    return _rc("xtick.labelsize")


def _points() -> float:
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=_small()).get_size_in_points()


def _finding(table: pd.DataFrame, what: str, layers: Sequence[int]) -> str:
    """Say between which values the middle half of the first and of the last layer lies, of all rows together."""
    ends = []
    for layer in dict.fromkeys([layers[0], layers[-1]]):
        rows = table[(table["layer"] == layer) & (table["count"] > 0)]
        at = rows["bin"].astype(float).fillna(0.0).clip(-5, 5).to_numpy()
        order = np.argsort(at, kind="stable")
        share = np.cumsum(rows["count"].to_numpy(float)[order])
        if len(share):
            low, high = at[order][np.searchsorted(share, np.array([0.25, 0.75]) * share[-1])]
            ends.append(f"between {low:.2g} and {high:.2g} in layer {layer}")
    return f"Half of the {what} lie {words.listed(ends)}." if ends else ""


def _caption(table: pd.DataFrame, signals: Sequence[str], keys: Sequence[str], layers: Sequence[int]) -> Caption:
    per = table.groupby(["signal", "layer", *keys], observed=True, dropna=False)["count"].sum()
    what = {"activation": "activations", "delta": "back-propagated gradients δ, each over its own layer's rms"}
    rest = [n for n in table["layer"].unique() if n not in layers]
    zeros = table.loc[table["bin"].isna(), "count"].sum()
    parts = [
        *(_finding(table[table["signal"] == s], what.get(s, s).split(",")[0], layers) for s in signals),
        f"Distribution of {words.listed(what.get(s, s) for s in signals)} by layer (1 = next to the input), density of "
        f"all units and examples, n = {words.span([int(v) for v in per], 'value')} a panel.",
    ]
    if len(table[keys].drop_duplicates()) > 1:
        parts.append(f"A row for each {words.listed(words.short(key) for key in keys)}.")
    parts.append("One scale of density for each signal; no band.")
    if rest:
        parts.append(f"{len(layers)} of {len(rest) + len(layers)} layers are shown.")
    if zeros:
        parts.append("Exact zeros are not in the density: their share stands in the panel, with a triangle at 0.")
    if np.isinf(table.loc[table["count"] > 0, "bin"].astype(float)).any():
        parts.append("Triangles at the edges: entries beyond ±5.")
    return sentences(parts)
