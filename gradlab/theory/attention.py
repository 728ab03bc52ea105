r"""Attention at initialisation: the softmax of T Gaussian scores, from uniform to frozen.

With independent scores of standard deviation s the partition sum :math:`Z=\sum_j e^{sz_j}` is that of Derrida's random
energy model, of T levels (Derrida 1981). As :math:`T\to\infty` attention freezes on a few positions at
:math:`s_c=\sqrt{2\ln T}`: with :math:`b=s/s_c`

.. math:: \frac{E\,\text{entropy}}{\ln T}\to\max(1-b^2,0),\qquad E\textstyle\sum_jP_j^2\to\max(1-1/b,0).

At a finite T both are exact integrals over one variable: :math:`Z^{-2}=\int_0^\infty\lambda e^{-\lambda Z}d\lambda`
makes the terms of the sum independent, and :math:`\ln Z=\int_0^\infty(e^{-\lambda}-e^{-\lambda Z})d\lambda/\lambda`.
"""

from __future__ import annotations

import numpy as np

from gradlab._errors import GradlabError
from gradlab.config import positive_integer
from gradlab.theory.gaussian import check_variances

#: Nodes of the Gaussian scores: a rule of equal steps converges faster than any power, for the integrands are smooth.
_Z = np.linspace(-12.0, 12.0, 1201)
_DENSITY = np.exp(-0.5 * _Z**2) / np.sqrt(2 * np.pi) * (_Z[1] - _Z[0])
#: Nodes of ln(lambda) between its ends, and how far these lie beyond the largest scores.
_STEPS, _BEYOND = 1201, 40.0


def freezing_std(positions: int) -> float:
    r"""Compute the standard deviation of scores at which attention over so many positions freezes, sqrt(2 ln T).

    Parameters
    ----------
    positions : int
        Positions T that one position sees.

    Examples
    --------
    >>> [round(freezing_std(t), 2) for t in (64, 256, 1024)]
    [2.88, 3.33, 3.72]
    """
    return float(np.sqrt(2 * np.log(positive_integer("positions", positions))))


def attention_participation(std: float, positions: int) -> float:
    r"""Compute the mean of :math:`\sum_jP_j^2` over softmax weights P of independent Gaussian scores.

    It is 1/T where attention is uniform, and 1 where all weight lies on one position; its inverse is the number of
    positions that take part. For :math:`s\ll\sqrt{\ln T}` it is :math:`e^{s^2}/T`, the annealed value. The diagonal of
    the softmax's Jacobian sums to 1 minus it, so frozen attention hands no gradient back to its scores.

    Parameters
    ----------
    std : float
        Standard deviation s of the scores.
    positions : int
        Positions T.

    Examples
    --------
    >>> round(attention_participation(0.0, 64) * 64, 10), round(attention_participation(30.0, 64), 2)
    (1.0, 0.91)
    """
    std, positions = _checked(std, positions)
    log_lambda, step = _log_lambda(std, positions)
    inside = std * _Z + log_lambda[:, None]
    # lambda e^{2 s z} dlambda is e^{2 (s z + ln lambda)} dln(lambda)
    twice = np.exp(2 * inside - np.exp(inside)) @ _DENSITY
    return float(positions * step * np.sum(twice * np.exp((positions - 1) * _log_kept(inside))))


def attention_entropy(std: float, positions: int) -> float:
    r"""Compute the mean entropy, in nats, of softmax weights of independent Gaussian scores.

    It is :math:`E\ln Z-s^2(1-E\sum_jP_j^2)`, by integration by parts; for small s it is :math:`\ln T-s^2/2`.

    Parameters
    ----------
    std : float
        Standard deviation s of the scores.
    positions : int
        Positions T.

    Examples
    --------
    >>> import math
    >>> round(attention_entropy(0.0, 64) - math.log(64), 10), round(attention_entropy(1.0, 4096) - math.log(4096), 3)
    (0.0, -0.5)
    """
    std, positions = _checked(std, positions)
    log_lambda, step = _log_lambda(std, positions)
    kept = np.exp(positions * _log_kept(std * _Z + log_lambda[:, None]))
    log_z = step * np.sum(np.exp(-np.exp(log_lambda)) - kept)
    return float(log_z - std**2 * (1 - attention_participation(std, positions)))


def _log_kept(inside: np.ndarray) -> np.ndarray:
    """Return ln of E exp(-lambda e^{s z}) of one score; its distance from 1 is what is summed, so that none is lost."""
    return np.log1p(-np.minimum(-np.expm1(-np.exp(inside)) @ _DENSITY, 1 - 1e-16))


def _checked(std: float, positions: int) -> tuple[float, int]:
    check_variances("std", np.asarray(std), "at least 0")
    if std > 100:
        raise GradlabError("std of at most 100", f"{std:g}", "std=100.0: attention froze long before")
    return float(std), positive_integer("positions", positions)


def _log_lambda(std: float, positions: int) -> tuple[np.ndarray, float]:
    """Return ln lambda from where nothing of the sum is lost to where nothing is left of it, and the step."""
    reach = std * 12.0 + np.log(positions)
    values = np.linspace(-reach - _BEYOND, std * 12.0 + 5.0, max(_STEPS, int(10 * (2 * reach + _BEYOND))))
    return values, values[1] - values[0]
