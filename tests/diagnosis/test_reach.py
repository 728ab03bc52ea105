"""Which parameters the loss depends on, and by which it has a derivative."""

import jax
import jax.numpy as jnp
import pytest

from gradlab.diagnosis.jaxprs import own_rules
from gradlab.diagnosis.reach import states_of


def _chosen(w, x):
    return jnp.sum(x[jnp.argmax(x @ w)] ** 2)


LOSSES = {
    "used": lambda w, x: jnp.sum(x @ w),
    "frozen": lambda w, x: jnp.sum(x @ jax.lax.stop_gradient(w)) + jnp.sum(x),
    "cut": lambda w, x: jnp.sum(jnp.round(x @ w)),
    "disconnected": lambda w, x: jnp.sum(x),
}
MORE = [
    ("cut", _chosen),
    ("cut", lambda w, x: jnp.sum(jnp.where(x @ w > 0, 1.0, 2.0))),
    ("cut", lambda w, x: jnp.sum(jax.lax.stop_gradient(jnp.round(x @ w)))),
    ("used", lambda w, x: jnp.sum(jnp.round(x @ w) + x @ w)),
    ("used", lambda w, x: (z := x @ w, jnp.sum(z + jax.lax.stop_gradient(jnp.round(z) - z)))[1]),
    ("frozen", lambda w, x: jax.lax.scan(lambda c, u: (c + u @ jax.lax.stop_gradient(w), None), x[0, 0], x)[0]),
    ("cut", lambda w, x: jax.jit(lambda z: jnp.sum(jnp.floor(z)))(x @ w)),
]


def test_backward_rules_that_were_written_by_hand():
    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (3 * x**2 * g,))
    step = lambda c, u: (cube(jax.nn.relu(c + u)), None)
    loss = lambda w, x: jnp.sum(jax.nn.softmax(jax.lax.scan(step, w, x)[0]))
    assert own_rules(jax.make_jaxpr(loss)(jnp.ones(3), jnp.ones((4, 3)))) == ("cube",)
    assert own_rules(jax.make_jaxpr(LOSSES["used"])(jnp.ones(3), jnp.ones((4, 3)))) == ()


@pytest.mark.parametrize(("state", "loss"), [*LOSSES.items(), *MORE])
def test_states(state, loss):
    program = jax.make_jaxpr(loss)(jnp.ones(3), jnp.ones((4, 3)))
    assert states_of(program, 1, [True]) == (state,)
