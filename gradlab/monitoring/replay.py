"""A function's results once more, from what is in memory anyway, so that to look at them is not to keep them.

An update that goes straight into new parameters never exists in memory: compilers compute it entry by entry inside
the sum. Whoever reads it elsewhere makes them write it down, in each step, whether it is read in that step or not.
Computed once more, from what is in memory anyway, it costs only where it is read.

The bits must be those of a program that nobody reads. A compiler rounds a product and a sum once or twice, as it finds
them side by side or not, and it drops what it knows beforehand. So conditions that are settled are taken away here, as
it takes them away, and where something has to come first that is said between operations that it never joins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core

#: Primitives whose output is computed entry by entry, cheap to repeat; what any other returns is in memory anyway.
BY_ENTRY = frozenset({
    "abs", "add", "and", "broadcast_in_dim", "cbrt", "ceil", "clamp", "convert_element_type", "copy", "div", "eq",
    "erf", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "log", "log1p", "logistic",
    "lt", "max", "min", "mul", "ne", "neg", "not", "or", "pow", "rem", "reshape", "round", "rsqrt", "select_n", "sign",
    "sqrt", "square", "squeeze", "sub", "tanh", "xor",
})  # fmt: skip
#: Of these, what compilers join with what comes after: a product rounds together with a sum, factors meet factors.
JOINED = frozenset({
    "broadcast_in_dim", "convert_element_type", "copy", "div", "integer_pow", "jit", "mul", "neg", "pjit", "reshape",
    "select_n", "square", "squeeze",
})  # fmt: skip


def repeatable(function: Callable[..., tuple[Any, Any]], *args: Any) -> tuple[Any, Callable[..., Any]]:
    """Call a function, and get a way to its first result, as often as it is needed.

    Parameters
    ----------
    function : callable
        Returns two trees, of which the second is kept after the call.
    *args : pytree of arrays
        What the function takes.

    Returns
    -------
    tuple
        The second tree, and a function that computes the first: from what is in ``args`` or in the second tree, or was
        reduced, multiplied as matrices or looped over on the way there. It takes a bool array that must be true:
        compilers cannot know that it is, so that they compute the result after it, by the operations of the call
        itself. Without, they choose.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    if any(map(_is_settled, closed.jaxpr.eqns)):
        closed = jax.make_jaxpr(lambda *values: _evaluated(closed, values))(*jax.tree.leaves(args))
    jaxpr = closed.jaxpr
    count = len(jax.tree.leaves(shapes[0]))
    outs, rest = jaxpr.outvars[:count], jaxpr.outvars[count:]
    given = {*jaxpr.invars, *jaxpr.constvars}
    steps, start = _steps_to(outs, jaxpr.eqns, {*given, *filter(_is_variable, rest)}, _by_entry)
    last, before = _steps_to(outs, jaxpr.eqns, given, _is_joined)
    whole = jaxpr.replace(outvars=[*rest, *start, *before])
    results = iter(core.jaxpr_as_fun(core.ClosedJaxpr(whole, closed.consts))(*jax.tree.leaves(args)))
    second, operands, late = ([next(results) for _ in variables] for variables in (rest, start, before))

    def again(after: Array | None = None) -> Any:
        if after is None:
            values = _call(jaxpr, start, steps, outs)(*operands)
        else:
            values = _call(jaxpr, before, last, outs)(*[_behind(after, value) for value in late])
        return jax.tree.unflatten(jax.tree.structure(shapes[0]), values)

    return jax.tree.unflatten(jax.tree.structure(shapes[1]), second), again


def _call(jaxpr: Any, start: list[Any], equations: list[Any], outs: list[Any]) -> Callable[..., list[Any]]:
    """Some equations of a jaxpr as a function."""
    part = jaxpr.replace(constvars=[], invars=start, outvars=outs, eqns=equations, effects=core.no_effects)
    return core.jaxpr_as_fun(core.ClosedJaxpr(part, []))


def _is_settled(equation: Any) -> bool:
    """Return whether a condition is known beforehand: `optax.MultiSteps` asks whether to skip what it never skips."""
    return equation.primitive.name == "cond" and not _is_variable(equation.invars[0])


def _evaluated(closed: Any, args: Sequence[Any]) -> list[Any]:
    """Return what a jaxpr returns, by the one branch of each settled condition."""
    jaxpr = closed.jaxpr
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *args], strict=True))
    take = lambda atoms: [values[atom] if _is_variable(atom) else atom.val for atom in atoms]
    for equation in jaxpr.eqns:
        if _is_settled(equation):
            index, *operands = take(equation.invars)
            outs = _evaluated(equation.params["branches"][int(index)], operands)
        else:
            operands = list(filter(_is_variable, equation.invars))
            outs = _call(jaxpr, operands, [equation], equation.outvars)(*take(operands))
        values.update(zip(equation.outvars, outs, strict=True))
    return take(jaxpr.outvars)


def _behind(after: Array, value: Array) -> Array:
    """Return an array with the same bits, of which nothing is computed before a bool that is true.

    By integers: a choice between numbers is moved by compilers past the product that comes next, which then rounds
    apart from its sum. Single numbers stay as they are, and what is made of them alone comes when it comes.
    """
    if value.size == 1 or not jnp.issubdtype(value.dtype, jnp.floating):
        return value
    bits = jnp.dtype(f"uint{8 * value.dtype.itemsize}")
    return lax.bitcast_convert_type(lax.bitcast_convert_type(value, bits) | (~after).astype(bits), value.dtype)


def _steps_to(
    outs: list[Any], equations: Any, kept: set[Any], repeats: Callable[[Any], bool]
) -> tuple[list[Any], list[Any]]:
    """Return the equations that are repeated and end in these variables, and the variables they start from."""
    made = {variable: i for i, equation in enumerate(equations) for variable in equation.outvars}
    todo, steps, start = list(filter(_is_variable, outs)), set(), {}
    while todo:
        variable = todo.pop()
        place = None if variable in kept else made[variable]
        if place is None or not repeats(equations[place]):
            start[variable] = None
        elif place not in steps:
            steps.add(place)
            todo += filter(_is_variable, equations[place].invars)
    return [equations[i] for i in sorted(steps)], list(start)


def _is_variable(atom: Any) -> bool:
    return not isinstance(atom, core.Literal)


def _is_joined(equation: Any) -> bool:
    return equation.primitive.name in JOINED and _by_entry(equation)


def _by_entry(equation: Any) -> bool:
    if equation.primitive.name in ("jit", "pjit"):  # jnp.where and its like
        return all(map(_by_entry, equation.params["jaxpr"].jaxpr.eqns))
    return equation.primitive.name in BY_ENTRY
