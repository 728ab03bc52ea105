"""The slopes of a coordinate check: by which power of the width each layer's changes grow, beside the expected one."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.frames.exponents import COLUMNS, LINE, exponents
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, name_panel
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import FAINT, Looks, line_width, marker_size
from gradlab.plots.ground.tables import levels, require

#: What each panel shows, in a formula.
_TITLES = {
    "log10_change_rms": "$z_t - z_0$",
    "log10_weight_effect_rms": r"$x_t\,(W_t - W_0)$",
    "log10_carried_rms": r"$(x_t - x_0)\,W_0$",
}
#: How far apart the marks of two values of `hue` stand at one layer.
_APART = 0.16


def coordinate_check(
    frame: pd.DataFrame,
    *,
    hue: str = "parametrization",
    over: Literal["width", "depth"] = "width",
    step: int | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> np.ndarray:
    """Draw the exponent of each layer's changes over the width with its interval, beside the one that is expected.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.coordinate_check`, or several of them joined; or the table of `gradlab.exponents`.
    hue : str
        Column that colours the trainings.
    over : {"width", "depth"}
        What the changes are fitted against, where the frame is no table of `gradlab.exponents`.
    step : int, optional
        The step that is drawn. None: the first one.
    ax : three Axes, optional
        Where to draw; a figure of its own where it is left out.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    ndarray of three Axes
        The change of each product, the part of its own weight, and the part that earlier layers hand on. Black dashes
        are expected exponents; in the grey zone a change is stable.
    """
    require(frame, hue)
    require(frame, "step")
    table = frame if "slope" in frame else exponents(frame, over)
    step = int(table["step"].min()) if step is None else step
    table = table[table["step"] == step]
    drawn = table[table["slope"].notna()]
    if drawn.empty:
        raise GradlabError(f"an exponent at step {step}", "none", f"a step of {sorted(frame['step'].unique())}")
    look = Looks(hue, None, levels(table, hue))
    names = list(dict.fromkeys(table.sort_values("layer")["layer_name"]))
    with canvas(ax, preset, 1, len(COLUMNS), title=title, wide=True, height=2.2 + 0.06 * max(map(len, names)),
                **({"sharey": True} if ax is None else {})) as sheet:  # fmt: skip
        for axes, column in zip(sheet.axes.flat, COLUMNS, strict=True):
            axes.axhspan(-LINE, LINE, color=FAINT, alpha=0.35, linewidth=0, zorder=0, gid="stable")
            axes.axhline(0, color=FAINT, linewidth=line_width(0.7), zorder=1, gid="zero")
            for i, value in enumerate(look.hues):
                rows = drawn[(drawn["column"] == column) & (drawn[hue] == value)]
                at = rows["layer_name"].map(names.index).to_numpy(float) + _APART * (i - (len(look.hues) - 1) / 2)
                error = np.nan_to_num(np.array([rows["slope"] - rows["low"], rows["high"] - rows["slope"]]))
                axes.errorbar(
                    at, rows["slope"].to_numpy(float), error, color=look.colour(value), marker=look.marker(value),
                    linestyle="", elinewidth=line_width(0.7), zorder=3, gid="measured",
                )  # fmt: skip
                axes.plot(
                    at, rows["expected"].to_numpy(float), linestyle="", marker="_", color="black",
                    markersize=marker_size(1.4), zorder=4, gid="expected",
                )  # fmt: skip
            axes.set_xticks(range(len(names)), names, rotation=0 if len(names) < 4 else 90)
            axes.set_xlim(-0.5, len(names) - 0.5)
            name_panel(sheet, axes, _TITLES[column])
        given = "width" if over == "width" or "slope" in frame else "depth"
        sheet.axes.flat[0].set_ylabel(f"exponent of the rms over the {given}")
        place_legend(sheet, _handles(look, bool(drawn["expected"].notna().any())), legend)
        sheet.describe(_caption(drawn, look, step, given))
    return sheet.result()


def _handles(look: Looks, expected: bool) -> dict[str, Any]:
    from matplotlib.lines import Line2D

    shown = {
        words.entry(str(look.hue), v): Line2D([], [], linestyle="", color=look.colour(v), marker=look.marker(v))
        for v in look.hues
    }
    if expected:
        shown["expected"] = Line2D([], [], linestyle="", marker="_", color="black")
    return shown


def _caption(table: pd.DataFrame, look: Looks, step: int, over: str) -> Caption:
    last = table[(table["column"] == COLUMNS[0]) & (table["layer"] == table["layer"].max())]
    slope_of = lambda row: f"{row['slope']:.2f} ({words.spoken(row[look.hue])})"
    counts = [int(n) for n in table["n"]]
    slopes = words.listed(slope_of(row) for _, row in last.iterrows())
    return sentences([
        f"The change of the last layer grows with an exponent of {slopes}.",
        f"Exponent over the {over} of the rms of what {words.span([step], 'step')} changed, layer by layer: of the "
        "product z = x W, of the part that the update of W made, and of the part that earlier layers hand on.",
        f"Bars are 95 % intervals over n = {words.span(counts, 'seed')}; black dashes are expected exponents; in the "
        "grey zone, as near to 0 as half of the smallest other exponent, a change is stable.",
    ])  # fmt: skip
