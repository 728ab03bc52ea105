"""Sizes of strangers' arrays, against NumPy in extended precision, where the square of an entry leaves the range."""

import warnings

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from gradlab._errors import GradlabError
from gradlab.measurement import arrays

RNG = np.random.default_rng()
#: log10 of a float32: half an ulp of numbers up to 64
LOG10 = 4e-6


def exact(x):
    """log10 of the norm in extended precision, whose range is 1e-4932 to 1e4932."""
    return float(np.log10(np.sqrt(np.sum(np.asarray(x, np.longdouble) ** 2))))


def allowed(x, eps=2.0**-23):
    """Rounding of n squares and their sum, in log10, and of the logarithm itself."""
    return (np.size(x) + 4) * eps / 2 / np.log(10) + LOG10


@pytest.mark.parametrize("call", [arrays.log10_norm, jax.jit(arrays.log10_norm)], ids=["eager", "jit"])
def test_a_thousand_entries_whose_squares_underflow(call):
    x = jnp.full(1000, 1e-19, jnp.float32)
    assert float(jnp.linalg.norm(x)) == 0
    assert float(call(x)) == pytest.approx(-17.5, abs=allowed(x))


@pytest.mark.parametrize("decade", [-37, -30, -19, -10, 0, 10, 18, 19, 30, 37])
def test_any_decade_of_float32(decade):
    x = (RNG.normal(size=(7, 30)) * 10.0**decade / 4).astype(np.float32)
    x[np.abs(x) < 2.0**-126] = 0  # XLA's zeros
    for value in (jnp.asarray(x), x):
        assert float(arrays.log10_norm(value)) == pytest.approx(exact(x), abs=allowed(x))
        assert float(arrays.log10_rms(value)) == pytest.approx(exact(x) - np.log10(x.size) / 2, abs=allowed(x))


def test_entries_of_all_sizes_at_once_and_just_at_the_edge_of_the_short_way():
    mixed = (RNG.normal(size=500) * 10.0 ** RNG.uniform(-36, 15, 500)).astype(np.float32)
    edge = np.full(1000, np.sqrt(2.0**-103), np.float32)
    lost = np.full(1000, 0.9 * 2.0**-63, np.float32)  # whose squares XLA takes for zeros, beside one that is kept
    lost[0] = 2.0**-62
    for x in (mixed, lost, *(edge * np.float32(f) for f in (0.1, 0.9, 1.0, 1.1, 10))):
        assert float(arrays.log10_norm(jnp.asarray(x))) == pytest.approx(exact(x), abs=allowed(x))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("size", [1e-7, 1.0, 6e4])
def test_sixteen_bits_are_summed_in_thirty_two(dtype, size):
    x = np.full((40, 50), size).astype(ml_dtypes.bfloat16 if dtype == jnp.bfloat16 else np.float16)
    for value in (x, jnp.asarray(x, dtype)):
        got = arrays.log10_norm(value)
        assert got.dtype == np.float32 and float(got) == pytest.approx(exact(x.astype(np.float64)), abs=allowed(x))


def test_float64_keeps_its_own_range_and_precision(x64):
    for decade in (-300, -160, 0, 160, 300):
        x = RNG.normal(size=100) * 10.0**decade
        for value in (x, jnp.asarray(x)):
            got = arrays.log10_norm(value)
            assert got.dtype == np.float64 and abs(float(got) - exact(x)) < 2e-13


def test_doubles_of_numpy_are_not_cut_to_float32():
    assert float(arrays.log10_norm(np.full(100, 1e-200))) == pytest.approx(-199, abs=1e-12)


def test_a_million_equal_entries():
    x = jnp.full((1024, 1024), 0.1, jnp.float32)
    assert float(arrays.log10_norm(x)) == pytest.approx(np.log10(np.float32(0.1)) + np.log10(2.0**10), abs=1e-5)


def test_true_zeros_and_empty_arrays_are_minus_infinity():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (np.zeros((3, 4), np.float32), jnp.zeros((3, 4)), np.zeros((0, 2)), jnp.zeros((0, 2))):
            assert float(arrays.log10_norm(x)) == -np.inf


