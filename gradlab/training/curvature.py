"""Sharpness: the largest eigenvalue of the Hessian of the loss, from products with vectors alone."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from gradlab.core.backprop import backprop, targets
from gradlab.core.batch import batch_of, cast
from gradlab.core.parameters import check_parameters, require_network
from gradlab.networks.network import Network
from gradlab.networks.resolved import Resolved, resolved

#: Relative error of the eigenvalue at which Lanczos' method stops.
TOLERANCE = 1e-3


def sharpness(net: Network, params: Any, x: Any, y: Any, *, loss: str | None = None) -> float:
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

    Returns
    -------
    float
        NaN where the Hessian is not finite, or the iteration does not converge. Gradient descent with the learning
        rate :math:`\eta` is stable on a quadratic loss where it is below :math:`2/\eta` (Cohen et al. 2021).

    Notes
    -----
    Products :math:`Hv` are forward derivatives of the hand-written gradient (Pearlmutter 1994); ARPACK's Lanczos
    method needs nothing else of H.
    """
    require_network(net)
    outputs = net.outputs_in(params)
    flat, _ = ravel_pytree(params)
    batch = batch_of(x, y, loss, outputs)
    x, loss = jnp.asarray(cast("x", batch.x, flat.dtype)), batch.loss
    check_parameters(net, params, x.shape[1:], outputs)
    product = _product(resolved(net), loss, outputs)
    wanted = targets(loss, batch.y, outputs, x.dtype)
    times = lambda v: np.asarray(product(params, x, wanted, jnp.asarray(v, flat.dtype)), np.float64)
    start = np.random.default_rng(0).normal(size=flat.size)  # the same start at every step: curves are smooth
    if not np.all(np.isfinite(times(start))):
        return float("nan")
    operator: Any = LinearOperator((flat.size, flat.size), matvec=times, dtype=np.float64)
    try:
        return float(eigsh(operator, k=1, which="LA", v0=start, tol=TOLERANCE, return_eigenvectors=False)[0])
    except ArpackError:
        return float("nan")


@functools.lru_cache(maxsize=16)
def _product(resolved: Resolved, loss: str, outputs: int) -> Any:
    @jax.jit
    def product(params, x, y, v):
        _, unravel = ravel_pytree(params)
        gradient = lambda p: backprop(resolved.network, p, x, y, loss=loss)[1]
        return ravel_pytree(jax.jvp(gradient, (params,), (unravel(v),))[1])[0]

    return product
