"""The monitor in other people's loops: it changes nothing, its state keeps its shape, and its numbers are NumPy's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.measurement.bins import BINS, EDGES

RNG = np.random.default_rng()
#: log10 of a norm of at most 12 entries in float32, below 64 in size
TOLERANCE = 16 * 2.0**-24 / np.log(10) + 4e-6


@pytest.fixture
def promotion():
    """optax multiplies integers by floats; the monitor does not, and the other tests hold it to that."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def model():
    draw = lambda *shape: jnp.asarray(RNG.normal(size=shape), jnp.float32)
    return {"dense_1": {"kernel": draw(4, 3), "bias": draw(3)}, "dense_2": {"kernel": draw(3, 2)}}


def loss(params, x):
    hidden = jnp.tanh(x @ params["dense_1"]["kernel"] + params["dense_1"]["bias"])
    return jnp.sum((hidden @ params["dense_2"]["kernel"]) ** 2)


def batches(steps):
    return jnp.asarray(RNG.normal(size=(steps, 5, 4)), jnp.float32)


def train(tx, params, xs, state=None):
    """A loop under `scan`: what came in, what came out, and the weights before each step."""

    def step(carry, x):
        params, state = carry
        grads = jax.grad(loss)(params, x)
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), (grads, updates, params)

    state = tx.init(params) if state is None else state
    (params, state), seen = jax.jit(lambda c: jax.lax.scan(step, c, xs))((params, state))
    return params, state, seen


def norms(tree, layer, leaf="kernel"):
    return np.log10([np.linalg.norm(v) for v in np.asarray(tree[layer][leaf], float)])


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.usefixtures("promotion")
def test_it_changes_nothing_and_says_what_passed():
    params, xs = model(), batches(6)
    bare, bare_state, (grads, updates, before) = train(optax.adam(1e-2), params, xs)
    watched, state, _ = train(gl.monitored(optax.adam(1e-2)), params, xs)
    for a, b in zip(jax.tree.leaves((bare, bare_state)), jax.tree.leaves((watched, state.inner_state)), strict=True):
        # the same formulas in another program: a rounding each step
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    table = gl.frame(gl.monitor_records(state))
    assert len(table) == 12 and table["step"].tolist() == [s for s in range(6) for _ in "ab"]
    for number, layer in enumerate(params, 1):
        rows = table[table["layer"] == number]
        assert set(rows["layer_name"]) == {layer}
        weight = norms(before, layer)
        for column, wanted in (
            ("log10_weight_grad_norm", norms(grads, layer)),
            ("log10_weight_update_norm", norms(updates, layer)),
            ("log10_update_ratio", norms(updates, layer) - weight),
            ("weight_norm", 10**weight),
        ):
            # two programs' gradients agree to a few roundings
            np.testing.assert_allclose(rows[column], wanted, atol=2 * TOLERANCE + 1e-5, rtol=1e-5, err_msg=column)
        if layer == "dense_1":
            np.testing.assert_allclose(rows["log10_bias_grad_norm"], norms(grads, layer, "bias"), atol=1e-4)
    assert table.loc[table["layer"] == 2, "log10_bias_grad_norm"].isna().all() and set(table["status"]) == {"ok"}


@pytest.mark.usefixtures("promotion")
def test_the_state_has_its_shape_from_step_zero_and_nobody_is_called_back():
    params, x = model(), batches(1)[0]
    tx = gl.monitored(optax.adam(1e-2), every=3, histograms=True, clip=optax.clip(1.0))
    state = tx.init(params)
    step = lambda params, state: tx.update(jax.grad(loss)(params, x), state, params)
    about = lambda tree: (jax.tree.structure(tree), [(v.shape, v.dtype) for v in jax.tree.leaves(tree)])
    assert about(jax.eval_shape(step, params, state)[1]) == about(state)
    text = str(jax.make_jaxpr(step)(params, state))
    assert "callback" not in text and "cond" in text


def test_every_k_steps_into_a_ring():
    params, xs = model(), batches(17)
    _, state, (grads, *_) = train(gl.monitored(optax.sgd(1e-3), every=2, keep=4), params, xs)
    table = gl.frame(gl.monitor_records(state))
    assert sorted(table["step"].unique()) == [10, 12, 14, 16] and int(state.seen) == 17
    rows = table[table["layer"] == 1]
    np.testing.assert_allclose(
        rows["log10_weight_grad_norm"], norms(grads, "dense_1")[[10, 12, 14, 16]], atol=2 * TOLERANCE + 1e-5
    )
    assert state.ring["values"].shape[::2] == (4, 3) and state.ring["step"].shape == (4,)


