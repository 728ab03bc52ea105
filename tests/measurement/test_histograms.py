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
    table = gl.frame(gl.histograms(net, x, y, key=3, seeds=SEEDS))
    expected = {"activation": np.zeros((DEPTH, 101)), "delta": np.zeros((DEPTH, 101))}
    edges = np.linspace(-5, 5, 102)
    for seed in range(SEEDS):
        with jax.enable_x64(False):
            params = net.init_params(jax.random.fold_in(jax.random.key(3), seed), x, y)
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
    table = gl.frame(gl.histograms(gl.MLP(depth=DEPTH, width=WIDTH, activation="relu"), x, y))
    zeros = table[(table["signal"] == "activation") & table["bin"].isna()]["count"].to_numpy()
    middle = table[(table["signal"] == "activation") & (table["bin"] == 0)]["count"].to_numpy()
    assert np.all(np.abs(zeros / (BATCH * WIDTH) - 0.5) < 0.25)  # half of the units of a ReLU layer are off
    assert np.all(middle < zeros)


def forward(net, params, a):
    for name, p in net.layers(params):
        z = a @ p["weight"] + p["bias"]
        a = z if name == "readout" else jnp.tanh(z)
    return a


@pytest.mark.slow
def test_counts_of_sizes_are_those_of_numpy(data):
    """log10 of absolute values, in bins whose edges are exact: each entry of a gradient by autodiff has its place."""
    x, y = data
    net = gl.MLP(depth=DEPTH, width=WIDTH, activation="tanh", init="xavier_normal")
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), net.init_params(jax.random.key(3), x, y))
    with jax.enable_x64(True):
        table = gl.frame(gl.histograms(net, x.astype(np.float64), y, params=params, log10=True))
        wide = jax.tree.map(jnp.asarray, params)
        deltas = signals(net, wide, jnp.asarray(x, jnp.float64), y)[1]
        loss = plain_loss("softmax_cross_entropy")
        grads = jax.grad(lambda p: loss(forward(net, p, jnp.asarray(x, jnp.float64)), y))(wide)
    weights = [p["weight"] for _, p in net.layers(grads)][:DEPTH]
    for signal, entries in (("delta", [BATCH * np.asarray(d) for d in deltas]), ("weight_grad", weights)):
        for layer, values in enumerate(entries, 1):
            rows = table[(table["signal"] == f"log10_{signal}") & (table["layer"] == layer) & np.isfinite(table["bin"])]
            size = np.sort(np.abs(np.asarray(values, np.float64)).ravel())
            # rounding moves an entry over an edge only where it lies within 1e-9 of it
            between = lambda low, high, size=size: np.searchsorted(size, [10**low, 10**high])
            for row in rows.itertuples():
                low, high = between(row.left + 1e-9, row.right - 1e-9)
                least, most = high - low, np.subtract(*between(row.left - 1e-9, row.right + 1e-9)[::-1])
                assert least <= row.count <= most, (signal, layer, row)
            assert rows["count"].sum() == size.size


def test_sizes_far_below_the_floats(data):
    x, y = data
    net = gl.MLP(depth=80, width=WIDTH, activation="sigmoid", init="xavier_normal")
    table = gl.frame(gl.histograms(net, x, y, seeds=2, log10=True))
    frame = gl.frame(gl.measure(net, x, y, seeds=2, columns=("log10_delta_rms", "log10_weight_grad_norm")))
    rows = table[(table["signal"] == "log10_delta") & (table["layer"] == 1)]
    assert rows["bin"].max() < -40 and rows.loc[rows["bin"].isna(), "count"].tolist() == [0]
    for layer in (1, 40, 80):
        rows = table[(table["signal"] == "log10_delta") & (table["layer"] == layer) & np.isfinite(table["bin"])]
        at = rows["bin"].to_numpy()
        rms = at.max() + 0.5 * np.log10(np.average(10 ** (2 * (at - at.max())), weights=rows["count"]))
        own = frame.loc[frame["layer"] == layer, "log10_delta_rms"].to_numpy()
        wanted = 0.5 * np.log10(np.mean(10 ** (2 * (own - own.max())))) + own.max()
        assert rms == pytest.approx(wanted, abs=0.25 * np.log10(2))  # half a bin


@pytest.mark.slow
def test_sizes_of_zeros_of_blocks_and_of_other_architectures(data):
    x, y = data
    table = gl.frame(gl.histograms(gl.MLP(depth=DEPTH, width=WIDTH, activation="relu"), x, y, seeds=2, log10=True))
    plain = gl.frame(gl.histograms(gl.MLP(depth=DEPTH, width=WIDTH, activation="relu"), x, y, seeds=2))
    zeros = [t[t["signal"].isin(["delta", "log10_delta"]) & t["bin"].isna()]["count"].tolist() for t in (table, plain)]
    assert zeros[0] == zeros[1] and min(zeros[0]) > 0
    blocks = gl.frame(gl.histograms(gl.ResNet(depth=2, width=4), x, y, log10=True))
    assert blocks.groupby(["signal", "layer"])["count"].sum().tolist() == [BATCH * 4] * 4 + [16 * 2] * 2
    images = np.random.default_rng(0).normal(size=(BATCH, 4, 4, 1)).astype("float32")
    conv = gl.frame(gl.histograms(gl.ConvNet(depth=2, width=3), images, y, log10=True))
    assert conv.groupby(["signal", "layer"])["count"].sum().tolist() == [BATCH * 16 * 3] * 4 + [27, 81]
