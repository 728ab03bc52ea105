"""One program at two sets of parameters, side by side: how the value of each product with a weight has changed.

A product z = x W is linear in both of its operands, so its change since the first parameters has two parts,

    z_t - z_0 = x_t (W_t - W_0) + (x_t - x_0) W_0:

what the weight's own update does, and what the earlier layers hand on. Each is the same operation of the program on
other operands, so a convolution needs no rule of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab._types import CHANGES
from gradlab.diagnosis import jaxprs, marks
from gradlab.diagnosis.instrument import Instrument
from gradlab.diagnosis.names import paths_of
from gradlab.diagnosis.sites import Site


class _Pair(NamedTuple):
    """A value at the present parameters and at the first ones."""

    now: Any
    first: Any


#: Readings by the number of the site.
_Readings = dict[int, Array]


@dataclass(frozen=True)
class ProductChange:
    """A product with a weight, in one step of the scans over layers around it, and its change.

    Parameters
    ----------
    site : Site
        The place in the program.
    at : tuple of int
        The step of each scan over layers, from outside.
    values : dict of str to float
        By the names of `gradlab._types.CHANGES`, without the bias; -inf for a change that is 0.
    """

    site: Site
    at: tuple[int, ...]
    values: dict[str, float]


class Lockstep:
    """A loss whose products are read at two sets of parameters; traced once, compiled at the first reading.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args)``: a scalar. Pure.
    params, args : pytrees of arrays, and a sequence of them
        Only shapes and dtypes count.
    """

    def __init__(self, loss: Callable[..., Array], params: Any, args: Sequence[Any]):
        instrument = Instrument(paths_of(params))
        self._program = instrument.mark(jax.make_jaxpr(loss)(params, *args))
        self.sites = tuple(instrument.sites)
        self._wanted = {site.number: site.weight for site in self.sites if site.weight >= 0}
        self._run = jax.jit(self._readings)

    def changes(self, params: Any, first: Any, args: Sequence[Any]) -> list[ProductChange]:
        """Return the change of each product since the parameters `first`, in the order of the signal."""
        flat = lambda tree: jax.tree.leaves((tree, *args))
        read = jax.device_get(self._run(flat(params), flat(first)))
        placed = [change for number, values in read.items() for change in self._of_site(self.sites[number], values)]
        starts: dict[Any, int] = {}  # products of one scan over layers stand together
        start = lambda site: starts.setdefault(_over_layers(site)[:1] or site.number, site.number)
        ordered = sorted(placed, key=lambda one: one.site.number)
        return sorted(ordered, key=lambda one: (start(one.site), one.at, one.site.number))

    def _of_site(self, site: Site, values: np.ndarray) -> list[ProductChange]:
        """Return the changes of a site: one for each layer, pooled over the steps of other scans."""
        layers = [i for i, (kind, *_) in enumerate(site.scans) if kind == "layers"]
        steps = tuple(i for i in range(len(site.scans)) if i not in layers)
        logs = _pooled(np.asarray(values, np.float64), steps)
        return [
            ProductChange(site, at, dict(zip(CHANGES, map(float, logs[at]), strict=True)))
            for at in np.ndindex(logs.shape[:-1])
        ]

    def _readings(self, now: Sequence[Any], first: Sequence[Any]) -> _Readings:
        pairs = [_Pair(a, b) for a, b in zip(now, first, strict=True)]
        return self._evaluate(self._program, pairs)[1]

    def _evaluate(self, program: Any, pairs: Sequence[_Pair]) -> tuple[list[_Pair], _Readings]:
        """Return the results of a program, and what was read at its marks."""
        jaxpr, consts = jaxprs.opened(program)
        values = dict(zip(jaxpr.constvars, (_Pair(c, c) for c in consts), strict=True))
        values |= dict(zip(jaxpr.invars, pairs, strict=True))
        read = lambda var: _Pair(var.val, var.val) if jaxprs.is_literal(var) else values[var]
        products: dict[Any, tuple[Any, list[_Pair]]] = {}
        seen: _Readings = {}
        for eqn in jaxpr.eqns:
            operands = [read(var) for var in eqn.invars]
            results, more = self._equation(eqn, operands, products)
            seen = more | seen  # rematerialisation computes a value again: the first reading stands
            values.update(zip(eqn.outvars, results, strict=True))
        return [read(var) for var in jaxpr.outvars], seen

    def _equation(self, eqn: Any, operands: list[_Pair], products: dict) -> tuple[Sequence[_Pair], _Readings]:
        if marks.is_mark(eqn):
            product = products.get(eqn.invars[0])
            if product is not None:
                products[eqn.outvars[0]] = product
            number, _ = marks.key_of(eqn)
            if product is None or number not in self._wanted:
                return operands, {}
            return operands, {number: self._read(*product, operands[0], self._wanted[number])}
        how = jaxprs.treatment(eqn)
        if how in ("product", "lookup"):
            products[eqn.outvars[0]] = (eqn, operands)
        with eqn.ctx.manager:
            if how == "call":
                return self._evaluate(jaxprs.entered(eqn)[0], operands)
            if how == "scan":
                return self._scan(eqn, operands)
            now, first = (jaxprs.bind(eqn, [pair[i] for pair in operands]) for i in range(2))
        return [_Pair(a, b) for a, b in zip(now, first, strict=True)], {}

    def _scan(self, eqn: Any, operands: Sequence[_Pair]) -> tuple[list[_Pair], _Readings]:
        consts, count = jaxprs.scan_parts(eqn)
        (program,) = jaxprs.entered(eqn)

        def body(carried, sliced):
            results, seen = self._evaluate(program, [*operands[:consts], *carried, *sliced])
            return results[:count], (results[count:], seen)

        params = eqn.params
        carried, (stacked, seen) = lax.scan(
            body, list(operands[consts : consts + count]), list(operands[consts + count :]), length=params["length"],
            reverse=params["reverse"], unroll=params["unroll"],
        )  # fmt: skip
        return [*carried, *stacked], seen

    def _read(self, eqn: Any, operands: Sequence[_Pair], value: _Pair, weight: int) -> Array:
        """Return log10 of the rms of the change, of its two parts, and of the value, in the order of `CHANGES`."""
        W, rest = operands[weight], [pair for i, pair in enumerate(operands) if i != weight]
        place = lambda others, w: [*others[:weight], w, *others[weight:]]
        apply = lambda others, w: jaxprs.bind(eqn, place(others, w))[0]
        effect = apply([pair.now for pair in rest], W.now - W.first)
        carried = jnp.zeros_like(value.now)
        if all(jnp.issubdtype(jnp.result_type(pair.now), jnp.inexact) for pair in rest):  # rows of a table are no data
            carried = apply([pair.now - pair.first for pair in rest], W.first)
        return jnp.stack([_log10_rms(v) for v in (value.now - value.first, effect, carried, value.now)])


def _log10_rms(x: Array) -> Array:
    """Return log10 of the rms, also where its square has left the range of floats."""
    x = jnp.abs(x.astype(jnp.promote_types(x.dtype, jnp.float32)))
    top = jnp.max(x, initial=0.0)
    scale = jnp.where(top > 0, top, 1)
    return jnp.where(top > 0, jnp.log10(scale) + 0.5 * jnp.log10(jnp.mean((x / scale) ** 2)), -jnp.inf)


def _pooled(logs: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Return log10 of the rms over some axes, from logarithms."""
    if not axes:
        return logs
    with np.errstate(divide="ignore", invalid="ignore"):
        top = np.max(logs, axis=axes, keepdims=True)
        base = np.where(np.isfinite(top), top, 0)
        return np.squeeze(base, axes) + 0.5 * np.log10(np.mean(10 ** (2 * (logs - base)), axis=axes))


def _over_layers(site: Site) -> tuple[tuple[str, int, int], ...]:
    return tuple(scan for scan in site.scans if scan[0] == "layers")
