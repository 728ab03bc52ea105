"""Per-layer histograms of activations and back-propagated gradients (Glorot & Bengio 2010, figures 6 and 7)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlab._errors import unknown
from gradlab.plots.captions import describe
from gradlab.plots.style import looks, panels, pretty


def histograms(table: Any, *, signal: str = "activation", rows: str = "init", ax: Any = None, preset: str | None = None) -> Any:
    """Densities of one signal in every layer, a panel a layer, a row for each initialiser.

    Parameters
    ----------
    table : DataFrame
        From `gradlab.histograms`, several of them concatenated.
    signal : {"activation", "delta"}
    rows : str
        Column whose values make the rows.
    ax : array of Axes, optional
        Of shape (values of `rows`, layers).
    preset : {"paper", "slide"}, optional

    Returns
    -------
    ndarray of Axes, shape (rows, layers)
    """
    if signal not in set(table["signal"]):
        raise unknown("signal", signal, sorted(set(table["signal"])))
    if rows not in table:
        raise unknown("column", rows, table.columns)
    table = table[table["signal"] == signal]
    kinds, layers = list(dict.fromkeys(table[rows])), sorted(set(table["layer"]))
    with looks(preset):
        axes = panels(ax, len(layers), preset, rows=len(kinds), sharex=True, sharey="row")
        outside, zeros, total = 0, 0, 0
        for line, kind in zip(axes, kinds, strict=True):
            for panel, layer in zip(line, layers, strict=True):
                part = table[(table[rows] == kind) & (table["layer"] == layer)]
                inside = part[np.isfinite(part["bin"])].sort_values("bin")
                n = part["count"].sum()
                width = (inside["right"] - inside["left"]).to_numpy(float)
                density = inside["count"].to_numpy(float) / max(n, 1) / width
                panel.fill_between(inside["bin"].to_numpy(float), density, step="mid", alpha=0.35, color="#0072B2", linewidth=0)
                panel.step(inside["bin"].to_numpy(float), density, where="mid", color="#0072B2", linewidth=0.8)
                outside += int(part["count"][np.isinf(part["bin"])].sum())
                exact = int(part["count"][part["bin"].isna()].sum())
                zeros, total = zeros + exact, total + int(n)
                if exact:
                    panel.annotate(f"{exact / n:.0%} zero", (0.97, 0.95), xycoords="axes fraction", ha="right", va="top", fontsize="small")
                panel.set_yticks([])
                panel.grid(False)
        for panel, layer in zip(axes[0], layers, strict=True):
            panel.set_title(f"layer {layer}")
        for line, kind in zip(axes, kinds, strict=True):
            line[0].set_ylabel(f"{pretty(kind)}\ndensity")
        unit = "activation" if signal == "activation" else "delta / its rms"
        for panel in axes[-1]:
            panel.set_xlabel(unit)
        describe(axes[0, 0], f"Densities of the {signal} over {total} values; {outside} lie beyond ±5, {zeros} are exactly zero and stand in no bin.")
    return axes
