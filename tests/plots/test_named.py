"""Gradients of a stranger's layers: names on the axis, sizes where they are, the dead ones named."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot as plt

import gradlab as gl
from gradlab import plots
from gradlab._errors import GradlabError
from gradlab.plots.models.layer_gradients import LARGEST, MEAN


def drawn(ax, gid):
    return [a for a in (*ax.lines, *ax.collections) if a.get_gid() == gid]


@pytest.fixture(scope="module")
def grads():
    rng = np.random.default_rng(0)
    of = lambda size, *shape: jnp.asarray(size * rng.normal(size=shape), jnp.float32)
    sparse = of(1.0, 8, 2) * jnp.asarray(np.arange(16).reshape(8, 2) % 4 == 0, jnp.float32)
    return {
        "encoder": {"kernel": of(1e-9, 4, 8), "bias": of(1e-3, 8)},
        "middle": {"kernel": of(1e-5, 8, 8), "bias": jnp.zeros(8)},
        "frozen": {"kernel": jnp.zeros((8, 8))},
        "head_$x_1": {"kernel": sparse},
        "odd": {"kernel": jnp.full((2, 2), jnp.nan)},
    }


def test_each_layer_has_its_name_and_its_norms(grads):
    frame = gl.frame(gl.observe(grads, order=list(grads))).drop(columns=[MEAN, LARGEST], errors="ignore")
    ax = plots.layer_gradients(frame)
    names = [t.get_text().replace("\\", "") for t in ax.get_yticklabels()]
    assert names == list(grads) and ax.get_ylim()[0] > ax.get_ylim()[1]  # the first at the top
    (dots,), (biases,) = drawn(ax, "weight"), drawn(ax, "bias")
    found = dict(zip(dots.get_ydata(), dots.get_xdata(), strict=True))
    for place, name in ((0, "encoder"), (1, "middle"), (3, "head_$x_1")):
        norm = np.linalg.norm(np.asarray(grads[name]["kernel"], np.float64))
        assert found[place] == pytest.approx(np.log10(norm), abs=1e-5)
    assert biases.get_xdata()[0] == pytest.approx(np.log10(np.linalg.norm(grads["encoder"]["bias"])), abs=1e-5)
    flags = {round(t.xy[1]): t.get_text() for t in ax.texts if t.get_gid() == "flag"}
    assert flags == {1: "bias: no gradient", 2: "no gradient", 3: "75 % zeros", 4: "not finite"}
    assert sorted(int(y) for line in drawn(ax, "no gradient") for y in line.get_ydata()) == [1, 2]
    text = plots.caption(ax)
    assert text.startswith("The weight gradient's norm goes from") and "(encoder) to" in text
    assert "exactly zero in 1 layer" in text and "not finite in 1 layer" in text and "float16 has 0 below 6e-08" in text
    ax.figure.draw_without_rendering()
    assert (
        ax.get_legend_handles_labels() is not None and ax.figure.get_tightbbox().x1 <= ax.figure.get_figwidth() + 0.01
    )


def test_mean_and_largest_entries_where_they_were_looked_at(grads):
    frame = gl.frame(gl.observe(grads, order=list(grads)))
    frame[MEAN], frame[LARGEST] = frame["log10_weight_grad_norm"] - 1, frame["log10_weight_grad_norm"] - 0.25
    _, given = plt.subplots()
    ax = plots.layer_gradients(frame, ax=given, title="Gradients")
    assert ax is given and ax.get_title() == "Gradients"
    (dots,), (bars,), (ends,) = drawn(ax, "weight"), drawn(ax, "bar"), drawn(ax, "largest")
    for segment in bars.get_segments():
        if np.shape(segment) == (2, 2) and np.isfinite(segment).all():
            assert segment[1, 0] - segment[0, 0] == pytest.approx(0.75)
    finite = np.isfinite(dots.get_xdata())
    np.testing.assert_allclose((ends.get_xdata() - dots.get_xdata())[finite], 0.75)
    assert "mean absolute entries of weight gradients, bars to the largest" in plots.caption(ax)


def test_observed_entries_are_those_of_the_arrays(grads):
    ax = plots.layer_gradients(gl.frame(gl.observe(grads, order=list(grads))))
    (dots,), (ends,) = drawn(ax, "weight"), drawn(ax, "largest")
    for place, name in ((0, "encoder"), (1, "middle"), (3, "head_$x_1")):
        entries = np.abs(np.asarray(grads[name]["kernel"], np.float64))
        at = lambda line, place=place: dict(zip(line.get_ydata(), line.get_xdata(), strict=True))[place]
        assert at(dots) == pytest.approx(np.log10(entries.mean()), abs=1e-5)
        assert at(ends) == pytest.approx(np.log10(entries.max()), abs=1e-5)


def test_what_cannot_be_drawn(grads):
    one = gl.observe(grads)
    with pytest.raises(GradlabError, match="one step"):
        plots.layer_gradients(gl.frame([one, one]))
    many = {f"layer_{i}": {"kernel": jnp.ones(2)} for i in range(81)}
    with pytest.raises(GradlabError, match="up to 80 layers"):
        plots.layer_gradients(gl.frame(gl.observe(many)))
    with pytest.raises(GradlabError, match="weight_grad_norm"):
        plots.layer_gradients(gl.frame(one).drop(columns=["log10_weight_grad_norm", MEAN], errors="ignore"))
