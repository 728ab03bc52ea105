"""The waterfall of local factors: at which layers a delta is lost or grows on its way from the loss to the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.frames.summaries import summarise
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas, mark_floor
from gradlab.plots.ground.captions import Caption, roles, sentences
from gradlab.plots.ground.decades import counting_axis, prepare
from gradlab.plots.ground.facets import factors, panels
from gradlab.plots.ground.findings import quantity
from gradlab.plots.ground.headers import share_labels, write_headers
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.roles import role
from gradlab.plots.ground.styles import NEUTRAL, Looks, line_width
from gradlab.plots.ground.tables import checked, hidden, listed, matching, of_networks
from gradlab.plots.ground.zones import EXPLODING, tone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Panels side by side on a page.
MOST = 4
_BANDS = {
    "ci95": "95 % t-intervals of the local factor's mean over seeds", "sd": "its standard deviation over seeds",
    "range": "its smallest and largest seed",
}  # fmt: skip


def local_factors(
    frame: pd.DataFrame,
    *,
    value: Literal["log10_delta_rms", "delta_log10_mean"] = "log10_delta_rms",
    col: str | Sequence[str] | None = None,
    band: Literal["ci95", "sd", "range"] = "ci95",
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    r"""Draw each layer's local factor :math:`\delta_l / \delta_{l+1}` as a bar that begins where the last one ended.

    The bars lead from the last hidden layer, at 1, down (or up) to the first: long bars are the layers where the
    gradient is lost. A profile of the delta shows the same sum, but not at a glance which layer contributes how much.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`; of a training, the rows of one step, or with ``col="step"``.
    value : {"log10_delta_rms", "delta_log10_mean"}
        The rms delta over a batch, or the mean of the logarithms of each example's own.
    col : str or sequence of str, optional
        Columns with a panel for each value. None: those that tell the networks apart.
    band : {"ci95", "sd", "range"}
        What the error bar at the end of each bar shows, as in `gradlab.summarise`. It is that of this layer's factor
        alone, not of the sum.
    ax : Axes or sequence of Axes, optional
        One for each panel.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are several panels
        Blue bars shrink the delta, red dotted bars let it grow. The bar with the largest factor is named.

    Examples
    --------
    >>> import gradlab as gl
    >>> frame = gl.example("depth")
    >>> chosen = (frame["depth"] == 8) & (frame["init"] == "he_normal") & (frame["activation"] == "sigmoid")
    >>> axes = gl.plots.local_factors(frame[chosen])
    >>> gl.plots.caption(axes).split(" from")[0]
    'The rms delta falls by 3.49 decades'
    """
    checked(frame, "network", "seed", "layer", value)
    if band not in _BANDS:
        raise unknown("band", band, _BANDS)
    frame = of_networks(frame)
    names = factors(frame)[0] if col is None else listed(col, frame)
    parts = panels(frame, names)
    if len(parts) > MOST and ax is None:
        name = names[0]
        some = f"frame[frame[{name!r}] == {frame[name].iloc[0]!r}]"
        raise GradlabError(f"up to {MOST} networks side by side", f"{len(parts)}, which differ in {names}", some)
    tables = [_factors(hidden(matching(frame, key)), value, band, header or "one network") for header, key in parts]
    shared = {"sharey": True} if ax is None else {}
    with canvas(ax, preset, 1, len(parts), title=title, wide=len(parts) > 1, **shared) as sheet:
        for axes, table in zip(sheet.axes.flat, tables, strict=True):
            _waterfall(sheet, axes, table)
            axes.set_xlabel(words.axis("layer"))
        sheet.axes.flat[0].set_ylabel(r"rms $\delta_l$ / rms $\delta_L$")
        if len(parts) > 1:
            share_labels(sheet, words.axis("layer"))
            write_headers(sheet, [], [header for header, _ in parts])
        place_legend(sheet, sheet.notes, legend)
        sheet.describe(_caption(frame, tables, [header for header, _ in parts], value, band, names))
    return sheet.result()


def _factors(rows: pd.DataFrame, value: str, band: str, name: Any) -> pd.DataFrame:
    """Return a row for each layer but the last, from the loss on: where its bar begins and ends, and its band."""
    if rows.groupby("seed", observed=True)["layer"].value_counts().max() > 1:
        raise GradlabError("one row for each layer and seed in a panel", "several", 'col="step", or rows of one step')
    wide = rows.pivot(index="seed", columns="layer", values=value).sort_index(axis=1)
    if wide.shape[1] < 2:
        raise GradlabError("two hidden layers or more", f"{wide.shape[1]} ({name})", "a deeper network")
    with np.errstate(invalid="ignore"):  # two zeros have no ratio
        steps = -wide.diff(axis=1).iloc[:, 1:].to_numpy(float)
    long = pd.DataFrame(
        {"layer": np.tile(wide.columns[:-1], len(wide)), "seed": np.repeat(wide.index, steps.shape[1]),
         "log10_factor": steps.ravel()}
    )  # fmt: skip
    table = summarise(long[~np.isnan(long["log10_factor"])], "layer", "log10_factor", band)
    table = table.sort_values("layer", ascending=False, ignore_index=True)
    table["end"] = table["mean"].cumsum()
    table["begin"] = table["end"] - table["mean"]
    return table


def _waterfall(sheet: Canvas, ax: Any, table: pd.DataFrame) -> None:
    """Draw the bars of one panel, with their error bars, a line between neighbours, and the largest one's number."""
    from matplotlib.patches import Patch

    for sign, hatch, text in ((-1, "", "shrinks"), (1, EXPLODING, "grows")):
        part = table[np.sign(table["mean"]) == sign]
        look = {"facecolor": tone(sign, 0.7), "edgecolor": NEUTRAL, "linewidth": line_width(0.3), "hatch": hatch}
        if len(part):
            ax.bar(part["layer"], part["mean"], 0.8, bottom=part["begin"], zorder=2, gid=text, **look)
            sheet.notes[text] = Patch(**look)
    whole = table[np.isfinite(table["end"])]
    for place, following in zip(whole.itertuples(), whole.iloc[1:].itertuples(), strict=False):
        at = [place.layer + 0.4, following.layer - 0.4]
        ax.plot(at, [place.end, place.end], **{**role("reference"), "color": NEUTRAL}, gid="level")
    banded = whole[np.isfinite(whole["low"])]
    if len(banded):
        low, high = banded["begin"] + banded["low"], banded["begin"] + banded["high"]
        ax.vlines(banded["layer"], low, high, color="black", **role("bars"), gid="interval")
    ax.axhline(0, **role("reference"), gid="last layer")
    dead = table[(table["n"] == 0) & (table["n_zero"] > 0)]
    if len(dead):
        mark_floor(ax, dead["layer"].to_numpy(float), NEUTRAL)
    if len(whole):
        most = whole.loc[whole["mean"].abs().idxmax()]
        up = 1 if most["mean"] > 0 else -1  # to the right of a bar, on the side it leads to, nothing is drawn
        ax.annotate(
            f"×{10 ** most['mean']:.3g}", (most["layer"] + 0.4, most["begin"]), (2, up), textcoords="offset points",
            ha="left", va="bottom" if up > 0 else "top", fontsize="small", gid="largest",
        )  # fmt: skip
    ax.margins(y=0.15)
    prepare(ax, "y", at_least=0.3, floor=int(len(dead) > 0))
    counting_axis(ax, [1])


def _caption(
    frame: pd.DataFrame, tables: Sequence[pd.DataFrame], names: Sequence[str], value: str, band: str,
    cols: Sequence[str],
) -> Caption:  # fmt: skip
    said = []
    for table, name in zip(tables, names, strict=True):
        whole = table[np.isfinite(table["mean"])]
        if len(whole):
            most = whole.loc[whole["mean"].abs().idxmax()]
            where = f" ({name})" if name else ""
            said.append(
                f"{words.change(whole['mean'].sum())} from layer {int(table['layer'].max()) + 1} to layer "
                f"{int(whole['layer'].min())}{where}, most at layer {int(most['layer'])}, by a factor of "
                f"{10 ** most['mean']:.3g}"
            )
    first = f"The {quantity(value)} {'; it '.join(said)}." if said else ""
    n = words.span([int(v) for t in tables for v in t.loc[t["n"] > 0, "n"]] or [0], "seed")
    zeros = sum(int(t["n_zero"].sum()) for t in tables)
    several = any(t["n"].max() > 1 for t in tables)
    parts = [
        first,
        "Bars: the local factor δ_l/δ_(l+1) of each layer, geometric mean over "
        f"n = {n}; each begins where the one before, nearer the loss, ended, and the first begins at the last hidden "
        "layer's delta.",
        f"Upright lines: {_BANDS[band]}." if several else "No band.",
        roles(Looks(None, None), (), cols),
        f"Triangles on the floor: {words.span([zeros], 'seed and layer')} with a delta that is exactly 0, in no mean."
        if zeros else "",
        f"Setting: {words.setting(frame[frame['layer'] >= 1])}.",
    ]  # fmt: skip
    return sentences(parts)
