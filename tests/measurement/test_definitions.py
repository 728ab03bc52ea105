"""What columns mean where a careful reader could take them for something else: under norms, and of blocks."""

import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._types import MEASURED

X = np.random.default_rng(0).normal(size=(16, 8))
Y = np.arange(16) % 3
ACTIVATION = {"depth": 2, "width": 8, "activation": "tanh", "init": "he_normal"}


def rows(net, x64, **options):
    params = net.init_params(1, jnp.asarray(X), outputs=3)
    frame = gl.frame(gl.measure(net, X, Y, params=params, dtype="float64", **options))
    return frame.set_index("layer"), [p for _, p in net.layers(params)]


def one_minus_c(z):
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    return np.mean(1 - np.sum(unit[::2] * unit[1::2], 1))


@pytest.mark.parametrize("position", ["before", pytest.param("after", marks=pytest.mark.slow)])
def test_under_a_norm_the_preactivation_is_what_enters_the_activation(position, x64):
    net = gl.MLP(norm="layer", norm_position=position, **ACTIVATION)
    frame, layers = rows(net, x64)
    z = X @ layers[0]["weight"] + layers[0]["bias"]
    if position == "before":
        z = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5)
    z = np.asarray(z)
    assert frame["log10_preactivation_rms"][1] == pytest.approx(np.log10(np.sqrt(np.mean(z**2))), abs=1e-6)
    assert frame["log10_one_minus_c"][1] == pytest.approx(np.log10(one_minus_c(z)), abs=1e-6)
    for name in ("log10_preactivation_rms", "log10_bias_grad_norm", "gradient_cosine_mean", "activation_p98_over_rms"):
        assert ";" in MEASURED[name] or ":" in MEASURED[name]


@pytest.mark.slow
def test_a_bias_before_a_batch_norm_has_no_gradient_but_rounding(x64):
    frame, _ = rows(gl.MLP(norm="batch", **ACTIVATION), x64)
    beside = frame["log10_bias_grad_norm"] - frame["log10_weight_grad_norm"]
    # float64: a sum of 16 x 8 terms, each rounded
    assert np.all(beside[:2] < -14) and beside[3] > -3


@pytest.mark.slow
def test_rows_of_a_residual_network_that_are_nan_by_default(x64):
    """Blocks of two ReLU layers: no limit to saturate at, and no cosine of two weights together."""
    frame, _ = rows(gl.ResNet(depth=2, width=8, activation="relu", init="he_normal"), x64)
    numbers = frame[[c for c in MEASURED if c in frame]]
    assert {c: numbers.index[numbers[c].isna()].tolist() for c in numbers if numbers[c].isna().any()} == {
        "saturated_fraction": [0, 1, 2, 3], "gradient_cosine_mean": [1, 2],
    }  # fmt: skip


def test_the_percentile_lies_between_two_entries_by_their_distance(x64):
    frame, layers = rows(gl.MLP(**ACTIVATION), x64, columns=["activation_p98_over_rms"])
    a = np.tanh(X @ layers[0]["weight"] + layers[0]["bias"])
    want = np.quantile(a, 0.98, method="linear") / np.sqrt(np.mean(a**2))
    assert frame["activation_p98_over_rms"][1] == pytest.approx(want, rel=1e-12)
