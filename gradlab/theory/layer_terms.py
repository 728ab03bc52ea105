r"""Finite width changes the mean of ln|delta|^2 layer by layer: the first order in 1/n, without a fixed point.

Of :math:`\ln|\delta_l|^2/|\delta_{l+1}|^2` the mean over initialisations is :math:`\ln\chi(q_l)`, q_l the variance at
infinite width, and three terms. All expectations are taken at q_l, :math:`\mu_k = E\phi'^k`, h is the preactivation and
:math:`\rho_l = 1-\sigma_b^2/q_l` the share of the variance that comes through the weights.

*Gates.* A layer's phi'^2 are a sample of n, and the logarithm is concave: :math:`-(3\mu_4/\mu_2^2-1)/2n`.

*Along.* The weights between two layers are known in one direction, for :math:`h-b` came out of them: the part of a
delta along it they carry back onto the activations below, the rest anywhere. With k the square of that part relative to
a random direction the term is :math:`(k_{l+1}-1)\,E\phi^2\phi'^2/(n\mu_2E\phi^2)`, and

.. math:: k_l - 1 = \rho_l\Bigl[\frac{E h^2\phi'^2}{q\mu_2} - 1
          + \frac{(E h\phi\phi')^2}{q\mu_2E\phi^2}(k_{l+1}-1)\Bigr],\qquad k_{L+1}=1.

The first rho is there because b, given h, has the mean (1 - rho) h and the variance rho (1 - rho) q; the second
because the activations below turn into h - b only.

*Wandering.* The variance of a layer given the layers below scatters by s_l (its variance over :math:`q_l^2`) and is
off by m_l (over q_l) in the mean, from :math:`s_1 = m_1 = 0` on, V the map of the variance:

.. math:: s_{l+1} &= \Bigl(\frac{q_lV'}{q_{l+1}}\Bigr)^2s_l
          + \frac{\rho_{l+1}^2}{n}\Bigl(\frac{E\phi^4}{(E\phi^2)^2}-1\Bigr),\\
          m_{l+1} &= \frac{q_lV'}{q_{l+1}}m_l + \frac{q_l^2V''}{2q_{l+1}}s_l,

and ln chi, which is curved, takes on :math:`q(\ln\chi)'m + q^2(\ln\chi)''s/2`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gradlab.core.activations import Activation
from gradlab.theory.gaussian import LOG_RANGE, check_variances, entry_of, expectation


class LayerTerms(NamedTuple):
    r"""Hold the three terms of layers 1 ... L - 1, each of shape (L - 1, ...).

    `gates` come from the finite sample of slopes, `along` from the part of the delta along the forward signal, and
    `wandering` from the variance that scatters; it is 0 where the variances are those that were measured.
    """

    gates: np.ndarray
    along: np.ndarray
    wandering: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Return the sum of the terms, which is added to ln chi."""
        return self.gates + self.along + self.wandering

    @property
    def largest(self) -> float:
        """Return the largest change of ``|delta|^2`` in a layer by the two terms that need a small second order."""
        return float(np.max(np.abs(self.along) + np.abs(self.wandering), initial=0.0))


