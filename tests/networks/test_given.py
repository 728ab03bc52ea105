"""Own arrays in a parameter tree, and given weights that do not fit."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError
from tests.networks.architectures import CLASSES, TABLE


def drawn(case, seed):
    """Parameters of a case, every number drawn."""
    shapes = jax.eval_shape(lambda: case.net.init_params(0, case.data("float32")[0], outputs=CLASSES))
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda v: jnp.asarray(rng.normal(size=v.shape), "float32"), shapes)


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_with_layers_is_the_inverse_of_layers(case):
    one, two = drawn(case, 1), drawn(case, 2)
    names = [name for name, _ in case.net.layers(one)]
    assert len(set(names)) == len(names)
    for form in (list, dict):
        mixed = case.net.with_layers(one, form(case.net.layers(two)))
        assert jax.tree.structure(mixed) == jax.tree.structure(one)
        jax.tree.map(np.testing.assert_array_equal, case.net.layers(mixed), case.net.layers(two))
        back = case.net.with_layers(mixed, case.net.layers(one))  # gains and scales were never touched
        jax.tree.map(np.testing.assert_array_equal, back, one)


def test_own_weights_answer_as_numpy_does():
    net, rng = gl.MLP(depth=3, width=(4, 4, 2), activation="tanh"), np.random.default_rng(0)
    x, sizes = rng.normal(size=(5, 3)).astype("float32"), (3, 4, 4, 2, 1)
    own = [(rng.normal(size=(n, m)), rng.normal(size=m)) for n, m in itertools.pairwise(sizes)]
    names = ["hidden_1", "hidden_2", "hidden_3", "readout"]
    layers = {name: {"weight": w, "bias": b} for name, (w, b) in zip(names, own, strict=True)}
    params = net.with_layers(net.init_params(0, x, outputs=1), layers)
    a = x.astype(float)
    for w, b in own[:-1]:
        a = np.tanh(a @ w + b)
    assert np.allclose(net.apply(params, x), a @ own[-1][0] + own[-1][1], atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"hidden_9": {}}, "hidden_9"),
        ({"hidden_1": {"kernel": np.ones((2, 3))}}, "kernel"),
        ({"hidden_1": {"weight": np.ones((3, 2))}}, r"shape \(2, 3\).*\(3, 2\).*transpose"),
    ],
)
def test_layers_that_do_not_fit_are_told(layers, words):
    net = gl.MLP(depth=2, width=3)
    with pytest.raises(GradlabError, match=words):
        net.with_layers(net.init_params(0, np.ones((4, 2), "float32"), outputs=1), layers)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: jax.tree.map(lambda v: v[..., :2], p), "of shape"),
        (lambda p: list(p), "another tree"),
        (lambda p: p[1:], "another tree"),
        (lambda p: jax.tree.map(lambda v: v.astype(complex), p), "real numbers"),
        (lambda p: 3, "the parameters of the network"),
        (lambda p: {"a": np.ones(3)}, "the parameters of the network"),
    ],
)
def test_given_weights_that_do_not_fit_are_told(spoil, words):
    net, x = gl.MLP(depth=3, width=3), np.ones((4, 2), "float32")
    params = spoil(net.init_params(0, x, outputs=2))
    with pytest.raises(GradlabError, match=words):
        gl.measure(net, x, np.arange(4) % 2, params=params)
