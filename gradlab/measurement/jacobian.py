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

#: Up to this many singular values all are computed, also where few are asked for: on two cores, of 1000 through 50
#: layers, all take a fifth of the time of Lanczos' ten (benchmarks/jacobian.py).
SMALL = 2048
#: A Ritz value is taken when its residual, a bound on its distance to a singular value, is this share of it.
TOLERANCE = 1e-6
#: Relative error of a singular value that counts as resolved. Rounding of the products adds up to about 0.2 eps of the
#: largest value, and 0.1 eps for each layer: the most that was seen, in 4 to 64 units and 3 to 400 layers.
RESOLVED, _OF_ALL, _OF_A_LAYER = 0.01, 0.2, 0.1
Which = Literal["largest", "smallest", "both"]


@dataclass(frozen=True)
class Spectrum:
    """Singular values of Jacobians, one Jacobian for each seed and input.

    Parameters
    ----------
    log10_singular_values : ndarray, shape (seeds, inputs, values)
        From the largest; -inf for a true zero.
    log10_floor : ndarray, shape (seeds, inputs)
        Values below it may be off by more than 1 %: (20 + 10 layers) * eps of the products * the largest value.
    shape : (int, int)
        Of each Jacobian: units of the target, units of the source.
    source, target : str or int
        The two points.
    which : {"all", "largest", "smallest", "both"}
        "both": the first half are the largest, the second the smallest.
    method : {"full", "lanczos"}
    seeds : tuple of int
    dtype : str
        Of the products.
    config : MLPConfig or None
        The network; None for a bare `Layer`.
    """

    log10_singular_values: np.ndarray
    log10_floor: np.ndarray
    shape: tuple[int, int]
    source: str | int
    target: str | int
    which: str
    method: str
    seeds: tuple[int, ...]
    dtype: str
    config: MLPConfig | None = None

    def rows(self) -> dict[str, np.ndarray]:
        """A row for each seed, input and singular value; `weight` is its share of the spectrum."""
        values = self.log10_singular_values
        return _rows(self.seeds, values, np.full(values.shape, 1 / values.shape[-1]), self.resolved)

    @property
    def resolved(self) -> np.ndarray:
        """Which values lie above the floor, so that they are right to 1 % in either precision.

        Of the Jacobian at the signals as they were computed: where rounding has moved these, past the kink of an
        activation or along a chaotic network, it is the Jacobian at other signals than in higher precision.
        """
        return self.log10_singular_values > self.log10_floor[..., None]

    @property
    def log10_mean_square(self) -> np.ndarray:
        """log10 of the mean of the squared singular values, m1 of J J^T; shape (seeds, inputs)."""
        return self._moment(1)

    @property
    def moment_ratio(self) -> np.ndarray:
        """m2 / m1^2 of J J^T, 1 where all singular values are equal (Pennington et al. 2017); shape (seeds, inputs)."""
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
    """The distribution of the singular values of large Jacobians, by stochastic Lanczos quadrature.

    Parameters
    ----------
    log10_singular_values : ndarray, shape (seeds, inputs, probes * steps)
        Nodes.
    weights : ndarray, same shape
        They sum to 1 over the nodes: the share of the spectrum that a node stands for.
    shape, source, target, seeds, dtype, config
        As in `Spectrum`.
    """

    log10_singular_values: np.ndarray
    weights: np.ndarray
    shape: tuple[int, int]
    source: str | int
    target: str | int
    seeds: tuple[int, ...]
    dtype: str
    config: MLPConfig | None = None

    def rows(self) -> dict[str, np.ndarray]:
        """A row for each seed, input and node; `weight` is the share of the spectrum that it stands for."""
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
    source: str | int = "input",
    target: str | int = "output",
    method: Literal["full", "lanczos"] | None = None,
    seeds: int | Sequence[int] = 1,
    key: Any = 0,
    outputs: int = 1,
) -> Spectrum:
    """Singular values of the Jacobian of a network at given inputs.

    Parameters
    ----------
    net : network or Layer
    x : array, shape (batch, features)
        One Jacobian for each input; of a network whose examples do not interact.
    params : pytree, optional
        Given weights. None: draws of `seeds` seeds, which are those of `gradlab.measure`.
    k : int, optional
        How many singular values, of each end. None: all.
    which : {"largest", "smallest", "both"}
        The end, where `k` is given.
    source, target : "input", "output" or int
        The points between which the derivative is taken; an integer l is the preactivation of hidden layer l.
    method : {"full", "lanczos"}, optional
        Put the Jacobian together, or find `k` values from products. None: as is faster; Lanczos needs many
        steps for the smallest values.
    seeds, key, outputs
        Where weights are drawn: number of seeds or their numbers, the base key, and units of the readout.

    Returns
    -------
    Spectrum

    Raises
    ------
    GradlabError
        `k` beyond the number of singular values, a point that does not exist, inputs that are not finite or do
        not fit, or a Jacobian that is not finite because the forward pass has overflowed.

    Examples
    --------
    >>> import gradlab as gl
    >>> net = gl.MLP(depth=1000, width=8, activation="sigmoid", init="xavier_normal")
    >>> found = gl.jacobian_spectrum(net, [[1.0] * 8], source=1, target=1000)
    >>> bool(found.log10_singular_values[0, 0, 0] < -600)
    True
    """
    if which not in ("largest", "smallest", "both"):
        raise unknown("which", which, ("largest", "smallest", "both"))
    if method not in (None, "full", "lanczos"):
        raise unknown("method", method, ("full", "lanczos"))
    numbers, trees = draws(net, params, x, key, seeds, outputs)
    found = [_one(Products(net, tree, x, source, target), k, which, method, key) for tree in trees]
    values, floors, ways, products = zip(*found, strict=True)
    return Spectrum(
        np.stack(values), np.stack(floors), products[0].shape, source, target,
        "all" if k is None else which, ways[0], numbers, str(products[0].dtype),
        net if isinstance(net, Network) else None,
    )  # fmt: skip


