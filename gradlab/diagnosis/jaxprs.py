"""All that is known of JAX's jaxprs and of the parameters of its primitives; other files ask here.

JAX keeps changing these. What differs between the versions that gradlab runs on is told apart by what a parameter is
called, not by a version number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core as jex
from jax.sharding import PartitionSpec

from gradlab.diagnosis.treatments import TREATMENTS

#: Parameters under which programs stand that are evaluated, the one that computes the value first.
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr", "body_jaxpr", "branches", "call", "jaxprs", "callee", "fun_jaxpr_closed")


def treatment(eqn: Any) -> str:
    """Return how an equation is read past, by `TREATMENTS`; ``unknown`` where a program is in one that is not there."""
    kind = TREATMENTS.get(eqn.primitive.name)
    if kind == "high":
        return _high_treatment(eqn.params["_prim"])
    return kind or ("unknown" if inner(eqn) else "plain")


def _high_treatment(prim: Any) -> str:
    """Return a primitive whose parameters are a Python object: JAX's newer remat, checkpoint_name and custom_vjp."""
    kind = type(prim).__name__
    if kind == "RematTraced":
        return "call"
    if kind.startswith("CheckpointName"):
        return "tap"
    if kind == "VmapOf":
        return "custom" if _high_treatment(prim.prim) == "call" else _high_treatment(prim.prim)
    return "custom"


# ---------------------------------------------------------------------------------------- programs inside an equation


def opened(program: Any) -> tuple[Any, Sequence[Any]]:
    """Return the jaxpr of a closed or an open one, and its constants."""
    return (program.jaxpr, program.consts) if hasattr(program, "jaxpr") else (program, ())


def is_program(value: Any) -> bool:
    """Return whether a parameter is a jaxpr, open or closed."""
    return isinstance(value, (jex.ClosedJaxpr, jex.Jaxpr))


def inner(eqn: Any) -> tuple[Any, ...]:
    """Return the programs inside an equation, those that compute its value first; empty for most."""
    if eqn.primitive.name == "call_hi_primitive":
        return _high_inner(eqn.params["_prim"])
    params = eqn.params
    keys = [key for key in _INNER if key in params] + [key for key in params if key not in _INNER]
    programs: list[Any] = []
    for key in keys:
        value = params[key]
        programs += [part for part in (value if isinstance(value, (tuple, list)) else [value]) if is_program(part)]
        if hasattr(value, "_fields"):  # custom_linear_solve keeps four in a named tuple
            programs += [part for part in value if is_program(part) and part not in programs]
    return tuple(programs)


def _high_inner(prim: Any) -> tuple[Any, ...]:
    if type(prim).__name__ == "VmapOf":
        return _high_inner(prim.prim)
    program = getattr(prim, "jaxpr", None) or getattr(getattr(prim, "traced", None), "jaxpr", None)
    return (program,) if is_program(program) else ()


def with_inner(eqn: Any, programs: Sequence[Any]) -> Any:
    """Return the equation with other programs in the place of `entered(eqn)`, of the same operands and results."""
    how = treatment(eqn)
    if eqn.primitive.name == "call_hi_primitive":
        prim = eqn.params["_prim"]
        names = {name: value for name, value in prim.params.items() if name != "jaxpr"}
        return eqn.replace(params={"_prim": type(prim)(programs[0], **names)})
    if how == "cond":
        return eqn.replace(params={**eqn.params, "branches": tuple(programs)})
    return eqn.replace(params={**eqn.params, _body_key(eqn): programs[0]})


def entered(eqn: Any) -> tuple[Any, ...]:
    """Return the programs of a call, loop or branch that a reader goes into; a while loop's condition is none."""
    if eqn.primitive.name == "call_hi_primitive":
        return _high_inner(eqn.params["_prim"])
    if treatment(eqn) == "cond":
        return tuple(eqn.params["branches"])
    return (eqn.params[_body_key(eqn)],)


def _body_key(eqn: Any) -> str:
    return next(key for key in _INNER if key in eqn.params)


def rebuilt(program: Any, jaxpr: Any) -> Any:
    """Another jaxpr in the place of a program's own, closed over the same constants where it was."""
    return jex.ClosedJaxpr(jaxpr, program.consts) if hasattr(program, "jaxpr") else jaxpr


def equations(program: Any, into: Callable[[Any], bool] = lambda eqn: True) -> Iterator[Any]:
    """Return all equations of a program and of the programs inside."""
    for eqn in opened(program)[0].eqns:
        yield eqn
        if into(eqn):
            for part in inner(eqn):
                yield from equations(part, into)


def products_inside(eqn: Any) -> int:
    """Matrix products and convolutions in what the equation evaluates."""
    if not (programs := inner(eqn)):
        return 0
    every = programs if eqn.primitive.name == "cond" else programs[:1]
    return sum(treatment(e) == "product" for program in every for e in equations(program))


