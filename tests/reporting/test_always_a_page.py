"""A page always comes: what cannot be drawn or tabled costs a line on it, never the page."""

import itertools

import matplotlib.pyplot as plt
import pytest

from gradlab import plots
from gradlab.config import MLPConfig
from gradlab.frames.rows import frame
from gradlab.reporting import tables, theory
from gradlab.reporting.page import report
from tests.reporting.report_frames import grid, run_of, trace

pytestmark = pytest.mark.usefixtures("without_files")


@pytest.fixture
def without_files(monkeypatch):
    """Figures are drawn; their files, which take most of the time, are not written."""
    monkeypatch.setattr("gradlab.reporting.figures.plots.save", lambda *_, **__: [])


@pytest.fixture
def few_figures(monkeypatch):
    """Of the figures of networks only the map of decades is drawn in earnest."""
    for name in ("gradient_flow", "rate_against_depth"):
        monkeypatch.setattr(plots, name, lambda *_, **__: plt.subplots()[1])


def broken(*_, **__):
    raise ZeroDivisionError("a | fault\nof ours")


@pytest.mark.usefixtures("few_figures")
def test_a_grid_that_one_map_cannot_hold_has_a_page(tmp_path):
    grids = itertools.product((2, 4), ("xavier_normal", "he_normal"), (8, 16), (1.0, 2.0))
    configs = [MLPConfig(depth=d, init=i, width=w, gain=g, activation="relu") for d, i, w, g in grids]
    page = report(run_of(frame([trace(config, -0.2 * config.gain) for config in configs])), out=tmp_path).read_text()
    assert "Not drawn" not in page and "![First over last delta" in page


@pytest.mark.usefixtures("few_figures")
def test_a_figure_that_fails_in_any_way_costs_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(plots, "rate_against_depth", broken)
    page = report(run_of(grid()), out=tmp_path).read_text()
    assert page.count("*Not drawn, because ") == 1
    after = page.split("### Rate against depth\n")[1]
    assert after.startswith("\n*Not drawn, because ZeroDivisionError: a \\| fault of ours.*\n")
    assert "![" in page and "## How to reproduce it" in page


@pytest.mark.parametrize(
    ("where", "name", "after"),
    [
        (tables, "decades_cell", "### Decades over the hidden layers\n\n"),
        (tables, "signals", "### Signal, delta and weight gradient\n\n"),
        (tables, "zeros", "## What is missing\n\n"),
        (theory, "beside", "### Theory beside measurement\n\nWhat mean field expects of each configuration's "
         "deepest network, at initialisation.\n\n"),
    ],
)  # fmt: skip
def test_a_table_that_fails_in_any_way_costs_one_line(where, name, after, monkeypatch, tmp_path):
    monkeypatch.setattr("gradlab.reporting.figures.draw", lambda *_: [])
    monkeypatch.setattr(where, name, broken)
    page = report(run_of(grid()), out=tmp_path, tex=True).read_text()
    assert page.count("Not made, because") == 1
    assert page.split(after)[1].startswith("*Not made, because ZeroDivisionError: a \\| fault of ours.*\n")


def test_a_run_without_deltas_has_a_page_without_verdicts(tmp_path):
    table = grid(depths=(2, 4)).drop(columns="log10_delta_rms")
    page = report(run_of(table), out=tmp_path, tex=True).read_text()
    assert "none is judged" in page and "No network is judged" in page and "undetermined" not in page
    assert "### Rate" not in page and "Not made" not in page and "Not drawn" not in page
    assert "![Signal, delta and weight gradient by layer" in page and "weight gradient norm, layer 1" in page
    assert "no network is judged" in (tmp_path / "tables.tex").read_text()
    assert "undetermined" not in (tmp_path / "numbers.tex").read_text()
