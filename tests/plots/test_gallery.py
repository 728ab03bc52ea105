"""What all figures have in common: sizes that grow with the preset, a caption that says what to see, a title."""

import re

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from gradlab import plots
from gradlab.plots.ground.captions import figure_of
from gradlab.plots.ground.styles import PRESETS

from .gallery import DRAWN

#: In quick runs: lines and marks with an inset, panels of shapes.
QUICK = ("transition", "circle shapes")
NAMES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in DRAWN]


def sizes(figure, preset):
    """Widths of lines and sizes of markers, as multiples of the preset's own; and the thinnest over the height."""
    width = PRESETS[preset].rc["lines.linewidth"]
    found, ink = set(), []
    for artist in figure.findobj(lambda a: isinstance(a, matplotlib.lines.Line2D)):
        if artist.get_gid() is None or not artist.get_visible():
            continue
        if artist.get_linestyle() not in ("None", ""):
            found.add(("line", artist.get_gid(), round(artist.get_linewidth() / width, 6)))
            ink.append(artist.get_linewidth())
        if artist.get_marker() not in ("None", "", None):
            found.add(("marker", artist.get_gid(), round(artist.get_markersize() / width, 6)))
            ink.append(artist.get_markersize())
    for artist in figure.findobj(lambda a: isinstance(a, matplotlib.collections.PathCollection)):
        found.add(("dots", artist.get_gid(), round(float(np.sqrt(artist.get_sizes()[0])) / width, 6)))
    for artist in figure.findobj(lambda a: isinstance(a, matplotlib.collections.LineCollection)):
        lines = np.atleast_1d(artist.get_linewidth())
        found |= {("bars", artist.get_gid(), round(float(w) / width, 6)) for w in lines if len(artist.get_segments())}
    return found, min(ink, default=0) / (72 * figure.get_figheight())


@pytest.mark.parametrize("name", NAMES)
def test_sizes_grow_with_the_preset_and_the_title_and_caption_are_there(name):
    made = {}
    for preset in ("paper", "slide"):
        figure = figure_of(DRAWN[name](preset=preset, title="What to see"))
        figure.canvas.draw()
        made[preset] = sizes(figure, preset)
        assert figure.get_suptitle() == "What to see"
        box = figure._suptitle.get_window_extent()
        assert box.y1 <= figure.bbox.y1 + 1
        assert all(box.y0 >= ax.get_window_extent().y1 - 1 for ax in figure.axes)
        assert not any(box.overlaps(legend.get_window_extent()) for legend in figure.legends)
    (paper, thin), (slide, thin_slide) = made["paper"], made["slide"]
    assert paper == slide
    # the thinnest thing is as large a part of a slide as of a figure on paper, whose height differs from one to another
    assert thin == 0 or 0.3 < thin_slide / thin < 2
    first = plots.caption(figure).split(". ")[0]
    assert re.search(r"\d", first), first
    text = plots.caption(figure)
    assert text.endswith(".") and not re.search(r": ,|, ,|\bnan\b|\(\)|Setting: \.|  ", text), text
    assert re.search(r"n = \d|[Nn]o seeds", text) or "Theory" in text or "infinite width" in text, text


@pytest.mark.slow
def test_bars_of_colours_stay_in_the_room_of_their_axes():
    for name in ("phase_diagram", "cliff"):
        figure, panels = plt.subplots(1, 2, figsize=(7, 3))
        edge = panels[0].get_position().x1
        DRAWN[name](ax=panels[0])
        figure.canvas.draw()
        bar = next(ax for ax in figure.axes if ax.get_label() == "<colorbar>")
        assert bar.get_tightbbox().x1 / figure.bbox.width <= edge + 0.005
        assert panels[0].get_position().width > 0.15
        plt.close(figure)