def test_layers_that_share_an_array():
    weights = jnp.asarray(RNG.normal(size=(3, 4, 4)), jnp.float32)
    params = {"blocks": {"w": weights}}
    tx = gl.monitored(optax.sgd(0.5), every=2, stacked="blocks")
    state = tx.init(params)
    for scale in (1.0, 1e-3, 1e-25):  # the second is not read
        _, state = jax.jit(tx.update)(jax.tree.map(lambda w, by=scale: w * by, params), state, params)
    table = gl.frame(gl.monitor_records(state))
    wanted = np.add.outer([0, -25], norms({"w": {"w": weights}}, "w", "w")).ravel()
    assert list(table["layer_name"]) == ["blocks/0", "blocks/1", "blocks/2"] * 2
    np.testing.assert_allclose(table["log10_weight_grad_norm"], wanted, atol=2 * TOLERANCE)
    np.testing.assert_allclose(table["log10_weight_update_norm"], wanted + np.log10(0.5), atol=2 * TOLERANCE)


def test_before_and_after_clipping_have_names_of_their_own():
    params, xs = model(), batches(4)
    clip, inner = optax.clip_by_global_norm(1e-3), optax.sgd(0.5)
    chained, bare_state, (grads, *_) = train(optax.chain(clip, inner), params, xs)
    watched, state, _ = train(gl.monitored(inner, clip=clip), params, xs)
    assert jax.tree.structure(state.inner_state) == jax.tree.structure(bare_state)
    for a, b in zip(jax.tree.leaves(chained), jax.tree.leaves(watched), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    table = gl.frame(gl.monitor_records(state))
    rows = table[table["layer"] == 1]
    np.testing.assert_allclose(rows["log10_weight_grad_norm"], norms(grads, "dense_1"), atol=1e-4)
    half = np.log10(0.5)  # the update is the clipped gradient times the learning rate
    np.testing.assert_allclose(
        rows["log10_clipped_weight_grad_norm"] + half, rows["log10_weight_update_norm"], atol=2 * TOLERANCE
    )
    together = 10 ** (2 * table[["log10_clipped_weight_grad_norm", "log10_clipped_bias_grad_norm"]])
    total = np.sqrt(together.sum(axis=1).groupby(table["step"]).sum())
    np.testing.assert_allclose(total, 1e-3, rtol=1e-4)
    assert (rows["log10_weight_grad_norm"] > -3).all()  # nothing was clipped there


def test_a_wrapper_sees_what_links_of_a_chain_do_not():
    params, xs = model(), batches(2)
    head = gl.monitored(optax.identity())
    tail = gl.monitored(optax.identity(), order=["dense_2", "dense_1"])
    state = train(optax.chain(head, optax.sgd(0.5), tail), params, xs)[1]
    first, last = gl.frame(gl.monitor_records(state[0])), gl.frame(gl.monitor_records(state[2]))
    # at the head both columns are the gradient, at the end both are the update
    np.testing.assert_array_equal(first["log10_weight_grad_norm"], first["log10_weight_update_norm"])
    np.testing.assert_array_equal(last["log10_weight_grad_norm"], last["log10_weight_update_norm"])
    by_name = lambda table: table.astype({"layer_name": str}).sort_values(["step", "layer_name"])
    at = lambda table: by_name(table)["log10_weight_grad_norm"].to_numpy()
    np.testing.assert_allclose(at(first) + np.log10(0.5), at(last), atol=2 * TOLERANCE)
    assert list(last["layer_name"][:2]) == ["dense_2", "dense_1"]


@pytest.mark.usefixtures("promotion")
@pytest.mark.parametrize("outside", [False, True])
def test_gradients_that_are_accumulated(outside):
    params, xs = model(), batches(6)
    sgd = optax.sgd(1e-3)
    tx = gl.monitored(optax.MultiSteps(sgd, 2)) if outside else optax.MultiSteps(gl.monitored(sgd), 2)
    bare, _, (grads, *_) = train(optax.MultiSteps(sgd, 2), params, xs)
    watched, state, _ = train(tx, params, xs)
    for a, b in zip(jax.tree.leaves(bare), jax.tree.leaves(watched), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    table = gl.frame(gl.monitor_records(state))
    rows = table[table["layer"] == 1]
    if outside:  # every mini-step; the updates of all but the last are truly zero, and are not dropped
        assert rows["step"].tolist() == list(range(6))
        assert np.isneginf(rows["log10_weight_update_norm"]).tolist() == [True, False] * 3
    else:  # the mean gradient of each pair
        means = np.asarray(grads["dense_1"]["kernel"]).reshape(3, 2, 4, 3).mean(1)
        assert rows["step"].tolist() == [0, 1, 2]
        np.testing.assert_allclose(rows["log10_weight_grad_norm"], norms({"m": {"kernel": means}}, "m"), atol=1e-4)


@pytest.mark.slow
def test_seeds_under_vmap():
    params = jax.tree.map(lambda v: jnp.stack([v, 2 * v, v]), model())
    tx = gl.monitored(optax.sgd(1e-3), keep=2)
    xs = batches(3)
    many = jax.vmap(lambda p: train(tx, p, xs)[1])(params)
    table = gl.frame(gl.monitor_records(many))
    assert table["seed"].tolist() == [s for s in range(3) for _ in range(4)]
    same(*(table[table["seed"] == s].drop(columns="seed").reset_index(drop=True).to_dict("list") for s in (0, 2)))
    assert table["step"].tolist() == [1, 1, 2, 2] * 3


@pytest.mark.slow
@pytest.mark.usefixtures("promotion")
def test_a_checkpoint_that_knows_no_monitor_restores_under_it(tmp_path):
    params, xs = model(), batches(6)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))
    halfway, old, _ = train(tx, params, xs[:3])
    # a plain file of arrays, as any checkpoint is
    np.savez(tmp_path / "old.npz", *jax.tree.leaves(old))
    with np.load(tmp_path / "old.npz") as file:
        restored = jax.tree.unflatten(jax.tree.structure(old), [jnp.asarray(file[name]) for name in file.files])
    watched = gl.monitored(tx)
    for run, state in (
        (watched, watched.adopt(restored, halfway)),
        (split := gl.monitored(optax.adam(1e-2), clip=optax.clip_by_global_norm(1.0)), split.adopt(old, halfway)),
    ):
        end, state, _ = train(run, halfway, xs[3:], state)
        for a, b in zip(jax.tree.leaves(end), jax.tree.leaves(train(tx, halfway, xs[3:], old)[0]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        assert gl.frame(gl.monitor_records(state))["step"].unique().tolist() == [0, 1, 2]
        # and back: what the monitor holds is the state of the bare transformation
        assert jax.tree.structure(state.inner_state) == jax.tree.structure(old)
    with pytest.raises(GradlabError, match="a state that has 1/0; received nothing in 1"):
        watched.adopt(optax.sgd(0.1).init(params), params)
    with pytest.raises(GradlabError, match="a state that has 1/0/mu/dense_1; received bias, kernel in 1/0/mu"):
        watched.adopt(tx.init(params["dense_1"]), params)


@pytest.mark.slow
def test_histograms_count_every_entry_once():
    params = model()
    tx = gl.monitored(optax.sgd(1e-3), histograms=True, keep=2)
    state = tx.init(params)
    grads = jax.tree.map(lambda v: 1e-25 * v, params)
    grads["dense_2"]["kernel"] = grads["dense_2"]["kernel"].at[0].set(0)
    _, state = tx.update(grads, state, params)
    _, state = tx.update(jax.tree.map(lambda v: v * jnp.nan, grads), state, params)
    table = gl.frame(gl.monitor_records(state, histograms=True))
    assert list(table.columns[:4]) == ["signal", "seed", "step", "layer"] and len(table) == 2 * 2 * (BINS + 3)
    for number, layer in enumerate(params, 1):
        values = np.asarray(grads[layer]["kernel"], float)
        rows = table[(table["step"] == 0) & (table["layer"] == number)]
        alive = values[values != 0] / np.sqrt(np.mean(values**2))
        inner = rows["count"].to_numpy()[1 : BINS + 1]
        # an entry within rounding of an edge may fall on either side: compare the sums up to each edge
        wanted = np.histogram(alive, EDGES)[0]
        assert inner.sum() == len(alive) and abs(np.cumsum(inner) - np.cumsum(wanted)).max() <= 1
        assert rows["count"].iloc[-1] == (values == 0).sum()
    assert not table.loc[table["step"] == 1, "count"].any()
    with pytest.raises(GradlabError, match="a monitor with histograms"):
        gl.monitor_records(gl.monitored(optax.sgd(1.0)).init(params), histograms=True)


def test_what_is_not_finite_is_in_the_frame_of_the_step_it_came_in():
    params = model()
    tx = gl.monitored(optax.sgd(1.0))
    state = tx.init(params)
    grads = {**params, "dense_1": {**params["dense_1"], "bias": jnp.array([1.0, jnp.nan, jnp.inf])}}
    for tree in (params, grads):
        _, state = tx.update(tree, state, params)
    table = gl.frame(gl.monitor_records(state))
    assert list(table["status"]) == ["ok", "ok", "not finite: 2 entries of the gradient, 2 entries of the update", "ok"]


def test_without_parameters_the_ratio_is_missing_and_the_rest_is_there():
    params = model()
    tx = gl.monitored(optax.sgd(1.0))
    _, state = tx.update(params, tx.init(params))
    table = gl.frame(gl.monitor_records(state))
    assert table["log10_update_ratio"].isna().all() and table["log10_weight_grad_norm"].notna().all()
    assert set(table["status"]) == {"ok"}


@pytest.mark.slow
def test_extra_arguments_reach_the_transformation_and_hyperparameters_their_state():
    params = model()
    seen = []

    def update(grads, state, params=None, *, value, **extra):
        seen.append(value)
        return grads, state

    tx = gl.monitored(optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update))
    tx.update(params, tx.init(params), params, value=3.0)
    assert seen == [3.0]
    injected = gl.monitored(optax.inject_hyperparams(optax.adam)(learning_rate=0.1))
    assert float(optax.tree_utils.tree_get(injected.init(params), "learning_rate")) == pytest.approx(0.1)
    masked = optax.masked(gl.monitored(optax.sgd(0.1)), {"dense_1": True, "dense_2": False})
    _, state = masked.update(params, masked.init(params), params)
    assert set(gl.frame(gl.monitor_records(state))["layer_name"]) == {"dense_1"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gl.monitored("adam"), "an optax transformation; received 'adam'"),
        (lambda: gl.monitored(optax.adam), "an optax transformation"),
        (lambda: gl.monitored(optax.sgd(1.0), clip=1.0), "an optax transformation; received 1.0"),
        (lambda: gl.monitored(optax.sgd(1.0), every=0), "every"),
        (lambda: gl.monitored(optax.sgd(1.0), keep=-1), "keep"),
        (lambda: gl.monitored(optax.sgd(1.0), every=1.5), "every"),
        (lambda: gl.monitor_records(optax.adam(1.0).init(model())), "a state with a monitor in it"),
        (
            lambda: gl.monitor_records(gl.monitored(optax.sgd(1.0)).init(model())),
            "a monitor that has seen an update",
        ),
        (lambda: gl.monitored(optax.sgd(1.0)).init({}), "a tree with arrays of floats"),
    ],
)
def test_what_cannot_be_watched_is_refused(make, message):
    with pytest.raises(GradlabError, match=re.escape(message)):
        make()


