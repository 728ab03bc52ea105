r"""The exact law of ln|Ju|^2 over initialisations, for ReLU and linear networks of any widths.

With Gaussian weights the layers of a ReLU network multiply the squared length of any fixed vector by independent
factors, forward (along the Jacobian) as well as backward: the signs of the preactivations are fair coins, independent
of the sizes of weights. Biases that are symmetric about 0 change none of it, and add to the activations themselves,
whose lengths follow the law only without. A layer of n units lets K of them pass, so

.. math:: r = \sigma_w^2\,\chi^2_K/n,\qquad K\sim\mathrm{Binomial}(n, 1/2),

K = n in a linear network. For Haar orthogonal weights the direction is uniform on the sphere, and
:math:`\chi^2_K/n` becomes a Beta(K/2, (n-K)/2). Logarithms add, and so do their cumulants; density
and distribution function are the Fourier integral of the product of characteristic functions.

Hanin 2018 and Hanin & Nica 2020 bound and approximate what stands here exactly: to first order
ln|Ju|^2 is normal with variance :math:`5\sum_l 1/n_l` (ReLU), :math:`2\sum_l 1/n_l` (linear).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln, loggamma, polygamma, psi

from gradlab._errors import GradlabError, unknown

#: Share of the units that let a signal pass, and the sigma_w2 that keeps the mean squared length.
GATES: dict[str, tuple[float, float]] = {"identity": (1.0, 1.0), "relu": (0.5, 2.0)}
#: Distributions of the weights: Gaussian entries, or Haar orthogonal matrices.
WEIGHTS = ("gaussian", "orthogonal")

#: The Fourier integral: its range in standard deviations to each side, and the largest part that it may leave out.
_SPAN, _REST = 40.0, 1e-13


@dataclass(frozen=True)
class LogNormLaw:
    r"""The distribution of ln|Ju|^2 over the initialisations in which no layer is dead.

    Parameters
    ----------
    widths : tuple of int
        Units of the layers whose factors are multiplied.
    passing : float
        Probability that a unit lets a signal pass.
    log_scale : float
        Logarithm of the constant factors, which is added.
    weights : {"gaussian", "orthogonal"}
        Distribution of the weights.

    Attributes
    ----------
    mean, variance, third, fourth : float
        The first four cumulants; a normal law has third = fourth = 0.
    alive : float
        Probability that no layer is dead. A dead layer makes |Ju| zero.
    """

    widths: tuple[int, ...]
    passing: float
    log_scale: float
    weights: str = "gaussian"

    @cached_property
    def _layers(self) -> list[tuple[int, np.ndarray, np.ndarray, int]]:
        """Return for each width the numbers of passing units, their probabilities, and the number of such layers."""
        values, counts = np.unique(self.widths, return_counts=True)
        return [(int(n), *_passing(int(n), self.passing), int(c)) for n, c in zip(values, counts, strict=True)]

    @cached_property
    def _cumulants(self) -> np.ndarray:
        total = np.array([self.log_scale, 0.0, 0.0, 0.0])
        for n, k, p, count in self._layers:
            total += count * _mixture(p, self._of_each(n, k))
        return total

    def _of_each(self, n: int, k: np.ndarray) -> np.ndarray:
        """Compute cumulants 1 to 4 of the logarithm of chi2_k, or of n Beta(k/2, (n-k)/2), for each k."""
        cumulants = np.stack([psi(k / 2), *(polygamma(order, k / 2) for order in (1, 2, 3))])
        shift = np.array([np.log(2.0), 0, 0, 0])
        if self.weights == "orthogonal":
            shift = np.array([np.log(n) - psi(n / 2), *(-polygamma(order, n / 2) for order in (1, 2, 3))])
        return cumulants + shift[:, None]

    @property
    def mean(self) -> float:
        """Return E ln|Ju|^2."""
        return float(self._cumulants[0])

    @property
    def variance(self) -> float:
        """Return Var ln|Ju|^2."""
        return float(self._cumulants[1])

    @property
    def third(self) -> float:
        """Return the third central moment."""
        return float(self._cumulants[2])

    @property
    def fourth(self) -> float:
        """Return the fourth cumulant: the fourth central moment less 3 variance^2."""
        return float(self._cumulants[3])

    @property
    def alive(self) -> float:
        """Return the probability that in every layer some unit passes."""
        return float(np.prod([(1 - (1 - self.passing) ** n) ** count for n, _, _, count in self._layers]))

    def log_moment(self, power: float) -> float:
        """Return ln E|Ju|^(2 power), where dead networks count as 0.

        With power 2, ReLU and He weights it is the sum of ln(1 + 5/n_l) over layers.
        """
        total = power * self.log_scale + np.log(self.alive)
        for n, k, p, count in self._layers:
            gains = gammaln(k / 2 + power) - gammaln(k / 2) + power * np.log(2.0)
            if self.weights == "orthogonal":
                gains += gammaln(n / 2) - gammaln(n / 2 + power) + power * np.log(n / 2)
            top = np.max(gains)
            total += count * (top + np.log(np.sum(p * np.exp(gains - top))))
        return float(total)

    def density(self, x: np.ndarray) -> np.ndarray:
        """Compute the density of ln|Ju|^2 at `x`, by the Fourier integral.

        Its error is below 1e-10 over the standard deviation.
        """
        t, values, step = self._fourier
        y, sd = self._standardised(x)
        waves = np.exp(-1j * np.multiply.outer(y, t))
        return np.maximum((waves @ values).real * step / np.pi, 0) / sd

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Compute the probability that ln|Ju|^2 is at most `x` (Gil-Pelaez 1951); absolute error below 1e-10."""
        t, values, step = self._fourier
        y, _ = self._standardised(x)
        waves = np.exp(-1j * np.multiply.outer(y, t))
        return np.clip(0.5 - (waves @ (values / t)).imag * step / np.pi, 0, 1)

    def _standardised(self, x) -> tuple[np.ndarray, float]:
        sd = self.variance**0.5
        # beyond the span there is nothing to see, and the integral would repeat itself
        return np.clip((np.asarray(x, np.float64) - self.mean) / sd, -_SPAN, _SPAN), sd

    @cached_property
    def _fourier(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Return points, characteristic function of the standardised law, and spacing of the midpoint rule."""
        if self.variance <= 0:
            raise GradlabError("a law that varies", "variance 0", "weights='gaussian', or activation='relu'")
        step = np.pi / (1.5 * _SPAN)  # a period of three spans: the next image lies two spans beyond the edge
        for points in (256, 1024, 4096):
            t = step * (np.arange(points) + 0.5)
            values = self._characteristic(t)
            if np.abs(values[-1]) < _REST:
                return t, values, step
        raise GradlabError(
            "a law with a smooth density", f"{len(self.widths)} layers of {min(self.widths)} units, nearly discrete",
            "wider or more layers; mean, variance and log_moment are exact all the same",
        )  # fmt: skip

    def _characteristic(self, t: np.ndarray) -> np.ndarray:
        """Compute the characteristic function of the standardised law."""
        sd = self.variance**0.5
        at, logs = t / sd, 1j * t * (self.log_scale - self.mean) / sd
        for n, k, p, count in self._layers:
            one = loggamma(k[:, None] / 2 + 1j * at) - gammaln(k / 2)[:, None]
            shift = np.log(2.0)
            if self.weights == "orthogonal":
                one += gammaln(n / 2) - loggamma(n / 2 + 1j * at)
                shift = np.log(n)
            logs = logs + count * (1j * at * shift + np.log(p @ np.exp(one)))
        return np.exp(logs)


def log_norm_law(
    widths: Sequence[int],
    activation: str = "relu",
    sigma_w2: float | None = None,
    *,
    inputs: int | None = None,
    weights: str = "gaussian",
) -> LogNormLaw:
    r"""Compute the exact distribution of ``ln|Ju|^2`` over initialisations: how much one gradient differs from another.

    J is the Jacobian of the network and u a unit vector. So ``|Ju|^2`` is the factor by which a squared gradient
    changes.

    Parameters
    ----------
    widths : sequence of int
        Units :math:`n_1 \ldots n_L` of the hidden layers.
    activation : {"relu", "identity"}
        The activation of all layers; for others there is no exact law, but `coefficients` has its first order.
    sigma_w2 : float, optional
        Fan-in times the variance of the Gaussian weights. None: 2 for ReLU (He), 1 for identity.
    inputs : int, optional
        Features of the input: then J is the Jacobian of the last activation by the input. None: then
        :math:`J^T u = \delta_1`, the delta of the first layer for the cotangent u at the outputs of
        a readout that is drawn as the hidden layers are. The two differ by a constant,
        :math:`\ln(n_L/n_0)`.
    weights : {"gaussian", "orthogonal"}
        Distribution of the weights. Orthogonal weights are Haar times :math:`\sigma_w`, for layers of one width.

    Returns
    -------
    LogNormLaw
        With `mean`, `variance`, `third`, `fourth`, `alive`, and `density`, `cdf`, `log_moment`.

    Examples
    --------
    >>> lengths = log_norm_law([100] * 50)
    >>> round(lengths.mean, 4), round(lengths.variance, 4), round(lengths.log_moment(2), 4)
    (-1.271, 2.597, 2.4395)
    """
    if activation not in GATES:
        raise unknown("an activation whose law is exact", activation, GATES, "coefficients(...), its first order")
    widths = tuple(int(n) for n in widths)
    if not widths or min(widths) < 1 or (inputs is not None and inputs < 1):
        raise GradlabError("widths of one unit or more", f"widths={widths}, inputs={inputs}", "[100] * 20")
    passing, isometric = GATES[activation]
    sigma_w2 = isometric if sigma_w2 is None else sigma_w2
    if not sigma_w2 > 0:
        raise GradlabError("sigma_w2 above 0", repr(sigma_w2), f"sigma_w2={isometric:g}")
    if weights not in WEIGHTS:
        raise unknown("weights", weights, WEIGHTS)
    if weights == "orthogonal" and len({*widths, inputs or widths[0]}) > 1:
        raise GradlabError(
            "one width for orthogonal weights", f"widths={widths}, inputs={inputs}", "weights='gaussian'"
        )
    fan_in = (inputs, *widths[:-1]) if inputs is not None else widths
    log_scale = len(widths) * np.log(sigma_w2) - np.sum(np.log(fan_in))
    return LogNormLaw(widths, passing, float(log_scale), weights)


def _passing(n: int, passing: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of passing units from 1 up, and their probabilities given that at least one passes."""
    if passing == 1:
        return np.array([float(n)]), np.array([1.0])
    k = np.arange(1.0, n + 1)
    logs = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + k * np.log(passing) + (n - k) * np.log1p(-passing)
    p = np.exp(logs)
    kept = p > 1e-25 * np.max(p)  # the rest is below the rounding of whatever is summed
    return k[kept], p[kept] / np.sum(p[kept])


def _mixture(p: np.ndarray, each: np.ndarray) -> np.ndarray:
    """Compute cumulants 1 to 4 of a mixture with weights `p`, from those of its parts, shape (4, parts)."""
    mean = p @ each[0]
    d, v, t, f = each[0] - mean, *each[1:]
    second = p @ (v + d**2)
    third = p @ (t + 3 * v * d + d**3)
    fourth = p @ (f + 3 * v**2 + 4 * t * d + 6 * v * d**2 + d**4)
    return np.array([mean, second, third, fourth - 3 * second**2])
