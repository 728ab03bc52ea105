"""Gradients of scalar-input networks along a line of inputs."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab.frames.cosines import autocorrelation
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, name_panel
from gradlab.plots.ground.captions import Caption
from gradlab.plots.ground.styles import NEUTRAL, line_width
from gradlab.plots.ground.tables import checked, levels


def input_gradients(
    frame: pd.DataFrame,
    *,
    col: str = "network",
    ax: Any = None,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> np.ndarray:
    """Draw the derivative of networks with one input, df/dx, along a line of inputs, with a panel for each network.

    Noise of the same length makes a good panel beside them: shattered gradients look like it.

    Parameters
    ----------
    frame : DataFrame
        ``x``, ``gradient`` and `col`, a row for each input of each panel.
    col : str
        Column that names the panels, in order of appearance.
    ax : as many Axes as panels, optional
        Where to draw; a figure of its own where it is left out.
    title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    ndarray of Axes
        The caption names the autocorrelation of each panel at a distance of one input.
    """
    checked(frame, "x", "gradient", col)
    names = levels(frame, col)
    with canvas(ax, preset, 1, len(names), title=title, wide=True, height=1.7, sharex=True) as sheet:
        for axes, name in zip(sheet.axes.flat, names, strict=True):
            rows = frame[frame[col] == name].sort_values("x")
            axes.plot(rows["x"], rows["gradient"], color=NEUTRAL, linewidth=line_width(0.5), gid="gradient")
            name_panel(sheet, axes, words.named(name))
            axes.set_xlabel("$x$")
        sheet.axes.flat[0].set_ylabel(r"$\mathrm{d}f/\mathrm{d}x$  [its rms]")
        near = words.listed(f"{autocorrelation(frame[frame[col] == n], 1):.2f} ({n})" for n in names)
        inputs = words.span([int((frame[col] == n).sum()) for n in names], "input")
        rest = f"df/dx over its rms along a line, n = {inputs} a panel, one network each; no band."
        sheet.describe(Caption(f"The gradients at two neighbouring inputs correlate by {near}.", rest))
    return sheet.result()
