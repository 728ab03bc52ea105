"""The examples in docstrings give what they show."""

import doctest
from importlib import import_module
from pathlib import Path

import jax
import pytest

import gradlab

PACKAGE = Path(gradlab.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_examples_of_a_file(path, tmp_path, monkeypatch, forget):
    monkeypatch.chdir(tmp_path)
    promotion = jax.config.jax_numpy_dtype_promotion
    jax.config.update("jax_numpy_dtype_promotion", "standard")  # optax needs it, in every thread
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    try:
        done = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    finally:
        jax.config.update("jax_numpy_dtype_promotion", promotion)
        import matplotlib.pyplot as plt

        plt.close("all")
    assert done.attempted and not done.failed
