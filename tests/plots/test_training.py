"""Figures of training runs: the numbers on the axes are the summaries', step 0 has its place, what failed is there."""

import functools

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt

from gradlab import frames, plots
from gradlab._errors import GradlabError
from gradlab.plots.ground.decades import spaced_by_powers
from gradlab.plots.ground.styles import COLOURS

from .synthetic import STEPS, failed, learnt
from .test_lines import drawn, groups, hidden, same, values


def blank():
    """Axes that are given: without the layout of a figure of ours, which most tests look past."""
    return {"ax": plt.subplots()[1], "legend": False}


TWO = ({"activation": "tanh"}, {"activation": "sigmoid"})


@pytest.mark.parametrize(
    ("figure", "column", "seeds"),
    [
        (plots.learning_speed, "log10_weight_grad_norm", 10),
        (functools.partial(plots.learning_speed, value="log10_delta_rms"), "log10_delta_rms", 3),
        (plots.update_ratio, "log10_update_ratio", 3),
    ],
)
def test_lines_of_layers_are_the_summaries(figure, column, seeds):
    frame = learnt(seeds=seeds)
    ax = figure(frame, **blank())
    band = "range" if seeds == 3 else "ci95"
    table = frames.summarise(hidden(frame), ["layer", "step"], column, band)
    same(drawn(ax, "mean"), groups(table, ["layer"]), ("step", "mean"))
    corners = {tuple(p) for shade in drawn(ax, "band") for path in shade.get_paths() for p in path.vertices}
    for side in ("low", "high"):
        assert set(zip(table["step"].astype(float), table[side], strict=True)) <= corners
    assert f"n = {seeds} seeds" in plots.caption(ax) and "geometric means" in plots.caption(ax)


def test_colours_go_from_dark_to_light_and_many_layers_have_no_marks():
    grey = lambda ax: [np.dot(colors.to_rgb(line.get_color()), (0.3, 0.59, 0.11))
                       for line in drawn(ax, "mean")]  # fmt: skip
    few, many = plots.learning_speed(learnt(depth=4)), plots.learning_speed(learnt(depth=20, steps=(0, 1, 2)))
    for ax in (few, many):
        assert np.all(np.diff(grey(ax)) > 0)
    assert len({line.get_marker() for line in drawn(few, "mean")}) == 4
    assert {line.get_marker() for line in drawn(many, "mean")} == {""}
    assert {line.get_linestyle() for line in drawn(many, "mean")} == {"-"}
    named = [t.get_text() for t in many.figure.legends[0].get_texts()]
    assert [t for t in named if t.startswith("layer")] == [f"layer {k}" for k in (1, 5, 9, 12, 16, 20)]


def test_step_0_has_its_place_on_a_logarithmic_axis():
    ax = plots.learning_speed(learnt())
    at = ax.transData.transform(np.column_stack([STEPS, np.zeros(len(STEPS))]))[:, 0]
    assert np.all(np.isfinite(at)) and np.all(np.diff(at) > 0)
    ticks = dict(zip([t.get_text() for t in ax.get_xticklabels()], ax.get_xticks(), strict=True))
    assert ticks == {"0": 0, "1": 1, "10": 10, "100": 100}
    left, right = ax.get_xlim()
    assert left < 0 and right > 256
    # powers of two stand at equal distances from 1 on
    np.testing.assert_allclose(np.diff(at)[1:5], np.diff(at)[1], rtol=1e-9)


@pytest.mark.parametrize("steps", [(0, 10, 20, 30), (100, 101, 102), (0,), (7, 7000)])
def test_other_steps(steps):
    ax = plots.learning_speed(learnt(steps=steps), **blank())
    assert ax.get_xscale() == "linear"
    left, right = ax.get_xlim()
    assert left <= min(steps) and max(steps) <= right


@pytest.mark.parametrize(
    ("values", "by_powers"),
    [
        ((0, 1, 2, 4, 8), True), ((0, 1, 6, 32, 178, 1000), True), ((4, 16, 48), True), ((1, 2, 4, 8, 1000), True),
        ((0, 10, 20, 30, 35), False), ((1, 1.25, 1.5, 1.75), False), ((-1, 1, 10, 100), False), ((0, 1, 2), False),
    ],
)  # fmt: skip
def test_what_is_spaced_by_powers(values, by_powers):
    assert spaced_by_powers(values) is by_powers


