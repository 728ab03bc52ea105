"""A diagnosed model on one screen: three bars for each of its layers, and what was found in them."""

from __future__ import annotations

import math
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from gradlab._errors import GradlabError
from gradlab._status import Status, concerns
from gradlab._text import shortened
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import FAILED, FROZEN, ZERO, Canvas, canvas
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import prepare
from gradlab.plots.ground.formats import ADAM, FLOORS, Floor, draw_floors, floors_text
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import COLOURS, NEUTRAL, PRESETS, line_width, marker_size, shaded
from gradlab.plots.ground.tables import checked, require, summaries, without_gradient

#: The bars from left to right: column, what it is called over its panel and in a sentence, unit, and the word by which
#: a status calls it not finite.
BARS: tuple[tuple[str, str, str, str, str], ...] = (
    ("log10_activation_rms", "signal", "signal", "", "value"),
    ("log10_delta_rms", "delta", "delta", "loss", "delta"),
    ("log10_weight_grad_rms", "weight gradient", "weight gradient's entry", "loss", "gradient"),
)
#: From which the third is made.
_NORM = "log10_weight_grad_norm"
_NORMS = (_NORM, "weight gradient", "weight gradient's norm", "loss", "gradient")
#: Inches of a row, of the rest of the figure, of names of rules, and of all of it at most; letters of a name.
_ROW, _REST, _RULES, _TALLEST, _LETTERS = 0.17, 1.3, 0.5, 8.6, 30
#: Least decades of a panel, so that noise does not fill it; share of a row that its bar takes.
_LEAST, _THICK = 2.0, 0.72
#: Columns of marks at the right: points from one to the next.
_APART = 9.0
#: Fill of the square of a finding.
_FILLS: dict[str, str] = {"error": "black", "warning": "0.6", "info": "white"}


