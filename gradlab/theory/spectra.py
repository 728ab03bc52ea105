r"""Singular values of the input-output Jacobian of wide random networks, by free probability.

With :math:`\mu_k = E\,\varphi'(\sqrt{q^*}z)^{2k}` and L layers (Pennington, Schoenholz & Ganguli 2017) the squared
singular values have moments

.. math:: m_1 = (\sigma_w^2\mu_1)^L,\qquad m_2/m_1^2 = 1 + L(\mu_2/\mu_1^2 - 1 - s),

s = -1 for Gaussian weights and 0 for orthogonal ones. For linear and ReLU networks the S-transform of
:math:`JJ^T` is a power of a simple function, and with it density and edge are known. All of this is the limit of
infinite width at a fixed depth: the depth must be far below the width.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gradlab._errors import GradlabError, unknown
from gradlab.config import positive_integer
from gradlab.theory.gaussian import check_variances, entry_of, expectation
from gradlab.theory.log_norm import WEIGHTS
from gradlab.theory.meanfield import mean_field

#: Activations whose spectrum is known in closed form, at the scale that keeps the mean square: LeCun and He.
CLOSED = ("identity", "relu")


class SlopeMoments(NamedTuple):
    """Hold the moments mu_1 and mu_2 of phi'^2 over a Gaussian of variance `q`."""

    q: float
    mu1: float
    mu2: float

    @property
    def excess(self) -> float:
        """Return mu_2 / mu_1^2 - 1, which a layer of orthogonal weights adds to m2 / m1^2."""
        return self.mu2 / self.mu1**2 - 1


def slope_moments(activation: str, q: float) -> SlopeMoments:
    """Compute E phi'^2 and E phi'^4 at a variance q of the preactivations.

    Parameters
    ----------
    activation : str
        A name in the table; `gradlab.register_activation` adds one of your own.
    q : float
        Variance of the preactivations.

    Examples
    --------
    >>> slope_moments("relu", 1.0).excess
    1.0
    """
    check_variances("q", np.asarray(q, float))
    square, fourth = expectation(activation, lambda z, u, phi, dphi: np.stack([dphi**2, dphi**4]), q)
    return SlopeMoments(float(q), float(square), float(fourth))


def moment_ratio(
    activation: str, depth: int, *, sigma_w2: float, sigma_b2: float = 0.0, weights: str = "gaussian"
) -> float:
    """Compute m2 / m1^2 of J J^T of `depth` layers at the fixed point of the variance; 1 is isometry.

    Parameters
    ----------
    activation : str
        A name in the table; `gradlab.register_activation` adds one of your own.
    depth : int
        Number of layers L between the two ends of the Jacobian.
    sigma_w2, sigma_b2 : float
        Fan-in times the weight variance, and the bias variance.
    weights : {"gaussian", "orthogonal"}
        Distribution of the weights. With Gaussian weights every layer adds 1 more.

    Raises
    ------
    GradlabError
        If the variance has no fixed point above 0 and below infinity, unless the activation is homogeneous.

    Examples
    --------
    >>> moment_ratio("relu", 20, sigma_w2=2.0), moment_ratio("relu", 20, sigma_w2=2.0, weights="orthogonal")
    (41.0, 21.0)
    """
    depth, s = positive_integer("depth", depth), _s(weights)
    if entry_of(activation).homogeneous:  # the slope does not depend on the scale
        q = 1.0
    else:
        q = mean_field(activation, sigma_w2=sigma_w2, sigma_b2=sigma_b2).q_star
        if not 0 < q < math.inf:
            raise GradlabError("a fixed point of the variance above 0 and below infinity", f"q* = {q}", "sigma_b2=0.05")
    return 1 + depth * (slope_moments(activation, q).excess - s)