# ---------------------------------------------------------------------------------------- parts of operands


def scan_parts(eqn: Any) -> tuple[int, int]:
    """Return how many operands of a scan are constants, and how many are carried; the rest is taken apart."""
    params = eqn.params
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carried, _ = params["ft_in"].unpack()
    return len(consts), len(carried)


def while_parts(eqn: Any) -> tuple[int, int]:
    """Return how many operands of a while loop are its condition's, and how many its body's; the rest is carried."""
    return eqn.params["cond_nconsts"], eqn.params["body_nconsts"]


def condition(eqn: Any) -> Any:
    """Return the program that tells whether a while loop goes on."""
    return eqn.params["cond_jaxpr"]


def own_rules(program: Any) -> tuple[str, ...]:
    """Names of the functions in a program whose backward rule is not JAX's but written by hand (`jax.custom_vjp`)."""
    names: dict[str, None] = {}
    for eqn in opened(program)[0].eqns:
        if treatment(eqn) == "custom" and "vjp" in _rule_of(eqn).lower():
            names[function_name(eqn)] = None
        for part in inner(eqn):
            names |= dict.fromkeys(own_rules(part))
    return tuple(names)


def _rule_of(eqn: Any) -> str:
    return type(eqn.params["_prim"]).__name__ if eqn.primitive.name == "call_hi_primitive" else eqn.primitive.name


def function_name(eqn: Any) -> str:
    """Return the name of the function that a call, a custom derivative or a kernel was made of."""
    params = eqn.params
    if eqn.primitive.name == "call_hi_primitive":
        prim = params["_prim"]
        prim = getattr(prim, "prim", prim)
        traced = getattr(prim, "traced", None)
        return getattr(traced, "fun_name", "") or getattr(prim, "name", "") or type(prim).__name__
    for key in ("name", "target_name"):
        if isinstance(params.get(key), str):
            return params[key]
    if hasattr(params.get("name_and_src_info"), "name"):
        return params["name_and_src_info"].name
    for program in inner(eqn):
        name = getattr(getattr(opened(program)[0], "debug_info", None), "func_name", "")
        if name:
            return str(name).rpartition(".")[2]
    return eqn.primitive.name


def plain_name(eqn: Any) -> str:
    """Return what users call a primitive with a program inside: ``custom_vjp``."""
    if eqn.primitive.name == "call_hi_primitive":
        prim = eqn.params["_prim"]
        kind = type(getattr(prim, "prim", prim)).__name__
        return "custom_vjp" if kind == "CustomVJPTraced" else kind
    return eqn.primitive.name.removesuffix("_jaxpr").removesuffix("_call")


def tap_name(eqn: Any) -> str:
    """Return the name that the user gave a value."""
    if "name" in eqn.params:
        return eqn.params["name"]
    prim = eqn.params["_prim"]
    return getattr(prim, "prim", prim).name


def weight_axes(eqn: Any, weight: int) -> tuple[int, ...]:
    """Axes of a product's value that belong to the outputs of one of its operands, the weight."""
    name, ndim = eqn.primitive.name, eqn.outvars[0].aval.ndim
    if name == "conv_general_dilated":
        return (eqn.params["dimension_numbers"].out_spec[1 if weight else 0],)
    if name == "dot_general":
        (left, _), (batch, _) = eqn.params["dimension_numbers"]
        shared = len(batch)
        free = eqn.invars[0].aval.ndim - len(left) - shared
        mine = range(shared, shared + free) if weight == 0 else range(shared + free, ndim)
        return (*range(shared), *mine)
    return (ndim - 1,) if ndim else ()


def moved_axes(eqn: Any) -> tuple[int, ...] | None:
    """Return the operand's axis that each axis of the result is, or -1, where entries only change their place."""
    name, before = eqn.primitive.name, shape_of(eqn.invars[0]) if eqn.invars else ()
    after = shape_of(eqn.outvars[0]) if eqn.outvars else ()
    if name == "transpose":
        return tuple(int(axis) for axis in eqn.params["permutation"])
    if name == "squeeze":
        gone = {axis % len(before) for axis in eqn.params["dimensions"]}
        return tuple(axis for axis in range(len(before)) if axis not in gone)
    if name == "reshape" and len(eqn.invars) == 1:
        start = {(math.prod(before[:axis]), size): axis for axis, size in enumerate(before)}
        return tuple(start.get((math.prod(after[:axis]), size), -1) for axis, size in enumerate(after))
    if name == "broadcast_in_dim" and math.prod(before) == math.prod(after):
        axes = {int(new): old for old, new in enumerate(eqn.params["broadcast_dimensions"])}
        return tuple(axes.get(axis, -1) for axis in range(len(after)))
    return None


def puts_side_by_side(eqn: Any) -> bool:
    """Return whether an equation joins its operands to one array."""
    return eqn.primitive.name in ("concatenate", "stack")


