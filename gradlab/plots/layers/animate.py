"""The profile of a quantity over the layers, in motion: over the training, a variance, the depth, or layer by layer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas, decade_axis, draw_lines, handles, mark_failures
from gradlab.plots.ground.captions import Caption, averages, sentences
from gradlab.plots.ground.decades import counting_axis
from gradlab.plots.ground.film import mark_progress, stage_title, target, write
from gradlab.plots.ground.findings import FORWARD, profile
from gradlab.plots.ground.legends import place_legend
from gradlab.plots.ground.steps import mark_ends
from gradlab.plots.ground.styles import Looks
from gradlab.plots.ground.tables import checked, chosen_band, differing, hidden, levels, looks, summaries


@dataclass(frozen=True)
class Stage:
    """One frame: its title, all its rows with those of failures, and the summaries that are drawn."""

    title: str
    rows: pd.DataFrame
    means: pd.DataFrame
    seeds: pd.DataFrame | None


def animate(
    frame: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    over: str = "step",
    value: str = "log10_delta_rms",
    x: Literal["layer", "from_loss"] | None = None,
    hue: str | None = None,
    style: str | None = None,
    band: Literal["ci95", "sd", "range", "seeds"] | None = None,
    fps: float = 4.0,
    run_hash: str | None = None,
    command: str | None = None,
    preset: Literal["paper", "slide"] = "slide",
) -> list[Path]:
    """Write a moving profile of the layers, and its last frame as a poster; axes and colours stay the same throughout.

    Parameters
    ----------
    frame : DataFrame
        As for `gradient_flow`.
    path : path
        Its ending says what is made: ``NAME.gif``; ``NAME.mp4``, where ffmpeg is installed; ``NAME.pdf`` gives
        numbered frames ``NAME-001.pdf`` …, as LaTeX's `animate` takes them. Beside it, ``NAME-poster.png``.
    over : str
        The column whose values follow one another, in order: ``step``, ``sigma_w2`` (through criticality), ``depth``,
        or any other coordinate. With ``layer`` the profile grows layer by layer, forward signals from the input and
        the rest from the loss, as they travel.
    x : {"layer", "from_loss"}, optional
        None: "layer", but from the loss where networks of several depths grow layer by layer from there.
    fps : float
        Frames per second.
    run_hash, command : str, optional
        As in `save`, for the formats that carry text: all but that a GIF holds it as its comment.
    preset : {"paper", "slide"}
        Size, fonts and lines.
    value : str
        The measured column.
    hue, style, band : optional
        As in `gradient_flow`.

    Returns
    -------
    list of Path
        What was written, the poster last.

    Examples
    --------
    >>> import gradlab as gl, tempfile
    >>> sweep = gl.Sweep(depth=8, width=16, init="gaussian", sigma_w2=(0.5, 1.0, 2.0), seeds=2)
    >>> frame = gl.run(sweep, progress=False)
    >>> made = gl.plots.animate(frame, tempfile.mkdtemp() + "/through.gif", over="sigma_w2")
    >>> [path.name for path in made]
    ['through.gif', 'through-poster.png']
    """
    path, kind = target(path, fps)
    checked(frame, "layer", "seed", value, over)
    x = _along(frame, over, value) if x is None else x
    if x not in ("layer", "from_loss"):
        raise unknown("x", x, ("layer", "from_loss"))
    if over != "step" and "step" in frame and frame["step"].nunique() > 1:
        last = frame["step"].max()
        raise GradlabError("one step of the training", f"{frame['step'].nunique()}", f"frame[frame['step'] == {last}]")
    deep = frame["depth"] if "depth" in frame else pd.Series(np.nan, frame.index)
    # of another's model, what is not known to be a readout is a layer like the others
    frame = frame.assign(from_loss=deep.fillna(frame["layer"].max()) + 1 - frame["layer"])
    rows = hidden(frame)
    band = chosen_band(frame, band)
    look = looks(rows, hue, style, without=[over, "step", *_alike(rows, over)])
    keys = list(dict.fromkeys(n for n in (look.hue, look.style, *_apart(rows, over)) if n is not None))
    stages = _stages(frame, over, value, x, keys, band)
    with canvas(None, preset, height=2.6) as sheet:
        try:
            ax = sheet.axes.flat[0]
            kept = {id(child) for child in ax.get_children()}
            _fix(sheet, ax, frame, stages, value, keys, x, look, band)
            sheet.describe(_caption(rows, stages, value, over, x, look, band))

            def show(number: int) -> None:
                stage = stages[number]
                for child in ax.get_children():
                    if id(child) not in kept:
                        child.remove()
                draw_lines(sheet, ax, stage.means, stage.seeds, keys, x, look)
                _mark_failed(sheet, ax, stage, keys, x, look)
                if over == "step":
                    mark_progress(ax, number / (len(stages) - 1))
                ax.set_title(stage.title)

            source = {"run_hash": run_hash, "command": command}
            return write(sheet.figure, show, len(stages), path, kind, fps, source)
        finally:
            import matplotlib.pyplot as plt

            plt.close(sheet.figure)


def _alike(rows: pd.DataFrame, over: str) -> list[str]:
    """Return coordinates that differ from frame to frame, but not within one."""
    return [n for n in differing(rows, (over, "step")) if not _within(rows, over, n)]


def _apart(rows: pd.DataFrame, over: str) -> list[str]:
    """Return what must never be averaged within a frame."""
    names = ("network", "run", "loss", "data", "dtype", "batch")
    return [n for n in names if n in rows and n != over and _within(rows, over, n)]


def _within(rows: pd.DataFrame, over: str, name: str) -> bool:
    groups = rows.groupby(over, observed=True, dropna=False)
    return bool((groups[name].nunique(dropna=False) > 1).any())


def _stages(frame: pd.DataFrame, over: str, column: str, x: str, keys: Sequence[str], band: str) -> list[Stage]:
    if over == "layer":
        made = _growing(frame, column, keys, band)
    else:
        made = []
        for value in levels(frame, over):
            part = frame[frame[over] == value]
            layers = hidden(part)
            if len(layers):
                title = stage_title(over, value) + (_loss(layers) if over == "step" else "")
                made.append(Stage(title, part, *summaries(layers, [*keys, x], column, band)))
    if len(made) < 2:
        raise GradlabError(f"several values of {over} with measured layers", f"{len(made)}", "another column, over=")
    return made


def _growing(frame: pd.DataFrame, column: str, keys: Sequence[str], band: str) -> list[Stage]:
    """Return the stages layer by layer, as the quantity travels: networks of all depths begin together."""
    by, origin = ("layer", "input") if column in FORWARD else ("from_loss", "loss")
    rows = hidden(frame)
    means, seeds = summaries(rows, [*keys, "layer", "from_loss"], column, band)
    made = []
    for k in sorted(rows[by].unique()):
        shown = [None if table is None else table[table[by] <= k] for table in (means, seeds)]
        made.append(Stage(f"{words.span([int(k)], 'layer')} from the {origin}", frame, *shown))
    return made


def _along(frame: pd.DataFrame, over: str, column: str) -> Literal["layer", "from_loss"]:
    """Return the x-axis: layers, counted from the loss where several networks grow from there."""
    depths = frame["depth"].nunique() if "depth" in frame else 1
    return "from_loss" if over == "layer" and column not in FORWARD and depths > 1 else "layer"


def _loss(rows: pd.DataFrame) -> str:
    """Return the training loss of this step, if it was measured and there is one network."""
    name = "log10_train_loss"
    if name not in rows or rows["network"].nunique() > 1 or not np.isfinite(rows[name]).any():
        return ""
    return f", training loss {10 ** rows.loc[np.isfinite(rows[name]), name].mean():.2g}"


def _fix(
    sheet: Canvas, ax: Any, frame: pd.DataFrame, stages: Sequence[Stage], column: str, keys: Sequence[str], x: str,
    look: Looks, band: str,
) -> None:  # fmt: skip
    """Draw all frames over one another once: their limits, their legend and the layout that these need are kept."""
    floor = max(draw_lines(sheet, ax, stage.means, stage.seeds, keys, x, look) for stage in stages)
    for stage in stages:
        _mark_failed(sheet, ax, stage, keys, x, look)
    if column.startswith("log10_") or column == "delta_log10_mean":
        decade_axis(ax, floor)
    counting_axis(ax, [1])
    ax.set_xlabel(words.axis(x))
    ax.set_ylabel(words.axis(column, frame))
    ax.set_title(max((stage.title for stage in stages), key=len))
    place_legend(sheet, handles(look, sheet, band))
    sheet.figure.draw_without_rendering()
    sheet.figure.set_layout_engine("none")
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())


def _mark_failed(sheet: Canvas, ax: Any, stage: Stage, keys: Sequence[str], x: str, look: Looks) -> None:
    """Draw what was never measured, in the corner; what went out of range at this step, over its layers."""
    mark_failures(sheet, ax, stage.rows, keys, look)
    if "step" in stage.rows and (stage.rows["step"] > 0).any():
        mark_ends(sheet, ax, hidden(stage.rows), x, keys, look)


def _caption(
    rows: pd.DataFrame, stages: Sequence[Stage], column: str, over: str, x: str, look: Looks, band: str
) -> Caption:
    what = words.described(column)
    against = "layer, counted from the input" if x == "layer" else "layers from the loss, 1 the last hidden layer"
    last = stages[-1].means
    keys = [n for n in dict.fromkeys((look.hue, look.style, "network")) if n in last and n is not None]
    parts = [
        profile(stages[-1].rows, last, column, keys, x),
        f"{what[:1].upper()}{what[1:]}, against {against}: {len(stages)} frames over {over}.",
        f"Colour and marker: {look.hue}." if look.hue else "",
        f"Kind of line: {look.style}." if look.style else "",
        averages([column], pd.concat([s.means for s in stages]), band, rows["seed"].nunique()),
        f"Setting: {words.setting(rows)}.",
    ]
    return sentences(part.replace("_", " ") for part in parts)
