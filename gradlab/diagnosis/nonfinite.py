"""Where the first number that is not finite came from.

The program of the gradient is evaluated operation by operation. A value that is not finite carries the birth that it
descends from, and what a `where` masks away is forgotten: told are births that reach the loss or a gradient. A loop or
a branch is looked into only where something that is not finite comes out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.diagnosis import formats, jaxprs, marks
from gradlab.diagnosis.evidence import Birth
from gradlab.diagnosis.names import paths_of
from gradlab.diagnosis.program import Program

#: Operations that have no finite derivative, or no finite value, somewhere: their operands are kept, for a derivative
#: that is computed later.
SINGULAR = frozenset({
    "sqrt", "rsqrt", "cbrt", "log", "log1p", "div", "rem", "pow", "integer_pow", "reciprocal", "atan2", "acos", "asin",
    "atanh", "acosh", "tan", "erf_inv", "digamma", "lgamma",
})  # fmt: skip


@dataclass(eq=False)
class _Found:
    """A birth while the program is walked; `order` counts them, `step` tells the step of the loops around it."""

    order: int
    primitive: str
    source: str
    what: str
    operands: tuple[str, ...]
    steps: tuple[int, ...]
    place: str | None = None
    reaches: list[str] = field(default_factory=list)
    is_input: bool = False

    def as_birth(self) -> Birth:
        direction = "input" if self.is_input else "forward" if "loss" in self.reaches else "backward"
        facts = self.primitive, self.place or "", self.source, self.what, self.operands, tuple(self.reaches)
        return Birth(direction, *facts)


#: A value that is not finite and was given so (a mask's -inf) has none, and so has what is finite.
_Taint = _Found | None


def births(program: Program, params: Any, args: Sequence[Any]) -> tuple[Birth, ...]:
    """Return what made the values that are not finite.

    Parameters
    ----------
    program : Program
        The program of the loss and its gradient.
    params, args
        The sample.

    Returns
    -------
    tuple of Birth
        Those that reach the loss or a gradient, the earliest first; empty where all is finite. One that does not reach
        the loss is of the backward pass. The operation of a derivative is called by that of the function: ``sqrt``.
    """
    leaves = jax.tree.leaves((params, *args))
    walker = _Walker([site.name for site in program.sites])
    layers = [_first_spoilt(x, depth) for x, depth in zip(leaves, program.depths, strict=False)]
    names = [f"{path}{layer}" for path, layer in zip(program.paths, layers, strict=True)]
    names += [f"batch/{path}".rstrip("/") for path in paths_of(args)]
    given = [
        walker.given(name, x, i < len(program.paths)) for i, (name, x) in enumerate(zip(names, leaves, strict=True))
    ]
    results, taints = walker.evaluate(program.gradient, leaves, given)
    reaching: dict[Any, _Found] = {}
    for name, x, taint in zip(["loss", *program.paths], results, taints, strict=True):
        if not _what(x):
            continue
        taint = taint or next((walker.given(n, v, True) for n, v in zip(names, leaves, strict=True) if _what(v)), None)
        if taint is not None:
            key = taint.primitive, taint.source, taint.steps  # a function and its derivative are told once
            reaching.setdefault(key, taint).reaches.append(name)
    return tuple(one.as_birth() for one in sorted(reaching.values(), key=lambda one: one.order))


class _Walker:
    """Evaluates a program, operation by operation."""

    def __init__(self, names: Sequence[str]):
        self.names = names
        self.count = 0
        self.singular: dict[Any, tuple[str, tuple[Any, ...]]] = {}
        self.place = self.source = ""  # the last that was passed, and the line of the calls around

    def given(self, name: str, x: Any, any_kind: bool) -> _Taint:
        """Return the birth of an operand; infinite data is taken for a mask, and is told only if nothing else is."""
        what = _what(x)
        if not what or (what == "inf" and not any_kind):
            return None
        return _Found(-1, "argument", "", what, (_range(x),), (), name, is_input=True)

    def evaluate(
        self, program: Any, args: Sequence[Any], taints: Sequence[_Taint], steps: tuple[int, ...] = ()
    ) -> tuple[list[Any], list[_Taint]]:
        jaxpr, consts = jaxprs.opened(program)
        values = dict(zip(jaxpr.constvars, consts, strict=True)) | dict(zip(jaxpr.invars, args, strict=True))
        taint = dict(zip(jaxpr.invars, taints, strict=True))
        value_of = lambda var: var.val if jaxprs.is_literal(var) else values[var]
        taint_of = lambda var: None if jaxprs.is_literal(var) else taint.get(var)
        last = {var: i for i, eqn in enumerate(jaxpr.eqns) for var in eqn.invars if not jaxprs.is_literal(var)}
        last |= dict.fromkeys((var for var in jaxpr.outvars if not jaxprs.is_literal(var)), len(jaxpr.eqns))
        passed, waiting = False, []
        for i, eqn in enumerate(jaxpr.eqns):
            operands, theirs = [value_of(var) for var in eqn.invars], [taint_of(var) for var in eqn.invars]
            if marks.is_mark(eqn):
                results, taints_out = operands, theirs
                self.place = self.names[marks.key_of(eqn)[0]] + "".join(f"[{step}]" for step in steps)
                passed = True
                for birth in waiting:
                    birth.place = self.place
                waiting = []
            else:
                before = self.count
                results, taints_out = self._equation(eqn, operands, theirs, steps)
                new = [t for t in taints_out if t is not None and t.order >= before and t.place is None]
                if passed or not steps:
                    for birth in new:
                        birth.place = self.place
                else:  # in a loop the first place of this step, rather than the last of the step before
                    waiting += new
            values.update(zip(eqn.outvars, results, strict=True))
            taint.update(zip(eqn.outvars, taints_out, strict=True))
            for var in {var for var in eqn.invars if not jaxprs.is_literal(var) and last[var] == i}:
                del values[var]
        return [value_of(var) for var in jaxpr.outvars], [taint_of(var) for var in jaxpr.outvars]

    def _equation(self, eqn: Any, operands: list[Any], taints: list[_Taint], steps: tuple[int, ...]) -> Any:
        how = jaxprs.treatment(eqn)
        if how == "call":
            outer, self.source = self.source, jaxprs.source(eqn) or self.source
            results = self.evaluate(jaxprs.entered(eqn)[0], operands, taints, steps)
            self.source = outer
            return results
        if formats.widening(eqn) == "nothing":
            return [], []  # a print of the user's is not repeated
        with eqn.ctx.manager:
            results = jaxprs.bind(eqn, operands)
        kinds = [_what(x) for x in results]
        self._remember(eqn, operands)
        if not any(kinds):
            return results, [None] * len(results)
        if (rule := _RULES.get(how)) is not None:
            return rule(self, eqn, operands, taints, steps)
        if formats.widening(eqn) == "inside":
            return self.evaluate(jaxprs.inner(eqn)[0], operands, taints, steps)
        inherited = min((t for t in taints if t is not None), key=lambda t: t.order, default=None)
        a_mask = any(_what(x) == "inf" for x, t in zip(operands, taints, strict=True) if t is None)
        if inherited is None and not (a_mask and "nan" not in kinds):
            inherited = self._born(eqn, operands, next(kind for kind in kinds if kind), steps)
        return results, [inherited if kind else None for kind in kinds]

    def _remember(self, eqn: Any, operands: Sequence[Any]) -> None:
        """Keep the operands of an operation that its derivative may fail on; what follows there is the derivative's."""
        name, place = eqn.primitive.name, jaxprs.written(eqn)
        if name in SINGULAR and self.singular.get(place, (name,))[0] == name:
            self.singular[place] = name, tuple(operands)

    def _born(self, eqn: Any, operands: Sequence[Any], what: str, steps: tuple[int, ...]) -> _Found:
        name, operands = self.singular.get(jaxprs.written(eqn), (jaxprs.function_name(eqn), operands))
        self.count += 1
        return _Found(
            self.count - 1, name, jaxprs.source(eqn) or self.source, what, tuple(map(_range, operands)), steps
        )

    def _scan(self, eqn: Any, operands: list[Any], taints: list[_Taint], steps: tuple[int, ...]) -> Any:
        consts, count = jaxprs.scan_parts(eqn)
        (program,) = jaxprs.entered(eqn)
        length, split = eqn.params["length"], consts + count
        carried, carried_taints = operands[consts:split], taints[consts:split]
        each: dict[int, Any] = {}
        order = range(length)[:: -1 if eqn.params["reverse"] else 1]
        for i in order:
            sliced = [x[i] for x in operands[split:]]
            mine = [t if t is not None and _what(x) else None for x, t in zip(sliced, taints[split:], strict=True)]
            results, taints_out = self.evaluate(
                program,
                [*operands[:consts], *carried, *sliced],
                [*taints[:consts], *carried_taints, *mine],
                (*steps, i),
            )
            carried, carried_taints = results[:count], taints_out[:count]
            each[i] = results[count:], taints_out[count:]
        stacks = range(len(eqn.outvars) - count)
        stacked = [jnp.stack([each[i][0][k] for i in range(length)]) for k in stacks]
        first = lambda k: next((each[i][1][k] for i in order if each[i][1][k] is not None), None)
        return [*carried, *stacked], [*carried_taints, *map(first, stacks)]

    def _cond(self, eqn: Any, operands: list[Any], taints: list[_Taint], steps: tuple[int, ...]) -> Any:
        branches = jaxprs.entered(eqn)
        chosen = int(np.clip(int(operands[0]), 0, len(branches) - 1))
        return self.evaluate(branches[chosen], operands[1:], taints[1:], steps)

    def _while(self, eqn: Any, operands: list[Any], taints: list[_Taint], steps: tuple[int, ...]) -> Any:
        first, second = jaxprs.while_parts(eqn)
        (body,), condition = jaxprs.entered(eqn), jaxprs.condition(eqn)
        split = first + second
        carried, theirs, step = operands[split:], taints[split:], 0
        while bool(self.evaluate(condition, [*operands[:first], *carried], [None] * (first + len(carried)))[0][0]):
            inside = [*operands[first:split], *carried], [*taints[first:split], *theirs]
            carried, theirs = self.evaluate(body, *inside, (*steps, step))
            step += 1
        return carried, theirs


