"""Products with the Jacobian of a section of a network, each a mantissa with a power of two of its own."""

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

#: Entries of the unit vectors that go through the network together.
TOGETHER = 2**22


class Products:
    """Products with the Jacobian of a section at given inputs, and with its transpose."""

    def __init__(self, net: Any, params: Any, x: Any, source: str | int, target: str | int):
        at = _inputs(net, params, x)
        self.dtype = at.dtype
        self.layer, self.params = section(net, params, source, target)
        if source != "input":
            below, theirs = section(net, params, "input", source)
            at = programs(below)[0](theirs, at)[0]
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
        """How many weights stand one above the other; of a network whose blocks are not known, all it has."""
        leaves = jax.tree_util.tree_leaves_with_path(self.params)
        shapes = [np.shape(leaf) for path, leaf in leaves if getattr(path[-1], "key", "") != "bias"]
        return sum(math.prod(shape[:-2]) for shape in shapes if len(shape) > 1)

    @property
    def narrowest(self) -> int:
        """The fewest units of a point of a section of an `MLP`."""
        return min(self.shape[1], *(p["weight"].shape[-1] for _, p in weighted((), self.params)))

    @property
    def count(self) -> int:
        """Number of singular values."""
        return min(self.shape)

    def product(self, transposed: bool, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of vectors (vectors, inputs, units): mantissas, and exponents (vectors, inputs)."""
        run = self._pull if transposed else self._push
        found = run(self.params, self.saved, np.asarray(v, self.dtype))
        mantissa, exponent = np.asarray(found.mantissa, np.float64), np.asarray(found.exponent, np.int64)
        if not np.isfinite(mantissa).all():
            raise GradlabError("a Jacobian that is finite", "inf or NaN", "a smaller gain, or fewer layers")
        return mantissa, exponent

    def full(self) -> np.ndarray:
        """log10 of all singular values, (inputs, values), from the Jacobian put together along its shorter side."""
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

    def lanczos(self, steps: int, key: Any, probes: int = 1, enough: Callable[[Ritz], bool] = lambda r: False) -> Ritz:
        """Golub-Kahan-Lanczos from the shorter side; the problems are probes, then inputs."""
        backwards = self.shape[0] < self.shape[1]
        lead = (probes, self.inputs)

        def product(transposed):
            def of(v):
                mantissa, exponent = self.product(transposed, v.reshape(*lead, -1))
                return mantissa.reshape(len(v), -1), exponent.reshape(-1)

            return of

        rng = generator(key)
        start = rng.normal(size=(probes * self.inputs, self.count))
        return bidiagonalise(product(backwards), product(not backwards), start, steps, enough, rng=rng)


def _inputs(net: Any, params: Any, x: Any) -> np.ndarray:
    """The inputs as the first layer takes them, in the precision of the parameters, which fit them."""
    x = inputs(x)
    if x.ndim != 2:
        raise GradlabError("x of shape (batch, features)", f"shape {x.shape}", "x.reshape(len(x), -1)")
    if isinstance(net, Layer):
        check_parameters(net, params, x.shape[1:])
    else:
        check_parameters(net, params, example_shape(net, x), net.outputs_in(params))
    return cast("x", x, str(jax.tree.leaves(params)[0].dtype))


def generator(key: Any) -> np.random.Generator:
    """Random numbers on the host, from a JAX key or an integer."""
    return np.random.default_rng(np.asarray(jax.random.key_data(as_key(key))).ravel())


def _content(layer: Layer, params: Any, x: Any) -> str:
    """A hash of what a layer computes now: of a user's own it may read what has changed since it was made."""

    def all_ways(params, x):
        x = scaled(x)
        y, saved = layer.forward(params, x)
        back = layer.backward(params, saved, y, lambda site: None)[0]
        return y, back, tangent(layer, params, saved, x)

    return operations(all_ways, params, x)


@functools.lru_cache(maxsize=64)
def programs(layer: Layer, content: str = "") -> tuple[Callable, Callable, Callable]:
    """Compiled: the forward pass, the backward pass of several cotangents, several tangents.

    `content` tells apart what one layer computes in turn.
    """
    pull = lambda params, saved, dy: layer.backward(params, saved, dy, lambda site: None)[0]

    def many(one):
        return jax.jit(lambda params, saved, v: jax.vmap(lambda d: one(params, saved, d))(scaled(v)))

    def forward(params, x):
        return layer.forward(params, x if isinstance(x, Scaled) else scaled(x))

    return jax.jit(forward), many(pull), many(functools.partial(tangent, layer))


def draws(net: Any, params: Any, x: Any, key: Any, seeds: Any, outputs: int) -> tuple[tuple[int, ...], Any]:
    """Numbers of the seeds, and the parameters of each, drawn when their turn comes; or the weights given."""
    require_network(net, or_layer=True)
    if params is not None:
        return (0,), [params]
    if isinstance(net, Layer):
        raise GradlabError("params, for a bare Layer", "None", "layer.init(key, shape)[0]")
    numbers, x = tuple(seed_numbers(seeds)), inputs(x)
    base = as_key(key)
    return numbers, (net.init_params(fold_in(base, s), x, outputs=outputs) for s in numbers)


def log10_of(values: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """log10 of ``values * 2**exponent``, the exponent one for each row; -inf for a zero."""
    with np.errstate(divide="ignore"):
        return np.log10(values) + exponent[:, None] * np.log10(2.0)
