r"""Lyapunov exponents: growth of each direction per layer, from a QR decomposition after every layer.

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
from gradlab.measurement.section import carry_tangents
from gradlab.networks.network import Network


@dataclass(frozen=True)
class Lyapunov:
    """Hold the growth of orthonormal directions, layer by layer.

    Parameters
    ----------
    increments : ndarray, shape (seeds, inputs, layers, k)
        ln |R_kk| of each layer, from `from_layer` on, in the order of the decomposition; -inf where a direction is
        mapped to 0.
    seeds : tuple of int
        Numbers of the seeds.
    from_layer, to_layer : str or int
        The points between which the tangents were carried.
    config : MLPConfig or None
        The network; None for a sequence of matrices.
    """

    increments: np.ndarray
    seeds: tuple[int, ...]
    from_layer: str | int
    to_layer: str | int
    config: MLPConfig | None = None

    @property
    def exponents(self) -> np.ndarray:
        """Return the mean increment per layer, shape (seeds, inputs, k): natural logarithms, the largest first.

        They are sorted here, because over few layers a later direction may have grown more than an earlier one.
        """
        return np.take_along_axis(np.mean(self.increments, 2), self._order, -1)

    @property
    def _order(self) -> np.ndarray:
        """Sort the directions of each seed and input from the one that grew most to the one that grew least."""
        return np.argsort(-np.mean(self.increments, 2), -1, kind="stable")

    @property
    def standard_error(self) -> np.ndarray:
        """Return standard errors of the exponents, shape (seeds, inputs, k), for independent increments of layers."""
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
    from_layer: str | int = 1,
    to_layer: str | int | None = None,
    seeds: int | Sequence[int] = 1,
    key: Any = 0,
) -> Lyapunov:
    """Compute Lyapunov exponents of a network along its depth.

    Parameters
    ----------
    net : MLP
        The network; only an `MLP` has layers that are known one by one.
    x : array, shape (batch, features)
        Inputs at which the derivatives are taken.
    params : pytree, optional
        Weights to use instead of random ones. None: draws of `seeds` seeds.
    k : int, optional
        How many of the largest exponents to compute. None: as many as the narrowest layer has units.
    from_layer, to_layer : "input", "output" or int
        The points between which tangents are carried. By default the preactivations of the first and of the last
        hidden layer.
    seeds : int or sequence of int
        Number of seeds, or their numbers, where weights are drawn.
    key : int or JAX key
        Key from which the weights are drawn: seed s draws from the key folded with s.

    Returns
    -------
    Lyapunov
        Exponents with standard errors, and the increments of each layer.

    Raises
    ------
    GradlabError
        If `net` is no `MLP`, or `k` is larger than the narrowest layer.

    Examples
    --------
    >>> import gradlab as gl
    >>> net = gl.MLP(depth=50, width=16, activation="identity", init="orthogonal", gain=0.5)
    >>> growth = gl.lyapunov(net, [[1.0] * 16], k=3)
    >>> [round(float(v), 4) for v in growth.exponents[0, 0]]
    [-0.6931, -0.6931, -0.6931]
    """
    if isinstance(net, Layer) or not hasattr(net, "widths"):
        raise GradlabError("a network whose layers are known, an MLP", described(net), "gl.MLP(...)")
    to_layer = net.depth if to_layer is None else to_layer
    numbers, trees = draws(net, params, x, key, seeds, 1)
    increments = []
    for tree in trees:
        products = Products(net, tree, x, from_layer, to_layer)
        narrowest = products.narrowest
        count = narrowest if k is None else positive_integer("k", k)
        if count > narrowest:
            raise GradlabError(f"k of at most {narrowest}, the units of the narrowest layer", str(k), "k=None")
        start = _start(key, count, products.inputs, products.shape[1], products.dtype)
        increments.append(_natural(_program(products.layer)(products.params, products.saved, start)))
    return Lyapunov(np.stack(increments), numbers, from_layer, to_layer, net)


def matrix_lyapunov(jacobians: Any, *, k: int | None = None, key: Any = 0) -> Lyapunov:
    """Compute Lyapunov exponents of a product of matrices, for example the Jacobians of a recurrent network.

    Parameters
    ----------
    jacobians : array, shape (factors, n, n)
        The matrices. Each acts on column vectors, ``v -> jacobian @ v``, the first one first.
    k : int, optional
        How many of the largest exponents to compute. None: all.
    key : int or JAX key
        Key from which the random start is drawn; the exponents of a long product do not depend on it.

    Returns
    -------
    Lyapunov
        The exponents, for one seed and one input.

    Raises
    ------
    GradlabError
        If the matrices are not square, not finite, or fewer than `k` wide.

    Examples
    --------
    >>> import numpy as np
    >>> growth = matrix_lyapunov(np.broadcast_to([[0.9, 2.0], [0.0, 0.5]], (400, 2, 2)))
    >>> [round(float(v), 1) for v in np.exp(growth.exponents[0, 0])]
    [0.9, 0.5]
    """
    matrices = jnp.asarray(jacobians)
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2] or not matrices.size:
        raise GradlabError(
            "jacobians of shape (factors, n, n)", f"shape {matrices.shape}", "one square matrix for each factor"
        )
    if not jnp.issubdtype(matrices.dtype, jnp.floating) or not bool(jnp.isfinite(matrices).all()):
        raise GradlabError(
            "finite real numbers in the jacobians", f"{matrices.dtype}, some not", "the factors before these"
        )
    n = matrices.shape[1]
    count = n if k is None else positive_integer("k", k)
    if count > n:
        raise GradlabError(f"k of at most {n}", str(k), "k=None")
    start = _start(key, count, 1, n, matrices.dtype)
    return Lyapunov(_natural(_matrix_increments(matrices, start))[None], (0,), 0, len(matrices))


def _start(key: Any, count: int, batch: int, units: int, dtype) -> np.ndarray:
    """Draw random orthonormal rows, (count, batch, units)."""
    draw = generator(key).normal(size=(batch, units, count))
    return np.moveaxis(np.linalg.qr(draw)[0], -1, 0).astype(dtype)


def _orthonormal(v: Scaled) -> tuple[Scaled, Log2]:
    """Make tangents (k, batch, units) orthonormal; return them, and log2 of the diagonal of R, (batch, k)."""
    mantissa, exponent = align(v, 0)
    q, r = jnp.linalg.qr(jnp.moveaxis(mantissa, 0, -1))
    size = jnp.abs(jnp.diagonal(r, axis1=-2, axis2=-1))
    return scaled(jnp.moveaxis(q, -1, 0)), Log2(jnp.log2(size), jnp.broadcast_to(exponent[:, None], size.shape))


@functools.lru_cache(maxsize=32)
def _program(layer: Layer):
    return jax.jit(lambda params, saved, start: carry_tangents(layer, params, saved, scaled(start), _orthonormal)[1])


@jax.jit
def _matrix_increments(matrices, start) -> Log2:
    def one(v, matrix):
        columns = matmul(matrix, jnp.moveaxis(v.mantissa, 0, -1))
        return _orthonormal(normalise(Scaled(jnp.moveaxis(columns, -1, 0), v.exponent)))

    return jax.lax.scan(one, scaled(start), matrices)[1]


def _natural(records: Log2) -> np.ndarray:
    """Convert log2, shape (layers, batch, k), to natural logarithms, shape (batch, layers, k)."""
    return np.moveaxis(to_numpy(records), 0, 1) * np.log(10.0)
