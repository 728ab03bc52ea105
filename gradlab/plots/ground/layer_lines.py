"""A line for each layer against the training step, a panel for each configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas, decade_axis, draw_lines, handles, mark_failures, name_panel
from gradlab.plots.ground.captions import Caption, averages, roles, sentences
from gradlab.plots.ground.decades import step_axis
from gradlab.plots.ground.findings import last_step
from gradlab.plots.ground.headers import share_labels, write_headers
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.steps import (
    band_of_layers,
    grid_of,
    initial,
    layer_looks,
    mark_ends,
    never_averaged,
    of_layers,
    some_named,
    trained,
)
from gradlab.plots.ground.styles import NEUTRAL, Looks, line_width
from gradlab.plots.ground.tables import summaries

#: Up to so many layers have bands; more have bars, which can be told apart.
BANDS = 4


def draw_layers(
    frame: pd.DataFrame,
    value: str,
    x: str,
    *,
    row: str | Sequence[str] | None,
    col: str | Sequence[str] | None,
    style: str | None,
    band: str | None,
    layers: Sequence[int] | None,
    readout: bool,
    ax: Any,
    legend: Place,
    title: str | None,
    preset: str | None,
    rule: float | None = None,
) -> Any:
    """Draw a column of each layer against the training step; arguments as in `learning_speed`.

    `rule` is the log10 of a ratio that a labelled line marks.
    """
    rows = of_layers(trained(frame, x, value), value, readout)
    band = band_of_layers(frame, band)
    look = layer_looks(rows, layers, style)
    grid = grid_of(frame, row, col, x, ax is not None)
    shown, size = grid.panels, grid.shape
    logs = value.startswith("log10_") or value == "delta_log10_mean"
    shared = {"sharey": True, "sharex": True} if ax is None else {}
    counts, failed, ended, several = [], [], [], len(shown) > 1
    bars = band != "seeds" and len(look.hues) > BANDS
    height = 2.6 if size[0] == 1 else 0.7 + (1.75 if size[0] < 4 else 1.35) * size[0]
    with canvas(ax, preset, *size, title=title, wide=several, height=height, **shared) as sheet:
        used = sheet.axes.ravel()[: len(shown)]
        for axes, (name, whole) in zip(used, shown, strict=True):
            part = of_layers(whole, value, readout)
            part = part[part["layer"].isin(look.hues)]
            floor = 0
            if len(part):
                keys = list(dict.fromkeys(n for n in ("layer", style, *never_averaged(part, x)) if n is not None))
                means, seeds = summaries(part, [*keys, x], value, band)
                counts.append(means.assign(panel=name) if several else means)
                floor = draw_lines(sheet, axes, means, seeds, keys, x, look, bars=bars)
                where = f" ({name})" if several else ""
                ended += [note + where for note in mark_ends(sheet, axes, part, x, [], look)]
            if rule is not None:
                _mark_rule(sheet, axes, rule)
            if logs:
                decade_axis(axes, floor)
            step_axis(axes, rows[x].unique())
            name_panel(sheet, axes, name if several and not (grid.row and sheet.ours) else "")
            if not len(part):
                axes.text(0.5, 0.5, "no such network", transform=axes.transAxes, ha="center", color=NEUTRAL, gid="none")
            axes.set_xlabel(words.axis(x))
            failed += mark_failures(sheet, axes, whole, [], look)
        label = words.axis(value, frame)
        if sheet.ours and several:
            _share_labels(sheet, used, words.axis(x), label)
            write_headers(sheet, grid.row, grid.col)
        else:
            for axes in used:
                axes.set_ylabel(label)
        place_legend(sheet, some_named(handles(look, sheet, band, bars=bars), look), legend)
        sheet.describe(_caption(rows, pd.concat(counts), value, x, look, band, failed, ended, grid.names, rule))
    return used if several else used[0]


def _mark_rule(sheet: Canvas, ax: Any, at: float) -> None:
    """Draw a line at the rule of thumb. The legend names it: any place in the axes may be crossed by a line."""
    look = {"color": NEUTRAL, "linestyle": (0, (4, 2)), "linewidth": line_width(0.7)}
    ax.axhline(at, **look, zorder=1.2, gid="rule")
    sheet.notes[f"rule of thumb $10^{{{at:g}}}$"] = Line2D([], [], **look)


def _share_labels(sheet: Canvas, used: Any, x: str, y: str) -> None:
    """Write one label for all panels of a figure of ours, and hide axes where there is no panel."""
    share_labels(sheet, x, y)
    for axes in sheet.axes.ravel()[len(used) :]:
        axes.set_visible(False)
    below = sheet.axes.shape[1]
    for i, axes in enumerate(used):
        axes.tick_params(labelbottom=i + below >= len(used))


def _panels(rows: list[str], cols: list[str]) -> str:
    """Say what the panels stand for; those that follow one another have a title each."""
    if rows and not cols:
        return f"A panel for each {' and '.join(map(words.short, rows))}."
    return roles(Looks(None, None), rows, cols)


def _caption(
    rows: pd.DataFrame, counts: pd.DataFrame, value: str, x: str, look: Any, band: str, failed: list[str],
    ended: list[str], facets: tuple[list[str], list[str]], rule: float | None,
) -> Caption:  # fmt: skip
    what, bars = words.described(value), len(look.hues) > BANDS
    low, high = look.hues[0], look.hues[-1]
    keys = [n for n in ("layer", look.style, "network", "panel") if n in counts]
    parts = [
        last_step(rows, counts, value, keys, x),
        f"{what[:1].upper()}{what[1:]}, against the {words.axis(x)}{initial(rows[x])}.",
        f"Colour: layer, from {low}, next to the input (dark), to {high} (light)." if len(look.hues) > 1 else "",
        f"Kind of line: {words.short(look.style)}." if look.style else "",
        "Layer 0: the weights that all time steps share." if low == 0 else "",
        _panels(*facets),
        f"Dashed: the rule of thumb, {10**rule:g}." if rule is not None else "",
        averages([value], counts, band, rows["seed"].nunique()).replace("bands:", "bars:" if bars else "bands:"),
        f"Setting: {setting}." if (setting := words.setting(rows)) else "",
        f"× on the upper edge: {'; '.join(ended)}." if ended else "",
        f"Failed, and marked × in the upper left corner: {'; '.join(failed)}." if failed else "",
    ]  # fmt: skip
    return sentences(parts)
