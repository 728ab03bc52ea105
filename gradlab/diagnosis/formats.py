"""Operations in float64: which can be, and their parameters; besides `jaxprs` the file that knows what these are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.diagnosis.jaxprs import is_program, treatment

#: Operations whose result depends on the bits of a format, or that leave JAX: not to be evaluated in another one.
_OF_BITS = frozenset(
    {"bitcast_convert_type", "nextafter", "rng_uniform", "random_gamma", "scaled_matmul", "rng_bit_generator"}
)


def widening(eqn: Any) -> Literal["inside", "as it is", "same", "nothing", "wide"]:
    """Return how an equation without a rule of its own is evaluated in float64.

    ``inside``: by the program inside. ``as it is``: in its own formats. ``same``: its value is its operand.
    ``nothing``: not at all. ``wide``: with `in_float64`.
    """
    name, how = eqn.primitive.name, treatment(eqn)
    if name in ("debug_callback", "debug_print"):
        return "nothing"
    if name == "reduce_precision" or how == "tap":
        return "same"
    if name in ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"):
        return "inside"
    if how in ("custom", "kernel", "unknown") or name in _OF_BITS or "callback" in name:
        return "as it is"
    return "wide"


def in_float64(eqn: Any, program: Callable[[Any], Any]) -> Any:
    """Return the equation with formats of 64 bits in its parameters, and its programs as `program` makes them."""

    def one(key: str, value: Any) -> Any:
        if key == "precision":
            return None  # it may name a format
        if is_program(value):
            return program(value)
        if isinstance(value, (np.dtype, type)):
            try:
                return wide_dtype(np.dtype(value)) or value
            except TypeError:
                return value
        return value

    return eqn.replace(params={key: one(key, value) for key, value in eqn.params.items()})


def wide_dtype(dtype: Any) -> Any:
    """Return the format of 64 bits (a complex one of 128) in place of a float's; None for what is no float."""
    if dtype is None or jnp.issubdtype(dtype, jax.dtypes.extended):
        return None
    if jnp.issubdtype(dtype, jnp.floating):
        return np.dtype("float64")
    return np.dtype("complex128") if jnp.issubdtype(dtype, jnp.complexfloating) else None
