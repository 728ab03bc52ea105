"""Which parameters reach the loss, and by which the loss has a derivative: read off the program, without running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from gradlab.diagnosis import jaxprs

#: Operands that a value depends on, but has no derivative by: the one that selects, the places that are picked.
_CHOICES = {"select_n": 1, "cond": 1}

#: Whether a derivative is asked for; and whether as if there were no stop_gradient.
Derivative = bool | Literal["past stops"]


def states_of(program: Any, leaves: int, floats: Sequence[bool]) -> tuple[str, ...]:
    """Return for each first operand of a loss ``used``, ``frozen``, ``cut``, ``disconnected`` or ``not a float``."""
    jaxpr = jaxprs.opened(program)[0]
    every = [True] * len(jaxpr.outvars)
    reach = needed(program, every, derivative=False)
    moved = needed(program, every, derivative="past stops")
    used = needed(program, every, derivative=True)
    state = lambda i: "used" if used[i] else "frozen" if moved[i] else "cut" if reach[i] else "disconnected"
    return tuple(state(i) if floats[i] else "not a float" for i in range(leaves))


def needed(program: Any, wanted: Sequence[bool], *, derivative: Derivative) -> list[bool]:
    """Return which operands the wanted results depend on; with `derivative` those they have a derivative by.

    A function with a derivative rule of its own, or a kernel, is taken to have one by all that is a float.
    """
    jaxpr = jaxprs.opened(program)[0]
    live = {var for var, want in zip(jaxpr.outvars, wanted, strict=True) if want and not jaxprs.is_literal(var)}
    for eqn in reversed(jaxpr.eqns):
        outs = [var in live for var in eqn.outvars]
        writes = eqn.effects and any(var in live for var in eqn.invars if not jaxprs.is_literal(var))
        if not any(outs) and not writes:  # what is written into an array that is read later counts
            continue
        through = _operands(eqn, outs, derivative)
        live |= {
            var
            for var, want in zip(eqn.invars, through, strict=True)
            if want and not jaxprs.is_literal(var) and not (derivative and not jaxprs.is_differentiable(var))
        }
    return [var in live for var in jaxpr.invars]


def _operands(eqn: Any, outs: Sequence[bool], derivative: Derivative) -> Sequence[bool]:
    rule = _RULES.get(jaxprs.treatment(eqn))
    if rule is not None:
        return rule(eqn, outs, derivative)
    if derivative and jaxprs.treatment(eqn) == "flat":
        return [derivative == "past stops" and eqn.primitive.name == "stop_gradient"] * len(eqn.invars)
    first = _CHOICES.get(eqn.primitive.name, 0) if derivative else 0
    return [i >= first for i in range(len(eqn.invars))]


def _call(eqn: Any, outs: Sequence[bool], derivative: Derivative) -> Sequence[bool]:
    (program,) = jaxprs.entered(eqn)
    return needed(program, outs, derivative=derivative)


def _cond(eqn: Any, outs: Sequence[bool], derivative: Derivative) -> Sequence[bool]:
    branches = [needed(branch, outs, derivative=derivative) for branch in jaxprs.entered(eqn)]
    return [not derivative, *map(any, zip(*branches, strict=True))]


def _settled(carried: list[bool], step: Callable[[list[bool]], list[bool]]) -> list[bool]:
    """Return what of a loop's carry is needed after any number of steps."""
    while (more := [a or b for a, b in zip(carried, step(carried), strict=True)]) != carried:
        carried = more
    return carried


def _scan(eqn: Any, outs: Sequence[bool], derivative: Derivative) -> Sequence[bool]:
    consts, count = jaxprs.scan_parts(eqn)
    (body,) = jaxprs.entered(eqn)
    whole = lambda carried: needed(body, [*carried, *outs[count:]], derivative=derivative)
    carried = _settled(list(outs[:count]), lambda now: whole(now)[consts : consts + count])
    reached = whole(carried)
    return [*reached[:consts], *carried, *reached[consts + count :]]


def _while(eqn: Any, outs: Sequence[bool], derivative: Derivative) -> Sequence[bool]:
    first, second = jaxprs.while_parts(eqn)
    (body,) = jaxprs.entered(eqn)
    whole = lambda carried: needed(body, carried, derivative=derivative)
    start = list(outs) if derivative else [True] * len(outs)  # the condition decides how often
    carried = _settled(start, lambda now: whole(now)[second:])
    return [*[not derivative] * first, *whole(carried)[:second], *carried]


_RULES = {"call": _call, "shard_map": _call, "cond": _cond, "scan": _scan, "while": _while}
