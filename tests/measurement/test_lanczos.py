"""Bidiagonalisation against NumPy's decomposition of matrices that are known."""

import numpy as np
import pytest

from gradlab.measurement.lanczos import bidiagonalise


def matrix(m, n, values, seed=0):
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.normal(size=(m, len(values))))
    right, _ = np.linalg.qr(rng.normal(size=(n, len(values))))
    return left @ np.diag(values) @ right.T


def product(matrices, exponent=0):
    """Products of several matrices with a vector each, as mantissas with exponents of their own."""

    def of(v):
        images = np.stack([a @ x for a, x in zip(matrices, v, strict=True)])
        _, powers = np.frexp(np.abs(images).max(1))
        return np.ldexp(images, -powers[:, None]), powers.astype(np.int64) + exponent

    return of


def run(matrices, steps, exponent=0, **options):
    n = matrices[0].shape[1]
    start = np.random.default_rng(5).normal(size=(len(matrices), n))
    transposed = [a.T for a in matrices]
    found = bidiagonalise(product(matrices, exponent), product(transposed, exponent), start, steps, **options)
    return found, start


@pytest.mark.parametrize("shape", [(30, 30), (40, 25)])
@pytest.mark.parametrize("exponent", [0, -4000, 4000])
def test_as_many_steps_as_columns_are_exact(shape, exponent):
    rng = np.random.default_rng(1)
    matrices = [rng.normal(size=shape), 1e-3 * rng.normal(size=shape)]
    found, _ = run(matrices, shape[1], exponent)
    wanted = np.linalg.svd(np.stack(matrices), compute_uv=False)
    values = np.ldexp(found.values, (found.exponent - exponent)[:, None])
    # orthogonalised twice the basis is orthogonal to n eps: backward stable, so absolute errors of n eps times the norm
    assert np.max(np.abs(values - wanted) / wanted[:, :1]) < 30 * 40 * 2.3e-16


def test_residuals_bound_the_distance_to_a_singular_value():
    a = matrix(60, 60, np.geomspace(1, 1e-4, 60))
    found, _ = run([a], 12)
    exact = np.linalg.svd(a, compute_uv=False)
    values = np.ldexp(found.values[0], found.exponent[0])
    nearest = np.abs(values[:, None] - exact).min(1)
    assert np.all(nearest <= np.ldexp(found.residuals[0], found.exponent[0]) + 1e-13)
    assert nearest[0] < 1e-6  # and the largest is found


def test_equal_singular_values_are_found_as_often_as_they_are_there():
    values = [3.0] * 4 + [1.0] * 20
    found, _ = run([matrix(24, 24, values)], 24)
    assert np.ldexp(found.values[0], found.exponent[0]) == pytest.approx(values, abs=1e-12)


def test_an_invariant_subspace_is_left_by_a_new_start():
    """From a unit vector of the identity nothing is left after one step, to the last bit."""
    products = product([np.eye(8)])
    found = bidiagonalise(products, products, np.eye(8)[:1], 8)
    assert np.ldexp(found.values[0], found.exponent[0]) == pytest.approx(np.ones(8), abs=1e-14)


def test_a_matrix_of_low_rank_and_a_zero_matrix():
    found, _ = run([matrix(10, 10, [2.0, 1.0]), np.zeros((10, 10))], 10)
    values = np.ldexp(found.values, found.exponent[:, None])
    assert values[0] == pytest.approx([2, 1] + [0] * 8, abs=1e-13)
    assert not values[1].any()


def test_weights_are_a_gauss_quadrature_of_the_spectral_measure():
    """Exact for polynomials in the squared singular values of degree 2 k - 1 with k nodes."""
    a = np.random.default_rng(2).normal(size=(20, 20)) / 5
    found, start = run([a], 4)
    v = start[0] / np.linalg.norm(start[0])
    values = np.ldexp(found.values[0], found.exponent[0])
    assert found.weights[0].sum() == pytest.approx(1, abs=1e-13)
    for power in range(8):
        exact = v @ np.linalg.matrix_power(a.T @ a, power) @ v
        assert np.sum(found.weights[0] * values ** (2 * power)) == pytest.approx(exact, rel=1e-11)
    too_high = v @ np.linalg.matrix_power(a.T @ a, 8) @ v
    assert np.sum(found.weights[0] * values**16) != pytest.approx(too_high, rel=1e-6)


def test_it_stops_when_told():
    a = matrix(50, 50, np.geomspace(1, 1e-8, 50))
    found, _ = run([a], 50, enough=lambda ritz: bool(ritz.residuals[0, 0] < 1e-8 * ritz.values[0, 0]), every=1)
    assert found.values.shape[1] < 15
