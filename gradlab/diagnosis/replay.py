"""Arrays as what they are computed from, so that to look at one is not to keep it.

An update that goes straight into new parameters never exists in memory: compilers compute it entry by entry inside
the sum. Whoever reads it elsewhere makes them write it down, in each step, whether it is read in that step or not.
Computed once more, from what is in memory anyway, it costs only where it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend import core

#: Primitives whose output is computed entry by entry, cheap to repeat; what any other returns is in memory anyway.
BY_ENTRY = frozenset({
    "abs", "add", "and", "broadcast_in_dim", "cbrt", "ceil", "clamp", "convert_element_type", "copy", "div", "eq",
    "erf", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "log", "log1p", "logistic",
    "lt", "max", "min", "mul", "ne", "neg", "not", "or", "pow", "rem", "reshape", "round", "rsqrt", "select_n", "sign",
    "sqrt", "square", "squeeze", "sub", "tanh", "xor",
})  # fmt: skip


@dataclass(frozen=True)
class Replay:
    """An array that is ``of(*operands)``, computed where it is asked for.

    Parameters
    ----------
    shape, dtype
        Those of the array.
    of : callable
    operands : tuple of array
    """

    shape: tuple[int, ...]
    dtype: Any
    of: Callable[..., Any]
    operands: tuple[Any, ...]


def recorded(function: Callable[..., tuple[Any, Any]], *args: Any) -> tuple[Any, Any, Any]:
    """Call a function, and have the arrays it returns first as functions of those that are in memory after it.

    Parameters
    ----------
    function : callable
        Returns two trees, of which the second is kept after the call.
    *args : pytree of arrays

    Returns
    -------
    tuple
        Both trees, and the first once more with a `Replay` for each array: from what is in ``args`` or in the second
        tree, or was reduced, multiplied as matrices or looped over on the way there.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    jaxpr = closed.jaxpr
    count = len(jax.tree.leaves(shapes[0]))
    kept = {*jaxpr.invars, *jaxpr.constvars, *filter(_is_variable, jaxpr.outvars[count:])}
    made = {variable: i for i, equation in enumerate(jaxpr.eqns) for variable in equation.outvars}
    recipes = [_steps_to(out, jaxpr.eqns, made, kept) for out in jaxpr.outvars[:count]]
    starts = [variable for _, start in recipes for variable in start]
    whole = jaxpr.replace(outvars=[*jaxpr.outvars, *starts])
    found = core.jaxpr_as_fun(core.ClosedJaxpr(whole, closed.consts))(*jax.tree.leaves(args))
    values = dict(zip(starts, found[len(jaxpr.outvars) :], strict=True))
    replays = [
        Replay(out.aval.shape, out.aval.dtype, _part(jaxpr, out, steps, start), tuple(map(values.get, start)))
        for out, (steps, start) in zip(jaxpr.outvars[:count], recipes, strict=True)
    ]
    first, second = jax.tree.unflatten(jax.tree.structure(shapes), found[: len(jaxpr.outvars)])
    return first, second, jax.tree.unflatten(jax.tree.structure(shapes[0]), replays)


def _steps_to(out: Any, equations: Any, made: dict[Any, int], kept: set[Any]) -> tuple[list[Any], list[Any]]:
    """The equations by entry that end in a variable, and the variables they start from."""
    todo, steps, start = [out] if _is_variable(out) else [], set(), {}
    while todo:
        variable = todo.pop()
        place = None if variable in kept else made[variable]
        if place is None or not _by_entry(equations[place]):
            start[variable] = None
        elif place not in steps:
            steps.add(place)
            todo += filter(_is_variable, equations[place].invars)
    return [equations[i] for i in sorted(steps)], list(start)


def _part(jaxpr: Any, out: Any, steps: list[Any], start: list[Any]) -> Callable[..., Any]:
    """These equations of a jaxpr as a function of the variables that they start from."""
    part = jaxpr.replace(constvars=[], invars=start, outvars=[out], eqns=steps, effects=core.no_effects)
    call = core.jaxpr_as_fun(core.ClosedJaxpr(part, []))
    return lambda *operands: call(*operands)[0]


def _is_variable(atom: Any) -> bool:
    return not isinstance(atom, core.Literal)


def _by_entry(equation: Any) -> bool:
    if equation.primitive.name in ("jit", "pjit"):  # jnp.where and its like
        return all(map(_by_entry, equation.params["jaxpr"].jaxpr.eqns))
    return equation.primitive.name in BY_ENTRY
