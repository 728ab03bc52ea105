"""Forward signal, delta and weight gradient against layer, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradlab._errors import GradlabError, unknown
from gradlab.frames.summaries import summarise
from gradlab.plots.axes import log10_axis, mark_floor
from gradlab.plots.captions import BANDS, count, describe
from gradlab.plots.style import Key, looks, panels

#: What each column is called on an axis, with its unit.
LABELS: dict[str, str] = {
    "log10_activation_rms": "activation, rms",
    "log10_preactivation_rms": "preactivation, rms",
    "log10_delta_rms": r"delta $\partial L_i/\partial z$, rms",
    "delta_log10_mean": r"delta of one example, geometric mean",
    "log10_weight_grad_norm": r"weight gradient $\|\partial L/\partial W\|_F$",
    "log10_bias_grad_norm": r"bias gradient $\|\partial L/\partial b\|$",
    "log10_one_minus_c": r"$1-c$ of two inputs",
    "log10_per_example_grad_norm_rms": "gradient of one example, rms norm",
    "activation_mean_over_rms": "activation mean / rms",
    "saturated_fraction": "saturated fraction",
    "dead_fraction": "dead fraction",
}
PANELS: tuple[str, ...] = ("log10_activation_rms", "log10_delta_rms", "log10_weight_grad_norm")
#: Up to this many seeds are drawn one by one.
THIN = 8


def gradient_flow(
    frame: Any,
    *,
    x: str = "layer",
    hue: str | None = None,
    style: str | None = None,
    band: str = "ci95",
    columns: Sequence[str] | str | None = None,
    ax: Any = None,
    preset: str | None = None,
) -> Any:
    """Per-layer curves, one panel a column: forward signal, delta and weight gradient.

    The mean over seeds of log10, which is the geometric mean, as `gradlab.summarise` returns it. Up
    to eight seeds stand behind it as thin lines, more as the band. A value that is truly zero is a
    marked point on the floor of the axis.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`.
    x : {"layer", "from_loss"}
        Layer, or layers counted from the loss.
    hue, style : str, optional
        Coordinates that choose colour, and line with marker. None: what differs in the frame.
    band : {"ci95", "sd", "range", "seeds"}
    columns : sequence of str, optional
        Measured columns, one panel each.
    ax : Axes or sequence of Axes, optional
        One for each column; a single one draws the delta.
    preset : {"paper", "slide"}, optional

    Returns
    -------
    Axes or ndarray of Axes
        One axes where one was given.
    """
    if x not in ("layer", "from_loss"):
        raise unknown("x", x, ("layer", "from_loss"))
    if band not in BANDS:
        raise unknown("band", band, BANDS)
    names = [columns] if isinstance(columns, str) else list(columns or (PANELS if ax is None or np.size(ax) > 1 else PANELS[1:2]))
    if columns is None:
        names = [n for n in names if n in frame] or names
    for name in names:
        if name not in frame:
            raise unknown("column", name, frame.columns)
    hue, style = chosen(frame, hue, style)
    rows = frame[frame["layer"] >= 1]
    if x == "from_loss":
        rows = rows.assign(from_loss=rows["depth"] + 1 - rows["layer"])
    one = ax is not None and np.size(ax) == 1
    with looks(preset):
        if ax is not None and np.size(ax) != len(names):
            raise GradlabError(f"one axes for each of the {len(names)} columns", f"{np.size(ax)}", "columns= or ax=")
        axes = panels(ax, len(names), preset)[0]
        key = Key(rows, hue, style)
        for panel, name in zip(axes, names, strict=True):
            _panel(panel, rows, name, x, key, band)
        key.legend(axes[0].figure, axes[0], ax is None)
    return axes[0] if one or len(axes) == 1 else axes


def chosen(frame: Any, hue: str | None, style: str | None) -> tuple[str | None, str | None]:
    """The coordinates for colour and line: those asked for, else what differs in the frame."""
    for name in (hue, style):
        if name is not None and name not in frame:
            raise unknown("coordinate", name, frame.columns)
    if hue is None and style is None:
        skip = ("network", "architecture", "data", "dtype", "loss", "batch", "sigma_b2", "width", "sigma_w2")
        left = [n for n in frame.columns[: list(frame.columns).index("seed")] if n not in skip]
        extra = [n for n in left if frame[n].nunique() > 1]
        hue, style = (*extra, None, None)[:2]
    return hue, style


def _panel(ax: Any, rows: Any, name: str, x: str, key: Key, band: str) -> None:
    by = [n for n in dict.fromkeys((key.hue, key.style)) if n]
    table = summarise(rows, [*by, x], name, band="ci95" if band == "seeds" else band)
    seeds = summarise(rows, [*by, x], name, band="seeds")
    few = rows["seed"].nunique() <= THIN
    for group, curve in _groups(table, by):
        hue = group.get(key.hue) if key.hue else None
        kind = key.of(hue, group.get(key.style) if key.style else None)
        curve = curve.sort_values(x)
        where = curve[x].to_numpy(float)
        if band == "seeds" or few:
            part = _where(seeds, group)
            for _, thin in part.groupby("seed", observed=True):
                thin = thin.sort_values(x)
                ax.plot(thin[x].to_numpy(float), thin["mean"].to_numpy(float), color=kind["color"], alpha=0.25, linewidth=0.6, gid="seed")
        if band != "seeds" and not few:
            low, high = curve["low"].to_numpy(float), curve["high"].to_numpy(float)
            ax.fill_between(where, low, high, color=kind["color"], alpha=0.25, linewidth=0)
        every = max(1, len(where) // 8)
        ax.plot(where, curve["mean"].to_numpy(float), markevery=every, gid="mean", **kind)
        zero = where[curve["n_zero"].to_numpy() > 0]
        if len(zero):
            mark_floor(ax, zero, kind["color"])
    ax.set_title(LABELS.get(name, name.replace("_", " ")))
    ax.set_xlabel("layer (1 = next to the input)" if x == "layer" else "layers from the loss")
    if name.startswith("log10_") or name == "delta_log10_mean":
        log10_axis(ax)
    _tell(ax, table, name, band, few, rows)


def _groups(table: Any, by: list[str]):
    """(coordinates, rows) of each curve."""
    if not by:
        return [({}, table)]
    return [
        (dict(zip(by, values if isinstance(values, tuple) else (values,), strict=True)), part)
        for values, part in table.groupby(by, observed=True, sort=False, dropna=False)
    ]


def _where(table: Any, group: dict[str, Any]) -> Any:
    for name, value in group.items():
        table = table[table[name] == value]
    return table


def _tell(ax: Any, table: Any, name: str, band: str, few: bool, rows: Any) -> None:
    zeros, lost = int(table["n_zero"].sum()), int(table["n_not_finite"].sum())
    n = table["n"][table["n"] > 0]
    number = count(n) if len(n) else "no finite seed"
    shown = "thin lines: every seed" if few or band == "seeds" else f"band: {BANDS[band]}"
    kind = "geometric mean" if name.startswith("log10_") else "mean"
    about = LABELS.get(name, name).split(" $")[0]
    text = f"Lines: {kind} over {number}; {shown}."
    if name == "log10_delta_rms":
        text += " Delta: rms pooled over batch and units (log10_delta_rms)."
    if zeros:
        text += f" {about}: {zeros} values are exactly zero, marked on the floor."
    if lost:
        text += f" {about}: {lost} values are not finite and not drawn."
    failed = int((rows["status"].astype(str) != "ok").sum())
    if failed:
        text += f" {failed} rows failed."
    describe(ax, text)
