"""Keys of random numbers."""

from __future__ import annotations

from numbers import Integral
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array

from gradlab import config
from gradlab._errors import GradlabError


def as_key(key: Array | int) -> Array:
    """A JAX key from an integer; a key as it is.

    Raises
    ------
    GradlabError
        An integer outside 32 bits, which JAX would cut, or something else.
    """
    if isinstance(key, Integral):
        return jax.random.key(config.integer("key", key, 0))
    kind: Any = getattr(key, "dtype", None)
    if kind is None or not (jnp.issubdtype(kind, jax.dtypes.prng_key) or kind == jnp.uint32):
        raise GradlabError("key to be an integer or a JAX key", config.shown(key), "key=0, or key=jax.random.key(0)")
    return cast("Array", key)
