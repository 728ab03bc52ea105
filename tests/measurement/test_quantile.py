"""The upper quantile against NumPy's, which sorts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.measurement.quantile import upper_quantile

RNG = np.random.default_rng()
SHAPES = [(1,), (2,), (7,), (5, 100), (3, 2, 51)]


def draws(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    normal = RNG.standard_normal(shape)
    return {
        "normal": normal,
        "ties": np.round(normal),
        "mostly zero": np.maximum(normal - 2, 0),
        "zeros of both signs": np.where(normal > 0, 0.0, -0.0),
        "negative": -np.abs(normal),
        "wide": normal * 10.0 ** RNG.integers(-37, 37, shape),
    }[kind]


@pytest.mark.parametrize("kind", ["normal", "ties", "mostly zero", "zeros of both signs", "negative", "wide"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_as_numpy(kind, share):
    for shape in SHAPES:
        for dtype in (np.float32, np.float64):
            x = draws(kind, shape).astype(dtype)
            with jax.enable_x64(dtype is np.float64):
                found = np.asarray(upper_quantile(jnp.asarray(x), share))
            expected = np.quantile(x.astype(np.float64), 1 - share, axis=-1)
            # two entries are subtracted and a fraction of that added: gaps of two times the largest entry, four
            # roundings; NumPy and we count the place, up to n, from different ends, in float64
            tolerance = (8 * np.finfo(dtype).eps + 2 * shape[-1] * np.finfo(float).eps) * np.abs(x).max(-1)
            assert found.dtype == dtype and found.shape == shape[:-1]
            assert (np.abs(found - expected) <= tolerance).all(), (shape, dtype)


def test_an_entry_itself_is_exact():
    x = jnp.asarray(RNG.standard_normal(101), jnp.float32)  # 2 % of 100 gaps is the third largest
    assert float(upper_quantile(x, 0.02)) == float(np.sort(x)[-3])


def test_nan_counts_as_largest_and_infinities_as_they_are():
    x = jnp.asarray([jnp.nan, jnp.inf, 3.0, 2.0, -jnp.inf])
    assert np.isnan(upper_quantile(x, 0.0)) and float(upper_quantile(x, 0.25)) == np.inf
    assert float(upper_quantile(x, 0.5)) == 3.0 and float(upper_quantile(x, 1.0)) == -np.inf
    assert float(upper_quantile(jnp.full(7, jnp.inf), 0.02)) == np.inf
