"""What every test runs under: strict promotion of dtypes, and 64 bits only where asked for."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest


@pytest.fixture
def x64():
    """64-bit JAX for one test; never switched on globally."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def _bits():
    """GRADLAB_TEST_X64=1 runs every test under 64 bits: a separate run of the suite."""
    if os.environ.get("GRADLAB_TEST_X64") != "1":
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield
