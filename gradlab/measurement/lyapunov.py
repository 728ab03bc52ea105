r"""Lyapunov exponents: by how much per layer each direction grows, from a QR decomposition after every layer.

A set of orthonormal tangents is carried through a layer and made orthonormal again, :math:`A_l Q_{l-1} = Q_l R_l`
(Benettin et al. 1980; Eckmann & Ruelle 1985, section IV). The k-th exponent is the mean of :math:`\ln |R_l|_{kk}`:
the growth of a k-dimensional volume is the sum of the first k. Nothing leaves the range of a float, and
directions that shrink 10^600 times faster than others are measured as well as these.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab._errors import GradlabError
from gradlab.config import MLPConfig, positive_integer
from gradlab.core.layer import Layer
from gradlab.core.parameters import described
from gradlab.core.scaled import Log2, Scaled, align, matmul, normalise, scaled, to_numpy
from gradlab.measurement.products import Products, draws, generator
from gradlab.measurement.section import along
from gradlab.networks.network import Network


@dataclass(frozen=True)
class Lyapunov:
    """Growth of orthonormal directions, layer by layer.

    Parameters
    ----------
    increments : ndarray, shape (seeds, inputs, layers, k)
        ln |R_kk| of each layer, from the source upward, in the order of the decomposition; -inf where a direction is
        annihilated.
    seeds : tuple of int
    source, target : str or int
        The points between which the tangents went.
    config : MLPConfig or None
        The network; None for a sequence of matrices.
    """

    increments: np.ndarray
    seeds: tuple[int, ...]
    source: str | int
    target: str | int
    config: MLPConfig | None = None

    @property
    def exponents(self) -> np.ndarray:
        """Mean increment per layer, shape (seeds, inputs, k): natural logarithms, the largest first.

        Directions find their order only as layers go by: over few of them a later one may have grown more.
        """
        return np.take_along_axis(np.mean(self.increments, 2), self._order, -1)

    @property
    def _order(self) -> np.ndarray:
        """Directions from the one that grew most to the one that grew least, of each seed and input."""
        return np.argsort(-np.mean(self.increments, 2), -1, kind="stable")

    @property
    def standard_error(self) -> np.ndarray:
        """Of the exponents in their order, for increments independent from layer to layer; shape (seeds, inputs, k)."""
        layers = self.increments.shape[2]
        if layers < 2:
            return np.full_like(self.exponents, np.nan)
        return np.take_along_axis(np.std(self.increments, 2, ddof=1), self._order, -1) / layers**0.5


def lyapunov(
    net: Network,
    x: Any,
    *,
    params: Any = None,
    k: int | None = None,
    source: str | int = 1,
    target: str | int | None = None,
    seeds: int | Sequence[int] = 1,
    key: Any = 0,
) -> Lyapunov:
    """Lyapunov exponents of a network along its depth.

    Parameters
    ----------
    net : MLP
    x : array, shape (batch, features)
        The layers' derivatives are taken at these inputs.
    params : pytree, optional
        Given weights. None: draws of `seeds` seeds.
    k : int, optional
        How many of the largest. None: as many as the narrowest point has units.
    source, target : "input", "output" or int
        The points; by default the preactivations of the first and of the last hidden layer.
    seeds, key
        Where weights are drawn.

    Returns
    -------
    Lyapunov

    Raises
    ------
    GradlabError
        A network whose layers are not known (only an `MLP` is), or `k` beyond the narrowest layer.

    Examples
    --------
    >>> import gradlab as gl
    >>> net = gl.MLP(depth=50, width=16, activation="identity", init="orthogonal", gain=0.5)
    >>> found = gl.lyapunov(net, [[1.0] * 16], k=3)
    >>> [round(float(v), 4) for v in found.exponents[0, 0]]
    [-0.6931, -0.6931, -0.6931]
    """
    if isinstance(net, Layer) or not hasattr(net, "widths"):
        raise GradlabError("a network whose layers are known, an MLP", described(net), "gl.MLP(...)")
    target = net.depth if target is None else target
    numbers, trees = draws(net, params, x, key, seeds, 1)
    found = []
    for tree in trees:
        products = Products(net, tree, x, source, target)
        narrowest = products.narrowest
        count = narrowest if k is None else positive_integer("k", k)
        if count > narrowest:
            raise GradlabError(f"k of at most {narrowest}, the units of the narrowest layer", str(k), "k=None")
        start = _start(key, count, products.inputs, products.shape[1], products.dtype)
        found.append(_natural(_program(products.layer)(products.params, products.saved, start)))
    return Lyapunov(np.stack(found), numbers, source, target, net)


def lyapunov_of(jacobians: Any, *, k: int | None = None, key: Any = 0) -> Lyapunov:
    """Lyapunov exponents of a product of matrices: the Jacobians of the steps of a recurrent network, say.

    Parameters
    ----------
    jacobians : array, shape (steps, n, n)
        Each acts on column vectors, ``v -> jacobian @ v``, the first one first.
    k : int, optional
        How many of the largest. None: all.
    key : int or JAX key
        Of the random start.

    Returns
    -------
    Lyapunov
        With one seed and one input.

    Examples
    --------
    >>> import numpy as np
    >>> found = lyapunov_of(np.broadcast_to([[0.9, 2.0], [0.0, 0.5]], (400, 2, 2)))
    >>> [round(float(v), 1) for v in np.exp(found.exponents[0, 0])]
    [0.9, 0.5]
    """
    matrices = jnp.asarray(jacobians)
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2] or not matrices.size:
        raise GradlabError("jacobians of shape (steps, n, n)", f"shape {matrices.shape}", "one matrix for each step")
    if not jnp.issubdtype(matrices.dtype, jnp.floating) or not bool(jnp.isfinite(matrices).all()):
        raise GradlabError("finite real numbers in the jacobians", f"{matrices.dtype}, some not", "other steps")
    n = matrices.shape[1]
    count = n if k is None else positive_integer("k", k)
    if count > n:
        raise GradlabError(f"k of at most {n}", str(k), "k=None")
    start = _start(key, count, 1, n, matrices.dtype)
    return Lyapunov(_natural(_steps(matrices, start))[None], (0,), 0, len(matrices))


def _start(key: Any, count: int, batch: int, units: int, dtype) -> np.ndarray:
    """Random orthonormal rows, (count, batch, units)."""
    draw = generator(key).normal(size=(batch, units, count))
    return np.moveaxis(np.linalg.qr(draw)[0], -1, 0).astype(dtype)


def _orthonormal(v: Scaled) -> tuple[Scaled, Log2]:
    """Tangents (k, batch, units) made orthonormal, and log2 of the diagonal of R, (batch, k)."""
    mantissa, exponent = align(v, 0)
    q, r = jnp.linalg.qr(jnp.moveaxis(mantissa, 0, -1))
    size = jnp.abs(jnp.diagonal(r, axis1=-2, axis2=-1))
    return scaled(jnp.moveaxis(q, -1, 0)), Log2(jnp.log2(size), jnp.broadcast_to(exponent[:, None], size.shape))


@functools.lru_cache(maxsize=32)
def _program(layer: Layer):
    return jax.jit(lambda params, saved, start: along(layer, params, saved, scaled(start), _orthonormal)[1])


@jax.jit
def _steps(matrices, start) -> Log2:
    def one(v, matrix):
        columns = matmul(matrix, jnp.moveaxis(v.mantissa, 0, -1))
        return _orthonormal(normalise(Scaled(jnp.moveaxis(columns, -1, 0), v.exponent)))

    return jax.lax.scan(one, scaled(start), matrices)[1]


def _natural(records: Log2) -> np.ndarray:
    """(layers, batch, k) of log2 as natural logarithms (batch, layers, k)."""
    return np.moveaxis(to_numpy(records), 0, 1) * np.log(10.0)
