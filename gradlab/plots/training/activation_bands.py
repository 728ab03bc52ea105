"""Where a layer's activations lie along the training: mean, standard deviation and 98th percentile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas, draw_lines, handles, name_panel
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import step_axis
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.steps import mark_ends, never_averaged, panels, trained
from gradlab.plots.ground.styles import Looks
from gradlab.plots.ground.tables import hidden, some_layers, summaries

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Layers that have a panel each where none are named, by preset.
PANELS: dict[str | None, int] = {"slide": 4}
MOST = 5
MEAN, HIGH = "mean", "98th percentile"


def activation_bands(
    frame: pd.DataFrame,
    *,
    x: str = "step",
    row: str | Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    r"""Draw mean ± standard deviation of each layer's activations, and their 98th percentile, along the training.

    After Glorot & Bengio 2010, figures 2 and 3: a layer that saturates shows itself. With m the mean over the rms r,
    the standard deviation is :math:`r\sqrt{1-m^2}`, over examples and units.

    Parameters
    ----------
    frame : DataFrame
        Of a training run, with `log10_activation_rms`, `activation_mean_over_rms` and, for the percentile,
        `activation_p98_over_rms`.
    row : str or sequence of str, optional
        Coordinates that have a row of panels for each of their values. None: all that differ.
    layers : sequence of int, optional
        A column of panels for each. None: up to five hidden layers, from the first to the last.
    ax : Axes or sequence of Axes, optional
        One for each panel, row by row.
    x, legend, title, preset : optional
        As in `learning_speed`.

    Returns
    -------
    Axes, or array of Axes (configurations, layers) where there are several panels
        Each quantity is averaged over seeds; bands are the spread of activations, not of seeds.

    Examples
    --------
    >>> import numpy as np
    >>> import gradlab as gl
    >>> net, x, y = gl.MLP(depth=2, width=8), np.ones((4, 3), np.float32), np.array([0, 1, 0, 1])
    >>> frame = gl.frame(gl.measure(net, x, y, columns=("log10_activation_rms", "activation_mean_over_rms")))
    >>> gl.plots.activation_bands(frame).shape
    (1, 2)
    """
    trained(frame, x, "log10_activation_rms", "activation_mean_over_rms")
    shown = panels(frame, row, x)
    measured = hidden(frame)
    chosen = some_layers(measured, layers, PANELS.get(preset, MOST)) if len(measured) else [1]
    shared = {"sharey": "row", "sharex": True} if ax is None else {}
    several = len(shown) * len(chosen) > 1
    look = Looks("quantity", None, [MEAN, HIGH], [])
    counts, ended = [], []
    with canvas(
        ax, preset, len(shown), len(chosen), title=title, wide=several, height=0.75 + 1.45 * len(shown), **shared
    ) as sheet:  # fmt: skip
        for i, (name, whole) in enumerate(shown):
            own_rows = hidden(whole)
            for j, layer in enumerate(chosen):
                axes = sheet.axes[i, j]
                part = own_rows[own_rows["layer"] == layer]
                if len(part):
                    keys = ["quantity", *never_averaged(part, x)]
                    table = _table(part, [*keys[1:], x])
                    counts.append(table.assign(layer=layer, panel=name))
                    draw_lines(sheet, axes, table, None, keys, x, look)
                    ended += [
                        f"{note}{f' ({name})' * bool(name)}" for note in mark_ends(sheet, axes, part, x, [], look)
                    ]
                step_axis(axes, measured[x].unique(), most=3)
                name_panel(sheet, axes, f"layer {layer}" if i == 0 else "")
                if j == 0 or not sheet.ours:
                    axes.set_ylabel("activation $a$" if len(shown) == 1 else f"{name}\nactivation $a$")
        _label(sheet, words.axis(x))
        shown_as = handles(look, sheet, "sd")
        shown_as["± sd"] = Patch(color=look.colour(MEAN), alpha=0.25, linewidth=0)
        place_legend(sheet, shown_as, legend)
        sheet.describe(_caption(measured, pd.concat(counts), x, len(shown) > 1, ended))
    return sheet.result(grid=True)


def _table(part: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return means over seeds of the three quantities: mean with mean ± sd as its band, and percentile without."""
    with np.errstate(over="ignore"):
        rms = 10 ** part["log10_activation_rms"].astype(float)
        mean = part["activation_mean_over_rms"].astype(float)
        # rounding makes a mean of one sign a little larger than its rms
        values = part.assign(activation_mean=rms * mean, activation_sd=rms * np.sqrt(np.maximum(0, 1 - mean**2)))
        if "activation_p98_over_rms" in part:
            values["activation_p98"] = rms * part["activation_p98_over_rms"].astype(float)
    middle, _ = summaries(values, by, "activation_mean", "ci95")
    spread, _ = summaries(values, by, "activation_sd", "ci95")
    made = [middle.assign(quantity=MEAN, low=middle["mean"] - spread["mean"], high=middle["mean"] + spread["mean"])]
    if "activation_p98" in values and values["activation_p98"].notna().any():
        top, _ = summaries(values, by, "activation_p98", "ci95")
        made.append(top.assign(quantity=HIGH, low=np.nan, high=np.nan))
    return pd.concat(made, ignore_index=True)


def _label(sheet: Canvas, text: str) -> None:
    import matplotlib

    if sheet.ours:
        sheet.figure.supxlabel(text, fontsize=matplotlib.rcParams["axes.labelsize"])
    else:
        for axes in sheet.axes.flat:
            axes.set_xlabel(text)


def _finding(counts: pd.DataFrame, x: str) -> str:
    """Say where the activations of the first and the last layer lie at the end."""
    means = counts[(counts["quantity"] == MEAN) & np.isfinite(counts["mean"])]
    ends = []
    for layer in dict.fromkeys([means["layer"].min(), means["layer"].max()]) if len(means) else ():
        row = means[means["layer"] == layer].sort_values(x).iloc[-1]
        where = f" ({row['panel']})" if row["panel"] else ""
        ends.append(f"{row['mean']:.2g} ± {row['high'] - row['mean']:.2g} in layer {layer}{where}")
    return f"At the last step activations are {words.listed(ends)}." if ends else ""


def _caption(rows: pd.DataFrame, counts: pd.DataFrame, x: str, several: bool, ended: list[str]) -> Caption:
    n = words.span([int(v) for v in counts.loc[counts["n"] > 0, "n"]] or [0], "seed")
    what = [
        f"Activations of each layer against the {words.axis(x)}: mean (line) ± standard deviation (band) over examples "
        "and units, not over seeds",
        "; and their 98th percentile" if (counts["quantity"] == HIGH).any() else "",
        f". All are means over n = {n}.",
    ]
    return sentences(
        [
            _finding(counts, x),
            "".join(what),
            "A row of panels for each configuration." if several else "",
            f"Setting: {words.setting(rows)}.",
            f"× on the upper edge: {'; '.join(dict.fromkeys(ended))}." if ended else "",
        ]
    )
