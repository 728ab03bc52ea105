r"""Where gradients neither vanish nor explode: the line chi1 = 1, the part of it that holds, and ``init="critical"``.

With :math:`g(q) = E\phi'(\sqrt q z)^2` the line is a curve with q as parameter: :math:`\sigma_w^2 = 1/g(q)`,
:math:`\sigma_b^2 = q - E\phi^2/g(q)`. A point of it can be used only if the variance also stays there,
:math:`V'(q) \le 1`; where V' is 1, from above as well. Roberts, Yaida & Hanin 2022, chapter 5, tell three kinds
of points apart: scale-invariant (every q is fixed), q* = 0, and half-stable (chi1 = V' = 1 at q* > 0).

The value sigma_b2 = 0.0555 that is in circulation for the half-stable point of swish is ten times
too small: chi1 is 0.55 there. The point is sigma_b2 = 0.5551432, sigma_w2 = 1.9880047.

A half-stable point holds the variance from one side alone, from larger q. For GELU there is a stable fixed point
just below it, q* = 3.03 with chi1 = 0.994, to which a variance that starts lower goes instead; V(q)/q - 1 stays
within 3e-6 between the two, so that it takes thousands of layers to leave either.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from gradlab._errors import GradlabError
from gradlab.core.activations import Activation
from gradlab.core.initializers import FAMILIES, Initializer
from gradlab.theory.gaussian import check_variances, entry_of, moments
from gradlab.theory.meanfield import GRID, landscape

#: Rounding of V' and of sigma_b2 / q along the line.
_ROUNDING = 1e-11
#: ln q between which points with q* > 0 are looked for: below, all activations are powers.
_LOWEST, _HIGHEST = np.log(1e-6), np.log(1e9)


@dataclass(frozen=True)
class CriticalPoint:
    """An initialisation at which gradients neither vanish nor explode: chi1 = 1, at a variance q* that stays.

    `kind` says how the variance stays: ``"scale-invariant"`` where every variance is kept, and `q_star` is NaN;
    ``"q* = 0"`` where it goes to 0 as a power of the depth; ``"half-stable"`` where it comes back from one side alone;
    ``"stable"`` where it comes back from both. `chi_q` is V'(q*), the factor by which a small difference from q*
    shrinks per layer.
    """

    activation: str
    sigma_w2: float
    sigma_b2: float
    q_star: float
    chi_q: float
    kind: str


@dataclass(frozen=True)
class CriticalLine:
    """Hold the line chi1 = 1 of an activation, in arrays over q.

    `usable` is False where the fixed point repels (V' > 1). Points with a negative `sigma_b2` are left out.
    """

    activation: str
    q_star: np.ndarray
    sigma_w2: np.ndarray
    sigma_b2: np.ndarray
    chi_q: np.ndarray
    usable: np.ndarray


def _along(entry: Activation, x: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute sigma_w2, sigma_b2 / q and V' at the points of the line with q = exp(x)."""
    at = landscape(entry) if x is GRID else moments(entry, x)
    share = np.exp(at.log_phi2 - at.log_dphi2 - x)  # E phi^2 / (q g)
    return np.exp(-at.log_dphi2), 1 - share, share * at.growth


def critical_line(activation: str | Activation, q: np.ndarray | None = None) -> CriticalLine:
    """Compute the line chi1 = 1, with the variance q as its parameter.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    q : array, optional
        Variances of the preactivations at which to compute points. None: 400 from 1e-6 to 1e3.

    Returns
    -------
    CriticalLine
        Without the variances whose point would need a negative sigma_b2.

    Examples
    --------
    >>> line = critical_line("tanh", q=[0.57])
    >>> round(float(line.sigma_w2[0]), 2), round(float(line.sigma_b2[0]), 2), bool(line.usable[0])
    (1.76, 0.05, True)
    """
    entry = entry_of(activation)
    q = np.geomspace(1e-6, 1e3, 400) if q is None else np.asarray(q, float)
    check_variances("q", q)
    sigma_w2, share, chi_q = _along(entry, np.log(q))
    share = np.where(np.abs(share) <= _ROUNDING, 0.0, share)
    kept = share >= 0
    return CriticalLine(
        entry.name, q[kept], sigma_w2[kept], (q * share)[kept], chi_q[kept], (chi_q <= 1 + _ROUNDING)[kept]
    )


def critical_sigma_w2(activation: str | Activation, sigma_b2: float = 0.0) -> float:
    """Compute the sigma_w2 at which gradients neither vanish nor explode, for a bias variance.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    sigma_b2 : float
        Bias variance, at least 0.

    Returns
    -------
    float
        Fan-in times the weight variance. `critical_point` returns the whole point, with q* and its kind.

    Raises
    ------
    GradlabError
        If no point with chi1 = 1 has this bias variance, or none at which the variance stays; the message says
        which, and the nearest bias variance that has one.

    Examples
    --------
    >>> round(critical_sigma_w2("tanh", 0.05), 6)
    1.760955
    """
    return critical_point(activation, sigma_b2).sigma_w2


def critical_point(activation: str | Activation, sigma_b2: float = 0.0) -> CriticalPoint:
    """Return the usable point with chi1 = 1 and a bias variance.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    sigma_b2 : float
        Bias variance, at least 0.

    Raises
    ------
    GradlabError
        In the cases of `critical_sigma_w2`.
    """
    entry = entry_of(activation)
    check_variances("sigma_b2", np.asarray(sigma_b2), "at least 0")
    sigma_b2 = float(sigma_b2)
    ends = _points_without_scale(entry)
    if sigma_b2 == 0 and ends:
        return ends[0]
    half = _half_stable(entry)
    if half is not None and abs(sigma_b2 - half.sigma_b2) <= 1e-9 * half.sigma_b2:
        return half
    repelling = False
    for x in _crossings(entry, sigma_b2):
        sigma_w2, _, chi_q = _along(entry, np.array(x))
        if chi_q <= 1 + _ROUNDING:
            return CriticalPoint(entry.name, float(sigma_w2), sigma_b2, float(np.exp(x)), float(chi_q), "stable")
        repelling = True
    raise _refusal(entry, sigma_b2, repelling or (sigma_b2 == 0 and _vanishes_at_zero(entry)), ends)


@functools.lru_cache(maxsize=64)
def _points_without_scale(entry: Activation) -> tuple[CriticalPoint, ...]:
    """Return the point at sigma_b2 = 0 that is scale-invariant or has q* = 0, if one exists that does not repel."""
    if not _vanishes_at_zero(entry):
        return ()
    sigma_w2 = float(_along(entry, GRID)[0][0])
    # V(q)/q at this sigma_w2, from q = 0 up to where activations have bent
    above = sigma_w2 * np.exp(landscape(entry).log_phi2 - GRID)[np.log(1) >= GRID]
    if np.all(np.abs(above - 1) <= _ROUNDING) and entry.homogeneous:
        return (CriticalPoint(entry.name, sigma_w2, 0.0, np.nan, 1.0, "scale-invariant"),)
    if np.all(above <= 1 + _ROUNDING):
        return (CriticalPoint(entry.name, sigma_w2, 0.0, 0.0, 1.0, "q* = 0"),)
    return ()


def _vanishes_at_zero(entry: Activation) -> bool:
    """Say whether phi(0) = 0 and phi'(0) is not 0: then q = 0 is a fixed point without bias, with V' = chi1."""
    at = landscape(entry)
    return bool(np.isfinite(at.log_dphi2[0]) and abs(at.growth[0] - 1) < 1e-6)


def _crossings(entry: Activation, sigma_b2: float) -> list[float]:
    """Return ln q of the points of the line with this bias variance, from small q to large."""
    x = GRID[(GRID >= _LOWEST) & (GRID <= _HIGHEST)] if sigma_b2 == 0 else GRID[GRID <= _HIGHEST]
    height = lambda t: _along(entry, np.asarray(t))[1] - sigma_b2 * np.exp(-np.asarray(t))
    values = height(x)
    values = np.where(np.abs(values) <= _ROUNDING, 0.0, values)
    crossed = np.flatnonzero(values[:-1] * values[1:] < 0)
    return [float(brentq(lambda t: float(height(t)), x[i], x[i + 1], xtol=1e-15, rtol=1e-15)) for i in crossed]


@functools.lru_cache(maxsize=64)
def _half_stable(entry: Activation) -> CriticalPoint | None:
    """Return the point of the line with V' = 1 at q* > 0 and a bias variance above 0, where one exists."""
    x = GRID[(GRID >= _LOWEST) & (GRID <= _HIGHEST)]
    _, share, chi_q = _along(entry, x)
    rises = chi_q - 1
    rises = np.where(np.abs(rises) <= _ROUNDING, 0.0, rises)
    for i in np.flatnonzero(rises[:-1] * rises[1:] < 0):
        if share[i] <= _ROUNDING or share[i + 1] <= _ROUNDING:
            continue
        at = float(brentq(lambda t: float(_along(entry, np.asarray(t))[2] - 1), x[i], x[i + 1], xtol=1e-15, rtol=1e-15))
        sigma_w2, part, _ = _along(entry, np.asarray(at))
        q = float(np.exp(at))
        return CriticalPoint(entry.name, float(sigma_w2), float(q * part), q, 1.0, "half-stable")
    return None


def _refusal(entry: Activation, sigma_b2: float, repelling: bool, ends: tuple[CriticalPoint, ...]) -> GradlabError:
    """Make the error that says which condition fails and which nearest bias variance has a usable point."""
    q = np.exp(GRID[(GRID >= _LOWEST) & (GRID <= _HIGHEST)])
    line = critical_line(entry, q)
    usable = line.usable & (line.sigma_b2 > _ROUNDING * line.q_star)
    half = _half_stable(entry)
    places = [(b, w) for b, w in zip(line.sigma_b2[usable], line.sigma_w2[usable], strict=True)]
    places += [(p.sigma_b2, p.sigma_w2) for p in (*ends, *([half] if half else ()))]
    why = (
        "where chi1 = 1 the variance runs away, V' > 1 (or from above where V' = 1)"
        if repelling
        else "no q has chi1 = 1 and V(q) = q"
    )
    hint = "init='gaussian' with a sigma_w2 of your own: this activation has no usable critical point"
    if places:
        b, w = min(places, key=lambda p: abs(p[0] - sigma_b2))
        hint = f"sigma_b2={b:.10g}, the nearest that has one (sigma_w2={w:.7g})"
    return GradlabError(
        f"a critical point of {entry.name!r} that can be used, chi1 = 1 and V' <= 1, at sigma_b2 = {sigma_b2:g}",
        why,
        hint,
    )


def critical_start(activation: str | Activation) -> CriticalPoint:
    """Return the point that ``init="critical"`` uses: scale-invariant, with q* = 0, or half-stable.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.

    Raises
    ------
    GradlabError
        If the activation has none of the three.

    Examples
    --------
    >>> point = critical_start("silu")
    >>> round(point.sigma_b2, 7), round(point.sigma_w2, 7), round(point.q_star, 5), point.kind
    (0.5551432, 1.9880047, 14.32017, 'half-stable')
    """
    entry = entry_of(activation)
    points = [*_points_without_scale(entry), *filter(None, [_half_stable(entry)])]
    if points:
        return points[0]
    try:
        other = critical_point(entry, 0.0)
        hint = (
            f"another activation; sigma_w2={other.sigma_w2:.5g} has chi1 = 1 and q* = {other.q_star:.3g}, "
            "where most units are saturated"
        )
    except GradlabError as error:
        hint = error.hint
    raise GradlabError(
        "an activation with a critical initialisation: scale-invariant, critical at q* = 0, or half-stable",
        f"{entry.name!r}, which is none of them", hint,
    )  # fmt: skip


def initializer_for(activation: str, sigma_b2: float | None = None) -> Initializer:
    """Make the initialiser ``critical`` of an activation: Gaussian weights and, where the point needs them, biases.

    With `sigma_b2` it uses the point of the critical line with that bias variance, otherwise `critical_start`.
    """
    point = critical_start(activation) if sigma_b2 is None else critical_point(activation, sigma_b2)
    return Initializer(
        "critical", FAMILIES["normal"],
        lambda fan_in, fan_out: (point.sigma_w2 / fan_in) ** 0.5,
        lambda fan_in, fan_out: point.sigma_w2,
        bias_std=lambda fan_in: point.sigma_b2**0.5,
        fingerprint=f"sigma_w2={point.sigma_w2}, sigma_b2={point.sigma_b2}",
    )  # fmt: skip
