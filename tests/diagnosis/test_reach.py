"""Which parameters the loss depends on, and by which it has a derivative."""

import jax
import jax.numpy as jnp
import pytest

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


@pytest.mark.parametrize(("state", "loss"), [*LOSSES.items(), *MORE])
def test_states(state, loss):
    program = jax.make_jaxpr(loss)(jnp.ones(3), jnp.ones((4, 3)))
    assert states_of(program, 1, [True]) == (state,)
