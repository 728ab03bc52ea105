"""Learning rates that differ from parameter to parameter: in trainings here, and in anyone's loop of optax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from gradlab._errors import GradlabError
from gradlab.config import TrainingConfig
from gradlab.core.execute import device_array
from gradlab.networks import build
from gradlab.networks.parametrization import rate_factors


def scale_by_leaf(factors: Any) -> optax.GradientTransformation:
    """Multiply the update of each parameter by its own factor, as a transformation of optax.

    Parameters
    ----------
    factors : pytree of float
        A factor for each array of the parameters, such as `gradlab.rate_factors` gives.

    Returns
    -------
    optax.GradientTransformation
        It stands behind what makes the update: ``optax.chain(optax.adam(rate), gl.scale_by_leaf(factors))``, with a
        number or a schedule as `rate`. It keeps no state.

    Examples
    --------
    >>> import gradlab as gl, jax, jax.numpy as jnp, optax
    >>> net = gl.MLP(depth=1, width=128, parametrization="mup", base_width=64)
    >>> params = net.init_params(0, jnp.ones((2, 3)), outputs=1)
    >>> tx = optax.chain(optax.sgd(1.0), gl.scale_by_leaf(gl.rate_factors(net, params, optimizer="sgd")))
    >>> update, _ = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
    >>> [float(leaf["weight"][0, 0]) for leaf, _ in update]
    [-2.0, -0.5]
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        if jax.tree.structure(updates) != jax.tree.structure(factors):
            raise GradlabError(
                f"a factor for each parameter, {jax.tree.structure(updates)}"[:200],
                f"{jax.tree.structure(factors)}"[:200], "gl.rate_factors(model, params)",
            )  # fmt: skip
        return jax.tree.map(lambda u, factor: u * jnp.asarray(factor, u.dtype), updates, factors), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def rate_factors_of(config: TrainingConfig, dtype: str) -> dict[str, Array]:
    """Return the factors of a training's rates in the order of its arrays, by name; nothing where all of them are 1.

    An optimiser of the user's own has its rates in it, so nothing is added there.
    """
    if getattr(config.network, "parametrization", "standard") == "standard" or config.optimizer_fingerprint:
        return {}
    factors = rate_factors(build(config.network), optimizer=config.optimizer)
    return {"rate_factors": device_array(np.asarray(jax.tree.leaves(factors)), dtype)}


def multiplied(updates: Any, factors: Array) -> Any:
    """Return updates times one number for each array, in the order of the arrays."""
    leaves, structure = jax.tree.flatten(updates)
    return structure.unflatten(u * factors[i].astype(u.dtype) for i, u in enumerate(leaves))
