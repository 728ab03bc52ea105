"""The examples of the docstrings print what they say."""

import doctest
from importlib import import_module

import jax
import pytest


@pytest.mark.parametrize(
    "name",
    ["monitoring.observation", "monitoring.monitor", "monitoring.trackers", "frames.jsonl", "measurement.arrays"],
)
def test_examples_run_as_they_stand(name):
    with jax.numpy_dtype_promotion("standard"):  # optax's
        done = doctest.testmod(import_module(f"gradlab.{name}"), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert done.attempted and not done.failed
