"""Axes to draw on, their titles, and the lines and marks that all figures share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.layout_engine import ConstrainedLayoutEngine

from gradlab._errors import GradlabError
from gradlab.plots.ground import words
from gradlab.plots.ground.captions import Caption, attach
from gradlab.plots.ground.decades import prepare
from gradlab.plots.ground.notation import set_letters
from gradlab.plots.ground.styles import FAINT, NEUTRAL, Looks, line_width, marker_size, preset_of, style, usual_preset
from gradlab.plots.ground.tables import failures, lines, matching

#: Marks: a zero at the floor, of all seeds or of some; a failure at the ceiling.
ZERO, FAILED, FROZEN = "v", "x", "s"
#: Under this name a figure of ours keeps its preset, for `save`.
_PRESET = "_gradlab_preset"


@dataclass
class Canvas:
    """Axes of ours, or those that were given; `notes` are handles of the legend that the data called for.

    `bars` are bars of colours, with the axes that gave them room and where this ended.
    """

    axes: np.ndarray
    ours: bool
    notes: dict[str, Any] = field(default_factory=dict)
    bars: list[Any] = field(default_factory=list)

    @property
    def figure(self) -> Any:
        """Return the figure that the axes stand in."""
        return self.axes.flat[0].figure

    def describe(self, caption: Caption) -> None:
        """Leave the caption with all axes."""
        for axes in self.axes.flat:
            attach(axes, caption)

    def result(self, *, grid: bool = False) -> Any:
        """Return the axes: alone if they are one, in a row, or as (rows, columns) of a grid."""
        if self.axes.size == 1:
            return self.axes.flat[0]
        return self.axes if grid else self.axes.ravel()


@contextlib.contextmanager
def canvas(
    ax: Any, preset: str | None, rows: int = 1, columns: int = 1, *, title: str | None = None, wide: bool = False,
    height: float | None = None, **options: Any,
) -> Iterator[Canvas]:  # fmt: skip
    """Make axes in the look of a preset, "paper" for a figure of ours, and draw in it inside the block.

    Axes that are given are drawn on in the preset that is asked for; else in that of the figure they stand in, if it
    has one, as a board has; else as `matplotlib.rcParams` are. A title stands above a figure of ours, and on the first
    of axes that are given.
    """
    name = preset if preset is not None else usual_preset() if ax is None else _given_preset(ax)
    with style(name):
        if ax is None:
            import matplotlib.pyplot as plt

            size = preset_of(name or usual_preset()).size(wide, height)
            figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)
            keep_preset(figure, name)
            if title:
                figure.suptitle(title)
            yield Canvas(axes, ours=True)
            set_letters(figure.axes, figure)
            lay_out(figure)  # ticks are made when they are first needed: here, while the preset's fonts are in force
        else:
            given = np.asarray(ax, dtype=object)
            if given.size != rows * columns or not all(hasattr(a, "plot") for a in given.flat):
                received = f"{given.size} of type {type(given.flat[0]).__name__}" if given.size else "none"
                raise GradlabError(f"{rows * columns} axes, {rows} × {columns}", received, "leaving ax out")
            if title:
                given.flat[0].set_title(title)
            sheet = Canvas(given.reshape(rows, columns), ours=False)
            yield sheet
            set_letters([*given.flat, *(bar.ax for bar, *_ in sheet.bars)])
            _keep_bars(sheet)


def lay_out(figure: Any) -> None:
    """Put axes, titles and ticks where they will be drawn, and draw nothing."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.execute(figure)  # a quarter faster than a drawing that is thrown away
    else:
        figure.draw_without_rendering()


def _given_preset(ax: Any) -> str | None:
    """Return the preset of the figure that given axes stand in; None for a figure of the user's own."""
    return preset_name(getattr(next(iter(np.asarray(ax, dtype=object).flat), None), "figure", None))


def name_panel(sheet: Canvas, ax: Any, text: str) -> None:
    """Say what a panel shows, over it; of axes that are given the titles stay as their owner wrote them."""
    free = [loc for loc in ("center", "right", "left") if sheet.ours or not ax.get_title(loc)]
    if text and free:
        ax.set_title(text, loc=free[0])