def test_steps_that_do_not_begin_with_0():
    ax = plots.learning_speed(learnt(steps=(1, 2, 4, 8, 1000)), **blank())
    assert "0" not in [t.get_text() for t in ax.get_xticklabels()] and ax.get_xlim()[0] > 0


def test_a_panel_for_each_configuration_and_never_a_mean_over_networks():
    frame = learnt(TWO)
    axes = plots.learning_speed(frame)
    assert [ax.get_title() for ax in axes] == ["tanh", "sigmoid"]
    for ax, name in zip(axes, ("tanh", "sigmoid"), strict=True):
        table = frames.summarise(
            hidden(frame[frame["activation"] == name]), ["layer", "step"], "log10_weight_grad_norm"
        )
        same(drawn(ax, "mean"), groups(table, ["layer"]), ("step", "mean"))
    whole = plots.learning_speed(frame, row="init", style="activation", **blank())
    assert len(drawn(whole, "mean")) == 8
    assert len({line.get_linestyle() + str(line._dash_pattern) for line in drawn(whole, "mean")}) == 2
    five = plots.learning_speed(
        learnt([{"init": "he_normal", "depth": d} for d in range(2, 7)], steps=(0, 1)), legend=False
    )
    assert len(five) == 5 and [ax.get_title() for ax in five] == [f"depth {d}" for d in range(2, 7)]
    assert five[0].figure.axes[-1].get_visible() is False
    with pytest.raises(GradlabError, match="up to 24 panels"):
        plots.learning_speed(learnt([{"depth": d} for d in range(2, 27)], steps=(0, 1)))


def test_layers_that_are_asked_for_and_the_readout():
    frame = learnt()
    assert len(drawn(plots.learning_speed(frame, layers=[1, 3], **blank()), "mean")) == 2
    assert len(drawn(plots.learning_speed(frame, readout=True, **blank()), "mean")) == 5
    with pytest.raises(GradlabError, match="layers among 1"):
        plots.learning_speed(frame, layers=[9])


def test_the_rule_of_thumb_is_marked_and_named():
    ax = plots.update_ratio(learnt(), ax=plt.subplots()[1])
    (line,) = [a for a in ax.lines if a.get_gid() == "rule"]
    assert set(line.get_ydata()) == {-3.0}
    assert "rule of thumb $10^{-3}$" in [t.get_text() for t in ax.get_legend().get_texts()]
    assert "rule of thumb, 0.001" in plots.caption(ax)
    assert ax.get_ylim()[0] < -3 < ax.get_ylim()[1]
    assert not [a for a in plots.update_ratio(learnt(), rule=None, **blank()).lines if a.get_gid() == "rule"]


def test_zeros_and_what_is_not_finite_are_marked():
    frame = learnt()
    frame["status"] = frame["status"].astype(object)
    frame.loc[(frame["layer"] == 2) & (frame["step"] == 4), "log10_weight_grad_norm"] = -np.inf
    last = frame["step"] == 256
    frame.loc[last, ["log10_weight_grad_norm", "status"]] = [np.nan, "loss not finite"]
    ax = plots.learning_speed(frame, **blank())
    (zero,) = drawn(ax, "zero")
    assert values(zero)[:, 0].tolist() == [4]
    assert all(values(mark)[:, 0].tolist() == [256] for mark in drawn(ax, "failed"))
    assert "3 exact zeros" in plots.caption(ax) and "12 values that are not finite" in plots.caption(ax)


def test_a_training_that_diverged_is_marked_where_it_did_though_its_numbers_are_finite():
    frame = learnt(TWO)
    frame["status"] = frame["status"].astype(object)
    frame = frame[(frame["activation"] != "sigmoid") | (frame["step"] <= 4)]
    last = (frame["activation"] == "sigmoid") & (frame["step"] == 4)
    frame.loc[last & (frame["seed"] > 0), "status"] = "diverged at step 4"
    fine, ill = plots.learning_speed(frame, ax=plt.subplots(1, 2)[1])
    assert not drawn(fine, "failed")
    (mark,) = drawn(ill, "failed")
    assert values(mark)[:, 0].tolist() == [4]
    assert "× on the upper edge: 2 seeds: diverged at step 4 (sigmoid)." in plots.caption(ill)
    bands = plots.activation_bands(frame, layers=[1], ax=plt.subplots(2)[1])
    assert [len(drawn(ax, "failed")) for ax in bands.flat] == [0, 1]
    assert "2 seeds: diverged at step 4 (sigmoid)" in plots.caption(bands)
    for ax in plots.training_curves(frame, ax=plt.subplots(1, 2)[1]):
        (mark,) = drawn(ax, "failed")
        assert values(mark)[:, 0].tolist() == [4] and mark.get_color() == COLOURS[1]
        assert "2 seeds of sigmoid: diverged at step 4" in plots.caption(ax)


