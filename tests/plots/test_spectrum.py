"""Singular values and carried circles: numbers read back from the axes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from gradlab import plots
from gradlab._errors import GradlabError


def table(far=0.0):
    rng = np.random.default_rng(0)
    tables = []
    for init, shift in (("orthogonal", 0.0), ("gaussian", -1.0)):
        value = far + shift + 0.2 * rng.normal(size=500)
        value[:5] = -np.inf
        resolved = np.arange(500) >= 25
        tables.append(
            pd.DataFrame({"init": init, "seed": 0, "input": 0, "log10_singular_value": value, "weight": 1 / 500,
                          "resolved": resolved})
        )  # fmt: skip
    return pd.concat(tables)


def by_gid(artists, gid):
    return [a for a in artists if a.get_gid() == gid]


def law(far=0.0):
    """The largest value of one network, the density of another."""
    rows = [("orthogonal", far + 0.6, np.nan), ("gaussian", far, 1.0), ("gaussian", far + 1, 2.0)]
    return pd.DataFrame(rows, columns=["init", "log10_singular_value", "density"])


@pytest.mark.parametrize("far", [0.0, -630.0])
def test_densities_hold_the_share_that_is_resolved_wherever_they_lie(far):
    ax = plots.spectrum(table(far), theory=law(far))
    densities = by_gid(ax.lines, "density")
    assert len(densities) == 2
    for line, shift in zip(densities, (0, -1), strict=True):
        edges, heights = line.get_data()
        heights = heights[:-1]  # the last edge closes the outline
        assert np.sum(heights * np.diff(edges)) == pytest.approx(475 / 500)
        centre = np.sum(heights * np.diff(edges) * (edges[:-1] + edges[1:]) / 2) / 0.95
        assert centre == pytest.approx(far + shift, abs=0.05)
    (edge,) = by_gid(ax.lines, "edge")
    assert edge.get_xdata()[0] == far + 0.6
    assert by_gid(ax.lines, "theory")[0].get_xdata()[0] == far
    text = plots.caption(ax)
    assert "10 exact zeros" in text and "40 values below the rounding" in text


def test_on_given_axes_with_one_line_and_errors():
    _, ax = plt.subplots()
    one = table()[lambda t: t["init"] == "gaussian"]
    assert plots.spectrum(one, ax=ax) is ax
    assert ax.get_legend() is None
    with pytest.raises(GradlabError, match="weight"):
        plots.spectrum(one.drop(columns="weight"))
    with pytest.raises(GradlabError, match="'init'"):
        plots.spectrum(one, hue="inits")


def test_along_a_training_each_step_has_a_line_or_a_panel_with_the_same_bins():
    steps = {0: 0.0, 100: -1.0}
    made = [table().assign(step=s, log10_singular_value=lambda t, by=by: t["log10_singular_value"] + by)
            for s, by in steps.items()]  # fmt: skip
    whole = pd.concat(made, ignore_index=True)
    one = plots.spectrum(whole[whole["init"] == "gaussian"])
    assert [t.get_text() for t in one.figure.legends[0].get_texts()] == ["step 0", "step 100"]
    panels = plots.spectrum(whole, col="step", theory=law())
    assert [ax.get_title() for ax in panels] == ["step 0", "step 100"]
    centres = []
    for ax in panels:
        lines = by_gid(ax.lines, "density")
        assert len(lines) == 2 and len(by_gid(ax.lines, "edge")) == 1
        edges, heights = lines[0].get_data()
        centres.append(np.sum(heights[:-1] * (edges[:-1] + edges[1:])) / (2 * np.sum(heights)))
    assert centres[0] - centres[1] == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(*(by_gid(ax.lines, "density")[0].get_xdata() for ax in panels))
    assert "(orthogonal, step 100)" in plots.caption(panels[0])


def lengths():
    rows = [
        {"sigma_w2": s, "seed": seed, "layer": layer, "log10_length": 1 + 0.1 * s * layer + 0.01 * seed}
        for s in (1.0, 4.0)
        for seed in (0, 1)
        for layer in range(6)
    ]
    return pd.DataFrame(rows)


def test_lengths_stand_beside_the_root_of_chi1():
    ax = plots.circle(lengths(), theory={4.0: 10**0.8})
    dots = by_gid(ax.lines, "length")
    assert dots[1].get_ydata()[5] == pytest.approx(1 + 0.4 * 5)
    (line,) = by_gid(ax.lines, "theory")
    # a slope that holds far from the input: it goes through the last layer
    assert line.get_ydata() == pytest.approx(3.005 - 0.4 * np.arange(4, -1, -1))
    assert list(line.get_xdata()) == [1, 2, 3, 4, 5]


def test_shapes_are_closed_curves():
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    shape = np.stack([np.cos(angle), np.sin(angle)], 1)
    axes = plots.circle(lengths(), shapes={0: shape, 3: 2 * shape})
    assert [a.get_title() for a in axes] == ["input", "layer 3", ""]
    (line,) = by_gid(axes[1].lines, "shape")
    assert len(line.get_xdata()) == 21 and line.get_xdata()[0] == line.get_xdata()[-1] == 2
    with pytest.raises(GradlabError, match="2 axes"):
        plots.circle(lengths(), ax=plt.figure().subplots(), shapes={0: shape})
