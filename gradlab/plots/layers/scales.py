"""Where the numbers of each layer lie beside what short formats hold: signal, delta and weight gradient on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from gradlab._errors import GradlabError, unknown
from gradlab._formats import FORMATS, SHORT_FORMATS
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, name_panel
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import counting_axis
from gradlab.plots.ground.headers import share_labels
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.roles import role
from gradlab.plots.ground.styles import COLOURS, NEUTRAL, line_width
from gradlab.plots.ground.tables import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Signals in the order of their panels: what a title, and what a sentence calls each.
SIGNALS: dict[str, tuple[str, str]] = {
    "log10_activation": ("signal $|a|$", "signal"),
    "log10_delta": (r"delta $|\partial L\,/\,\partial z|$", "delta"),
    "log10_weight_grad": (r"weight gradient $|\partial L\,/\,\partial W_{ij}|$", "weight gradient"),
}
#: Pairs of quantiles with a band between them, from the widest to the narrowest, and how opaque each is.
PAIRS: tuple[tuple[float, float, float], ...] = ((0.05, 0.95, 0.22), (0.25, 0.75, 0.35))
#: How figures call the formats, and the kind of line of each.
_LOOKS: dict[str, tuple[str, Any]] = {
    "float16": ("float16", (0, (6, 2))), "float8_e5m2": ("E5M2", (0, (3, 2))), "float8_e4m3": ("E4M3", (0, (1, 1.5))),
    "bfloat16": ("bfloat16", (0, (6, 2, 1, 2))),
}  # fmt: skip
#: How far beyond the data an end of a format is still drawn, in octaves.
_NEAR = 6
_OCTAVES = 1 / np.log10(2.0)


def scales(
    frame: pd.DataFrame,
    *,
    formats: Sequence[str] | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw how large signals, deltas and weight gradients are in each layer, with the ends of the formats.

    A number below the smallest one of its format becomes 0 or that number; one beyond the largest becomes infinite. A
    factor on the loss (loss scaling) moves delta and weight gradient up by as many octaves in all layers alike, and
    leaves the signal where it is. So it helps where a panel's bands are narrower than a format's range.

    Parameters
    ----------
    frame : DataFrame
        Of one network, from ``gradlab.frame(gradlab.histograms(net, x, y, log10=True))``.
    formats : sequence of str, optional
        Some of "float16", "float8_e5m2", "float8_e4m3" and "bfloat16". None: those of which an end lies near the data.
    ax : sequence of Axes, optional
        One for each signal that the frame has.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    array of Axes
        One for each signal. The axis of sizes is log2: a tick at -24 says 2⁻²⁴. Deltas and weight gradients are those
        of the mean loss, which a training holds in its arrays. Exact zeros are left out.

    Examples
    --------
    >>> import numpy as np
    >>> import gradlab as gl
    >>> x, y = np.ones((8, 4), np.float32), np.arange(8) % 2
    >>> counted = gl.frame(gl.histograms(gl.MLP(depth=6, width=8, activation="sigmoid"), x, y, log10=True))
    >>> [ax.get_title() for ax in gl.plots.scales(counted)][0]
    'signal $|a|$'
    """
    checked(frame, "signal", "layer", "bin", "left", "right", "count", "batch")
    there = [s for s in SIGNALS if s in set(frame["signal"])]
    if not there:
        raise GradlabError(
            "counts of log10 of absolute values", f"of {words.listed(frame['signal'].unique())}",
            "gl.frame(gl.histograms(net, x, y, log10=True))",
        )  # fmt: skip
    _one_network(frame)
    for name in formats or ():
        if name not in SHORT_FORMATS:
            raise unknown("format", name, tuple(_LOOKS))
    counts = {signal: _octaves(frame[frame["signal"] == signal], signal) for signal in there}
    quantiles = {signal: _quantiles(table) for signal, table in counts.items()}
    finite = np.concatenate([q.drop(columns="layer").to_numpy(float).ravel() for q in quantiles.values()])
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (-1.0, 0.0)
    ends = _ends(tuple(_LOOKS) if formats is None else formats, low, high, near=formats is None)
    size = {"sharey": True, "height": 2.6} if ax is None else {}
    with canvas(ax, preset, 1, len(there), title=title, wide=len(there) > 1, **size) as sheet:
        notes: dict[str, Any] = {}
        for place, (axes, signal) in enumerate(zip(sheet.axes.flat, there, strict=True)):
            notes = _panel(axes, quantiles[signal], COLOURS[place])
            name_panel(sheet, axes, SIGNALS[signal][0])
            axes.set_xlabel(words.axis("layer"))
            counting_axis(axes, quantiles[signal]["layer"])
            _draw_ends(axes, ends)
            axes.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, steps=[1, 2, 4, 8, 10], min_n_ticks=2))
            axes.yaxis.set_major_formatter(lambda v, _: f"$2^{{{v:.0f}}}$")
        _name_ends(sheet.axes.flat[-1], ends)
        sheet.axes.flat[0].set_ylabel("size of an entry")
        if sheet.ours and sheet.axes.size > 1:
            share_labels(sheet, words.axis("layer"))
        place_legend(sheet, sheet.notes | notes, legend)
        sheet.describe(_caption(frame, counts, ends))
    return np.asarray(sheet.result()).reshape(-1)


