"""A circle of inputs carried through the layers: what it looks like, and its length beside theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab.plots import words
from gradlab.plots.canvas import canvas, name_panel
from gradlab.plots.captions import attach
from gradlab.plots.decades import prepare
from gradlab.plots.legends import Place, place_legend
from gradlab.plots.styles import NEUTRAL, Looks, line_width
from gradlab.plots.tables import checked, levels, require


def circle(
    table: pd.DataFrame,
    ax: Any = None,
    *,
    hue: str | None = None,
    chi1: Mapping[Any, float] | None = None,
    shapes: Mapping[Any, Sequence[Sequence[float]]] | None = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Any:
    """The length of a carried circle against layer, beside the slope of sqrt(chi1) (Poole et al. 2016).

    Parameters
    ----------
    table : DataFrame
        From `gradlab.curves`: ``layer seed log10_length``.
    ax : Axes or sequence of Axes, optional
        One for each of `shapes`, then one for the length.
    hue : str, optional
        The column that gives colours. None: the first of sigma_w2, activation and init that differs.
    chi1 : mapping, optional
        By value of `hue` (None where there is none): a line from the mean in layer 1 by sqrt(chi1) per layer.
    shapes : mapping of layer to array (points, 2), optional
        ``.shapes`` of a `CarriedCircle`: the curve in each of these layers, a panel each.
    legend, title, preset
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are `shapes`.
    """
    checked(table, "layer", "seed", "log10_length")
    if hue is None:
        hue = next((n for n in ("sigma_w2", "activation", "init") if n in table and table[n].nunique() > 1), None)
    require(table, hue)
    found = levels(table, hue) if hue else [None]
    look = Looks(hue, None, found, [])
    shapes = dict(shapes or {})
    with canvas(
        ax, preset, 1, len(shapes) + 1, title=title, wide=bool(shapes), height=2.0 if shapes else None
    ) as board:
        *panels, axes = board.axes.flat
        for panel, (layer, curve) in zip(panels, shapes.items(), strict=True):
            points = np.asarray(curve, float)
            closed = np.concatenate([points, points[:1]])
            panel.plot(*closed.T, color=NEUTRAL, gid="shape", linewidth=line_width(0.6))
            panel.set(xticks=[], yticks=[], aspect="equal")
            name_panel(board, panel, "input" if layer == 0 else f"layer {layer}")
        shown = {}
        for level in found:
            rows = table[table[hue] == level] if hue else table
            dots = {"color": look.colour(level), "marker": look.marker(level), "linestyle": ""}
            (shown[words.entry(hue, level) if hue else "measured"],) = axes.plot(
                rows["layer"], rows["log10_length"], gid="length", **dots
            )
            if chi1 and level in chi1:
                layers = np.arange(1, int(rows["layer"].max()) + 1)
                start = rows.loc[rows["layer"] == 1, "log10_length"].mean()
                line = start + 0.5 * np.log10(chi1[level]) * (layers - 1)
                axes.plot(layers, line, color=look.colour(level), gid="theory", zorder=1.5)
        prepare(axes, "y", at_least=1)
        axes.set_xlabel("layer (0 = input)")
        axes.set_ylabel("length of the curve  [1]")
        place_legend(board, shown if len(shown) > 1 else {}, legend)
        n = words.span([table["seed"].nunique()], "seed")
        text = f"Length of a circle of inputs in each layer's preactivations, a dot for each of {n}."
        text += r" Lines: growth by the root of χ1 per layer." if chi1 else ""
        text += (
            " Panels: the curve in the plane of its two largest principal components, over its rms." if shapes else ""
        )
        for one in board.axes.flat:
            attach(one, text)
    return board.axes.ravel() if shapes else axes
