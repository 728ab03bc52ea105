"""The figure of loss and sharpness shows the means of the columns, and the threshold of each network."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gradlab import GradlabError, frames, plots

from .synthetic import STEPS, curved
from .test_lines import drawn


def once(frame):
    return frame.drop_duplicates(["network", "seed", "step"])


def test_means_and_thresholds_are_those_of_the_columns():
    frame = curved()
    loss, below = plots.sharpness(frame, hue="learning_rate")
    for ax, name in ((loss, "log10_train_loss"), (below, "sharpness")):
        table = frames.summarise(once(frame), ["learning_rate", "step"], name)
        for line, rate in zip(drawn(ax, "mean"), (0.1, 0.4), strict=True):
            wanted = table[table["learning_rate"] == rate]["mean"]
            np.testing.assert_allclose(line.get_ydata(), wanted, rtol=1e-12)
            np.testing.assert_array_equal(line.get_xdata(), STEPS)
    thresholds = drawn(below, "threshold")
    assert [set(line.get_ydata()) for line in thresholds] == [{20.0}, {5.0}]
    assert [line.get_color() for line in thresholds] == [line.get_color() for line in drawn(below, "mean")]
    assert below.get_ylabel() == "sharpness" and below.get_ylim()[0] == 0
    assert "Long dashes: the threshold" in plots.caption(below)


def test_relative_to_the_threshold_all_networks_have_one_line_at_1():
    frame = curved()
    _, below = plots.sharpness(frame, hue="learning_rate", relative=True)
    (line,) = drawn(below, "threshold")
    assert set(line.get_ydata()) == {1.0} and below.get_ylabel() == "sharpness / threshold"
    for line in drawn(below, "mean"):
        np.testing.assert_allclose(line.get_ydata()[-1], 1 - 0.5 / 257 + 0.01, rtol=1e-12)  # the mean seed is 1


def test_a_sharpness_far_above_all_thresholds_is_drawn_in_powers_of_ten():
    frame = curved(peak=100.0)
    _, below = plots.sharpness(frame, hue="learning_rate")
    wanted = np.log10(once(frame).query("learning_rate == 0.1").groupby("step")["sharpness"].apply(
        lambda v: 10 ** np.mean(np.log10(v))))  # fmt: skip
    np.testing.assert_allclose(drawn(below, "mean")[0].get_ydata(), wanted, rtol=1e-12)
    np.testing.assert_allclose(drawn(below, "threshold")[0].get_ydata(), np.log10(20.0), rtol=1e-12)
    assert "geometric" in plots.caption(below)


def test_of_each_network_the_sharpness_is_drawn_that_its_threshold_is_for():
    frame = curved()
    adam = frame["learning_rate"] == 0.4
    frame["preconditioned_sharpness"] = np.where(adam, 3.0, np.nan)
    axes = plots.sharpness(frame, hue="learning_rate")
    assert set(drawn(axes[1], "mean")[1].get_ydata()) == {3.0} and drawn(axes[1], "mean")[0].get_ydata()[0] < 20
    only = plots.sharpness(frame[adam], ax=plt.subplots(2)[1])
    assert only[1].get_ylabel() == "preconditioned sharpness"
    plain = plots.sharpness(frame[adam], value="sharpness", ax=plt.subplots(2)[1])
    assert plain[1].get_ylabel() == "sharpness" and plain[1].get_xlabel() == "training step"


def test_without_a_sharpness_or_with_another_value_it_is_refused():
    frame = curved()
    with pytest.raises(GradlabError, match="sharpness=True"):
        plots.sharpness(frame.drop(columns="sharpness"))
    with pytest.raises(GradlabError, match="preconditioned_sharpness"):
        plots.sharpness(frame, value="preconditioned_sharpness")
    with pytest.raises(GradlabError, match="'curvature'"):
        plots.sharpness(frame, value="curvature")
