"""What the monitor tells of a layer beside its norms: what is missing, lost to rounding, too small, or not finite."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from flax import nnx

import gradlab as gl

RNG = np.random.default_rng()
#: log10 of a norm of at most 100 entries in float32
TOLERANCE = 104 * 2.0**-24 / np.log(10) + 8e-6


@pytest.fixture(autouse=True)
def promotion():
    """The strangers' own."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def log10_norm(*arrays):
    return np.log10(np.sqrt(sum(np.sum(np.abs(np.asarray(x, complex)) ** 2) for x in arrays)))


def both(tx, params, grads):
    """The frame of one monitored step, and that of the same arrays observed."""
    state = tx.init(params)
    updates, state = jax.jit(tx.update)(grads, state, params)
    return gl.frame(gl.monitor_records(state)), gl.frame(gl.observe(grads, updates, params))


def test_a_layer_of_which_one_array_has_no_gradient_has_the_norm_of_the_others():
    params = {"lora": {"w": draw(6, 6), "a": draw(6, 2), "b": draw(2, 6), "bias": draw(6)}}
    grads = {"lora": {**{name: draw(*np.shape(params["lora"][name])) for name in "ab"}, "w": None, "bias": None}}
    table = gl.frame(gl.observe(grads, params=params))
    assert abs(table["log10_weight_grad_norm"][0] - log10_norm(grads["lora"]["a"], grads["lora"]["b"])) < TOLERANCE
    assert np.isnan(table["log10_bias_grad_norm"][0]) and table["gradient_absent"][0] == 2
    assert table["status"][0] == "no gradient: 2 of 4 arrays"


def test_statistics_that_stand_beside_parameters_leave_the_norms_of_a_batch_norm():
    net, x = nnx.List([nnx.BatchNorm(3, rngs=nnx.Rngs(0))]), jnp.asarray(draw(8, 3))
    grads = nnx.grad(lambda net: jnp.sum(net[0](x) ** 3))(net)
    row = gl.frame(gl.observe(grads, params=nnx.state(net))).iloc[0]
    arrays = nnx.to_pure_dict(grads)[0]
    assert abs(row["log10_weight_grad_norm"] - log10_norm(arrays["scale"])) < 2 * TOLERANCE
    assert abs(row["log10_bias_grad_norm"] - log10_norm(arrays["bias"])) < 2 * TOLERANCE
    assert row["status"] == "no gradient: 2 of 4 arrays"  # its running mean and variance


def test_a_gradient_that_is_none_is_a_row_without_the_parameters_too():
    table = gl.frame(
        gl.observe({"stem": {"w": draw(2, 2)}, "frozen": {"w": None, "b": None}, "head": {"w": draw(2, 2)}})
    )
    assert list(table["layer_name"]) == ["frozen", "head", "stem"]
    assert list(table["status"]) == ["no gradient", "ok", "ok"]


def test_the_share_of_weights_that_an_update_moves_in_the_format_they_are_stored_in():
    weights = np.exp(draw(40, 50) * 2)
    params = {"dense": {"kernel": jnp.asarray(weights, jnp.bfloat16)}, "free": {"kernel": jnp.asarray(weights)}}
    grads = jax.tree.map(lambda p: jnp.ones(p.shape, p.dtype), params)
    before = np.asarray(params["dense"]["kernel"])
    update = np.float32(-np.asarray(jnp.bfloat16(1e-3)))
    moved = np.mean((before.astype(np.float32) + update).astype(ml_dtypes.bfloat16) != before)
    free = np.mean(weights + np.float32(-1e-3) != weights)
    for table in both(gl.monitored(optax.sgd(1e-3)), params, grads):
        np.testing.assert_allclose(table["moved_fraction"], [moved, free], atol=1e-6)
    assert 0.1 < moved < 0.9
    still = {"dense": {"kernel": jnp.full((4, 4), 1e4, jnp.bfloat16)}}
    table, _ = both(gl.monitored(optax.sgd(1e-3)), still, jax.tree.map(jnp.ones_like, still))
    assert table["moved_fraction"][0] == 0 and table["status"][0] == "no weight moved"


