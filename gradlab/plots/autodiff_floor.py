"""What automatic differentiation prints for a deep sigmoid network, and what is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlab._errors import unknown
from gradlab.plots.axes import log10_axis
from gradlab.plots.captions import describe
from gradlab.plots.style import COLOURS, DASHES, MARKERS, looks, panels

#: Smallest normal numbers.
FLOORS: dict[str, float] = {"float16": np.log10(2.0**-14), "float32": np.log10(2.0**-126)}


def autodiff(table: Any, *, ax: Any = None, preset: str | None = None) -> Any:
    """log10 of the weight-gradient norm against layer, by several methods; a zero is a point on the floor.

    Parameters
    ----------
    table : DataFrame
        Columns `method`, `layer`, `log10_weight_grad_norm`; -inf where the method prints 0.
    ax : Axes, optional
    preset : {"paper", "slide"}, optional

    Returns
    -------
    Axes
    """
    for name in ("method", "layer", "log10_weight_grad_norm"):
        if name not in table:
            raise unknown("column", name, table.columns)
    with looks(preset):
        axes = panels(ax, 1, preset, width=4.6)[0, 0]
        methods = list(dict.fromkeys(table["method"]))
        finite = table["log10_weight_grad_norm"][np.isfinite(table["log10_weight_grad_norm"])]
        span = float(finite.max() - finite.min()) if len(finite) else 1.0
        low = float(finite.min()) - 0.14 * span
        dead = []
        widths = np.linspace(3.2, 1.0, max(len(methods), 2))
        for i, method in enumerate(methods):
            rows = table[table["method"] == method].sort_values("layer")
            x, y = rows["layer"].to_numpy(float), rows["log10_weight_grad_norm"].to_numpy(float)
            colour = COLOURS[i % len(COLOURS)]
            scale = 2.0 if preset == "slide" else 1.0
            axes.plot(x, np.where(np.isfinite(y), y, np.nan), color=colour, linestyle=DASHES[i % len(DASHES)],
                      linewidth=scale * widths[i], label=method, gid="line", zorder=2 + i)  # fmt: skip
            zero = np.isneginf(y)
            if zero.any():
                axes.plot(x[zero], np.full(zero.sum(), low + (0.02 + 0.035 * len(dead)) * span), linestyle="", marker=MARKERS[i % len(MARKERS)],
                          color=colour, markersize=2 * scale, gid="zero")  # fmt: skip
                dead.append((method, int(x[zero].max())))
        axes.set_ylim(low, float(finite.max()) + 0.04 * span if len(finite) else 1.0)
        for name, value in FLOORS.items():
            if low < value:
                axes.axhline(value, color="0.45", linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
                axes.annotate(f"smallest normal {name}", (0.99, value), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                              color="0.35", fontsize="small", xytext=(0, 1), textcoords="offset points")  # fmt: skip
        log10_axis(axes)
        axes.set_xlabel("layer (1 = next to the input)")
        axes.set_ylabel(r"weight gradient $\|\partial L/\partial W\|_F$")
        axes.legend(loc="upper left")
        told = "; ".join(f"{method} prints 0 in layers 1 to {layer}" for method, layer in dead)
        describe(axes, f"One network, one draw of its weights (n = 1, no band). {told}{'.' if told else ''} Points at the bottom: a printed zero.")
    return axes
