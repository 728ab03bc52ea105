"""A grid with two values on every coordinate, of sweeps and of trainings, gives a page whose figures can be read."""

import dataclasses
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from gradlab import plots
from gradlab.config import Sweep, TrainingSweep
from gradlab.frames.rows import concat, frame
from gradlab.plots.ground.captions import figure_of
from gradlab.reporting.content import Content
from gradlab.reporting.page import report
from tests.plots.reading import faults
from tests.reporting.report_frames import run_of, trace

NETWORKS = {
    "depth": (2, 6), "width": (8, 16), "activation": ("sigmoid", "relu"), "init": ("xavier_normal", "he_normal"),
    "gain": (1.0, 2.0), "sigma_b2": (0.0, 0.05), "readout": ("xavier_normal", "orthogonal"), "norm": ("batch", "layer"),
    "norm_position": ("before", "after"),
}  # fmt: skip
TRAININGS = {
    "optimizer": ("sgd", "adam"), "learning_rate": (0.1, 0.01), "schedule": ("constant", "cosine"),
    "clip_norm": (1.0, 10.0), "weight_decay": (0.0, 1e-3), "dropout": (0.0, 0.1),
}  # fmt: skip


def made(configs, seeds=2):
    """A frame of traces whose deltas fall or rise as the fields of their configurations ask."""
    slopes = {"relu": -0.1, "sigmoid": -0.6, "he_normal": 0.1, "xavier_normal": 0.0}
    traces = []
    for place, config in enumerate(configs):
        net = config.network
        slope = slopes[net.activation] + slopes[net.init] + 0.2 * (net.gain - 1) + 1e-4 * (place % 7)
        traces.append(dataclasses.replace(trace(net, slope, seeds=seeds), config=config))
    return frame(traces)


def trained(sweep, steps=(0, 1, 4, 16)):
    """The frame of trainings, each step a little lower."""
    base = made(list(sweep.configs()))
    tables = []
    for step in steps:
        lower = 0.05 * np.log1p(step) * (1 + 0.3 * (base["optimizer"].astype(str) == "adam").to_numpy())
        table = base.assign(step=step)
        for column in ("log10_delta_rms", "log10_weight_grad_norm"):
            table[column] = table[column] - lower * table["layer"]
        table["log10_update_ratio"] = table["log10_weight_grad_norm"] - 2
        table["log10_train_loss"], table["log10_test_loss"] = 0.3 - lower, 0.4 - lower
        table["train_accuracy"] = table["test_accuracy"] = 0.1 + lower
        tables.append(table)
    return concat([pd.concat(tables, ignore_index=True)])


def check_figures(table, names=None):
    """Every figure of the page of a frame is drawn, and read; or those with these names."""
    drawn = []
    for choose in Content(run_of(table)).figures:
        for figure in (f for f in choose() if names is None or f.name in names):
            axes, note = figure.make()
            found = faults(figure_of(axes))
            assert not found, (figure.name, found)
            assert figure_of(axes).get_figwidth() <= 7
            drawn.append((figure.name, plots.caption(axes) + note))
            plt.close("all")
    return dict(drawn)


@pytest.mark.slow
def test_a_small_grid_of_trainings():
    few = {name: NETWORKS[name] for name in ("depth", "activation", "init")}
    table = trained(TrainingSweep(**few, optimizer=("sgd", "adam"), norm=None), steps=(0, 1, 16))
    said = check_figures(table, names=("forest", "learning_speed", "gradient_flow"))
    assert list(said) == ["forest", "learning_speed", "gradient_flow"]
    for text in said.values():  # each coordinate is named once
        for whose in re.findall(r"(?:and|falls by|grows by) [^()]*\(([^()]*)\)", text.split(". ")[0]):
            assert len(set(whose.split(", "))) == len(whose.split(", ")), text
            assert "last step" not in whose or "step 16" not in whose, text
    assert "Learning rate: 0.1 with SGD and 0.001 with Adam." in said["learning_speed"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sweep", "training"])
def test_two_values_on_every_coordinate(kind, tmp_path, monkeypatch):
    if kind == "sweep":
        table = made(list(Sweep(**NETWORKS).configs()))
    else:
        few = {name: NETWORKS[name] for name in ("depth", "activation", "init")}
        table = trained(TrainingSweep(**few, **TRAININGS))
    said = check_figures(table)
    # what is left out is named, with how it was chosen
    assert all(name == "forest" or "networks: " in text for name, text in said.items()), said
    assert "evenly spaced in the order of their decades" in said["forest"]
    monkeypatch.setattr("gradlab.reporting.figures.FORMATS", ("png",))
    page = report(run_of(table), out=tmp_path, html=True).read_text()
    assert "Not drawn" not in page and "Not made" not in page
    assert "`rates.csv` beside this page has all" in page
    assert len(pd.read_csv(tmp_path / "rates.csv")) == len(Content(run_of(table)).rates)
