r"""Finite width adds to the mean field a bias of the slope and fluctuations between initialisations.

In layers of n units, to first order in 1/n,

.. math:: E\ln\frac{|\delta_1|^2}{|\delta_L|^2} = (L-1)\Bigl(\ln\chi_1 + \frac{M}{n}\Bigr),\qquad
          \mathrm{Var}\ln\frac{|\delta_1|^2}{|\delta_L|^2} = (L-1)\frac{A}{n}.

A has three sources: the gates phi'^2 of a layer are a finite sample (:math:`3\mu_4/\mu_2^2 - 1` with
:math:`\mu_k = E\phi'^k`; 5 for ReLU, 2 for linear layers: Hanin 2018), the variance q wanders
around q*, and the two are correlated. M is half of the first with the other sign (the logarithm
is concave), the curvature of ln chi over the wandering q, and the part of the delta along the
forward signal, which the weights carry back otherwise than the rest. Layer by layer, from the input on and
without a fixed point, the three stand in `gradlab.theory.layer_terms`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import polygamma, psi

from gradlab._errors import GradlabError, unknown
from gradlab.theory.gaussian import check_variances, entry_of, expectation
from gradlab.theory.layer_terms import moments_of_slopes
from gradlab.theory.log_norm import GATES
from gradlab.theory.meanfield import fixed_points

#: Largest V'(q*) at which the expansion in 1/n is used: its terms grow like 1/(1 - V')^2.
STABLE = 0.98


@dataclass(frozen=True)
class Coefficients:
    """What a finite width n changes in ln|delta|^2, per layer and to the first order in 1/n.

    Over L layers of width n, its variance over initialisations is A L / n, and its mean moves by M L / n.

    Parameters
    ----------
    A : float
        n times the variance over initialisations, per layer.
    M : float
        n times the change of the mean slope, per layer.
    q_star : float
        The variance of the preactivations at which A and M hold; NaN for a homogeneous activation, where they hold
        at every variance.
    chi1 : float
        Factor of the mean squared delta per layer at that variance, at infinite width.
    """

    A: float
    M: float
    q_star: float
    chi1: float


def coefficients(activation: str, sigma_w2: float, sigma_b2: float = 0.0) -> Coefficients:
    r"""Compute A and M of the expansion in 1/n at a stable fixed point q* of the variance, for Gaussian weights.

    With :math:`\mu_k = E\phi'^k`, :math:`a = d\ln\chi/dq`, :math:`v = \sigma_w^4 \mathrm{Var}\,\phi^2`,
    all at q*, and primes for d/dq,

    .. math::
        A &= \frac{3\mu_4}{\mu_2^2} - 1 + \frac{a^2 v}{(1-V')^2}
             + \frac{2a\sigma_w^2}{1-V'}\Bigl(\frac{E\phi^2\phi'^2}{\mu_2} - E\phi^2\Bigr),\\
        M &= -\frac12\Bigl(\frac{3\mu_4}{\mu_2^2}-1\Bigr)
             + \Bigl(\frac{(\ln\chi)''}{2} + \frac{aV''}{2(1-V')}\Bigr)\frac{v}{1-V'^2}
             + \frac{\rho(k_0-1)}{1-\rho r}\,\frac{E\phi^2\phi'^2}{\mu_2 E\phi^2},

    :math:`k_0 = E h^2\phi'^2/(q^*\mu_2)` and :math:`r = (E h\phi\phi')^2/(q^*\mu_2 E\phi^2)`, h the
    preactivation, and :math:`\rho = (q^*-\sigma_b^2)/q^*` its share that comes through the weights: they carry the part
    of the delta along h - b, which a bias b makes another direction than h. A homogeneous activation has no a and no
    part along the signal, and neither term needs a fixed point: A = -2M.

    Parameters
    ----------
    activation : str
        A name in the table; `gradlab.register_activation` adds one of your own.
    sigma_w2 : float
        Fan-in times the variance of the weights.
    sigma_b2 : float
        Variance of the biases.

    Raises
    ------
    GradlabError
        If there is no stable fixed point: the variance shrinks or grows for ever, or approaches q* too slowly for an
        expansion (V' > 0.98), as with tanh at its critical point.

    Examples
    --------
    >>> tanh = coefficients("tanh", 2.0)
    >>> round(tanh.A, 3), round(tanh.M, 3)
    (4.365, -1.674)
    """
    entry = entry_of(activation)
    check_variances("sigma_w2", sigma_w2)
    check_variances("sigma_b2", sigma_b2, "at least 0")
    q = 1.0 if entry.homogeneous else _fixed_point(entry, sigma_w2, sigma_b2)

    p, g, pp, gg, pg, hhg, hpd, g1, g2, p1, p2 = expectation(entry, moments_of_slopes, q)
    gate = 3 * gg / g**2 - 1
    chi1 = sigma_w2 * g
    if entry.homogeneous:
        return Coefficients(float(gate), float(-gate / 2), float("nan"), float(chi1))
    slope, curve = g1 / (2 * q * g), g2 / (4 * q**2 * g)
    curve -= slope**2
    rise, bend = sigma_w2 * p1 / (2 * q), sigma_w2 * p2 / (4 * q**2)
    if rise > STABLE:
        raise _no_fixed_point(entry.name, sigma_w2, sigma_b2, f"V' = {rise:.3f} at q* = {q:.4g}")
    wander = sigma_w2**2 * (pp - p**2)
    A = gate + slope**2 * wander / (1 - rise) ** 2 + 2 * slope * sigma_w2 * (pg / g - p) / (1 - rise)
    share = 1 - sigma_b2 / q
    along = share * (hhg / (q * g) - 1) / (1 - share * hpd**2 / (q * p * g)) * pg / (p * g)
    M = -gate / 2 + (curve / 2 + slope * bend / (2 * (1 - rise))) * wander / (1 - rise**2) + along
    return Coefficients(float(A), float(M), float(q), float(chi1))


def _fixed_point(entry, sigma_w2: float, sigma_b2: float) -> float:
    """Return the variance that the map tends to from inputs of mean square 1."""
    log_q = float(fixed_points(entry, *(np.array([v]) for v in (sigma_w2, sigma_b2, sigma_w2 + sigma_b2)))[0])
    if np.isinf(log_q):
        way = "grows" if log_q > 0 else "shrinks"
        raise _no_fixed_point(entry.name, sigma_w2, sigma_b2, f"a variance that {way} for ever")
    return float(np.exp(log_q))


def _no_fixed_point(name: str, sigma_w2: float, sigma_b2: float, received: str) -> GradlabError:
    return GradlabError(
        f"a stable fixed point of the variance for {name}, sigma_w2 = {sigma_w2:g}, sigma_b2 = {sigma_b2:g}",
        received, "another sigma_w2, or the mean field layer by layer with the measured variances",
    )  # fmt: skip


@dataclass(frozen=True)
class JacobianMoments:
    """Hold fourth moments of the Jacobian of L square layers of n units, over initialisations.

    Parameters
    ----------
    aligned : float
        E|Ju|^4 for a unit vector u.
    lengths, products : float
        E|Ju|^2|Jv|^2 and E(Ju . Jv)^2 for two unit vectors at a right angle.
    frobenius2, frobenius4, trace2 : float
        E|J|_F^2, E|J|_F^4 and E tr (J J^T)^2.
    """

    aligned: float
    lengths: float
    products: float
    frobenius2: float
    frobenius4: float
    trace2: float


def jacobian_moments(width: int, depth: int, activation: str = "relu") -> JacobianMoments:
    r"""Compute exact moments of the Jacobian of a ReLU (He) or linear network with Gaussian weights and any biases.

    With a = 5 (ReLU) or 2 (linear), :math:`p = (1+a/n)^L`, :math:`m = (1-1/n)^L`, and u, v unit
    vectors at a right angle: :math:`E|Ju|^4 = p`, :math:`E|Ju|^2|Jv|^2 = (p+2m)/3`,
    :math:`E(Ju\cdot Jv)^2 = (p-m)/3`. The first is Hanin 2018; the others follow from the
    invariance of each layer's law under rotations.

    Parameters
    ----------
    width, depth : int
        Units n of every layer, and the number L of layers.
    activation : {"relu", "identity"}
        ReLU with sigma_w2 = 2 (He), or a linear network with sigma_w2 = 1.

    Examples
    --------
    >>> round(jacobian_moments(1000, 10).trace2 / 1000, 2)  # 1 + 2L where L is far below n
    21.4
    """
    if activation not in GATES:
        raise unknown("an activation whose law is exact", activation, GATES)
    if width < 1 or depth < 0:
        raise GradlabError("a width of 1 or more and a depth of 0 or more", f"width={width}, depth={depth}")
    n, excess = width, {"relu": 5, "identity": 2}[activation]
    p, m = (1 + excess / n) ** depth, (1 - 1 / n) ** depth
    lengths, products = (p + 2 * m) / 3, (p - m) / 3
    return JacobianMoments(
        p, lengths, products, float(n), n * p + n * (n - 1) * lengths, n * p + n * (n - 1) * products
    )  # fmt: skip


def lyapunov_exponents(width: int, sigma_w2: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    r"""Compute Lyapunov exponents of a product of Gaussian matrices, and their variances per layer (Newman 1986).

    .. math:: \lambda_k = \tfrac12\Bigl[\ln\frac{2\sigma_w^2}{n} + \psi\bigl(\tfrac{n-k+1}2\bigr)\Bigr],
              \qquad \mathrm{Var}_k = \tfrac14\psi'\bigl(\tfrac{n-k+1}2\bigr),\qquad k = 1 \ldots n.

    Parameters
    ----------
    width : int
        Rows and columns n of each matrix.
    sigma_w2 : float
        n times the variance of an entry.

    Returns
    -------
    exponents, variances : ndarray, shape (n,)
        Growth of ln|.| per layer, in nats, the largest first; the mean over T layers has variance Var_k/T.

    Examples
    --------
    >>> lyapunov_exponents(1)[0].round(4)
    array([-0.6352])
    """
    if width < 1:
        raise GradlabError("a width of 1 or more", repr(width))
    check_variances("sigma_w2", sigma_w2)
    half = (width - np.arange(width)) / 2
    return 0.5 * (np.log(2 * sigma_w2 / width) + psi(half)), polygamma(1, half) / 4
