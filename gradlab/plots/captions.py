"""What a figure shows, in words that travel with it: mean, band, n, and what stands for what."""

from __future__ import annotations

from typing import Any

from gradlab._text import from_figure, plain

#: Under this name a text stays with its axes, also through pickling.
_NAME = "_gradlab_caption"


def attach(axes: Any, text: str) -> None:
    """Leave a text with the axes that it describes."""
    setattr(axes, _NAME, plain(from_figure(text)))


def caption(figure: Any) -> str:
    """The caption of a figure of gradlab: what is drawn, which mean, which band, how many seeds.

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
    texts = [getattr(axes, _NAME, "") for axes in figure.axes]
    return " ".join(dict.fromkeys(text for text in texts if text))


def figure_of(thing: Any) -> Any:
    """The figure of a figure, of axes, or of an array of axes."""
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
