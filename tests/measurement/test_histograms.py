"""The second tidy table beside NumPy's own histogram of the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.losses import plain_loss

DEPTH, WIDTH, BATCH, SEEDS = 3, 16, 32, 2


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    return rng.normal(size=(BATCH, 8)).astype("float32"), np.arange(BATCH) % 4


def signals(net, params, x, y):
    """Activations, and gradients of the loss by each preactivation, by autodiff."""

    def logits(zeros):
        a, seen = x, []
        for (name, p), zero in zip(net.layers(params), zeros, strict=True):
            z = a @ p["weight"] + p["bias"] + zero
            a = z if name == "readout" else jnp.tanh(z)
            seen.append(a)
        return a, seen

    zeros = [jnp.zeros((BATCH, p["weight"].shape[1]), x.dtype) for _, p in net.layers(params)]
    deltas = jax.grad(lambda zeros: plain_loss("softmax_cross_entropy")(logits(zeros)[0], y))(zeros)
    return logits(zeros)[1][:DEPTH], deltas[:DEPTH]


def test_counts_are_those_of_numpy(data):
    x, y = data
    net = gl.MLP(depth=DEPTH, width=WIDTH, activation="tanh", init="xavier_normal")
    table = gl.histograms(net, x, y, key=3, seeds=SEEDS)
    expected = {"activation": np.zeros((DEPTH, 101)), "delta": np.zeros((DEPTH, 101))}
    edges = np.linspace(-5, 5, 102)
    for seed in range(SEEDS):
        with jax.enable_x64(False):
            params = net.init(jax.random.fold_in(jax.random.key(3), seed), x, y)
        activations, deltas = signals(net, params, x, y)
        for layer in range(DEPTH):
            d = np.asarray(deltas[layer])
            expected["activation"][layer] += np.histogram(activations[layer], edges)[0]
            expected["delta"][layer] += np.histogram(d / np.sqrt(np.mean(d**2)), edges)[0]
    for (signal, layer), rows in table.groupby(["signal", "layer"]):
        assert rows["count"].sum() == SEEDS * BATCH * WIDTH
        inner = rows[np.isfinite(rows["bin"])]["count"].to_numpy()
        # a value next to an edge may fall on its other side by rounding: it moves between two neighbours
        moved = np.abs(inner - expected[signal][layer - 1]).sum() / 2
        assert moved <= 0.005 * SEEDS * BATCH * WIDTH, (signal, layer, moved)


def test_exact_zeros_have_a_row_of_their_own(data):
    x, y = data
    table = gl.histograms(gl.MLP(depth=DEPTH, width=WIDTH, activation="relu"), x, y)
    zeros = table[(table["signal"] == "activation") & table["bin"].isna()]["count"].to_numpy()
    middle = table[(table["signal"] == "activation") & (table["bin"] == 0)]["count"].to_numpy()
    assert np.all(np.abs(zeros / (BATCH * WIDTH) - 0.5) < 0.25)  # half of the units of a ReLU layer are off
    assert np.all(middle < zeros)
