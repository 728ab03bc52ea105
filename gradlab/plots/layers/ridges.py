"""How large the entries of each layer are: densities of log10 of absolute values, divided by nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, name_panel
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import prepare
from gradlab.plots.ground.formats import Floor, draw_floors, floors_text, name_floors
from gradlab.plots.ground.styles import LIGHTEST, NEUTRAL, SEQUENTIAL, line_width, marker_size, shaded
from gradlab.plots.ground.tables import checked, levels, matching, require, some_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Layers that have a ridge each where none are named.
MOST = 12
#: Panels side by side; how far a ridge reaches over the next.
_PANELS, _REACH = 4, 1.7
SIGNALS: dict[str, tuple[str, str]] = {
    "log10_delta": (r"$|\delta|$, $\delta=\partial L\,/\,\partial z$ of one example", "|δ| of a unit and an example"),
    "log10_weight_grad": (r"$|\partial L\,/\,\partial W_{ij}|$", "|∂L/∂W| of a weight"),
}
_OWN = ("signal", "layer", "bin", "left", "right", "count")


def ridges(
    frame: pd.DataFrame,
    *,
    signal: Literal["log10_delta", "log10_weight_grad"] | None = None,
    col: str | Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    ax: Any = None,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw densities of log10 of absolute values by layer, with the ends of float16, bfloat16 and float32.

    Unlike in Glorot & Bengio 2010, figure 7, nothing is divided by a layer's own size: a signal that vanishes moves to
    the left from layer to layer, and where it leaves a format is seen.

    Parameters
    ----------
    frame : DataFrame
        From ``gradlab.histograms(..., log10=True)``; of several networks by `pandas.concat`.
    signal : {"log10_delta", "log10_weight_grad"}, optional
        None: both, side by side.
    col : str or sequence of str, optional
        Columns with a panel for each value. None: those that differ, such as `init`.
    layers : sequence of int, optional
        None: up to 12, evenly spaced from the first to the last.
    ax : Axes or sequence of Axes, optional
        One for each panel.
    title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are several panels
        The last layer is at the top, where the backward pass begins. Ridges of a panel have one scale: equal areas are
        equal shares of all entries, those that are exactly zero left out; their share stands at the right.

    Examples
    --------
    >>> import numpy as np
    >>> import gradlab as gl
    >>> x, y = np.ones((8, 4), np.float32), np.arange(8) % 2
    >>> table = gl.frame(gl.histograms(gl.MLP(depth=6, width=8, activation="sigmoid"), x, y, log10=True))
    >>> gl.plots.ridges(table, signal="log10_delta").get_ylabel()
    'layer (1 = next to the input)'
    """
    checked(frame, *_OWN)
    there = [s for s in SIGNALS if s in set(frame["signal"])]
    if not there:
        raise GradlabError(
            "counts of log10 of absolute values", f"of {words.listed(frame['signal'].unique())}",
            "gl.frame(gl.histograms(net, x, y, log10=True))",
        )  # fmt: skip
    if signal is not None and signal not in there:
        raise unknown("signal", signal, there)
    frame = frame.loc[frame["signal"].isin([signal] if signal is not None else there)]
    names = _columns(frame, col)
    keys = [dict(key) for _, key in frame[names].drop_duplicates().iterrows()] if names else [{}]
    panels = [(s, key) for s in ([signal] if signal is not None else there) for key in keys]
    if len(panels) > _PANELS and ax is None:
        name = names[0] if names else "signal"
        raise GradlabError(f"up to {_PANELS} panels", str(len(panels)), f"table[table[{name!r}] == ...], or signal=")
    chosen = some_layers(frame, layers, MOST)
    height = 0.9 + 0.24 * max(len(chosen), 5)
    with canvas(ax, preset, 1, len(panels), title=title, wide=len(panels) > 1, height=height) as sheet:
        said, floors = [], []
        span = _span(frame[frame["layer"].isin(chosen)])
        for axes, (name, key) in zip(sheet.axes.flat, panels, strict=True):
            part = matching(frame[frame["signal"] == name], key)
            floors = _panel(axes, part, name, chosen, *span)
            name_panel(sheet, axes, ", ".join(words.math(words.entry(n, v)) for n, v in key.items()))
            said.append(_finding(part, name, key, chosen))
        sheet.axes.flat[0].set_ylabel(words.axis("layer"))
        if sheet.ours:
            for axes in sheet.axes.flat[1:]:
                axes.set_yticklabels([])
        sheet.figure.draw_without_rendering()
        for axes in sheet.axes.flat:
            name_floors(axes, floors)
        sheet.describe(_caption(frame, names, said, chosen, floors))
    return sheet.result()


def _columns(table: pd.DataFrame, columns: str | Sequence[str] | None) -> list[str]:
    if columns is None:
        others = [n for n in table.columns if n not in _OWN]
        within = table.groupby([n for n in ("architecture", "init", "depth") if n in table], observed=True)
        # an activation for each layer is no coordinate of the network
        return [n for n in others if table[n].nunique() > 1 and not (n == "activation" and _by_layer(within))]
    names = [columns] if isinstance(columns, str) else list(columns)
    for name in names:
        require(table, name)
    return names


def _by_layer(groups: Any) -> bool:
    return all(rows.groupby("layer")["activation"].nunique().max() == 1 for _, rows in groups) and any(
        rows["activation"].nunique() > 1 for _, rows in groups
    )


