"""A function's results once more, from what is in memory anyway, so that to look at them is not to keep them.

An update that goes straight into new parameters never exists in memory: compilers compute it entry by entry inside
the sum. Whoever reads it elsewhere makes them write it down, in each step, whether it is read in that step or not.
Computed once more, from what is in memory anyway, it costs only where it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core

#: Primitives whose output is computed entry by entry, cheap to repeat; what any other returns is in memory anyway.
BY_ENTRY = frozenset({
    "abs", "add", "and", "broadcast_in_dim", "cbrt", "ceil", "clamp", "convert_element_type", "copy", "div", "eq",
    "erf", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "log", "log1p", "logistic",
    "lt", "max", "min", "mul", "ne", "neg", "not", "or", "pow", "rem", "reshape", "round", "rsqrt", "select_n", "sign",
    "sqrt", "square", "squeeze", "sub", "tanh", "xor",
})  # fmt: skip


def repeatable(function: Callable[..., tuple[Any, Any]], *args: Any) -> tuple[Any, Callable[..., Any]]:
    """Call a function, and get a way to its first result, as often as it is needed.

    Parameters
    ----------
    function : callable
        Returns two trees, of which the second is kept after the call.
    *args : pytree of arrays

    Returns
    -------
    tuple
        The second tree, and a function that computes the first: from what is in ``args`` or in the second tree, or was
        reduced, multiplied as matrices or looped over on the way there. It takes a bool array that must be true:
        compilers cannot know that it is, so that they compute the result after it. Without, they choose.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    jaxpr = closed.jaxpr
    count = len(jax.tree.leaves(shapes[0]))
    outs, rest = jaxpr.outvars[:count], jaxpr.outvars[count:]
    kept = {*jaxpr.invars, *jaxpr.constvars, *filter(_is_variable, rest)}
    steps, start = _steps_to(outs, jaxpr.eqns, kept)
    whole = jaxpr.replace(outvars=[*rest, *start])
    found = core.jaxpr_as_fun(core.ClosedJaxpr(whole, closed.consts))(*jax.tree.leaves(args))
    part = jaxpr.replace(constvars=[], invars=start, outvars=outs, eqns=steps, effects=core.no_effects)
    call = core.jaxpr_as_fun(core.ClosedJaxpr(part, []))
    second, operands = found[: len(rest)], found[len(rest) :]

    def again(after: Array | None = None) -> Any:
        values = operands if after is None else [_behind(after, value) for value in operands]
        return jax.tree.unflatten(jax.tree.structure(shapes[0]), call(*values))

    return jax.tree.unflatten(jax.tree.structure(shapes[1]), second), again


def _behind(after: Array, value: Array) -> Array:
    """An array with the same bits, of which nothing is computed before a bool that is true."""
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        return value
    return jnp.where(after, value, jnp.zeros((), value.dtype))


def _steps_to(outs: list[Any], equations: Any, kept: set[Any]) -> tuple[list[Any], list[Any]]:
    """The equations by entry that end in these variables, and the variables they start from."""
    made = {variable: i for i, equation in enumerate(equations) for variable in equation.outvars}
    todo, steps, start = list(filter(_is_variable, outs)), set(), {}
    while todo:
        variable = todo.pop()
        place = None if variable in kept else made[variable]
        if place is None or not _by_entry(equations[place]):
            start[variable] = None
        elif place not in steps:
            steps.add(place)
            todo += filter(_is_variable, equations[place].invars)
    return [equations[i] for i in sorted(steps)], list(start)


def _is_variable(atom: Any) -> bool:
    return not isinstance(atom, core.Literal)


def _by_entry(equation: Any) -> bool:
    if equation.primitive.name in ("jit", "pjit"):  # jnp.where and its like
        return all(map(_by_entry, equation.params["jaxpr"].jaxpr.eqns))
    return equation.primitive.name in BY_ENTRY
