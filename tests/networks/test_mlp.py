"""The fully connected network: its draws, its plain forward pass, its names."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.config import MLPConfig
from gradlab.networks import build
from gradlab.networks.stack import runs_of

X = np.random.default_rng(2).normal(size=(5, 3)).astype("float32")


def plain_forward(net, params, x, phi):
    """The forward pass as one would write it."""
    *hidden, (name, readout) = net.layers(params)
    assert name == "readout"
    for _, p in hidden:
        x = phi(x @ p["weight"] + p.get("bias", 0))
    return x @ readout["weight"] + readout.get("bias", 0)


@pytest.mark.parametrize(
    "width", [4, (4, 4, 6, 6, 6, 2), pytest.param((7, 5, 4, 3, 2, 1), marks=pytest.mark.slow)], ids=str
)
@pytest.mark.parametrize("bias", [True, False])
def test_apply_is_the_plain_forward_pass(width, bias):
    net = gl.MLP(depth=6, width=width, activation="tanh", bias=bias, **({"sigma_b2": 0.3} if bias else {}))
    params = jax.tree.map(lambda v: v.astype(X.dtype), net.init_params(1, X, outputs=2))
    widths = (width,) * 6 if isinstance(width, int) else width
    assert [p["weight"].shape[1] for _, p in net.layers(params)] == [*widths, 2]
    assert [name for name, _ in net.layers(params)] == [*(f"hidden_{i}" for i in range(1, 7)), "readout"]
    assert np.allclose(net.apply(params, X), plain_forward(net, params, X, jnp.tanh), atol=1e-6)


def test_a_deeper_network_begins_with_the_layers_of_a_shallower_one():
    deep, shallow = (gl.MLP(depth=d, width=4) for d in (7, 3))
    one, two = deep.layers(deep.init_params(5, X, outputs=2)), shallow.layers(shallow.init_params(5, X, outputs=2))
    for (name, a), (_, b) in zip(one[:3], two[:3], strict=True):
        # a loop is compiled, single draws are not: their last bit may differ
        assert np.allclose(a["weight"], b["weight"], rtol=1e-6), name
    assert np.allclose(one[-1][1]["weight"], two[-1][1]["weight"], rtol=1e-6)


def test_keys_may_be_integers_and_seeds_differ():
    net = gl.MLP(depth=2, width=4)
    same = net.init_params(jax.random.key(3), X, outputs=2)
    for a, b in zip(jax.tree.leaves(net.init_params(3, X, outputs=2)), jax.tree.leaves(same), strict=True):
        assert np.array_equal(a, b)
    other = net.init_params(4, X, outputs=2)
    assert not np.array_equal(other[0][0]["weight"], same[0][0]["weight"])


def test_weights_have_the_variance_of_the_rule():
    """n Var(W) = gain^2 * 2 for He: the standard error of a variance over N normals is sqrt(2/N)."""
    net = gl.MLP(depth=2, width=400, gain=1.5)
    weight = np.asarray(net.layers(net.init_params(0, X, outputs=2))[1][1]["weight"])
    expected = 1.5**2 * 2
    assert abs(400 * weight.var() - expected) <= 5 * expected * np.sqrt(2 / weight.size)


def test_networks_are_values():
    net = gl.MLP(depth=2, width=4, activation="tanh", init="glorot_normal")
    assert net == gl.MLP(depth=2, width=(4, 4), activation="tanh", init="xavier_normal")
    config = MLPConfig(depth=2, width=4, activation="tanh", init="xavier_normal")
    assert build(config) == net and hash(build(config)) == hash(net) and build(net) is net
    assert net != gl.MLP(depth=3, width=4, activation="tanh", init="xavier_normal")
    assert repr(net) == "MLP(depth=2, width=4, activation='tanh', init='xavier_normal')"
    assert dataclasses.replace(net, depth=3).depth == 3 and net.depth == 2
    for field in dataclasses.fields(net):
        assert f"\n{field.name} : {field.type}\n" in gl.MLP.__doc__  # what help() shows
    for name in ("depth", "another"):
        with pytest.raises(AttributeError, match=name):
            setattr(net, name, 5)


@pytest.mark.parametrize(
    ("widths", "runs"),
    [
        ((4,), []),
        ((4, 4, 4), [(4, 2, 2)]),
        ((4, 5, 5, 4), [(5, 2, 0), (5, 3, 1), (4, 4, 0)]),
    ],
)
def test_runs_of_equal_blocks(widths, runs):
    assert runs_of(widths) == runs


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net: net.init_params(0, X), "targets y, or outputs="),
        (lambda net: net.init_params(0, X[:, :, None], outputs=2), "batch, features"),
        (
            lambda net: net.apply(net.init_params(0, X, outputs=2), X[:, :2]),
            r"'weight'. of shape .2, 4., as MLP.* has for these data; received .3, 4.",
        ),
        (lambda net: gl.MLP(depth=0), "depth to be an integer of at least 1"),
        (lambda net: gl.MLP(depth=2, width=(3, 4, 5)), "one width for each"),
        (lambda net: gl.MLP(activation="rleu"), "relu"),
    ],
)
def test_bad_input_is_told(call, words):
    with pytest.raises(GradlabError, match=words):
        call(gl.MLP(depth=2, width=4))
