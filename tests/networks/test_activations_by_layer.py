"""One activation for each layer, beside NumPy and autodiff; what the frame says; what theory says."""

import jax
import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab.core.losses import plain_loss
from tests.networks import twins

NAMES = ("tanh", "relu", "relu", "sigmoid", "sigmoid")
PHI = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: 1 / (2 + np.exp(z) + np.exp(-z))),
}
NET = gl.MLP(depth=5, width=6, activation=NAMES, init="he_normal", sigma_b2=0.1)
X, Y = np.random.default_rng(0).normal(size=(9, 4)), np.arange(9) % 3


@pytest.mark.slow
def test_signals_and_deltas_are_those_of_numpy(x64):
    trace = gl.measure(NET, X, Y, seeds=[2], dtype="float64")
    params = NET.init_params(jax.random.fold_in(jax.random.key(0), 2), X, Y)
    *hidden, (_, head) = [(name, {k: np.asarray(v) for k, v in p.items()}) for name, p in NET.layers(params)]
    a, seen, slopes = X, [], []
    for name, (_, p) in zip(NAMES, hidden, strict=True):
        z = a @ p["weight"] + p["bias"]
        a = PHI[name][0](z)
        seen.append(a)
        slopes.append(PHI[name][1](z))
    logits = a @ head["weight"] + head["bias"]
    share = np.exp(logits - logits.max(1, keepdims=True))
    delta = share / share.sum(1, keepdims=True) - np.eye(3)[Y]
    above, deltas = head["weight"], []
    for slope, (_, p) in zip(reversed(slopes), reversed(hidden), strict=True):
        delta = delta @ above.T * slope
        deltas.insert(0, delta)
        above = p["weight"]
    rms = lambda values: [np.log10(np.sqrt(np.mean(v**2))) for v in values]
    assert np.allclose(trace.columns["log10_delta_rms"][0, :-1], rms(deltas), atol=1e-12)
    assert np.allclose(trace.columns["log10_activation_rms"][0, :-1], rms(seen), atol=1e-12)
    frame = gl.frame(trace)
    assert list(frame["activation"]) == [*NAMES, "sigmoid"]  # the readout's row names the layer below it
    table = gl.rates(frame)
    assert list(table["activation"]) == ["tanh, relu x 2, sigmoid x 2"]


def test_gradients_are_those_of_autodiff(x64):
    params = NET.init_params(1, X, Y)
    theirs = jax.jit(jax.grad(lambda p: plain_loss("softmax_cross_entropy")(NET.apply(p, X), Y)))(params)
    _, ours = jax.jit(lambda p: gl.backprop(NET, p, X, Y))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-14), ours, theirs)


def test_convolutions_take_them_too(x64):
    net = gl.ConvNet(depth=3, width=2, activation=("tanh", "relu", "tanh"), padding="periodic")
    x, y = np.random.default_rng(1).normal(size=(4, 3, 3, 2)), np.arange(4) % 2
    params = net.init_params(0, x, y)
    loss = plain_loss("softmax_cross_entropy")
    deltas, (logits, _) = jax.jit(lambda p: twins.deltas(net, p, jax.numpy.asarray(x), y, loss))(params)
    assert np.allclose(jax.jit(net.apply)(params, x), logits, atol=1e-13)
    trace = gl.measure(net, x, y, params=params, columns=["log10_delta_rms"])
    rms = [np.log10(4 * np.sqrt(np.mean(np.square(d)))) for d in deltas]
    assert np.allclose(trace.columns["log10_delta_rms"][0, :-1], rms, atol=1e-12)


def test_weights_are_those_of_a_network_with_one_activation():
    same = NET.layers(NET.init_params(0, X.astype("float32"), outputs=3))
    other = gl.MLP(depth=5, width=6, activation="tanh", init="he_normal", sigma_b2=0.1)
    jax.tree.map(
        np.testing.assert_array_equal, same, other.layers(other.init_params(0, X.astype("float32"), outputs=3))
    )
    assert gl.MLP(depth=2, activation=["tanh", "tanh"]) == gl.MLP(depth=2, activation="tanh")


def test_the_jacobian_between_two_layers(x64):
    params = NET.init_params(1, X, Y)
    spectrum = gl.jacobian_spectrum(NET, X[:1], params=params, from_layer=1, to_layer=4)
    hidden = [{k: np.asarray(v) for k, v in p.items()} for _, p in NET.layers(params)]
    z, jacobian = X[0] @ hidden[0]["weight"] + hidden[0]["bias"], np.eye(6)
    for name, p in zip(NAMES[:3], hidden[1:4], strict=True):
        jacobian = jacobian * PHI[name][1](z) @ p["weight"]
        z = PHI[name][0](z) @ p["weight"] + p["bias"]
    want = np.linalg.svd(jacobian, compute_uv=False)
    found = 10.0 ** np.sort(np.asarray(spectrum.log10_singular_values).ravel())[::-1]
    assert np.allclose(found[want > 1e-12], want[want > 1e-12], rtol=1e-9)


def test_a_sweep_takes_a_sequence_within_the_sequence(tmp_path):
    grid = {"depth": 2, "width": 4, "init": "xavier_normal", "seeds": 2, "data": "gaussian", "batch": 8}
    sweep = gl.Sweep(activation=["tanh", ("tanh", "relu")], columns=["log10_delta_rms"], **grid)
    frame = gl.run(sweep, out=tmp_path, progress=False)
    assert len(gl.run(sweep, out=tmp_path, progress=False)) == len(frame) == 2 * 2 * 3
    assert list(gl.rates(frame)["activation"]) == ["tanh", "tanh, relu"]
    assert [str(told)[:33] for told in gl.predict_all(sweep).values()][1] == "mean field asks for one activation"[:33]
    axes = gl.plots.gradient_flow(frame, value="log10_delta_rms")  # a network is one line, whatever its layers
    assert len({line.get_color() for line in axes.lines if len(line.get_xdata()) == 2}) == 2


def test_histograms_of_one_network_are_one_row_of_panels():
    import matplotlib.pyplot as plt

    net = gl.MLP(depth=3, width=8, activation=("tanh", "relu", "sigmoid"))
    table = gl.frame(gl.histograms(net, X.astype("float32"), Y))
    assert set(table["activation"]) == {"tanh, relu, sigmoid"}
    panels = gl.plots.histograms(table, signal="delta")
    plt.close("all")
    assert len(panels.flat) == 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gl.MLP(depth=3, activation=("tanh", "relu")), "one activation for each of the 3 hidden layers.*2"),
        (lambda: gl.MLP(depth=2, activation=("tanh", "rely")), "'rely'"),
        (lambda: gl.MLP(depth=2, activation=("tanh", "relu"), init="critical"), "made for it"),
        (lambda: gl.ResNet(depth=2, activation=("tanh", "relu")), "one activation for all layers of 'resnet'"),
        (lambda: gl.theory.predict(NET), "one activation for all layers"),
    ],
)
def test_what_cannot_be_is_told(call, words):
    with pytest.raises(GradlabError, match=words):
        call()
