r"""Mean field of infinitely wide networks: where variance and correlation go, and how fast.

With q the preactivation variance, c the correlation of two inputs, z standard normal:

.. math::
    V(q) = \sigma_w^2 E\phi(\sqrt q z)^2 + \sigma_b^2,\quad
    \chi(q) = \sigma_w^2 E\phi'(\sqrt q z)^2,\quad
    \chi_c(c) = \sigma_w^2 E\phi'(u_1)\phi'(u_2).

The variance tends to q* = V(q*), the correlation to c*, each like exp(-l/xi) with
:math:`\xi = -1/\ln` of the slope; the mean squared delta grows by :math:`\chi_1 = \chi(q^*)` per layer
toward the input. :math:`\chi_1 < 1` is the ordered phase (c* = 1, gradients vanish), :math:`\chi_1 > 1`
the chaotic one. Poole et al. 2016; Schoenholz et al. 2017.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from gradlab.core.activations import Activation
from gradlab.theory.gaussian import LOG_RANGE, Moments, check_variances, entry_of, moments, overlap

#: V(q)/q - 1 within this is rounding of the quadrature; a map that comes this near to a fixed point touches it.
_ROUNDING, _TOUCHING = 1e-12, 1e-8
#: V(q)/q - 1 that cannot be distinguished from 0.
_NOISE = 2e-15
#: Between two places of the grid a map bends no more than this.
_VALLEY = 0.05
#: A slope this near to 1 is 1.
CRITICAL = 1e-10
#: Relative error of expectations over two variables.
_OVERLAP = 1e-9
#: ln q that is far out, or near 0: what is left of an activation's curvature there is below rounding.
_BEYOND = 80.0
#: ln q at which maps are looked at first: fine where activations bend, coarse where they are powers of q.
_FAR = np.linspace(36, LOG_RANGE, 50)[1:]
GRID = np.concatenate([-_FAR[::-1], np.linspace(-36, 36, 361), _FAR])


@dataclass(frozen=True)
class MeanField:
    r"""Hold what a random network of infinite width does to variance, correlation and gradient.

    Parameters
    ----------
    activation : str
        Name of the activation.
    sigma_w2, sigma_b2 : float
        Fan-in times the weight variance, and the bias variance.
    q_star : float
        The preactivation variance far from the input: 0 and inf where it shrinks or grows for ever.
    c_star : float
        The correlation of two inputs far from the input. Where q* is 0 or inf the limit of the correlation map has it:
        1 for ReLU at every scale; NaN where that limit keeps every correlation, as with tanh at q* = 0.
    chi1 : float
        Factor of the mean squared delta per layer toward the input, at q*.
    chi_q : float
        V'(q*), the slope of the variance map.
    chi_c : float
        Slope of the correlation map at c*; `chi1` where c* is 1 and q* neither 0 nor inf.
    xi_q, xi_c, xi_grad : float
        Depth scales -1/ln of `chi_q`, `chi_c`, `chi1`, in layers; inf where the slope is 1, negative where
        it is larger (a gradient that explodes).
    phase : str
        ``"ordered"``, ``"critical"`` or ``"chaotic"``: chi1 below, at or above 1.
    note : str
        What is marginal or without a limit here; else empty.
    """

    activation: str
    sigma_w2: float
    sigma_b2: float
    q_star: float
    c_star: float
    chi1: float
    chi_q: float
    chi_c: float
    xi_q: float
    xi_c: float
    xi_grad: float
    phase: str
    note: str = ""

    def __str__(self) -> str:
        gradient = "vanishing" if self.chi1 < 1 else "exploding"
        rows = (
            ("sigma_w2", self.sigma_w2, "fan-in times weight variance"),
            ("sigma_b2", self.sigma_b2, "bias variance"),
            ("q*", self.q_star, "preactivation variance far from the input"),
            ("c*", self.c_star, "correlation of two inputs far from the input"),
            ("chi1", self.chi1, "factor of the mean squared delta per layer toward the input"),
            ("rate", self.chi1**0.5, "factor of the rms delta, sqrt(chi1)"),
            ("chi_q", self.chi_q, "slope of the variance map at q*"),
            ("chi_c", self.chi_c, "slope of the correlation map at c*"),
            ("xi_q", self.xi_q, "layers in which the variance comes nearer by a factor e"),
            ("xi_c", self.xi_c, "the same of the correlation"),
            ("xi_grad", self.xi_grad, "the same of the mean squared delta, negative where it grows"),
            ("phase", self.phase, f"gradients {gradient}" if self.phase != "critical" else "chi1 = 1"),
        )
        lines = [f"{self.activation}, infinite width"]
        for name, value, meaning in rows:
            shown = value if isinstance(value, str) else "-" if np.isnan(value) else f"{value:.6g}"
            lines.append(f"  {name:<9} {shown:>12}  {meaning}")
        return "\n".join([*lines, *([f"  note: {self.note}"] if self.note else [])])


def depth_scale(slope: float) -> float:
    """Return -1/ln of a slope, in layers: inf at 1, negative above it, 0 at 0."""
    if np.isnan(slope):
        return np.nan
    if abs(slope - 1) <= CRITICAL:
        return np.inf
    return 0.0 if slope == 0 else float(-1 / np.log(abs(slope)))


def phase_of(chi1: float) -> str:
    """Return the phase that belongs to a factor of the mean squared delta."""
    return "critical" if abs(chi1 - 1) <= CRITICAL else "ordered" if chi1 < 1 else "chaotic"


def mean_field(activation: str | Activation, *, sigma_w2: float, sigma_b2: float = 0.0, q0: float = 1.0) -> MeanField:
    """Compute fixed points, slopes and depth scales of a network of infinite width.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    sigma_w2 : float
        Fan-in times the weight variance, positive.
    sigma_b2 : float
        Bias variance, at least 0.
    q0 : float
        Mean square of an input. It decides which of several fixed points is reached, and q* where every q is fixed.

    Raises
    ------
    GradlabError
        If a variance is negative, `q0` is 0, or phi is not finite on the real line. No error is raised where the
        variance has no fixed point: q* is then 0 or inf, and the note says so.

    Examples
    --------
    >>> tanh = mean_field("tanh", sigma_w2=1.5, sigma_b2=0.05)
    >>> tanh.phase, round(tanh.chi1, 4)
    ('ordered', 0.9386)
    """
    entry = entry_of(activation)
    check_variances("sigma_w2", np.asarray(sigma_w2))
    check_variances("sigma_b2", np.asarray(sigma_b2), "at least 0")
    check_variances("q0", np.asarray(q0))
    sigma_w2, sigma_b2 = float(sigma_w2), float(sigma_b2)
    log_q = float(fixed_points(entry, *(np.array([v]) for v in (sigma_w2, sigma_b2, sigma_w2 * q0 + sigma_b2)))[0])
    at = moments(entry, np.clip(log_q, -LOG_RANGE, LOG_RANGE))
    chi1 = float(sigma_w2 * np.exp(at.log_dphi2))
    chi_q = float(sigma_w2 * at.growth * np.exp(at.log_phi2 - np.clip(log_q, -LOG_RANGE, LOG_RANGE)))
    q_star = float(np.exp(log_q))
    notes = []
    if np.isinf(log_q):
        c_star, chi_c = (float(v) for v in endless_correlation(entry, log_q > 0, sigma_w2, sigma_b2))
        way = "every correlation stays" if np.isnan(c_star) else "c* is that of the limit of the correlation map"
        notes.append(f"the variance {'grows' if log_q > 0 else 'shrinks'} for ever: {way}")
    else:
        angle = fixed_angle(entry, sigma_w2, q_star, chi1)
        c_star = 0.0 if angle == np.pi / 2 else float(1 - 2 * np.sin(angle / 2) ** 2)
        same_slope = angle == 0 or np.isnan(angle)
        chi_c = chi1 if same_slope else float(sigma_w2 * overlap(entry, q_star, q_star, angle).slopes)
        if np.isnan(angle):
            notes.append("every correlation is a fixed point")
        if abs(chi_q - 1) <= CRITICAL:
            scale_free = entry.homogeneous and sigma_b2 == 0
            notes.append("every variance is a fixed point" if scale_free else "q* is reached like a power of depth")
    if abs(chi1 - 1) <= CRITICAL:
        notes.append("marginal: deltas follow a power law of depth, or stay as they are (gl.theory.transients)")
    return MeanField(
        entry.name, sigma_w2, sigma_b2, q_star, c_star, chi1, chi_q, chi_c,
        depth_scale(chi_q), depth_scale(chi_c), depth_scale(chi1), phase_of(chi1), "; ".join(notes),
    )  # fmt: skip


@functools.lru_cache(maxsize=64)
def landscape(entry: Activation) -> Moments:
    """Compute the moments on the grid of ln q, which depend on the activation alone."""
    return moments(entry, GRID)


def _excess(entry: Activation, x: np.ndarray, log_w: np.ndarray, log_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute ln V(q) - ln q at x = ln q, and its derivative by x."""
    at = moments(entry, x)
    after = np.logaddexp(log_w + at.log_phi2, log_b)
    return after - x, np.exp(log_w + at.log_phi2 - after) * at.growth - 1


