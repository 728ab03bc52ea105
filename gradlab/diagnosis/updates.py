"""An optimiser's first update, held against the size of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from gradlab._errors import GradlabError
from gradlab.diagnosis.sites import Parameter
from gradlab.measurement.arrays import log10_norm


def update_ratios(optimizer: Any, parameters: Sequence[Parameter], grads: Any, params: Any) -> np.ndarray:
    """Return log10 of the norm of an optimiser's first update over that of the parameter, which is NaN where that is 0.

    Parameters
    ----------
    optimizer : optax.GradientTransformation
        The optimiser whose first update is taken.
    parameters : sequence of Parameter
        What a ratio is returned for.
    grads, params : pytree
        The gradient of the loss, and the point that it was taken at.

    Raises
    ------
    GradlabError
        Where it is no optax transformation.
    """
    if not (callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))):
        raise GradlabError("an optax transformation as optimizer=", repr(optimizer), "optimizer=optax.adam(1e-3)")
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    steps, weights = ([np.asarray(leaf) for leaf in jax.tree.leaves(tree)] for tree in (updates, params))
    sizes = lambda leaves: np.array([float(log10_norm(leaves[p.leaf][p.at])) for p in parameters])
    weight = sizes(weights)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(weight), sizes(steps) - weight, np.nan)