def _one_network(frame: pd.DataFrame) -> None:
    """Refuse to add the counts of several networks."""
    names = [n for n in ("architecture", "activation", "init", "width", "depth", "gain", "step") if n in frame]
    several = [n for n in names if (frame.groupby("layer")[n].nunique() > 1).any()]
    if several:
        received = f"several, which differ in {words.listed(several)}"
        raise GradlabError("counts of one network", received, f"table[table[{several[0]!r}] == ...]")


def _octaves(rows: pd.DataFrame, signal: str) -> pd.DataFrame:
    """Return the counts of what is not 0 in octaves; deltas are those of the mean loss."""
    rows = rows[(rows["count"] > 0) & rows["bin"].notna()]
    shift = -np.log2(rows["batch"].astype(float)) if signal == "log10_delta" else 0.0
    ends = {name: rows[name] * _OCTAVES + shift for name in ("left", "right")}
    return rows.assign(**ends).groupby(["layer", "left", "right"], as_index=False)["count"].sum()


def _quantiles(counts: pd.DataFrame) -> pd.DataFrame:
    """Return quantiles of each layer's entries that are not 0, in octaves."""
    shares = sorted({0.5, *(share for low, high, _ in PAIRS for share in (low, high))})
    lines = []
    for layer, rows in counts.groupby("layer"):
        rows = rows.sort_values("right")
        total = np.concatenate([[0.0], rows["count"].cumsum()])
        # the entries far below have no left end: they are drawn at their right one
        edges = np.concatenate([[max(rows["left"].iloc[0], rows["right"].iloc[0] - 1)], rows["right"]])
        lines.append({"layer": layer} | {q: float(np.interp(q * total[-1], total, edges)) for q in shares})
    return pd.DataFrame(lines, columns=["layer", *shares])


def _ends(formats: Sequence[str], low: float, high: float, near: bool) -> list[tuple[str, int, bool]]:
    """Return format, log2 and whether it is the smallest number, for the ends that are drawn."""
    both = [(name, at, below) for name in formats for at, below in (
        (FORMATS[name].smallest, True), (FORMATS[name].beyond, False))]  # fmt: skip
    inside = [end for end in both if low - _NEAR <= end[1] <= high + _NEAR]
    return inside if near else [end for end in both if end[2] or end in inside]


