"""Curvature of the loss: the largest eigenvalues of its Hessian, from products with vectors alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from gradlab._errors import GradlabError
from gradlab.core.backprop import backprop, targets
from gradlab.core.batch import batch_of, cast
from gradlab.core.parameters import check_parameters, require_network
from gradlab.measurement.eigenvalues import Eigenvalues, largest_eigenvalues
from gradlab.networks.network import Network
from gradlab.networks.resolved import Resolved, resolved


def sharpness(
    net: Network, params: Any, x: Any, y: Any, *, loss: str | None = None, preconditioner: Any = None
) -> float:
    r"""Return the largest eigenvalue of :math:`\nabla^2_\theta L`, to a relative error of about 0.001.

    Parameters
    ----------
    net : network
        The network.
    params : pytree
        Its parameters, at which the Hessian is taken.
    x, y : array
        The batch.
    loss : str, optional
        By default softmax cross-entropy for integer `y`, else mean squared error.
    preconditioner : pytree like `params`, optional
        As in `hessian_eigenvalues`.

    Returns
    -------
    float
        NaN where the Hessian is not finite, or the iteration does not converge. Gradient descent with the learning
        rate :math:`\eta` is stable on a quadratic loss where it is below :math:`2/\eta` (Cohen et al. 2021).
    """
    largest = hessian_eigenvalues(net, params, x, y, count=1, loss=loss, preconditioner=preconditioner)
    return float(largest.values[0])


def hessian_eigenvalues(
    net: Network, params: Any, x: Any, y: Any, *, count: int = 5, loss: str | None = None, preconditioner: Any = None
) -> Eigenvalues:
    r"""Return the largest eigenvalues of :math:`\nabla^2_\theta L`, and the number of products that they took.

    Parameters
    ----------
    net : network
        The network.
    params : pytree
        Its parameters, at which the Hessian is taken.
    x, y : array
        The batch. A product with a vector costs about as much as two gradients of its loss.
    count : int
        How many eigenvalues, from the largest. One takes ten to thirty products, more take more.
    loss : str, optional
        By default softmax cross-entropy for integer `y`, else mean squared error.
    preconditioner : pytree like `params`, optional
        Positive numbers P by whose inverse an optimiser scales its steps: the eigenvalues are then those of
        :math:`P^{-1/2} H P^{-1/2}`, which are those of :math:`P^{-1} H` (Cohen et al. 2022). None: ones.

    Returns
    -------
    Eigenvalues
        `.values`, `.residuals` and `.products`. Values are NaN where the Hessian is not finite, or where the iteration
        does not converge. Of an eigenvalue that the matrix has several times only one may be there.

    Notes
    -----
    Products :math:`Hv` are forward derivatives of the hand-written gradient (Pearlmutter 1994); Lanczos' method needs
    nothing else of H. It stops where residuals are below 0.001 of the largest eigenvalue.

    Examples
    --------
    >>> import numpy as np
    >>> import gradlab as gl
    >>> x, y = np.random.default_rng(0).normal(size=(32, 4)), np.arange(32) % 2
    >>> net = gl.MLP(depth=2, width=8, activation="tanh", init="xavier_normal")
    >>> found = gl.hessian_eigenvalues(net, net.init_params(0, x, y), x, y, count=3)
    >>> bool(found.values[0] > found.values[1] > found.values[2] > 0 and found.products < 40)
    True
    """
    require_network(net)
    outputs = net.outputs_in(params)
    flat, _ = ravel_pytree(params)
    batch = batch_of(x, y, loss, outputs)
    check_parameters(net, params, batch.x.shape[1:], outputs)
    x, loss = jnp.asarray(cast("x", batch.x, flat.dtype)), batch.loss
    product = _product(resolved(net), loss, outputs)
    wanted = targets(loss, batch.y, outputs, x.dtype)
    scale = 1.0 if preconditioner is None else _inverse_root(preconditioner, params)

    def times(v: np.ndarray) -> np.ndarray:
        return scale * np.asarray(product(params, x, wanted, jnp.asarray(scale * v, flat.dtype)), np.float64)

    return largest_eigenvalues(times, flat.size, count)


def _inverse_root(preconditioner: Any, params: Any) -> np.ndarray:
    """Return P to the power -1/2 as a float64 vector, in the order of the parameters."""
    shapes = lambda tree: jax.tree.map(np.shape, tree)
    if jax.tree.structure(preconditioner) != jax.tree.structure(params) or shapes(preconditioner) != shapes(params):
        raise GradlabError("a preconditioner with the arrays of params", "other arrays", "preconditioner=None")
    entries = np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(preconditioner)])
    if not np.all(entries > 0):
        worst = entries[~(entries > 0)][0]
        raise GradlabError("a preconditioner of positive numbers", f"{worst:g} among them", "preconditioner=None")
    return entries**-0.5


@functools.lru_cache(maxsize=16)
def _product(resolved: Resolved, loss: str, outputs: int) -> Callable[..., jax.Array]:
    @jax.jit
    def product(params, x, y, v):
        _, unravel = ravel_pytree(params)
        gradient = lambda p: backprop(resolved.network, p, x, y, loss=loss)[1]
        return ravel_pytree(jax.jvp(gradient, (params,), (unravel(v),))[1])[0]

    return product