def test_a_cell_that_failed_is_marked_in_its_panel():
    frame = frames.concat([learnt(), failed(depth=4, activation="gelu")])
    axes = plots.learning_speed(frame)
    assert [bool(drawn(ax, "failed")) for ax in axes] == [False, True]
    assert "MemoryError" in plots.caption(axes)


def test_the_frame_of_a_monitor_is_enough():
    frame = learnt()[["seed", "step", "layer", "log10_weight_grad_norm", "log10_update_ratio"]]
    assert len(drawn(plots.learning_speed(frame, **blank()), "mean")) == 5
    assert len(drawn(plots.update_ratio(frame, **blank()), "mean")) == 5


def test_weights_that_all_time_steps_share_have_a_line():
    frame = learnt(depth=3, steps=(0, 1, 2))
    shared = frame[frame["layer"] == 1].assign(layer=0, layer_name="cell")
    frame.loc[frame["layer_name"] != "readout", "log10_weight_grad_norm"] = np.nan
    frame = pd.concat([frame, shared], ignore_index=True)
    ax = plots.learning_speed(frame, **blank())
    table = frames.summarise(shared, "step", "log10_weight_grad_norm")
    same(drawn(ax, "mean"), [table], ("step", "mean"))
    assert "Layer 0: the weights that all time steps share" in plots.caption(ax)
    assert len(drawn(plots.learning_speed(frame, readout=True, **blank()), "mean")) == 2
    # what the time steps have of their own is drawn for each
    assert len(drawn(plots.learning_speed(frame, value="log10_delta_rms", **blank()), "mean")) == 3


def test_axes_that_are_given():
    _, given = plt.subplots(1, 2)
    axes = plots.learning_speed(learnt(TWO), ax=given)
    assert list(axes) == list(given) and given[1].get_ylabel().startswith("weight grad")
    assert plots.training_curves(learnt(), ax=given)[0] is given[0]
    assert plots.activation_bands(learnt(), layers=[1, 2], ax=given)[0, 1] is given[1]
    given[0].figure.draw_without_rendering()
    assert given[0].get_legend().get_window_extent().y1 <= given[0].bbox.y1


@pytest.mark.parametrize("figure", [plots.learning_speed, plots.update_ratio, plots.activation_bands])
def test_frames_that_cannot_be_drawn(figure):
    frame = learnt()
    with pytest.raises(GradlabError, match="a frame"):
        figure("frame")
    with pytest.raises(GradlabError, match="rows"):
        figure(frame[:0])
    with pytest.raises(GradlabError, match="'steps'"):
        figure(frame, x="steps")
    with pytest.raises(GradlabError, match="counts training"):
        figure(frame, x="layer_name")
    with pytest.raises(GradlabError, match="column"):
        figure(frame.drop(columns=["log10_weight_grad_norm", "log10_update_ratio", "log10_activation_rms"]))


def test_bands_are_mean_and_deviation_of_the_activations():
    axes = plots.activation_bands(learnt(depth=6))
    assert axes.shape == (1, 5) and [ax.get_title()[-1] for ax in axes[0]] == list("12356")
    for ax, layer in zip(axes[0], (1, 2, 3, 5, 6), strict=True):
        rms = 0.5 + 0.02 * layer
        mean, high = drawn(ax, "mean")
        np.testing.assert_array_equal(mean.get_xdata(), STEPS)
        np.testing.assert_allclose(mean.get_ydata(), 0.6 * rms, rtol=1e-12)
        np.testing.assert_allclose(high.get_ydata(), 1.7 * rms, rtol=1e-12)
        (corners,) = [np.concatenate([p.vertices for p in b.get_paths()]) for b in drawn(ax, "band") if b.get_paths()]
        np.testing.assert_allclose(corners[:, 1].min(), (0.6 - 0.8) * rms, rtol=1e-12)
        np.testing.assert_allclose(corners[:, 1].max(), (0.6 + 0.8) * rms, rtol=1e-12)
    assert "not over seeds" in plots.caption(axes) and "n = 3 seeds" in plots.caption(axes)


