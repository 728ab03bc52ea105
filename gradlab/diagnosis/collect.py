"""Evaluates a marked program and reads at the marks: through calls, loops, branches and devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradlab.diagnosis import jaxprs, marks

#: What was read, by number of the site and role.
Readings = dict[tuple[int, str], Any]


class Collector:
    """Evaluates a jaxpr, in which what is read is not differentiated any more, so it may be anything.

    Parameters
    ----------
    read : callable
        ``read(x, site, role)``: a vector. ``site`` is a number.
    merge : callable
        The vector of two parts of one array; a vector of zeros is that of no part.
    bind : callable
        What evaluates an equation without marks inside: `jaxprs.bind`.
    """

    def __init__(
        self,
        read: Callable[[Any, int, str], Any],
        merge: Callable[[Any, Any], Any],
        bind: Callable[[Any, Sequence[Any]], list[Any]] = jaxprs.bind,
    ):
        self.read = read
        self.merge = merge
        self.bind = bind
        self._known: frozenset[tuple[int, str]] = frozenset()  # read by what stands before

    def evaluate(self, program: Any, args: Sequence[Any]) -> tuple[list[Any], Readings]:
        """Results of a program, and what was read at its marks."""
        jaxpr, consts = jaxprs.opened(program)
        values = dict(zip(jaxpr.constvars, consts, strict=True)) | dict(zip(jaxpr.invars, args, strict=True))
        read = lambda var: var.val if jaxprs.is_literal(var) else values[var]
        last = {var: i for i, eqn in enumerate(jaxpr.eqns) for var in eqn.invars if not jaxprs.is_literal(var)}
        last |= dict.fromkeys((var for var in jaxpr.outvars if not jaxprs.is_literal(var)), len(jaxpr.eqns))
        outside, seen = self._known, {}
        for i, eqn in enumerate(jaxpr.eqns):
            results, more = self._equation(eqn, [read(var) for var in eqn.invars])
            # rematerialisation computes a value again: the first reading stands
            seen = more | seen
            self._known = outside | seen.keys()
            values.update(zip(eqn.outvars, results, strict=True))
            for var in {var for var in eqn.invars if not jaxprs.is_literal(var) and last[var] == i}:
                del values[var]  # frees memory where this is not compiled
        self._known = outside
        return [read(var) for var in jaxpr.outvars], seen

    def _equation(self, eqn: Any, values: list[Any]) -> tuple[Sequence[Any], Readings]:
        if marks.is_mark(eqn):
            key = marks.key_of(eqn)
            return values, {key: self.read(values[0], *key)} if self.wants(key) else {}
        with eqn.ctx.manager:
            rule = _RULES.get(jaxprs.treatment(eqn))
            if rule is not None and self._to_read(eqn):
                return rule(self, eqn, values)
            return self.bind(eqn, values), {}

    def wants(self, key: tuple[int, str]) -> bool:
        """Return whether something is to be read that has not been."""
        return key[1] != "tangent" and key not in self._known

    def _to_read(self, eqn: Any) -> bool:
        """Return whether there are marks inside that have not been read."""
        return any(
            marks.is_mark(inside) and self.wants(marks.key_of(inside))
            for program in jaxprs.entered(eqn)
            for inside in jaxprs.equations(program, lambda e: jaxprs.treatment(e) in _RULES)
        )

    def _call(self, eqn: Any, values: Sequence[Any]) -> tuple[Sequence[Any], Readings]:
        (program,) = jaxprs.entered(eqn)
        return self.evaluate(program, jaxprs.rematerialised(eqn, values))

    def _scan(self, eqn: Any, values: Sequence[Any]) -> tuple[Sequence[Any], Readings]:
        consts, count = jaxprs.scan_parts(eqn)
        (program,) = jaxprs.entered(eqn)

        def body(carried, sliced):
            results, seen = self.evaluate(program, [*values[:consts], *carried, *sliced])
            return tuple(results[:count]), (tuple(results[count:]), seen)

        carried, (stacked, seen) = lax.scan(
            body,
            tuple(values[consts : consts + count]),
            tuple(values[consts + count :]),
            length=eqn.params["length"],
            reverse=eqn.params["reverse"],
            unroll=eqn.params["unroll"],
        )
        return [*carried, *stacked], seen

    def _cond(self, eqn: Any, values: Sequence[Any]) -> tuple[Sequence[Any], Readings]:
        branches = [lambda *args, p=program: self.evaluate(p, args) for program in jaxprs.entered(eqn)]
        shapes: dict[Any, Any] = {}
        for branch in branches:
            shapes |= jax.eval_shape(branch, *values[1:])[1]

        def whole(branch):
            def run(*args):
                results, seen = branch(*args)
                return tuple(results), _nothing(shapes) | seen

            return run

        results, seen = lax.switch(values[0], [whole(branch) for branch in branches], *values[1:])
        return results, seen

    def _while(self, eqn: Any, values: Sequence[Any]) -> tuple[Sequence[Any], Readings]:
        first, second = jaxprs.while_parts(eqn)
        (program,) = jaxprs.entered(eqn)
        condition = jaxprs.condition(eqn)
        body = lambda carried: self.evaluate(program, [*values[first : first + second], *carried])
        carried = list(values[first + second :])
        shapes = jax.eval_shape(body, carried)[1]

        def step(state):
            results, seen = body(state[0])
            return results, {key: self.merge(state[1][key], seen[key]) for key in seen}

        more = lambda state: self.evaluate(condition, [*values[:first], *state[0]])[0][0]
        return lax.while_loop(more, step, (carried, _nothing(shapes)))

    def _shard_map(self, eqn: Any, values: Sequence[Any]) -> tuple[Sequence[Any], Readings]:
        (program,) = jaxprs.entered(eqn)
        results, seen = jaxprs.sharded(eqn, lambda *args: self.evaluate(program, args), values)
        return results, {key: self._whole(vectors) for key, vectors in seen.items()}

    def _whole(self, vectors: Any) -> Any:
        """Return the vector of an array whose parts lie on several devices."""
        whole = vectors[0]
        for i in range(1, vectors.shape[0]):
            whole = self.merge(whole, vectors[i])
        return whole


def _nothing(shapes: Readings) -> Readings:
    return {key: jnp.zeros(shape.shape, shape.dtype) for key, shape in shapes.items()}


_RULES = {
    "call": Collector._call,
    "scan": Collector._scan,
    "cond": Collector._cond,
    "while": Collector._while,
    "shard_map": Collector._shard_map,
}
