r"""Recurrent networks: powers of one matrix, their bounds, and the path through the cell of an LSTM.

A recurrent network multiplies the cotangent by :math:`W^T\mathrm{diag}\,\phi'` at every time step, with
the same W. Two numbers of W bound it. In a linear network the spectral radius rho is the factor per
time step *in the long run*; and for every number T of time steps

.. math:: |\partial h_T/\partial h_0|_2 \le (\gamma\,|W|_2)^T,\qquad \gamma = \sup|\phi'|,

with the largest singular value (Pascanu, Mikolov & Bengio 2013, section 2.1). Between the two
anything may happen: a matrix of radius 0.9 can let the norm grow for many time steps first.
All sizes are log10, because the sizes themselves leave the range of a double.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from gradlab._errors import GradlabError, unknown
from gradlab.core.activations import activation_named

#: Terms of a sum that are in memory at once.
_TERMS = 2**16


@dataclass(frozen=True)
class PowersLaw:
    """Hold how far a cotangent can grow or shrink in T time steps through one matrix.

    Parameters
    ----------
    time_steps : ndarray, shape (T,)
        The numbers 1 ... T of time steps.
    log10_norm : ndarray, shape (T,)
        log10 of the largest singular value of W^t; -inf from where W^t is 0.
    log10_radius : ndarray, shape (T,)
        t log10 rho, which the norm tends to, up to a power of t.
    log10_bound : ndarray, shape (T,)
        t times log10 of ``gamma |W|_2``, which the norm cannot exceed with the activation named.
    """

    time_steps: np.ndarray
    log10_norm: np.ndarray
    log10_radius: np.ndarray
    log10_bound: np.ndarray


def recurrent_powers(weight: np.ndarray, time_steps: int, activation: str = "identity") -> PowersLaw:
    """Compute the norms of the powers of a recurrent weight, with the spectral radius and the bound.

    Parameters
    ----------
    weight : array, shape (n, n)
        The weight from state to state.
    time_steps : int
        The largest power T.
    activation : str
        A name in the table. Its largest slope enters the bound; `log10_norm` is that of the linear network.

    Examples
    --------
    >>> powers = recurrent_powers([[0.9, 2.0], [0.0, 0.9]], 44)
    >>> int(powers.time_steps[powers.log10_norm.argmax()]), round(float(10 ** powers.log10_norm.max()), 2)
    (9, 7.77)
    """
    weight = np.asarray(weight, np.float64)
    if weight.ndim != 2 or weight.shape[0] != weight.shape[1] or not np.all(np.isfinite(weight)):
        raise GradlabError(
            "a square matrix of finite numbers", f"shape {weight.shape}", "the weight from state to state"
        )
    t = np.arange(1, _checked(time_steps) + 1)
    norms, power, log2 = np.empty(len(t)), np.eye(len(weight)), 0
    for i in range(len(t)):
        power = power @ weight
        _, shift = np.frexp(np.max(np.abs(power)))
        power, log2 = np.ldexp(power, -shift), log2 + int(shift)
        with np.errstate(divide="ignore"):
            norms[i] = np.log10(np.linalg.norm(power, 2)) + log2 * np.log10(2.0)
    with np.errstate(divide="ignore"):
        radius = np.log10(np.max(np.abs(np.linalg.eigvals(weight))))
        bound = np.log10(slope_bound(activation) * np.linalg.norm(weight, 2))
    return PowersLaw(t, norms, t * radius, t * bound)


def slope_bound(activation: str) -> float:
    """Compute gamma, the least upper bound of ``|phi'|``: 1 for tanh and ReLU, 1/4 for sigmoid, 1.0998 for SiLU.

    It is the largest value on a grid of [-40, 40], then on a finer grid around that place and on both sides of the
    kinks, right to 1e-9. For a slope that grows without end it is the slope at 40.
    """
    entry = activation_named(activation)
    z, near = np.linspace(-40, 40, 80_001), np.array([-1e-9, 1e-9])
    largest = 0.0
    with jax.enable_x64(True):
        for _ in range(2):  # a smooth maximum is missed by the square of the step
            slopes = np.abs(np.asarray(entry.dphi(jnp.asarray(z, jnp.float64))))
            largest = max(largest, float(np.max(slopes)))
            around = z[np.argmax(slopes)] + np.linspace(-1e-3, 1e-3, 20_001)
            z = np.concatenate([around, *(k + near for k in entry.kinks)])
    return largest


def log10_cell_path(time_steps: int, forget_bias: float | np.ndarray = 1.0) -> float | np.ndarray:
    r"""Compute log10 of :math:`\sigma(b_f)^T`, the share of a gradient that an LSTM's cell passes T time steps back.

    At initialisation, with inputs and states that average to zero, the forget gate of each unit is open by
    sigma(b_f), b_f that unit's own bias (Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015 set
    b_f = 1).

    Parameters
    ----------
    time_steps : int
        How many time steps T the gradient goes back.
    forget_bias : float or array
        Bias b_f of the forget gate: of all units, or of each.

    Examples
    --------
    >>> [round(float(log10_cell_path(100, b)), 4) for b in (1.0, chrono_bias(100))]
    [-13.6048, -0.4365]
    """
    # ln sigma(b) = -ln(1 + exp(-b)), exact at both ends
    return -_checked(time_steps) * np.logaddexp(0, -np.asarray(forget_bias, np.float64)) / np.log(10) + 0.0


def chrono_bias(time_steps: float) -> float:
    """Return ln(T - 1), the bias at which a gate forgets with probability 1/T per time step.

    Tallec & Ollivier (2018) give it to the forget gates of an LSTM.

    Parameters
    ----------
    time_steps : float
        How many time steps T the cell should remember; more than 1.
    """
    if not time_steps > 1:
        raise GradlabError("more than one time step", repr(time_steps), "time_steps=100")
    return float(np.log(time_steps - 1))


#: The numbers that set an eigenvalue of a linear recurrence.
EIGENVALUE_PARAMETERS = ("eigenvalue", "nu", "theta")


def memory_sensitivity(
    radius: float | np.ndarray,
    *,
    time_steps: int | None = None,
    parameter: str = "eigenvalue",
    normalised: bool = False,
) -> float | np.ndarray:
    r"""Compute how much the state of a linear recurrence moves with its eigenvalue: the mean square of dh/d(parameter).

    The state is :math:`h_t = \lambda h_{t-1} + \gamma x_t` with white inputs of unit variance. It is the sum of
    :math:`\gamma\lambda^kx_{t-k}`, and the inputs are independent, so with :math:`r = |\lambda|`

    .. math:: E|\partial h_T/\partial r|^2 = \textstyle\sum_{k<T}\bigl(\gamma' r^k + \gamma k r^{k-1}\bigr)^2,\qquad
              E|\partial h_T/\partial\theta|^2 = \textstyle\sum_{k<T}(\gamma k r^k)^2.

    After many time steps, without gamma, it is :math:`(1+r^2)/(1-r^2)^3`: the curse of memory (Zucchet & Orvieto 2024).
    The state and its cotangent are bounded, and still the eigenvalue of a long memory changes the output without bound.
    By :math:`r = e^{-e^\nu}` and with :math:`\gamma = \sqrt{1-r^2}`, it is :math:`(r\ln r/(1-r^2))^2`, below 1/4. By
    the angle it stays large: :math:`r^2(1+r^2)/(1-r^2)^2`.

    Parameters
    ----------
    radius : float or array
        Absolute value r of the eigenvalue, at least 0 and below 1.
    time_steps : int, optional
        How many inputs T the state has read. None: so many that another one changes nothing.
    parameter : {"eigenvalue", "nu", "theta"}
        By what: a real eigenvalue (or the radius of a complex one), nu with r = exp(-exp(nu)), or the angle.
    normalised : bool
        Whether inputs are multiplied by gamma, the root of 1 - r^2, which keeps the state at unit variance.

    Examples
    --------
    >>> [f"{memory_sensitivity(r):.3g}" for r in (0.9, 0.99, 0.999)]
    ['264', '2.51e+05', '2.5e+08']
    >>> [round(float(memory_sensitivity(r, parameter="nu", normalised=True)), 3) for r in (0.9, 0.99, 0.999)]
    [0.249, 0.25, 0.25]
    """
    if parameter not in EIGENVALUE_PARAMETERS:
        raise unknown("parameter", parameter, EIGENVALUE_PARAMETERS)
    r = np.asarray(radius, np.float64)
    if not np.all((r >= 0) & (r < 1)):
        raise GradlabError("a radius of at least 0 and below 1", f"{radius}", "radius=0.99")
    steps = None if time_steps is None else _checked(time_steps)
    ones, lagged, both = _power_sums(r, steps)
    rest = (1 - r) * (1 + r)
    square = rest if normalised else np.ones_like(r)  # gamma^2
    if parameter == "theta":
        return square * r**2 * lagged
    by_radius = square * lagged
    if normalised:  # gamma' = -r / gamma
        by_radius = by_radius - 2 * r * both + r**2 / rest * ones
    if parameter == "eigenvalue":
        return by_radius
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(r > 0, (r * np.log(r)) ** 2 * by_radius, 0.0)[()]


def _power_sums(r: np.ndarray, steps: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sums over k < steps of r^2k, of (k r^(k-1))^2, and of k r^(2k-1)."""
    if steps is None:
        rest = (1 - r) * (1 + r)
        return 1 / rest, (1 + r**2) / rest**3, r / rest**2
    sums = np.zeros((3, *r.shape))
    for first in range(0, steps, _TERMS):
        k = np.arange(first, min(first + _TERMS, steps), dtype=np.float64)
        power = r[..., None] ** k
        before = k * r[..., None] ** np.maximum(k - 1, 0)
        sums += [np.sum(part, -1) for part in (power**2, before**2, power * before)]
    return tuple(sums)


def _checked(time_steps: int) -> int:
    if not time_steps >= 1:
        raise GradlabError("at least one time step", repr(time_steps), "time_steps=100")
    return int(time_steps)
