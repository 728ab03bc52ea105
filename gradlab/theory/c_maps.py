r"""The C map of an activation: what one layer, and many, make of the correlation of two inputs.

.. math:: C(c) = E\phi(u_1)\phi(u_2) / E\phi(u)^2

takes the correlation c of two inputs through one layer whose variance stays at q. A plain network of L layers applies
it L times, :math:`C_f = C\circ\dots\circ C`. Where :math:`C_f` is flat all inputs are one to the readout, and where it
is steep at 1 near ones are strangers.
"""

from __future__ import annotations

import numpy as np

from gradlab._errors import GradlabError
from gradlab.config import positive_integer
from gradlab.core.activations import Activation
from gradlab.theory.gaussian import check_variances, entry_of, moments, overlap

#: The correlation of uncorrelated inputs behind the network that leaky ReLU is tailored to (Zhang et al. 2022).
ETA = 0.9


def c_map(activation: str | Activation, c: np.ndarray | float, *, q: float = 1.0) -> np.ndarray:
    r"""Compute the C map of an activation: what one layer makes of the correlation of two inputs.

    .. math:: C(c) = E\phi(u_1)\phi(u_2) / E\phi(u)^2,

    :math:`u_1` and :math:`u_2` Gaussian with variance q and correlation c. It is the map of a layer without biases
    whose weights keep the variance (Poole et al. 2016, equation 6, over its own fixed point).

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it.
    c : array of float
        Correlations, from -1 to 1.
    q : float
        Variance of the preactivations. It does not matter for ReLU and leaky ReLU.

    Examples
    --------
    >>> c_map("relu", [0.0, 0.5, 1.0]).round(6).tolist()  # 1 / pi at 0
    [0.31831, 0.608998, 1.0]
    """
    c = np.asarray(c, float)
    if not np.all(np.abs(c) <= 1):
        raise GradlabError(
            "c to be a correlation, from -1 to 1", repr(float(np.ravel(c)[np.argmax(np.abs(c))])), "c=0.0"
        )
    check_variances("q", np.asarray(q, float))
    return 1 - _gap(entry_of(activation), 1 - c, q)


def c_map_path(activation: str | Activation, depth: int, c: float = 0.0, *, q: float = 1.0) -> np.ndarray:
    """Compute the correlation of two inputs behind 0, 1, ... `depth` layers; the last one is C_f(c).

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it.
    depth : int
        Number of layers.
    c : float
        Correlation of the inputs.
    q : float
        Variance of the preactivations, as in `c_map`.

    Returns
    -------
    ndarray, shape (depth + 1,)
        It begins with `c`.

    Examples
    --------
    >>> c_map_path("relu", 50)[[1, 10, 50]].round(3).tolist()
    [0.318, 0.872, 0.988]
    >>> c_map_path("leaky_relu:0.4305", 50)[-1].round(3).item()
    0.9
    """
    entry, gaps = entry_of(activation), [1 - float(c)]
    c_map(entry, c, q=q)
    for _ in range(positive_integer("depth", depth)):
        gaps.append(float(_gap(entry, gaps[-1], q)))
    return 1 - np.array(gaps)


def _gap(entry: Activation, gap: np.ndarray | float, q: float) -> np.ndarray:
    """Compute 1 - C(c) from 1 - c, so that no digit is lost near 1."""
    slope = overlap(entry, q, q, 2 * np.arcsin(np.sqrt(np.asarray(gap) / 2))).mean_slope
    return gap * slope * q / np.exp(moments(entry, np.log(q)).log_phi2)


def tailored_slope(depth: int, eta: float = ETA) -> float:
    r"""Compute the slope of leaky ReLU below 0 with which uncorrelated inputs have the correlation eta behind L layers.

    It solves :math:`C_f(0) = \eta` (Zhang, Botev & Martens 2022, section 4) with

    .. math:: C(c) = c + \frac{(1-\alpha)^2}{\pi(1+\alpha^2)}\bigl(\sqrt{1-c^2} - c\arccos c\bigr).

    Parameters
    ----------
    depth : int
        Number of layers L.
    eta : float
        Above 0 and below 1. The larger, the less the activation is like a straight line.

    Returns
    -------
    float
        From 0 to 1; 0 where ReLU itself stays below eta, which for 0.9 are 12 layers.

    Examples
    --------
    >>> [round(tailored_slope(depth), 3) for depth in (20, 50, 100)]
    [0.181, 0.431, 0.57]
    """
    from scipy.optimize import brentq

    depth = positive_integer("depth", depth)
    check_target("eta", eta, 0 < eta < 1, "above 0 and below 1", ETA)

    def excess(slope: float) -> float:
        c = 0.0
        for _ in range(depth):
            c += (1 - slope) ** 2 / (1 + slope**2) / np.pi * (np.sqrt(1 - c * c) - c * np.arccos(c))
            c = min(c, 1.0)
        return c - eta

    return 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, 1.0, xtol=1e-14))


def check_target(name: str, value: float, fits: bool, range_: str, usual: float) -> None:
    """Raise an error unless the number that a map is aimed at is in its range."""
    if not fits:
        raise GradlabError(f"{name} to be a number {range_}", repr(value), f"{usual:g}")
