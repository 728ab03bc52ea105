"""1 - c far below the rounding of c: float32 beside float64, and beside the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.activations import TABLE
from gradlab.core.scaled import scaled, to_numpy
from gradlab.measurement.correlation import (
    behind_activation,
    difference,
    first_of_pairs,
    input_gap,
    one_minus_c,
    pairs_from_signals,
)
from tests import cases


def near(distance, batch=8, features=6):
    """Pairs of inputs that lie `distance` apart."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, features))
    x[1::2] = x[::2] + distance * rng.normal(size=(batch // 2, features))
    return x


def mean(pairs):
    """Mean of 1 - c over pairs."""
    return 10.0 ** float(to_numpy(pairs).log10_mean())


def exact(z1, z2):
    """1 - cos of two vectors, from their difference in long doubles."""
    z1, z2 = z1.astype(np.longdouble), z2.astype(np.longdouble)
    n = z1 / np.sqrt(z1 @ z1)
    d = z2 - z1
    across = d - (d @ n) * n
    s2 = across @ across / (z2 @ z2)
    return s2 / (1 + np.sqrt(1 - s2))


@pytest.mark.parametrize(
    ("dtype", "distance", "tolerance"), [("float32", 1.0, 1e-5), ("float32", 1e-3, 1e-3), ("float64", 1e-6, 1e-8)]
)
def test_one_minus_c_is_taken_from_differences(dtype, distance, tolerance):
    """The difference of two signals has their rounding, eps / distance: twice that in its square."""
    with jax.enable_x64(dtype == "float64"):
        z = jnp.asarray(near(distance), dtype)
        got = mean(one_minus_c(first_of_pairs(scaled(z))[0], difference(scaled(z))))
        z = np.asarray(z)
    assert got == pytest.approx(float(np.mean([exact(z[i], z[i + 1]) for i in range(0, 8, 2)])), rel=tolerance)


def test_opposite_inputs_have_c_below_zero(x64):
    z = scaled(jnp.asarray([[1.0, 2.0], [-1.0, -2.0]]))
    assert mean(one_minus_c(first_of_pairs(z)[0], difference(z))) == pytest.approx(2)


def test_a_difference_below_the_line_is_carried(x64):
    entries = ((TABLE["tanh"], None),)

    def resolved(distance):
        x = scaled(jnp.asarray(near(distance)))
        return behind_activation(entries, x, input_gap(x).linear)[0].resolved

    assert not np.any(resolved(1e-5))
    assert np.all(resolved(0.1))


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", pytest.param("relu", marks=pytest.mark.slow)])
def test_float32_agrees_with_float64_where_c_is_one_to_the_last_bit(activation):
    """An ordered network: 1 - c falls below 4e-9, which no Gram matrix in float32 can see."""
    case = cases.Case(30, 64, activation, "gaussian", "mse")
    net = gl.MLP(depth=30, width=64, activation=activation, init="gaussian", sigma_w2=0.5, sigma_b2=0.3)
    x, y = cases.data(case.loss, batch=16, dtype="float32")
    params = net.init_params(0, x, outputs=3)
    low = gl.measure(net, x, y, params=params, columns=["log10_one_minus_c"]).columns["log10_one_minus_c"][0]
    high = gl.measure(net, x, y, params=params, columns=["log10_one_minus_c"], dtype="float64").columns[
        "log10_one_minus_c"
    ][0]
    assert high.min() < np.log10(4e-9)
    assert np.max(np.abs(10 ** (low - high) - 1)) <= 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pair_with_a_signal_of_zero_has_no_correlation_whichever_it_is(dtype):
    v, w, o = np.array([1.0, 2.0, 0.5]), np.array([1.0, -1.0, 0.5]), np.zeros(3)
    alone, among = [], []
    with jax.enable_x64(dtype == "float64"):
        for pair in ((o, v), (v, o), (o, o)):
            for pairs, kept in (((pair,), alone), (((v, w), pair), among)):
                s = scaled(jnp.asarray(np.concatenate(pairs), dtype))
                found = one_minus_c(first_of_pairs(s)[0], difference(s))
                kept.append((mean(found), float(found.zero_fraction())))
                assert mean(pairs_from_signals(s)) == pytest.approx(kept[-1][0], nan_ok=True)
    assert all(np.isnan(value) and share == 1 for value, share in alone)
    law = 1 - v @ w / np.linalg.norm(v) / np.linalg.norm(w)
    assert all(value == pytest.approx(law, rel=1e-5) and share == 0.5 for value, share in among)


def test_dead_signals_are_counted_in_a_frame():
    """ReLU of weights below 0: the second hidden layer has no signal from positive inputs, the first has."""
    net = gl.MLP(depth=2, width=4, activation="relu", init="he_normal", bias=False)
    x = np.abs(np.random.default_rng(0).normal(size=(4, 3))).astype("float32")
    params = jax.tree.map(lambda w: -jnp.abs(w), net.init_params(0, x, outputs=2))
    frame = gl.frame(gl.measure(net, x, np.zeros(4, int), params=params))
    assert frame["zero_pair_fraction"].tolist() == [0, 1, 1]
    assert np.isfinite(frame["log10_one_minus_c"][0]) and frame["log10_one_minus_c"][1:].isna().all()
