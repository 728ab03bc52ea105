"""A circle of inputs carried through the layers: what it looks like, and its length beside theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, name_panel
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import prepare
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import NEUTRAL, Looks, line_width
from gradlab.plots.ground.tables import checked, levels, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def circle(
    frame: pd.DataFrame,
    *,
    hue: str | None = None,
    theory: Mapping[Any, float] | None = None,
    shapes: Mapping[Any, Sequence[Sequence[float]]] | None = None,
    shapes_of: Any = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw the length of a carried circle against layer, beside the slope of sqrt(chi1) (Poole et al. 2016).

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame`: ``layer seed log10_length``.
    hue : str, optional
        The column that gives colours. None: the first of sigma_w2, activation and init that differs.
    theory : mapping, optional
        χ1 by value of `hue` (None where there is none): a line through the mean in the last layer, that falls by
        sqrt(chi1) per layer toward the input. It is a slope, which holds far from the input.
    shapes : mapping of layer to array (points, 2), optional
        ``.shapes`` of a `CarriedCircle`: the curve in each of these layers, a panel each.
    shapes_of : optional
        The value of `hue` whose shapes they are, for the caption.
    ax : Axes or sequence of Axes, optional
        One for each of `shapes`, then one for the length.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are `shapes`.
    """
    checked(frame, "layer", "seed", "log10_length")
    if hue is None:
        hue = next((n for n in ("sigma_w2", "activation", "init") if n in frame and frame[n].nunique() > 1), None)
    require(frame, hue)
    levels_of_hue = levels(frame, hue) if hue else [None]
    look = Looks(hue, None, levels_of_hue, [])
    shapes = dict(shapes or {})
    height = 2.0 if shapes else None
    with canvas(ax, preset, 1, len(shapes) + 1, title=title, wide=bool(shapes), height=height) as sheet:
        *panels, axes = sheet.axes.flat
        for panel, (layer, curve) in zip(panels, shapes.items(), strict=True):
            points = np.asarray(curve, float)
            closed = np.concatenate([points, points[:1]])
            panel.plot(*closed.T, color=NEUTRAL, gid="shape", linewidth=line_width(0.6))
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            panel.set_aspect("equal", adjustable="datalim")  # all panels stay as large as one another
            name_panel(sheet, panel, "input" if layer == 0 else f"layer {layer}")
        shown = {}
        for level in levels_of_hue:
            rows = frame[frame[hue] == level] if hue else frame
            dots = {"color": look.colour(level), "marker": look.marker(level), "linestyle": ""}
            name = words.math(words.entry(hue, level)) if hue else "measured"
            (shown[name],) = axes.plot(rows["layer"], rows["log10_length"], gid="length", **dots)
            if theory and level in theory:
                layers = np.arange(1, int(rows["layer"].max()) + 1)
                end = rows.loc[rows["layer"] == layers[-1], "log10_length"].mean()
                line = end + 0.5 * np.log10(theory[level]) * (layers - layers[-1])
                kind = {"color": look.colour(level), "linestyle": look.line(level, None)}
                axes.plot(layers, line, gid="theory", zorder=1.5, **kind)
        if theory:
            shown[r"growth by $\sqrt{\chi_1}$ per layer"] = Line2D([], [], color=NEUTRAL)
        prepare(axes, "y", at_least=1)
        axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10]))
        axes.set_xlabel("layer (0 = input)")
        axes.set_ylabel("length of the curve")
        place_legend(sheet, shown if len(shown) > 1 else {}, legend)
        sheet.describe(_caption(frame, hue, levels_of_hue, theory, shapes, shapes_of))
    return sheet.result()


def _caption(
    table: pd.DataFrame, hue: str | None, values: Sequence[Any], chi1: Mapping[Any, float] | None,
    shapes: Mapping[Any, Any], shapes_of: Any,
) -> Caption:  # fmt: skip
    changes = []
    for level in values:
        rows = table[table[hue] == level] if hue else table
        means = rows.groupby("layer")["log10_length"].mean()
        where = f" ({words.entry(hue, level)})" if hue else ""
        law = f", theory {chi1[level] ** 0.5:.3g}" if chi1 and level in chi1 else ""
        per = (means.iloc[-1] - means.iloc[0]) / max(means.index[-1] - means.index[0], 1)
        changes.append(f"by a factor {10**per:.3g} per layer{where}{law}")
    ends = f"{int(table['layer'].min())} to {int(table['layer'].max())}"
    parts = [
        f"The length of a circle of inputs changes from layer {ends} {words.listed(changes)}.",
        f"Dots: its length in the preactivations, one for each of n = {words.span([table['seed'].nunique()], 'seed')}; "
        "no mean, no band.",
    ]
    if chi1:
        parts.append("Lines: growth by the root of χ1 per layer, as far from the input, set to the last layer.")
    if shapes:
        where = f", {words.entry(hue, shapes_of)}" if hue and shapes_of is not None else ""
        parts.append(f"Panels: the curve in the plane of its two largest principal components, over its rms{where}.")
    return sentences(parts)