def test_bands_without_a_percentile_and_with_a_mean_beyond_its_rms():
    frame = learnt(TWO).drop(columns="activation_p98_over_rms").assign(activation_mean_over_rms=1 + 1e-7)
    axes = plots.activation_bands(frame, layers=[2], ax=plt.subplots(2)[1])
    assert axes.shape == (2, 1)
    assert all(len(drawn(ax, "mean")) == 1 for ax in axes.flat)
    assert "percentile" not in plots.caption(axes)


def test_curves_of_loss_and_accuracy():
    frame = learnt(TWO)
    loss, accuracy = plots.training_curves(frame)
    once = frame.drop_duplicates(["network", "seed", "step"])
    for ax, names in ((loss, ("log10_train_loss", "log10_test_loss")), (accuracy, ("train_accuracy", "test_accuracy"))):
        lines = drawn(ax, "mean")
        assert len(lines) == 4
        wanted = [
            table["mean"].to_numpy()
            for name in names
            for _, table in frames.summarise(once, ["activation", "step"], name).groupby("activation", sort=False)
        ]
        for line, numbers in zip(lines, wanted, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), STEPS)
            np.testing.assert_allclose(line.get_ydata(), numbers, rtol=1e-12)
        assert len({str(line._dash_pattern) for line in lines}) == 2
        assert len(drawn(ax, "seed")) == 12
    assert loss.get_ylabel() == "loss  [loss]" and accuracy.get_ylabel() == "accuracy  [share]"
    named = [t.get_text() for t in loss.figure.legends[0].get_texts()]
    assert named == ["tanh", "sigmoid", "training", "test", "one seed"]


def test_curves_of_one_network_and_of_a_loss_alone():
    loss, _ = plots.training_curves(learnt())
    assert [t.get_text() for t in loss.figure.legends[0].get_texts()][:2] == ["training", "test"]
    assert len({line.get_color() for line in drawn(loss, "mean")}) == 2
    alone = learnt().drop(columns=["train_accuracy", "test_accuracy", "log10_test_loss"])
    assert len(drawn(plots.training_curves(alone, **blank()), "mean")) == 1
    with pytest.raises(GradlabError, match="log10_train_loss"):
        plots.training_curves(alone.drop(columns="log10_train_loss"))


def test_configurations_that_differ_in_two_ways_have_one_colour_each():
    four = [{"activation": a, "init": i} for a in ("tanh", "relu") for i in ("xavier_normal", "he_normal")]
    loss, _ = plots.training_curves(learnt(four[:3], steps=(0, 1)))
    named = [t.get_text() for t in loss.figure.legends[0].get_texts()]
    assert named[:3] == ["tanh, Xavier normal", "tanh, He normal", "ReLU, Xavier normal"]
    assert len({line.get_color() for line in drawn(loss, "mean")}) == 3


@functools.cache
def _grid():
    made = []
    for i, w in enumerate((0.5, 1.0, 2.0, 4.0)):
        for j, depth in enumerate((2, 4, 8)):
            config = {"depth": depth, "init": "gaussian", "sigma_w2": w, "activation": "tanh"}
            table = learnt([config], steps=(0, 4))
            table["sigma_w2"] = w
            table["test_accuracy"] = 0.1 * i + 0.2 * j + 0.01 * table["seed"] + 0.05 * (table["step"] == 4)
            made.append(table)
    return frames.concat(made)


def grid(**changes):
    """Networks of known accuracy, by variance and depth."""
    return _grid().assign(**changes)


def test_the_map_shows_the_last_step_where_it_belongs():
    frame = grid()
    ax = plots.trainability(frame)
    (mesh,) = [c for c in ax.collections if hasattr(c, "get_coordinates")]
    wanted = [[0.1 * i + 0.2 * j + 0.06 for i in range(4)] for j in range(3)]
    np.testing.assert_allclose(mesh.get_array(), wanted, rtol=1e-12)
    corners = mesh.get_coordinates()
    for row, depth in enumerate((2, 4, 8)):
        for column, w in enumerate((0.5, 1.0, 2.0, 4.0)):
            assert corners[row, column, 0] < w < corners[row, column + 1, 0]
            assert corners[row, column, 1] < depth < corners[row + 1, column, 1]
    assert {t.get_text() for t in ax.texts} == {f"{v:.2f}" for row in wanted for v in row}
    assert "last step, 4" in plots.caption(ax) and "n = 3 seeds" in plots.caption(ax)
    first = plots.trainability(frame, step=0, **blank())
    (mesh,) = [c for c in first.collections if hasattr(c, "get_coordinates")]
    np.testing.assert_allclose(mesh.get_array(), np.array(wanted) - 0.05, rtol=1e-12, atol=1e-12)


