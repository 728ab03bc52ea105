"""Places that a user names."""

from __future__ import annotations

from typing import Any

from jax.ad_checkpoint import checkpoint_name


def tap(name: str, x: Any) -> Any:
    """Name a value, so that `gradlab.diagnose` reads it and its delta under this name.

    It changes nothing: it is `jax.ad_checkpoint.checkpoint_name`, with the name first.

    Parameters
    ----------
    name : str
        What the value is called in the diagnosis.
    x : pytree of arrays
        The value.

    Returns
    -------
    The same arrays.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> hidden = tap("after the gate", jnp.ones(3))
    """
    return checkpoint_name(x, name)
