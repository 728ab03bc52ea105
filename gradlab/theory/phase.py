r"""The phase diagram over (sigma_w2, sigma_b2): ordered, chaotic, and the line between them.

All fixed points are found at once. Where c* is below 1 it is the root of
:math:`\sigma_w^2 E(\phi(u_1)-\phi(u_2))^2 = 2q^*(1-c)`, whose left side depends on q and c alone: it is
computed on a grid of Chebyshev nodes and interpolated, to about 1e-6 in c*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradlab._errors import GradlabError
from gradlab.core.activations import Activation
from gradlab.theory.critical import CriticalLine, critical_line
from gradlab.theory.gaussian import LOG_RANGE, check_variances, entry_of, moments, overlap
from gradlab.theory.meanfield import CRITICAL, endless_correlation, fixed_points

#: Chebyshev nodes in ln q and in the angle of the two inputs.
_NODES_Q, _NODES_ANGLE = 16, 20
#: Halvings of the interval in which the angle of c* lies: to the last digit of a double.
_HALVINGS = 50


@dataclass(frozen=True)
class PhaseDiagram:
    """Hold the mean field on a grid; its fields have the shape (sigma_b2, sigma_w2).

    Parameters
    ----------
    activation : str
        Name of the activation.
    sigma_w2, sigma_b2 : ndarray, one axis each
        Weight and bias variances of the grid.
    q_star, c_star : ndarray
        Limits of variance and correlation: q* is 0 or inf where the variance shrinks or grows for ever; c* is as in
        `MeanField`.
    chi1, chi_c : ndarray
        Factor of the mean squared delta per layer, and slope of the correlation map at c*.
    xi_c, xi_grad : ndarray
        Depth scales in layers; inf on the line, `xi_grad` negative where gradients explode.
    critical : CriticalLine
        The line chi1 = 1, and which part of it can be used.
    """

    activation: str
    sigma_w2: np.ndarray
    sigma_b2: np.ndarray
    q_star: np.ndarray
    c_star: np.ndarray
    chi1: np.ndarray
    chi_c: np.ndarray
    xi_c: np.ndarray
    xi_grad: np.ndarray
    critical: CriticalLine


def phase_diagram(
    activation: str | Activation, *, sigma_w2: np.ndarray, sigma_b2: np.ndarray, q0: float = 1.0
) -> PhaseDiagram:
    """Compute fixed points and depth scales on a grid of weight and bias variances.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    sigma_w2, sigma_b2 : array, one axis each
        Weight variances (times fan-in) and bias variances of the grid.
    q0 : float
        Mean square of an input. It decides which of several fixed points is reached.

    Examples
    --------
    >>> diagram = phase_diagram("tanh", sigma_w2=[1.0, 2.0, 3.0], sigma_b2=[0.05, 0.3])
    >>> (diagram.chi1 > 1).tolist()
    [[False, True, True], [False, False, True]]
    """
    entry = entry_of(activation)
    axes = [np.asarray(v, float) for v in (sigma_w2, sigma_b2)]
    for name, axis, least in zip(("sigma_w2", "sigma_b2"), axes, ("positive", "at least 0"), strict=True):
        if axis.ndim != 1 or not len(axis):
            raise GradlabError(f"{name} along one axis", f"shape {axis.shape}", f"{name}=[1.0, 2.0]")
        check_variances(name, axis, least)
    check_variances("q0", np.asarray(q0))
    w, b = (grid.ravel() for grid in np.meshgrid(*axes))
    log_q = fixed_points(entry, w, b, w * q0 + b)
    chi1 = w * np.exp(moments(entry, np.clip(log_q, -LOG_RANGE, LOG_RANGE)).log_dphi2)
    c_star, chi_c = np.ones_like(chi1), chi1.copy()
    for grows in (False, True):
        endless = np.isposinf(log_q) if grows else np.isneginf(log_q)
        if endless.any():
            c_star[endless], chi_c[endless] = endless_correlation(entry, grows, w[endless], b[endless])
    chaotic = np.isfinite(log_q) & (chi1 > 1 + CRITICAL)
    if chaotic.any():
        c_star[chaotic], chi_c[chaotic] = _correlated(entry, w[chaotic], log_q[chaotic], chi1[chaotic])
    shape = len(axes[1]), len(axes[0])
    fields = (np.exp(log_q), c_star, chi1, chi_c, _depth(chi_c), _depth(chi1))
    return PhaseDiagram(entry.name, *axes, *(v.reshape(shape) for v in fields), critical_line(entry))


def _depth(slope: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        scale = -1 / np.log(slope)
    return np.where(np.abs(slope - 1) <= CRITICAL, np.inf, scale)


def _correlated(entry: Activation, w: np.ndarray, log_q: np.ndarray, chi1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute c* and the slope at c*, at points where chi1 is above 1."""
    low, high = float(log_q.min()), float(log_q.max()) + 1e-9
    x, y = (np.cos(np.pi * (np.arange(n) + 0.5) / n) for n in (_NODES_Q, _NODES_ANGLE))
    q, angle = np.exp(low + (high - low) * (x + 1) / 2), np.pi / 4 * (y + 1)
    at = overlap(entry, q[:, None], q[:, None], angle[None])
    # logarithms: the slopes fall by powers of q
    at_points = [_along_q(np.log(v), 2 * (log_q - low) / (high - low) - 1) for v in at]
    value = lambda i, t: np.exp(np.polynomial.chebyshev.chebval(4 * t / np.pi - 1, at_points[i].T, tensor=False))
    # at angle 0 the mean slope is chi1, which is known exactly
    scale = [chi1 / value(i, np.zeros_like(w)) for i in (0, 1)]
    near, far = np.zeros_like(w), np.full_like(w, np.pi / 2)
    for _ in range(_HALVINGS):
        middle = 0.5 * (near + far)
        above = scale[0] * value(0, middle) > 1
        near, far = np.where(above, middle, near), np.where(above, far, middle)
    return 1 - 2 * np.sin(far / 2) ** 2, scale[1] * value(1, far)


def _along_q(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return Chebyshev coefficients in the angle, at each of the places in [-1, 1] along ln q."""
    coefficients = values
    for axis, n in enumerate(values.shape):
        nodes = np.cos(np.pi * (np.arange(n) + 0.5) / n)
        basis = np.polynomial.chebyshev.chebvander(nodes, n - 1) * (2 / n)
        basis[:, 0] /= 2
        coefficients = np.moveaxis(np.tensordot(basis.T, coefficients, (1, axis)), 0, axis)
    return np.polynomial.chebyshev.chebvander(places, len(values) - 1) @ coefficients
