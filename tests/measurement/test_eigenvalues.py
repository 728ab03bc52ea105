"""Lanczos' method for symmetric matrices against NumPy's eigenvalues."""

import numpy as np
import pytest

from gradlab import GradlabError
from gradlab.measurement.eigenvalues import largest_eigenvalues


def symmetric(values, seed=0):
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))
    return basis @ np.diag(values) @ basis.T


def found(matrix, count=1, **options):
    calls = []
    times = lambda v: calls.append(v) or matrix @ v
    result = largest_eigenvalues(times, len(matrix), count, **options)
    assert result.products == len(calls)
    return result


def test_the_largest_come_first_though_the_most_negative_is_larger():
    values = np.concatenate([[-30.0, 9.0, 8.0, 6.0], np.linspace(-1, 1, 196)])
    result = found(symmetric(values), 3, tolerance=1e-6)
    # an eigenvalue lies within its residual, which is below the tolerance times the largest of them
    np.testing.assert_allclose(result.values, [9, 8, 6], rtol=0, atol=1e-6 * 9)
    assert (result.residuals <= 1e-6 * 9).all() and result.products < 60


def test_residuals_bound_the_distance_to_an_eigenvalue():
    values = np.geomspace(1, 1e-3, 100)
    result = found(symmetric(values), 2, tolerance=0.03)
    nearest = np.abs(result.values[:, None] - values).min(1)
    assert np.all(nearest <= result.residuals) and result.values[0] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_as_many_products_as_rows_are_exact_at_any_scale(scale):
    values = scale * np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    result = found(symmetric(values), 5, tolerance=0.0)
    # orthogonalised twice: absolute errors of n eps times the norm
    np.testing.assert_allclose(result.values, values[::-1], rtol=0, atol=30 * 5 * 2.3e-16 * 5 * scale)


def test_a_zero_matrix_has_the_eigenvalue_0_and_one_of_low_rank_its_few():
    assert found(np.zeros((6, 6))).values.tolist() == [0.0]
    low = found(symmetric([4.0, *[0.0] * 20]))
    assert low.values == pytest.approx([4]) and low.products <= 3


def test_what_is_not_finite_or_does_not_converge_is_nan():
    assert np.isnan(largest_eigenvalues(lambda v: np.inf * v, 3).values).all()
    slow = found(symmetric(np.linspace(0, 1, 300)), tolerance=1e-9, most=8)
    assert np.isnan(slow.values).all() and np.isnan(slow.residuals).all() and slow.products == 8


def test_more_eigenvalues_than_rows_are_refused():
    with pytest.raises(GradlabError, match="from 1 to 3 eigenvalues"):
        found(np.eye(3), 4)