def keep_preset(figure: Any, name: str | None) -> None:
    """Let `save` know the preset of a figure."""
    setattr(figure, _PRESET, name)


def preset_name(figure: Any) -> str | None:
    """Return the preset that a figure of ours was made in."""
    return getattr(figure, _PRESET, None)


def colour_bar(sheet: Canvas, axes: Sequence[Any], image: Any, label: str, **options: Any) -> Any:
    """Draw the bar of an image's colours, with its label inside the room that the axes had."""
    figure = sheet.figure
    right = max(ax.get_position().x1 for ax in axes)
    bar = figure.colorbar(image, ax=list(axes), **{"pad": 0.02, "aspect": 18, **options})
    bar.set_label(label)
    bar.outline.set_visible(False)
    sheet.bars.append((bar, list(axes), right))
    return bar


def _keep_bars(sheet: Canvas) -> None:
    """Let axes give way to what of a bar of colours stands beyond their room, where no layout engine does it."""
    if sheet.ours or sheet.figure.get_layout_engine() is not None:
        return
    for bar, axes, right in sheet.bars:
        beyond = bar.ax.get_tightbbox().x1 / sheet.figure.bbox.width - right
        left = min(ax.get_position().x0 for ax in axes)
        if beyond > 0:
            share = 1 - beyond / (bar.ax.get_position().x1 - left)
            for ax in [*axes, bar.ax]:
                box = ax.get_position(original=True)
                ax.set_position((left + share * (box.x0 - left), box.y0, share * box.width, box.height))


def draw_lines(
    sheet: Canvas, ax: Any, means: pd.DataFrame, seeds: pd.DataFrame | None, keys: Sequence[str], x: str,
    looks: Looks, *, sparse: bool = True, bars: bool = False,
) -> int:  # fmt: skip
    """Draw a summary: a line for each group with its band, or its seeds beside it; zeros at the floor.

    With `bars` the bands are bars at some places, other ones for each line: many bands on one another are mud.

    Returns
    -------
    int
        Rows of marks at the floor.
    """
    groups = lines(means, keys)
    floor = 0
    for i, (key, rows) in enumerate(groups):
        rows = rows.sort_values(x)
        look = looks.of(key)
        at = rows[x].to_numpy(dtype=float)
        middle = rows["mean"].to_numpy(dtype=float)
        if seeds is not None:
            thin = {"color": look["color"], "linewidth": line_width(0.4), "alpha": 0.55, "zorder": 2, "gid": "seed"}
            for _, one in lines(matching(seeds, key), ["seed"]):
                one = one.sort_values(x)
                points = one[x].to_numpy(dtype=float), one["mean"].to_numpy(dtype=float)
                ax.plot(*points, **thin)
                mark_alone(ax, *points, {**thin, "gid": "alone seed"}, 0.5)
        else:
            low, high = rows["low"].to_numpy(dtype=float), rows["high"].to_numpy(dtype=float)
            lone = alone(middle)  # of which no area is left
            if bars:
                every = _markevery(len(at), i, len(groups), True)
                lone[slice(every[0], None, every[1]) if every else slice(i % 2, None, 2)] = True
            else:  # matplotlib drops what is not finite, and leaves a gap there
                ax.fill_between(at, low, high, color=look["color"], alpha=0.25, linewidth=0, zorder=1.5, gid="band")
            ax.vlines(at[lone], low[lone], high[lone], color=look["color"], alpha=0.5, zorder=1.5, gid="alone band")
        name = ", ".join(words.entry(n, key[n]) for n in (looks.hue, looks.style, looks.shade) if n in key)
        label = {"label": f"_{name}"} if name else {}  # for who does not see the figure; no legend shows it
        ax.plot(
            at, middle, **look, **label, markevery=_markevery(len(at), i, len(groups), sparse), zorder=3, gid="mean"
        )
        mark_alone(ax, at, middle, {**look, "zorder": 3, "gid": "alone"})
        floor += _marks(sheet, ax, at, rows, look, floor)
    return floor


