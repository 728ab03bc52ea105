"""Whether JAX has something to compute on."""

from __future__ import annotations

import jax

from gradlab._errors import GradlabError


def require_backend() -> None:
    """Raise where JAX cannot start the backend that it is told to use, before anything is asked of it.

    Raises
    ------
    GradlabError
        For example with ``JAX_PLATFORMS=tpu`` on a machine without one.
    """
    try:
        jax.devices()
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        asked = jax.config.jax_platforms
        raise GradlabError(
            "a backend that JAX can start", f"JAX_PLATFORMS={asked}: {reason}" if asked else reason, "JAX_PLATFORMS=cpu"
        ) from error
