"""The monitor's state in checkpoints: saved with and without it, restored with and without a template."""

import equinox as eqx
import flax.serialization as flax_serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pandas as pd
import pytest
from flax import nnx

import gradlab as gl
from gradlab._errors import GradlabError

ADAM = optax.adam(1e-2)


@pytest.fixture(autouse=True)
def promotion():
    """The strangers' own."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def model(*names, width=3):
    rng = np.random.default_rng(3)
    return {name: {"kernel": jnp.asarray(rng.normal(size=(width, width)), jnp.float32)} for name in names}


def steps(tx, params, state, count=2):
    for _ in range(count):
        _, state = jax.jit(tx.update)(params, state, params)
    return state


def saved(folder, tree):
    """The tree through orbax, without a template."""
    with ocp.StandardCheckpointer() as saver:
        saver.save(folder, tree)
        saver.wait_until_finished()
        return saver.restore(folder)


def same(a, b):
    pd.testing.assert_frame_equal(a.astype({"network": str}), b.astype({"network": str}))


def test_flax_saves_the_state_and_restores_it_with_and_without_a_template():
    params, tx = model("stem", "body"), gl.monitored(ADAM)
    state = steps(tx, params, tx.init(params))
    data = flax_serialization.to_bytes(state)
    for back in (flax_serialization.from_bytes(tx.init(params), data), flax_serialization.msgpack_restore(data)):
        same(gl.frame(gl.monitor_records(back)), gl.frame(gl.monitor_records(state)))
        onward = steps(tx, params, tx.adopt(back, params), 1)
        assert gl.frame(gl.monitor_records(onward))["step"].unique().tolist() == [0, 1, 2]


@pytest.mark.slow
def test_orbax_restores_without_a_template_with_and_without_a_monitor(tmp_path):
    params, tx = model("stem", "body"), gl.monitored(ADAM)
    state = steps(tx, params, tx.init(params))
    back = saved(tmp_path / "with", state)
    same(gl.frame(gl.monitor_records(back)), gl.frame(gl.monitor_records(state)))
    same(gl.frame(gl.monitor_records(tx.adopt(back, params))), gl.frame(gl.monitor_records(state)))
    bare = tx.adopt(back, params).inner_state  # a run that goes on without
    assert jax.tree.structure(bare) == jax.tree.structure(ADAM.init(params))
    adopted = tx.adopt(saved(tmp_path / "without", ADAM.init(params)), params)
    assert jax.tree.structure(adopted) == jax.tree.structure(state)
    assert len(gl.frame(gl.monitor_records(steps(tx, params, adopted)))) == 4


@pytest.mark.slow
def test_a_monitor_is_found_in_an_optimiser_of_nnx_and_in_its_state(tmp_path):
    net = nnx.List([nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Linear(3, 1, rngs=nnx.Rngs(1))])
    optimizer = nnx.Optimizer(net, gl.monitored(ADAM), wrt=nnx.Param)

    @nnx.jit
    def step(net, optimizer, x):
        grads = nnx.grad(lambda net: jnp.mean(net[1](jnp.tanh(net[0](x))) ** 2))(net)
        optimizer.update(net, grads)

    for _ in range(2):
        step(net, optimizer, jnp.ones((4, 2)))
    table = gl.frame(gl.monitor_records(optimizer))
    assert list(table["layer_name"]) == ["0", "1"] * 2 and table["log10_update_ratio"].notna().all()
    state = nnx.state(optimizer)
    same(gl.frame(gl.monitor_records(state)), table)
    same(gl.frame(gl.monitor_records(saved(tmp_path / "state", nnx.to_pure_dict(state)))), table)


def test_a_monitor_is_found_beside_a_module_of_equinox(tmp_path):
    net, tx = eqx.nn.MLP(2, 1, 3, 1, key=jax.random.key(0)), gl.monitored(ADAM)
    params = eqx.filter(net, eqx.is_inexact_array)
    state = steps(tx, params, tx.init(params))
    eqx.tree_serialise_leaves(tmp_path / "state.eqx", state)
    back = eqx.tree_deserialise_leaves(tmp_path / "state.eqx", tx.init(params))
    same(gl.frame(gl.monitor_records((net, back))), gl.frame(gl.monitor_records(state)))
    assert list(gl.frame(gl.monitor_records(back))["layer_name"].unique()) == ["layers/0", "layers/1"]


@pytest.mark.parametrize(
    ("other", "options"),
    [(("stem", "tail"), {}), (("stem", "body", "head"), {}), (("stem", "body"), {"order": "stem"})],
    ids=["names", "more", "order"],
)
def test_records_of_other_layers_or_of_another_order_are_refused(other, options):
    params, tx = model("stem", "body"), gl.monitored(optax.sgd(0.1))
    state = steps(tx, params, tx.init(params))
    mine, theirs = gl.monitored(optax.sgd(0.1), **options), model(*other)
    with pytest.raises(GradlabError, match=r"a monitor of the layers .*; received one of body, stem"):
        mine.adopt(state, theirs)
    with pytest.raises(GradlabError, match=r"a monitor of the layers .*; received one of body, stem"):
        mine.update(theirs, state, theirs)
    labels = mine.init(theirs).labels
    if labels.shape != state.labels.shape:
        with pytest.raises(GradlabError, match=r"a monitor of the layers .*; received a state of others"):
            jax.jit(mine.update)(theirs, state, theirs)
    else:  # known only when the step runs: nothing stands under another's name, and the table says why
        _, mixed = jax.jit(mine.update)(theirs, state, theirs)
        with pytest.raises(GradlabError, match="a monitor of the layers body, stem; received a state of others"):
            gl.frame(gl.monitor_records(mixed))


def test_adopting_what_does_not_fit_is_one_short_message():
    params = {f"dense_{i}": {"kernel": jnp.ones((2, 2))} for i in range(40)}
    with pytest.raises(GradlabError) as told:
        gl.monitored(ADAM).adopt(optax.sgd(0.1).init(params), params)
    assert str(told.value) == (
        "expected a state that has 0/count; received nothing in 0; "
        "try the transformation and the parameters that the checkpoint was made with"
    )
