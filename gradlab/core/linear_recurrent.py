r"""The linear recurrent unit: a diagonal, complex recurrence without an activation, with its chain rule beside it.

A complex number is a pair of real ones. A state of n complex units is one row of 2 n reals: all real parts, then all
imaginary parts. The chain rule needs no complex derivative: a pair (a, b) is turned by :math:`\lambda = p + iq` into
(pa - qb, qa + pb), which is a real matrix, and its transpose turns by the conjugate :math:`p - iq`.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gradlab import config
from gradlab._errors import GradlabError
from gradlab.core.dense import dense
from gradlab.core.gradient import Summed, summed
from gradlab.core.initializers import default_dtype
from gradlab.core.keys import fold_in_each
from gradlab.core.layer import Layer, prefixed
from gradlab.core.random import by_entries, numpy_for, placed
from gradlab.core.scaled import LOWEST, Scaled, add, align, normalise, plain
from gradlab.core.unroll import Cell, unroll


@by_entries
def _uniform(key: Array, shape: tuple[int, ...], dtype) -> Array:
    return jax.random.uniform(key, shape, dtype)


def lru(
    units: int,
    states: int | None = None,
    *,
    r_min: float = 0.0,
    r_max: float = 1.0,
    max_phase: float = 2 * math.pi,
    normalised: bool = True,
    bias: bool = False,
    bias_std: float | None = None,
    returns: str = "last",
    truncate: int | None = None,
) -> Layer:
    r"""Make a linear recurrent unit (Orvieto et al. 2023) over a sequence (batch, time, features).

    .. math:: h_t = \lambda\circ h_{t-1} + \gamma\circ Bx_t,\qquad y_t = \mathrm{Re}(Ch_t) + Dx_t,\qquad
              \lambda = e^{-e^\nu + i\theta},\quad \gamma = \sqrt{1-|\lambda|^2}.

    With :math:`\bar h_t = \partial L/\partial h_t`, all paths joined, and the inner product of pairs
    :math:`\langle\cdot,\cdot\rangle`,

    .. math:: \bar h_{t-1} = \lambda^*\bar h_t + \ldots,\qquad
              \partial L/\partial\theta = \textstyle\sum_t\langle\bar h_t, i\lambda h_{t-1}\rangle,

    .. math:: \partial L/\partial\nu = \textstyle\sum_t -e^\nu\langle\bar h_t, \lambda h_{t-1}\rangle
              + \frac{e^\nu|\lambda|^2}{\gamma}\langle\bar h_t, Bx_t\rangle.

    Parameters
    ----------
    units : int
        Units of the output y.
    states : int, optional
        Complex units of the state h. None: as many as `units`.
    r_min, r_max : float
        The ring that eigenvalues are drawn from, uniformly over its area: :math:`r_{min}\le|\lambda|\le r_{max}`.
        Long memories need `r_min` near 1.
    max_phase : float
        Angles are drawn uniformly between 0 and this.
    normalised : bool
        Whether there is the factor gamma, which keeps the state at unit variance for white inputs. It follows lambda;
        Orvieto et al. train it as a parameter of its own that starts at this value.
    bias : bool
        Whether the output has a bias.
    bias_std : float, optional
        Standard deviation of a Gaussian bias. None: it is 0 at the start.
    returns, truncate : str, int or None
        As for `unroll`.

    Raises
    ------
    GradlabError
        Where the ring is not within the unit circle, or the input is no sequence.

    Notes
    -----
    Parameters are ``"input"`` (B, real and imaginary parts side by side), ``"recurrent"`` (nu and theta, one number for
    each state), ``"output"`` (C) and ``"skip"`` (D). At the start B, C and D are Gaussian, with variances that keep
    h and both parts of y at unit variance.

    The reader sees the sites of `unroll`, and two of kind "dense", ("output",) and ("skip",). The delta of a time step
    is :math:`\bar h_t`. Powers of two pass through all of it.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> layer = lru(3, states=8, r_min=0.9, r_max=0.99)
    >>> params, shape = layer.init(jax.random.key(0), (5, 2))
    >>> shape, params["recurrent"]["nu"].shape, layer.forward(params, plain(jnp.ones((4, 5, 2))))[0].mantissa.shape
    ((3,), (8,), (4, 3))
    """
    units = config.positive_integer("units", units)
    states = units if states is None else config.positive_integer("states", states)
    if not (0 <= r_min <= r_max <= 1 and r_min < 1):
        raise GradlabError(
            "a ring within the unit circle, 0 <= r_min <= r_max <= 1, r_min < 1", f"r_min={r_min}, r_max={r_max}",
            "r_min=0.9, r_max=0.999",
        )  # fmt: skip
    steps = unroll(_diagonal_cell(states, r_min, r_max, max_phase, normalised), returns=returns, truncate=truncate)
    output = dense(units, gain=2**0.5, bias=bias, bias_std=bias_std)
    skip = dense(units, bias=False)

    def init(key, shape):
        of_steps, of_output, of_skip = fold_in_each(key, range(3))
        params, state = steps.init(of_steps, shape)
        output_params, out = output.init(of_output, state)
        return params | {"output": output_params, "skip": skip.init(of_skip, shape[-1:])[0]}, out

    def forward(params, x):
        h, saved = steps.forward(params, x)
        y, saved_output = output.forward(params["output"], h)
        met = x if returns == "all" else x.map(lambda m: m[..., -1, :])
        around, saved_skip = skip.forward(params["skip"], met)
        return add(y, around), (saved, saved_output, saved_skip, x)

    def backward(params, saved, dy, read):
        saved, saved_output, saved_skip, x = saved
        dh, of_output = output.backward(params["output"], saved_output, dy, prefixed(read, "output"))
        around, of_skip = skip.backward(params["skip"], saved_skip, dy, prefixed(read, "skip"))
        dx, record = steps.backward(params, saved, dh, read)
        if returns != "all":
            before = [(0, 0)] * (x.mantissa.ndim - 2) + [(x.mantissa.shape[-2] - 1, 0), (0, 0)]
            around = around.map(lambda m: jnp.pad(m[..., None, :], before))
        return add(dx, normalise(around)), record | {"output": of_output, "skip": of_skip}

    return Layer(init, forward, backward)


def _diagonal_cell(states: int, r_min: float, r_max: float, max_phase: float, normalised: bool) -> Cell:
    """Return one time step of the diagonal recurrence; the state is one part of 2 n reals."""

    def init(key, features):
        fed, size, angle = fold_in_each(key, range(3))
        xp, dtype = numpy_for(key), default_dtype()
        limits = jnp.finfo(dtype)
        square = _uniform(size, (states,), dtype) * (r_max**2 - r_min**2) + r_min**2
        square = xp.clip(square, limits.tiny, 1 - limits.epsneg)  # the circle itself has no gamma, and 0 no logarithm
        recurrent = {
            "nu": xp.log(-0.5 * xp.log(square)).astype(dtype),
            "theta": (_uniform(angle, (states,), dtype) * max_phase).astype(dtype),
        }
        weight = dense(2 * states, gain=0.5**0.5, bias=False).init(fed, (features,))[0]
        return {"input": weight, "recurrent": {name: placed(value) for name, value in recurrent.items()}}

    def drive(recurrent, u: Scaled) -> Scaled:
        factor = _twice(_gamma(recurrent["nu"])) if normalised else 1
        return u.map(lambda m: m * factor)

    def forward(recurrent, before, u):
        carried = Scaled(_turned(recurrent, before.mantissa[..., 0, :]), before.exponent)
        h = add(carried, drive(recurrent, u))
        return h.map(lambda m: m[..., None, :]), u

    def backward(recurrent, before, u, dafter):
        dh = dafter.map(lambda m: m[..., 0, :])
        dbefore = dafter.map(lambda m: _turned(recurrent, m, back=True))
        return dbefore, dafter, drive(recurrent, dh)

    def gradient(recurrent, before, u, dstate) -> dict[str, Summed]:
        """Return the gradients by nu and theta, as sums over time of each example."""
        dh = dstate.map(lambda m: m[..., 0, :])
        carried = before.map(lambda m: _turned(recurrent, m))
        shrunk = _product(dh, carried, _along).map(lambda m: -jnp.exp(recurrent["nu"]) * m)
        if normalised:
            fed = _product(dh, u, _along).map(lambda m: _gamma_slope(recurrent["nu"]) * m)
            shrunk = add(normalise(shrunk), normalise(fed))
        each = {"nu": shrunk, "theta": _product(dh, carried, _across)}
        return {name: summed(align(normalise(value)), (-2,)) for name, value in each.items()}

    return Cell(
        "lru", 2 * states, 1, 2 * states, init, forward, backward,
        shown=lambda dstate, d: dstate.map(lambda m: m[..., 0, :]), through=lambda kept, d: d, homogeneous=True,
        gradient=gradient,
    )  # fmt: skip


def _gamma(nu: Array) -> Array:
    """Return the square root of 1 - |lambda|^2, exact where lambda is near the unit circle."""
    return jnp.sqrt(-jnp.expm1(-2 * jnp.exp(nu)))


def _gamma_slope(nu: Array) -> Array:
    """Return the derivative of gamma by nu."""
    rate = jnp.exp(nu)
    return rate * jnp.exp(-2 * rate) / _gamma(nu)


def _twice(x: Array) -> Array:
    """Return one number for each state, for its real and for its imaginary part."""
    return jnp.concatenate([x, x], -1)


def _turned(recurrent: Any, pairs: Array, back: bool = False) -> Array:
    """Return pairs times lambda; with ``back=True`` times its conjugate, the way of a cotangent."""
    radius, theta = jnp.exp(-jnp.exp(recurrent["nu"])), recurrent["theta"]
    p, q = radius * jnp.cos(theta), (-radius if back else radius) * jnp.sin(theta)
    a, b = jnp.split(pairs, 2, -1)
    return jnp.concatenate([p * a - q * b, q * a + p * b], -1)


def _along(x: Array, y: Array) -> Array:
    """Return the inner product of each pair of x with that of y."""
    (a, b), (c, d) = jnp.split(x, 2, -1), jnp.split(y, 2, -1)
    return a * c + b * d


def _across(x: Array, y: Array) -> Array:
    """Return the inner product of each pair of x with that of i y, y turned by a right angle."""
    (a, b), (c, d) = jnp.split(x, 2, -1), jnp.split(y, 2, -1)
    return b * c - a * d


def _product(d: Scaled, s: Scaled, inner: Any) -> Scaled:
    """Return products of a cotangent and a signal; a product of two zeros has the exponent of one zero."""
    if d.is_plain:
        return plain(inner(d.mantissa, s.value()))
    return Scaled(inner(d.mantissa, s.mantissa), jnp.maximum(d.exponent + s.powers, LOWEST))
