"""The gradient against differences of the loss, right and wrong, at any scale and format; steps along it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.diagnosis.suspects import suspects


@jax.custom_vjp
def wrong(x):
    return jnp.maximum(x, 0)


wrong.defvjp(lambda x: (jnp.maximum(x, 0), x > 0), lambda alive, d: (jnp.where(alive, d * 3 / 4, 0),))


def params_of(dtype="float32"):
    rng = np.random.default_rng(0)
    layers = {f"layer{i}": rng.normal(size=(16, 16)) * 0.35 for i in range(2)} | {"out": rng.normal(size=(16, 3)) / 4}
    return {name: jnp.asarray(w, dtype) for name, w in (layers | {"bias": np.zeros(3)}).items()}


def loss_of(act, scale=1.0):
    def loss(p, x, y):
        for i in range(2):
            x = act(x.astype(p["out"].dtype) @ p[f"layer{i}"])
        logits = (x @ p["out"] + p["bias"]).astype(jnp.float32)
        return -jnp.float32(scale) * jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(y)), y])

    return loss


X = jnp.asarray(np.random.default_rng(1).normal(size=(32, 16)), jnp.float32)
Y = jnp.asarray(np.arange(32) % 3)


def look(loss, params, **options):
    return suspects(loss, params, (X, Y), jax.jit(jax.grad(loss))(params, X, Y), **options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_right_gradient_is_within_the_error_and_a_wrong_one_is_not(dtype):
    params = params_of(dtype)
    right, not_right = look(loss_of(jax.nn.relu), params), look(loss_of(wrong), params)
    assert abs(right.slope[0] - right.slope[1]) < right.slope_error < 0.2 * right.slope[0]
    assert abs(not_right.slope[0] - not_right.slope[1]) > 2 * not_right.slope_error
    assert not_right.slope[1] < not_right.slope[0]


def test_the_slope_is_that_of_float64(x64):
    params, loss = params_of("float64"), loss_of(jnp.tanh)
    found = suspects(loss, params, (X, Y), jax.grad(loss)(params, X, Y))
    assert abs(found.slope[0] - found.slope[1]) < found.slope_error < 1e-2 * found.slope[0]


def test_another_unit_of_the_loss_changes_nothing():
    params, scale = params_of(), 1e25
    one, other = look(loss_of(jnp.tanh), params), look(loss_of(jnp.tanh, scale), params)
    # rounding of the loss is another, so another step may be the best
    assert other.slope[1] / scale == pytest.approx(one.slope[1], rel=0.05)
    assert abs(other.slope[0] - other.slope[1]) < other.slope_error < 0.05 * scale * one.slope[0]
    rates = np.array([(a, b) for (a, _), (b, _) in zip(one.steps, other.steps, strict=False)])
    assert np.log10(rates[:, 1] * scale / rates[:, 0]) == pytest.approx(0, abs=0.5)


def test_steps_of_a_parabola():
    """Half of |p|**2: a step of rate r lowers it by (1 - r/2) of what the gradient promises."""
    loss = lambda p: 0.5 * jnp.sum(p**2)
    found = suspects(loss, jnp.ones(8), (), jnp.ones(8))
    rates, ratios = np.array(found.steps).T
    assert rates.min() < 2e-6 and rates.max() == 1
    resolved = rates > 1e-4
    assert ratios[resolved] == pytest.approx(1 - rates[resolved] / 2, abs=1e-2)


def test_a_leaf_that_is_frozen_stays_where_it_is():
    loss = lambda p: jnp.sum(p["a"] ** 2) + 100 * jnp.sum(jax.lax.stop_gradient(p["b"]) ** 2)
    params = {"a": jnp.ones(3), "b": jnp.ones(3)}
    grads = jax.grad(loss)(params)
    moved = suspects(loss, params, (), grads)
    still = suspects(loss, params, (), grads, frozen=(1,))
    assert abs(moved.slope[0] - moved.slope[1]) > 2 * moved.slope_error
    assert abs(still.slope[0] - still.slope[1]) < still.slope_error


def test_leaves_that_are_zero_empty_or_scalar():
    loss = lambda p: jnp.sum((p["a"] - 1) ** 2) + p["b"] ** 2 * 3 + jnp.sum(p["c"])
    params = {"a": jnp.zeros((2, 3)), "b": jnp.float32(0.5), "c": jnp.zeros(0)}
    found = suspects(loss, params, (), jax.grad(loss)(params))
    assert abs(found.slope[0] - found.slope[1]) < found.slope_error < 0.1 * found.slope[0]
    start = {"a": jnp.zeros((2, 3)), "b": jnp.float32(0), "c": jnp.zeros(0)}
    assert np.isfinite(suspects(loss, start, (), jax.grad(loss)(start)).slope_error)


@pytest.mark.parametrize(
    ("loss", "note"),
    [
        (lambda p: 0 * jnp.sum(p), "the gradient is zero"),
        (lambda p: jnp.sum(jnp.log(p - 1)), "the gradient is not finite"),
        (lambda p: jnp.sum(p) * 1e-30 + 1, "than its rounding"),
        (lambda p: jnp.sum(p) + jnp.log(jax.lax.stop_gradient(p[0]) - 1), "the loss is not finite"),
    ],
)
def test_what_cannot_be_examined_says_so(loss, note):
    found = suspects(loss, jnp.ones(3), (), jax.grad(loss)(jnp.ones(3)))
    assert np.isnan(found.slope).all() and np.isnan(found.slope_error)
    assert note in found.notes[0]


def test_a_loss_that_levels_off_is_not_taken_for_a_wrong_gradient():
    """Long steps see the plateau and agree with each other; short ones see the slope."""
    params = {"w": jnp.ones((8, 8))}
    loss = lambda p: 1 + jnp.mean(jnp.tanh(300 * (p["w"] - 1) + 1))
    found = suspects(loss, params, (), jax.grad(loss)(params))
    (difference, gradient), error = found.slope, found.slope_error
    assert np.isnan(error) or abs(difference - gradient) <= 3 * error
    assert difference == pytest.approx(gradient, rel=0.05)
