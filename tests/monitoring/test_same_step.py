"""The watched step is the bare one, to the bit, in the loops that people have."""

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import gradlab as gl

X = np.random.default_rng(5).normal(size=(6, 8, 4)).astype(np.float32)
ADAM = optax.adamw(1e-2)
#: The tests compile with less care than users: then products and sums are put together as it comes.
AS_USERS_DO = {
    "xla_backend_optimization_level": 3,
    "xla_llvm_disable_expensive_passes": False,
    "xla_cpu_use_fusion_emitters": True,
}


@pytest.fixture(autouse=True)
def promotion():
    """The strangers' own."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def watched(tx, **options):
    return gl.monitored(tx, every=2, **options)


def trained(loss, params, tx):
    """Parameters after some steps, and the frame of the monitor if there is one."""

    def step(params, state, x):
        updates, state = tx.update(jax.grad(loss)(params, x), state, params)
        return optax.apply_updates(params, updates), state

    state, step = tx.init(params), jax.jit(step, donate_argnums=(0, 1), compiler_options=AS_USERS_DO)
    params = jax.tree.map(jnp.array, params)
    for x in X:
        params, state = step(params, state, x)
    return params, state


def equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def linen():
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(nn.LayerNorm()(jnp.tanh(nn.Dense(8)(x))))

    model = Model()
    return lambda params, x: jnp.mean(model.apply(params, x) ** 2), model.init(jax.random.key(0), X[0])


def haiku():
    model = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([8, 2], activation=jnp.tanh)(x)))
    return lambda params, x: jnp.mean(model.apply(params, x) ** 2), model.init(jax.random.key(0), X[0])


def equinox():
    params, static = eqx.partition(eqx.nn.MLP(4, 2, 8, 1, key=jax.random.key(0)), eqx.is_inexact_array)
    return lambda params, x: jnp.mean(jax.vmap(eqx.combine(params, static))(x) ** 2), params


def one_output():
    """Layers of many shapes, the last of which has a single number as its bias."""
    params, static = eqx.partition(eqx.nn.MLP(4, 1, 17, 2, key=jax.random.key(1)), eqx.is_inexact_array)
    return lambda params, x: jnp.mean(jax.vmap(eqx.combine(params, static))(x) ** 2), params


SGD = optax.sgd(0.1, momentum=0.9)
CHAIN = optax.chain(optax.clip_by_global_norm(0.1), ADAM)
LOOPS = {
    "linen": (linen, ADAM, watched(ADAM)),
    "haiku": (haiku, SGD, watched(SGD)),
    "equinox": (equinox, CHAIN, watched(CHAIN)),
    "clip": (linen, CHAIN, watched(ADAM, clip=optax.clip_by_global_norm(0.1))),
    "steps": (linen, optax.MultiSteps(SGD, 2), watched(optax.MultiSteps(SGD, 2))),
    "one output": (one_output, SGD, watched(SGD)),
    "steps, summed": (
        one_output,
        optax.MultiSteps(SGD, 2, use_grad_mean=False),
        watched(optax.MultiSteps(SGD, 2, use_grad_mean=False)),
    ),
    "steps, clipped": (one_output, optax.MultiSteps(CHAIN, 2), watched(optax.MultiSteps(CHAIN, 2))),
    "steps inside": (linen, optax.MultiSteps(SGD, 2), optax.MultiSteps(watched(SGD), 2)),
}


#: Longer, and only more of the same.
SLOW = {"haiku", "clip", "steps inside", "steps, summed", "steps, clipped"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in LOOPS])
def test_the_watched_step_is_the_bare_one_to_the_bit(name):
    make, bare, tx = LOOPS[name]
    loss, params = make()
    plain, _ = trained(loss, params, bare)
    found, state = trained(loss, params, tx)
    equal(plain, found)
    table = gl.frame(gl.monitor_records(state))
    assert set(table["status"]) <= {"ok", "no weight moved"} and table["step"].nunique() == (
        2 if "inside" in name else 3
    )


@pytest.mark.slow
def test_groups_of_parameters():
    loss, params = linen()
    labels = {"params": {"Dense_0": "a", "Dense_1": "b", "LayerNorm_0": "b"}}
    groups = lambda watch: optax.multi_transform({"a": watch(ADAM), "b": watch(optax.sgd(1e-2))}, labels)
    plain, _ = trained(loss, params, groups(lambda tx: tx))
    found, state = trained(loss, params, groups(watched))
    equal(plain, found)
    assert set(gl.frame(gl.monitor_records(state))["layer_name"]) == {"Dense_0", "Dense_1", "LayerNorm_0"}
    around, state = trained(loss, params, watched(groups(lambda tx: tx)))
    equal(plain, around)
    assert gl.frame(gl.monitor_records(state))["log10_update_ratio"].notna().all()


def test_an_optimiser_of_nnx():
    class Model(nnx.Module):
        def __init__(self):
            self.first, self.last = nnx.Linear(4, 8, rngs=nnx.Rngs(0)), nnx.Linear(8, 2, rngs=nnx.Rngs(1))

        def __call__(self, x):
            return self.last(jnp.tanh(self.first(x)))

    def run(tx):
        model = Model()
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

        @nnx.jit
        def step(model, optimizer, x):
            optimizer.update(model, nnx.grad(lambda model: jnp.mean(model(x) ** 2))(model))

        for x in X:
            step(model, optimizer, x)
        return nnx.state(model), optimizer

    (plain, _), (found, optimizer) = run(ADAM), run(watched(ADAM))
    equal(plain, found)
    assert list(gl.frame(gl.monitor_records(optimizer))["layer_name"]) == ["first", "last"] * 3


def test_what_a_program_has_more_does_not_grow_with_the_layers():
    """Compilers take their time for each kind of operation: reading takes as many for 12 layers as for 4."""

    def reading(layers):
        params = [{"kernel": jnp.ones((i % 3 + 4, 5)), "bias": jnp.ones(i % 3 + 4)} for i in range(layers)]
        text = jax.jit(lambda tree: gl.observe(tree, tree, tree).values).lower(params).compile().as_text()
        return text.count(" fusion("), text.count(" conditional(")

    (few, conditions), (many, other) = reading(4), reading(12)
    assert conditions == other == 1 and many <= few + 2
    _, params = linen()
    text = str(jax.make_jaxpr(watched(ADAM).update)(params, watched(ADAM).init(params), params))
    assert text.count("cond[") == 2
