"""A second look in float64, whatever formats the model names: what underflows is told from what is zero.

The program of the gradient is evaluated anew with every float of it in float64. What makes floats of bits (random
numbers), kernels and callbacks are evaluated as they are, and what they return is widened.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab._formats import FORMATS
from gradlab.diagnosis import formats, jaxprs, reading
from gradlab.diagnosis.collect import Collector
from gradlab.diagnosis.program import Program
from gradlab.diagnosis.sites import Site

#: Powers of two at which sizes are counted: the smallest numbers of the formats.
EDGES: tuple[int, ...] = tuple(sorted({form.smallest for form in FORMATS.values()}))
#: What an exact vector holds: that of `reading`, then how many entries that are not zero lie below each edge.
EXACT_FIELDS: tuple[str, ...] = (*reading.FIELDS, *(f"below 2**{edge}" for edge in EDGES))
#: Share of the free memory that the look may take.
MEMORY = 0.5


class Exact(NamedTuple):
    """What the second look found.

    Parameters
    ----------
    sites : dict of (int, str) to ndarray, shape (lengths of the scans around the site, EXACT_FIELDS)
        By number and role, ``"value"`` or ``"delta"``; `columns` makes numbers of them.
    leaves : tuple of ndarray
        Of the gradient by each leaf, of the shape of the axes that scans take apart, and EXACT_FIELDS; NaN for one
        that is not of floats.
    loss : float
        The loss in float64.
    """

    sites: dict[tuple[int, str], np.ndarray]
    leaves: tuple[np.ndarray, ...]
    loss: float


class ExactLook:
    """The program of a gradient in float64.

    It runs operation by operation: those of layers of the same shape are compiled once for all of them, where the
    whole program would be compiled for much longer than it runs.

    Parameters
    ----------
    program : Program
        The program of the loss and its gradient, in the precision of the model.

    Attributes
    ----------
    refused : str
        Why it is not run; empty where there is memory for it.
    """

    def __init__(self, program: Program):
        self._program = program
        need, free = memory_of(program.gradient), free_memory()
        self.refused = (
            f"it may take {need / 1e9:.2g} GB of {free / 1e9:.2g} GB that are free" if need > MEMORY * free else ""
        )

    def __call__(self, params: Any, args: Sequence[Any]) -> Exact:
        """Evaluate on one sample."""
        program = self._program
        kinds = [
            Site(-1, "", s.kind, "", s.shape, s.dtype, features=s.features, function=s.function) for s in program.sites
        ]
        with jax.enable_x64(True):
            collector = _Widened(lambda x, site, role: _read(x, kinds[site], role), reading.merge)
            operands = [widened(x) for x in jax.tree.leaves((params, *args))]
            (loss, *grads), seen = collector.evaluate(program.gradient, operands)
            leaves = [_of_leaf(x, depth) for x, depth in zip(grads, program.depths, strict=True)]
            seen, leaves, loss = jax.device_get((seen, leaves, loss))
        return Exact(seen, tuple(leaves), float(loss))


def columns(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Return the numbers of exact vectors: those of `reading.columns`, and ``lost_float16`` and the like.

    Parameters
    ----------
    vectors : ndarray, shape (..., EXACT_FIELDS)
        What `Exact.sites` holds, of one place or of several.

    Returns
    -------
    dict of str to ndarray
        ``lost_``: the share of the entries that are not zero below the smallest number of each format; NaN where all
        are zero.
    """
    vectors = np.asarray(vectors, np.float64)
    count = len(reading.FIELDS)
    v = dict(zip(EXACT_FIELDS, np.moveaxis(vectors, -1, 0), strict=True))
    alive = v["entries"] - v["not_finite"] - v["zeros"]
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = {f"lost_{name}": v[f"below 2**{form.smallest}"] / alive for name, form in FORMATS.items()}
    return reading.columns(vectors[..., :count]) | lost


def decades_below(log10_size: Any, name: str) -> Any:
    """Return how many decades a size lies below the smallest number of a format; negative above."""
    return FORMATS[name].smallest * np.log10(2.0) - log10_size


@functools.partial(jax.jit, static_argnums=(1, 2))
def _read(x: Array, site: Site, role: reading.Role) -> Array:
    size = jnp.abs(x)
    below = [jnp.sum((size < 2.0**edge) & (size > 0), dtype=jnp.int32) for edge in EDGES]
    return jnp.concatenate([reading.read(x, site, role), jnp.stack(below).astype(x.dtype)])


