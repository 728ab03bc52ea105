"""The coordinate check: each part of a change is what NumPy computes, for anyone's model and for networks here."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab._types import CHANGES
from tests.networks.architectures import TABLE

X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
#: Rounding of differences of float32 numbers, relative to the change: a step of 1 changes them by 10 % and more.
CLOSE = 1e-3


@pytest.fixture(autouse=True)
def promotion():
    """optax needs the standard one."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def stranger(width, seed):
    """Two layers of arrays, and a table whose rows are looked up."""
    rng = np.random.default_rng(seed)
    params = {
        "table": rng.normal(size=(4, width)), "first": {"kernel": rng.normal(size=(3, width))},
        "last": {"kernel": rng.normal(size=(width, 2)) / width},
    }  # fmt: skip
    return loss_of, jax.tree.map(lambda v: v.astype("float32"), params)


def hidden(params, x):
    return jnp.tanh(x @ params["first"]["kernel"] + params["table"][jnp.array([0, 1, 2, 3, 0])])


def loss_of(params, x):
    return jnp.mean((hidden(params, x) @ params["last"]["kernel"] - 1) ** 2)


def rms(v):
    return np.log10(np.mean(np.square(np.asarray(v, np.float64))) ** 0.5)


@pytest.mark.slow
def test_each_part_is_what_its_definition_says():
    frame = gl.coordinate_check(stranger, X, widths=(4, 6), steps=(2,), seeds=[3], learning_rate=1.0)
    assert frame["layer_name"].tolist() == ["first", "table", "last"] * 2
    _, first = stranger(6, 3)
    now = first
    for _ in range(2):
        now = jax.tree.map(lambda w, g: w - 1.0 * g, now, jax.grad(loss_of)(now, X))
    rows = frame[frame["width"] == 6].set_index("layer_name")[list(CHANGES)]
    a, b = hidden(now, X), hidden(first, X)
    W, V = now["last"]["kernel"], first["last"]["kernel"]
    np.testing.assert_allclose(rows.loc["last"], [rms(a @ W - b @ V), rms(a @ (W - V)), rms((a - b) @ V), rms(a @ W)],
                               atol=CLOSE)  # fmt: skip
    W, V = now["first"]["kernel"], first["first"]["kernel"]
    assert rows.loc["first", "log10_weight_effect_rms"] == pytest.approx(rms(X @ (W - V)), abs=CLOSE)
    rows_of_table = (now["table"] - first["table"])[np.array([0, 1, 2, 3, 0])]
    assert rows.loc["table", "log10_weight_effect_rms"] == pytest.approx(rms(rows_of_table), abs=CLOSE)
    assert np.isneginf(rows.loc[["first", "table"], "log10_carried_rms"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_products_of_a_network_have_the_names_of_its_layers(case):
    x, y = case.data("float32")
    frame = gl.coordinate_check(lambda n: case.net.with_options(width=n), (x, y), widths=(4, 8), steps=(1, 2), seeds=2)
    names = [name for name, _ in case.net.layers(case.net.init_params(0, x, y))]
    rows = frame.groupby(["width", "seed", "step"])["layer_name"]
    assert rows.apply(lambda own: sorted(own) == sorted(names)).all() and len(rows) == 8
    assert np.isfinite(frame["log10_change_rms"]).all()
    # a change is no larger than the sum of its parts, nor smaller than their difference
    parts = 10 ** frame[["log10_weight_effect_rms", "log10_carried_rms"]]
    change = 10 ** frame["log10_change_rms"]
    assert (change <= parts.sum(axis=1) * (1 + 1e-4)).all()
    assert (change >= (parts.diff(axis=1).iloc[:, 1].abs() - 1e-4 * parts.max(axis=1))).all()


@pytest.mark.slow
def test_a_scan_over_layers_and_a_transformation_of_ones_own():
    def make(depth, seed):
        params = {"blocks": jax.random.normal(jax.random.key(seed), (depth, 3, 3)) / 2}

        def loss(params, x):
            return jnp.mean(jax.lax.scan(lambda h, w: (h + jnp.tanh(h @ w), None), x, params["blocks"])[0] ** 2)

        return loss, params, optax.adam(1e-3)

    frame = gl.coordinate_check(make, X, depths=(2, 4), steps=1, seeds=2)
    assert frame[(frame["depth"] == 4) & (frame["seed"] == 0)]["layer_name"].tolist() == [
        f"blocks[{i}]" for i in range(4)
    ]
    assert set(frame["optimizer"]) == {"optax"}
    table = gl.exponents(frame, "depth")
    assert table["layer_name"].unique().tolist() == ["blocks[*]"] and table["n"].eq(2).all()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("parametrization", ["standard", "mup", "ntk"])
def test_measured_exponents_are_those_of_theory(parametrization, optimizer):
    """To 0.15: the first terms that theory leaves out are smaller by the root of a width of 128 and more."""
    x, y = np.random.default_rng(0).normal(size=(8, 16)).astype("float32"), np.arange(8) % 4
    frame = gl.coordinate_check(
        lambda n: gl.MLP(depth=2, width=n, activation="tanh", init="lecun_normal", parametrization=parametrization),
        (x, y), widths=(128, 256, 512, 1024), steps=1, seeds=6, optimizer=optimizer,
        learning_rate={"sgd": 1e-3, "adam": 1e-5}[optimizer],
    )  # fmt: skip
    table = gl.exponents(frame)
    known = table[table["verdict"] != "zero"]
    assert known["expected"].notna().all() and len(known) == 8
    assert ((known["slope"] - known["expected"]).abs() < 0.15 + (known["high"] - known["low"]) / 2).all()
    assert np.isneginf(table.loc[table["verdict"] == "zero", "expected"]).all()


def test_what_cannot_be_checked_is_refused():
    make = lambda width: gl.MLP(depth=1, width=width)
    with pytest.raises(GradlabError, match="one of widths= and depths="):
        gl.coordinate_check(make, (X, X), widths=(2, 4), depths=(2, 4))
    with pytest.raises(GradlabError, match="two widths or more"):
        gl.coordinate_check(make, (X, X), widths=4)
    with pytest.raises(GradlabError, match=r"make\(width\) to return a network"):
        gl.coordinate_check(lambda width: width, X, widths=(2, 4))
    with pytest.raises(GradlabError, match=r"a batch \(x, y\) for a network"):
        gl.coordinate_check(make, X, widths=(2, 4))
    with pytest.raises(GradlabError, match="a loss with products"):
        gl.coordinate_check(lambda n: (lambda p, x: jnp.sum(p * x), jnp.ones(3)), X, widths=(2, 4))


# ------------------------------------------------------------------------------------------------ exponents


def synthetic(slopes, seeds=3, widths=(10, 100, 1000), **more):
    """Frames whose change of each layer is a power of the width, by seed."""
    rows = [
        {"architecture": "mlp", "parametrization": "standard", "optimizer": "sgd", "depth": 1, "width": n, "seed": s,
         "step": 1, "layer": i, "layer_name": name, "log10_change_rms": (slope + 0.01 * (s - 1)) * np.log10(n), **more}
        for n in widths for s in range(seeds) for i, (name, slope) in enumerate(slopes.items(), 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_slopes_intervals_and_verdicts():
    frame = synthetic({"hidden_1": -0.5, "readout": 1.0})
    table = gl.exponents(frame, columns=["log10_change_rms"]).set_index("layer_name")
    assert table["slope"].tolist() == pytest.approx([-0.5, 1.0]) and table["expected"].tolist() == [-0.5, 1.0]
    half = 4.302652729911275 * 0.01 / 3**0.5  # Student's t at 97.5 %, 2 degrees of freedom
    assert (table["high"] - table["slope"]).tolist() == pytest.approx([half] * 2)
    assert table["verdict"].tolist() == ["dies", "grows"]
    near = gl.exponents(synthetic({"a": 0.1, "b": 0.25}), columns=["log10_change_rms"])
    assert near["verdict"].tolist() == ["stable", "undetermined"]


def test_zeros_single_seeds_and_exceptions_say_what_they_are():
    zero = synthetic({"a": 0.0}).assign(log10_change_rms=-np.inf)
    assert gl.exponents(zero, columns=["log10_change_rms"])["verdict"].tolist() == ["zero"]
    one = gl.exponents(synthetic({"a": 0.0}, seeds=1), columns=["log10_change_rms"])
    assert one["verdict"].tolist() == ["undetermined"] and one["note"].tolist() == ["one seed has no interval"]
    column = "log10_weight_effect_rms"
    queries = synthetic({"run/1/attention/query": 0.0, "readout": 0.0}, log10_weight_effect_rms=0.0)
    table = gl.exponents(queries.assign(architecture="transformer", parametrization="mup"), columns=[column])
    assert table["expected"].tolist() == [-0.5, 0.0] and "independent" in table["note"][0]
    with pytest.raises(GradlabError, match="what to fit over"):
        gl.exponents(zero, "batch")
    with pytest.raises(GradlabError, match="two widths or more"):
        gl.exponents(zero[zero["width"] == 10].assign(log10_change_rms=0.0), columns=["log10_change_rms"])


def test_blocks_are_pooled_over_the_depth():
    frame = synthetic({"run/1/a": 0.0, "run/2/a": 0.0}).assign(width=64, depth=lambda t: t["seed"] + 2)
    frame = pd.concat([frame.assign(depth=d, seed=s) for d in (2, 4) for s in (0, 1)]).drop_duplicates(
        ["depth", "seed", "layer"]
    )
    frame["log10_change_rms"] = np.log10(np.where(frame["layer"] == 1, 3.0, 4.0) * frame["depth"])
    table = gl.exponents(frame, "depth", columns=["log10_change_rms"])
    assert table["layer_name"].tolist() == ["run/*/a"] and table["slope"].tolist() == pytest.approx([1.0])
