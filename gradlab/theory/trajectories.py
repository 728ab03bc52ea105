r"""Variance, slopes and correlation layer by layer from the input; no fixed point is needed.

All values are logarithms: a variance of 1e-5000 and a correlation that differs from 1 by 1e-300 are ordinary.
The correlation is carried as 1 - c, from squared distances, so that nothing cancels:

.. math:: 1 - c' = \frac{\sigma_w^2 E(\phi(u_1)-\phi(u_2))^2 - (\sqrt{q_1'}-\sqrt{q_2'})^2}{2\sqrt{q_1'q_2'}}.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradlab._errors import GradlabError
from gradlab.core.activations import Activation
from gradlab.theory.gaussian import LOG_RANGE, SMALL_ANGLE, check_variances, entry_of, moments, overlap

#: ln(1 - c) below which the slope of the correlation map is that at c = 1, to 1e-10.
_TANGENT = -50.0
#: Relative change of ln q below which it counts as constant.
_STILL = 1e-14


@dataclass(frozen=True)
class Transients:
    """Hold variance, slopes and correlation of the preactivations of each layer, as natural logarithms.

    Parameters
    ----------
    log_q : ndarray, shape (layers, ...)
        ln of the variance q of layer 1, 2, ...
    log_phi2 : ndarray
        ln E phi^2, the mean squared activation.
    log_dphi2 : ndarray
        ln E phi'^2; with the sigma_w2 of the next layer it is ln chi(q).
    log_one_minus_c : ndarray or None
        ln(1 - c), c the correlation of two inputs; None where none was asked for.
    """

    log_q: np.ndarray
    log_phi2: np.ndarray
    log_dphi2: np.ndarray
    log_one_minus_c: np.ndarray | None = None


def transients(
    activation: str | Activation, *, sigma_w2, sigma_b2=0.0, q0=1.0, c0: float | None = None, depth: int
) -> Transients:
    """Compute variance, slopes and correlation layer by layer.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    sigma_w2, sigma_b2 : float or array of shape (depth,)
        Fan-in times the weight variance, and the bias variance: of all layers, or of each.
    q0 : float or array
        Mean square of an input; an array for several inputs at once.
    c0 : float, optional
        Correlation of two inputs with the same mean square. None: no correlations.
    depth : int
        Number of layers.

    Examples
    --------
    >>> import numpy as np
    >>> relu = transients("relu", sigma_w2=100.0, depth=10_000)
    >>> round(float(relu.log_q[-1] / np.log(10)), 1)  # 100 * 50**9999, far outside the range of a double
    16990.0
    """
    entry = entry_of(activation)
    check_variances("sigma_w2", sigma_w2)
    check_variances("sigma_b2", sigma_b2, "at least 0")
    check_variances("q0", q0)
    if c0 is not None and not -1 <= c0 <= 1:
        raise GradlabError("c0 to be a correlation, from -1 to 1", repr(c0), "c0=0.0")
    w, b = (np.broadcast_to(np.asarray(v, float), (depth,)) for v in (sigma_w2, sigma_b2))
    layers = variances(entry, w, b, np.log(w[0] * np.asarray(q0, float) + b[0]))
    if c0 is None:
        return layers
    with np.errstate(divide="ignore"):
        first = np.log(w[0] * np.asarray(q0, float) * (1 - c0)) - layers.log_q[0]
    gaps = correlations(entry, w, b, layers.log_q, layers.log_q, np.broadcast_to(first, layers.log_q.shape[1:]))
    return Transients(layers.log_q, layers.log_phi2, layers.log_dphi2, gaps)


def variances(entry: Activation, sigma_w2: np.ndarray, sigma_b2: np.ndarray, log_q1: np.ndarray) -> Transients:
    """Compute variances and slopes layer by layer from ln q of layer 1.

    `sigma_w2[l]` and `sigma_b2[l]` belong to the weights and biases of layer l + 1.
    """
    with np.errstate(divide="ignore"):
        log_w, log_b = np.log(sigma_w2), np.log(sigma_b2)
    x = np.asarray(log_q1, float)
    log_q, values = [x], [moments(entry, x)]
    for layer in range(1, len(log_w)):
        new = np.logaddexp(log_w[layer] + values[-1].log_phi2, log_b[layer])
        still = np.all(np.abs(new - x) <= _STILL * np.maximum(1, np.abs(x)))
        if still and np.all(log_w[layer:] == log_w[layer]) and np.all(log_b[layer:] == log_b[layer]):
            rest = len(log_w) - layer
            log_q, values = log_q + [x] * rest, values + [values[-1]] * rest
            break
        x = new
        log_q.append(x)
        values.append(moments(entry, x))
    return Transients(
        np.stack(log_q), np.stack([m.log_phi2 for m in values]), np.stack([m.log_dphi2 for m in values])
    )  # fmt: skip


def correlations(
    entry: Activation,
    sigma_w2: np.ndarray,
    sigma_b2: np.ndarray,
    log_q1: np.ndarray,
    log_q2: np.ndarray,
    first: np.ndarray,
) -> np.ndarray:
    """Compute ln(1 - c) layer by layer from its value in the first layer; variances come from `variances`."""
    gap = np.asarray(first, float)
    gaps = [gap]
    middle, difference = 0.5 * (log_q1 + log_q2), log_q1 - log_q2
    for layer in range(1, len(middle)):
        angle = 2 * np.arcsin(np.sqrt(np.minimum(np.exp(gap) / 2, 1)))
        # At so small an angle the slope is taken at equal variances: their difference cancels in 1 - c.
        near = angle < SMALL_ANGLE
        between = np.where(near, 0.0, difference[layer - 1])
        inside = np.clip(middle[layer - 1], -0.9 * LOG_RANGE, 0.9 * LOG_RANGE)
        slope = overlap(entry, np.exp(inside + between / 2), np.exp(inside - between / 2), angle).mean_slope
        beyond = moments(entry, middle[layer - 1]).log_phi2 - moments(entry, inside).log_phi2
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.log(sigma_w2[layer] * slope) + inside + beyond + gap - middle[layer]
            lengths = 2 * np.sinh(difference[layer] / 4) ** 2
            far = np.log(np.maximum(np.exp(np.minimum(distance, 2.0)) - lengths, 0.0))
        old, gap = gap, np.minimum(np.where(near | (lengths == 0), distance, far), np.log(2.0))
        gaps.append(gap)
        if np.all(old < _TANGENT) and _constant(middle[layer - 1 :]) and _constant(sigma_w2[layer:]):
            rest = np.arange(1, len(middle) - layer).reshape(-1, *(1,) * gap.ndim)
            return np.concatenate([np.stack(gaps), gap + (gap - old) * rest])
    return np.stack(gaps)


def _constant(layers: np.ndarray) -> bool:
    return bool(np.all(layers == layers[0]))
