"""Products with the Jacobian of a section of a network; each product is a mantissa with a power of two."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gradlab._errors import GradlabError
from gradlab.config import seed_numbers
from gradlab.core.batch import cast, inputs
from gradlab.core.fingerprint import operations
from gradlab.core.keys import as_key, fold_in
from gradlab.core.layer import Layer, tangent
from gradlab.core.parameters import check_parameters, require_network
from gradlab.core.scaled import LOWEST, Scaled, scaled
from gradlab.measurement.lanczos import Ritz, bidiagonalise
from gradlab.measurement.section import section
from gradlab.networks.network import example_shape, weighted

#: Largest number of entries of the unit vectors that go through the network at once.
TOGETHER = 2**22


class Products:
    """Compute products with the Jacobian of a section at given inputs, and with its transpose."""

    def __init__(self, net: Any, params: Any, x: Any, from_layer: str | int, to_layer: str | int):
        at = _inputs(net, params, x)
        self.dtype = at.dtype
        self.layer, self.params = section(net, params, from_layer, to_layer)
        if from_layer != "input":
            earlier, earlier_params = section(net, params, "input", from_layer)
            at = programs(earlier)[0](earlier_params, at)[0]
        content = _content(self.layer, self.params, at) if isinstance(net, Layer) else ""
        forward, self._pull, self._push = programs(self.layer, content)
        y, self.saved = forward(self.params, at)
        *_, n = at.mantissa.shape if isinstance(at, Scaled) else at.shape
        self.inputs, m = y.mantissa.shape
        self.shape = (m, n)
        if not np.isfinite(y.mantissa).all():
            raise GradlabError("a forward pass that is finite", "inf or NaN", "a smaller gain, or fewer layers")

    @property
    def layers(self) -> int:
        """Count the layers with a weight; in a network whose blocks are not known, all weights."""
        leaves = jax.tree_util.tree_leaves_with_path(self.params)
        shapes = [np.shape(leaf) for path, leaf in leaves if getattr(path[-1], "key", "") != "bias"]
        return sum(math.prod(shape[:-2]) for shape in shapes if len(shape) > 1)

    @property
    def narrowest(self) -> int:
        """Return the units of the narrowest layer of a section of an `MLP`."""
        return min(self.shape[1], *(p["weight"].shape[-1] for _, p in weighted((), self.params)))

    @property
    def count(self) -> int:
        """Return the number of singular values."""
        return min(self.shape)

    def product(self, transposed: bool, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Multiply vectors (vectors, inputs, units); return mantissas, and exponents of shape (vectors, inputs)."""
        run = self._pull if transposed else self._push
        image = run(self.params, self.saved, np.asarray(v, self.dtype))
        mantissa, exponent = np.asarray(image.mantissa, np.float64), np.asarray(image.exponent, np.int64)
        if not np.isfinite(mantissa).all():
            raise GradlabError("a Jacobian that is finite", "inf or NaN", "a smaller gain, or fewer layers")
        return mantissa, exponent

    def full(self) -> np.ndarray:
        """Compute log10 of all singular values, (inputs, values), from the whole Jacobian."""
        rows = self.shape[0] <= self.shape[1]
        eye = np.eye(self.count)
        parts = [
            self.product(rows, np.broadcast_to(part[:, None], (len(part), self.inputs, self.count)))
            for part in np.array_split(eye, -(-self.inputs * max(self.shape) * self.count // TOGETHER))
        ]
        mantissa, exponent = (np.concatenate(p) for p in zip(*parts, strict=True))
        unit = np.max(exponent, 0)
        matrix = np.ldexp(mantissa, (exponent - unit).clip(-2000, 0)[..., None])
        values = np.linalg.svd(np.moveaxis(matrix, 1, 0), compute_uv=False)
        return log10_of(values, np.where(unit < LOWEST // 2, 0, unit))

    def lanczos(
        self, iterations: int, key: Any, probes: int = 1, enough: Callable[[Ritz], bool] = lambda r: False
    ) -> Ritz:
        """Bidiagonalise from the shorter side; the problems are all inputs of the first probe, then of the next."""
        backwards = self.shape[0] < self.shape[1]
        lead = (probes, self.inputs)

        def product(transposed):
            def apply(v):
                mantissa, exponent = self.product(transposed, v.reshape(*lead, -1))
                return mantissa.reshape(len(v), -1), exponent.reshape(-1)

            return apply

        rng = generator(key)
        start = rng.normal(size=(probes * self.inputs, self.count))
        return bidiagonalise(product(backwards), product(not backwards), start, iterations, enough, rng=rng)


def _inputs(net: Any, params: Any, x: Any) -> np.ndarray:
    """Return the inputs as the first layer takes them, in the precision of the parameters; check that they fit."""
    x = inputs(x)
    if x.ndim != 2:
        raise GradlabError("x of shape (batch, features)", f"shape {x.shape}", "x.reshape(len(x), -1)")
    if isinstance(net, Layer):
        check_parameters(net, params, x.shape[1:])
    else:
        check_parameters(net, params, example_shape(net, x), net.outputs_in(params))
    return cast("x", x, str(jax.tree.leaves(params)[0].dtype))


def generator(key: Any) -> np.random.Generator:
    """Make a generator of random numbers on the host, from a JAX key or an integer."""
    return np.random.default_rng(np.asarray(jax.random.key_data(as_key(key))).ravel())


def _content(layer: Layer, params: Any, x: Any) -> str:
    """Hash what a layer computes now; a user's layer may read things that have changed since it was made."""

    def all_ways(params, x):
        x = scaled(x)
        y, saved = layer.forward(params, x)
        back = layer.backward(params, saved, y, lambda site: None)[0]
        return y, back, tangent(layer, params, saved, x)

    return operations(all_ways, params, x)


@functools.lru_cache(maxsize=64)
def programs(layer: Layer, content: str = "") -> tuple[Callable, Callable, Callable]:
    """Make compiled programs: the forward pass, the backward pass of several cotangents, several tangents.

    `content` distinguishes programs of one layer that computes other things than before.
    """
    pull = lambda params, saved, dy: layer.backward(params, saved, dy, lambda site: None)[0]

    def many(one):
        return jax.jit(lambda params, saved, v: jax.vmap(lambda d: one(params, saved, d))(scaled(v)))

    def forward(params, x):
        return layer.forward(params, x if isinstance(x, Scaled) else scaled(x))

    return jax.jit(forward), many(pull), many(functools.partial(tangent, layer))


def draws(net: Any, params: Any, x: Any, key: Any, seeds: Any, outputs: int) -> tuple[tuple[int, ...], Any]:
    """Return the numbers of the seeds and the parameters of each, drawn one by one; or the given weights."""
    require_network(net, or_layer=True)
    if params is not None:
        return (0,), [params]
    if isinstance(net, Layer):
        raise GradlabError("params, for a bare Layer", "None", "layer.init(key, shape)[0]")
    numbers, x = tuple(seed_numbers(seeds)), inputs(x)
    base = as_key(key)
    return numbers, (net.init_params(fold_in(base, s), x, outputs=outputs) for s in numbers)


def log10_of(values: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Compute log10 of ``values * 2**exponent``, with one exponent for each row; -inf for a zero."""
    with np.errstate(divide="ignore"):
        return np.log10(values) + exponent[:, None] * np.log10(2.0)