def test_updates_and_weights_that_are_not_finite_are_told_and_kept():
    params = {"dead": {"kernel": jnp.ones((2, 2), jnp.float16)}, "live": {"kernel": jnp.ones((2, 2), jnp.float16)}}
    grads = {"dead": {"kernel": jnp.zeros((2, 2), jnp.float16)}, "live": {"kernel": jnp.ones((2, 2), jnp.float16)}}
    for table in both(gl.monitored(optax.adam(1e-3)), params, grads):  # whose epsilon is 0 in float16: 0 / 0
        assert list(table["update_not_finite"]) == [4, 0]
        assert table["status"][0] == "not finite: 4 entries of the update; gradient exactly 0"
        assert table["status"][1] == "ok"
        flat = gl.scalars(table)
        assert np.isnan(flat["dead/log10_weight_update_norm"]) and np.isnan(flat["dead/log10_update_ratio"])
        assert flat["dead/update_not_finite"] == 4 and "live/log10_bias_grad_norm" not in flat
    weights = {"a": {"kernel": jnp.asarray([[1.0, jnp.inf], [jnp.nan, 1.0]])}}
    table, _ = both(gl.monitored(optax.sgd(0.1)), weights, {"a": {"kernel": jnp.ones((2, 2))}})
    assert table["weight_not_finite"][0] == 2 and table["status"][0] == "not finite: 2 entries of the weight"


def test_zeros_are_told_apart_as_far_as_they_can_be_seen():
    tiny = np.float16(2.0**-24)  # not zero, and below the normal numbers of its format
    grads = {
        "absent": {"w": None},
        "small": {"w": jnp.asarray([tiny, tiny, 1.0, 1.0], jnp.float16)},
        "zero": {"w": jnp.zeros(4, jnp.float16)},
    }
    params = {name: {"w": jnp.ones(4, jnp.float16)} for name in grads}
    table = gl.frame(gl.observe(grads, params=params))
    assert list(table["status"]) == [
        "no gradient",
        "underflow: 50 % of the gradient's entries are below the normal numbers of their format",
        "gradient exactly 0",
    ]
    assert table["gradient_zero_fraction"].tolist()[1:] == [0, 1]
    assert table["gradient_underflow_fraction"].tolist()[1:] == [0.5, 0]


def test_copies_on_several_devices_are_one_seed_and_different_ones_are_seeds():
    params = {"dense": {"kernel": jnp.asarray(draw(3, 3))}}
    tx = gl.monitored(optax.sgd(0.1))
    scales = lambda *by: jax.tree.map(lambda p: jnp.stack([p * b for b in by]), params)
    step = jax.jit(jax.vmap(lambda p: tx.update(p, tx.init(p), p)[1]))  # as `pmap` leaves it: devices in front
    assert gl.frame(gl.monitor_records(step(scales(1, 1, 1))))["seed"].tolist() == [0]
    assert gl.frame(gl.monitor_records(step(scales(1, 2, 1))))["seed"].tolist() == [0, 1, 2]


def test_complex_weights_have_the_norms_of_their_absolute_values():
    params = {"spectral": {"kernel": (draw(5, 5) + 1j * draw(5, 5)).astype(np.complex64)}}
    grads = jax.tree.map(lambda p: p[::-1] * (1 + 2j), params)
    for table in both(gl.monitored(optax.sgd(0.5)), params, grads):
        grad, weight = (log10_norm(tree["spectral"]["kernel"]) for tree in (grads, params))
        assert abs(table["log10_weight_grad_norm"][0] - grad) < 2 * TOLERANCE
        assert abs(table["log10_update_ratio"][0] - (grad + np.log10(0.5) - weight)) < 4 * TOLERANCE
        assert table["moved_fraction"][0] == 1 and table["status"][0] == "ok"


@pytest.fixture(scope="module")
def descent():
    """One program for several tests: a step of gradient descent, watched."""
    with jax.numpy_dtype_promotion("standard"):
        tx = gl.monitored(optax.sgd(0.1))
        yield jax.jit(lambda grads: tx.update(grads, tx.init(grads), grads))


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_mean_and_largest_entry_and_the_norm_of_the_whole_gradient(descent, scale):
    grads = {"a": {"kernel": draw(7, 9) * np.float32(scale), "bias": draw(9)}, "b": {"kernel": draw(9, 2)}}
    updates, state = descent(grads)
    for table in (gl.frame(gl.monitor_records(state)), gl.frame(gl.observe(grads, updates, grads))):
        for name, row in table.set_index("layer_name").iterrows():
            kernel = np.abs(grads[name]["kernel"].astype(float))
            assert abs(row["log10_weight_grad_mean_abs"] - np.log10(kernel.mean())) < 2 * TOLERANCE
            assert abs(row["log10_weight_grad_max_abs"] - np.log10(kernel.max())) < 2 * TOLERANCE
        whole = log10_norm(*jax.tree.leaves(grads))
        np.testing.assert_allclose(table["log10_global_grad_norm"], whole, atol=2 * TOLERANCE)


