"""What a function computes, as a hash: the operations that JAX traces, with their constants, and values at points.

The text of a function does not say what it computes: a default argument, a closure, a global or a helper may have
changed. What is traced has all of them in it. Values say what a trace cannot: what Python does when it is called back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

#: Binary digits of a value that count, in float64 and in less: the last ones differ from machine to machine.
_DIGITS = (36, 16)
#: Parts of what an operation is printed as that say where something lies, not what it is.
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
#: Parameters of an operation that are names and places of the source alone.
_NAMES = ("name", "debug_info", "source_info")


def digest(*parts: Any) -> str:
    """Return a short hash of plain values and of the texts that `operations` and `rounded` give."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def operations(function: Callable, *arguments: Any) -> str:
    """Return a hash of what a function does with arguments of these shapes.

    Parameters
    ----------
    function : callable
        One that JAX can trace.
    *arguments : pytree of arrays or of jax.ShapeDtypeStruct
        Arrays, or their shapes and dtypes.

    Returns
    -------
    str
        Of the operations in their order with all constants; or the error's kind, of a function that cannot be traced.
    """
    try:
        # a function of its own: JAX keeps what it traced of one that it knows, and would not see a changed global
        traced = jax.make_jaxpr(lambda *args: function(*args))(*arguments)
    except Exception as error:
        return f"not traced: {type(error).__name__}"
    state = hashlib.sha256()
    _walk(traced, state)
    return state.hexdigest()


def rounded(values: Any) -> str:
    """Return a hash of numbers to 11 decimal digits, of float32 to 5, so that it is the same on another machine."""
    digits = _DIGITS[np.asarray(values).dtype != np.float64]
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    # adding 0 makes one zero of two, and NaN has one form of many
    kept = np.where(np.isnan(mantissa), np.nan, np.round(mantissa * 2.0**digits) + 0.0)
    return hashlib.sha256(kept.tobytes() + exponent.tobytes() + repr(np.shape(values)).encode()).hexdigest()


def _walk(jaxpr: Any, state: Any) -> None:
    """Feed a hash with a jaxpr: constants, and each operation with its parameters and where its inputs come from."""
    for constant in getattr(jaxpr, "consts", ()):
        _value(constant, state)
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    numbers: dict[Any, int] = {}

    def place(var: Any) -> None:
        if isinstance(var, core.Literal):
            _value(var.val, state)
        else:
            state.update(f"v{numbers.setdefault(var, len(numbers))}{var.aval}".encode())

    for var in (*jaxpr.constvars, *jaxpr.invars):
        place(var)
    for equation in jaxpr.eqns:
        state.update(f";{equation.primitive.name}".encode())
        for name in sorted(equation.params):
            if name not in _NAMES:
                state.update(f",{name}=".encode())
                _value(equation.params[name], state)
        for var in (*equation.invars, *equation.outvars):
            place(var)
    for var in jaxpr.outvars:
        place(var)


def _value(value: Any, state: Any) -> None:
    if hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns"):
        _walk(value, state)
    elif isinstance(value, (tuple, list)):
        state.update(f"({len(value)}".encode())
        for part in value:
            _value(part, state)
    elif isinstance(value, dict):
        _value(sorted(value.items(), key=lambda item: str(item[0])), state)
    elif isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        _value(jax.random.key_data(value), state)
    elif isinstance(value, (jax.Array, np.ndarray, np.generic)):
        array = np.asarray(value)
        state.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    elif callable(value) and not isinstance(value, type):
        state.update(type(value).__name__.encode())  # a rule of differentiation; it is traced where it is used
    else:
        state.update(_ADDRESS.sub("", repr(value)).encode())
