"""Rounding to the short formats against the arrays of these formats themselves, and networks that are rounded."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab._formats import FORMATS, SHORT_FORMATS, held_in
from gradlab.core.rounding import in_format, rounded, rounded_array
from gradlab.core.scaled import Scaled, plain, scaled
from tests import cases

TYPES = {
    "bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float8_e4m3": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}  # fmt: skip


def as_stored(x, name):
    """Numbers as an array of the format holds them; float8_e4m3fn has NaN where others have infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        stored = x.astype(TYPES[name]).astype(np.float32)
    return np.where(np.isnan(stored), np.copysign(np.inf, x), stored)


@pytest.mark.parametrize("name", SHORT_FORMATS)
def test_rounding_is_that_of_the_format_to_the_bit(name):
    rng = np.random.default_rng(0)
    form = FORMATS[name]
    low, high = max(form.smallest, -120) - 3, min(form.beyond, 125) + 2
    x = (rng.normal(size=4000) * 2.0 ** rng.uniform(low, high, 4000)).astype(np.float32)
    # ties between neighbours, both ends, and what carries over into the next octave
    near = np.outer([1, 1 + 2.0**-form.digits, 2 - 2.0**-form.digits], 1 + np.array([0, 0.5, 1, 1.5]) / 2**form.digits)
    ends = [form.largest, form.largest * (1 + 2.0 ** -(form.digits + 3)), 2.0 ** max(form.smallest, -126)]
    x = np.concatenate([x, near.ravel(), -near.ravel() * 2.0 ** max(form.smallest, -120), ends, [0]]).astype(np.float32)
    x = x[(np.abs(x) >= 2.0**-126) | (x == 0)]  # smaller ones are no numbers of the arrays that hold them
    want = as_stored(x, name)
    assert np.isinf(want).any() or name == "bfloat16"
    np.testing.assert_array_equal(rounded_array(jnp.asarray(x), form), want)
    np.testing.assert_array_equal(rounded(scaled(jnp.asarray(x)[:, None]), form).value()[:, 0], want)
    assert dict(zip(("eps", "tiny"), (2.0**-form.digits, 2.0**form.normal), strict=True)) == {
        field: float(getattr(ml_dtypes.finfo(TYPES[name]), field)) for field in ("eps", "tiny")
    }
    assert float(ml_dtypes.finfo(TYPES[name]).max) == form.largest


def test_numbers_far_outside_float32_are_rounded_too():
    """bfloat16 has numbers below the smallest that float32 computes with; others lie below or beyond all formats."""
    powers = jnp.asarray([-132, -134, -6000, 127, 6000], jnp.int32)
    kept = rounded(Scaled(jnp.full((5, 1), 0.8125), powers), FORMATS["bfloat16"])
    exact = np.ldexp(np.asarray(kept.mantissa[:, 0], float), np.where(np.isin(powers, [-132, 127]), kept.exponent, 0))
    # 2**-133 is the smallest number: 0.8125 * 2**-132 lies between it and twice it, nearer the latter
    np.testing.assert_array_equal(exact, [2.0**-132, 0, 0, 0.8125 * 2.0**127, np.inf])


def test_names_of_formats():
    assert [held_in(name) for name in ("float64", "float32", "float16")] == ["float64", "float32", "float32"]
    with pytest.raises(GradlabError, match="dtype"):
        held_in("int8")


@pytest.mark.slow
def test_a_network_in_bfloat16_is_that_of_plain_jax():
    """The same steps with arrays of bfloat16: products that sum in float32, then stored."""
    net = gl.ResNet(depth=3, width=32, activation="tanh", init="xavier_normal", branch_layers=1)
    x = np.random.default_rng(0).normal(size=(8, 32)).astype(np.float32)
    params = net.init_params(0, x, outputs=4)
    round_all = lambda tree: jax.tree.map(lambda v: rounded_array(v, FORMATS["bfloat16"]), tree)
    got = in_format(net.layer(4), FORMATS["bfloat16"]).forward(round_all(params), plain(round_all(x)))[0].value()

    short = lambda v: jnp.asarray(v).astype(jnp.bfloat16)
    weights = [jax.tree.map(short, p) for _, p in net.layers(params)]
    times = lambda a, p: short(
        jnp.matmul(a, p["weight"], preferred_element_type=jnp.float32) + p["bias"].astype(jnp.float32)
    )
    phi = lambda z: short(jnp.tanh(z.astype(jnp.float32)))
    stream = times(short(x), weights[0])
    for p in weights[1:-1]:
        stream = short(stream.astype(jnp.float32) + times(phi(stream), p).astype(jnp.float32))
    want = np.asarray(times(stream, weights[-1]).astype(jnp.float32))
    # sums in another order may round a few signals to a neighbour, by 2**-8 of themselves, three blocks deep
    assert np.abs(got - want).max() <= 4 * 2.0**-8 * np.abs(want).max()
    assert np.mean(np.asarray(got) == want) > 0.5
    exact = np.asarray(net.apply(params, jnp.asarray(x)))
    assert np.mean(np.abs(got - want)) < 0.1 * np.mean(np.abs(exact - want))


