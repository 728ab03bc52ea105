"""A layer of one's own with a parameter called "weight" is measured; what it cannot show is said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.backprop import run
from gradlab.core.gradient import NotMeasured
from gradlab.measurement.stats import BACKWARD, ENTRIES, FORWARD, OF_SEQUENCES

#: Columns of each example's own gradient.
SINGLE = {
    "log10_per_example_grad_norm_rms",
    "gradient_cosine_mean",
    "gradient_snr",
    "inverse_noise_scale",
    "log10_noise",
}
BY_WEIGHT = {*BACKWARD, "weight_norm"} - {*OF_SEQUENCES}


def lifted(width):
    """A dense layer as a user writes it."""

    def init(key, shape):
        return {"weight": jax.random.normal(key, (*shape, width)), "bias": jnp.ones(width)}, (width,)

    def chain_rule(params, x, dy):
        return dy @ params["weight"].T, {"weight": x.T @ dy, "bias": dy.sum(0)}

    return gl.lift(init, lambda p, x: (x @ p["weight"] + p["bias"], x), chain_rule)


def records(layer, params, read):
    x, y = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 3
    return run(layer, params, jnp.asarray(x), jnp.asarray(y), "softmax_cross_entropy", read)[1]


@pytest.mark.slow
def test_statistics_are_those_of_a_dense_layer(x64):
    params, _ = lifted(3).init(jax.random.key(0), (4,))
    found = records(lifted(3), params, gl.statistics((*FORWARD, *BACKWARD, *ENTRIES))).columns()
    theirs = records(gl.dense(3), params, gl.statistics((*FORWARD, *BACKWARD, *ENTRIES))).columns()
    assert found.keys() == theirs.keys() >= BY_WEIGHT
    for name in found.keys() - SINGLE:
        assert found[name] == pytest.approx(theirs[name], rel=1e-13, abs=1e-13), name
    assert all(np.isnan(found[name]) for name in SINGLE)


def test_a_reason_stands_where_examples_are_summed(x64):
    params, _ = lifted(3).init(jax.random.key(0), (4,))
    found = records(lifted(3), params, gl.per_example)
    assert isinstance(found["norms"], NotMeasured) and "summed over its examples" in found["norms"].reason


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2)])
def test_a_weight_of_any_shape_has_a_norm(shape, x64):
    """Of a vector and of an array with three axes; entries far from 1 too."""

    def init(key, in_shape):
        return {"weight": 1e-170 * jnp.ones(shape)}, in_shape

    layer = gl.lift(
        init, lambda p, x: (x * p["weight"].sum(), x), lambda p, x, dy: (dy * p["weight"].sum(),
        {"weight": jnp.full(shape, (x * dy).sum())}),
    )  # fmt: skip
    params, _ = layer.init(None, (4,))
    of = gl.serial(layer, gl.dense(3)), (params, gl.dense(3).init(jax.random.key(0), (4,))[0])
    found = [of.columns() for of in records(*of, gl.statistics(["weight_norm", "log10_weight_grad_norm"]))]
    assert found[0]["weight_norm"] == pytest.approx(1e-170 * np.prod(shape) ** 0.5, rel=1e-14)
    assert np.isfinite(found[0]["log10_weight_grad_norm"])