def isometric_depth(activation: str, q: float, *, weights: str = "orthogonal", ratio: float = 2.0) -> float:
    """Compute the depth up to which a network is near dynamical isometry: at which m2 / m1^2 reaches `ratio`.

    m1 and m2 are the mean and the mean square of the squared singular values of the Jacobian; m2 / m1^2 is 1 where all
    of them are equal, so that gradients keep their size in every direction.

    Gaussian weights add 1 per layer and ReLU adds 1 whatever its scale, so neither is isometric at any depth; a
    smooth activation with orthogonal weights is, up to a depth that grows without bound as q* goes to 0
    (for tanh as 1 / (8 q*^2); Pennington et al. 2017, section 3).

    Parameters
    ----------
    activation : str
        A name in the table; `gradlab.register_activation` adds one of your own.
    q : float
        Variance q* of the preactivations.
    weights : {"gaussian", "orthogonal"}
        Distribution of the weights.
    ratio : float
        Largest m2 / m1^2 that still counts as isometry; above 1.

    Examples
    --------
    >>> isometric_depth("relu", 1.0), round(isometric_depth("tanh", 0.025919))
    (1.0, 234)
    """
    if not ratio > 1:
        raise GradlabError("a ratio above 1, which is isometry", repr(ratio), "ratio=2.0")
    step = slope_moments(activation, q).excess - _s(weights)
    return math.inf if step <= 0 else (ratio - 1) / step


def effective_depth(widths: Any) -> float:
    """Compute the sum of 1 / n_l over the hidden layers, on which fluctuations at finite width depend.

    Where it is far below 1 the laws of infinite width hold; the variance of ln|Ju|^2 of a He-initialised ReLU
    network is 5 times it (Hanin 2018; Hanin & Nica 2020; for equal widths L/n: Hanin 2024, Roberts, Yaida & Hanin
    2022).

    Parameters
    ----------
    widths : sequence of int
        Units of each hidden layer.

    Examples
    --------
    >>> effective_depth([100] * 50)
    0.5
    """
    return math.fsum(1 / positive_integer("width", n) for n in widths)


def largest_eigenvalue(activation: str, depth: int, weights: str = "gaussian") -> float:
    r"""Compute the upper edge of the spectrum of J J^T of `depth` layers, at the scale that keeps the mean square.

    Biases change nothing: only the slopes of identity and ReLU enter, and half of the gates of ReLU are open whatever
    the bias.

    Linear Gaussian: :math:`(L+1)^{L+1}/L^L`; ReLU orthogonal: :math:`L^L/(L-1)^{L-1}`; ReLU Gaussian:
    :math:`(1+z)(1+2z)^L/z` at its minimum. The largest singular value is the root.

    Parameters
    ----------
    activation : {"identity", "relu"}
        Linear layers with sigma_w2 = 1, or ReLU with sigma_w2 = 2.
    depth : int
        Number of layers L.
    weights : {"gaussian", "orthogonal"}
        Distribution of the weights.

    Examples
    --------
    >>> [round(largest_eigenvalue("identity", depth), 2) for depth in (1, 2, 4)]
    [4.0, 6.75, 12.21]
    """
    depth = positive_integer("depth", depth)
    _check_closed(activation, weights)
    z = _edge(activation, depth, weights)
    if math.isinf(z):
        return 1.0 if activation == "identity" else float(2**depth)
    return float(np.exp(_log_x(np.asarray(z), activation, depth, weights).real))


