r"""Largest eigenvalues of a symmetric matrix that is known by its products alone, by Lanczos' method.

From a unit vector :math:`v_1`,

.. math:: \beta_j v_{j+1} = H v_j - \alpha_j v_j - \beta_{j-1} v_{j-1}, \qquad \alpha_j = v_j^T H v_j,

so :math:`V^T H V = T` is tridiagonal, and its eigenvalues come near those of H, the outermost first. New vectors are
orthogonalised against all before, as in `gradlab.measurement.lanczos`. Free of JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal

from gradlab._errors import GradlabError
from gradlab.measurement.lanczos import next_vector

#: Iterations after which a method that has not converged gives up.
MOST_PRODUCTS = 300


@dataclass(frozen=True)
class Eigenvalues:
    """Hold the largest eigenvalues of a matrix, and what they cost.

    Parameters
    ----------
    values : ndarray, shape (count,)
        From the largest; with their signs, so that the most negative is the last.
    residuals : ndarray, shape (count,)
        Bounds on the distance of each to an eigenvalue of the matrix.
    products : int
        Products of the matrix with a vector that were computed.
    """

    values: np.ndarray
    residuals: np.ndarray
    products: int


def largest_eigenvalues(
    times: Callable[[np.ndarray], np.ndarray],
    size: int,
    count: int = 1,
    *,
    tolerance: float = 1e-3,
    most: int = MOST_PRODUCTS,
) -> Eigenvalues:
    """Return the algebraically largest eigenvalues of a symmetric matrix.

    Parameters
    ----------
    times : callable
        Takes a float64 vector and returns its product with the matrix.
    size : int
        Rows of the matrix.
    count : int
        How many eigenvalues.
    tolerance : float
        The method stops where each residual is below this share of the largest absolute eigenvalue that is asked for.
    most : int
        Largest number of products. It holds as many vectors as it has made products.

    Returns
    -------
    Eigenvalues
        All NaN where a product is not finite, or where the method does not converge.

    Examples
    --------
    >>> import numpy as np
    >>> matrix = np.diag([3.0, 2.0, -5.0])
    >>> largest_eigenvalues(lambda v: matrix @ v, 3).values.round(6).tolist()
    [3.0]
    """
    if not 1 <= count <= size:
        raise GradlabError(f"from 1 to {size} eigenvalues, as many as the matrix has", str(count), "count=1")
    rng = np.random.default_rng(0)  # the same start at every step of a training: curves are smooth
    start = rng.normal(size=(1, size))
    basis, alphas, betas = [start / np.linalg.norm(start)], [], []
    absent = np.full(count, np.nan)
    for products in range(1, min(size, most) + 1):
        image = np.asarray(times(basis[-1][0]), np.float64)[None]
        if not np.isfinite(image).all():
            return Eigenvalues(absent, absent, products)
        alphas.append(float(np.vdot(basis[-1], image)))
        sizes = [np.abs([value]) for value in (*alphas, *betas)]
        following, beta = next_vector(image, basis, sizes, rng)
        betas.append(float(beta[0]))
        if products >= count:
            values, residuals = _largest(alphas, betas, count)
            # with as many products as rows nothing is left to find
            if products == size or (residuals <= tolerance * np.abs(values).max()).all():
                return Eigenvalues(values[::-1], residuals[::-1], products)
        basis.append(following)
    return Eigenvalues(absent, absent, min(size, most))


def _largest(alphas: list[float], betas: list[float], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues of the tridiagonal matrix, ascending, and their residuals."""
    unit = max(np.abs([*alphas, *betas])) or 1.0  # squares of entries far from 1 would leave the range of floats
    places = len(alphas) - count, len(alphas) - 1
    values, vectors = eigh_tridiagonal(
        np.array(alphas) / unit, np.array(betas[:-1]) / unit, select="i", select_range=places
    )  # fmt: skip
    return unit * values, betas[-1] * np.abs(vectors[-1])