def _panel(ax: Any, table: pd.DataFrame, colour: str) -> dict[str, Any]:
    """Draw the bands and the median of one signal; return the handles of the legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown: dict[str, Any] = {"median": Line2D([], [], color=NEUTRAL, linewidth=line_width())}
    for low, high, strength in reversed(PAIRS):
        shown[f"{high - low:.0%} of the entries".replace("%", " %")] = Patch(
            **{**role("band", NEUTRAL), "alpha": strength}
        )
    for low, high, strength in PAIRS:
        look = {**role("band", colour), "alpha": strength}
        ax.fill_between(table["layer"], table[low], table[high], gid=f"{low:g} to {high:g}", **look)
    ax.plot(table["layer"], table[0.5], color=colour, linewidth=line_width(), gid="median")
    return shown


def _draw_ends(ax: Any, ends: Sequence[tuple[str, int, bool]]) -> None:
    for name, at, below in ends:
        kind = "smallest" if below else "beyond"
        ax.axhline(
            at, color=NEUTRAL, linestyle=_LOOKS[name][1], linewidth=line_width(0.6), zorder=0.5, gid=f"{name} {kind}"
        )


def _name_ends(ax: Any, ends: Sequence[tuple[str, int, bool]]) -> None:
    """Write the names of the formats at the right of the last panel; those at one place share a line of text."""
    import matplotlib

    places: dict[tuple[int, bool], list[str]] = {}
    for name, at, below in ends:
        places.setdefault((at, below), []).append(_LOOKS[name][0])
    for (at, below), names in places.items():
        ax.annotate(
            f"{', '.join(names)}: {'0' if below else '∞'}", (1, at), (3, 0), xycoords=ax.get_yaxis_transform(),
            textcoords="offset points", va="center", fontsize=matplotlib.rcParams["xtick.labelsize"], color=NEUTRAL,
            gid="end of a format",
        )  # fmt: skip


def _share_below(rows: pd.DataFrame, at: int) -> float:
    """Return the share of entries below 2**at; a bin that it cuts counts by the part of its width."""
    width = (rows["right"] - rows["left"]).where(np.isfinite(rows["left"]), 1.0)
    part = ((at - (rows["right"] - width)) / width).clip(0, 1)
    return float((part * rows["count"]).sum() / rows["count"].sum())


def _lost(signal: str, counts: pd.DataFrame, ends: Sequence[tuple[str, int, bool]]) -> str:
    """Say what the format with the smallest numbers that loses a part of a signal loses, in the worst layer."""
    for at, name in sorted((at, name) for name, at, below in ends if below):
        shares = {layer: _share_below(rows, at) for layer, rows in counts.groupby("layer")}
        layer = max(shares, key=lambda n: shares[n], default=0)
        if shares and shares[layer] >= 0.005:
            share = "> 99 %" if 0.995 <= shares[layer] < 1 else f"{100 * shares[layer]:.0f} %"
            return f"{_LOOKS[name][0]} loses {share} of the {SIGNALS[signal][1]} in layer {layer}"
    return ""


def _caption(frame: pd.DataFrame, counts: dict[str, pd.DataFrame], ends: Sequence[tuple[str, int, bool]]) -> Caption:
    lost = [text for signal, table in counts.items() if (text := _lost(signal, table, ends))]
    many = frame[frame["bin"].notna()].groupby(["signal", "layer"], observed=True)["count"].sum()
    drawn = [
        f"{_LOOKS[name][0]} {'has no number below' if below else 'ends before'} 2^{at}" for name, at, below in ends
    ]
    none = "No format drawn loses more than half a percent of the entries of a layer."
    values, setting = words.span([int(v) for v in many], "value"), words.setting(frame)
    parts = [
        f"{words.listed(lost)}." if lost else none,
        f"Absolute values of entries that are not 0, n = {values} a layer: median, and bands that hold half and nine "
        "tenths of them; they are the spread of entries, no uncertainty. Delta and weight gradient are of the mean "
        "loss.",
        f"Lines across: {words.listed(drawn)}." if drawn else "",
        f"Setting: {setting}." if setting else "",
    ]
    return sentences(parts)