@pytest.mark.parametrize("to", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_what_is_not_finite_is_said_and_counted(to):
    x = np.ones((4, 5), np.float32)
    x[0, 0] = np.inf
    norm, bad = arrays.size(to(x))
    assert float(norm) == np.inf and int(bad) == 1
    x[1, 2] = np.nan
    norm, bad = arrays.size(to(x))
    assert np.isnan(float(norm)) and int(bad) == 2
    assert int(arrays.size(to(np.full(3, 3e38, np.float32))).not_finite) == 0


def test_each_of_a_stack_by_itself():
    x = np.stack([np.full(9, v, np.float32) for v in (0, 1e-30, 1, 1e30)])
    norms, bad = jax.vmap(arrays.size)(jnp.asarray(x))
    np.testing.assert_allclose(norms, [-np.inf, *(np.log10(3.0) + np.array([-30, 0, 30]))], atol=allowed(x[0]))
    assert not bad.any()


def test_the_norm_is_a_norm_and_not_its_root_or_square():
    assert float(arrays.log10_norm(jnp.array([3.0, 4.0]))) == pytest.approx(np.log10(5), abs=LOG10)
    x = RNG.normal(size=50).astype(np.float32)
    grown = float(arrays.log10_norm(jnp.asarray(x * np.float32(8)))) - float(arrays.log10_norm(jnp.asarray(x)))
    assert grown == pytest.approx(np.log10(8), abs=2 * LOG10)


@pytest.mark.parametrize("to", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_several_arrays_together(to):
    parts = [RNG.normal(size=n).astype(np.float32) * np.float32(1e-25) for n in (3, 4, 50)]
    norms = to(np.array([exact(p) for p in parts], np.float32))
    assert float(arrays.pooled(norms)) == pytest.approx(exact(np.concatenate(parts)), abs=2 * LOG10)
    assert float(arrays.pooled(to(np.array([-np.inf, -np.inf], np.float32)))) == -np.inf
    assert float(arrays.pooled(to(np.array([-np.inf, np.inf], np.float32)))) == np.inf
    assert np.isnan(float(arrays.pooled(to(np.array([1, np.nan], np.float32)))))


def test_entries_over_a_size_far_outside_the_range_of_squares():
    x = RNG.normal(size=100).astype(np.float32)
    rms = np.sqrt(np.mean(np.asarray(x, float) ** 2))
    for factor in (1e-30, 1.0, 1e30):
        small = jnp.asarray(x * np.float32(factor))
        got = arrays.over_size(small, arrays.log10_rms(small))
        # 10**y has the error of y, times ln 10
        np.testing.assert_allclose(got, x / rms, rtol=np.log(10) * (allowed(x) + 3 * LOG10))
    assert not arrays.over_size(jnp.zeros(3), jnp.asarray(-jnp.inf)).any()


@pytest.mark.parametrize("x", [np.ones(2, complex), np.ones(2, int), np.ones(2, bool), jnp.ones(2, jnp.int32)])
def test_what_is_no_real_array_of_floats_is_refused(x):
    with pytest.raises(GradlabError, match="real array of floats"):
        arrays.log10_norm(x)


class TensorLike:
    """What is used of a tensor of PyTorch."""

    def __init__(self, values, dtype="torch.float32"):
        self.values, self.dtype, self.shape, self.calls = np.asarray(values), dtype, np.shape(values), []

    def detach(self):
        self.calls.append("detach")
        return self

    def cpu(self):
        self.calls.append("cpu")
        return self

    def float(self):
        return TensorLike(self.values.astype(np.float32))

    def __array__(self, dtype=None, copy=None):
        if self.dtype == "torch.bfloat16" or (self.calls[-2:] != ["detach", "cpu"] and self.dtype != "torch.float32"):
            raise TypeError("as PyTorch would")
        return self.values


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_a_tensor_of_another_library(dtype):
    assert float(arrays.log10_norm(TensorLike(np.full(100, 1e-30, np.float32), dtype))) == pytest.approx(-29, abs=LOG10)
