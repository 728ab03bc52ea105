"""Maps of the mean field as arrays to draw: variance to variance, correlation to correlation, and chi against q."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradlab.core.activations import Activation
from gradlab.theory.gaussian import entry_of, moments, overlap
from gradlab.theory.meanfield import MeanField, mean_field
from gradlab.theory.trajectories import transients

#: Points of a curve, and layers of the path that the variance takes.
_POINTS, _LAYERS = 121, 12
#: A variance at which smooth activations are straight.
_SMALL = 1e-9


@dataclass(frozen=True)
class MeanFieldMaps:
    """Hold the curves of one network of infinite width.

    Parameters
    ----------
    theory : MeanField
        Fixed points and slopes.
    q, variance, chi : ndarray
        Variances q around q* and the path, and V(q) and chi(q) there.
    path : ndarray
        Variance q of the first layers, from an input of mean square `q0`.
    c, correlation : ndarray
        Correlations c, and what the map makes of them, at the variance `q_of_map`.
    q_of_map : float
        q*. Where q* is 0, a variance so small that the map is its limit; where q* is inf, the last one of `path`.
    """

    theory: MeanField
    q: np.ndarray
    variance: np.ndarray
    chi: np.ndarray
    path: np.ndarray
    c: np.ndarray
    correlation: np.ndarray
    q_of_map: float


def mean_field_maps(
    activation: str | Activation, *, sigma_w2: float, sigma_b2: float = 0.0, q0: float = 1.0
) -> MeanFieldMaps:
    """Compute the variance map, the correlation map and chi(q) of one network, for `gradlab.plots.maps`.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    sigma_w2, sigma_b2, q0 : float
        As in `mean_field`.

    Examples
    --------
    >>> maps = mean_field_maps("tanh", sigma_w2=2.0)
    >>> round(float(maps.path[-1]), 3), round(maps.theory.q_star, 3)
    (0.619, 0.618)
    """
    entry = entry_of(activation)
    theory = mean_field(entry, sigma_w2=sigma_w2, sigma_b2=sigma_b2, q0=q0)
    path = np.exp(transients(entry, sigma_w2=sigma_w2, sigma_b2=sigma_b2, q0=q0, depth=_LAYERS).log_q)
    top = 1.15 * max(path[0], theory.q_star if np.isfinite(theory.q_star) else path[3])
    q = np.linspace(0, top, _POINTS)
    at = moments(entry, np.log(np.maximum(q, 1e-12 * top)))
    q_of_map = theory.q_star if 0 < theory.q_star < np.inf else _SMALL if theory.q_star == 0 else float(path[-1])
    c = np.linspace(0, 1, _POINTS)
    gap = 1 - c
    slope = overlap(entry, q_of_map, q_of_map, 2 * np.arcsin(np.sqrt(gap / 2))).mean_slope
    becomes = sigma_w2 * np.exp(moments(entry, np.log(q_of_map)).log_phi2) + sigma_b2
    correlation = 1 - sigma_w2 * slope * gap * q_of_map / becomes
    variance, chi = sigma_w2 * np.exp(at.log_phi2) + sigma_b2, sigma_w2 * np.exp(at.log_dphi2)
    return MeanFieldMaps(theory, q, variance, chi, path, c, correlation, q_of_map)