def spectral_density(
    activation: str, depth: int, weights: str = "gaussian", points: int = 400
) -> tuple[np.ndarray, np.ndarray]:
    r"""Compute the density of log10 of the singular values of J, for networks of `depth` layers.

    The generating function of the moments, :math:`M(x) = z`, is the inverse of :math:`x = (1+z)/(z\,S(z))` and the
    density of x is :math:`-\mathrm{Im}\,[(1+z)/x]/\pi`; z is followed from the edge inward. For linear Gaussian
    networks this is the Fuss-Catalan law.

    Parameters
    ----------
    activation : {"identity", "relu"}
        Linear layers with sigma_w2 = 1, or ReLU with sigma_w2 = 2.
    depth : int
        Number of layers L.
    weights : {"gaussian", "orthogonal"}
        Distribution of the weights. Orthogonal linear networks have no density: all singular values are 1.
    points : int
        How many points the curve has.

    Returns
    -------
    log10_singular_value, density : ndarray, shape (points,)
        Singular values in ascending order, and their density per decade. For ReLU the density sums to 1/2, the share
        of singular values that are not zero.

    Raises
    ------
    GradlabError
        If the spectrum has no density or no closed form.

    Examples
    --------
    >>> log10_s, rho = spectral_density("identity", 1)
    >>> round(float(np.trapezoid(rho, log10_s)), 2)
    1.0
    """
    depth = positive_integer("depth", depth)
    _check_closed(activation, weights)
    if (depth == 1 or activation == "identity") and weights == "orthogonal":
        raise GradlabError(
            "a spectrum with a density", "singular values that are all equal, or 0", "weights='gaussian'"
        )
    edge = math.log(largest_eigenvalue(activation, depth, weights))
    span = 6.0 * (depth + 1)  # below it e^-6 of the mass: the density rises as x^(-L/(L+1)) toward 0
    logs = edge - span * np.linspace(0, 1, points + 1)[1:] ** 2  # fine where it begins like a root
    z, densities = complex(_edge(activation, depth, weights), 0.0), np.empty(points)
    # near its minimum x is a parabola: the first step leaves the real axis at a right angle
    z += 1j * abs(z) * 0.5 * math.sqrt(edge - logs[0])
    for i, log_x in enumerate(logs):
        z = _newton(z, log_x, activation, depth, weights)
        rho = abs(((1 + z) / np.exp(log_x)).imag) / math.pi
        densities[i] = rho * np.exp(log_x) * 2 * math.log(10)  # x = s^2: per unit of log10 s
    return (0.5 * logs / math.log(10))[::-1], densities[::-1]


def _s(weights: str) -> int:
    if weights not in WEIGHTS:
        raise unknown("weights", weights, WEIGHTS)
    return -1 if weights == "gaussian" else 0


def _check_closed(activation: str, weights: str) -> None:
    if activation not in CLOSED:
        raise unknown("an activation whose spectrum is known in closed form", activation, CLOSED)
    _s(weights)


def _powers(activation: str, depth: int, weights: str) -> tuple[int, int, int]:
    """Return the powers of 1 + z, of z and of 1 + 2z in x(z) = (1 + z) / (z S(z))."""
    gate = depth if activation == "relu" else 0  # S of a gate: (1 + z) / (z + 1/2), with sigma_w2 = 2
    gaussian = depth if weights == "gaussian" else 0  # S of Gaussian weights: 1 / (1 + z)
    return 1 + gaussian - gate, -1, gate


def _log_x(z: Any, activation: str, depth: int, weights: str) -> Any:
    a, b, c = _powers(activation, depth, weights)
    z = np.asarray(z, complex)
    return a * np.log(1 + z) + b * np.log(z) + c * np.log(1 + 2 * z)


def _slope(z: complex, activation: str, depth: int, weights: str) -> complex:
    a, b, c = _powers(activation, depth, weights)
    return a / (1 + z) + b / z + 2 * c / (1 + 2 * z)


def _edge(activation: str, depth: int, weights: str) -> float:
    """Find the z > 0 at which x has its minimum: a/(1+z) + b/z + 2c/(1+2z) = 0; inf where x has none."""
    a, b, c = _powers(activation, depth, weights)
    roots = np.roots([2 * a + 2 * b + 2 * c, a + 3 * b + 2 * c, b])
    real = [r.real for r in np.atleast_1d(roots) if abs(r.imag) < 1e-12 and r.real > 0]
    return min(real, default=math.inf)


def _newton(z: complex, log_x: float, activation: str, depth: int, weights: str) -> complex:
    for _ in range(60):
        step = (_log_x(z, activation, depth, weights) - log_x) / _slope(z, activation, depth, weights)
        size = abs(step) / abs(z)
        z -= complex(step) * min(1.0, 0.5 / size if size > 0 else 1.0)
        if size < 1e-14:
            break
    return z
