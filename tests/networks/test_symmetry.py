"""Weights that are all zero, or all alike: the textbook case in which the units of a layer stay copies of one."""

import jax
import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 3)), np.arange(8) % 3
DEPTH, WIDTH = 3, 4


@pytest.mark.parametrize("zero", [{"init": "zeros"}, {"init": "xavier_normal", "gain": 0, "readout": "zeros"}])
def test_of_zeros_only_the_bias_of_the_output_has_a_gradient(zero, x64):
    net = gl.MLP(depth=DEPTH, width=WIDTH, activation="tanh", **zero)
    columns = ["log10_delta_rms", "log10_weight_grad_norm", "log10_activation_rms", "log10_bias_grad_norm"]
    trace = gl.measure(net, X, Y, seeds=2, dtype="float64", columns=columns)
    frame = gl.frame(trace)
    hidden = frame[frame["layer"] <= DEPTH]
    assert np.isneginf(hidden[columns[:3]]).all(axis=None)
    assert set(frame["status"]) == {"ok"}
    assert (trace.verdict.name, trace.rate.n_dead, trace.sigma_w2) == ("dead", 2, 0.0)
    # logits of 0: every class has 1/3, so that the gradient by the output's bias is 1/3 less the share of its class
    expected = np.log10(np.linalg.norm(1 / 3 - np.bincount(Y) / len(Y)))
    assert np.allclose(frame[frame["layer"] > DEPTH]["log10_bias_grad_norm"], expected, atol=1e-12)
    _, grads = gl.backprop(net, net.init_params(0, X, Y), X, Y)
    moved = [(name, p) for name, layer in net.layers(grads) for p, v in layer.items() if np.any(np.asarray(v) != 0)]
    assert moved == [("readout", "bias")]


def test_constant_weights_have_the_deltas_of_numpy_and_units_that_are_copies(x64):
    net = gl.MLP(depth=DEPTH, width=WIDTH, activation="sigmoid", init="constant", gain=0.3, readout="xavier_normal")
    trace = gl.measure(net, X, Y, seeds=[0], dtype="float64", columns=["log10_delta_rms"])
    params = net.init_params(jax.random.fold_in(jax.random.key(0), 0), X, Y)
    *hidden, (_, head) = net.layers(params)
    assert all(np.all(np.asarray(p["weight"]) == 0.3) for _, p in hidden)
    head, a, slopes = np.asarray(head["weight"]), X, []
    for n in (3, WIDTH, WIDTH):
        a = 1 / (1 + np.exp(-a @ np.full((n, WIDTH), 0.3)))
        slopes.append(a * (1 - a))
    share = np.exp(a @ head)
    delta = (share / share.sum(1, keepdims=True) - np.eye(3)[Y]) @ head.T * slopes[-1]
    expected = [np.log10(np.sqrt(np.mean(delta**2)))]
    for slope in reversed(slopes[:-1]):
        delta = delta @ np.full((WIDTH, WIDTH), 0.3) * slope
        expected.insert(0, np.log10(np.sqrt(np.mean(delta**2))))
    assert np.allclose(trace.columns["log10_delta_rms"][0, :-1], expected, atol=1e-12)
    _, grads = gl.backprop(net, params, X, Y)
    for name, layer in net.layers(grads)[:-2]:  # below the last hidden layer, whose units the readout tells apart
        weight = np.asarray(layer["weight"])
        assert np.allclose(weight, weight[:, :1], rtol=1e-12) and np.any(weight), name


@pytest.mark.parametrize("name", ["zeros", "constant", "ones"])
def test_theory_says_why_it_does_not_apply(name):
    with pytest.raises(GradlabError, match=r"weights that are drawn.*init="):
        gl.theory.predict(gl.MLP(depth=3, width=8, init=name))
    with pytest.raises(GradlabError, match=r"weights that are drawn.*gain=0"):
        gl.theory.predict(gl.MLP(depth=3, width=8, gain=0))


@pytest.mark.slow
def test_every_architecture_takes_them():
    nets = (gl.ResNet, gl.ConvNet, gl.RNN, gl.Transformer)
    shapes = ((3,), (4, 3), (4, 3), (4, 3))
    for kind, shape in zip(nets, shapes, strict=True):
        x = RNG.normal(size=(6, *shape)).astype("float32")
        for options in ({"init": "zeros"}, {"init": "constant", "gain": 0.1, "readout": "xavier_normal"}):
            frame = gl.frame(gl.measure(kind(width=4, **({} if kind is gl.RNN else {"depth": 2}), **options), x, Y[:6]))
            assert set(frame["status"]) == {"ok"}, (kind, options)
