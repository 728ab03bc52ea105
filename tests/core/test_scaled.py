"""Numbers with a power of two of their own: nothing is lost, and a zero stays one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.core.gradient import Outer, row_sum
from gradlab.core.scaled import LOWEST, Scaled, add, align, exponent_of, normalise, power, scaled, split, times_power


def value(s: Scaled) -> np.ndarray:
    return np.ldexp(
        np.asarray(s.mantissa).astype(np.longdouble), np.clip(np.asarray(s.exponent), -16000, 16000)[..., None]
    )


@pytest.mark.parametrize("width", [3, 96, 128])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalise_changes_no_digit(dtype, width):
    with jax.enable_x64(dtype == "float64"):
        x = np.random.default_rng(0).normal(size=(50, width)) * 10.0 ** np.linspace(-37, 37, 50)[:, None]
        x = np.where(np.abs(x) > 1.2e-38, x, 0).astype(dtype)
        s = scaled(jnp.asarray(x))
        top = np.abs(np.asarray(s.mantissa)).max(-1)
        assert np.all((top >= 0.5) & (top < 1))
        assert np.array_equal(value(s), x.astype(np.longdouble))
        assert np.array_equal(np.asarray(s.value()), x)


@pytest.mark.parametrize("rest", [0.0, 3.0, 1e-3, -1e-30, np.inf])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_normalise_hides_no_entry_that_is_not_finite(wrong, rest):
    x = np.full((64, 64), rest, np.float32)
    np.fill_diagonal(x, wrong)  # each place of a row once
    assert np.array_equal(np.asarray(scaled(jnp.asarray(x)).value()), x, equal_nan=True)


def test_zero_has_the_lowest_exponent_and_never_sets_the_scale():
    s = scaled(jnp.asarray([[0.0, 0.0], [3.0, 1.0]]))
    assert np.asarray(s.exponent).tolist() == [LOWEST, 2]
    mantissa, exponent = align(s)
    assert np.asarray(mantissa).tolist() == [[0, 0], [0.75, 0.25]]
    assert int(exponent) == 2
    nothing, exponent = align(scaled(jnp.zeros((2, 2))))
    assert not np.any(nothing)
    assert int(exponent) == LOWEST


@pytest.mark.parametrize("k", [-3000, -150, -149, -126, -1, 0, 5, 127, 300, 3000])
def test_times_power_saturates_as_floats_do(k):
    x = jnp.asarray([0.0, 0.75, -0.5], jnp.float32)
    got = np.asarray(times_power(x, jnp.asarray(k)))
    with np.errstate(over="ignore", under="ignore"):
        want = np.ldexp(np.asarray(x, np.float64), k).astype(np.float32)
    want = np.where(np.abs(want) < 2.0**-126, 0, want)  # XLA keeps no subnormals
    assert np.array_equal(np.where(np.abs(got) < 2.0**-126, 0, got), want)
    assert got[0] == 0


def test_powers_are_exact():
    k = jnp.arange(-125, 126)
    assert np.array_equal(np.asarray(power(k, jnp.float32), float), np.ldexp(1.0, np.arange(-125, 126)))


def test_exponents_of_everything():
    x = jnp.asarray([1.0, 0.5, 0.75, -8.0, 1.5e-38, 0.0, jnp.inf, jnp.nan], jnp.float32)
    # of 0 alone that the power is finite
    assert np.asarray(exponent_of(x)).tolist() == [1, 0, 0, 4, -125, -125, 0, 0]
    assert np.asarray(exponent_of(jnp.asarray([3.4e38, 1.7e38], jnp.float32))).tolist() == [125, 125]


def test_sums_over_exponents():
    a = Scaled(jnp.asarray([0.5, 0.5, 0.5]), jnp.asarray([1000, -1000, 3], jnp.int32))
    b = Scaled(jnp.asarray([0.5, 0.75, -0.5]), jnp.asarray([990, -1001, 3], jnp.int32))
    s = add(a, b)
    assert np.asarray(s.mantissa) == pytest.approx([0.5 * (1 + 2**-10), 0.875, 0])
    assert np.asarray(s.exponent).tolist()[:2] == [1000, -1000]


def test_exp_is_split_into_powers():
    x = np.linspace(0, 5000, 101)
    q, r = split(jnp.asarray(x, jnp.float32))
    assert np.asarray(q) + np.asarray(r, float) == pytest.approx(x / np.log(2), abs=1e-3)
    assert np.all((np.asarray(r) >= 0) & (np.asarray(r) < 1))


@pytest.mark.parametrize("sizes", [(2, 9, 8), (9, 2, 3)])
def test_the_norm_of_a_gradient_needs_no_gradient(sizes, x64):
    """Both forms, with examples that lie 2**300 apart and outside the range of doubles."""
    batch, fan_in, fan_out = sizes
    a, d = (np.random.default_rng(k).normal(size=(batch, n)) for k, n in ((0, fan_in), (1, fan_out)))
    exponents = np.random.default_rng(2).integers(-4, 5, batch)
    for shift in (0, 3000, -3000):
        outer = Outer(
            scaled(jnp.asarray(a)), normalise(Scaled(jnp.asarray(d), jnp.asarray(exponents + shift, jnp.int32)))
        )
        whole = a.T @ (d * 2.0 ** exponents[:, None])
        norm = outer.norm()
        assert float(norm.fraction) + float(norm.exponent) == pytest.approx(
            np.log2(np.linalg.norm(whole)) + shift, abs=1e-12
        )
        if shift == 0:
            assert np.allclose(outer.materialise(), whole, rtol=0, atol=1e-13 * np.abs(whole).max())
        row = row_sum(outer.d).norm()
        total = (d * 2.0 ** exponents[:, None]).sum(0)
        assert float(row.fraction) + float(row.exponent) == pytest.approx(
            np.log2(np.linalg.norm(total)) + shift, abs=1e-12
        )