def static_index(eqn: Any) -> list[int] | None:
    """Return which entry of the first axis each result holds, where the program says so."""
    if not eqn.invars:
        return None
    name, shape = eqn.primitive.name, getattr(eqn.invars[0].aval, "shape", ())
    if name == "unstack":
        return list(range(len(eqn.outvars))) if eqn.params["axis"] == 0 else None
    if name not in ("slice", "dynamic_slice") or len(shape) < 2:
        return None
    out = eqn.outvars[0].aval.shape
    if out[0] != 1 or shape[0] == 1 or out[1:] != shape[1:]:
        return None
    if name == "slice":
        return [int(eqn.params["start_indices"][0])]
    start = eqn.invars[1]
    return [int(start.val)] if isinstance(start, jex.Literal) else None


def is_float(var: Any) -> bool:
    """Return whether a variable holds real floats."""
    dtype = getattr(var.aval, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating)


def is_differentiable(var: Any) -> bool:
    """Return whether a variable can have a derivative: floats, complex numbers, references to them."""
    dtype = getattr(var.aval, "dtype", None)
    return dtype is None or jnp.issubdtype(dtype, np.inexact)


def is_dropped(var: Any) -> bool:
    """Return whether a result is thrown away."""
    return str(var) == "_"


def is_literal(var: Any) -> bool:
    """Return whether an operand is a number in the program."""
    return isinstance(var, jex.Literal)


def shape_of(var: Any) -> tuple[int, ...]:
    """Return a variable's shape; empty for what has none."""
    return tuple(getattr(var.aval, "shape", ()))


def scalar(var: Any) -> float | None:
    """Return the number that a literal is."""
    if isinstance(var, jex.Literal) and np.ndim(var.val) == 0 and jnp.issubdtype(var.aval.dtype, np.number):
        return float(np.real(var.val))
    return None


def source(eqn: Any) -> str:
    """File and line of the user's code: the innermost that is in no installed package; empty where there is none."""
    trace = getattr(eqn.source_info, "traceback", None)
    for frame in trace.frames if trace is not None else ():
        name = frame.file_name.replace("\\", "/")
        if "/site-packages/" not in name and "/gradlab/" not in name and not name.startswith("<"):
            return f"{name.rpartition('/')[2]}:{frame.line_num}"
    return ""


def written(eqn: Any) -> Any:
    """Return where an operation was written, in all frames: a derivative's is where the function's is."""
    return getattr(eqn.source_info, "traceback", None)


def scope(eqn: Any) -> str:
    """JAX's stack of names around an equation."""
    return str(eqn.source_info.name_stack)


# ---------------------------------------------------------------------------------------- evaluation


def bind(eqn: Any, values: Sequence[Any]) -> list[Any]:
    """Evaluate an equation as it is."""
    params = eqn.primitive.get_bind_params(eqn.params)
    if isinstance(params, tuple):
        functions, params = params
        results = eqn.primitive.bind(*functions, *values, **params)
    else:
        results = eqn.primitive.bind(*values, **params)
    return list(results) if eqn.primitive.multiple_results else [results]


def rematerialised(eqn: Any, values: Sequence[Any]) -> Sequence[Any]:
    """Return the operands of a call, behind a barrier where it must not be merged with its first computation."""
    if eqn.params.get("differentiated") and eqn.params.get("prevent_cse"):
        return lax.optimization_barrier(tuple(values))
    return values


def sharded(eqn: Any, body: Callable[..., tuple[Sequence[Any], Any]], values: Sequence[Any]) -> tuple[list[Any], Any]:
    """Evaluate a shard_map with another body, which returns beside the results a tree of what each device found.

    Of this the leaves come back with a first axis, one entry for each device.
    """
    params = eqn.params
    axes = tuple(sorted(params["newly_manual_axes"] if "newly_manual_axes" in params else params["manual_axes"]))

    def device(*args):
        results, vectors = body(*args)
        return tuple(results), jax.tree.map(lambda x: _varying(x, axes, params["check_vma"])[None], vectors)

    results, vectors = jax.shard_map(
        device,
        mesh=params["mesh"],
        in_specs=tuple(params["in_specs"]),
        out_specs=(tuple(params["out_specs"]), PartitionSpec(axes)),
        check_vma=params["check_vma"],
        axis_names=set(axes),
    )(*values)
    return list(results), vectors


def _varying(x: Any, axes: tuple[str, ...], checked: bool) -> Any:
    """Return an array that may differ from device to device, in JAX's eyes too."""
    if not checked:
        return x
    kind = jax.typeof(x)
    now = kind.vma if hasattr(kind, "vma") else kind.mat.varying
    missing = tuple(axis for axis in axes if axis not in now)
    return lax.pcast(x, missing, to="varying") if missing else x
