r"""What an optimiser divides its steps by, entry by entry.

An optimiser with steps :math:`-\eta P^{-1} m` moves :math:`\theta` as momentum moves :math:`P^{1/2} \theta`. So the
largest eigenvalue of :math:`P^{-1/2} H P^{-1/2}` decides whether its steps are stable, as long as P changes slowly
(Cohen et al. 2022, Adaptive gradient methods at the edge of stability).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from gradlab.config import TrainingConfig

#: Optimisers that divide no entry, but for factors of their rates.
_PLAIN: tuple[str, ...] = ("sgd", "momentum", "nesterov")
#: optax's numbers of these, which `gradlab.training.transformations` leaves as they are.
B1, B2, EPS = 0.9, 0.999, 1e-8


def is_preconditioned(config: TrainingConfig) -> bool:
    """Return whether steps differ from entry to entry by numbers that are known here: of the optimiser, or of rates."""
    if config.optimizer_fingerprint:
        return False
    by_width = getattr(config.network, "parametrization", "standard") != "standard"
    return config.optimizer in _FORMULAS or (by_width and config.optimizer in _PLAIN)


def preconditioner(config: TrainingConfig, params: Any, opt_state: Any, factors: Any = None) -> Any:
    r"""Return P of the step that left a state behind, as a tree like the parameters, in float64.

    Parameters
    ----------
    config : TrainingConfig
        One that `is_preconditioned`.
    params : pytree
        The parameters.
    opt_state : pytree
        optax's, behind the step.
    factors : array, optional
        What the rate of each array is multiplied by, in their order. P is divided by it. None: ones.

    Returns
    -------
    pytree
        Of RMSProp :math:`\sqrt{v + \epsilon}`; of Adam and AdamW, with both of their bias corrections at step t,
        :math:`(1 - \beta_1^t)\,(\sqrt{v / (1 - \beta_2^t)} + \epsilon)`, which divides the moving average m; of the
        others 1.
    """
    if config.optimizer in _FORMULAS:
        divisors = jax.tree.map(_FORMULAS[config.optimizer](opt_state), optax.tree.get(opt_state, "nu"))
    else:
        divisors = jax.tree.map(lambda v: np.ones(np.shape(v)), params)
    if factors is None:
        return divisors
    leaves, structure = jax.tree.flatten(divisors)
    return structure.unflatten(v / float(factor) for v, factor in zip(leaves, np.asarray(factors), strict=True))


def _of_rmsprop(opt_state: Any) -> Callable[[Any], np.ndarray]:
    del opt_state  # it corrects no bias
    return lambda v: np.sqrt(np.asarray(v, np.float64) + EPS)


def _of_adam(opt_state: Any) -> Callable[[Any], np.ndarray]:
    t = int(optax.tree.get(opt_state, "count"))
    return lambda v: (1 - B1**t) * (np.sqrt(np.asarray(v, np.float64) / (1 - B2**t)) + EPS)


#: Of each optimiser that divides entries, the function of its state that makes the divisor of the mean square v.
_FORMULAS = {"rmsprop": _of_rmsprop, "adam": _of_adam, "adamw": _of_adam}
