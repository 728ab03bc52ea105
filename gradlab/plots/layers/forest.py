"""The forest plot: decades, or the rate, of every network with its interval, beside the zones of the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.frames.summaries import rates
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import FixedTicks
from gradlab.plots.ground.facets import factors
from gradlab.plots.ground.headers import broken
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import FAINT, NEUTRAL, Looks, line_width
from gradlab.plots.ground.tables import levels, lines, listed, of_networks, require
from gradlab.plots.ground.zones import DECADE, tone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Markers of the verdicts that need one of their own: filled is decided, hollow is not.
_ALGEBRAIC, _DECIDED = "D", "o"
#: Inches from one line of names to the next.
_LINE = 0.17
#: Letters of a row's name in one line.
_LETTERS = 76
#: What is on each axis: label, and the column of the interval's ends.
VALUES = {
    "decades": (r"$\log_{10}(\mathrm{rms}\ \delta_1\,/\,\mathrm{rms}\ \delta_L)$", "decades_low", "decades_high"),
    "rate": ("rate [factor of the rms delta per layer]", "low", "high"),
}


def forest(
    frame: pd.DataFrame,
    *,
    value: Literal["decades", "rate"] = "decades",
    shade: str | None = None,
    row: str | Sequence[str] | None = None,
    order: Literal["value", "given"] = "value",
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes:
    """Draw decades between the first and last hidden layer's delta: a row for each configuration, with its interval.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`, or the table of `gradlab.rates`.
    value : {"decades", "rate"}
        Decades stand between the zones vanishing, steady and exploding. The rate, per layer, has a line at 1: which
        rates are steady depends on the depth.
    shade : str, optional
        Column whose values share a row, from light to dark. None: the depth, or the step where one depth has several.
    row : str or sequence of str, optional
        Columns that name the rows. None: all that tell the networks apart.
    order : {"value", "given"}
        Rows from the most vanishing to the most exploding, by their darkest mark; or as in the frame.
    ax : Axes, optional
        Where to draw; a figure of its own where it is left out.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes
        Hollow marks are undetermined: their interval crosses a line of the verdict. Diamonds are power laws of depth.

    Examples
    --------
    >>> import gradlab as gl
    >>> sweep = gl.Sweep(depth=(2, 12), width=16, activation=("sigmoid", "relu"), init="he_normal", seeds=3)
    >>> axes = gl.plots.forest(gl.run(sweep, progress=False))
    >>> [text.get_text() for text in axes.get_yticklabels()]
    ['sigmoid', 'ReLU']
    """
    if value not in VALUES:
        raise unknown("value", value, VALUES)
    if order not in ("value", "given"):
        raise unknown("order", order, ("value", "given"))
    if not isinstance(frame, pd.DataFrame) or frame.empty:
        raise GradlabError("a frame with rows", type(frame).__name__, "gl.run(sweep), or gl.rates(frame)")
    table = frame if "verdict" in frame else rates(of_networks(frame))
    require(table, shade)
    if shade is None:
        shade = next((n for n in ("depth", "step") if n in table and table[n].nunique() > 1), None)
    names = factors(table, (shade,))[0] if row is None else listed(row, table)
    groups = _ordered(lines(table, names), value, shade, order)
    labels = [row_name(key) for key, _ in groups]
    look = Looks(None, None, shade=shade, shades=levels(table, shade))
    marks = max(len(rows) for _, rows in groups)
    height = 1.0 + sum(row_height(label, marks) for label in labels)
    with canvas(ax, preset, title=title, wide=True, height=height) as sheet:
        axes = sheet.axes.flat[0]
        _zones(axes, table, value)
        for place, (_, rows) in enumerate(groups):
            _row(sheet, axes, place, rows, value, look)
        axes.set_yticks(range(len(groups)), [words.math(label) for label in labels])
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(VALUES[value][0])
        place_legend(sheet, _handles(sheet, look, table), legend)
        sheet.describe(_caption(table, value, shade, order))
    return axes


def row_name(key: dict[str, Any]) -> str:
    """Return the name of a row, in one line or two."""
    return broken(", ".join(words.entry(n, v) for n, v in key.items()) or "all networks", _LETTERS, 2)


def row_height(name: str, marks: int) -> float:
    """Return the inches of a row, in which its name has room, and each of its marks is seen."""
    return _LINE * max(1 + name.count("\n"), marks / 2.5)


def _ordered(groups: list[tuple[dict[str, Any], pd.DataFrame]], value: str, shade: str | None, order: str) -> Any:
    if order == "given":
        return groups
    last = lambda rows: rows.sort_values(shade)[value].iloc[-1] if shade is not None else rows[value].iloc[0]
    place = lambda item: np.nan_to_num(float(last(item[1])), nan=np.inf)
    return sorted(groups, key=place)


def _zones(ax: Any, table: pd.DataFrame, value: str) -> None:
    """Draw the axis, and on that of decades the three zones with their names."""
    ends = table[[value, *VALUES[value][1:]]].to_numpy(float)
    finite = ends[np.isfinite(ends)]
    if value == "rate":
        ax.set_xscale("log")
        ax.axvline(1, color=FAINT, linewidth=line_width(0.5), zorder=1, gid="steady")
        return
    low, high = (min(finite.min(), -2.0), max(finite.max(), 2.0)) if len(finite) else (-2.0, 2.0)
    if max(-low, high) > 4 * DECADE:
        ax.set_xscale("symlog", linthresh=DECADE, linscale=0.6)
        steps = (1, 2, 5) if max(-low, high) < 30 else (1,)
        sizes = [m * 10.0**k for k in range(5) for m in steps]
        ticks = [-v for v in reversed(sizes) if v <= -low] + [0.0] + [v for v in sizes if v <= high]
        ax.xaxis.set_major_locator(FixedTicks(ticks))
        ax.xaxis.set_minor_locator(FixedTicks([]))
    ax.xaxis.set_major_formatter(lambda v, _: f"{v:+g}".replace("-", "−") if v else "0")
    to, back = ax.xaxis.get_transform(), ax.xaxis.get_transform().inverted()
    edge = 0.04 * float(np.diff(to.transform(np.array([low, high])))[0])
    low, high = back.transform(to.transform(np.array([low, high])) + np.array([-edge, edge]))
    ax.set_xlim(low, high)
    for name, left, right, sign in (
        ("vanishing", low, -DECADE, -1), ("steady", -DECADE, DECADE, 0), ("exploding", DECADE, high, 1),
    ):  # fmt: skip
        ax.axvspan(left, right, color=tone(sign, 0.16), linewidth=0, zorder=0, gid=f"zone {name}")
        middle = float(back.transform(np.array([to.transform(np.array([left, right])).mean()]))[0])
        ax.annotate(
            name, (middle, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points", ha="center",
            va="bottom", gid="zone",
        )  # fmt: skip
    for line in (-DECADE, DECADE):
        ax.axvline(line, color=NEUTRAL, linewidth=line_width(0.5), zorder=1, gid="verdict")


def _row(sheet: Canvas, ax: Any, place: int, rows: pd.DataFrame, value: str, look: Looks) -> None:
    """Draw the marks of one configuration, one below the other where several share its row."""
    _, low, high = VALUES[value]
    rows = rows.sort_values(look.shade) if look.shade is not None else rows
    step = 0.6 / max(len(rows), 1)
    for i, (_, row) in enumerate(rows.iterrows()):
        y = place + step * (i - (len(rows) - 1) / 2)
        if not np.isfinite(row[value]):
            text = "nothing measured" if row["n_failed"] else "no rate"
            ax.annotate(text, (0, y), (3, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                        va="center", color=NEUTRAL, fontsize="small", gid="lost")  # fmt: skip
            continue
        colour = look.tint(_ink(row["verdict"]), row[look.shade] if look.shade is not None else None)
        ends = [row[low], row[high]]
        if np.isfinite(ends).all():
            ax.plot(ends, [y, y], color=colour, linewidth=line_width(), zorder=3, solid_capstyle="butt", gid="interval")
        shape = _ALGEBRAIC if row["verdict"] == "algebraic" else _DECIDED
        face = "white" if row["verdict"] == "undetermined" else colour
        ax.plot([row[value]], [y], linestyle="", marker=shape, color=colour, markerfacecolor=face, zorder=4, gid="mark")


def _ink(verdict: Any) -> str:
    """Return the colour: blue, black or red, as the zones are; grey where nothing is decided."""
    return {"vanishing": tone(-1), "algebraic": tone(-1), "exploding": tone(1), "steady": "black"}.get(
        str(verdict), NEUTRAL
    )


def _handles(sheet: Canvas, look: Looks, table: pd.DataFrame) -> dict[str, Any]:
    from matplotlib.lines import Line2D

    shown: dict[str, Any] = {}
    if look.shade is not None and len(look.shades) > 1:
        places = np.linspace(0, len(look.shades) - 1, min(6, len(look.shades))).round().astype(int)
        for i in places:
            colour = look.tint("0.2", look.shades[i])
            shown[words.entry(look.shade, look.shades[i])] = Line2D([], [], color=colour, marker=_DECIDED)
    seen = set(table["verdict"].astype(str))
    if "undetermined" in seen:
        shown["undetermined"] = Line2D([], [], color=NEUTRAL, marker=_DECIDED, markerfacecolor="white")
    if "algebraic" in seen:
        shown["power law of depth"] = Line2D([], [], linestyle="", color=NEUTRAL, marker=_ALGEBRAIC)
    return {words.math(name): handle for name, handle in {**shown, **sheet.notes}.items()}


def _caption(table: pd.DataFrame, value: str, shade: str | None, order: str) -> Caption:
    counts = table["verdict"].astype(str).value_counts(sort=False)
    verdicts = words.listed([f"{n} {name}" for name, n in counts.items()])
    marks = "networks" if "network" not in table or table["network"].nunique() == len(table) else "marks"
    level = f"{100 * table['level'].iloc[0]:g} %"
    n = words.span([int(v) for v in table["n_seeds"]], "seed")
    what = {
        "decades": "log10 of the rms delta of the first over that of the last hidden layer",
        "rate": "the factor of the rms delta per layer toward the input",
    }[value]
    lost = int((table["n_failed"] > 0).sum())
    zero = int((table["n_zero"] > 0).sum())
    parts = [
        f"Of {len(table)} {marks} {verdicts}.",
        f"Marks: {what}, geometric mean over n = {n}; bars: its {level} t-interval over seeds.",
        "Lines: one decade; a verdict needs its whole interval on one side of each." if value == "decades" else "",
        f"Light to dark: {words.short(shade)}." if shade is not None else "",
        "Rows are in the order of their value." if order == "value" else "",
        f"In {words.span([zero], 'network')} some seeds have a delta that is exactly 0, in no mean." if zero else "",
        f"In {words.span([lost], 'network')} some seeds failed." if lost else "",
        f"Setting: {setting}." if (setting := words.setting(table)) else "",
    ]
    return sentences(parts)
