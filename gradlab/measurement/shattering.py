r"""Shattered gradients: cosines between the gradients of one function at two inputs (Balduzzi et al. 2017).

The network's single output f is differentiated at every input x_i; the delta of layer l is
:math:`\partial f(x_i)/\partial z_l`, that of layer 0 the input gradient :math:`\nabla f(x_i)`. Where
these cosines fall toward the input, gradients at neighbouring inputs have little in common: along a
line of inputs the gradient is no smooth curve any more, but white noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab._errors import GradlabError
from gradlab.config import positive_integer, seed_numbers
from gradlab.core.batch import cast, inputs
from gradlab.core.gradient import Site, unit_rows
from gradlab.core.keys import as_key, fold_in
from gradlab.core.layer import Layer
from gradlab.core.parameters import require_network
from gradlab.core.scaled import Scaled, matmul, scaled
from gradlab.measurement.records import value_rows


@dataclass(frozen=True)
class Shattering:
    """Hold cosines between the deltas of pairs of inputs, and the input gradients themselves.

    Parameters
    ----------
    cosine : ndarray, shape (seeds, layers + 1, groups)
        Mean cosine over the pairs of a group. Layer 0 is the input gradient; then come the layers, from input to
        output. NaN where in every pair of the group one of the two is exactly 0.
    distance : ndarray, shape (groups,)
        Euclidean distance between the two inputs, mean over the pairs of a group.
    pairs : ndarray, shape (groups,)
        Number of pairs in each group.
    gradient : ndarray, shape (seeds, batch, features)
        Input gradients divided by their rms over the batch.
    log10_rms : ndarray, shape (seeds,)
        log10 of that rms.
    seeds : tuple of int
        Numbers of the seeds.
    """

    cosine: np.ndarray
    distance: np.ndarray
    pairs: np.ndarray
    gradient: np.ndarray
    log10_rms: np.ndarray
    seeds: tuple[int, ...]

    def rows(self) -> dict[str, np.ndarray]:
        """Return one row for each seed, layer and group: seed, layer, distance, from_loss, pairs, cosine.

        ``from_loss`` counts layers from the output: it is 0 for the last one that was read.
        """
        layers = np.arange(self.cosine.shape[1])
        axes = {"seed": self.seeds, "layer": layers, "distance": self.distance}
        return value_rows(axes, from_loss=(layers[-1] - layers)[:, None], pairs=self.pairs, cosine=self.cosine)


def shattering(
    net: Any,
    x: Any,
    *,
    key: Array | int = 0,
    seeds: int | Sequence[int] = 16,
    bins: int | None = None,
    kind: str = "dense",
    dtype: str = "float32",
) -> Shattering:
    r"""Compute cosines between the deltas of every pair of inputs, layer by layer, over many seeds.

    Parameters
    ----------
    net : network or Layer
        The network, which is built with one output; or a `Layer` with one output.
    x : array, shape (batch, features)
        Two inputs or more. Memory and time grow with the square of their number.
    key : int or JAX key
        Key from which the weights are drawn: seed s draws from the key folded with s.
    seeds : int or sequence of int
        Number of seeds, or their numbers.
    bins : int, optional
        Number of bins of equal width in distance, within which pairs are averaged. None: each pair by itself.
    kind : str
        Kind of the layers whose deltas are compared: "dense" (dense layers, the readout last), "residual" (the stream
        behind each block), or the kind of a layer of one's own.
    dtype : {"float32", "float64"}
        Precision; cosines of very deep networks may need float64.

    Returns
    -------
    Shattering
        The cosines. `gradlab.theory.gradient_correlation` predicts them for ReLU networks.

    Raises
    ------
    GradlabError
        If there are fewer than two inputs, several outputs, or no layer of this kind.

    Notes
    -----
    The deltas are those of the sum of the outputs over all inputs. In a network whose examples interact (batch
    normalisation) they therefore contain gradients of an output by the *other* inputs.

    Examples
    --------
    >>> import numpy as np
    >>> import gradlab as gl
    >>> cosines = shattering(gl.MLP(depth=3, width=32), np.eye(2, 8), seeds=4)
    >>> cosines.cosine.shape, cosines.distance.round(3).tolist()
    ((4, 5, 1), [1.414])
    """
    require_network(net, or_layer=True)
    layer: Layer = net if isinstance(net, Layer) else net.layer(1)
    numbers = tuple(seed_numbers(seeds))
    x = cast("x", inputs(x), dtype)
    if x.ndim != 2 or len(x) < 2:
        raise GradlabError("x of shape (batch, features), of two inputs or more", f"shape {x.shape}", "more examples")
    bins = None if bins is None else positive_integer("bins", bins)
    one, two = np.triu_indices(len(x), 1)
    distances = np.linalg.norm(x[one].astype(np.float64) - x[two], axis=-1)
    group = np.arange(len(distances)) if bins is None else _binned(distances, bins)
    pairs = np.bincount(group)

    def grouped(gram: np.ndarray) -> np.ndarray:
        values = gram[one, two]
        alive = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            return np.bincount(group[alive], values[alive], len(pairs)) / np.bincount(group[alive], None, len(pairs))

    with jax.enable_x64(dtype == "float64"):
        program = jax.jit(_program(layer, kind))
        cosines, gradients, sizes = [], [], []
        for seed in numbers:
            params, _ = layer.init(fold_in(as_key(key), seed), x.shape[1:])
            dx, cosine, records = program(params, x)
            grams = [np.asarray(r, np.float64).reshape(-1, len(x), len(x)) for r in jax.tree.leaves(records)]
            if not grams:
                raise GradlabError(f"a layer of kind {kind!r}", "none in this network", "kind='dense'")
            cosines.append([grouped(g) for g in (np.asarray(cosine, np.float64), *np.concatenate(grams))])
            gradient, log10_rms = _over_rms(dx)
            gradients.append(gradient)
            sizes.append(log10_rms)
    distance = np.bincount(group, distances) / pairs
    return Shattering(np.array(cosines), distance, pairs, np.array(gradients), np.array(sizes), numbers)


def _program(layer: Layer, kind: str):
    """Make the program that returns input gradients, their cosines, and cosines of the deltas of each layer."""

    def read(site: Site) -> dict[str, Array]:
        return {"cosine": _cosines(site.dy)} if site.kind == kind else {}

    def program(params, x):
        y, saved = layer.forward(params, scaled(x))
        if y.mantissa.shape[1:] != (1,):
            raise GradlabError("a network with one output", f"outputs of shape {y.mantissa.shape[1:]}", "dense(1)")
        dx, records = layer.backward(params, saved, scaled(jnp.ones_like(y.mantissa)), read)
        return dx, _cosines(dx), records

    return program


def _cosines(d: Scaled) -> Array:
    """Compute cosines between the rows, shape (batch, batch); NaN where a row is 0."""
    unit, size = unit_rows(d.mantissa.reshape(d.mantissa.shape[0], -1))
    gram = matmul(unit, jnp.swapaxes(unit, -1, -2))
    alive = size > 0
    return jnp.where(alive[:, None] & alive[None, :], gram, jnp.nan)


def _over_rms(dx: Scaled) -> tuple[np.ndarray, float]:
    """Divide the gradients of a batch by their rms, in float64; return them and log10 of the rms."""
    mantissa, exponent = np.asarray(dx.mantissa, np.float64), np.asarray(dx.exponent, np.int64)
    top = int(np.max(exponent))
    value = np.ldexp(mantissa, np.clip(exponent - top, -1000, 0)[:, None])
    rms = np.sqrt(np.mean(value**2))
    if rms == 0:
        return value, -np.inf
    return value / rms, float(np.log10(rms) + top * np.log10(2.0))


def _binned(distances: np.ndarray, bins: int) -> np.ndarray:
    """Return the number of each pair's bin; empty bins are left out."""
    edges = np.linspace(np.min(distances), np.max(distances), bins + 1)
    place = np.clip(np.digitize(distances, edges[1:-1]), 0, bins - 1)
    return np.unique(place, return_inverse=True)[1]
