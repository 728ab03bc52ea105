"""Names from a stranger's frame are drawn as they are: no formula, no missing glyph, no warning."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab import plots
from tests.plots.synthetic import bins, healthy, learnt

NAME = "$\\nocommand{ $x_1$ \\$ 漢字 🎉 a\0b\u202e"


def named(frame, *columns):
    """The frame with other names in some columns."""
    for column in columns:
        values = frame[column].astype(str)
        other = {value: f"{NAME}{place}" for place, value in enumerate(values.unique())}
        frame[column] = pd.Categorical(values.map(other))
    return frame


def strangers():
    """Layers of another's model."""
    rng = np.random.default_rng(0)
    return gl.frame(gl.observe({f"{NAME}{i}": {"w": rng.normal(size=(3, 3)).astype("f")} for i in range(3)}))


TRAINED = ({"activation": "tanh"}, {"activation": "relu"})
CASES = {
    "gradient_flow": lambda: plots.gradient_flow(named(healthy(), "activation", "init")),
    "rate_against_depth": lambda: plots.rate_against_depth(named(healthy(), "activation", "init")),
    "heatmap": lambda: plots.heatmap(named(healthy(), "activation", "init")),
    "forest": lambda: plots.forest(named(healthy(), "activation", "init")),
    "learning_speed": lambda: plots.learning_speed(named(learnt(TRAINED), "activation")),
    "update_ratio": lambda: plots.update_ratio(named(learnt(TRAINED), "activation")),
    "training_curves": lambda: plots.training_curves(named(learnt(TRAINED), "activation")),
    "layer_map": lambda: plots.layer_map(named(learnt(TRAINED), "activation")),
    "activation_bands": lambda: plots.activation_bands(named(learnt(TRAINED[:1]), "activation", "data")),
    "histograms": lambda: plots.histograms(named(bins(), "init")),
    "layers of a stranger": lambda: plots.gradient_flow(strangers()),
    "layer_gradients": lambda: plots.layer_gradients(strangers()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_hostile_names_are_drawn(name, tmp_path):
    figure = np.asarray(CASES[name](), dtype=object).flat[0].figure
    made = plots.save(figure, tmp_path / "figure", command=NAME, run_hash="ab12")
    assert len(made) == 3 and all(path.stat().st_size > 1000 for path in made)
    assert "\0" not in plots.caption(figure) and "\\$\\" not in plots.caption(figure)
    plt.close("all")
