"""Arrays computed once more: the same numbers, from what is in memory anyway, without a product done twice."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.extend.core import Primitive

import gradlab as gl
from gradlab.monitoring import blocks
from gradlab.monitoring.replay import BY_ENTRY, repeatable

RNG = np.random.default_rng()
pytestmark = pytest.mark.usefixtures("promotion")


@pytest.fixture
def promotion():
    """optax multiplies integers by floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def draw(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def step_of(tx):
    """The update as `recorded` takes it, and its arguments in the middle of a run."""
    params = {"kernel": draw(5, 3), "bias": draw(3)}
    state = tx.init(params)
    for _ in range(2):
        _, state = tx.update(jax.tree.map(lambda p: draw(*p.shape), params), state, params)
    return tx.update, (jax.tree.map(lambda p: draw(*p.shape), params), state, params)


OPTIMISERS = {
    "adam": optax.adam(1e-2),
    "adamw, clipped": optax.chain(optax.clip_by_global_norm(0.1), optax.adamw(1e-2)),
    "nesterov": optax.sgd(1e-2, momentum=0.9, nesterov=True),
    "by value": optax.chain(optax.clip(0.1), optax.rmsprop(1e-2)),
    "half": optax.adam(1e-2, mu_dtype=jnp.bfloat16),
    "factored": optax.adafactor(1e-2, min_dim_size_to_factor=2),
    "mini-steps": optax.MultiSteps(optax.adam(1e-2), 3),
    "noise": optax.chain(optax.add_noise(1.0, 0.5, 0), optax.sgd(1e-2)),
    "orthogonal": optax.contrib.muon(1e-2),
    "none": optax.set_to_zero(),
    "as it came": optax.identity(),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("adam", "as it came", "none") else pytest.mark.slow)
        for name in OPTIMISERS
    ],
)
def test_what_is_computed_again_is_what_was_returned(name):
    update, args = step_of(OPTIMISERS[name])
    wanted = update(*args)
    state, again = repeatable(update, *args)
    updates = again()
    assert jax.tree.structure((updates, state)) == jax.tree.structure(wanted)
    for found, other in zip(jax.tree.leaves((updates, state)), jax.tree.leaves(wanted), strict=True):
        if jnp.issubdtype(found.dtype, jax.dtypes.prng_key):
            found, other = jax.random.key_data(found), jax.random.key_data(other)
        # the same operations one by one
        np.testing.assert_allclose(found, other, rtol=1e-5, atol=1e-7)
    for found, other in zip(jax.tree.leaves(updates), jax.tree.leaves(again(jnp.asarray(True))), strict=True):
        assert (found.shape, found.dtype) == (other.shape, other.dtype)
        np.testing.assert_array_equal(other, found)


def operands(again):
    """What is computed again starts from these."""
    return jax.make_jaxpr(again)().consts


def test_it_starts_from_the_new_state():
    update, args = step_of(optax.adam(1e-2))
    state, again = repeatable(update, *args)
    new = list(map(id, jax.tree.leaves(state)))
    found = operands(again)
    assert len(found) == 5 and all(id(operand) in new for operand in found)


def test_what_is_never_skipped_is_no_condition():
    update, args = step_of(optax.MultiSteps(optax.sgd(1e-2), 3))
    assert "cond[" in str(jax.make_jaxpr(update)(*args))
    assert "cond[" not in str(jax.make_jaxpr(lambda *args: repeatable(update, *args)[1]())(*args))
    skips = optax.MultiSteps(optax.sgd(1e-2), 3, should_skip_update_fn=optax.skip_not_finite)
    update, args = step_of(skips)
    assert "cond[" in str(jax.make_jaxpr(lambda *args: repeatable(update, *args)[1]())(*args))


def test_what_comes_first_stands_between_no_product_and_its_sum():
    """A new weight is a number and a product, which round once or twice as they are compiled together or not."""
    update, args = step_of(optax.adamw(1e-2))
    _, again = repeatable(update, *args)
    names = [equation.primitive.name for equation in jax.make_jaxpr(again)(jnp.asarray(True)).eqns]
    # of two arrays: bits, or, bits, and the learning rate
    assert names.count("or") == names.count("mul") == 2 and names[-1] == "mul"
    text = str(jax.make_jaxpr(again)(jnp.asarray(True)))
    assert "select_n" not in text and "add" not in text


def test_products_sums_and_loops_are_not_repeated():
    def function(a, b):
        product = a @ b
        looped = jax.lax.fori_loop(0, 3, lambda _, x: jnp.sin(x), product)
        return [jnp.where(a > 0, 2 * a, a) * jnp.sum(b) + product + looped], [product]

    a, b = draw(4, 4), draw(4, 4)
    (product,), again = repeatable(function, a, b)
    np.testing.assert_array_equal(again()[0], function(a, b)[0][0])
    text = str(jax.make_jaxpr(again)())
    assert not any(name in text for name in ("dot_general", "reduce_sum", "while", "scan")) and "select_n" in text
    assert {id(a), id(product)} < set(map(id, operands(again))) and len(operands(again)) == 4


def test_every_operation_by_entry_is_one_that_jax_has():
    homes = (jax.lax, jax.extend.core.primitives)
    known = {value.name for home in homes for value in vars(home).values() if isinstance(value, Primitive)}
    assert known >= BY_ENTRY


def compiled(tx, layers=3):
    """A jitted step of a small network, with parameters and state donated as users donate them."""
    params = [draw(256, 256) for _ in range(layers)]

    def loss(params, x):
        for p in params:
            x = jnp.tanh(x @ p)
        return jnp.sum(x**2)

    def step(params, state, x):
        updates, state = tx.update(jax.grad(loss)(params, x), state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(step, donate_argnums=(0, 1)).lower(params, tx.init(params), draw(4, 256)).compile()


def test_no_weight_is_copied_so_that_it_can_be_read():
    """New weights go where the old ones lie, so these must be read before: else each step copies all of them."""
    text = compiled(gl.monitored(optax.adam(1e-3), every=10)).as_text()
    assert " conditional(" in text and not re.findall(r"= f32\[256,256\]\S* copy\(", text)


def test_the_monitor_needs_memory_for_what_is_read_at_once(monkeypatch):
    memory = lambda tx: compiled(tx).memory_analysis().temp_size_in_bytes

    # what is small beside a model is copied to be read, as often as it takes: it has a bound, and no more is kept
    monkeypatch.setattr(blocks, "TOGETHER", 0)
    # the gradients wait to be read, and the old weights; the updates are computed again, and which of them moved a
    # weight; what is not finite is marked in all three trees
    allowed = 6.25 * 3 * 256 * 256 * 4
    assert memory(gl.monitored(optax.adam(1e-3))) <= memory(optax.adam(1e-3)) + allowed
