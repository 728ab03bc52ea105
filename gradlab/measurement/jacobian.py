r"""Singular values of the Jacobian between two points of a network, from hand-written products alone.

Rows of :math:`J = \partial z_b/\partial z_a` are backward passes of unit vectors, columns are tangents of unit
vectors (`gradlab.core.layer.tangent`). Each is a mantissa with a power of two of its own, so that the spectrum of
1000 sigmoid layers, at 1e-630, is as precise as one near 1. Small Jacobians are put together and decomposed; of
large ones Golub-Kahan-Lanczos finds the outermost values, and stochastic Lanczos quadrature the density.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from gradlab._errors import GradlabError, unknown
from gradlab.config import MLPConfig, positive_integer
from gradlab.core.layer import Layer
from gradlab.measurement.lanczos import Ritz
from gradlab.measurement.products import Products, draws, log10_of
from gradlab.measurement.records import value_rows
from gradlab.networks.network import Network

#: Up to this many singular values all are computed, even where few are asked for: on two cores all 1000 values of 50
#: layers take a fifth of the time in which Lanczos finds ten (benchmarks/jacobian.py).
SMALL = 2048
#: A Ritz value is taken when its residual, a bound on its distance to a singular value, is this share of it.
TOLERANCE = 1e-6
#: Largest relative error of a singular value that counts as resolved. Rounding of the products adds up to about 0.2 eps
#: of the largest value plus 0.1 eps for each layer, the most that was seen with 4 to 64 units and 3 to 400 layers.
RESOLVED, _OF_ALL, _OF_A_LAYER = 0.01, 0.2, 0.1
Which = Literal["largest", "smallest", "both"]


@dataclass(frozen=True)
class Spectrum:
    """Hold the singular values of Jacobians, one Jacobian for each seed and input.

    Parameters
    ----------
    log10_singular_values : ndarray, shape (seeds, inputs, values)
        log10 of the values, from the largest; -inf for a true zero.
    log10_floor : ndarray, shape (seeds, inputs)
        log10 of the size below which values may be off by more than 1 %: (20 + 10 layers) * eps of the products * the
        largest value.
    shape : (int, int)
        Shape of each Jacobian: units at `to_layer`, units at `from_layer`.
    from_layer, to_layer : str or int
        The two points between which the derivative was taken.
    which : {"all", "largest", "smallest", "both"}
        Which end of the spectrum the values are. For "both" the first half are the largest, the second the smallest.
    method : {"full", "lanczos"}
        How they were computed.
    seeds : tuple of int
        Numbers of the seeds.
    dtype : str
        Precision of the products.
    config : MLPConfig or None
        The network; None for a bare `Layer`.
    """

    log10_singular_values: np.ndarray
    log10_floor: np.ndarray
    shape: tuple[int, int]
    from_layer: str | int
    to_layer: str | int
    which: str
    method: str
    seeds: tuple[int, ...]
    dtype: str
    config: MLPConfig | None = None

    def rows(self) -> dict[str, np.ndarray]:
        """Return one row for each seed, input and singular value; `weight` is its share of the spectrum."""
        values = self.log10_singular_values
        return _rows(self.seeds, values, np.full(values.shape, 1 / values.shape[-1]), self.resolved)

    @property
    def resolved(self) -> np.ndarray:
        """Say which values lie above the floor, so that they are right to 1 % in either precision.

        This holds for the Jacobian at the signals as they were computed. Where rounding has moved the signals, past the
        kink of an activation or in a chaotic network, higher precision gives the Jacobian at other signals.
        """
        return self.log10_singular_values > self.log10_floor[..., None]

    @property
    def log10_mean_square(self) -> np.ndarray:
        """Return log10 of the mean of the squared singular values, m1 of J J^T; shape (seeds, inputs)."""
        return self._moment(1)

    @property
    def moment_ratio(self) -> np.ndarray:
        """Return m2 / m1^2 of J J^T (Pennington et al. 2017), shape (seeds, inputs); 1 where all values are equal."""
        return 10 ** (self._moment(2) - 2 * self._moment(1))

    def _moment(self, order: int) -> np.ndarray:
        if self.which != "all":
            raise GradlabError("all singular values, for a moment of them", f"which={self.which!r}", "k=None")
        logs = 2 * order * self.log10_singular_values
        top = np.max(logs, -1, keepdims=True)
        top = np.where(np.isfinite(top), top, 0)
        with np.errstate(divide="ignore"):
            return top[..., 0] + np.log10(np.mean(10 ** (logs - top), -1))


@dataclass(frozen=True)
class Density:
    """Hold the distribution of the singular values of large Jacobians, by stochastic Lanczos quadrature.

    Parameters
    ----------
    log10_singular_values : ndarray, shape (seeds, inputs, probes * iterations)
        Nodes of the quadrature.
    weights : ndarray, same shape
        Share of the spectrum that each node stands for; they sum to 1.
    shape, from_layer, to_layer, seeds, dtype, config
        As in `Spectrum`.
    """

    log10_singular_values: np.ndarray
    weights: np.ndarray
    shape: tuple[int, int]
    from_layer: str | int
    to_layer: str | int
    seeds: tuple[int, ...]
    dtype: str
    config: MLPConfig | None = None

    def rows(self) -> dict[str, np.ndarray]:
        """Return one row for each seed, input and node; `weight` is the share of the spectrum that it stands for."""
        values = self.log10_singular_values
        return _rows(self.seeds, values, self.weights, np.isfinite(values))


def _rows(seeds: Sequence[int], values: np.ndarray, weights: np.ndarray, resolved: np.ndarray) -> dict[str, np.ndarray]:
    axes = {"seed": seeds, "input": range(values.shape[1]), "index": range(values.shape[2])}
    return value_rows(axes, log10_singular_value=values, weight=weights, resolved=resolved)


def jacobian_spectrum(
    net: Network | Layer,
    x: Any,
    *,
    params: Any = None,
    k: int | None = None,
    which: Which = "largest",
    from_layer: str | int = "input",
    to_layer: str | int = "output",
    method: Literal["full", "lanczos"] | None = None,
    seeds: int | Sequence[int] = 1,
    key: Any = 0,
    outputs: int = 1,
) -> Spectrum:
    """Compute singular values of the Jacobian of a network at given inputs.

    Parameters
    ----------
    net : network or Layer
        The network, or a layer of one's own. Its examples must not interact, so it has no batch norm.
    x : array, shape (batch, features)
        The inputs; each of them has a Jacobian of its own.
    params : pytree, optional
        Weights to use instead of random ones. None: draws of `seeds` seeds, which are those of `gradlab.measure`.
    k : int, optional
        How many singular values to return from each end. None: all.
    which : {"largest", "smallest", "both"}
        The end of the spectrum to return, where `k` is given.
    from_layer, to_layer : "input", "output" or int
        The points between which the derivative is taken. An integer l is the preactivation of hidden layer l.
    method : {"full", "lanczos"}, optional
        "full" puts the Jacobian together, "lanczos" finds `k` values from products. None: the faster one. Choose
        "full" for the smallest values, because Lanczos needs many iterations for them.
    seeds : int or sequence of int
        Number of seeds, or their numbers, where weights are drawn.
    key : int or JAX key
        Key from which the weights are drawn: seed s draws from the key folded with s.
    outputs : int
        Units of the readout, where weights are drawn.

    Returns
    -------
    Spectrum
        log10 of the singular values, and the floor below which they are rounding.

    Raises
    ------
    GradlabError
        If `k` is larger than the number of singular values, a point does not exist, the inputs are not finite or do
        not fit, or the Jacobian is not finite because the forward pass has overflowed.

    Examples
    --------
    >>> import gradlab as gl
    >>> net = gl.MLP(depth=1000, width=8, activation="sigmoid", init="xavier_normal")
    >>> spectrum = gl.jacobian_spectrum(net, [[1.0] * 8], from_layer=1, to_layer=1000)
    >>> bool(spectrum.log10_singular_values[0, 0, 0] < -600)
    True
    """
    if which not in ("largest", "smallest", "both"):
        raise unknown("which", which, ("largest", "smallest", "both"))
    if method not in (None, "full", "lanczos"):
        raise unknown("method", method, ("full", "lanczos"))
    numbers, trees = draws(net, params, x, key, seeds, outputs)
    results = [_one(Products(net, tree, x, from_layer, to_layer), k, which, method, key) for tree in trees]
    values, floors, ways, products = zip(*results, strict=True)
    return Spectrum(
        np.stack(values), np.stack(floors), products[0].shape, from_layer, to_layer,
        "all" if k is None else which, ways[0], numbers, str(products[0].dtype),
        net if isinstance(net, Network) else None,
    )  # fmt: skip


def jacobian_density(
    net: Network | Layer,
    x: Any,
    *,
    params: Any = None,
    probes: int = 4,
    iterations: int = 60,
    from_layer: str | int = "input",
    to_layer: str | int = "output",
    seeds: int | Sequence[int] = 1,
    key: Any = 0,
    outputs: int = 1,
) -> Density:
    """Compute the distribution of the singular values of large Jacobians, without putting them together.

    From a random start the squared first components of the bidiagonal matrix's singular vectors are the weights of
    a Gauss quadrature of the spectral measure (Golub & Meurant 1994); their mean over starts converges to
    the density of the singular values as 1 / sqrt(probes * n) (Ubaru, Chen & Saad 2017).

    Parameters
    ----------
    net : network or Layer
        As in `jacobian_spectrum`.
    x : array, shape (batch, features)
        As in `jacobian_spectrum`.
    params : pytree, optional
        As in `jacobian_spectrum`.
    probes : int
        Number of random starts; more of them make the density less noisy.
    iterations : int
        Lanczos iterations of each start, which are the nodes of the quadrature; more of them resolve finer detail.
    from_layer, to_layer : "input", "output" or int
        As in `jacobian_spectrum`.
    seeds : int or sequence of int
        As in `jacobian_spectrum`.
    key : int or JAX key
        As in `jacobian_spectrum`; the random starts are drawn from it too.
    outputs : int
        As in `jacobian_spectrum`.

    Returns
    -------
    Density
        Nodes and weights of the quadrature.

    Raises
    ------
    GradlabError
        As in `jacobian_spectrum`.
    """
    probes, iterations = positive_integer("probes", probes), positive_integer("iterations", iterations)
    numbers, trees = draws(net, params, x, key, seeds, outputs)
    values, weights = [], []
    for tree in trees:
        products = Products(net, tree, x, from_layer, to_layer)
        ritz = products.lanczos(min(iterations, products.count), key, probes=probes)
        logs, size = log10_of(ritz.values, ritz.exponent), (products.inputs, -1)
        # The first axis holds all inputs of the first probe, then those of the next.
        sort = lambda v, size=size: np.moveaxis(v.reshape(probes, size[0], -1), 1, 0).reshape(size)
        values.append(sort(logs))
        weights.append(sort(ritz.weights / probes))
    return Density(
        np.stack(values), np.stack(weights), products.shape, from_layer, to_layer, numbers, str(products.dtype),
        net if isinstance(net, Network) else None,
    )  # fmt: skip


def _one(products: Products, k: int | None, which: str, method: str | None, key: Any):
    count = products.count
    if k is not None:
        k = positive_integer("k", k)
        if k > count:
            raise GradlabError(f"k of at most {count}, the number of singular values", str(k), "k=None, for all")
        if which == "both" and 2 * k > count:
            raise GradlabError(f"k of at most {count // 2} of each end", str(k), "k=None, for all")
    if method is None:
        method = "full" if k is None or count <= SMALL or which != "largest" else "lanczos"
    if k is None and method == "lanczos":
        raise GradlabError("k, for method='lanczos'", "None", "k=10, or method='full' for all singular values")
    first, last = {"largest": (k, 0), "smallest": (0, k), "both": (k, k)}[which] if k is not None else (count, 0)
    if method == "full":
        logs = products.full()
    else:
        ritz = products.lanczos(count, key, enough=lambda ritz: _enough(ritz, first, last))
        logs = log10_of(ritz.values, ritz.exponent)
    rounding = float(jnp.finfo(products.dtype).eps) * (_OF_ALL + _OF_A_LAYER * products.layers)
    floor = logs[:, 0] + np.log10(rounding / RESOLVED)
    return np.concatenate([logs[:, :first], logs[:, logs.shape[1] - last :]], 1), floor, method, products


def _enough(ritz: Ritz, first: int, last: int) -> bool:
    """Say whether the values at both ends have converged, with as many others between them."""
    iterations = ritz.values.shape[1]
    if iterations < 2 * (first + last):
        return False
    right = ritz.residuals <= TOLERANCE * ritz.values
    return bool(right[:, :first].all() and right[:, iterations - last :].all())
