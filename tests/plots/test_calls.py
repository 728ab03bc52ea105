"""What single calls show where the data ask for more than one line: depths, names, scales, films."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt

import gradlab as gl
from gradlab import frames, plots, theory
from gradlab._errors import GradlabError
from gradlab.theory.critical import critical_sigma_w2

from . import test_theory
from .gallery import gaussian
from .synthetic import bins, healthy, learnt, trace
from .test_lines import drawn


def entries(figure):
    return [t.get_text() for t in figure.legends[0].get_texts()]


def test_networks_of_several_depths_are_light_and_dark():
    axes = plots.gradient_flow(healthy(depths=(4, 8, 16)))
    assert {"depth 4", "depth 8", "depth 16"} <= set(entries(axes[0].figure))
    lines = drawn(axes[1], "mean")
    assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == len(lines) == 12
    light = [np.mean(colors.to_rgb(line.get_color())) for line in lines if len(line.get_xdata()) == 4]
    dark = [np.mean(colors.to_rgb(line.get_color())) for line in lines if len(line.get_xdata()) == 16]
    assert min(light) > min(dark)


def test_more_networks_than_can_be_told_apart_are_refused():
    many = frames.frame([trace(d, seeds=1) for d in range(2, 34)])
    with pytest.raises(GradlabError, match=r"up to 24 lines.*32.*row='depth'"):
        plots.gradient_flow(many)


def test_the_readouts_width_is_no_line_in_the_legend():
    frame = frames.frame([trace(4, width=w) for w in (16, 32)])
    first = frame["network"] == frame["network"].iloc[0]
    frame["width"] = np.where(frame["layer_name"] == "readout", 10, np.where(first, 16, 32))
    axes = plots.gradient_flow(frame, hue="width")
    assert [e for e in entries(axes[0].figure) if "width" in e] == ["width 16", "width 32"]


def test_layers_of_a_strangers_model_have_their_names():
    grads = {"embed": {"w": jnp.ones((2, 2))}, "block": {"w": 1e-3 * jnp.ones((2, 2))}, "head": {"w": jnp.ones(2)}}
    frame = gl.frame(gl.observe(grads, order=list(grads)))
    ax = plots.gradient_flow(frame)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["embed", "block", "head"]
    assert ax.get_xlabel() == "layer of the model"
    text = plots.caption(ax)
    assert text.startswith("The weight gradient's norm lies between 0.002 (block) and 2 (embed).")
    assert "next to the input" not in text and "thin lines" not in text and ", ," not in text
    assert "n = 1 seed: no mean, no band." in text


def test_the_critical_variance_is_theorys_and_its_line_is_a_curve():
    ax = plots.transition(gaussian()[0], theory=gaussian()[1])
    (inset,) = ax.child_axes
    (upright,) = drawn(inset, "critical")
    assert upright.get_xdata()[0] == pytest.approx(critical_sigma_w2("tanh", 0.05), rel=1e-9)
    below, above = drawn(inset, "theory")
    for line in (below, above):
        for w, height in list(zip(*line.get_data(), strict=True))[::6]:
            field = theory.mean_field("tanh", sigma_w2=w, sigma_b2=0.05)
            assert height == pytest.approx(np.log10(abs(field.xi_grad)))
        assert len(line.get_xdata()) >= 20
    markers = [c.lines[0].get_marker() for c in ax.containers]
    assert len(set(markers)) == len(markers) == 3  # told apart in grey


def test_points_of_the_phase_diagram_are_seen_on_every_colour():
    table = frames.rates(gaussian()[0])
    ax = plots.phase_diagram(table, theory=test_theory.diagram(), field="xi_grad")
    ring, dots = (next(c for c in ax.collections if c.get_gid() == gid) for gid in ("ring", "measured"))
    np.testing.assert_array_equal(ring.get_offsets(), dots.get_offsets())
    assert ring.get_sizes()[0] > dots.get_sizes()[0] and np.allclose(ring.get_facecolor()[0][:3], 0)
    assert "square of their rate" not in plots.caption(ax) and "depth scale of their rate" in plots.caption(ax)
    middle = plt.get_cmap(plots.phase_diagram(theory=test_theory.diagram()).collections[0].get_cmap().name)(0.5)
    assert np.mean(middle[:3]) > 0.9  # light, where the gradient is steady


def test_dots_in_the_noise_stand_nowhere():
    frame, found = gaussian()
    rng = np.random.default_rng(1)
    wobble = np.where(frame["layer"] > 8, 1e-3 * rng.normal(size=len(frame)), 0)
    noisy = frame.assign(log10_preactivation_rms=frame["log10_preactivation_rms"] + wobble)
    left, _ = plots.depth_scales(noisy, theory=found)
    for dots in drawn(left, "measured"):
        at = dots.get_xdata()
        runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
        assert all(len(run) >= 3 for run in runs[1:])


@pytest.mark.slow
def test_circles_of_one_size_with_whole_layers():
    table = pd.DataFrame({"layer": range(9), "seed": 0, "log10_length": 0.1 * np.arange(9), "sigma_w2": 2.0})
    axes = plots.circle(table, theory={None: 10**0.2}, shapes={0: np.eye(3)[:, :2], 8: 3 * np.eye(3)[:, :2]})
    axes[0].figure.draw_without_rendering()
    sizes = [ax.get_window_extent() for ax in axes]
    assert sizes[0].width == pytest.approx(sizes[1].width) and sizes[0].height == pytest.approx(sizes[2].height)
    assert all(float(t) == int(t) for t in axes[2].get_xticks())
    (line,) = drawn(axes[2], "theory")
    assert line.get_ydata()[-1] == pytest.approx(0.8)


@pytest.mark.slow
def test_histograms_have_one_scale_and_given_axes_their_labels():
    table = bins()
    table.loc[(table["init"] == "xavier_uniform") & (table["bin"] > 0), "count"] *= 6
    axes = plots.histograms(table)
    for rows in (axes[:2], axes[2:]):
        assert len({ax.get_ylim() for ax in rows.flat}) == 1
    _, given = plt.subplots(1, 2)
    plots.histograms(bins(("a",)), signal="delta", layers=[1, 2], ax=given)
    assert all(ax.get_xlabel().startswith("delta over its own rms") for ax in given)
    assert "A row for each" not in plots.caption(given[0])


@pytest.mark.slow
def test_of_networks_of_one_shape_the_histograms_differ_in_colour():
    from . import test_fluctuations

    samples, law = test_fluctuations.tables()
    samples["shape"] = samples["network"].map({"flat": "one", "long": "one", "narrow": "two"})
    left, _ = plots.fluctuations(samples, theory=law, hue="shape")
    lines = [line for line in left.lines if line.get_gid() == "law"]
    assert len({line.get_color() for line in lines}) == len(lines) == 2


@pytest.mark.slow
def test_the_band_in_the_legend_has_the_bands_colour():
    axes = plots.activation_bands(learnt())
    figure = axes[0, 0].figure
    band = next(c for c in axes[0, 0].collections if c.get_gid() == "band" and len(c.get_paths()))
    face = next(iter(figure.legends[0].get_patches())).get_facecolor()
    np.testing.assert_allclose(face[:3], band.get_facecolor()[0][:3])


@pytest.mark.slow
def test_many_layers_have_bars_that_can_be_told_apart():
    ax = plots.learning_speed(learnt(depth=6))
    assert not [c for c in ax.collections if c.get_gid() == "band"]
    bars = [c for c in ax.collections if c.get_gid() == "alone band"]
    assert len(bars) == 6 and "bars: smallest to largest seed" in plots.caption(ax)


@pytest.mark.slow
def test_a_film_shows_how_far_it_is(tmp_path, monkeypatch):
    seen = []
    savefig = plt.Figure.savefig

    def watched(figure, *args, **options):
        (ax,) = figure.axes
        bar = drawn(ax, "progress")
        seen.append((ax.get_title(), bar[0].get_xdata()[1] if bar else None, ax.get_xlabel()))
        return savefig(figure, *args, **options)

    monkeypatch.setattr(plt.Figure, "savefig", watched)
    frame = learnt(steps=(0, 4))
    plots.animate(frame, tmp_path / "a.gif", preset="paper")
    losses = frame.groupby("step")["log10_train_loss"].mean()
    assert seen[0][:2] == (f"step 0, training loss {10 ** losses[0]:.2g}", 0.0)
    assert seen[1][:2] == (f"step 4, training loss {10 ** losses[4]:.2g}", 1.0)
    seen.clear()
    plots.animate(
        healthy(depths=(2, 3)), tmp_path / "b.gif", over="layer", hue="activation", style="init", preset="paper"
    )
    assert seen[0][2].startswith("layers from the loss")  # so that networks grow side by side