def _span(table: pd.DataFrame) -> tuple[float, float]:
    """Return what all ridges of a figure span, so that its panels can be compared."""
    inside = table[np.isfinite(table["bin"]) & (table["count"] > 0)]
    return (float(inside["left"].min()), float(inside["right"].max())) if len(inside) else (-1.0, 0.0)


def _panel(ax: Any, part: pd.DataFrame, name: str, chosen: Sequence[int], low: float, high: float) -> list[Floor]:
    """Draw a ridge for each layer, the first in front; zeros at the side."""
    shapes = {layer: _density(part[part["layer"] == layer]) for layer in chosen}
    top = max((float(d.max(initial=0)) for _, d, _, _ in shapes.values()), default=0.0) or 1.0
    drawn = draw_floors(ax, low, high)
    ends = [floor.at for floor in drawn]
    low, high = min([low, *ends]), max([high, *ends])
    ax.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    for place, layer in enumerate(chosen):
        edges, density, median, zeros = shapes[layer]
        colour = matplotlib.colormaps[SEQUENTIAL](LIGHTEST * place / max(len(chosen) - 1, 1))
        ground = {"zorder": 3 - 0.01 * place}
        ax.axhline(place, color=NEUTRAL, linewidth=line_width(0.25), gid="ground", **ground)
        if len(density):
            height = place + _REACH * density / top
            look = {"facecolor": (*colour[:3], 0.85), "edgecolor": shaded(colour), "linewidth": line_width(0.3)}
            ax.stairs(height, edges, baseline=place, fill=True, gid="ridge", **look, **ground)
            mark = {"marker": "|", "markersize": marker_size(1.6), "color": "black", "linestyle": ""}
            ax.plot([median], [place], gid="median", zorder=3.5, **mark)
        if zeros:
            ax.annotate(
                f"{_percent(zeros)} zero", (1, place), (2, 0), xycoords=ax.get_yaxis_transform(), va="bottom",
                textcoords="offset points", fontsize=matplotlib.rcParams["xtick.labelsize"], ha="left", gid="zeros",
            )  # fmt: skip
    ax.set_ylim(-0.25, len(chosen) - 1 + 1.05 * _REACH)
    ax.set_yticks(range(len(chosen)), [str(layer) for layer in chosen])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    prepare(ax, "x")
    ax.xaxis.get_major_locator().set_params(nbins=6)
    ax.set_xlabel(SIGNALS[name][0])
    return drawn


def _density(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return edges of equal bins, share of all entries per decade in each, median in log10, and share of zeros."""
    sums: Any = rows.groupby(["left", "right", "bin"], dropna=False, as_index=False)["count"].sum()
    rows = sums
    total = max(float(rows["count"].sum()), 1.0)
    zeros = float(rows.loc[rows["bin"].isna(), "count"].sum()) / total
    inside = rows[np.isfinite(rows["bin"])].sort_values("left")
    if inside.empty:
        return np.empty(0), np.empty(0), np.nan, zeros
    left, right, counts = (inside[name].to_numpy(float) for name in ("left", "right", "count"))
    width = float(right[0] - left[0])
    place = np.round((left - left[0]) / width).astype(int)
    density = np.zeros(place[-1] + 1)
    np.add.at(density, place, counts / total / width)
    share = np.cumsum(counts) / counts.sum()
    median = float(0.5 * (left + right)[np.searchsorted(share, 0.5)])
    return left[0] + width * np.arange(len(density) + 1), density, median, zeros


def _finding(part: pd.DataFrame, name: str, key: dict[str, Any], chosen: Sequence[int]) -> str:
    """Say what the median does from the last layer to the first, and what is lost there."""
    first, last = (_density(part[part["layer"] == layer]) for layer in (chosen[0], chosen[-1]))
    where = f" ({', '.join(words.entry(n, v) for n, v in key.items())})" if key else ""
    if not np.isfinite(last[2]) or not np.isfinite(first[2]):
        return (
            f"All {SIGNALS[name][1]} are exactly zero in layer {chosen[0] if not len(first[1]) else chosen[-1]}{where}."
        )
    does = words.change(first[2] - last[2])
    text = f"From layer {chosen[-1]} to layer {chosen[0]} the median {SIGNALS[name][1]} {does}{where}"
    return f"{text}; {_percent(first[3])} are exactly zero in layer {chosen[0]}." if first[3] else f"{text}."


def _caption(
    table: pd.DataFrame, names: Sequence[str], said: Sequence[str], chosen: Sequence[int], floors: list[Floor]
) -> Caption:
    per = table.groupby(["signal", "layer", *names], observed=True, dropna=False)["count"].sum()
    known = levels(table, "layer")
    low = table.loc[table["bin"] == -np.inf, "count"].sum()
    parts = [
        *said,
        f"Densities of log10 of absolute values, n = {words.span([int(v) for v in per], 'value')} a layer, one scale a "
        "panel; upright marks: medians of what is not zero. No band.",
        "Exact zeros are in no ridge: their share stands at the right." if table["bin"].isna().any() else "",
        f"{len(chosen)} of {len(known)} layers are shown." if len(chosen) < len(known) else "",
        f"{int(low)} entries lie more than 38 decades below their layer's largest, in no ridge." if low else "",
        floors_text(floors),
        f"Setting: {words.setting(table)}." if words.setting(table) else "",
    ]
    return sentences(parts)


def _percent(share: float) -> str:
    return "100 %" if share == 1 else f"{100 * share:.2g} %" if share < 0.995 else "> 99 %"
