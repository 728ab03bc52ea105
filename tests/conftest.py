"""What every test runs under: strict promotion of dtypes; 64 bits as a separate run, GRADLAB_TEST_X64=1.

By the environment and before JAX is imported, so that threads and child processes are under it too.
"""

import gc
import itertools
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of child processes, and of SciPy; NumPy's stands below
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
# what the tests wait for is compilation: half of it where the code need not be fast. GRADLAB_TEST_COMPILER=whole
# compiles as users do, as nox does; the second flag is of the pinned jaxlib
if os.environ.get("GRADLAB_TEST_COMPILER") != "whole":
    quick = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
    quick += ["--xla_cpu_use_fusion_emitters=false"]
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *quick]).strip()
os.environ["JAX_ENABLE_X64"] = str(int(os.environ.get("GRADLAB_TEST_X64") == "1"))
# programs are kept in a folder of the session, never in the user's
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _PROGRAMS = tempfile.TemporaryDirectory()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _PROGRAMS.name

import pytest
from threadpoolctl import threadpool_limits

# The matrices of tests are small: threads wait for each other longer than they compute. A plugin may have imported
# NumPy before this file, when it is too late for the variable.
threadpool_limits(1, user_api="blas")

if "jax" in sys.modules:  # a plugin was earlier
    import jax

    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_enable_x64", os.environ["JAX_ENABLE_X64"] == "1")


@pytest.fixture(autouse=True)
def _figures_are_closed():
    """Close the figures of each test, so that the next one finds none."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


_TESTS = itertools.count(1)


def pytest_runtest_teardown():
    """Compiled programs hold mappings of memory; beyond some 65,000 of them Linux gives no more, and XLA dies."""
    maps = Path("/proc/self/maps")
    if next(_TESTS) % 25 == 0 and maps.exists() and maps.read_bytes().count(b"\n") > 30_000:
        import jax

        jax.clear_caches()
        gc.collect()


@pytest.fixture
def x64():
    """64-bit JAX for one test; never switched on globally."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def standard_promotion():
    """JAX's own promotion, which users of optax have: optax multiplies by integers; threads take it from JAX."""
    import jax

    before = jax.config.jax_numpy_dtype_promotion
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", before)


@pytest.fixture
def forget():
    """Forgets the activations and initialisers that a test registers."""
    from gradlab.config import REGISTRIES

    before = {kind: registry.registered for kind, registry in REGISTRIES.items()}
    yield
    for kind, registry in REGISTRIES.items():
        for entry in registry.registered:
            registry.forget(entry.name)
        registry.add(*before[kind])