def test_the_depths_that_theory_allows_lie_over_the_map():
    table = pd.DataFrame({"sigma_w2": [4.0, 0.5, 1.0], "depth": [3.0, 5.0, np.inf], "scales": 6.0})
    ax = plots.trainability(grid(), theory=table)
    (line,) = [a for a in ax.lines if a.get_gid() == "allowed"]
    assert line.get_xdata().tolist() == [0.5, 1.0, 4.0]
    assert line.get_ydata()[[0, 2]].tolist() == [5.0, 3.0]
    assert np.isfinite(line.get_ydata()[1]) and line.get_ydata()[1] > 100 * ax.get_ylim()[1]
    assert "6" in ax.figure.legends[0].get_texts()[0].get_text() and "theory" in plots.caption(ax)
    two = pd.concat([table, table.assign(scales=3.0, depth=table["depth"] / 2)])
    assert len([a for a in plots.trainability(grid(), theory=two, **blank()).lines if a.get_gid() == "allowed"]) == 2
    with pytest.raises(GradlabError, match="'depth'"):
        plots.trainability(grid(), theory=table.drop(columns="depth"))


def test_the_map_over_names():
    frame = grid()
    frame["init"] = frame["sigma_w2"].map(lambda w: f"start {w}")
    table = pd.DataFrame({"init": ["start 0.5", "start 4.0"], "depth": [3.0, 5.0]})
    ax = plots.trainability(frame, x="init", theory=table)
    bars = [c for c in ax.collections if c.get_gid() == "allowed"]
    segments = np.concatenate([b.get_segments() for b in bars])
    assert segments[:, :, 1].tolist() == [[3, 3], [5, 5]]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["start 0.5", "start 1.0", "start 2.0", "start 4.0"]


def test_failures_on_the_map():
    frame = grid()
    frame["status"] = frame["status"].astype(object)
    one = (frame["depth"] == 8) & (frame["sigma_w2"] == 4.0) & (frame["step"] == 4)
    frame.loc[one & (frame["seed"] == 1) & (frame["layer"] == 3), "status"] = "loss not finite"
    all_of = (frame["depth"] == 2) & (frame["sigma_w2"] == 0.5)
    frame.loc[all_of, ["test_accuracy", "status"]] = [np.nan, "diverged"]
    ax = plots.trainability(frame[~((frame["depth"] == 4) & (frame["sigma_w2"] == 1.0))])
    assert len([p for p in ax.patches if p.get_gid() == "failed"]) == 2
    texts = {t.get_text() for t in ax.texts}
    assert {"3/3 failed", "0.76\n1/3 failed"} <= texts
    (mesh,) = [c for c in ax.collections if hasattr(c, "get_coordinates")]
    assert mesh.get_array().mask.tolist() == [[True, False, False, False], [False, True, False, False], [False] * 4]
    assert "4 networks and seeds without a finite value: diverged; loss not finite" in plots.caption(ax)


def test_maps_that_cannot_be_drawn():
    with pytest.raises(GradlabError, match="two different"):
        plots.trainability(grid(), x="depth", y="depth")
    with pytest.raises(GradlabError, match="'test_accuracy'"):
        plots.trainability(grid().drop(columns=["test_accuracy", "train_accuracy"]))
    with pytest.raises(GradlabError, match="a step from 0 to 4"):
        plots.trainability(grid(), step=3)
    with pytest.raises(GradlabError, match="one network in each cell"):
        plots.trainability(
            frames.concat([grid(), learnt([{"activation": "relu", "init": "he_normal"}])]), x="activation"
        )


def test_a_third_coordinate_has_panels():
    other = grid(activation="relu")
    other["network"] = "relu" + other["network"].astype(str)
    both = frames.concat([grid(), other])
    panels = plots.trainability(both)
    assert [ax.get_title() for ax in panels] == ["tanh", "ReLU"]
