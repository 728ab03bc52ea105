"""How the entries of a gradient are spread along a training: bands of quantiles, a panel for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, mark_floor, name_panel
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import prepare, step_axis
from gradlab.plots.ground.facets import panels
from gradlab.plots.ground.headers import share_labels, write_headers
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.roles import role
from gradlab.plots.ground.steps import initial
from gradlab.plots.ground.styles import COLOURS, line_width, marker_size
from gradlab.plots.ground.tables import checked, listed, matching, some_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Layers that have a panel each where none are named.
MOST = 4
#: Pairs of quantiles with a band between them, from the widest to the narrowest, and how opaque each is.
PAIRS: tuple[tuple[float, float, float], ...] = ((0.05, 0.95, 0.22), (0.25, 0.75, 0.35))
#: What a column of a histogram is called on its axis, and in a sentence.
_SIGNALS = {
    "log10_weight_grad": (r"$|\partial L\,/\,\partial W_{ij}|$  [loss]", "|∂L/∂W| of a weight"),
    "log10_delta": (r"$|\delta|$, $\delta=\partial L\,/\,\partial z$  [loss]", "|δ| of a unit and an example"),
}


def gradient_quantiles(
    frame: pd.DataFrame,
    *,
    signal: Literal["log10_weight_grad", "log10_delta"] | None = None,
    x: str = "step",
    row: str | Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw the median of a layer's gradient entries along a training, and bands that hold half and nine tenths of them.

    Parameters
    ----------
    frame : DataFrame
        Histograms of the weights of several steps, one table below another with a column ``step``, each from
        ``gradlab.frame(gradlab.histograms(net, x, y, params=weights, log10=True)).assign(step=step)``.
    signal : {"log10_weight_grad", "log10_delta"}, optional
        None: the first of them that the frame has.
    x : str
        The column that counts training.
    row : str or sequence of str, optional
        Columns with a row of panels for each value. None: all rows of a layer must be of one network.
    layers : sequence of int, optional
        None: up to 4, evenly spaced from the first to the last.
    ax : Axes or sequence of Axes, optional
        One for each panel, row by row.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are several panels
        Quantiles are of absolute values, exact zeros among them: one that is zero is a triangle on the floor, hollow
        where it is the lower end of a band. All panels share their axes.

    Examples
    --------
    >>> import gradlab as gl, pandas as pd
    >>> net, x, y = gl.MLP(depth=3, width=8, activation="tanh"), [[1.0, 0.5]] * 8, [0, 1] * 4
    >>> training = gl.train(net, x, y, steps=4, batch=4, seeds=1, progress=False)
    >>> weights = {0: net.init_params(0, x, y), 4: training.params[0]}
    >>> tables = [gl.frame(gl.histograms(net, x, y, params=w, log10=True)).assign(step=s) for s, w in weights.items()]
    >>> axes = gl.plots.gradient_quantiles(pd.concat(tables))
    >>> [ax.get_title() for ax in axes]
    ['layer 1', 'layer 2', 'layer 3']
    """
    checked(frame, "signal", "layer", "bin", "left", "right", "count", x)
    there = [s for s in _SIGNALS if s in set(frame["signal"])]
    if not there:
        raise GradlabError(
            "counts of log10 of absolute values", f"of {words.listed(frame['signal'].unique())}",
            "gl.frame(gl.histograms(net, x, y, log10=True))",
        )  # fmt: skip
    if signal is not None and signal not in there:
        raise unknown("signal", signal, there)
    shown = signal or there[0]
    frame = frame.loc[frame["signal"] == shown]
    down = listed(row, frame)
    _one_network(frame, [*down, "layer", x])
    chosen = some_layers(frame, layers, MOST)
    rows = panels(frame, down)
    tables = [[_quantiles(matching(frame, {**key, "layer": layer}), x) for layer in chosen] for _, key in rows]
    finite = [t.drop(columns=[x, "n"]).replace(-np.inf, np.nan).min(axis=None) for line in tables for t in line]
    lowest = min([value for value in finite if np.isfinite(value)], default=0.0) - 0.3
    size = {"sharex": True, "sharey": True, "height": 2.4 if len(rows) == 1 else 0.8 + 1.4 * len(rows)}
    size = size if ax is None else {}
    with canvas(ax, preset, len(rows), len(chosen), title=title, wide=len(chosen) > 1, **size) as sheet:
        for line, others in zip(sheet.axes, tables, strict=True):
            for axes, layer, table in zip(line, chosen, others, strict=True):
                sheet.notes |= _panel(axes, table, x, lowest)
                step_axis(axes, table[x])
                name_panel(sheet, axes, f"layer {layer}" if axes in sheet.axes[0] or not sheet.ours else "")
                axes.set_xlabel(words.axis(x))
            line[0].set_ylabel(_SIGNALS[shown][0])
        if sheet.ours and sheet.axes.size > 1:
            share_labels(sheet, words.axis(x))
            write_headers(sheet, [header for header, _ in rows])
        place_legend(sheet, sheet.notes, legend)
        sheet.describe(_caption(frame, tables, chosen, shown, x))
    return sheet.result(grid=bool(down))


