r"""Bidiagonalisation of a matrix that is known by its products alone, far outside the range of floats too.

Golub & Kahan 1965: from a unit vector :math:`v_1`,

.. math:: \alpha_j u_j = J v_j - \beta_{j-1} u_{j-1},\qquad \beta_j v_{j+1} = J^T u_j - \alpha_j v_j,

so :math:`J V = U B` with B upper bidiagonal, whose singular values come near those of J, the outermost first.
New vectors are orthogonalised against all before, the last one of the recurrence among them, twice and in float64:
without it copies of values appear that have converged already.
Free of JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

#: Function of vectors (problems, n) that returns their images: mantissas (problems, m), and an exponent for each.
Product = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
#: A coupling below this share of the largest one so far is rounding, and the subspace is invariant.
BREAKDOWN = 1e-14


class Ritz(NamedTuple):
    """Hold the singular values of a bidiagonal matrix, which approximate those of J.

    Parameters
    ----------
    values : ndarray, shape (problems, iterations)
        Singular values, from the largest, in units of 2**exponent.
    residuals : ndarray, shape (problems, iterations)
        Bounds on their distance to a singular value of J, in the same units.
    weights : ndarray, shape (problems, iterations)
        Squared components of the start along each singular vector. With the values they are a Gauss quadrature of J's
        spectral measure.
    exponent : ndarray, shape (problems,)
        Power of two of each problem.
    """

    values: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray
    exponent: np.ndarray


def bidiagonalise(
    push: Product,
    pull: Product,
    start: np.ndarray,
    iterations: int,
    enough: Callable[[Ritz], bool] = lambda ritz: False,
    *,
    every: int = 5,
    rng: np.random.Generator | None = None,
) -> Ritz:
    """Bidiagonalise several matrices at once, by the method of Golub, Kahan and Lanczos.

    Parameters
    ----------
    push, pull : callable
        Products with J and with its transpose.
    start : ndarray, shape (problems, n)
        Start vectors, not zero. n is the smaller side of J, so that n iterations are exact.
    iterations : int
        Largest number of iterations, at most n.
    enough : callable
        ``enough(ritz)`` says whether to stop early.
    every : int
        How many iterations pass between two calls of `enough`.
    rng : Generator, optional
        Random numbers for new starts where a subspace turns out to be invariant.

    Returns
    -------
    Ritz
        Singular values of the bidiagonal matrices.
    """
    rng = rng or np.random.default_rng(0)
    v, _ = _unit(np.asarray(start, np.float64))
    image, exponent = push(v)
    unit = np.where(exponent < -(2**29), 0, exponent)  # a zero matrix has no scale
    scaled = lambda product: np.ldexp(product[0].astype(np.float64), (product[1] - unit).clip(-2000, 2000)[:, None])
    image = np.ldexp(image.astype(np.float64), (exponent - unit).clip(-2000, 2000)[:, None])
    right, left, alphas, betas = [v], [], [], []
    for iteration in range(1, iterations + 1):
        u, alpha = next_vector(image, left, alphas + betas, rng)
        left.append(u)
        alphas.append(alpha)
        v, beta = next_vector(scaled(pull(u)), right, alphas + betas, rng)
        betas.append(beta)
        if iteration == iterations:
            break
        if iteration % every == 0 and enough(_ritz(alphas, betas, unit)):
            break
        right.append(v)
        image = scaled(push(v))
    return _ritz(alphas, betas, unit)


def _unit(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = np.linalg.norm(x, axis=-1)
    return x / np.where(size > 0, size, 1)[:, None], size


def next_vector(
    x: np.ndarray, basis: list[np.ndarray], sizes: list[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the next unit vector and its coupling; a random vector and 0 where nothing but rounding is left."""
    x = _orthogonal(x, basis)
    unit, size = _unit(x)
    largest = np.max(sizes, axis=0) if sizes else np.zeros_like(size)
    gone = size <= BREAKDOWN * largest
    if gone.any():
        fresh, left = _unit(_orthogonal(rng.normal(size=x.shape), basis))
        room = left > 1e-8  # nothing is left where the basis spans the whole space
        unit = np.where(gone[:, None], np.where(room[:, None], fresh, 0), unit)
        size = np.where(gone, 0, size)
    return unit, size


def _orthogonal(x: np.ndarray, basis: list[np.ndarray]) -> np.ndarray:
    if not basis:
        return x
    known = np.stack(basis, 1)  # (problems, vectors, n)
    for _ in range(2):
        x = x - np.matmul(np.matmul(known, x[..., None])[..., 0][:, None, :], known)[:, 0]
    return x


def _ritz(alphas: list[np.ndarray], betas: list[np.ndarray], exponent: np.ndarray) -> Ritz:
    """Compute the singular values of the bidiagonal matrix, with the last coupling as residual."""
    a, b = np.stack(alphas, 1), np.stack(betas, 1)
    index = np.arange(a.shape[1])
    matrix = np.zeros((*a.shape, a.shape[1]))
    matrix[:, index, index] = a
    matrix[:, index[:-1], index[1:]] = b[:, :-1]
    x, values, y = np.linalg.svd(matrix)
    return Ritz(values, b[:, -1:] * np.abs(x[:, -1, :]), y[:, :, 0] ** 2, exponent)