def test_layers_below_a_pattern_are_one_row():
    block = lambda: {"attention": {"q": draw(4, 4), "k": draw(4, 4)}, "mlp": {"kernel": draw(4, 4), "bias": draw(4)}}
    grads = {"blocks": [block() for _ in range(11)], "embed": {"kernel": draw(5, 4)}}
    table = gl.frame(gl.observe(grads, pool="blocks/*"))
    assert list(table["layer_name"]) == [*(f"blocks/{i}" for i in range(11)), "embed"]
    wanted = [log10_norm(b["attention"]["q"], b["attention"]["k"], b["mlp"]["kernel"]) for b in grads["blocks"]]
    np.testing.assert_allclose(table["log10_weight_grad_norm"][:11], wanted, atol=TOLERANCE)
    tx = gl.monitored(optax.sgd(0.1), pool="blocks")
    state = jax.jit(lambda grads: tx.update(grads, tx.init(grads), grads)[1])(grads)
    assert list(gl.frame(gl.monitor_records(state))["layer_name"]) == ["blocks", "embed"]
    with pytest.raises(gl.GradlabError, match="pool to be one of"):
        gl.observe(grads, pool="block/*")


def test_two_groups_of_parameters_are_one_dict_of_scalars():
    params = {"body": {"kernel": draw(3, 3)}, "head": {"kernel": draw(3, 3)}, "still": {"kernel": draw(3, 3)}}
    groups = {
        "body": gl.monitored(optax.adam(1e-3)),
        "head": gl.monitored(optax.sgd(1e-1)),
        "still": optax.set_to_zero(),
    }
    tx = optax.multi_transform(groups, {name: name for name in params})
    _, state = jax.jit(tx.update)(params, tx.init(params), params)
    flat = gl.scalars(gl.frame(gl.monitor_records(state)), columns="log10_update_ratio")
    assert list(flat) == ["body/log10_update_ratio", "head/log10_update_ratio"]
    assert abs(flat["head/log10_update_ratio"] + 1) < TOLERANCE


def test_rates_of_a_monitor_are_refused_with_what_can_be_done():
    table = gl.frame(gl.observe({"a": {"kernel": draw(2, 2)}, "b": {"kernel": draw(2, 2)}}))
    with pytest.raises(gl.GradlabError, match="received the frame of a monitor, which sees no deltas"):
        gl.rates(table)
    means = gl.summarise(table, by=["step", "layer_name"], columns="log10_weight_grad_norm")  # as the message says
    np.testing.assert_array_equal(means["mean"], table["log10_weight_grad_norm"])


def test_a_frozen_layer_is_drawn_as_frozen_and_not_as_failed():
    import matplotlib.pyplot as plt

    grads = {name: {"w": None if name == "b" else jnp.asarray(draw(3, 3))} for name in "abc"}
    axes = gl.plots.gradient_flow(gl.frame(gl.observe(grads)), value="log10_weight_grad_norm")
    drawn = {line.get_gid(): line.get_xdata().tolist() for line in axes.lines if line.get_gid()}
    assert drawn["frozen"] == [2] and "failed" not in drawn and "zero" not in drawn
    texts = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert texts == ["no gradient: frozen"]
    caption = gl.plots.caption(axes)
    assert ", ," not in caption and "Setting: float32." in caption and "not finite" not in caption
    plt.close("all")


def test_weights_of_64_bits_keep_their_range(x64):
    params = {"dense": {"kernel": jnp.full((3, 4), 1e-200, jnp.float64)}}
    table, seen = both(gl.monitored(optax.sgd(1.0)), params, params)
    for found in (table, seen):
        np.testing.assert_allclose(found["log10_weight_grad_norm"], np.log10(12) / 2 - 200, rtol=1e-12)
        assert found["log10_weight_grad_mean_abs"][0] == pytest.approx(-200, rel=1e-12)
        assert found["status"][0] == "ok"