def finite_width_terms(
    activation: str | Activation,
    log_q: np.ndarray,
    *,
    width: int | np.ndarray,
    sigma_b2: float | np.ndarray = 0.0,
    measured: bool = False,
) -> LayerTerms:
    """Compute the first order in 1/n of the mean of ``ln(|delta_l|^2 / |delta_(l+1)|^2)``, layer by layer.

    The mean is over initialisations. Far from both ends of a deep network, at a stable fixed point, the terms add up
    to M/n of `coefficients`.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    log_q : ndarray, shape (L, ...)
        ln of each layer's variance, as `transients` gives it at infinite width.
    width : int or ndarray, shape (L,)
        Units of all layers, or of each.
    sigma_b2 : float or ndarray, shape (L,)
        Variance of the biases.
    measured : bool
        Whether `log_q` was measured in a network, each layer given the one before. Then no variance scatters, and the
        term `wandering` is 0.

    Examples
    --------
    >>> finite_width_terms("relu", np.zeros((3, 1)), width=100).total.ravel().round(9).tolist()
    [-0.025, -0.025]
    """
    entry = entry_of(activation)
    log_q = np.asarray(log_q, float)
    check_variances("width", np.asarray(width))
    check_variances("sigma_b2", np.asarray(sigma_b2), "at least 0")
    like = (-1, *[1] * (log_q.ndim - 1))
    per_unit = 1 / np.broadcast_to(np.asarray(width, float), len(log_q)).reshape(like)[:-1]
    with np.errstate(divide="ignore"):
        log_b = np.log(np.broadcast_to(np.asarray(sigma_b2, float), len(log_q))).reshape(like)
    share = -np.expm1(np.minimum(log_b - log_q, 0.0))
    q = np.ones_like(log_q) if entry.homogeneous else np.exp(np.clip(log_q, -LOG_RANGE, LOG_RANGE))
    at = Expectations(*expectation(entry, moments_of_slopes, q))
    gates = per_unit * (1 - 3 * at.gg / at.g**2)[:-1] / 2
    along = per_unit * _along(at, q, share)
    wandering = np.zeros_like(gates) if measured or entry.homogeneous else _wandering(at, share, per_unit)
    return LayerTerms(gates, along, wandering)


class Expectations(NamedTuple):
    """Hold expectations over a Gaussian h of variance q, with p = phi^2 and g = phi'^2.

    The expectations with He_2 (g1, p1) and He_4 (g2, p2) are derivatives by q.
    """

    p: np.ndarray
    g: np.ndarray
    pp: np.ndarray
    gg: np.ndarray
    pg: np.ndarray
    hhg: np.ndarray
    hpd: np.ndarray
    g1: np.ndarray
    g2: np.ndarray
    p1: np.ndarray
    p2: np.ndarray


def moments_of_slopes(z, u, phi, dphi):
    """Return the integrands of `Expectations`, for `gradlab.theory.gaussian.expectation`."""
    # d/dq of E f(sqrt(q) z) is E f He_2(z) / 2q, the second He_4 / 4q^2: no derivative of phi', which may jump
    he2, he4 = z * z - 1, z**4 - 6 * z * z + 3
    p, g = phi * phi, dphi * dphi
    return np.stack([p, g, p * p, g * g, p * g, u * u * g, u * phi * dphi, g * he2, g * he4, p * he2, p * he4])


def _along(at: Expectations, q: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Compute n times the term of the part along the forward signal, from the last layer down."""
    excess, kept, gain = at.hhg / (q * at.g) - 1, at.hpd**2 / (q * at.p * at.g), at.pg / (at.p * at.g)
    terms, above = np.empty((len(q) - 1, *q.shape[1:])), share[-1] * excess[-1]
    for layer in reversed(range(len(terms))):
        terms[layer] = above * gain[layer]
        above = share[layer] * (excess[layer] + kept[layer] * above)
    return terms


def _wandering(at: Expectations, share: np.ndarray, per_unit: np.ndarray) -> np.ndarray:
    """Compute the term of a variance that scatters, from the first layer up."""
    rise, bend = share[1:] * (at.p1 / (2 * at.p))[:-1], share[1:] * (at.p2 / (4 * at.p))[:-1]
    fresh = per_unit * share[1:] ** 2 * (at.pp / at.p**2 - 1)[:-1]
    slope = (at.g1 / (2 * at.g))[:-1]
    curve = (at.g2 / (4 * at.g))[:-1] - slope**2
    terms, scatter, mean = np.empty_like(rise), np.zeros(rise.shape[1:]), np.zeros(rise.shape[1:])
    for layer in range(len(terms)):
        terms[layer] = slope[layer] * mean + curve[layer] * scatter / 2
        mean = rise[layer] * mean + bend[layer] * scatter / 2
        scatter = rise[layer] ** 2 * scatter + fresh[layer]
    return terms
