"""A figure for a narrow screen: the same panels, one below another."""

import itertools

from gradlab import plots
from gradlab.plots.ground.captions import figure_of
from gradlab.plots.ground.stacked import stack

from .synthetic import healthy

FRAME = healthy(depths=(4, 16))


def test_panels_stand_one_below_another_each_with_its_header_and_the_legend_above():
    axes = plots.gradient_flow(FRAME, value=["log10_activation_rms", "log10_delta_rms"], hue="activation", row="init")
    lines = [[line.get_xydata().copy() for line in ax.lines] for ax in axes.flat]
    figure = figure_of(axes)
    assert stack(figure)
    assert figure.get_figwidth() == 3.4
    boxes = [ax.get_tightbbox() for ax in axes.flat]
    assert all(over.y0 >= below.y1 for over, below in itertools.pairwise(boxes))  # row by row, and none on another
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    titles = [ax.get_title() for ax in axes.flat]
    assert [title.split(",")[0] for title in titles] == ["Xavier normal"] * 2 + ["He normal"] * 2
    assert "activation" in titles[0] and "delta" in titles[1] and not any(ax.texts for ax in axes.flat)
    (legend,) = figure.legends
    assert legend.get_window_extent().y0 >= boxes[0].y1 and len(legend.get_texts()) >= 2
    for ax, before in zip(axes.flat, lines, strict=True):
        assert all((line.get_xydata() == points).all() for line, points in zip(ax.lines, before, strict=True))


def test_a_bar_of_colours_stays_thin_and_beside_its_panels():
    axes = plots.heatmap(FRAME)
    figure = figure_of(axes)
    assert stack(figure)
    figure.draw_without_rendering()
    bar = next(ax for ax in figure.axes if ax.get_label() == "<colorbar>").get_window_extent()
    assert bar.width < 0.06 * figure.bbox.width
    assert all(ax.get_window_extent().x1 <= bar.x0 for ax in axes.flat)


def test_what_has_one_column_of_panels_is_left_as_it_is():
    ax = plots.rate_against_depth(FRAME)
    size = tuple(figure_of(ax).get_size_inches())
    assert not stack(figure_of(ax)) and tuple(figure_of(ax).get_size_inches()) == size
