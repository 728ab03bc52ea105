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

from gradlab._errors import GradlabError
from gradlab.core.activations import activation_named


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


def _checked(time_steps: int) -> int:
    if not time_steps >= 1:
        raise GradlabError("at least one time step", repr(time_steps), "time_steps=100")
    return int(time_steps)
