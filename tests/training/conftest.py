"""Optax counts in integers and multiplies by them, which strict promotion of dtypes forbids."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def optax_promotion(standard_promotion):
    """Every test here runs under JAX's own promotion."""
