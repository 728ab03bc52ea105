"""Colours of decades: anchored at the verdict's lines, light in the middle, told apart by the colour-blind."""

import matplotlib
import numpy as np
import pytest

from gradlab import plots
from gradlab.plots.ground.zones import colour, colours, scale

from .synthetic import healthy
from .test_lines import drawn

#: Linear RGB as a deuteranope sees it: Machado, Oliveira & Fernandes 2009, table 1, severity 1.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)


def linear(rgb):
    rgb = np.asarray(rgb)[:3]
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def grey(rgb):
    return float(linear(rgb) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("top", [0.3, 2.0, 4.8, 20.0, 630.0])
def test_the_verdicts_lines_have_the_same_tones_whatever_the_largest(top):
    norm = scale(top)
    for value, place in ((-1, 0.35), (0, 0.5), (1, 0.65)):
        assert norm(value) == pytest.approx(place, abs=1e-12)
    at = np.linspace(-norm.vmax, norm.vmax, 101)
    np.testing.assert_allclose(norm.inverse(norm(at)), at, rtol=1e-9, atol=1e-9)
    assert np.all(np.diff(norm(at)) > 0)


def test_the_middle_is_light_and_the_ends_are_told_apart():
    norm = scale(20)
    assert grey(colour(0, norm)) > 0.9 > 0.2 > grey(colour(-20, norm))
    for value in (1, 3, 20):
        blue, red = (np.clip(DEUTERANOPIA @ linear(colour(v, norm)), 0, 1) for v in (-value, value))
        assert np.abs(blue - red).max() > 0.2


def test_one_scale_for_all_panels_with_ticks_at_the_verdicts_lines():
    axes = plots.heatmap(healthy(depths=(4, 16)))
    figure = axes[0].figure
    meshes = [c for ax in axes for c in ax.collections if c.get_array() is not None]
    assert len({id(m.norm) for m in meshes}) == 1 and meshes[0].cmap == colours()
    (bar,) = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    ticks = [t.get_text() for t in bar.get_yticklabels()]
    assert "−1" in ticks and "+1" in ticks and len(drawn(bar, "verdict")) == 2
    # black lines part the cells on two sides of a decade
    assert sum(len(c.get_segments()) for ax in axes for c in ax.collections if c.get_gid() == "verdict") > 0


def test_a_map_without_numbers_has_dots_where_it_explodes():
    frame = healthy(depths=(4, 16))
    high = frame["activation"].astype(str) == "sigmoid"
    frame["log10_delta_rms"] = frame["log10_delta_rms"].where(~high, -frame["log10_delta_rms"])
    axes = plots.heatmap(frame, annotate=False)
    dotted = [p for ax in axes for p in ax.patches if p.get_gid() == "exploding"]
    assert len(dotted) == 4 and all(p.get_hatch() for p in dotted)


def test_ticks_of_rates_between_a_quarter_and_one():
    _, ax = matplotlib.pyplot.subplots()
    ax.plot([0, 1], np.log10([0.23, 1.04]))
    plots.log10_axis(ax)
    low, high = ax.get_ylim()
    shown = [10**t for t in ax.get_yticks() if low <= t <= high]
    np.testing.assert_allclose(shown, [0.3, 0.5, 0.7, 1.0])
