r"""Shape an activation to a depth, so that a plain network of that depth keeps its inputs apart: DKS and TAT.

Deep Kernel Shaping (Martens et al. 2021) and the Tailored Activation Transformation (Zhang, Botev & Martens 2022) put
:math:`\hat\phi(z) = \gamma(\phi(\alpha z + \beta) + \delta)` in place of :math:`\phi`, with numbers such that at unit
variance the map of the variance, Q, stays, :math:`Q(1) = Q'(1) = 1`, and :math:`C_f` has a shape that was chosen:

=============  ===============================================  ==========================
method         conditions on each layer                         target of the network
=============  ===============================================  ==========================
DKS            :math:`C(0) = 0,\ C'(1) = \zeta^{1/L}`           :math:`C_f'(1) = \zeta`
TAT            :math:`C'(1) = 1,\ C''(1) = \tau/L`              :math:`C_f''(1) = \tau`
TAT, leaky     the slope below 0, with                          :math:`C_f(0) = \eta`
               :math:`\gamma = \sqrt{2/(1 + \alpha^2)}`
=============  ===============================================  ==========================
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab._errors import GradlabError, unknown
from gradlab.config import positive_integer
from gradlab.core.activations import TABLE, Activation
from gradlab.theory.c_maps import ETA, check_target, tailored_slope
from gradlab.theory.gaussian import entry_of, expectation, moments

#: What is targeted where nothing is said, as in the papers.
ZETA, TAU = 1.5, 0.3
#: Where solutions are looked for: ln of the factor and the shift of the input, and where the search begins.
_LOW, _HIGH = (np.log(1e-4), -4.0), (1.0, 4.0)
_BEGIN = tuple((np.log(a), b) for a in (0.05, 0.3) for b in (0.5, -0.5))
#: Largest error of a condition that counts as met: that of the quadrature, over what cancels.
_MET = 1e-9
#: Digits that the numbers of a shape keep, so that they are the same on another machine.
_DIGITS = 10


class Shape(NamedTuple):
    r"""Hold the numbers of a shaped activation :math:`\hat\phi(z) = \gamma(\phi(\alpha z + \beta) + \delta)`.

    Parameters
    ----------
    input_scale, input_shift : float
        alpha and beta.
    output_shift, output_scale : float
        delta and gamma.
    """

    input_scale: float
    input_shift: float
    output_shift: float
    output_scale: float


def shaped(
    activation: str | Activation,
    depth: int,
    method: Literal["TAT", "DKS"] = "TAT",
    target: float | None = None,
) -> Activation:
    r"""Make the activation that is shaped to a plain network of this depth, by TAT or DKS.

    Use it as any activation, with weights of n Var = 1 (``init="lecun_normal"``, or ``"orthogonal"``), no biases at
    the start, and inputs of mean square 1, for which Q(1) = 1.

    Parameters
    ----------
    activation : str or Activation
        Which one to shape: leaky_relu by TAT; by either method a smooth one, such as tanh, softplus, gelu or silu.
    depth : int
        Number of hidden layers L.
    method : {"TAT", "DKS"}
        Tailored Activation Transformation (Zhang, Botev & Martens 2022) or Deep Kernel Shaping (Martens et al. 2021).
    target : float, optional
        What the map of the whole network shall be: of TAT :math:`C_f''(1)`, 0.3, and for leaky_relu :math:`C_f(0)`,
        0.9; of DKS :math:`C_f'(1)`, 1.5. More bends the activation more. None: these, the papers' own.

    Returns
    -------
    Activation
        Its name says what it is: ``TAT tanh 50``.

    Raises
    ------
    GradlabError
        If no numbers meet the conditions, as for ReLU and for activations whose slope jumps (TAT needs the second
        derivative).

    Examples
    --------
    >>> import gradlab as gl
    >>> phi = gl.theory.shaped("tanh", depth=50)
    >>> gl.MLP(depth=50, activation=phi, init="lecun_normal")
    MLP(depth=50, activation='TAT tanh 50', init='lecun_normal')
    """
    entry, usual = entry_of(activation), _usual(entry_of(activation), method)
    numbers = shape_constants(entry, depth, method, target)
    name = f"{method} {entry.name} {depth}{'' if target in (None, usual) else f' {target:g}'}"
    if entry.name == "leaky_relu":
        entry = TABLE[f"leaky_relu:{round(tailored_slope(depth, usual if target is None else target), _DIGITS)}"]
    return _activation(entry, numbers, name)


def shape_constants(
    activation: str | Activation,
    depth: int,
    method: Literal["TAT", "DKS"] = "TAT",
    target: float | None = None,
) -> Shape:
    """Compute the numbers of `shaped`, for a model of your own; of leaky_relu the slope is `tailored_slope`.

    Parameters
    ----------
    activation, depth, method, target : str or Activation, int, str, float
        As in `shaped`.

    Examples
    --------
    >>> numbers = shape_constants("tanh", 50)
    >>> [round(value, 4) for value in numbers]
    [0.0817, 0.5258, -0.4832, 15.9416]
    """
    entry, depth = entry_of(activation), positive_integer("depth", depth)
    usual = _usual(entry, method)
    target = usual if target is None else float(target)
    if entry.name == "leaky_relu":
        slope = round(tailored_slope(depth, target), _DIGITS)
        return Shape(1.0, 0.0, 0.0, float(np.sqrt(2 / (1 + slope**2))))
    if method == "DKS":
        check_target("target (zeta)", target, 1 < target < np.inf, "above 1", ZETA)
        return local_shape(entry, slope=target ** (1 / depth))
    check_target("target (tau)", target, 0 < target < np.inf, "positive", TAU)
    return local_shape(entry, curvature=target / depth)


def _usual(entry: Activation, method: str) -> float:
    if method not in ("TAT", "DKS"):
        raise unknown("method", method, ("TAT", "DKS"))
    if entry.name == "leaky_relu" and method == "DKS":
        raise GradlabError(
            "a smooth activation for DKS", repr(entry.name), "method='TAT', which is made for leaky ReLU"
        )
    if entry.homogeneous and entry.name != "leaky_relu":
        raise GradlabError("an activation that can be shaped", repr(entry.name), "'leaky_relu', 'tanh' or 'softplus'")
    return ETA if entry.name == "leaky_relu" else ZETA if method == "DKS" else TAU


def local_shape(activation: str | Activation, *, slope: float = 1.0, curvature: float | None = None) -> Shape:
    """Solve the conditions on one layer: Q(1) = Q'(1) = 1, C'(1) = slope, and C(0) = 0 or C''(1) = curvature.

    Parameters
    ----------
    activation : str or Activation
        The one to shape.
    slope : float
        C'(1): above 1 for DKS, where C(0) = 0; 1 for TAT.
    curvature : float, optional
        C''(1). None: C(0) = 0 in place of it.
    """
    return _solved(entry_of(activation), slope, curvature)


@functools.lru_cache(maxsize=256)
def _solved(entry: Activation, slope: float, curvature: float | None) -> Shape:
    if curvature is not None and entry.kinks:
        raise GradlabError(
            "an activation with a second derivative, which TAT shapes", f"{entry.name!r}, whose slope jumps",
            "method='DKS', or 'leaky_relu'",
        )  # fmt: skip
    if curvature is None:
        shapes = _solutions(_of_slope(entry, slope))
    else:
        shapes = [shape for side in (-1, 1) for shape in _solutions(_of_curvature(entry, curvature, side))]
    if not shapes:
        raise GradlabError(
            "an activation whose bend can be shaped", f"{entry.name!r}, for which no numbers meet the conditions",
            "'tanh', 'softplus' or 'gelu', or another method",
        )  # fmt: skip
    # of several solutions the one with the smallest factors: others lie where the activation is nearly flat. Of two
    # mirror images the one with a positive shift.
    order = lambda shape: (round(shape.input_scale * shape.output_scale, 6), -shape.input_shift)
    return Shape(*(float(f"{value:.{_DIGITS}g}") for value in min(shapes, key=order)))


#: From ln alpha and beta to the errors of the two conditions that are left, and the whole shape.
Errors = Callable[[np.ndarray], tuple[list[float], Shape]]


def _solutions(errors: Errors) -> list[Shape]:
    """Return the shapes that meet all conditions, as searches from several starts find them."""
    from scipy.optimize import least_squares

    shapes = []
    for begin in _BEGIN:
        try:
            # where the activation is straight a logarithm is that of 0: such a search is given up
            with np.errstate(divide="ignore", invalid="ignore"):
                how = {"bounds": (_LOW, _HIGH), "xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
                solved = least_squares(lambda x: errors(x)[0], begin, **how)
        except (GradlabError, ValueError):
            continue
        if np.max(np.abs(solved.fun)) < _MET:
            shapes.append(errors(solved.x)[1])
    return shapes


def _terms(entry: Activation, alpha: float, beta: float) -> tuple[float, ...]:
    """Compute phi(beta), and of the rest p = phi - phi(beta): E p, E p^2, E p phi' z, E phi' z and E phi'^2."""
    with jax.enable_x64(True):
        centre = float(entry.phi(jnp.asarray(beta, jnp.float64)))

    def terms(z, u, phi, dphi):
        rest = phi - centre
        return np.stack([rest, rest * rest, rest * dphi * z, dphi * z, dphi * dphi])

    return (centre, *map(float, expectation(entry, terms, alpha**2, beta)))


