"""The network as boxes and arrows, in motion: the signal travels forward and the delta back, or training goes on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground import words
from gradlab.plots.ground.boxes import (
    BACKWARD,
    FORWARD,
    NUMBERED,
    box_bar,
    box_scale,
    box_table,
    draw_boxes,
    what_happens,
)
from gradlab.plots.ground.canvas import canvas
from gradlab.plots.ground.captions import Caption
from gradlab.plots.ground.film import mark_progress, stage_title, target, write
from gradlab.plots.ground.styles import line_width
from gradlab.plots.ground.tables import checked, differing, hidden, levels, of_networks


def network_film(
    frame: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    over: Literal["layer", "step"] = "layer",
    limit: float | None = None,
    annotate: bool | None = None,
    fps: float = 2.0,
    run_hash: str | None = None,
    command: str | None = None,
    title: str | None = None,
    preset: Literal["paper", "slide"] = "slide",
) -> list[Path]:
    """Write a film of one network for a lecture, and its last stage as a poster.

    Parameters
    ----------
    frame : DataFrame
        As for `network`, of one network; with ``over="layer"`` at one step.
    path : path
        ``NAME.gif``, ``NAME.mp4`` or ``NAME.pdf``, as in `animate`.
    over : {"layer", "step"}
        The signal travels from the input to the loss and then the delta from the loss to the input; or the colours
        change as the training goes on.
    limit, annotate : optional
        As in `network`.
    fps : float
        Stages per second.
    run_hash, command : str, optional
        As in `save`.
    title : str, optional
        Above all stages.
    preset : {"paper", "slide"}
        Size, fonts and lines.

    Returns
    -------
    list of Path
        What was written, the poster last.

    Raises
    ------
    GradlabError
        If the frame has several networks, or with ``over="step"`` fewer than two steps.

    Examples
    --------
    >>> import gradlab as gl, tempfile
    >>> frame = gl.example("depth")
    >>> chosen = (frame["depth"] == 2) & (frame["init"] == "he_normal") & (frame["activation"] == "sigmoid")
    >>> made = gl.plots.network_film(frame[chosen], tempfile.mkdtemp() + "/way.gif", preset="paper")
    >>> [path.name for path in made]
    ['way.gif', 'way-poster.png']
    """
    path, kind = target(path, fps)
    checked(frame, "network", "seed", "layer", FORWARD, BACKWARD)
    if over not in ("layer", "step"):
        raise unknown("over", over, ("layer", "step"))
    frame = of_networks(frame)
    if frame["network"].nunique() > 1:
        rest = [n for n in differing(hidden(frame)) if n != "network"] or ["network"]
        some = f"frame[frame[{rest[0]!r}] == {frame[rest[0]].iloc[0]!r}]"
        raise GradlabError("one network", f"{frame['network'].nunique()}", some)
    stages = _of_steps(frame) if over == "step" else _of_layers(frame)
    tables = [table for _, table, _, _ in stages]
    norm = box_scale(tables, limit)
    annotate = len(tables[0]) <= NUMBERED if annotate is None else annotate
    with canvas(None, preset, title=title, wide=True, height=2.0) as sheet:
        import matplotlib.pyplot as plt
        import seaborn

        try:
            ax = sheet.axes.flat[0]
            seaborn.despine(ax=ax, left=True, bottom=True)
            ax.set_xlabel(words.axis("layer"))
            ax.tick_params(axis="x", pad=3 * line_width())  # below the bar of progress
            ax.set_title(max((name for name, *_ in stages), key=len))
            box_bar(sheet.figure, ax, norm, False)
            draw_boxes(ax, tables[0], norm, annotate)
            sheet.figure.draw_without_rendering()
            sheet.figure.set_layout_engine("none")  # no stage moves the axes
            sheet.describe(_caption(frame, tables[-1], len(stages), over))

            def show(number: int) -> None:
                name, table, until, back_to = stages[number]
                for drawn in [*ax.patches, *ax.texts, *ax.lines]:
                    drawn.remove()
                draw_boxes(ax, table, norm, annotate, until, back_to)
                mark_progress(ax, number / (len(stages) - 1))
                ax.set_title(name)

            origin: dict[str, Any] = {"run_hash": run_hash, "command": command}
            return write(sheet.figure, show, len(stages), path, kind, fps, origin)
        finally:
            plt.close(sheet.figure)


def _of_layers(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame, float, float]]:
    """Return title, table, and how far both ways have come: first forward, then back."""
    table = box_table(frame)
    layers = table["layer"].astype(int).tolist()
    forward = [(f"forward: layer {layer}", table, layer, np.inf) for layer in layers]
    return forward + [(f"backward: layer {layer}", table, np.inf, layer) for layer in reversed(layers)]


def _of_steps(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame, float, float]]:
    """Return title and table of each step, with both ways complete."""
    checked(frame, "step")
    steps = levels(hidden(frame), "step")
    if len(steps) < 2:
        raise GradlabError("several steps of a training", str(len(steps)), 'over="layer"')
    stages = []
    for step in steps:
        table = box_table(frame[frame["step"] == step])
        stages.append((stage_title("step", step), table, np.inf, -np.inf))
    return stages


def _caption(frame: pd.DataFrame, table: pd.DataFrame, count: int, over: str) -> Caption:
    first = what_happens(table)
    when = " at the last step" if over == "step" else ""
    return Caption(
        f"{first[:1].upper()}{first[1:]}{when}, over {words.span([len(table)], 'hidden layer')}.",
        f"A film of {count} "
        f"stages over the {over}: boxes are layers, coloured by the rms activation (above, white: 1) and the rms delta "
        f"(below, white: that of the last hidden layer). Geometric means over n = "
        f"{words.span([frame['seed'].nunique()], 'seed')}. Setting: {words.setting(hidden(frame))}.",
    )
