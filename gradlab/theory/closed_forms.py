r"""Gaussian expectations in closed form, which take the place of the quadrature for the activations that have them.

Positively homogeneous activations, :math:`\phi(z) = az` above 0 and :math:`bz` below, at two inputs of angle t (Cho &
Saul 2009 for a = 1, b = 0, the arc-cosine kernels):

.. math::
    E\phi(u_1)\phi(u_2) &= \sqrt{q_1q_2}\Bigl[\frac{a^2+b^2}2\cos t + \frac{(a-b)^2}{2\pi}(\sin t-t\cos t)\Bigr],\\
    E\phi'(u_1)\phi'(u_2) &= \frac{a^2+b^2}2 - \frac{(a-b)^2}{2\pi}t.

The error function (Williams 1997), with :math:`\sin B = 2\sqrt{q_1q_2}\cos t/\sqrt{(1+2q_1)(1+2q_2)}`:

.. math::
    E\phi(u_1)\phi(u_2) = \frac{2B}\pi,\qquad
    E\phi'(u_1)\phi'(u_2) = \frac{4}{\pi\sqrt{(1+2q_1)(1+2q_2)}\cos B}.

GELU (Tsuchida et al. 2021) at one input; at two the closed form of the squared distance cancels where they are near.
Arc sines near 1 are arc tangents here, and distances are written so that they do not cancel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.core.activations import Activation


class ClosedForm(NamedTuple):
    """Hold the closed forms of an activation.

    Parameters
    ----------
    single : callable
        Function of q that returns E phi^2 and E phi'^2, and d ln of each / d ln q.
    pair : callable or None
        Function of q1, q2 and an angle above 0 that returns the fields of `gradlab.theory.gaussian.Overlap`.
    """

    single: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    pair: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, ...]] | None = None


@functools.lru_cache(maxsize=256)
def closed_form(entry: Activation) -> ClosedForm | None:
    """Return the closed form of an activation that is homogeneous, erf or GELU; None for all others."""
    if not entry.homogeneous:
        return None if entry.fingerprint else _KNOWN.get(entry.name)
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        above, below = map(float, np.asarray(entry.dphi(jnp.asarray([1.0, -1.0], jnp.float64))))
    mean, kink = (above**2 + below**2) / 2, (above - below) ** 2

    def single(q):
        slope = np.full(np.shape(q), mean)
        return mean * q, slope, np.ones_like(slope), np.zeros_like(slope)

    def pair(q1, q2, angle):
        half = np.sin(angle / 2) ** 2
        lengths = np.sinh((np.log(q1) - np.log(q2)) / 4) ** 2 / half  # (sqrt(q1) - sqrt(q2))^2 / 2 sqrt(q1 q2) (1 - c)
        turned = (np.sin(angle) - angle * np.cos(angle)) / (4 * np.pi * half)
        return mean * (1 + lengths) - kink * turned, mean - kink * angle / (2 * np.pi)

    return ClosedForm(single, pair)


def _erf(q: np.ndarray) -> tuple[np.ndarray, ...]:
    root = np.sqrt(1 + 4 * q)
    square = 2 / np.pi * np.arctan2(2 * q, root)
    return square, 4 / np.pi / root, 4 / np.pi * q / ((1 + 2 * q) * root * square), -2 * q / (1 + 4 * q)


def _erf_pair(q1: np.ndarray, q2: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, ...]:
    size, cross = np.sqrt(1 + 2 * q1) * np.sqrt(1 + 2 * q2), 2 * np.sqrt(q1) * np.sqrt(q2)
    # sine and cosine of B, and of B at the angle 0
    root = np.sqrt(1 + 2 * q1 + 2 * q2)
    inner = np.hypot(root, cross * np.sin(angle))
    there, start = (cross * np.cos(angle) / size, inner / size), (cross / size, root / size)
    distance = 2 * _turn(start, there, (start[0] * np.sin(angle)) ** 2)
    for q, other in ((q1, q2), (q2, q1)):  # of each input with itself
        alone = 2 * q / (1 + 2 * q), np.sqrt(1 + 4 * q) / (1 + 2 * q)
        distance += _turn(alone, start, 2 * alone[0] * (q - other) / size / size)
    return distance / (np.pi * cross * np.sin(angle / 2) ** 2), 4 / (np.pi * inner)


def _turn(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...], squares: np.ndarray) -> np.ndarray:
    """Compute the angle between two directions in [-pi/2, pi/2] from the difference of their squared sines.

    Each direction is its sine and its cosine.
    """
    (s1, c1), (s2, c2) = one, other
    sine = np.where(s2 > 0, squares / np.where(s2 > 0, s1 * c2 + c1 * s2, 1), s1 * c2 - c1 * s2)
    return np.arctan2(sine, c1 * c2 + s1 * s2)


def _gelu(q: np.ndarray) -> tuple[np.ndarray, ...]:
    root = np.sqrt(1 + 2 * q)
    gate = 0.25 + np.arctan2(q, root) / (2 * np.pi)
    rest, slope = q / (np.pi * (1 + q) * root), (3 + 5 * q) / (2 * np.pi * (1 + q) * root**3)
    square, square_slope = q * (gate + rest), gate + q * slope
    # d gate / d ln q is half of `rest`
    growth = 1 + (0.5 * rest + rest * (1 - q / (1 + q) - q / root**2)) / (gate + rest)
    fall = 0.5 * rest + q * slope * (1 + 5 * q / (3 + 5 * q) - q / (1 + q) - 3 * q / root**2)
    return square, square_slope, growth, fall / square_slope


_KNOWN: dict[str, ClosedForm] = {"erf": ClosedForm(_erf, _erf_pair), "gelu": ClosedForm(_gelu)}
