"""What a figure shows, in words that travel with it: mean, band, n, and what stands for what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from gradlab._text import from_figure, plain
from gradlab.plots.ground import words
from gradlab.plots.ground.styles import Looks

#: Under this name a text stays with its axes, also through pickling.
_NAME = "_gradlab_caption"


class Caption(NamedTuple):
    """What there is to see in a figure, in one sentence, and what must be known to read it.

    Parameters
    ----------
    lead : str
        One sentence, which pages set in bold.
    rest : str
        What is drawn, what stands for what, n, mean, band and setting; it may be empty.
    """

    lead: str
    rest: str = ""

    @property
    def text(self) -> str:
        """Return both, one after the other."""
        return " ".join(part for part in self if part)


def sentences(parts: Iterable[str]) -> Caption:
    """Make a caption of sentences, of which empty ones are left out; the first that is left is the lead."""
    lead, *rest = [part for part in parts if part] or [""]
    return Caption(lead, " ".join(rest))


def attach(thing: Any, caption: Caption) -> None:
    """Leave a caption with the axes, or with the figure, that it describes."""
    setattr(thing, _NAME, Caption(*(plain(from_figure(part)) for part in caption)))


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
    return in_parts(figure).text


def in_parts(figure: Any) -> Caption:
    """Return the caption of a figure, its lead apart from the rest; of several panels the lead is that of the first."""
    figure = figure_of(figure)
    if (whole := caption_of(figure)).text:  # a board has one for all panels
        return whole
    first, *others = dict.fromkeys(c for axes in figure.axes if (c := caption_of(axes)).text) or [Caption("")]
    return sentences([*first, *(other.text for other in others)])


def caption_of(thing: Any) -> Caption:
    """Return the caption that was left with axes, or with a figure as a whole."""
    return getattr(thing, _NAME, Caption(""))


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
