import numpy as np
import pytest

from gradlab.config import MLPConfig
from gradlab.frames.rows import concat, failed_rows, frame
from tests.reporting.report_frames import grid, trace


@pytest.fixture(scope="session")
def table():
    return grid()


@pytest.fixture(scope="session")
def table_with_failures():
    dead = trace(MLPConfig(depth=4, activation="softplus"), 0.0)
    dead.columns["log10_delta_rms"][1, 0] = -np.inf
    failed = failed_rows(
        MLPConfig(depth=9, activation="elu"), range(3), ValueError("no | such\nthing <b>"),
        loss="softmax_cross_entropy", data="digits", batch=128, dtype="float32",
    )  # fmt: skip
    return concat([grid(), frame(dead), failed])


@pytest.fixture
def without_figures(monkeypatch):
    """Pages alone: their figures have tests of their own."""
    monkeypatch.setattr("gradlab.reporting.figures.draw", lambda *_: [])
