r"""Gaussian expectations of an activation and its derivative, by quadrature that keeps its digits everywhere.

:math:`E f(\sqrt q z)` with z standard normal has two scales, that of z and that of phi, which is
:math:`1/\sqrt q` in z. The line is cut at the kinks of the activation, into panels that grow
geometrically away from 0 and from each kink, and each panel is integrated by Gauss-Legendre:
converging exponentially for activations that are analytic between their kinks, whatever q is.

Where an expectation has a closed form (`gradlab.theory.closed_forms`) that is what `moments` and `overlap` take.
A variance travels as its logarithm, so that :math:`q = 10^{\pm 5000}` is as good a number as 1: beyond
:math:`10^{\pm 100}` the moments follow power laws to all digits of a double.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from gradlab._errors import GradlabError
from gradlab.core.activations import TABLE, Activation
from gradlab.theory.closed_forms import closed_form

#: Gauss-Legendre nodes of a panel, and the largest ratio of the ends of a panel that does not reach its centre.
_ORDER, _RATIO = 16, 4.0
#: The same for two variables, where the number of nodes is squared: 2.5e-12 at a pole of phi, 1e-14 elsewhere.
_ORDER_2, _RATIO_2 = 10, 3.0
#: Ends of the panels that the Gaussian weight asks for, and what is left out: exp(-46), exp(-35).
_BASE, _BASE_2 = np.linspace(-9.6, 9.6, 13), np.linspace(-8.4, 8.4, 8)
#: The smallest panel reaches so far from 0 in the argument of phi.
_NEAR = 0.25
#: log q beyond which the moments are continued as power laws.
LOG_RANGE = 100 * np.log(10.0)
#: Nodes at which phi is evaluated in one call.
_CHUNK = 1 << 13
#: Variances that are integrated at once.
_ROWS = 64
#: Halvings of the panels that are tried, and the size of the last Legendre coefficients that calls for one.
#: They fall like rho^-15 where the error falls like rho^-32.
_HALVINGS, _UNRESOLVED = 5, 1e-6
#: Two inputs closer than this angle are joined to angle 0 by a straight line.
SMALL_ANGLE = 1e-4


def entry_of(activation: str | Activation) -> Activation:
    """Return the entry of the table with its present functions, after a check that they are finite on the real line.

    Raises
    ------
    GradlabError
        If phi or phi' is not finite at one of the points +-10^k, k from -6 to 6, or at 0.
    """
    entry = activation if isinstance(activation, Activation) else TABLE.current(activation)
    _check_finite(entry)
    return entry


@functools.lru_cache(maxsize=256)
def _check_finite(entry: Activation) -> None:
    powers = 10.0 ** np.arange(-6, 7)
    points = np.concatenate([-powers[::-1], [0.0], powers])
    phi, dphi = evaluate(entry, points)
    bad = ~(np.isfinite(phi) & np.isfinite(dphi))
    if bad.any():
        at = int(np.argmax(bad))
        raise GradlabError(
            "an activation that is finite on the whole real line, for Gaussian preactivations reach all of it",
            f"{entry.name!r} with phi = {phi[at]} and phi' = {dphi[at]} at z = {points[at]:g}",
            "an activation that is defined for all z and grows like a power at most",
        )  # fmt: skip


@functools.lru_cache(maxsize=256)
def _compiled(entry: Activation) -> Callable:
    return jax.jit(lambda u: (entry.phi(u), entry.dphi(u)))


def evaluate(entry: Activation, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute phi(u) and phi'(u) in float64, in pieces of a fixed size, so that one program serves all shapes."""
    flat = np.ravel(u)
    padded = np.zeros(-(-max(flat.size, 1) // _CHUNK) * _CHUNK)
    padded[: flat.size] = flat
    # a network that is traced may ask for its critical weights
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        function = _compiled(entry)
        pieces = [function(part) for part in padded.reshape(-1, _CHUNK)]
    both = (np.concatenate([np.asarray(p[i]) for p in pieces])[: flat.size] for i in (0, 1))
    phi, dphi = (np.broadcast_to(v, flat.shape).reshape(np.shape(u)) for v in both)
    return phi, dphi


@functools.cache
def _legendre(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return nodes, weights, and the map from values to the last two Legendre coefficients."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    last = np.polynomial.legendre.legvander(nodes, order - 1)[:, -2:]
    return nodes, weights, weights[:, None] * last * (np.arange(order)[-2:] + 0.5)


def _ends(base: np.ndarray, centres: np.ndarray, scale: np.ndarray, ratio: float) -> np.ndarray:
    """Return the ends of the panels: `base`, and geometric steps from `scale` (...) on around centres (..., C)."""
    reach = base[1] - base[0]
    scale = np.minimum(scale, reach)
    count = max(1, int(np.ceil(np.log(reach / np.min(scale)) / np.log(ratio))))
    steps = scale[..., None] * (reach / scale[..., None]) ** (np.arange(count) / count)
    around = centres[..., :, None] + np.concatenate([-steps, np.zeros((*scale.shape, 1)), steps], -1)[..., None, :]
    around = np.clip(around.reshape(*scale.shape, -1), base[0], base[-1])
    return np.sort(np.concatenate([np.broadcast_to(base, (*scale.shape, len(base))), around], -1), -1)


def _nodes(ends: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return nodes (..., panels, order), half-lengths (..., panels), and weights that include the Gaussian density."""
    x, w, _ = _legendre(order)
    half = 0.5 * np.diff(ends, axis=-1)
    z = (0.5 * (ends[..., 1:] + ends[..., :-1]))[..., None] + half[..., None] * x
    return z, half, half[..., None] * w * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)


def _centres(entry: Activation) -> np.ndarray:
    return np.asarray(sorted({0.0, *entry.kinks}))


def expectation(
    activation: str | Activation, function: Callable[..., np.ndarray], q: np.ndarray | float, mean: float = 0.0
) -> np.ndarray:
    r"""Compute E f(z, u, phi(u), phi'(u)) with :math:`u = m + \sqrt q z` and z standard normal, at many q at once.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    function : callable
        The integrand ``f(z, u, phi, dphi)`` on arrays. It returns one array of their shape, or several along a new
        first axis.
    q : array of float, positive
        Variances of the preactivations.
    mean : float
        Their mean m, where it is not 0.

    Returns
    -------
    ndarray
        The shape of `q`, after the axis of the functions if there is one. The relative error is below 1e-10.

    Raises
    ------
    GradlabError
        If the panels do not resolve phi, because a kink was not declared or because phi oscillates.

    Examples
    --------
    >>> round(float(expectation("relu", lambda z, u, phi, dphi: phi**2, 3.0)), 12)
    1.5
    """
    entry = entry_of(activation)
    q = np.asarray(q, float)
    check_variances("q", q)
    flat = q.ravel()
    # The largest q of a piece decides how many panels it has, so each piece holds variances of similar size.
    order = np.argsort(flat, kind="stable")
    pieces = [_expectation(entry, function, flat[part], mean) for part in np.array_split(order, -(-len(flat) // _ROWS))]
    values = np.concatenate(pieces, -1)[..., np.argsort(order, kind="stable")]
    return values.reshape((*values.shape[:-1], *q.shape))


def _expectation(entry: Activation, function: Callable, q: np.ndarray, mean: float) -> np.ndarray:
    root = np.sqrt(q)
    ends = _ends(_BASE, (_centres(entry) - mean) / root[:, None], _NEAR / root, _RATIO)
    for _ in range(_HALVINGS):
        z, half, weights = _nodes(ends, _ORDER)
        u = mean + root[:, None, None] * z
        values = np.asarray(function(z, u, *evaluate(entry, u)))
        weighted = values * np.exp(-0.5 * z * z)
        last = np.abs(weighted @ _legendre(_ORDER)[2]).max(-1)
        total = (np.abs(values) * weights).sum((-1, -2))
        unresolved = (half * last).sum(-1) > _UNRESOLVED * total
        if not unresolved.any():
            return (values * weights).sum((-1, -2))
        middle = 0.5 * (ends[:, 1:] + ends[:, :-1])
        ends = np.sort(np.concatenate([ends, middle], -1), -1)
    raise GradlabError(
        "an activation that is smooth between its kinks, on the scale of 1",
        f"{entry.name!r}, which {ends.shape[-1]} panels do not resolve at q = {np.max(q):.3g}",
        "register_activation(..., kinks=...) with every point where phi or phi' jumps",
    )  # fmt: skip


def check_variances(name: str, value: np.ndarray, least: str = "positive") -> None:
    """Raise an error unless all values are finite and positive (or, for `least` "at least 0", not negative)."""
    value = np.asarray(value, float)
    wrong = ~np.isfinite(value) | ((value < 0) if least == "at least 0" else (value <= 0))
    if wrong.any():
        got = float(value[wrong].ravel()[0])
        hint = f"{name} = 1.0: a variance is no less than 0" if got < 0 else f"{name} = 1.0"
        if name in ("q", "q0") and got == 0:
            hint = "inputs that are not all zero: without a signal there is no gradient"
        raise GradlabError(f"{name} to be finite and {least}", f"{got:g}", hint)


class Moments(NamedTuple):
    """Hold what the mean field needs of an activation at a variance q, in arrays of one shape.

    `log_phi2` and `log_dphi2` are ln E phi^2 and ln E phi'^2, `growth` is d ln E phi^2 / d ln q.
    """

    log_phi2: np.ndarray
    log_dphi2: np.ndarray
    growth: np.ndarray


def moments(activation: str | Activation, log_q: np.ndarray | float) -> Moments:
    """Compute E phi^2, E phi'^2 and the growth of the first with q, at any ln q from -1e300 to 1e300.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    log_q : array of float
        Natural logarithm of the preactivation variance.

    Examples
    --------
    >>> at = moments("relu", [-20000.0, 0.0, 20000.0])
    >>> [round(float(v), 6) for v in at.log_phi2 - at.log_dphi2]
    [-20000.0, 0.0, 20000.0]
    """
    entry = entry_of(activation)
    log_q = np.asarray(log_q, float)
    # a homogeneous function has one power law for all q
    limit = 0.0 if entry.homogeneous else LOG_RANGE
    inside, where = np.unique(np.clip(log_q, -limit, limit), return_inverse=True)
    where = where.reshape(log_q.shape)
    known = closed_form(entry)
    at = np.exp(inside)
    phi2, dphi2, growth, change = known.single(at) if known else _single(entry, at.tobytes())
    with np.errstate(divide="ignore"):
        beyond = log_q - inside[where]
        logs = np.log(phi2)[where] + growth[where] * beyond, np.log(dphi2)[where] + change[where] * beyond
        return Moments(*logs, growth[where])


@functools.lru_cache(maxsize=4096)
def _single(entry: Activation, q: bytes) -> tuple[np.ndarray, ...]:
    """Compute E phi^2, E phi'^2, and d ln of each / d ln q, by quadrature; kept, because many networks begin alike."""

    def terms(z, u, phi, dphi):
        squared = dphi * dphi
        return np.stack([phi * phi, squared, phi * dphi * u, 0.5 * (z * z - 1) * squared])

    phi2, dphi2, cross, fall = expectation(entry, terms, np.frombuffer(q))
    with np.errstate(divide="ignore", invalid="ignore"):
        return phi2, dphi2, np.where(phi2 > 0, cross / phi2, 0.0), np.where(dphi2 > 0, fall / dphi2, 0.0)


class Overlap(NamedTuple):
    """Hold expectations over the preactivations of two inputs.

    `mean_slope` is :math:`E(\\phi(u_1)-\\phi(u_2))^2 / (2\\sqrt{q_1q_2}(1-c))`, at equal variances the mean of
    `slopes` = E phi'(u1) phi'(u2) over the correlations between c and 1.
    """

    mean_slope: np.ndarray
    slopes: np.ndarray


def overlap(
    activation: str | Activation, q1: np.ndarray | float, q2: np.ndarray | float, angle: np.ndarray | float
) -> Overlap:
    r"""Compute expectations over two Gaussian preactivations at an angle; their correlation is c = cos(angle).

    The distance is taken from differences, and 1 - c is :math:`2\sin^2(\text{angle}/2)`, so that neither is
    lost where c rounds to 1. At equal variances and angles below 1e-4 both are joined to their common value
    at 0, :math:`E\phi'^2`, by a straight line.

    Parameters
    ----------
    activation : str or Activation
        A name in the table, or an entry of it; `gradlab.register_activation` adds one of your own.
    q1, q2 : array of float, positive
        Variances of the two preactivations.
    angle : array of float
        Angle between the inputs, in [0, pi]; at unequal variances no less than 1e-4.

    Returns
    -------
    Overlap
        Relative error below 1e-8.

    Examples
    --------
    >>> import numpy as np
    >>> float(overlap("relu", 1.0, 1.0, np.pi / 2).slopes.round(12))
    0.25
    """
    entry = entry_of(activation)
    q1, q2, angle = np.broadcast_arrays(*(np.asarray(v, float) for v in (q1, q2, angle)))
    check_variances("q", q1)
    check_variances("q", q2)
    flat = [v.ravel() for v in (q1, q2, angle)]
    asked = np.where(flat[0] == flat[1], np.maximum(flat[2], SMALL_ANGLE), flat[2])
    known = closed_form(entry)
    if known and known.pair:
        values = np.stack(known.pair(*flat[:2], asked), -1)
    else:
        rows = np.stack([*flat[:2], asked], -1)
        # Equal rows are computed once; all angles below 1e-4 at one variance are equal rows.
        unique, where = np.unique(rows, axis=0, return_inverse=True)
        values = np.array([_overlap(entry, *map(float, row)) for row in unique]).reshape(-1, 2)[where.ravel()]
    small = flat[2] < asked
    if small.any():
        at_zero = np.exp(moments(entry, np.log(flat[0][small])).log_dphi2)[:, None]
        values[small] = at_zero + (flat[2][small] / SMALL_ANGLE)[:, None] * (values[small] - at_zero)
    return Overlap(*(values[:, i].reshape(q1.shape) for i in (0, 1)))


@functools.lru_cache(maxsize=4096)
def _overlap(entry: Activation, q1: float, q2: float, angle: float) -> tuple[float, float]:
    """Integrate over the first variable, then over the second given the first: u2 = sqrt(q2) (c z1 + s z2)."""
    c, s = np.cos(angle), np.sin(angle)
    one, two = np.sqrt(q1), np.sqrt(q2)
    centres = _centres(entry)
    # After the integral over the second variable phi'(u2) is smooth on the scale |tan(angle)|, which may be small.
    tilted = abs(c) > 1e-3
    sharp = abs(np.tan(angle)) if tilted else np.inf
    places = np.concatenate([centres / one, np.clip(centres / (two * c), -99, 99) if tilted else []])
    ends = _ends(_BASE_2, np.unique(places), np.asarray(_NEAR * min(1 / one, max(sharp, 1e-9))), _RATIO_2)
    z1, _, weights1 = (v.ravel() for v in _nodes(ends, _ORDER_2))
    phi1, dphi1 = evaluate(entry, one * z1)
    if s < 1e-12:  # opposite inputs: there is no second variable
        phi2, dphi2 = evaluate(entry, two * c * z1)
        distance2, slopes = weights1 @ (phi1 - phi2) ** 2, weights1 @ (dphi1 * dphi2)
    else:
        scale = np.full(len(z1), _NEAR / (two * s))
        z2, _, weights2 = _nodes(_ends(_BASE_2, (centres / two - c * z1[:, None]) / s, scale, _RATIO_2), _ORDER_2)
        phi2, dphi2 = evaluate(entry, two * (c * z1[:, None, None] + s * z2))
        difference = phi1[:, None, None] - phi2
        distance2 = np.einsum("i,ijk,ijk->", weights1, weights2, difference * difference)
        slopes = np.einsum("i,ijk,ijk->", weights1 * dphi1, weights2, dphi2)
    return float(distance2 / (4 * one * two * np.sin(angle / 2) ** 2)), float(slopes)
