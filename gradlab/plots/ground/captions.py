"""What a figure shows, in words that travel with it: mean, band, n, and what stands for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from gradlab._text import from_figure, plain
from gradlab.plots.ground import words
from gradlab.plots.ground.styles import Looks

#: Under this name a text stays with its axes, also through pickling.
_NAME = "_gradlab_caption"


def attach(thing: Any, text: str) -> None:
    """Leave a text with the axes, or with the figure, that it describes."""
    setattr(thing, _NAME, plain(from_figure(text)))


def caption(figure: Any) -> str:
    """Return the caption of a figure of gradlab: what is drawn, which mean, which band, how many seeds.

    Parameters
    ----------
    figure : Figure, Axes or array of Axes
        What a function of `gradlab.plots` returned, or the figure it stands in.

    Returns
    -------
    str
        Empty where gradlab has drawn nothing.
    """
    figure = figure_of(figure)
    if text := caption_of(figure):  # a board has one for all panels
        return text
    texts = [caption_of(axes) for axes in figure.axes]
    return " ".join(dict.fromkeys(text for text in texts if text))


def caption_of(thing: Any) -> str:
    """Return the text that was left with axes, or with a figure as a whole."""
    return getattr(thing, _NAME, "")


def figure_of(thing: Any) -> Any:
    """Return the figure of a figure, of axes, or of an array of axes."""
    while not hasattr(thing, "savefig"):
        if hasattr(thing, "figure"):
            thing = thing.figure
        elif hasattr(thing, "flat"):
            thing = next(iter(thing.flat))
        elif isinstance(thing, (list, tuple)) and thing:
            thing = thing[0]
        else:
            from gradlab._errors import GradlabError

            raise GradlabError("a figure or its axes", type(thing).__name__, "gl.plots.gradient_flow(frame)")
    return thing


def roles(look: Looks, rows: Sequence[str] = (), columns: Sequence[str] = ()) -> str:
    """Say what colours, lines, shades, rows and columns stand for; return an empty text where nothing differs."""
    parts = [
        f"colour and marker: {words.short(look.hue)}" if look.hue else "",
        f"kind of line: {words.short(look.style)}" if look.style else "",
        f"light to dark: {words.short(look.shade)}" if look.shade else "",
        f"a row for each {' and '.join(map(words.short, rows))}" if rows else "",
        f"a column for each {' and '.join(map(words.short, columns))}" if columns else "",
    ]
    text = "; ".join(part for part in parts if part)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def averages(columns: Sequence[str], counts: pd.DataFrame, band: str, seeds: int) -> str:
    """Name the mean, the band and n, and how many values could not enter them."""
    logs = [c.startswith("log10_") or c == "delta_log10_mean" for c in columns]
    mean = "geometric means" if all(logs) else "means (geometric of what is shown as powers of ten)"
    mean = mean if any(logs) else "means"
    n = words.span([int(v) for v in counts.loc[counts["n"] > 0, "n"]] or [seeds], "seed")
    beside = "thin lines: single seeds" if band == "seeds" else f"bands: {words.BANDS[band]}"
    text = f"Thick lines: {mean} over n = {n}; {beside}." if seeds > 1 else f"n = {n}: no mean, no band."
    zeros, others = int(counts["n_zero"].sum()), int(counts["n_not_finite"].sum())
    if zeros:
        hollow = "hollow where some seeds are not zero"
        text += f" Triangles on the floor: {words.span([zeros], 'exact zero')}, in no mean ({hollow})."
    if others:
        verb = "is" if others == 1 else "are"
        text += f" Crosses on the upper edge: {words.span([others], 'value')} that {verb} not finite, in no mean."
    return text