def _of_slope(entry: Activation, slope: float) -> Errors:
    """Return the errors of DKS's two conditions that are left where C(0) = 0 and Q(1) = 1 give the outer numbers."""

    def errors(x: np.ndarray) -> tuple[list[float], Shape]:
        alpha, beta = float(np.exp(x[0])), float(x[1])
        centre, mean, square, cross, tilt, slopes = _terms(entry, alpha, beta)
        gain = 1 / np.sqrt(square - mean**2)
        variance_slope = gain**2 * alpha * (cross - mean * tilt)
        above_1 = gain**2 * alpha**2 * slopes - 1
        return [variance_slope - 1, above_1 / (slope - 1) - 1], Shape(alpha, beta, -(centre + mean), gain)

    return errors


def _of_curvature(entry: Activation, curvature: float, side: int) -> Errors:
    """Return the errors of TAT's two conditions that are left where C'(1) = 1 and Q(1) = 1 give the outer numbers.

    `side` is the sign of the mean of the shaped activation.
    """
    second = lambda z: jax.jvp(entry.dphi, (z,), (jnp.ones_like(z),))[1]
    bent = Activation(f"slope of {entry.name}", entry.dphi, second, entry.kinks)

    def errors(x: np.ndarray) -> tuple[list[float], Shape]:
        alpha, beta = float(np.exp(x[0])), float(x[1])
        centre, mean, square, cross, tilt, slopes = _terms(entry, alpha, beta)
        bends = float(expectation(bent, lambda z, u, dphi, ddphi: ddphi * ddphi, alpha**2, beta))
        gain = 1 / (alpha * np.sqrt(slopes))
        # the variance of phi is below alpha^2 E phi'^2 (Poincare), and the mean makes up for the rest
        shift = side * np.sqrt(max(alpha**2 * slopes - (square - mean**2), 0.0)) - mean
        variance_slope = gain**2 * alpha * (cross + shift * tilt)
        curved = gain**2 * alpha**4 * bends
        return [variance_slope - 1, np.log(curved / curvature)], Shape(alpha, beta, shift - centre, gain)

    return errors


def _outer(phi: Callable[[Array], Array], shape: Shape, z: Array) -> Array:
    return shape.output_scale * (phi(shape.input_scale * z + shape.input_shift) + shape.output_shift)


def _slope(dphi: Callable[[Array], Array], shape: Shape, z: Array) -> Array:
    return shape.output_scale * shape.input_scale * dphi(shape.input_scale * z + shape.input_shift)


def _activation(entry: Activation, shape: Shape, name: str) -> Activation:
    moved = lambda z: (z - shape.input_shift) / shape.input_scale
    kinks = tuple(map(moved, entry.kinks))
    limits = entry.limits and tuple(shape.output_scale * (end + shape.output_shift) for end in entry.limits)
    phi, dphi = (functools.partial(f, g, shape) for f, g in ((_outer, entry.phi), (_slope, entry.dphi)))
    made = Activation(name, phi, dphi, kinks, limits, entry.homogeneous)
    try:
        moments(made, 0.0)
    except GradlabError:  # a bend at 0 that is no kink, as that of ELU, is no longer where panels end by themselves
        return Activation(name, phi, dphi, (*kinks, moved(0.0)), limits)
    return made
