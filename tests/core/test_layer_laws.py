"""The laws that every kind of layer obeys, on the one table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.gradient import materialise
from gradlab.core.initializers import default_dtype
from gradlab.core.layer import hand_written, tangent
from gradlab.core.scaled import Scaled, plain, scaled
from tests.layers import FEW, KINDS

#: max|difference| / max|gradient|: a few hundred roundings in float64.
TOLERANCE = 1e-12
#: Inputs are scaled by powers of two far outside the range of a float; only the cotangent's need pass unchanged.
POWER = 3000


def drawn(kind, batch=3, seed=0):
    """Parameters moved off their initial values (a bias of 0 or a gain of 1 hides mistakes), and an input."""
    params, _ = kind.layer.init(jax.random.key(seed), kind.shape)
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda v: v + jnp.asarray(0.3 * rng.normal(size=v.shape), v.dtype), params)
    return params, jnp.asarray(rng.normal(size=(batch, *kind.shape)))


def forward(kind):
    """The plain forward pass."""
    return lambda params, x: kind.layer.forward(params, plain(x))[0].value()


def close(ours, theirs, tolerance=TOLERANCE):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.shape == b.shape
        assert np.max(np.abs(a - b), initial=0) <= tolerance * max(np.max(np.abs(b), initial=0), 1e-300)


def everything(kind):
    return pytest.mark.parametrize("kind", kind, ids=str)


#: Every kind, but the most of them among the slow tests.
MANY = [k if k.name in FEW else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]


#: Kinds that are an edge of another one: among the slow tests where each law is tried on all kinds.
EDGES = ("one", "at positions", "all steps", "with strides", "of the inside", "learned", "behind copies", "causal")


@everything([pytest.param(k, marks=pytest.mark.slow) if any(e in k.name for e in EDGES) else k for k in KINDS])
@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_backward_equals_the_autodiff_twin(kind, batch, x64):
    if batch == 1 and kind.interacts:
        pytest.skip("asks for two examples, which a test of its own shows")
    params, x = drawn(kind, batch)
    dy = jnp.asarray(np.random.default_rng(9).normal(size=jax.eval_shape(forward(kind), params, x).shape))

    @jax.jit  # one compilation costs less than hundreds of small ones
    def both(params, x, dy):
        _, saved = kind.layer.forward(params, scaled(x, x.ndim - 1))
        dx, grads = kind.layer.backward(params, saved, scaled(dy, dy.ndim - 1), materialise)
        return (grads, dx.value()), jax.vjp(forward(kind), params, x)[1](dy)

    ours, theirs = both(params, x, dy)
    # a combinator's record is a tree of its layers' records, the same as its parameters' tree
    close(ours[0], theirs[0])
    close(ours[1], theirs[1])


@everything(MANY)
def test_forward_is_the_same_with_and_without_exponents(kind, x64):
    params, x = drawn(kind)
    y = jax.jit(lambda params, x: kind.layer.forward(params, scaled(x, x.ndim - 1))[0].value())(params, x)
    close(y, jax.jit(forward(kind))(params, x))


@everything(MANY)
def test_cotangents_far_outside_the_range_of_a_float(kind, x64):
    """The backward pass is linear: each example's own power of two comes out as it went in."""
    params, x = drawn(kind)
    y, saved = jax.jit(kind.layer.forward)(params, scaled(x, x.ndim - 1))
    dy = scaled(jnp.asarray(np.random.default_rng(9).normal(size=y.mantissa.shape)), y.mantissa.ndim - 1)
    backward = jax.jit(lambda dy: kind.layer.backward(params, saved, dy, lambda site: None)[0])
    near = backward(dy)
    powers = POWER * jnp.asarray([1, 1, 1] if kind.interacts else [1, 2, 3], jnp.int32)
    far = backward(Scaled(dy.mantissa, dy.exponent - powers))
    close(Scaled(far.mantissa, far.exponent + powers).value(), near.value())


@everything(MANY)
def test_the_tangent_is_the_forward_derivative(kind, x64):
    """The transpose of the hand-written backward pass, beside the forward mode of autodiff."""
    params, x = drawn(kind)
    dx = jnp.asarray(np.random.default_rng(9).normal(size=x.shape))
    _, theirs = jax.jit(lambda x, dx: jax.jvp(lambda x: forward(kind)(params, x), (x,), (dx,)))(x, dx)
    _, saved = jax.jit(kind.layer.forward)(params, scaled(x, x.ndim - 1))
    powers = POWER * jnp.asarray([1, 1, 1] if kind.interacts else [1, -2, 3], jnp.int32)
    far = scaled(dx, dx.ndim - 1)
    along = jax.jit(lambda dx: tangent(kind.layer, params, saved, dx))
    far = along(Scaled(far.mantissa, far.exponent - powers))
    close(Scaled(far.mantissa, far.exponent + powers).value(), theirs)


@pytest.mark.slow
@everything(KINDS)
def test_check_passes(kind, x64):
    params, x = drawn(kind)
    assert gl.check(kind.layer, np.asarray(x), params=params, quiet=True).ok


@everything([k if k.name in FEW[:2] else pytest.param(k, marks=pytest.mark.slow) for k in KINDS])
def test_hand_written_is_in_the_jaxpr_and_can_be_jitted_and_vmapped(kind):
    f = hand_written(kind.layer)
    params, x = drawn(kind)
    x = x.astype(default_dtype())
    assert "custom_vjp" in str(jax.make_jaxpr(f)(params, x))
    loss = lambda f: lambda p, x: jnp.sum(jnp.sin(f(p, x)))
    gradient = jax.jit(jax.grad(loss(f), (0, 1)))
    ours = gradient(params, x)
    theirs = jax.jit(jax.grad(loss(forward(kind)), (0, 1)))(params, x)
    close(ours, theirs, 1e-4)
    keys = jax.random.split(jax.random.key(1), 2)
    seeds = jax.vmap(lambda k: kind.layer.init(k, kind.shape)[0])(keys)
    xs = jnp.stack([x, 2 * x])
    many = jax.jit(jax.vmap(jax.grad(loss(f), (0, 1))))(seeds, xs)
    for i, key in enumerate(keys):
        alone = gradient(kind.layer.init(key, kind.shape)[0], xs[i])
        close(jax.tree.map(lambda v: v[i], many), alone, 1e-4)  # noqa: B023
