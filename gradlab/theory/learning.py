r"""Deep linear networks learn one mode at a time: steps that gradient descent takes, whatever the depth.

Without biases, and from aligned weights :math:`a_1 = \ldots = a_L`, whose product is the strength u of a mode,
gradient descent on :math:`\tfrac12(s-u)^2` follows (Saxe, McClelland & Ganguli 2013)

.. math:: \frac{du}{dt} = L\,u^{2-2/L}(s-u).

The step that stays stable falls with the depth: with :math:`\eta/L` the time is bounded for every depth, as long as
the mode does not begin near 0.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import quad

from gradlab._errors import GradlabError
from gradlab.theory.gaussian import check_variances


def learning_steps(depth: float, start: float, end: float, *, target: float = 1.0, learning_rate: float = 0.2) -> float:
    r"""Compute how many steps gradient descent needs to grow a mode of a deep linear network from `start` to `end`.

    A step has the size ``learning_rate / depth``, and the number of steps is

    .. math:: \frac1\eta\int_{u_0}^{u_f}\frac{du}{u^{2-2/L}(s-u)},\qquad
        L\to\infty:\ \frac1\eta\Bigl[\frac1{s^2}\ln\frac{u_f(s-u_0)}{u_0(s-u_f)}
        + \frac1s\Bigl(\frac1{u_0}-\frac1{u_f}\Bigr)\Bigr],

    the time of the gradient flow. Steps of a finite size are off by about one.

    Parameters
    ----------
    depth : float
        Layers L, weights included; ``inf`` for the limit.
    start, end : float
        Strengths u_0 and u_f of the mode, in 0 < start < end < target.
    target : float
        Strength s that the mode has in the data.
    learning_rate : float
        Step size eta, before it is divided by the depth.

    Examples
    --------
    >>> [round(learning_steps(depth, 0.5, 0.99), 2) for depth in (1, 10, 100, float("inf"))]
    [19.56, 26.77, 27.81, 27.93]
    """
    if not depth >= 1:
        raise GradlabError("a depth of 1 or more", repr(depth), "depth=10")
    if not 0 < start < end < target:
        raise GradlabError(
            "strengths with 0 < start < end < target",
            f"start={start}, end={end}, target={target}",
            "start=0.5, end=0.99",
        )
    check_variances("learning_rate", learning_rate)
    power = 2 - 2 / depth
    # by ln u: the integrand is as smooth at 1e-12 as at 1
    flow = lambda x: np.exp((1 - power) * x) / (target - np.exp(x))
    return quad(flow, np.log(start), np.log(end), epsabs=0, epsrel=1e-10, limit=200)[0] / learning_rate
