"""A network of a user's own layers gives the numbers of the built-in one that has the same layers."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl

X, Y = np.random.default_rng(0).normal(size=(8, 4)).astype("float32"), np.arange(8) % 3
DEPTH, WIDTH = 4, 5
MLP = gl.MLP(depth=DEPTH, width=WIDTH, activation="tanh", init="xavier_normal")
LOSS = "softmax_cross_entropy"


def block(width=WIDTH, activation="tanh"):
    return gl.serial(gl.dense(width, "xavier_normal"), gl.activation(activation))


def layers(activation="tanh"):
    """The layers of `MLP`, laid out as its parameters are."""
    return gl.serial(block(activation=activation), gl.repeat(block(), DEPTH - 1), block(3, "identity"))


def network(**how):
    return gl.CustomNetwork(layers(**how), shape=(4,))


@pytest.mark.parametrize(
    "columns", [("log10_delta_rms", "weight_norm"), pytest.param(None, marks=pytest.mark.slow)], ids=["two", "all"]
)
def test_measured_as_the_built_in_one(columns, x64):
    params = MLP.init_params(0, X.astype(float), Y)
    ours, theirs = (gl.measure(n, X.astype(float), Y, params=params, columns=columns) for n in (network(), MLP))
    assert ours.columns.keys() == theirs.columns.keys()
    for name, values in ours.columns.items():
        if name != "log10_one_minus_c":  # carried along there, of the signals here
            np.testing.assert_allclose(values, theirs.columns[name], rtol=1e-12, atol=1e-12, err_msg=name)
    assert ours.layers == theirs.layers


@pytest.mark.slow
def test_gradient_and_layers_are_those_of_the_built_in_one():
    params = MLP.init_params(0, X, Y)
    ours, theirs = (gl.backprop(n, params, X, Y) for n in (network(), MLP))
    assert jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b, rtol=1e-5, atol=1e-7), ours, theirs))
    assert [name for name, _ in network().layers(params)][-1] == "readout"
    assert len(network().layers(params)) == DEPTH + 1
    drawn, _ = layers().init(jax.random.key(0), (4,))
    assert jax.tree.structure(network().init_params(0, X)) == jax.tree.structure(drawn)


def test_identity_is_what_the_layers_compute():
    assert network() == network() and hash(network()) == hash(network())
    assert network() != network(activation="relu")
    drawn_wider = gl.serial(
        block(), gl.repeat(gl.serial(gl.dense(WIDTH, "he_normal"), gl.activation("tanh")), 3), block(3)
    )
    assert gl.CustomNetwork(drawn_wider, (4,)) != gl.CustomNetwork(
        gl.serial(block(), gl.repeat(block(), 3), block(3)), (4,)
    )
    wrong = layers()._replace(
        backward=lambda p, s, dy, read: layers().backward(p, s, dy._replace(mantissa=-dy.mantissa), read)
    )
    assert gl.CustomNetwork(wrong, (4,)) != network()
    assert copy.deepcopy(network()) == network()


def test_layers_that_change_are_refused():
    state = {"slope": 1.0}
    times = lambda x: state["slope"] * x
    own = gl.lift(lambda key, shape: ({}, shape), lambda p, x: (times(x), x), lambda p, x, dy: (times(dy), {}))
    net = gl.CustomNetwork(gl.serial(block(), own, block(3)), (4,))
    state["slope"] = 2.0
    with pytest.raises(gl.GradlabError, match="compute what they did"):
        gl.measure(net, X, Y, seeds=1)
    with pytest.raises(gl.GradlabError, match="compute what they did"):
        gl.sharpness(net, net.init_params(0, X), X, Y, loss=LOSS)


def vector(shape):
    init = lambda key, in_shape: ({"weight": jnp.ones(shape)}, in_shape)
    return gl.lift(init, lambda p, x: (x, x), lambda p, x, dy: (dy, {"weight": jnp.zeros(shape)}))


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (gl.dense(3), (4,), "hidden layer and a readout"),
        (gl.serial(block(), vector(5), block(3)), (4,), "another name for what is no matrix"),
        (layers(), (4, 2), "one axis of outputs"),
        (gl.serial(block(), gl.residual(gl.dense(4)), gl.dense(3)), (4,), "keeps the shape"),
        (gl.MLP(), (4,), "a Layer"),
    ],
)
def test_what_cannot_be_measured_is_said(layer, shape, words):
    with pytest.raises(gl.GradlabError, match=words):
        gl.CustomNetwork(layer, shape)


@pytest.mark.parametrize(
    "call",
    [
        lambda layer: gl.measure(layer, X, Y),
        lambda layer: gl.train(layer, X, Y),
        lambda layer: gl.backprop(layer, (), X, Y),
        lambda layer: gl.sharpness(layer, (), X, Y, loss=LOSS),
    ],
)
def test_a_bare_layer_is_told_how_it_becomes_a_network(call):
    with pytest.raises(gl.GradlabError, match=r"a bare Layer; try gl\.CustomNetwork"):
        call(layers())


def test_data_must_fit():
    net = network()
    with pytest.raises(gl.GradlabError, match=r"examples of shape \(4,\)"):
        gl.measure(net, X[:, :3], Y, seeds=1)
    with pytest.raises(gl.GradlabError, match="at most 3 classes"):
        gl.train(net, X, np.arange(8), progress=False)
    with pytest.raises(gl.GradlabError, match="labels from 0 to 2"):
        gl.measure(net, X, np.arange(8), seeds=1)
    with pytest.raises(gl.GradlabError, match="no built-in architecture"):
        gl.CustomNetwork(layers(), (4,), name="mlp")
    with pytest.raises(gl.GradlabError, match="dropout as a layer"):
        gl.backprop(net, net.init_params(0, X), X, Y, dropout=gl.Dropout(0.5, key=0))
