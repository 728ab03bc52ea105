"""Optax counts in integers and multiplies by them, which strict promotion of dtypes forbids."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def standard_promotion():
    """JAX's own promotion, which users of optax have; threads take it from the environment."""
    before = jax.config.jax_numpy_dtype_promotion
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", before)