def jacobian_density(
    net: Network | Layer,
    x: Any,
    *,
    params: Any = None,
    probes: int = 4,
    steps: int = 60,
    source: str | int = "input",
    target: str | int = "output",
    seeds: int | Sequence[int] = 1,
    key: Any = 0,
    outputs: int = 1,
) -> Density:
    """The distribution of the singular values of large Jacobians, without putting them together.

    From a random start the squared first components of the bidiagonal matrix's singular vectors are the weights of
    a Gauss quadrature of the spectral measure (Golub & Meurant 1994); their mean over starts converges to
    the density of the singular values as 1 / sqrt(probes * n) (Ubaru, Chen & Saad 2017).

    Parameters
    ----------
    probes : int
        Random starts.
    steps : int
        Lanczos steps of each: nodes of the quadrature.
    net, x, params, source, target, seeds, key, outputs
        As in `jacobian_spectrum`.

    Returns
    -------
    Density
    """
    probes, steps = positive_integer("probes", probes), positive_integer("steps", steps)
    numbers, trees = draws(net, params, x, key, seeds, outputs)
    values, weights = [], []
    for tree in trees:
        products = Products(net, tree, x, source, target)
        ritz = products.lanczos(min(steps, products.count), key, probes=probes)
        logs, size = log10_of(ritz.values, ritz.exponent), (products.inputs, -1)
        # problems are probes, then inputs
        sort = lambda v, size=size: np.moveaxis(v.reshape(probes, size[0], -1), 1, 0).reshape(size)
        values.append(sort(logs))
        weights.append(sort(ritz.weights / probes))
    return Density(
        np.stack(values), np.stack(weights), products.shape, source, target, numbers, str(products.dtype),
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
    """Whether the values at both ends are converged, with as many others between them."""
    steps = ritz.values.shape[1]
    if steps < 2 * (first + last):
        return False
    right = ritz.residuals <= TOLERANCE * ritz.values
    return bool(right[:, :first].all() and right[:, steps - last :].all())
