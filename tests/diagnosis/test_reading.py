"""The vector of one array against NumPy in float64: any scale, any format, in parts, and where there is nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.diagnosis import reading
from gradlab.diagnosis.sites import Site

#: Sums of n numbers of float32 are within n half roundings of 6e-8 of theirs, in the worst case.
ROUNDING = 6e-8


READ = jax.jit(reading.read, static_argnums=(1, 2))


def site(shape, features=(), function="", kind="product"):
    return Site(0, "a", kind, "dot_general", tuple(shape), "float32", features=tuple(features), function=function)


def looked(x, features=(), function="", role="value", kind="activation"):
    x = jnp.asarray(x)
    return reading.columns(np.asarray(READ(x, site(x.shape, features, function, kind), role)))


def expected(x, axis=0):
    """The same from the arrays themselves."""
    x = np.asarray(x, np.float64)
    rms = np.sqrt(np.mean(x**2))
    n = x.shape[axis] // 2 * 2
    one, two = (np.take(x, range(start, n, 2), axis) for start in (0, 1))
    gap = np.sum((one - two) ** 2) / np.sum(one**2 + two**2)
    return {
        "log10_rms": np.log10(rms),
        "mean_over_rms": x.mean() / rms,
        "log10_max": np.log10(np.abs(x).max()),
        "zero_fraction": np.mean(x == 0),
        "log10_one_minus_c": np.log10(gap),
        "cosine": 1 - gap,
    }


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        ("float32", 1.0), ("float32", 1e-30), ("float32", 1e30), ("float32", 1e-35), ("float32", 1e38),
        ("bfloat16", 1e-30), ("bfloat16", 1e30), ("float16", 1e-6), ("float16", 1e4), ("float8_e5m2", 1.0),
    ],
)  # fmt: skip
def test_columns_at_any_scale(dtype, scale):
    rng = np.random.default_rng(0)
    x = rng.normal(1.0, 1.0, (7, 5, 6)) * scale
    x = jnp.asarray(x, "float32").astype(dtype).at[0, 0, :3].set(0)
    found = looked(x, features=(2,))
    for name, value in expected(x.astype("float32")).items():
        assert found[name] == pytest.approx(value, rel=0, abs=x.size * ROUNDING), name
    assert found["not_finite"] == 0 and found["dead_fraction"] == 0


@pytest.mark.parametrize(("shape", "features", "axis"), [((4, 3), (1,), 0), ((3, 4), (0,), 1), ((2, 5, 6), (1,), 0)])
def test_examples_stand_on_the_first_axis_that_is_no_units(shape, features, axis):
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    assert looked(x, features)["cosine"] == pytest.approx(expected(x, axis)["cosine"], abs=x.size * ROUNDING)


def test_examples_that_are_nearly_alike():
    x = np.random.default_rng(2).normal(size=(2, 64)).astype("float32")
    x[1] = x[0] * (1 + 2.0**-20)
    # the difference of two near floats is exact, of any top
    assert looked(x)["log10_one_minus_c"] == pytest.approx(expected(x)["log10_one_minus_c"], abs=1e-5)
    x[1] = x[0]
    assert looked(x)["log10_one_minus_c"] == -np.inf and looked(x)["cosine"] == 1


def test_one_large_pair_of_examples_does_not_hide_in_an_odd_batch():
    """The example without a partner is in neither sum."""
    x = np.array([[1.0, 0], [0, 1], [100, 100]], "float32")
    assert looked(x)["cosine"] == 0


@pytest.mark.parametrize("cut", [1, 3, 6])
def test_parts_make_the_whole(cut):
    x = np.random.default_rng(3).normal(0.5, 1, (8, 4)).astype("float32")
    x[2 * (cut // 2) :] *= 1e20
    x[0, 0], x[5, 1] = 0, np.inf
    x[7, 3] = np.nan
    parts = [READ(jnp.asarray(p), site(p.shape, (1,)), "value") for p in (x[:cut], x[cut:])]
    whole = reading.columns(np.asarray(READ(jnp.asarray(x), site(x.shape, (1,)), "value")))
    merged = reading.columns(np.asarray(reading.merge(*parts)))
    assert whole["not_finite"] == 2
    for name in ("log10_rms", "mean_over_rms", "log10_max", "zero_fraction", "not_finite"):
        assert merged[name] == pytest.approx(whole[name], abs=x.size * ROUNDING), name
    if cut % 2 == 0:  # pairs are within the parts
        assert merged["cosine"] == pytest.approx(whole["cosine"], abs=x.size * ROUNDING)


def test_a_merge_with_nothing_changes_nothing():
    v = READ(jnp.asarray([[1e-30, 2e-30]]), site((1, 2), (1,)), "value")
    assert np.array_equal(reading.merge(v, jnp.zeros_like(v)), v)
    assert np.array_equal(reading.merge(jnp.zeros((3, len(v))), jnp.stack([v] * 3)), np.stack([v] * 3))


def test_what_is_not_finite_is_counted_and_left_out():
    found = looked(np.array([[3.0, np.nan], [np.inf, -4.0]], "float32"))
    assert found["not_finite"] == 2
    assert found["log10_rms"] == pytest.approx(np.log10(np.sqrt(12.5)), abs=1e-6)
    assert np.isnan(looked(np.full((2, 2), np.nan, "float32"))["log10_rms"])


def test_zeros_empty_arrays_and_scalars():
    zero = looked(np.zeros((4, 3), "float32"), features=(1,))
    assert zero["log10_rms"] == zero["log10_max"] == -np.inf
    assert zero["zero_fraction"] == 1 and zero["dead_fraction"] == 1
    assert np.isnan(
        [zero["mean_over_rms"], zero["cosine"], zero["log10_one_minus_c"], zero["saturated_fraction"]]
    ).all()
    empty = looked(np.zeros((0, 3), "float32"), features=(1,))
    assert all(np.isnan(v) for name, v in empty.items() if name != "dead_fraction")
    alone = looked(np.float32(-1e-30))
    assert alone["log10_rms"] == pytest.approx(-30, abs=1e-6) and alone["mean_over_rms"] == pytest.approx(-1)
    assert np.isnan([alone["cosine"], alone["dead_fraction"]]).all()


def test_what_a_processor_rounds_to_zero_is_zero_in_all_columns():
    found = looked(np.full((2, 2), 1e-40, "float32"))
    assert (found["zero_fraction"] == 1) == (found["log10_max"] == -np.inf)


def test_dead_units_and_entries_near_a_limit():
    x = np.array([[0.0, 1.0, 0.995], [0.0, 0.5, 1.0]], "float32")
    found = looked(x, (1,), "tanh")
    assert found["dead_fraction"] == pytest.approx(1 / 3)
    # within 1 % of the range of 2: above 0.98
    assert found["saturated_fraction"] == pytest.approx(3 / 6)
    assert looked(x, (1,), "logistic")["saturated_fraction"] == pytest.approx(5 / 6)
    assert np.isnan(looked(x, (1,), kind="product")["dead_fraction"])
    for function, role in (("relu", "value"), ("", "value"), ("tanh", "delta")):
        assert np.isnan(looked(x, (1,), function, role)["saturated_fraction"])


def test_vectors_of_many_steps_at_once():
    x = np.random.default_rng(4).normal(size=(3, 4, 5)).astype("float32")
    many = jax.vmap(lambda v: READ(v, site((4, 5), (1,)), "value"))(jnp.asarray(x))
    assert many.shape == (3, len(reading.FIELDS))
    assert reading.columns(np.asarray(many))["log10_rms"] == pytest.approx(
        [expected(v)["log10_rms"] for v in x], abs=20 * ROUNDING
    )


def test_counts_are_exact_where_a_float_would_stop():
    assert looked(np.zeros(2**24 + 2, "float16"))["zero_fraction"] == 1


def test_64_bits_stay_so(x64):
    v = READ(jnp.full((2, 2), 1e-200), site((2, 2)), "delta")
    assert v.dtype == "float64" and reading.columns(np.asarray(v))["log10_rms"] == pytest.approx(-200, abs=1e-12)
