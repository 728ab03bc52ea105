"""Layers, their combinators, and the backward pass as an ordinary JAX function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.activations import activation
from gradlab.core.dense import dense
from gradlab.core.gradient import materialise
from gradlab.core.layer import Part, hand_written, lift, repeat, serial
from gradlab.core.scaled import Scaled, plain, scaled

WIDTH, DEPTH = 5, 6


def block(name="tanh"):
    return serial(Part("dense", dense(WIDTH, "xavier_normal")), Part("activation", activation(name)))


def value(tree):
    return jax.tree.map(
        lambda s: s.value() if isinstance(s, Scaled) else s, tree, is_leaf=lambda s: isinstance(s, Scaled)
    )


def both_ways(layer, params, x, dy):
    """Output, input cotangent and gradients."""
    y, saved = layer.forward(params, x)
    dx, grads = layer.backward(params, saved, dy, materialise)
    return y.value(), dx.value(), grads


@pytest.mark.parametrize("name", [pytest.param("tanh", marks=pytest.mark.slow), "relu"])
def test_repeat_equals_serial_of_the_same_parameters(name, x64):
    one = repeat(block(name), DEPTH, start=2)
    many = serial(*(Part(str(i), block(name), i) for i in range(2, 2 + DEPTH)))
    key, x = jax.random.key(0), scaled(jax.random.normal(jax.random.key(1), (4, WIDTH)))
    stacked, shape = one.init(key, (WIDTH,))
    params = tuple(p for *_, p in one.parts(stacked))
    assert shape == (WIDTH,)
    # a loop is compiled, single draws are not: their last bit may differ
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(many.init(key, (WIDTH,))[0]), strict=True):
        assert np.max(np.abs(a - b)) <= 1e-15
    dy = scaled(jax.random.normal(jax.random.key(2), (4, WIDTH)))
    y, dx, grads = both_ways(one, stacked, x, dy)
    y2, dx2, grads2 = both_ways(many, params, x, dy)
    assert np.max(np.abs(y - y2)) <= 1e-15
    assert np.max(np.abs(dx - dx2)) <= 1e-15 * np.max(np.abs(dx2))
    for a, b in zip([p for *_, p in one.parts(grads)], grads2, strict=True):
        for key_ in ("weight", "bias"):
            assert np.max(np.abs(a[0][key_] - b[0][key_])) <= 1e-15 * np.max(np.abs(b[0][key_]))


def test_a_cotangent_that_enters_below_equals_the_shallower_network(x64):
    """One program with a traced depth, beside the network of that depth."""
    deep = repeat(block(), DEPTH)
    params, _ = deep.init(jax.random.key(0), (WIDTH,))
    x, dy = (scaled(jax.random.normal(jax.random.key(k), (4, WIDTH))) for k in (1, 2))
    _, saved = deep.forward(params, x)
    program = jax.jit(lambda d: deep.first(d).backward(params, saved, dy, materialise))
    for d in (1, 4, DEPTH):
        dx, grads = program(d)
        short = jax.tree.map(lambda v: v[:d], params)  # noqa: B023
        _, want, reference = both_ways(repeat(block(), d), short, x, dy)
        assert np.max(np.abs(dx.value() - want)) <= 1e-15 * np.max(np.abs(want))
        for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(reference), strict=True):
            assert np.max(np.abs(a[:d] - b)) <= 1e-15 * np.max(np.abs(b))
            assert not np.any(a[d:])


@pytest.fixture(scope="module")
def net():
    n = gl.MLP(depth=3, width=4, activation="gelu")
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    params = jax.tree.map(lambda v: v.astype(x.dtype), n.init_params(0, x, outputs=2))
    return n, params, jnp.asarray(x)


def test_the_backward_pass_stands_in_the_jaxpr_as_a_custom_rule(net):
    n, params, x = net
    f = hand_written(n.layer(2))
    assert "custom_vjp" in str(jax.make_jaxpr(f)(params, x))
    plain_apply = str(jax.make_jaxpr(n.apply)(params, x))
    assert "custom_vjp" not in plain_apply


def test_it_can_be_differentiated_jitted_and_vmapped(net):
    n, params, x = net
    f = hand_written(n.layer(2))
    loss = lambda f: lambda p, x: jnp.sum(jnp.sin(f(p, x)))
    ours = jax.jit(jax.grad(loss(f), (0, 1)))(params, x)
    theirs = jax.jit(jax.grad(loss(n.apply), (0, 1)))(params, x)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.max(np.abs(a - b)) <= 1e-5 * np.max(np.abs(b))
    xs = jnp.stack([x, 2 * x])
    many = jax.jit(jax.vmap(jax.grad(loss(f)), (None, 0)))(params, xs)
    for a, b in zip(jax.tree.leaves(many), jax.tree.leaves(ours[0]), strict=True):
        assert np.max(np.abs(a[0] - b)) <= 1e-5 * np.max(np.abs(b))


@pytest.mark.slow
def test_a_layer_of_ones_own_in_a_network(x64):
    """A lifted layer takes cotangents whose examples have exponents of their own."""
    square = lift(
        lambda key, shape: ({"scale": jnp.ones(shape)}, shape),
        lambda p, x: (p["scale"] * x * x, x),
        lambda p, x, dy: (2 * p["scale"] * x * dy, {"scale": jnp.sum(x * x * dy, 0)}),
    )
    x = np.random.default_rng(1).normal(size=(6, 3))
    assert gl.check(square, x, quiet=True).ok
    assert gl.check(serial(dense(4), square, dense(2)), x, np.arange(6) % 2, quiet=True).ok


def test_paths_name_the_parts():
    seen = []
    layer = serial(Part("body", block()), Part("head", dense(2)))
    params, _ = layer.init(jax.random.key(0), (WIDTH,))
    y, saved = layer.forward(params, plain(jnp.ones((1, WIDTH))))
    layer.backward(params, saved, plain(y.mantissa), lambda site: seen.append((site.kind, site.path)))
    assert seen == [("dense", ("head",)), ("activation", ("body", "activation")), ("dense", ("body", "dense"))]
