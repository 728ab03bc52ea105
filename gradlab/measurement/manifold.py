r"""A circle of inputs, carried through the layers: its length and its shape (Poole et al. 2016).

The length of the curve z_l(theta) is :math:`\int |\partial_\theta z_l|\,d\theta`. Its integrand is the tangent of the
circle, carried by `gradlab.core.layer.tangent`. Tangents cut no corners as chords do, so the length is right also
where the curve winds more finely than its points are spaced, and where it has shrunk below every float.
In a wide network it grows by :math:`\sqrt{\chi_1}` per layer.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab._errors import GradlabError
from gradlab.config import MLPConfig, integer, positive_integer
from gradlab.core.layer import Layer
from gradlab.core.parameters import check_parameters, described
from gradlab.core.scaled import Log2, Scaled, align, scaled, to_numpy
from gradlab.measurement.products import draws, generator
from gradlab.measurement.records import value_rows
from gradlab.measurement.section import carry_tangents, preactivations, section
from gradlab.networks.network import Network


@dataclass(frozen=True)
class CarriedCircle:
    """Hold what becomes of a circle in each layer of a network.

    Parameters
    ----------
    config : MLPConfig
        The network.
    log10_length : ndarray, shape (seeds, L + 1)
        log10 of the Euclidean length of the curve: of the inputs, then of the preactivations of layers 1 ... L.
    shapes : mapping of int to ndarray, shape (points, 2)
        By layer (0 is the input) the curve of the first seed in the plane that holds most of it, with mean 0 and rms 1.
    in_plane : mapping of int to float
        By layer the share of the curve's variance that lies in this plane.
    q0 : float
        Mean square of an input.
    seeds : tuple of int
        Numbers of the seeds.
    """

    config: MLPConfig
    log10_length: np.ndarray
    shapes: dict[int, np.ndarray] = field(repr=False)
    in_plane: dict[int, float]
    q0: float
    seeds: tuple[int, ...]

    def rows(self) -> dict[str, np.ndarray]:
        """Return one row for each seed and layer (0 is the input) with `log10_length`."""
        axes = {"seed": self.seeds, "layer": range(self.log10_length.shape[1])}
        return value_rows(axes, log10_length=self.log10_length)

    @property
    def log10_growth(self) -> np.ndarray:
        """Return log10 of the factor by which each layer stretches the curve, shape (seeds, L)."""
        return np.diff(self.log10_length, axis=1)


def carry_circle(
    net: Network,
    *,
    params: Any = None,
    points: int = 1000,
    q0: float = 1.0,
    features: int | None = None,
    shapes: Sequence[int] = (),
    seeds: int | Sequence[int] = 1,
    key: Any = 0,
) -> CarriedCircle:
    """Carry a great circle of inputs through a network.

    Parameters
    ----------
    net : MLP
        The network.
    params : pytree, optional
        Weights to use instead of random ones. None: draws of `seeds` seeds.
    points : int
        Number of inputs on the circle; give more where the curve winds finely.
    q0 : float
        Mean square of the inputs: the radius is ``sqrt(q0 * features)``.
    features : int, optional
        Dimension of the inputs, where weights are drawn. None: the width of the first layer.
    shapes : sequence of int
        Layers whose curve is kept for `gradlab.plots.circle`, as its projection on a plane; 0 is the input.
    seeds : int or sequence of int
        Number of seeds, or their numbers, where weights are drawn.
    key : int or JAX key
        Key from which weights and the plane of the circle are drawn; the plane is the same for all seeds.

    Returns
    -------
    CarriedCircle
        Lengths of the curve in each layer, and the shapes that were asked for.

    Raises
    ------
    GradlabError
        If there are fewer than 3 points, `q0` is not positive, a layer does not exist, or `net` is no `MLP`.

    Examples
    --------
    >>> import gradlab as gl
    >>> net = gl.MLP(depth=3, width=64, activation="identity", init="orthogonal", bias=False)
    >>> circle = gl.carry_circle(net, points=100)
    >>> [round(abs(float(v)), 4) for v in circle.log10_growth[0]]
    [0.0, 0.0, 0.0]
    """
    widths = getattr(net, "widths", None)
    if widths is None:
        raise GradlabError("a network whose layers are known, an MLP", described(net), "gl.MLP(...)")
    points = integer("points", points, 3)
    if not q0 > 0:
        raise GradlabError("q0 above 0", repr(q0), "q0=1.0")
    depth = net.depth
    wrong = [layer for layer in shapes if layer not in range(depth + 1)]
    if wrong:
        raise GradlabError(f"layers from 0 to {depth} in shapes", str(wrong[0]), f"shapes=(0, {depth})")
    if params is not None:
        outputs = net.outputs_in(params)
        features = net.layers(params)[0][1]["weight"].shape[0]
        check_parameters(net, params, (features,), outputs)
    features = int(widths[0]) if features is None else positive_integer("features", features)
    if features < 2:
        raise GradlabError("at least 2 features, the plane of a circle", str(features), "features=64")
    x, dx = _circle(points, features, q0, key)
    numbers, trees = draws(net, params, x, key, seeds, 1)
    lengths: list[np.ndarray] = []
    curves = {0: x} if 0 in shapes else {}
    for tree in trees:
        layer, section_params = section(net, tree, "input", depth)
        dtype = jax.tree.leaves(section_params)[0].dtype
        kept = () if lengths else tuple(sorted({*shapes} - {0}))
        log2_lengths, zs = _program(layer, kept)(section_params, x.astype(dtype), dx.astype(dtype))
        curves |= {layer: np.asarray(z, np.float64) for layer, z in zip(kept, zs, strict=True)}
        lengths.append(np.append(np.log10(2 * np.pi * (q0 * features) ** 0.5), to_numpy(log2_lengths)))
    flat = {layer: _flattened(curve) for layer, curve in curves.items()}
    return CarriedCircle(
        net, np.stack(lengths), {n: f[0] for n, f in flat.items()}, {n: f[1] for n, f in flat.items()},
        float(q0), numbers,
    )  # fmt: skip


def _circle(points: int, features: int, q0: float, key: Any) -> tuple[np.ndarray, np.ndarray]:
    """Make points of a great circle in a random plane, and the derivatives of the points by the angle."""
    directions, _ = np.linalg.qr(generator(key).normal(size=(features, 2)))
    plane = np.swapaxes(directions, 0, 1)
    angle = 2 * np.pi * np.arange(points) / points
    radius = (q0 * features) ** 0.5
    on = lambda cosine, sine: radius * np.stack([cosine, sine], 1) @ plane
    return on(np.cos(angle), np.sin(angle)), on(-np.sin(angle), np.cos(angle))


@functools.lru_cache(maxsize=32)
def _program(layer: Layer, numbers: tuple[int, ...]):
    """Make the program that returns lengths of the curve behind each block, and the curve itself in some layers."""

    def length(v: Scaled) -> tuple[Scaled, Log2]:
        sizes = Scaled(jnp.sqrt(jnp.sum(v.mantissa[0] ** 2, -1, keepdims=True)), v.exponent[0])
        mantissa, exponent = align(sizes)
        return v, Log2(jnp.log2(2 * jnp.pi * jnp.mean(mantissa)), exponent)

    def program(params, x, dx):
        _, saved = layer.forward(params, scaled(x))
        _, lengths = carry_tangents(layer, params, saved, scaled(dx[None]), length)
        return lengths, preactivations(layer, params, saved, numbers)

    return jax.jit(program)


def _flattened(curve: np.ndarray) -> tuple[np.ndarray, float]:
    """Project a curve on its two largest principal components, in units of its rms; return it and their share."""
    around = np.sqrt(np.mean(np.sum(curve**2, 1)))
    curve = curve - curve.mean(0)
    size = np.sqrt(np.mean(np.sum(curve**2, 1)))
    # Points that differ by rounding alone have no shape.
    if not np.isfinite(size) or size <= 64 * np.finfo(curve.dtype).eps * around:
        return np.full((len(curve), 2), np.nan), float("nan")
    curve = curve / size
    points, values, _ = np.linalg.svd(curve, full_matrices=False)
    return points[:, :2] * values[:2], float(np.sum(values[:2] ** 2) / np.sum(values**2))
