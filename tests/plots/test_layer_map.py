"""The layer map: colours are decades beside the last layer, and what is zero or not finite is hatched."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from gradlab import frames, plots
from gradlab._errors import GradlabError

from .synthetic import learnt


def mesh(ax):
    (found,) = [c for c in ax.collections if c.get_array() is not None]
    return found


def test_colours_are_decades_beside_the_last_layer_at_the_same_step():
    frame = learnt(steps=(0, 1, 8), depth=5)
    ax = plots.layer_map(frame)
    means = frames.summarise(frame[frame["layer"] <= 5], ["layer", "step"], "log10_weight_grad_norm")
    wanted = means.pivot(index="layer", columns="step", values="mean")
    np.testing.assert_allclose(mesh(ax).get_array(), wanted - wanted.loc[5], atol=1e-12)
    assert "n = 3 seeds" in plots.caption(ax)
    plain = plots.layer_map(frame, absolute=True)
    np.testing.assert_allclose(mesh(plain).get_array(), wanted, atol=1e-12)
    ratio = plots.layer_map(frame, value="log10_update_ratio")  # its reference is a thousandth
    np.testing.assert_allclose(mesh(ratio).get_array(), wanted - 2 + 3, atol=1e-12)


def test_zeros_and_what_is_not_finite_are_hatched_and_counted():
    frame = learnt(steps=(0, 1, 8), depth=5)
    frame["status"] = frame["status"].astype(object)
    dead, ill = (frame["layer"] < 3) & (frame["step"] == 8), (frame["layer"] == 4) & (frame["step"] == 1)
    frame["log10_weight_grad_norm"] = frame["log10_weight_grad_norm"].mask(dead, -np.inf).mask(ill, np.nan)
    frame.loc[ill, "status"] = "not finite"
    ax = plots.layer_map(frame)
    assert [p.get_gid() for p in ax.patches] == ["failed", "zero", "zero"]
    text = plots.caption(ax)
    assert "Cross-hatched: 1 cells" in text and "Hatched: 2 cells" in text


def test_panels_given_axes_and_what_it_refuses():
    two = learnt(({"activation": "tanh"}, {"activation": "sigmoid"}), steps=(0, 1, 8))
    assert [ax.get_title() for ax in plots.layer_map(two)] == ["tanh", "sigmoid"]
    given = plt.subplots()[1]
    assert plots.layer_map(learnt(steps=(0, 1)), ax=given, limit=3) is given
    with pytest.raises(GradlabError, match="log10 values"):
        plots.layer_map(two, value="train_accuracy")
    with pytest.raises(GradlabError, match="limit"):
        plots.layer_map(two, limit=0)


def test_names_that_a_user_gave_are_on_the_axis_with_their_ends():
    frame = learnt(steps=(0, 1, 8), depth=2)
    names = {1: "encoder/attention_output_dense", 2: "head", 3: "readout"}
    frame = frame.assign(layer_name=frame["layer"].map(names))
    ax = plots.layer_map(frame)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["…/attention_output_dense", "head"]
    assert ax.get_ylabel() == "layer"
