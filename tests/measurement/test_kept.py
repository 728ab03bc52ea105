"""What readers keep, beside the plain definition in float64: sizes of examples that lie far apart, zeros among them."""

import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.core.scaled import scaled, to_numpy
from gradlab.measurement.kept import Examples, Pairs, Rows, SiteRecord

#: Logarithms of float32 sums of 7 terms, and their digits: a few units in the last place, in decades.
ROUNDING = 1e-6
GROUPS, BATCH, ENTRIES = 2, 5, 7


@pytest.fixture(scope="module")
def rows():
    """A signal whose examples lie decades apart, one of them 0, and what is kept of it."""
    x = np.random.default_rng(3).normal(size=(GROUPS, BATCH, ENTRIES)) * 10.0 ** np.array([-12, -3, 0, 4, 0])[:, None]
    x[:, 4] = 0
    x = x.astype(np.float32)
    return x.astype(float), to_numpy(Rows.of(scaled(jnp.asarray(x))))


def test_the_rms_is_over_all_entries_of_all_examples(rows):
    x, kept = rows
    np.testing.assert_allclose(kept.log10_rms(), np.log10(np.sqrt(np.mean(x**2, (1, 2)))), rtol=0, atol=ROUNDING)


def test_the_mean_logarithm_is_over_examples_that_are_not_zero(rows):
    x, kept = rows
    own = np.log10(np.sqrt(np.mean(x[:, :4] ** 2, 2)))
    np.testing.assert_allclose(kept.mean_log10(), own.mean(1), rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(kept.zero_fraction(), np.full(GROUPS, 1 / BATCH))


def test_the_mean_is_measured_in_units_of_the_rms(rows):
    x, kept = rows
    sums = to_numpy(jnp.sum(scaled(jnp.asarray(x, jnp.float32)).mantissa, -1))
    want = x.mean((1, 2)) / np.sqrt(np.mean(x**2, (1, 2)))
    np.testing.assert_allclose(kept.mean_over_rms(sums), want, rtol=0, atol=ROUNDING)


def test_nothing_but_zeros():
    kept = to_numpy(Rows.of(scaled(jnp.zeros((GROUPS, BATCH, ENTRIES)))))
    for found in (kept.log10_rms(), kept.mean_log10()):
        np.testing.assert_array_equal(found, np.full(GROUPS, -np.inf))
    np.testing.assert_array_equal(kept.mean_over_rms(np.zeros((GROUPS, BATCH))), np.zeros(GROUPS))


def test_what_a_site_tells_of_its_deltas_is_of_each_examples_own_loss(rows):
    """Deltas are kept of the mean loss: they are as many times larger as there are examples."""
    x, kept = rows
    wanted = frozenset({"log10_delta_rms", "delta_log10_mean", "log10_activation_rms"})
    found = SiteRecord("dense", {"delta": kept, "activation": kept}, wanted).columns()
    rms = np.log10(np.sqrt(np.mean(x**2, (1, 2))))
    np.testing.assert_allclose(found["log10_delta_rms"], rms + np.log10(BATCH), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found["log10_activation_rms"], rms, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found["delta_log10_mean"], kept.mean_log10() + np.log10(BATCH), rtol=0, atol=ROUNDING)


def test_gradients_of_examples():
    """Of the mean loss: each one's own gradient is as many times its part as there are examples."""
    own = np.random.default_rng(4).normal(size=(BATCH, 6, 3)).astype(np.float32).astype(float)
    flat = own.reshape(BATCH, -1)
    norms = np.linalg.norm(flat, axis=1)
    cosines = flat @ flat.T / np.outer(norms, norms)
    parts = scaled(jnp.asarray(norms / BATCH, jnp.float32)[:, None])
    sizes = parts._replace(mantissa=parts.mantissa[:, 0])
    kept = to_numpy(Examples.of(jnp.asarray(cosines, jnp.float32), sizes, together=True))
    mean, off = flat.mean(0), ~np.eye(BATCH, dtype=bool)
    covariance = np.sum((flat - mean) ** 2) / (BATCH - 1)
    assert kept.log10_rms() == pytest.approx(0.5 * np.log10(np.mean(norms**2)), abs=ROUNDING)
    assert kept.log10_norm() == pytest.approx(np.log10(np.linalg.norm(mean)), abs=ROUNDING)
    assert kept.cosine_mean() == pytest.approx(cosines[off].mean(), abs=ROUNDING)
    assert kept.snr() == pytest.approx(BATCH * np.sum(mean**2) / covariance, rel=1e-5)


def test_pairs_without_a_zero():
    value, exponent = np.array([0.5, 0.75, 0.0, np.nan]), np.array([-40.0, -300, 0, 0])
    kept = Pairs(value, exponent, np.array([True, True, True, False]))
    assert kept.log10_mean() == pytest.approx(np.log10(0.5 / 3) - 40 * np.log10(2), abs=1e-12)
    assert kept.zero_fraction() == 0.25
    assert np.isnan(Pairs(value, exponent, np.zeros(4, bool)).log10_mean())
