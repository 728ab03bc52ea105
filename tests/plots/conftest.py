"""Matplotlib is left as it was after each test of this folder."""

import matplotlib
import pytest


@pytest.fixture(autouse=True)
def _untouched():
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before
