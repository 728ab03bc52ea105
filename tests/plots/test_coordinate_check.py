"""The figure of a coordinate check: what is drawn is what `gl.exponents` returns."""

import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab import GradlabError, plots
from gradlab.frames.exponents import COLUMNS


def frame():
    """Changes of two layers in two parametrizations."""
    rng = np.random.default_rng(0)
    rows = [
        {"architecture": "mlp", "parametrization": name, "optimizer": "sgd", "depth": 1, "width": n, "seed": s,
         "step": 1, "layer": i, "layer_name": layer, **{c: power * np.log10(n) + 0.02 * rng.normal() for c in COLUMNS}}
        for name, powers in (("standard", (-0.5, 1.0)), ("mup", (0.0, 0.0))) for n in (64, 128, 256) for s in range(3)
        for i, (layer, power) in enumerate(zip(("hidden_1", "readout"), powers, strict=True), 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_slopes_bars_and_expected_exponents_are_those_of_the_table():
    table = gl.exponents(frame())
    axes = plots.coordinate_check(frame())
    for ax, column in zip(axes, COLUMNS, strict=True):
        rows = table[table["column"] == column]
        bars = dict(zip(("mup", "standard"), ax.containers, strict=True))
        for name, bar in bars.items():
            own = rows[rows["parametrization"] == name].sort_values("layer")
            np.testing.assert_allclose(bar.lines[0].get_ydata(), own["slope"])
            ends = [segment[:, 1] for segment in bar.lines[2][0].get_segments()]
            np.testing.assert_allclose(ends, own[["low", "high"]])
        marks = np.concatenate([line.get_ydata() for line in ax.lines if line.get_gid() == "expected"])
        assert sorted(marks[np.isfinite(marks)]) == sorted(rows["expected"][np.isfinite(rows["expected"])])
    np.testing.assert_array_equal(axes[0].containers[0].lines[0].get_ydata(),
                                  plots.coordinate_check(table)[0].containers[0].lines[0].get_ydata())  # fmt: skip


def test_a_step_that_is_not_there_is_refused():
    with pytest.raises(GradlabError, match="an exponent at step 7"):
        plots.coordinate_check(frame(), step=7)