def diagnosis(
    record: Any,
    *,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> np.ndarray:
    """Draw the layers of a diagnosed model from input to loss, each with bars of signal, delta and weight gradient.

    Parameters
    ----------
    record : Diagnosis or DataFrame
        From `gradlab.diagnose`; or the frame of a model at one step, without findings.
    ax : sequence of three Axes, optional
        Where to draw; a figure of its own where it is left out.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    array of three Axes
        Bars end at the rms of single entries, geometric means over the samples, with a line from the smallest to the
        largest; their axes are in decades and begin where there is room. The ends of the formats of numbers and Adam's
        epsilon are upright lines; what the working precision loses is an open bar. A square at the right, in the
        column of its rule, is a finding: black for an error, grey for a warning, white for a note; the row of an error
        or a warning is grey. Of a gradient whose entries are not counted the norm is drawn, without lines.
    """
    frame = record if isinstance(record, pd.DataFrame) else record.frame
    marks = None if isinstance(record, pd.DataFrame) else record.marks
    checked(frame, "layer", "layer_name", "seed")
    require(frame, "status")
    for name in ("network", "step"):
        if name in frame and frame[name].nunique() > 1:
            value = frame[name].iloc[-1]
            raise GradlabError(f"one {name}", str(frame[name].nunique()), f"frame[frame[{name!r}] == {value!r}]")
    rows = _with_entries(frame[frame["layer"] >= 1])
    names = rows.sort_values("layer").drop_duplicates("layer").set_index("layer")["layer_name"].astype(str)
    place = {layer: i for i, layer in enumerate(names.index)}
    rest = _REST + _RULES * (marks is not None and not marks.empty)
    height = min(rest + _ROW * max(len(names), 5), _TALLEST)
    with canvas(ax, preset, 1, 3, title=title, wide=True, height=height) as sheet:
        shown: dict[str, Any] = {}
        floors: list[list[Floor]] = []
        first: list[str] = []
        # how many entries a gradient has may not be known
        bars = BARS if rows[BARS[2][0]].notna().any() or rows[_NORM].isna().all() else (*BARS[:2], _NORMS)
        for axes, (column, _, short, unit, word), colour in zip(sheet.axes.flat, bars, COLOURS, strict=False):
            table = _means(rows, column, word)
            ends = {BARS[2][0]: (*FLOORS, ADAM), _NORM: ()}.get(column, FLOORS)
            lost = rows.loc[_said(rows, Status.UNDERFLOW, word), "layer"].unique()
            floors.append(_bars(axes, table, place, colour, ends, lost))
            if len(lost):
                shown["0 in the working precision"] = Patch(facecolor="white", edgecolor=NEUTRAL)
            shown |= _lost(axes, rows, table, column, place, colour)
            axes.set_xlabel(f"{'norm' if column == _NORM else 'rms'}{f'  [{unit}]' * bool(unit)}")
            first.append(_span(table, short, names))
        _rows(sheet, names, place)
        codes = _findings(sheet, marks, place)
        if codes and marks is not None:
            told_apart = [severity for severity in _FILLS if severity in set(marks["severity"])]
            shown |= {severity: Line2D([], [], **_square(severity)) for severity in told_apart}
        place_legend(sheet, shown, legend)
        sheet.figure.draw_without_rendering()
        _names(sheet, names)
        _headers(sheet, floors)
        sheet.describe(_caption(rows, first, floors, codes, marks, len(names)))
    return sheet.result()


def _with_entries(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the rms of the entries of weight gradients: formats and epsilons are of single entries."""
    known = [name for name in (*(bar[0] for bar in BARS[:2]), _NORM) if name in rows]
    if not known:
        require(rows, BARS[1][0], "measured column")
    rows = rows.assign(**{name: np.nan for name in (*(bar[0] for bar in BARS[:2]), _NORM) if name not in known})
    entries = rows["fan_in"].to_numpy(float) * rows["width"].to_numpy(float) if "fan_in" in rows else np.nan
    return rows.assign(log10_weight_grad_rms=rows[_NORM] - np.log10(entries) / 2)


def _said(rows: pd.DataFrame, status: Status, word: str) -> pd.Series:
    """Return of which rows a status is said of what a bar shows."""
    return rows["status"].map(lambda text: concerns(text, status, word)).astype(bool)


def _means(rows: pd.DataFrame, column: str, word: str) -> pd.DataFrame:
    """Return geometric mean, smallest and largest of each layer with the column, or what it has in place of numbers."""
    known = rows[rows[column].notna() | _said(rows, Status.NOT_FINITE, word)]
    if known.empty:
        return pd.DataFrame({name: [] for name in ("layer", "mean", "low", "high", "n", "n_zero", "n_not_finite")})
    return summaries(known, ["layer"], column, "range")[0]


def _bars(
    ax: Any, table: pd.DataFrame, place: dict[int, int], colour: str, floors: tuple[Floor, ...], lost: Any
) -> list[Floor]:
    """Draw a bar from the left edge to each layer's mean, open where it is lost; return the floors that are drawn."""
    known = table[np.isfinite(table["mean"].to_numpy(float))]
    if table.empty:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center", color=NEUTRAL, gid="none")
    ends = known[["mean", "low", "high"]].to_numpy(float)
    low, high = (float(np.nanmin(ends)), float(np.nanmax(ends))) if len(known) else (-1.0, 0.0)
    middle, span = (low + high) / 2, max(high - low, _LEAST)
    low, high = middle - span / 2, middle + span / 2
    # all below epsilon is what epsilon is drawn for
    reach = max(high, ADAM.at) if ADAM in floors and low < ADAM.at else high
    drawn = draw_floors(ax, low, reach, floors, zorder=2.5)
    low, high = min([low, *(f.at for f in drawn)]), max([high, *(f.at for f in drawn)])
    left = low - 0.08 * (high - low)  # the smallest has a bar too
    at = [place[layer] for layer in known["layer"]]
    fill = ["white" if layer in set(lost) else colour for layer in known["layer"]]
    ax.barh(
        at, known["mean"] - left, left=left, height=_THICK, color=fill, edgecolor=colour, linewidth=line_width(0.4),
        zorder=2, gid="bar",
    )  # fmt: skip
    if (known["high"] > known["low"]).any():
        ax.hlines(
            at, known["low"], known["high"], color=shaded(colour), linewidth=line_width(0.8), zorder=3, gid="range"
        )
    ax.set_xlim(left, high + 0.06 * (high - low))
    prepare(ax, "x")
    return drawn


def _lost(
    ax: Any, rows: pd.DataFrame, table: pd.DataFrame, column: str, place: dict[int, int], colour: str
) -> dict[str, Any]:  # fmt: skip
    """Draw marks where there is no bar: exactly zero and frozen at the left edge, not finite at the right."""
    frozen = without_gradient(rows, column)["layer"].unique() if column in (BARS[2][0], _NORM) else []
    shown: dict[str, Any] = {}
    for layers, edge, marker, filled, name in (
        (table.loc[table["n_zero"] > 0, "layer"], 0.0, ZERO, True, "exactly zero"),
        (frozen, 0.0, FROZEN, False, "no gradient: frozen, or not used"),
        (table.loc[table["n_not_finite"] > 0, "layer"], 1.0, FAILED, True, "not finite"),
    ):
        if len(layers):
            look = {"marker": marker, "linestyle": "", "markersize": marker_size(0.75)}
            fill = {"markerfacecolor": colour if filled else "white"}
            ax.plot(
                [edge] * len(layers), [place[layer] for layer in layers], transform=ax.get_yaxis_transform(),
                color=colour, clip_on=False, zorder=4, gid=name, **look, **fill,
            )  # fmt: skip
            shown[name] = Line2D([], [], color=NEUTRAL, **look, markerfacecolor=NEUTRAL if filled else "white")
    return shown


def _rows(sheet: Canvas, names: pd.Series, place: dict[int, int]) -> None:
    for axes in sheet.axes.flat:
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)


def _points(key: str) -> float:
    return FontProperties(size=matplotlib.rcParams[key]).get_size_in_points()


def _headers(sheet: Canvas, floors: list[list[Floor]]) -> None:
    """Write the names of floors over their lines where they do not meet, and the titles of the panels above them."""
    size = 0.9 * _points("xtick.labelsize")
    least = 1.2 * size * sheet.figure.dpi / 72
    tops = []
    for axes, drawn in zip(sheet.axes.flat, floors, strict=True):
        taken: list[float] = []
        for floor in sorted(drawn, key=lambda floor: floor is not ADAM):
            at = axes.transData.transform((floor.at, 0))[0]
            if all(abs(at - other) >= least for other in taken):
                taken.append(at)
                text = axes.annotate(
                    floor.name, (floor.at, 1), (0, 2), xycoords=axes.get_xaxis_transform(), rotation=90,
                    textcoords="offset points", rotation_mode="anchor", ha="left", va="center", color=NEUTRAL,
                    fontsize=size, gid="floor name",
                )  # fmt: skip
                tops.append((text.get_window_extent().y1 - axes.bbox.y1) * 72 / sheet.figure.dpi)
    for axes, (_, name, *_), colour in zip(sheet.axes.flat, BARS, COLOURS, strict=False):
        axes.set_title(name, color=shaded(colour), loc="left", pad=max([4, *(top + 0.4 * size for top in tops)]))


def _names(sheet: Canvas, names: pd.Series) -> None:
    """Write as many names as there is room for, spread evenly, the first and the last among them."""
    first = sheet.axes.flat[0]
    row = first.bbox.height * 72 / sheet.figure.dpi / len(names)
    step = max(1, math.ceil(1.15 * _points("ytick.labelsize") / row))
    last = len(names) - 1
    shown = [*range(0, last - step + 1, step), last] if last else [0]
    first.set_yticks(shown, [words.drawable(shortened(names.iloc[i], _LETTERS)) for i in shown])
    first.tick_params(axis="y", length=0)


def _findings(sheet: Canvas, marks: pd.DataFrame | None, place: dict[int, int]) -> list[str]:
    """Draw grey rows, and a column of squares for each rule at the right of the last panel, under its code and kind."""
    if marks is None or marks.empty:
        return []
    for layer in marks.loc[marks["severity"] != "info", "layer"].unique():
        for axes in sheet.axes.flat:
            axes.axhspan(place[layer] - 0.5, place[layer] + 0.5, color="0.9", linewidth=0, zorder=0.2, gid="row")
    last = sheet.axes.flat[-1]
    step = _APART * line_width() / PRESETS["paper"].rc["lines.linewidth"]  # as the preset grows
    told_of = []
    for k, (code, of_rule) in enumerate(marks.groupby("rule", sort=False)):
        beside = ScaledTranslation((k + 1) * step / 72, 0, last.figure.dpi_scale_trans)
        where = last.get_yaxis_transform() + beside
        for severity, rows in of_rule.groupby("severity", sort=False):
            last.plot(
                [1] * len(rows), [place[layer] for layer in rows["layer"]], transform=where, clip_on=False,
                zorder=4, gid=str(code), **_square(str(severity)),
            )  # fmt: skip
        name = f"{code} {of_rule['kind'].iloc[0].replace('_', ' ')}"
        last.annotate(
            name, (1, 1), ((k + 1) * step, 3), xycoords="axes fraction", textcoords="offset points", rotation=90,
            ha="left", va="center", rotation_mode="anchor", fontsize=matplotlib.rcParams["xtick.labelsize"], gid="rule",
        )  # fmt: skip
        told_of.append(f"{name} in {words.span([of_rule['layer'].nunique()], 'layer')}")
    return told_of


def _square(severity: str) -> dict[str, Any]:
    return {
        "color": "black", "linestyle": "", "marker": "s", "markersize": marker_size(0.9),
        "markerfacecolor": _FILLS[severity], "markeredgewidth": line_width(0.5),
    }  # fmt: skip


def _span(table: pd.DataFrame, name: str, names: pd.Series) -> str:
    """Say between what a quantity lies: ``the delta from 1e-5 (dense_1) to 0.1 (head)``."""
    known = table[np.isfinite(table["mean"].to_numpy(float))]
    if known.empty:
        return f"no {name} that is finite and not zero" if len(table) else f"no {name}, which was not measured"
    least, most = (known.loc[known["mean"].agg(which)] for which in ("idxmin", "idxmax"))
    number = lambda v: f"{10**v:.2g}" if abs(v) < 300 else f"10^{v:.0f}"
    if number(least["mean"]) == number(most["mean"]):
        return f"the {name} at {number(least['mean'])}"
    ends = [f"{number(end['mean'])} ({shortened(names[end['layer']], _LETTERS)})" for end in (least, most)]
    return f"the {name} from {ends[0]} to {ends[1]}"


def _caption(
    rows: pd.DataFrame, first: list[str], floors: list[list[Floor]], codes: list[str], marks: pd.DataFrame | None,
    count: int,
) -> Caption:  # fmt: skip
    n = rows["seed"].nunique()
    mean = "n = 1 sample, no band" if n == 1 else f"geometric means over n = {n} samples, lines: smallest to largest"
    drawn = sorted({floor.at: floor for of_bar in floors for floor in of_bar}.values(), key=lambda floor: -floor.at)
    squares = f"Grey rows and squares: {words.listed(codes)}." if codes else ""
    none = "Nothing was found." if marks is not None and not codes else ""
    parts = [
        f"Over {words.span([count], 'layer')} from the input to the loss, {words.listed(first)}.",
        f"Bars: rms, {mean}; each panel has decades of its own.",
        floors_text(drawn), squares or none,
    ]  # fmt: skip
    return sentences(parts)