def alone(values: np.ndarray) -> np.ndarray:
    """Return which values are finite and have no finite neighbour: a line through them has no length there."""
    finite = np.isfinite(values)
    beside = np.concatenate([[False], finite, [False]])
    return finite & ~beside[:-2] & ~beside[2:]


def mark_alone(ax: Any, at: np.ndarray, values: np.ndarray, look: dict[str, Any], size: float = 0.7) -> None:
    """Draw each value that no line reaches as a marker, whatever markers the line has elsewhere."""
    if (lone := alone(values)).any():
        marker = look.get("marker") or "o"
        look = {**look, "linestyle": "", "marker": marker, "markersize": marker_size(size)}
        ax.plot(at[lone], values[lone], **look)


def _marks(sheet: Canvas, ax: Any, at: np.ndarray, rows: pd.DataFrame, look: dict[str, Any], row: int) -> int:
    """Draw zeros in a row at the floor, filled where all seeds are zero, and failures at the ceiling."""
    n, zero, other = (rows[name].to_numpy() for name in ("n", "n_zero", "n_not_finite"))
    whole = (zero > 0) & (n == 0)
    part = (zero > 0) & (n > 0)
    for chosen, filled in ((whole, True), (part, False)):
        if chosen.any():
            mark_floor(ax, at[chosen], look["color"], row, filled)
            text = "exact zero" if filled else "exact zero in some seeds"
            sheet.notes[text] = _handle(ZERO, NEUTRAL, filled)
    if (other > 0).any():
        mark_out_of_range(sheet, ax, at[other > 0], look["color"])
    return int((zero > 0).any())


def mark_floor(ax: Any, at: Any, colour: Any, row: int = 0, filled: bool = True) -> None:
    """Mark values that are truly zero on the floor of the axis: they have no logarithm, but they are there."""
    from matplotlib.transforms import ScaledTranslation

    size = marker_size(0.75)
    _take_in(ax, at)
    up = ScaledTranslation(0, (0.5 + row) * 1.15 * size / 72, ax.figure.dpi_scale_trans)
    # as thin as they stand side by side: one in six where layers are many would hide where they begin
    ax.plot(
        at, np.zeros(len(at)), linestyle="", marker=ZERO, color=colour, markersize=size, clip_on=False, zorder=4,
        markerfacecolor=colour if filled else "white", transform=ax.get_xaxis_transform() + up, gid="zero",
    )  # fmt: skip


def mark_frozen(sheet: Canvas, ax: Any, at: Any, colour: Any) -> None:
    """Mark layers that have no gradient on the floor: nothing failed, there is nothing to draw."""
    _take_in(ax, at)
    ax.plot(
        at, np.zeros(len(at)), linestyle="", marker=FROZEN, color=colour, markersize=marker_size(0.75), zorder=4,
        markerfacecolor="white", clip_on=False, transform=ax.get_xaxis_transform(), gid="frozen",
    )  # fmt: skip
    sheet.notes["no gradient: frozen"] = _handle(FROZEN, NEUTRAL, False)


def mark_ceiling(ax: Any, at: Any, colour: Any) -> None:
    """Mark what is not finite on the upper edge."""
    _take_in(ax, at)
    ax.plot(
        at, np.ones(len(at)), linestyle="", marker=FAILED, color=colour, clip_on=False, zorder=4,
        markeredgewidth=line_width(0.7), transform=ax.get_xaxis_transform(), gid="failed",
    )  # fmt: skip


def mark_out_of_range(sheet: Canvas, ax: Any, at: Any, colour: Any) -> None:
    """Mark what is not finite on the upper edge, and add its entry to the legend."""
    mark_ceiling(ax, at, colour)
    sheet.notes["not finite, or failed"] = _handle(FAILED, NEUTRAL, True)