def _one_network(frame: pd.DataFrame, by: Sequence[str]) -> None:
    """Refuse to add the counts of several networks."""
    others = [n for n in frame.columns if n not in (*by, "signal", "bin", "left", "right", "count", "layer_name")]
    several = [n for n in others if (frame.groupby(list(by), observed=True, dropna=False)[n].nunique() > 1).any()]
    if several:
        received = f"several, which differ in {words.listed(several)}"
        raise GradlabError("one network for each layer and step", received, f"row={several[0]!r}")


def _quantiles(rows: pd.DataFrame, x: str) -> pd.DataFrame:
    """Return the quantiles of each step as log10, -inf where they are an exact zero; linear in log10 within a bin."""
    shares = sorted({0.5, *(share for low, high, _ in PAIRS for share in (low, high))})
    tables_made = []
    for step, others in rows.groupby(x, observed=True):
        others = others.assign(at=others["bin"].fillna(-np.inf)).sort_values(["at", "left"])  # zeros first
        counts = others["count"].to_numpy(float)
        total = np.concatenate([[0.0], counts.cumsum()])
        values = {x: step, "n": total[-1]}
        for share in shares:
            place = min(int(np.searchsorted(total[1:], share * total[-1])), len(counts) - 1)
            left, right = others["left"].to_numpy(float)[place], others["right"].to_numpy(float)[place]
            within = (share * total[-1] - total[place]) / max(counts[place], 1.0)
            finite = np.isfinite(others["at"].to_numpy(float)[place])
            values[share] = left + within * (right - left) if finite else -np.inf
        tables_made.append(values)
    return pd.DataFrame(tables_made)


def _panel(ax: Any, table: pd.DataFrame, x: str, lowest: float) -> dict[str, Any]:
    """Draw the bands and the median of one layer; return the handles of the legend."""
    from matplotlib.patches import Patch

    at, colour = table[x].to_numpy(float), COLOURS[0]
    finite = table.drop(columns=[x, "n"]).replace(-np.inf, np.nan)
    shown: dict[str, Any] = {}
    for low, high, strength in PAIRS:
        # a band whose lower end is zero reaches down to just above the floor
        bottom = table[low].replace(-np.inf, lowest).where(np.isfinite(table[high]))
        look = {**role("band", colour), "alpha": strength}
        ax.fill_between(at, bottom, table[high].replace(-np.inf, np.nan), gid=f"{low:g} to {high:g}", **look)
        shown[f"{100 * low:g}th to {100 * high:g}th percentile"] = Patch(**look)
    (shown["median"],) = ax.plot(
        at, finite[0.5], color=colour, linewidth=line_width(), marker="o", markersize=marker_size(0.6), gid="median"
    )
    widest = PAIRS[0][0]
    for zeros, filled in ((table[0.5], True), (table[widest].where(np.isfinite(table[0.5])), False)):
        where = np.isneginf(zeros.to_numpy(float))
        if where.any():
            mark_floor(ax, at[where], colour, filled=filled)
    prepare(ax, "y", at_least=1.0, floor=int(np.isneginf(table[widest]).any()))
    return {name: handle for name, handle in reversed(shown.items())}


def _caption(
    frame: pd.DataFrame, tables: Sequence[Sequence[pd.DataFrame]], layers: Sequence[int], signal: str, x: str
) -> Caption:  # fmt: skip
    name, table = _SIGNALS[signal][1], tables[0][0]
    ends = [float(table[0.5].iloc[i]) for i in (0, -1)]
    first = f"The median {name} in layer {layers[0]}"
    with np.errstate(invalid="ignore"):
        does = "is exactly 0 throughout" if np.isneginf(ends).all() else words.change(ends[1] - ends[0])
    between = f"from step {table[x].iloc[0]:g} to step {table[x].iloc[-1]:g}"
    many = words.span([int(v) for line in tables for t in line for v in t["n"]], "value")
    zeros = any(np.isneginf(t[PAIRS[0][0]]).any() for line in tables for t in line)
    parts = [
        f"{first} {does} {between}.",
        f"Absolute values of a layer's entries, n = {many} a step: median, and bands that hold half and nine tenths of "
        f"them, against the {words.axis(x)}{initial(frame[x])}. They are the spread of entries, no uncertainty.",
        "Triangles on the floor: the median (filled) or the 5th percentile (hollow) is exactly 0." if zeros else "",
        f"Setting: {setting}." if (setting := words.setting(frame)) else "",
    ]
    return sentences(parts)