def test_trees_that_do_not_match_are_refused():
    params = model()
    tx = gl.monitored(optax.sgd(1.0))
    with pytest.raises(GradlabError, match="a monitor of the layers other; received one of dense_1, dense_2"):
        tx.update({"other": params["dense_1"]}, tx.init(params))
    with pytest.raises(GradlabError, match="each leaf of the gradient to be one of"):
        tx.update({"other": params["dense_1"]}, tx.init(params), params)
    with pytest.raises(GradlabError, match=r"dense_1, dense_2; received one with dense_2/kernel \(3, 2\) float32"):
        tx.update({**params, "dense_2": {"kernel": jnp.ones((2, 3))}}, tx.init(params))


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, optax, gradlab as gl
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
assert jax.device_count() == 2
draw = np.random.default_rng().normal
params = {f"dense_{i}": {"kernel": draw(size=(64, 32)).astype("float32"), "bias": draw(size=64).astype("float32")}
          for i in range(2)}
params["dense_1"]["kernel"] *= np.float32(1e-25)  # squares underflow on either shard
tx = gl.monitored(optax.adam(1e-3), histograms=True)
def run(place):
    here = jax.tree.map(place, params)
    state = tx.init(here)
    step = jax.jit(lambda p, s: tx.update(jax.tree.map(lambda v: v * 1e-3, p), s, p))
    for _ in range(3):
        updates, state = step(here, state)
        here = optax.apply_updates(here, updates)
    return here, gl.frame(gl.monitor_records(state)), gl.frame(gl.monitor_records(state, histograms=True))
mesh = Mesh(np.array(jax.devices()), ("model",))
whole, table, bins = run(jnp.asarray)
for spec in (P("model"), P(None, "model")):
    put = lambda v: jax.device_put(v, NamedSharding(mesh, spec if v.ndim > 1 else P("model")))
    spread, other, other_bins = run(put)
    assert len(spread["dense_0"]["kernel"].sharding.device_set) == 2
    for name in table:
        if table[name].dtype.kind == "f":
            np.testing.assert_allclose(table[name], other[name], rtol=1e-5, atol=1e-5, err_msg=name)
    assert (bins["count"] - other_bins["count"]).abs().sum() <= 4  # entries within a rounding of an edge
print("equal", len(table))
"""


@pytest.mark.slow
def test_arrays_spread_over_two_devices():
    env = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_NUMPY_DTYPE_PROMOTION": "standard",
    }
    root = Path(gl.__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], env=env, cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "equal 6\n"
