"""Dropout and weight decay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.core.backprop import backprop
from gradlab.core.decay import weight_decay
from gradlab.core.dense import dense
from gradlab.core.dropout import dropout
from gradlab.core.layer import Part, repeat, serial
from gradlab.core.residual import residual
from gradlab.core.scaled import plain, scaled


def test_expectation_is_kept_and_the_mask_is_the_same_on_the_way_back():
    """Five standard errors of the share that is kept."""
    rate, count = 0.3, 40000
    layer = dropout(rate, key=1)
    x = jnp.ones((4, count // 4))
    y, saved = layer.forward({}, scaled(x))
    y = np.asarray(y.value())
    assert np.allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)
    assert abs(y.mean() - 1) <= 5 * (rate / (1 - rate) / count) ** 0.5
    dx, _ = layer.backward({}, saved, scaled(x), lambda site: None)
    assert np.array_equal(dx.value(), y)
    again, _ = dropout(rate, key=jax.random.key(1)).forward({}, plain(x))
    assert np.allclose(again.mantissa, y, rtol=1e-6)
    other, _ = dropout(rate, key=2).forward({}, plain(x))
    assert np.any((np.asarray(other.mantissa) > 0) != (y > 0))


def test_a_key_may_be_traced():
    """A new mask in each step, one compilation."""
    compiled = []

    @jax.jit
    def step(key, x):
        compiled.append(1)
        return dropout(0.5, key).forward({}, plain(x))[0].mantissa

    x = jnp.ones((3, 20))
    masks = [np.asarray(step(jax.random.key(i), x)) for i in range(3)]
    assert len(compiled) == 1
    assert not np.array_equal(masks[0], masks[1])


def test_copies_with_masks_of_their_own(x64):
    """A repeat of a function of the copy's number, beside the layers one after another."""
    key = jax.random.key(3)
    copy = lambda i: residual(serial(dense(5), dropout(0.5, jax.random.fold_in(key, i))))
    many, few = repeat(copy, 3, start=2), serial(*(Part(str(i), copy(i), i) for i in (2, 3, 4)))
    params, _ = few.init(jax.random.key(0), (5,))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5)))
    stacked = jax.tree.map(lambda *v: jnp.stack(v), *params)
    y, saved = many.forward(stacked, scaled(x))
    want, kept = few.forward(params, scaled(x))
    assert np.allclose(y.value(), want.value(), rtol=1e-14, atol=1e-14)
    dx, _ = many.backward(stacked, saved, scaled(x), lambda site: None)
    back, _ = few.backward(params, kept, scaled(x), lambda site: None)
    assert np.allclose(dx.value(), back.value(), rtol=1e-14, atol=1e-14)
    masks = np.asarray(saved[3][1][1])
    assert not np.array_equal(masks[0], masks[1])


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_rates_outside_the_range(rate):
    with pytest.raises(GradlabError, match="dropout rate"):
        dropout(rate, key=0)


@pytest.mark.slow
def test_weight_decay_is_a_term_of_the_loss(x64):
    """Value and gradients beside automatic differentiation of loss plus penalty; biases are left alone."""
    net, rate = gl.MLP(depth=2, width=4, activation="tanh", sigma_b2=0.1), 0.3
    x, y = np.random.default_rng(0).normal(size=(5, 3)), np.arange(5) % 2
    params = net.init_params(0, x, y)

    def total(params):
        logs = jax.nn.log_softmax(net.apply(params, x))
        leaves = jax.tree_util.tree_flatten_with_path(params)[0]
        weights = [v for path, v in leaves if path[-1].key == "weight"]
        return -jnp.mean(logs[jnp.arange(5), y]) + 0.5 * rate * sum(jnp.sum(w**2) for w in weights)

    value, grads = backprop(net, params, x, y, weight_decay=rate)
    want, theirs = jax.value_and_grad(total)(params)
    assert value == pytest.approx(float(want), rel=1e-14)
    for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(theirs), strict=True):
        assert np.max(np.abs(a - b)) <= 1e-12 * np.max(np.abs(b))


def test_gains_and_scales_are_not_decayed():
    params = {"gain": jnp.ones(2), "inner": ({"scale": jnp.ones(()), "weight": jnp.ones((1, 1))},)}
    value, gradient = weight_decay(params, 2.0)
    assert float(value) == 1.0
    assert [float(jnp.sum(v)) for v in jax.tree.leaves(gradient)] == [0.0, 0.0, 2.0]
    with pytest.raises(GradlabError, match="at least 0"):
        weight_decay(params, -1.0)