@functools.partial(jax.jit, static_argnums=1)
def _of_leaf(grad: Array, depth: int) -> Array:
    if not jnp.issubdtype(grad.dtype, jnp.inexact):
        return jnp.full((*grad.shape[:depth], len(EXACT_FIELDS)), jnp.nan)
    if jnp.iscomplexobj(grad):
        grad = jnp.abs(grad)
    site = Site(-1, "", "weights", "", grad.shape[depth:], str(grad.dtype))
    one = lambda x: _read(x, site, "delta")
    for _ in range(depth):
        one = jax.vmap(one)
    return one(grad)


# ---------------------------------------------------------------------------------------- evaluation


def widened(x: Any) -> Any:
    """Floats in float64, complex numbers in complex128, all else as it is."""
    wide = formats.wide_dtype(getattr(x, "dtype", None))
    return x if wide is None or x.dtype == wide else lax.convert_element_type(x, wide)


class _Widened(Collector):
    """The collector, with every float in float64."""

    def __init__(self, read: Any, merge: Any):
        super().__init__(read, merge, self._bound)

    def evaluate(self, program: Any, args: Sequence[Any]) -> tuple[list[Any], Any]:
        results, seen = super().evaluate(program, args)
        return _wide(jaxprs.opened(program)[0].outvars, results), seen

    def _equation(self, eqn: Any, values: list[Any]) -> tuple[Sequence[Any], Any]:
        return super()._equation(eqn, _wide(eqn.invars, values))

    def _to_read(self, eqn: Any) -> bool:
        return True  # what has no marks is evaluated in float64 too

    def _bound(self, eqn: Any, values: Sequence[Any]) -> list[Any]:
        how = formats.widening(eqn)
        if how == "nothing":
            return []
        if how == "same":
            return list(values)
        if how == "inside":
            return self.evaluate(jaxprs.inner(eqn)[0], values)[0]
        if how == "as it is":
            values = [_declared(var, x) for var, x in zip(eqn.invars, values, strict=True)]
            return _wide(eqn.outvars, jaxprs.bind(eqn, values))
        return _wide(eqn.outvars, jaxprs.bind(formats.in_float64(eqn, self._program), values))

    def _program(self, program: Any) -> Any:
        """Return a small program inside an operation, such as what a scatter does with two numbers."""
        jaxpr, _ = jaxprs.opened(program)
        dtype_of = lambda var: formats.wide_dtype(var.aval.dtype) or var.aval.dtype
        like = [jax.ShapeDtypeStruct(var.aval.shape, dtype_of(var)) for var in jaxpr.invars]
        wide = jax.make_jaxpr(lambda *args: self.evaluate(program, args)[0])(*like)
        return wide.jaxpr if jaxpr is program else wide


def _wide(variables: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    return [widened(_typed(var, x)) for var, x in zip(variables, values, strict=True)]


def _typed(var: Any, x: Any) -> Any:
    """Return a number of the program as an array of its own format; an array as it is."""
    return jnp.asarray(x, var.aval.dtype) if jaxprs.is_literal(var) and not hasattr(x, "aval") else x


def _declared(var: Any, x: Any) -> Any:
    """Return an array in the format that the program gives it."""
    if formats.wide_dtype(getattr(x, "dtype", None)) is None or x.dtype == var.aval.dtype:
        return x
    return lax.convert_element_type(x, var.aval.dtype)


# ---------------------------------------------------------------------------------------- memory


def memory_of(program: Any) -> int:
    """Bytes that the values of a program take in float64 at the worst moment, if none were fused away."""
    jaxpr, _ = jaxprs.opened(program)
    last = {var: i for i, eqn in enumerate(jaxpr.eqns) for var in eqn.invars if not jaxprs.is_literal(var)}
    kept = {var for var in jaxpr.outvars if not jaxprs.is_literal(var)}
    alive = sum(_bytes(var) for var in (*jaxpr.invars, *jaxpr.constvars))
    worst = alive
    for i, eqn in enumerate(jaxpr.eqns):
        alive += sum(_bytes(var) for var in eqn.outvars)
        within = max((memory_of(inside) for inside in jaxprs.inner(eqn)), default=0)
        worst = max(worst, alive + within)
        done = {var for var in eqn.invars if not jaxprs.is_literal(var) and last[var] == i} - kept
        alive -= sum(_bytes(var) for var in done)
    return worst


def _bytes(var: Any) -> int:
    size = 8 if jaxprs.is_float(var) else getattr(getattr(var.aval, "dtype", None), "itemsize", 0)
    return size * math.prod(jaxprs.shape_of(var))


def free_memory() -> float:
    """Bytes that are free on the device that programs run on; infinite where nothing tells."""
    stats = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats and "bytes_limit" in stats:
        return float(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    facts = Path("/proc/meminfo")
    if jax.default_backend() == "cpu" and facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    return float("inf")
