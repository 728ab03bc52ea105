"""Where what is not finite comes from: direction, layer, operation, line, operands; and what is no fault."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gradlab.diagnosis.nonfinite import births
from gradlab.diagnosis.program import Program

X = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4)), jnp.float32)
P = {"w": jnp.eye(4)}
LAYERS = 24


def born(loss, params, *args):
    return births(Program.of(loss, params, args), params, args)


def line_of(function, text):
    lines, first = inspect.getsourcelines(function)
    return f"test_nonfinite.py:{first + next(i for i, line in enumerate(lines) if text in line)}"


def root(p, x):
    z = x @ (p["w"] * 0)
    return jnp.sum(jnp.where(z > 0, jnp.sqrt(z), 0.0))


def norm(p, x):
    return jnp.linalg.norm(x @ (p["w"] * 0))


def logarithm(p, x):
    return jnp.mean(jnp.log(jnp.maximum(x @ p["w"], 0.0)))


def half(p, x):
    z = (x @ p["w"]).astype(jnp.float16)
    return jnp.sum(jnp.exp(z * jnp.float16(30.0))).astype(jnp.float32)


def masked_row(p, x):
    mask = jnp.arange(8)[:, None] > jnp.arange(8)
    return jnp.sum(jax.nn.softmax(jnp.where(mask, x @ p["w"] @ x.T, -jnp.inf)) @ x)


def hidden(p, x):
    z = x @ p["w"]
    return jnp.sum(jnp.where(z > 0, z, jnp.sqrt(z) * 0))


@pytest.mark.parametrize(
    ("loss", "direction", "primitive", "what", "text", "operand", "reaches"),
    [
        (root, "backward", "sqrt", "inf", "sqrt(z)", (0, 0), ("w",)),
        (norm, "backward", "sqrt", "inf", "norm(x", (0, 0), ("w",)),
        (logarithm, "forward", "log", "inf", "log(", (0, X.max()), ("loss", "w")),
        (half, "forward", "exp", "inf", "exp(z", (30 * X.min(), 30 * X.max()), ("loss", "w")),
        (masked_row, "forward", "sub", "nan", "softmax(", (-np.inf, np.tril(X @ X.T, -1).max()), ("loss",)),
        (hidden, "forward", "sqrt", "nan", "sqrt(z)", (X.min(), X.max()), ("loss", "w")),
    ],
)
def test_operation_line_and_operands(loss, direction, primitive, what, text, operand, reaches):
    (birth,) = born(loss, P, X)
    assert (birth.direction, birth.primitive, birth.what, birth.reaches) == (direction, primitive, what, reaches)
    assert birth.source == line_of(loss, text)
    # three digits; those of float16 too
    low, high = map(float, birth.operands[0].strip("[]").split(","))
    assert (low, high) == pytest.approx(tuple(map(float, operand)), rel=5e-3)


def test_a_where_hides_it_from_the_loss_but_not_from_the_gradient():
    def loss(p, x):
        z = x @ p["w"]
        return jnp.sum(jnp.where(z > 0, jnp.sqrt(z), 0.0))

    (birth,) = born(loss, P, X)
    assert (birth.direction, birth.primitive, birth.what, birth.reaches) == ("backward", "sqrt", "nan", ("w",))


def test_what_is_masked_everywhere_is_no_fault():
    def loss(p, x):
        z = x @ p["w"]
        mask = jnp.arange(8)[:, None] >= jnp.arange(8)
        attention = jax.nn.softmax(jnp.where(mask, z @ x.T, -jnp.inf))
        return jnp.sum(attention @ x) + jnp.sum(jnp.where(z > 0, jnp.log(jnp.where(z > 0, z, 1.0)), 0.0))

    assert born(loss, P, X) == ()


@jax.custom_vjp
def spoiled_back(x, bad):
    return x * 1


spoiled_back.defvjp(lambda x, bad: (x * 1, bad), lambda bad, d: (jnp.where(bad, jnp.log(-jnp.abs(d) - 1), d), None))
PLANTS = {
    "forward": lambda h, bad: jnp.where(bad, jnp.log(-jnp.abs(h) - 1), h),
    "backward": spoiled_back,
    "where": lambda h, bad: jnp.where(h > 1e9, jnp.sqrt(jnp.where(bad, h * 0, 1.0)), h),
}


@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize(("plant", "direction", "primitive"), [
    ("forward", "forward", "log"), ("backward", "backward", "log"), ("where", "backward", "sqrt"),
])  # fmt: skip
def test_layer_of_a_stack_that_a_scan_walks(plant, direction, primitive, remat):
    def loss(p, x):
        def block(h, layer):
            i, w = layer
            return h + PLANTS[plant](jnp.tanh(h @ w["up"]) @ w["down"], i == 7), None

        block = jax.checkpoint(block) if remat else block
        return jnp.mean(lax.scan(block, x, (jnp.arange(LAYERS), p))[0] ** 2)

    rng = np.random.default_rng(1)
    params = {name: jnp.asarray(rng.normal(size=(LAYERS, 4, 4)) / 4, jnp.float32) for name in ("up", "down")}
    first, *_ = born(loss, params, X)
    assert (first.direction, first.primitive) == (direction, primitive)
    assert first.place.endswith("[7]")
    assert ("loss" in first.reaches) == (direction == "forward")
    assert {"up", "down"} <= set(first.reaches)


def test_before_the_first_place_of_a_layer_it_is_that_layer_still():
    def loss(p, x):
        def block(h, layer):
            i, w = layer
            return jnp.tanh(PLANTS["forward"](h, i == 2) @ w), None

        return jnp.mean(lax.scan(block, x, (jnp.arange(4), p))[0])

    first, *_ = born(loss, jnp.stack([jnp.eye(4)] * 4), X)
    assert (first.direction, first.primitive) == ("forward", "log")
    assert first.place.endswith("[2]")


def test_loops_and_branches():
    def loss(p, x):
        x = lax.fori_loop(0, 3, lambda i, h: jnp.where(i == 1, jnp.log(-jnp.abs(h)), h), x @ p["w"])
        return jnp.sum(lax.cond(jnp.sum(x) > 0, jnp.sin, jnp.cos, x))

    (birth,) = born(loss, P, X)
    assert (birth.direction, birth.primitive) == ("forward", "log")


@pytest.mark.parametrize(("params", "x", "place", "what"), [
    (P, X.at[0, 0].set(jnp.nan), "batch/0", "nan"), ({"w": P["w"].at[1, 1].set(jnp.inf)}, X, "w", "inf"),
    ({"w": P["w"] + 2}, X.at[0, 0].set(jnp.inf), "batch/0", "inf"),
])  # fmt: skip
def test_what_was_given_so(params, x, place, what):
    (birth,) = born(lambda p, x: jnp.sum((x @ p["w"]) ** 2), params, x)
    assert (birth.direction, birth.place, birth.what) == ("input", place, what)


def test_a_spoilt_weight_of_a_stack_is_that_of_its_layer():
    loss = lambda p, x: jnp.mean(lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, p["w"])[0])
    stack = jnp.stack([jnp.eye(4)] * 6).at[3, 0, 1].set(jnp.nan).at[5, 0, 0].set(jnp.inf)
    (birth,) = born(loss, {"w": stack}, X)
    assert (birth.direction, birth.place) == ("input", "w[3]") and "w" in birth.reaches


def test_keys_integers_empty_arrays_and_literals():
    def loss(p, x, key, count, nothing):
        noise = jax.random.normal(key, x.shape) * count.astype(jnp.float32)
        return jnp.sum(jnp.log((x + noise) @ p["w"] * 0)) + jnp.sum(nothing) + 2.0

    args = (X, jax.random.key(0), jnp.int32(2), jnp.zeros((0, 3)))
    first, *_ = born(loss, {**P, "count": jnp.arange(3)}, *args)
    assert (first.direction, first.primitive, first.reaches[0]) == ("forward", "log", "loss")