def _take_in(ax: Any, at: Any) -> None:
    """Let the x-axis reach the marks, which have no height of their own."""
    at = np.asarray(at, dtype=float)
    ax.update_datalim(np.column_stack([at, np.zeros(len(at))]), updatey=False)
    ax.autoscale_view(scaley=False)


def _markevery(n: int, i: int, lines: int, sparse: bool) -> Any:
    """Return where about six markers stand on a long line, at other places than those of its neighbours."""
    if n <= 10 or not sparse:
        return None
    step = max(1, n // 6)
    return (step * (i % max(lines, 1)) // max(lines, 1), step)


def _handle(marker: str, colour: Any, filled: bool) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker=marker, color=colour, markerfacecolor=colour if filled else "white")


def handles(looks: Looks, sheet: Canvas, band: str | None = None, *, bars: bool = False) -> dict[str, Any]:
    """Return what the legend shows: hues, styles, and what the data called for; nothing for one plain line.

    `bars` says that bands were drawn as bars.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown: dict[str, Any] = {}
    if looks.hue is not None:
        for value in looks.hues:
            look = {"color": looks.colour(value), "marker": looks.marker(value)}
            kind = looks.line(value, None) if looks.style is None else "-"
            shown[words.entry(looks.hue, value)] = Line2D([], [], linestyle=kind, **look)
    if looks.style is not None:
        for value in looks.styles:
            shown[words.entry(looks.style, value)] = Line2D([], [], color=NEUTRAL, linestyle=looks.line(None, value))
    if looks.shade is not None:
        for value in looks.shades:
            tinted = looks.tint("0.2", value)
            shown[words.entry(looks.shade, value)] = Line2D([], [], color=tinted, linewidth=line_width(2))
    if len(shown) < 2:
        shown = {}
    if band is not None and shown:
        if band == "seeds":
            shown["one seed"] = Line2D([], [], color=FAINT, linewidth=line_width(0.4))
        else:
            name = {"ci95": "95 % interval", "sd": "± sd", "range": "range"}[band]
            bar = Line2D([], [], linestyle="", marker="|", markersize=marker_size(1.6), color=NEUTRAL)
            shown[name] = bar if bars else Patch(color=FAINT, alpha=0.5)
    return {words.math(name): handle for name, handle in {**shown, **sheet.notes}.items()}


def decade_axis(ax: Any, floor: int = 0, at_least: float = 1.0) -> None:
    """Prepare the y-axis of log10 values in a figure of ours: never less than a decade, with room for zeros."""
    prepare(ax, "y", at_least=at_least, floor=floor)


def mark_failed(sheet: Canvas, ax: Any, place: int, colour: Any) -> None:
    """Mark a cell of which nothing was measured in the upper left corner."""
    from matplotlib.transforms import ScaledTranslation

    along = ScaledTranslation(6 * line_width() * (0.7 + place) / 72, 0, ax.figure.dpi_scale_trans)
    ax.plot(
        [0], [1], linestyle="", marker=FAILED, color=colour, clip_on=False, zorder=4, markeredgewidth=line_width(0.7),
        transform=ax.transAxes + along, gid="failed",
    )  # fmt: skip
    sheet.notes["not finite, or failed"] = _handle(FAILED, NEUTRAL, True)


def mark_failures(sheet: Canvas, ax: Any, frame: pd.DataFrame, keys: Sequence[str], look: Any) -> list[str]:
    """Mark cells of which nothing was measured in the upper left corner, and return their names."""
    cells = failures(frame)
    names = []
    for i, (key, rows) in enumerate(lines(cells, keys) if len(cells) else []):
        mark_failed(sheet, ax, i, look.of(key)["color"])
        shown = {n: v for n, v in key.items() if n in (look.hue, look.style, look.shade)}
        depth = f"depth {rows['depth'].iloc[0]}" if "depth" in rows and "depth" not in shown else ""
        parts = [words.entry(n, v) for n, v in shown.items()] + [depth]
        why = str(rows["status"].iloc[0])
        names.append(f"{', '.join(p for p in parts if p)} ({words.span([rows['seed'].nunique()], 'seed')}: {why})")
    return names
