"""What all figures have in common: sizes that grow with the preset, a caption that says what to see, a title, a legend
that covers nothing."""

import inspect
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
    """Widths of lines and sizes of markers, as multiples of the preset's own; and the thinnest, in points."""
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
    return found, min(ink, default=0)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_grow_with_the_preset_and_the_title_and_caption_are_there(name):
    made = {}
    for preset in ("paper", "slide"):
        figure = figure_of(DRAWN[name](preset=preset, title="What to see"))
        figure.draw_without_rendering()
        made[preset] = sizes(figure, preset)
        assert figure.get_suptitle() == "What to see"
        box = figure._suptitle.get_window_extent()
        assert box.y1 <= figure.bbox.y1 + 1
        assert all(box.y0 >= ax.get_window_extent().y1 - 1 for ax in figure.axes)
        assert not any(box.overlaps(legend.get_window_extent()) for legend in figure.legends)
    (paper, thin), (slide, thin_slide) = made["paper"], made["slide"]
    assert paper == slide
    # the thinnest thing is as large a part of a slide as of a figure on paper; one of several rows is higher on paper
    heights = {preset: PRESETS[preset].height for preset in made}
    assert thin_slide / heights["slide"] == pytest.approx(thin / heights["paper"], rel=1e-9)
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
        figure.draw_without_rendering()
        bar = next(ax for ax in figure.axes if ax.get_label() == "<colorbar>")
        assert bar.get_tightbbox().x1 / figure.bbox.width <= edge + 0.005
        assert panels[0].get_position().width > 0.15
        plt.close(figure)


#: Drawn in quick runs: one with its legend inside, one whose legend stands above, one of two panels.
ON_GIVEN = [n if n == "before_after" else pytest.param(n, marks=pytest.mark.slow) for n in DRAWN]


@pytest.mark.parametrize("name", ON_GIVEN)
def test_on_given_axes_of_a_constrained_grid_no_legend_covers_data_or_a_title(name):
    function = getattr(plots, name.split()[0])
    if "legend" not in inspect.signature(function).parameters:
        pytest.skip("it draws no legend")
    count = np.size(np.asarray(DRAWN[name](), dtype=object))
    plt.close("all")
    rows = max(2, -(-count // 2))
    figure, panels = plt.subplots(rows, 2, figsize=(7, 2.5 * rows), layout="constrained", squeeze=False)
    figure.suptitle("of the figure")
    for ax in panels.flat:
        ax.set_title("(a)", loc="left")
        ax.set_title("mine")
    given = panels.ravel()[:count]
    DRAWN[name](ax=given[0] if count == 1 else given)
    figure.draw_without_rendering()
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend() is not None)]
    boxes = [legend.get_window_extent() for legend in legends]
    titles = [t.get_window_extent() for ax in panels.flat for t in (ax.title, ax._left_title)]
    titles.append(figure._suptitle.get_window_extent())
    assert not any(box.overlaps(title) for box in boxes for title in titles)
    for legend in legends:
        legend.set_visible(False)
    figure.set_layout_engine("none")  # where they were
    figure.canvas.draw()
    page = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3]
    for box in boxes:
        (left, right), (low, high) = ((int(np.ceil(a)), int(b)) for a, b in ((box.x0, box.x1), (box.y0, box.y1)))
        under = page[max(low, 0) : high, max(left, 0) : right]
        assert under.size and (under == 255).all(), f"{np.mean(np.any(under < 255, axis=2)):.1%} of the legend"