@pytest.mark.slow
def test_measured_in_float16_a_vanishing_signal_becomes_zero():
    x = np.random.default_rng(0).normal(size=(4, 16)).astype("float32")
    net = gl.MLP(depth=32, width=16, activation="relu", init="orthogonal", gain=0.5, bias=False)
    columns = ["log10_activation_rms", "log10_delta_rms", "activation_below_float16"]
    short, wide = (gl.measure(net, x, loss="probe", seeds=2, dtype=d, columns=columns) for d in ("float16", "float32"))
    assert short.dtype == "float16" and set(short.status) == {"ok"}
    signal = "log10_activation_rms"
    assert np.all(np.isneginf(short.columns[signal][:, 27:]) & np.isfinite(wide.columns[signal][:, 27:]))
    np.testing.assert_allclose(short.columns[signal][:, :3], wide.columns[signal][:, :3], atol=2.0**-11)
    assert np.all(np.diff(wide.columns["activation_below_float16"][:, :-1]) >= -0.2)
    assert wide.columns["activation_below_float16"][0, 31] == 1 and wide.columns["activation_below_float16"][0, 8] < 0.1
    grows = gl.MLP(depth=4, width=16, activation="relu", init="identity", gain=64, bias=False)
    large = gl.measure(grows, np.ones((4, 16)), loss="probe", seeds=1, dtype="float16", columns=columns)
    # 64**2 is held, 64**3 = 2**18 is not
    assert large.status == ("overflow: the forward signal is not finite from layer 3",)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e5m2"])
def test_every_architecture_has_a_forward_pass_in_a_short_format(dtype):
    rng = np.random.default_rng(0)
    for net, shape in (
        (gl.MLP(depth=2, width=8, norm="batch"), (5,)), (gl.ConvNet(depth=2, width=3), (4, 4, 1)),
        (gl.Transformer(depth=2, width=8, heads=2), (5, 3)), (gl.ResNet(depth=2, width=8), (5,)),
        (gl.CustomNetwork(gl.serial(gl.dense(8), gl.activation("tanh"), gl.dense(2)), shape=(5,)), (5,)),
    ):  # fmt: skip
        x, y = rng.normal(size=(6, *shape)).astype("float32"), np.arange(6) % 2
        short, wide = (gl.measure(net, x, y, seeds=2, dtype=d) for d in (dtype, "float32"))
        assert set(short.status) == {"ok"} and set(short.columns) == set(wide.columns)
        size = short.columns["log10_activation_rms"] - wide.columns["log10_activation_rms"]
        assert 0 < np.nanmax(np.abs(size)) < 0.3  # other numbers, of the same size


def test_where_a_short_format_is_refused():
    x, y = cases.data("softmax_cross_entropy", batch=6)
    with pytest.raises(GradlabError, match="recurrent"):
        gl.measure(gl.RNN(width=4), x[:, :, None], y, dtype="float16")
    with pytest.raises(GradlabError, match="range of float16"):
        gl.measure(gl.MLP(depth=2, width=4), x * 1e6, y, dtype="float16")
    with pytest.raises(GradlabError, match="float32"):
        gl.train(gl.MLP(depth=2, width=4), x, y, dtype="float16")
    with pytest.raises(GradlabError, match="float64"):
        gl.TrainingSweep(dtype="float16")


@pytest.mark.slow
def test_a_sweep_in_a_short_format(tmp_path):
    sweep = gl.Sweep(depth=3, width=8, seeds=2, batch=8, dtype="float16", columns=("log10_delta_rms",))
    frame = gl.run(sweep, out=tmp_path / "run", progress=False)
    assert frame["dtype"].unique().tolist() == ["float16"] and (frame["status"] == "ok").all()
