"""Histograms of every architecture beside NumPy's own, of deltas that autodiff finds on a second forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.losses import plain_loss
from tests.networks import twins

EDGES = np.linspace(-5, 5, 102)
NETS = {
    "normed": (gl.MLP(depth=3, width=6, activation="tanh", norm="layer"), (4,)),
    "resnet": (gl.ResNet(depth=3, width=6, branch_scale="1/sqrt(L)"), (4,)),
    "convnet": (gl.ConvNet(depth=2, width=3, activation="tanh", padding="periodic"), (4, 4, 2)),
    "activations": (gl.ConvNet(depth=4, width=3, activation=("tanh", "relu", "relu", "tanh")), (4, 4, 2)),
    "rnn": (gl.RNN(width=5, gain=0.8), (4, 3)),
    "lstm": (gl.RNN(cell="lstm", width=5), (4, 3)),
    "gru": (gl.RNN(cell="gru", width=5), (4, 3)),
    "transformer": (gl.Transformer(depth=2, width=4, heads=2), (4, 3)),
}
QUICK = ("resnet", "rnn")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETS])
def test_counts_are_those_of_numpy(name, x64):
    net, shape = NETS[name]
    rng = np.random.default_rng(3)
    x, y = jnp.asarray(rng.normal(size=(24, *shape))), np.arange(24) % 3
    shapes = jax.eval_shape(lambda: net.init_params(2, x, outputs=3))
    params = jax.tree.map(lambda v: jnp.asarray(0.5 * rng.normal(size=v.shape)), shapes)  # biases that are not 0, too
    table = gl.frame(gl.histograms(net, x, y, params=params))
    loss = plain_loss("softmax_cross_entropy")
    deltas, (logits, activations) = jax.jit(lambda p: twins.deltas(net, p, x, y, loss))(params)
    assert np.allclose(logits, jax.jit(net.apply)(params, x), atol=1e-12)  # the same network
    assert sorted(table["layer"].unique()) == list(range(1, len(deltas) + 1))
    assert set(table["depth"]) == {len(deltas)}
    found = {key: rows for key, rows in table.groupby(["signal", "layer"])}
    for layer, (d, a) in enumerate(zip(map(np.asarray, deltas), map(np.asarray, activations), strict=True), 1):
        for signal, values in (("delta", d / np.sqrt(np.mean(d**2))), ("activation", a)):
            rows = found[signal, layer]
            inner = rows[np.isfinite(rows["bin"])]["count"].to_numpy()
            alive = values[values != 0]
            # in float64 no entry lies as near to an edge as rounding could move it
            assert np.array_equal(inner, np.histogram(alive, EDGES)[0]), (signal, layer)
            assert rows[rows["bin"].isna()]["count"].item() == np.sum(values == 0), (signal, layer)
            assert rows["count"].sum() == values.size


def test_draws_are_those_of_the_measurement(x64):
    """Counts are summed over the draws of the seeds that `gl.measure` takes."""
    net, shape = NETS["resnet"]
    x, y = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32"), np.arange(8) % 2
    with jax.enable_x64(False):
        each = [net.init_params(jax.random.fold_in(jax.random.key(5), seed), x, y) for seed in range(2)]
    alone = [gl.frame(gl.histograms(net, x, y, params=params))["count"].to_numpy() for params in each]
    assert np.array_equal(gl.frame(gl.histograms(net, x, y, key=5, seeds=2))["count"].to_numpy(), alone[0] + alone[1])


def test_nan_is_in_no_bin():
    from gradlab.measurement.bins import bin_counts

    counts = np.asarray(bin_counts(jnp.asarray([[jnp.nan, 0.0, 7.0, -jnp.inf], [1.0, 1.0, 1.0, jnp.inf]]), 1))
    assert counts.sum(1).tolist() == [3, 4]
    assert counts[:, [0, 102, 103]].tolist() == [[1, 1, 1], [0, 1, 0]]
