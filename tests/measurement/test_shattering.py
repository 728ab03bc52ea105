"""Cosines of deltas between inputs: against autodiff, exact cases, and the law of wide ReLU networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError


@pytest.mark.slow
def test_cosines_and_input_gradients_are_those_of_autodiff(x64):
    dense = lambda width: gl.dense(width, "he_normal", bias_std=0.5)
    layer = gl.serial(dense(6), gl.activation("tanh"), dense(7), gl.activation("tanh"), dense(1))
    x = np.random.default_rng(0).normal(size=(4, 5))
    found = gl.shattering(layer, x, seeds=(7,), dtype="float64")
    one, two = np.triu_indices(4, 1)
    np.testing.assert_allclose(found.distance, np.linalg.norm(x[one] - x[two], axis=-1))
    params = jax.jit(lambda key: layer.init(jax.random.fold_in(key, 7), (5,))[0])(jax.random.key(0))
    weights = [(p["weight"], p["bias"]) for p in params if p]

    def output(nudges, x):
        a = x + nudges[0]
        for j, ((w, b), nudge) in enumerate(zip(weights, nudges[1:], strict=True)):
            z = a @ w + b + nudge
            a = jnp.tanh(z) if j < 2 else z
        return a[0]

    nudges = [jnp.zeros(n) for n in (5, 6, 7, 1)]
    deltas = [np.asarray(d) for d in jax.jit(jax.vmap(jax.grad(output), (None, 0)))(nudges, jnp.asarray(x))]
    for layer, d in enumerate(deltas):
        unit = d / np.linalg.norm(d, axis=-1, keepdims=True)
        np.testing.assert_allclose(found.cosine[0, layer], np.sum(unit[one] * unit[two], -1), atol=1e-12)
    size = np.sqrt(np.mean(deltas[0] ** 2))
    np.testing.assert_allclose(found.gradient[0], deltas[0] / size, atol=1e-12)
    assert found.log10_rms[0] == pytest.approx(np.log10(size), abs=1e-12)


def test_a_linear_network_does_not_shatter_and_nothing_underflows():
    net = gl.MLP(depth=300, width=4, activation="identity", init="gaussian", sigma_w2=0.05, bias=False)
    found = gl.shattering(net, np.random.default_rng(1).normal(size=(3, 4)), seeds=2)
    np.testing.assert_allclose(found.cosine, 1, atol=1e-5)
    # far below the range of a float: sigma_w^300 is 1e-195, and narrow products fall further
    assert np.all(found.log10_rms < -150) and np.allclose(np.mean(found.gradient**2, (1, 2)), 1)


def test_bins_average_pairs_of_about_one_distance():
    net = gl.serial(gl.dense(16), gl.activation("relu"), gl.dense(1))
    x = np.random.default_rng(2).normal(size=(7, 3))
    single, binned = (gl.shattering(net, x, seeds=3, bins=b) for b in (None, 4))
    edges = np.linspace(single.distance.min(), single.distance.max(), 5)
    place = np.minimum(np.searchsorted(edges, single.distance, side="right") - 1, 3)
    for i, number in enumerate(np.unique(place)):
        np.testing.assert_allclose(binned.distance[i], single.distance[place == number].mean())
        np.testing.assert_allclose(binned.cosine[..., i], single.cosine[..., place == number].mean(-1), atol=1e-12)
        assert binned.pairs[i] == np.sum(place == number)
    columns = binned.rows()
    assert {len(v) for v in columns.values()} == {binned.cosine.size}
    at = (columns["seed"] == 1) & (columns["layer"] == 2)
    np.testing.assert_array_equal(columns["cosine"][at], binned.cosine[1, 2])
    np.testing.assert_array_equal(columns["distance"][at], binned.distance)
    assert set(columns["from_loss"][at]) == {0}


@pytest.mark.slow
def test_plain_relu_networks_follow_the_kernels():
    """Mean over 24 seeds and 6 pairs at right angles within 4.5 standard errors and 10/n of prod kappa_0(c_l)."""
    n, depth = 256, 6
    found = gl.shattering(gl.MLP(depth=depth, width=n, bias=False), np.eye(4, 32), seeds=24)
    of_seed = found.cosine.mean(-1)
    error = np.std(of_seed, 0, ddof=1) / 24**0.5
    law = gl.theory.gradient_correlation(0.0, depth)
    law = np.concatenate(
        [law[:1], law, [1.0]]
    )  # the input gradient is as alike as the first delta; the readout shares it
    assert np.all(np.abs(of_seed.mean(0) - law) < 4.5 * error + 10 / n)


def test_dead_inputs_are_left_out():
    block = gl.lift(
        lambda key, shape: ({}, shape), lambda p, x: (x, (x > 0).astype(x.dtype)), lambda p, s, d: (d * s, {})
    )
    layer = gl.serial(block, gl.dense(1, bias=False))
    found = gl.shattering(layer, [[1.0, 1.0], [2.0, 1.0], [-1.0, -1.0]], seeds=1)
    np.testing.assert_allclose(found.cosine[0, 0], [1, np.nan, np.nan], atol=1e-6)
    np.testing.assert_allclose(found.cosine[0, 1], 1, atol=1e-6)


def test_kinds_and_what_is_refused():
    block = gl.residual(gl.serial(gl.dense(4), gl.activation("relu")))
    layer = gl.serial(gl.dense(4), gl.repeat(block, 3), gl.dense(1))
    x = np.random.default_rng(3).normal(size=(3, 2))
    assert gl.shattering(layer, x, seeds=1, kind="residual").cosine.shape == (1, 4, 3)
    with pytest.raises(GradlabError, match="kind 'conv'"):
        gl.shattering(layer, x, seeds=1, kind="conv")
    with pytest.raises(GradlabError, match="one output"):
        gl.shattering(gl.dense(2), x, seeds=1)
    for wrong in (x[:1], x[0], np.full((2, 2), np.nan)):
        with pytest.raises(GradlabError, match=r"two inputs or more|examples, features|finite numbers in x"):
            gl.shattering(layer, wrong)
    for wrong in ({"seeds": 0}, {"bins": 0}):
        with pytest.raises(GradlabError, match="to be an integer of at least 1"):
            gl.shattering(layer, x, **wrong)
