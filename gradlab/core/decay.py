"""Weight decay as a term of the loss."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gradlab._errors import GradlabError

#: Parameters that are not decayed: shifts and factors of single units, which have no product to make small.
NOT_DECAYED = ("bias", "gain", "scale")


def weight_decay(params: Any, rate: float) -> tuple[Array, Any]:
    r"""Return the term :math:`\frac\lambda2\sum|W|^2` over all weights, and its gradient :math:`\lambda W`.

    Parameters
    ----------
    params : pytree
        A network's parameters. Those whose name is in `NOT_DECAYED` (biases, gains, scales of
        branches) count as 0.
    rate : float
        :math:`\lambda`, at least 0.

    Returns
    -------
    value : Array, shape ()
    gradient : pytree like `params`

    Raises
    ------
    GradlabError
        A negative rate.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> value, gradient = weight_decay({"weight": jnp.array([[3.0]]), "bias": jnp.array([5.0])}, 0.5)
    >>> float(value), gradient["weight"].tolist(), gradient["bias"].tolist()
    (2.25, [[1.5]], [0.0])
    """
    if not rate >= 0:
        raise GradlabError("a weight decay of at least 0", f"{rate!r}", "weight_decay=1e-4")

    def gradient(path, leaf):
        decayed = getattr(path[-1], "key", None) not in NOT_DECAYED if path else True
        return leaf * jnp.asarray(rate if decayed else 0, leaf.dtype)

    grads = jax.tree_util.tree_map_with_path(gradient, params)
    products = jax.tree.map(lambda w, g: jnp.sum(w * g), params, grads)
    return 0.5 * jax.tree.reduce(jnp.add, products), grads