def fixed_points(entry: Activation, sigma_w2: np.ndarray, sigma_b2: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Find ln q* of the nearest fixed point in the direction in which q moves from `start`; -inf or inf without one.

    Where V grows with q the iteration cannot jump over one; where V falls it falls no faster than 1/sqrt(q), and
    closes in on the only one there is.
    """
    with np.errstate(divide="ignore"):
        log_w, log_b, x = np.log(sigma_w2), np.log(sigma_b2), np.log(start)
    first, _ = _excess(entry, x, log_w, log_b)
    log_q = np.where(np.abs(first) <= _ROUNDING, x, np.nan)
    map_on_grid = np.logaddexp(log_w[:, None] + landscape(entry).log_phi2, log_b[:, None]) - GRID
    # most points by arrays: the first place on the way where V crosses q
    up = (first > 0)[:, None]
    height = np.where(up, map_on_grid, -map_on_grid)
    ahead = np.where(up, x[:, None] < GRID, x[:, None] > GRID)
    crossed = ahead & (height < -_ROUNDING)
    end = np.where(up[:, 0], np.argmax(crossed, 1), len(GRID) - 1 - np.argmax(crossed[:, ::-1], 1))
    before = np.where(up[:, 0], end - 1, end + 1).clip(0, len(GRID) - 1)
    start_side = np.where(np.take_along_axis(ahead, before[:, None], 1)[:, 0], GRID[before], x)
    low, high = np.minimum(start_side, GRID[end]), np.maximum(start_side, GRID[end])
    endless = np.isnan(log_q) & ~crossed.any(1)
    log_q = np.where(endless, np.where(up[:, 0], np.inf, -np.inf), log_q)
    # a valley on the way may touch 0 between two places of the grid
    inner = height[:, 1:-1]
    valley = (inner < height[:, :-2]) & (inner < height[:, 2:]) & (inner < _VALLEY) & (inner > 0) & ahead[:, 1:-1]
    for i in np.flatnonzero(valley.any(1) & (np.abs(first) > _ROUNDING)):
        path = np.flatnonzero(ahead[i]) if up[i, 0] else np.flatnonzero(ahead[i])[::-1]
        places, heights = np.append(x[i], GRID[path]), np.append(np.abs(first[i]), height[i, path])
        low[i], high[i], log_q[i] = _bracket(entry, places, heights, log_w[i], log_b[i], bool(up[i, 0]))
    search = np.flatnonzero(np.isnan(log_q))
    if len(search):
        log_q[search] = _polished(entry, low[search], high[search], log_w[search], log_b[search])
    return log_q


def _bracket(
    entry: Activation, places: np.ndarray, height: np.ndarray, log_w: float, log_b: float, up: bool
) -> tuple[float, float, float]:
    """Return the ends of an interval with the next fixed point, or that point where the map only touches it."""
    crossed = height < -_ROUNDING
    end = int(np.argmax(crossed)) if crossed.any() else len(height)
    inner = height[1:-1]
    # on the way to 0 or inf the height may sink below rounding; that is no valley
    valley = (inner < height[:-2]) & (inner < height[2:]) & (height[2:] > 10 * _ROUNDING) & (inner < _VALLEY)
    for k in np.flatnonzero(valley[: max(end - 1, 0)]) + 1:
        slope = lambda t: float(_excess(entry, np.array([t]), np.array([log_w]), np.array([log_b]))[1][0])
        a, b = sorted((places[k - 1], places[k + 1]))
        if slope(a) * slope(b) >= 0:
            continue
        bottom = float(np.asarray(brentq(slope, a, b, xtol=1e-14)))
        depth = float(_excess(entry, np.array([bottom]), np.array([log_w]), np.array([log_b]))[0][0])
        depth = depth if up else -depth
        if abs(depth) <= _TOUCHING:
            return np.nan, np.nan, bottom
        if depth < 0:
            return min(places[k - 1], bottom), max(places[k - 1], bottom), np.nan
    if end == len(height):
        return np.nan, np.nan, np.inf if up else -np.inf
    return min(places[end - 1], places[end]), max(places[end - 1], places[end]), np.nan


def _polished(entry: Activation, low, high, log_w, log_b) -> np.ndarray:
    """Refine roots by Newton's method within shrinking brackets, for all unfinished points at once."""
    ends = [_excess(entry, x, log_w, log_b) for x in (low, high)]
    side = np.sign(ends[0][0])
    # begin where the parabola through both ends, with the slope of one, crosses 0
    (left, slope), (right, _) = ends
    width = high - low
    bend = (right - left - slope * width) / width**2
    with np.errstate(divide="ignore", invalid="ignore"):
        x = low - 2 * left / (slope - side * np.sqrt(np.maximum(slope**2 - 4 * bend * left, 0)))
    x = np.where((x > low) & (x < high), x, 0.5 * (low + high))
    active = np.arange(len(x))
    for _ in range(80):
        here = x[active]
        value, slope = _excess(entry, here, log_w[active], log_b[active])
        same = np.sign(value) == side[active]
        low[active], high[active] = np.where(same, here, low[active]), np.where(same, high[active], here)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = here - value / slope
        inside = (new >= low[active]) & (new <= high[active])
        new = np.where(inside, new, 0.5 * (low[active] + high[active]))
        x[active] = new
        size = np.maximum(1, np.abs(new))
        active = active[(np.abs(new - here) > 1e-12 * size) & (np.abs(value) > _NOISE * size)]
        if not len(active):
            break
    return x


@functools.lru_cache(maxsize=64)
def _limit(entry: Activation, grows: bool) -> tuple[float, float, float]:
    """Return c*, the slope at c*, and V(q)/(q sigma_w2), for very large or very small q."""
    far = _BEYOND if grows else -_BEYOND
    at = moments(entry, far)
    per_weight = float(np.exp(at.log_phi2 - far))
    chi = float(np.exp(at.log_dphi2 + far - at.log_phi2))  # of the weights that would hold this variance
    angle = fixed_angle(entry, 1 / per_weight, float(np.exp(far)), chi)
    if np.isnan(angle):
        return np.nan, np.nan, per_weight
    slope = chi if angle == 0 else float(overlap(entry, np.exp(far), np.exp(far), angle).slopes) / per_weight
    return float(np.cos(angle)), slope, per_weight


def endless_correlation(
    entry: Activation, grows: bool, sigma_w2: np.ndarray | float, sigma_b2: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute c* and the slope at c* where the variance grows or shrinks for ever.

    The map is that of the power law which the activation follows there. Biases add up where the variance grows by
    nothing else: then every pair becomes equal.
    """
    c_star, slope, per_weight = _limit(entry, grows)
    shape = np.broadcast_shapes(np.shape(sigma_w2), np.shape(sigma_b2))
    if not np.isnan(c_star):
        return np.full(shape, c_star), np.full(shape, slope)
    adds_up = (np.abs(np.asarray(sigma_w2) * per_weight - 1) <= CRITICAL) & (np.asarray(sigma_b2) > 0)
    one = np.where(np.broadcast_to(adds_up, shape), 1.0, np.nan)
    return one, one


def fixed_angle(entry: Activation, sigma_w2: float, q_star: float, chi1: float) -> float:
    r"""Find the angle of c*: 0 where chi1 is at most 1, otherwise the angle at which the mean slope from c to 1 is 1.

    From 1 - c' = 1 - c: :math:`\sigma_w^2 E(\phi(u_1)-\phi(u_2))^2 = 2 q^*(1-c)`.
    """
    if chi1 < 1 - CRITICAL:
        return 0.0

    def excess(angle: float) -> float:
        return float(sigma_w2 * overlap(entry, q_star, q_star, angle).mean_slope - 1)

    right = np.pi / 2
    at_zero_correlation = excess(right)
    if chi1 <= 1 + CRITICAL:
        return 0.0 if at_zero_correlation < -_OVERLAP else np.nan
    if at_zero_correlation > -_OVERLAP:
        return right  # an odd activation without bias: c* is 0
    return float(brentq(excess, 1e-9, right, xtol=1e-15, rtol=1e-12))
