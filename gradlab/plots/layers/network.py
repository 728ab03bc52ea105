"""The network as boxes and arrows, coloured by its signal and its delta: how a lecture begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots.ground import words
from gradlab.plots.ground.boxes import (
    BACKWARD,
    FORWARD,
    NUMBERED,
    box_bar,
    box_scale,
    box_table,
    draw_boxes,
    largest,
    what_happens,
)
from gradlab.plots.ground.canvas import canvas, name_panel
from gradlab.plots.ground.captions import Caption, roles, sentences
from gradlab.plots.ground.facets import factors, panels
from gradlab.plots.ground.styles import Looks
from gradlab.plots.ground.tables import checked, listed, matching, of_networks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Networks below one another.
MOST = 4


def network(
    frame: pd.DataFrame,
    *,
    row: str | Sequence[str] | None = None,
    limit: float | None = None,
    annotate: bool | None = None,
    ax: Any = None,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw the network layer by layer as boxes, with the signal on its way forward and the delta on its way back.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`, with ``log10_activation_rms`` and ``log10_delta_rms``; of a training,
        the rows of one step, or with ``row="step"``.
    row : str or sequence of str, optional
        Columns with a network below another for each value. None: those that tell the networks apart; up to four.
    limit : float, optional
        Decades at the ends of the colours. None: the largest drawn.
    annotate : bool, optional
        Whether the decades stand in the boxes. None: up to 12 layers.
    ax : Axes or sequence of Axes, optional
        One for each network.
    title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are several networks
        White is a signal of 1, and the delta of the last hidden layer; blue is smaller, red larger. A film of it is
        `network_film`.

    Examples
    --------
    >>> import gradlab as gl
    >>> frame = gl.example("depth")
    >>> chosen = (frame["depth"] == 8) & (frame["init"] == "he_normal") & (frame["activation"] == "sigmoid")
    >>> axes = gl.plots.network(frame[chosen])
    >>> [text.get_text() for text in axes.get_yticklabels()]
    ['signal →', '← delta']
    """
    checked(frame, "network", "seed", "layer", FORWARD, BACKWARD)
    if limit is not None and not 0 < limit < np.inf:
        raise GradlabError("limit to be a positive number of decades", repr(limit), "limit=10")
    frame = of_networks(frame)
    names = factors(frame)[0] if row is None else listed(row, frame)
    parts = panels(frame, names)
    if len(parts) > MOST and ax is None:
        name = names[0]
        some = f"frame[frame[{name!r}] == {frame[name].iloc[0]!r}]"
        raise GradlabError(f"up to {MOST} networks below one another", f"{len(parts)}, which differ in {names}", some)
    tables = [box_table(matching(frame, key)) for _, key in parts]
    norm = box_scale(tables, limit)
    annotate = max(map(len, tables)) <= NUMBERED if annotate is None else annotate
    with canvas(ax, preset, len(parts), 1, title=title, wide=True, height=0.7 + 1.1 * len(parts)) as sheet:
        import seaborn

        for axes, table, (header, _) in zip(sheet.axes.flat, tables, parts, strict=True):
            draw_boxes(axes, table, norm, annotate)
            seaborn.despine(ax=axes, left=True, bottom=True)
            name_panel(sheet, axes, words.math(header))
        sheet.axes.flat[-1].set_xlabel(words.axis("layer"))
        beyond = limit is not None and largest(tables) > limit
        box_bar(sheet.figure, list(sheet.axes.flat), norm, beyond)
        sheet.describe(_caption(frame, tables, [header for header, _ in parts], names))
    return sheet.result()


def _caption(
    frame: pd.DataFrame, tables: Sequence[pd.DataFrame], names: Sequence[str], rows: Sequence[str]
) -> Caption:  # fmt: skip
    said = [f"{f'{name}: ' if name else ''}{what_happens(table)}" for table, name in zip(tables, names, strict=True)]
    first = "; ".join(said)
    n = words.span([int(v) for t in tables for v in t.loc[t["n_backward"] > 0, "n_backward"]] or [0], "seed")
    zeros = sum(int(t["n_zero_backward"].sum()) for t in tables)
    parts = [
        f"{first[:1].upper()}{first[1:]}, over {words.span([len(t) for t in tables], 'hidden layer')}.",
        "Boxes are layers: their upper half has the colour of the rms activation (white: 1), their lower half that of "
        "the rms delta (white: that of the last hidden layer); arrows have the colour of what leaves a box.",
        f"Geometric means over n = {n}; no band.",
        roles(Looks(None, None), rows),
        f"Hatched: all seeds are exactly 0; {words.span([zeros], 'zero')} in all." if zeros else "",
        f"Setting: {words.setting(frame[frame['layer'] >= 1])}.",
    ]
    return sentences(parts)
