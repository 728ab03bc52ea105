"""What `observe` says of anyone's arrays, against NumPy in float64; the frame and the figures it makes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab._types import COORDINATES, MEASURED, SCHEMA_VERSION
from gradlab.frames import concat

RNG = np.random.default_rng()
#: log10 of a norm of at most 100 entries in float32: rounding of 100 squares, and half an ulp of a log10 up to 64
TOLERANCE = 104 * 2.0**-24 / np.log(10) + 8e-6


def model(depth=3, scale=1.0):
    """Parameters, gradients and updates of layers whose gradients fall by seven decades each, toward the input."""
    draw = lambda *shape: RNG.normal(size=shape).astype(np.float32)
    names = [f"dense_{i}" for i in range(depth)]
    params = {name: {"kernel": draw(5, 4), "bias": draw(4)} for name in names}
    grads = {
        name: {"kernel": draw(5, 4) * np.float32(scale * 10.0 ** (-7 * (depth - 1 - i))), "bias": draw(4)}
        for i, name in enumerate(names)
    }
    updates = {name: {"kernel": draw(5, 4) * np.float32(1e-3), "bias": draw(4)} for name in names}
    return params, grads, updates


def log10_norm(x):
    return np.log10(np.linalg.norm(np.asarray(x, float)))


def expected(params, grads, updates):
    each = lambda tree, leaf: [log10_norm(layer[leaf]) for layer in tree.values()]
    weight = [np.linalg.norm(np.asarray(layer["kernel"], float)) for layer in params.values()]
    return {
        "log10_weight_grad_norm": each(grads, "kernel"), "log10_bias_grad_norm": each(grads, "bias"),
        "log10_weight_update_norm": each(updates, "kernel"), "log10_bias_update_norm": each(updates, "bias"),
        "log10_update_ratio": each(updates, "kernel") - np.log10(weight), "weight_norm": weight,
    }  # fmt: skip


@pytest.mark.parametrize("to", ["numpy", "jax", "jit"])
def test_every_column_against_numpy(to):
    trees = model(scale=1e-10)
    if to == "numpy":
        table = gl.frame(gl.observe(trees[1], trees[2], trees[0]))
    else:
        call = lambda p, g, u: gl.observe(g, u, p)
        table = gl.frame((jax.jit(call) if to == "jit" else call)(*jax.tree.map(jnp.asarray, trees)))
    assert table["layer"].tolist() == [1, 2, 3] and list(table["layer_name"]) == ["dense_0", "dense_1", "dense_2"]
    for name, values in expected(*trees).items():
        scale = 1 if name.startswith("log10") else np.log(10) * table[name].to_numpy()
        assert (np.abs(table[name] - values) < 2 * TOLERANCE * scale).all(), name
    assert set(table["status"]) == {"ok"} and not table["gradient_not_finite"].any()


def test_the_frame_is_the_frame():
    params, grads, updates = model()
    table = gl.frame(gl.observe(grads, updates, params))
    assert list(table.columns[: len(COORDINATES)]) == list(COORDINATES)
    assert set(table.columns) - set(COORDINATES) <= set(MEASURED) and table.attrs["schema"] == SCHEMA_VERSION
    assert table[["depth", "batch", "sigma_w2", "width"]].isna().all(axis=None)
    assert set(table["activation"]) == {""} and set(table["dtype"]) == {"float32"}
    assert table["step"].tolist() == [0, 0, 0] and table["seed"].tolist() == [0, 0, 0]
    means = gl.summarise(table, by="layer", columns="log10_weight_grad_norm")
    np.testing.assert_array_equal(means["mean"], table["log10_weight_grad_norm"])
    assert len(concat([table, gl.frame(gl.observe({"other": grads}))])) == 6


@pytest.mark.parametrize("what", [{}, {"value": "log10_update_ratio"}, {"value": ["weight_norm"]}])
def test_the_same_plots_draw_it(what):
    import matplotlib.pyplot as plt

    params, grads, updates = model()
    grads["dense_0"]["kernel"][:] = 0
    table = gl.frame(gl.observe(grads, updates, params))
    axes = np.atleast_1d(gl.plots.gradient_flow(table, **what))
    column = what.get("value", "log10_weight_grad_norm")
    column = column if isinstance(column, str) else column[0]
    (line,) = [drawn for drawn in axes[0].lines if drawn.get_gid() == "mean"]
    finite = np.isfinite(table[column].to_numpy())
    np.testing.assert_allclose(line.get_ydata()[finite], table[column][finite])
    zeros = [drawn for drawn in axes[0].lines if drawn.get_gid() == "zero"]
    assert len(zeros) == (column == "log10_weight_grad_norm")  # a layer without gradient is not dropped
    plt.close("all")


def test_a_vanished_layer_is_a_row_and_not_zero():
    grads = {"a": {"weight": jnp.full((10, 100), 1e-19)}, "b": {"weight": jnp.zeros((3, 3))}}
    table = gl.frame(gl.observe(grads))
    assert table["log10_weight_grad_norm"][0] == pytest.approx(-17.5, abs=1000 * 2.0**-24)
    assert table["log10_weight_grad_norm"][1] == -np.inf and table["gradient_zero_fraction"].tolist() == [0, 1]


def test_what_is_not_finite_is_named_with_its_layer():
    _params, grads, _updates = model()
    grads["dense_1"]["bias"][:2] = np.nan, np.inf
    table = gl.frame(gl.observe(grads))
    assert table["gradient_not_finite"].tolist() == [0, 2, 0]
    assert list(table["status"]) == ["ok", "not finite: 2 entries of the gradient", "ok"]
    assert np.isnan(table["log10_bias_grad_norm"][1]) and np.isfinite(table["log10_weight_grad_norm"]).all()


def test_a_layer_without_gradient_is_said_and_not_skipped():
    params, grads, _updates = model()
    table = gl.frame(gl.observe({**grads, "dense_1": {"kernel": None, "bias": None}}, params=params))
    assert list(table["status"]) == ["ok", "no gradient", "ok"] and table["layer"].tolist() == [1, 2, 3]


def test_norms_are_read_at_the_call_and_not_after_zeroing():
    params, grads, updates = model()
    seen, before = gl.observe(grads), expected(params, grads, updates)["log10_weight_grad_norm"]
    for layer in grads.values():
        layer["kernel"][:] = 0
    np.testing.assert_allclose(gl.frame(seen)["log10_weight_grad_norm"], before, atol=TOLERANCE)


def test_steps_under_scan_seeds_under_vmap_and_records_in_a_list():
    grads = {"dense": {"kernel": jnp.ones((3, 3), "float32")}}
    step = lambda scale, _: (scale / 10, gl.observe(jax.tree.map(lambda g: g * scale, grads)))
    many = lambda start: jax.lax.scan(step, start, length=4)[1]
    table = gl.frame(many(jnp.float32(1)))
    assert table["step"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(np.diff(table["log10_weight_grad_norm"]), -1, atol=2 * TOLERANCE)
    seeds = gl.frame(jax.vmap(many)(jnp.float32([1, 1e-3])))
    assert seeds.groupby("seed")["step"].apply(list).tolist() == [[0, 1, 2, 3]] * 2
    assert seeds["log10_weight_grad_norm"][4] == pytest.approx(table["log10_weight_grad_norm"][3], abs=2 * TOLERANCE)
    listed = gl.frame([gl.observe(grads), gl.observe(grads)])
    assert listed["step"].tolist() == [0, 1]
    assert gl.frame([gl.observe(grads, step=70), gl.observe(grads, step=90)])["step"].tolist() == [70, 90]


def test_stacked_layers_and_their_order():
    weights = RNG.normal(size=(12, 4, 4)).astype(np.float32)
    grads = {"blocks": {"w": weights}, "embed": {"w": weights[0]}}
    options = {"stacked": "blocks", "order": ["embed", "blocks/*"]}
    for found in (
        gl.observe(grads, **options),
        jax.jit(lambda g: gl.observe(g, **options))(jax.tree.map(jnp.asarray, grads)),
    ):
        table = gl.frame(found)
        assert list(table["layer_name"]) == ["embed", *(f"blocks/{i}" for i in range(12))]
        wanted = [log10_norm(w) for w in (weights[0], *weights)]
        np.testing.assert_allclose(table["log10_weight_grad_norm"], wanted, atol=TOLERANCE)


def test_trees_that_do_not_match_are_refused():
    params, grads, updates = model()
    with pytest.raises(GradlabError, match="each leaf of the gradient to be one of"):
        gl.observe({"other": grads}, params=params)
    with pytest.raises(GradlabError, match=r"dense_0/kernel of the update of shape \(5, 4\); received \(4, 5\)"):
        gl.observe(grads, {**updates, "dense_0": {"kernel": np.ones((4, 5), np.float32)}})
    with pytest.raises(GradlabError, match="a tree with arrays of floats"):
        gl.observe({})


def test_scalars_are_flat_and_say_what_was_asked():
    params, grads, updates = model()
    grads["dense_1"]["kernel"][:] = 0
    table = gl.frame([gl.observe(grads), gl.observe(grads, updates, params)])
    flat = gl.scalars(table, include="dense_[12]", columns=["log10_weight_grad_norm", "weight_norm"])
    assert list(flat)[:2] == ["dense_1/log10_weight_grad_norm", "dense_1/weight_norm"] and len(flat) == 4
    assert flat["dense_1/log10_weight_grad_norm"] == -np.inf and all(type(v) is float for v in flat.values())
    assert not any(name.endswith("weight_norm") for name in gl.scalars(table, step=0))
    for bad, message in (
        ({"include": "blocks/*"}, "include"), ({"columns": "weight_nrm"}, "column"), ({"step": 7}, "step"),
    ):  # fmt: skip
        with pytest.raises(GradlabError, match=f"{message} to be one of"):
            gl.scalars(table, **bad)
    with pytest.raises(GradlabError, match=r"received several seeds with the layer dense_0; try frame\[frame\[.seed"):
        gl.scalars(concat([table, table.assign(seed=1)]))
