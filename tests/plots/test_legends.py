"""Legends and titles on axes that are given: they cover no data, no title, and leave panels lined up."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from gradlab import frames, plots
from gradlab._errors import GradlabError

from .synthetic import bins, healthy, learnt, printed, sick, trace
from .test_lines import drawn

DRAWN = {
    "flow": lambda ax, **k: plots.gradient_flow(healthy(depths=(16,)), ax=ax, **k),
    "sick": lambda ax, **k: plots.gradient_flow(sick(), hue="activation", style="depth", ax=ax, **k),
    "rate": lambda ax, **k: plots.rate_against_depth(sick(), hue="activation", ax=ax, **k),
    "learning": lambda ax, **k: plots.learning_speed(learnt(), ax=ax, **k),
    "update": lambda ax, **k: plots.update_ratio(learnt(depth=9), ax=ax, **k),
    "autodiff": lambda ax, **k: plots.autodiff(printed(), ax=ax, **k),
    "bins": lambda ax, **k: plots.histograms(bins(("a",)), signal="delta", overlay=True, ax=ax, **k),
}
ENGINES = [None, "constrained", "tight"]


def ink(ax):
    """Points on the page that lines, their markers and their pieces between go through."""
    found = []
    for line in ax.lines:
        points = line.get_transform().transform(np.column_stack(line.get_data()).astype(float))
        found.append(points)
        if line.get_linestyle() != "None":
            steps = np.linspace(0, 1, 50)[:, None, None]
            found.append((points[:-1] * (1 - steps) + points[1:] * steps).reshape(-1, 2))
    found = np.concatenate(found)
    return found[np.isfinite(found).all(axis=1)]


def covered(box, points):
    x, y = points.T
    return int(((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)).sum())


def slow(cases):
    return [pytest.param(*case, marks=pytest.mark.slow) for case in cases]


MORE = [("above", None), ("above", "tight"), ("below", None), ("right", None)]
OURS = [("inside", "paper"), ("right", "slide")]
SLOW = slow(itertools.product(DRAWN, ENGINES))
QUICK = [("flow", None), ("update", "constrained")]


@pytest.mark.parametrize(("name", "engine"), [*QUICK, *(case for case in SLOW if case.values not in QUICK)])
def test_in_one_of_four_panels(name, engine):
    figure, panels = plt.subplots(2, 2, figsize=(7, 5), layout=engine)
    figure.suptitle("a title")
    for ax, letter in zip(panels.flat, "abcd", strict=True):
        ax.set_title(f"({letter})", loc="left")
    panels[0, 0].set_title("mine")
    panels[0, 0].set_title("right", loc="right")
    DRAWN[name](panels[0, 0])
    figure.draw_without_rendering()
    first, second = panels[0]
    title = figure._suptitle.get_window_extent()
    assert [first.get_title(loc) for loc in ("left", "center", "right")] == ["(a)", "mine", "right"]
    if first.get_legend() is None:  # many entries, for which the panel is too small
        assert name in ("sick", "rate", "update", "autodiff")
        box = figure.legends[0].get_window_extent()
        assert not box.overlaps(title) and not any(box.overlaps(ax.get_window_extent()) for ax in panels.flat)
    else:  # inside, so off titles, the neighbour and the title of the figure
        box, own = first.get_legend().get_window_extent(), first.bbox
        assert own.x0 <= box.x0 and box.x1 <= own.x1 and own.y0 <= box.y0 and box.y1 <= own.y1
        assert covered(box, ink(first)) == 0
    a, b = first.get_position(), second.get_position()
    assert a.height == pytest.approx(b.height, abs=1e-9) and a.y0 == pytest.approx(b.y0, abs=1e-9)


@pytest.mark.parametrize(("where", "engine"), [("above", "constrained"), ("below", "constrained"), *slow(MORE)])
def test_one_legend_for_several_panels(engine, where):
    figure, panels = plt.subplots(2, 2, figsize=(7, 5), layout=engine)
    title = figure.suptitle("a title")
    frame = healthy(depths=(16,))
    for ax, column in zip(panels.flat, ("activation_rms", "delta_rms", "weight_grad_norm"), strict=False):
        plots.gradient_flow(frame, value=f"log10_{column}", ax=ax)
    made = plots.legend(figure, where=where)
    assert plots.legend(figure, where=where) is not made and len(figure.legends) == 1
    figure.draw_without_rendering()
    (made,) = figure.legends
    assert [t.get_text() for t in made.get_texts()][:2] == ["sigmoid", "ReLU"]
    assert all(ax.get_legend() is None for ax in panels.flat)
    box = made.get_window_extent()
    assert not box.overlaps(title.get_window_extent())
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1
    assert not any(box.overlaps(ax.get_window_extent()) for ax in panels.flat)
    for row in panels:
        assert row[0].get_position().y0 == pytest.approx(row[1].get_position().y0, abs=1e-9)
        assert row[0].get_position().height == pytest.approx(row[1].get_position().height, abs=1e-9)
    assert panels[0, 0].get_position().height > 0.2  # of the figure


def test_what_one_legend_cannot_name():
    figure, panels = plt.subplots(1, 2)
    with pytest.raises(GradlabError, match="drawn lines on"):
        plots.legend(figure)
    plots.learning_speed(learnt(depth=3), ax=panels[0], legend=False)
    assert panels[0].get_legend() is None
    plots.learning_speed(learnt(depth=5), ax=panels[1], legend=False)
    with pytest.raises(GradlabError, match="one look for 'layer 2'"):
        plots.legend(figure)
    with pytest.raises(GradlabError, match="above, below, right; received 'inside'"):
        plots.legend(figure, where="inside")
    with pytest.raises(GradlabError, match="received 'beside'"):
        plots.gradient_flow(healthy(), ax=panels[0], value="log10_delta_rms", legend="beside")


@pytest.mark.parametrize(("where", "preset"), [("above", "slide"), *slow(OURS)])
def test_a_figure_of_ours_with_a_title(where, preset):
    axes = plots.gradient_flow(healthy(depths=(16,)), legend=where, title="Gradients vanish", preset=preset)
    figure = axes[0].figure
    figure.draw_without_rendering()
    title = figure._suptitle
    assert title.get_text() == "Gradients vanish"
    made = figure.legends[0] if where != "inside" else next(ax.get_legend() for ax in axes if ax.get_legend())
    box = made.get_window_extent()
    assert not box.overlaps(title.get_window_extent()) and box.y1 <= figure.bbox.y1 and box.x1 <= figure.bbox.x1
    assert all(title.get_window_extent().y0 >= ax.get_window_extent().y1 for ax in axes)
    if where != "inside":
        assert not any(box.overlaps(ax.get_window_extent()) for ax in axes)


def test_two_calls_on_the_same_axes_share_a_legend():
    _, ax = plt.subplots()
    for config in ({"activation": "tanh"}, {"activation": "relu"}):
        plots.gradient_flow(frames.frame([trace(5, **config), trace(5, init="lecun_normal", **config)]), ax=ax)
    assert len([t.get_text() for t in ax.get_legend().get_texts()]) >= 2


@pytest.mark.slow
def test_titles_that_a_user_wrote_stay():
    _, panels = plt.subplots(1, 2, layout="constrained", figsize=(12, 6))
    for ax in panels:
        ax.set_title("mine")
    plots.activation_bands(learnt(), layers=[1, 2], ax=panels)
    plots.heatmap(healthy(depths=(4, 8)), ax=panels, col="activation")
    one = learnt(({"activation": "tanh"}, {"activation": "relu"}))
    plots.learning_speed(one, ax=panels)
    plots.trainability(one, x="init", y="depth", col="activation", ax=panels)
    signal = pd.DataFrame({"x": np.tile(np.arange(8.0), 2), "gradient": np.tile([1.0, -1.0], 8)})
    plots.input_gradients(signal.assign(network=np.repeat(["a", "b"], 8)), ax=panels)
    circle = pd.DataFrame({"layer": [0, 1, 2], "seed": 0, "log10_length": [0.0, 0.1, 0.2]})
    plots.circle(circle, ax=panels, shapes={1: np.eye(3)[:, :2]})
    assert [ax.get_title() for ax in panels] == ["mine", "mine"]
    ax = plots.gradient_flow(healthy(), ax=panels[0], value="log10_delta_rms", title="asked for")
    assert ax.get_title() == "asked for" and drawn(ax, "mean")