_RULES: dict[str, Callable[..., Any]] = {"scan": _Walker._scan, "cond": _Walker._cond, "while": _Walker._while}


@jax.jit
def _unusual(x: jax.Array) -> jax.Array:
    return jnp.stack([jnp.any(jnp.isnan(x)), jnp.any(jnp.isinf(x))])


def _what(x: Any) -> str:
    """``nan`` or ``inf`` where an array of floats has one; else empty."""
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return "nan" if isinstance(x, float) and np.isnan(x) else "inf" if isinstance(x, float) and np.isinf(x) else ""
    if jnp.issubdtype(dtype, jax.dtypes.extended) or not jnp.issubdtype(dtype, jnp.inexact):
        return ""
    nan, inf = np.asarray(_unusual(x))
    return "nan" if nan else "inf" if inf else ""


def _first_spoilt(x: Any, depth: int) -> str:
    """Return the first layer, of a leaf that scans take apart, that is not finite: ``[5]``; else empty."""
    if not depth or not _what(x):
        return ""
    bad = np.argwhere(~np.isfinite(np.asarray(x, np.complex128)).reshape(*x.shape[:depth], -1).all(axis=-1))
    return "".join(f"[{i}]" for i in bad[0])


def _range(x: Any) -> str:
    """Least and largest entry: ``[-3, 0]``; of what are no numbers their kind."""
    dtype = getattr(x, "dtype", np.asarray(x).dtype if np.isscalar(x) else None)
    if dtype is None or jnp.issubdtype(dtype, jax.dtypes.extended):
        return "key"
    if not jnp.issubdtype(dtype, np.number) or jnp.issubdtype(dtype, jnp.complexfloating):
        return str(dtype)
    values = np.asarray(x)
    values = values.astype(np.float64)[~np.isnan(values.astype(np.float64))]
    return f"[{values.min():.3g}, {values.max():.3g}]" if values.size else "[nan]" if np.size(x) else "[]"
