"""Trainings as a sweep: the rows, what a folder keeps of them, the command line and the page."""

import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab import GradlabError, cli
from gradlab.config import TrainingConfig
from gradlab.data import load
from gradlab.sweep import executors
from gradlab.sweep.grid import as_values, differences, from_values
from gradlab.sweep.train_task import TrainTask
from gradlab.training.seeds import _Run

pytestmark = pytest.mark.usefixtures("standard_promotion")

SMALL = dict(depth=2, width=8, activation="relu", init="he_normal", steps=20, records=4, batch=32)
COLUMNS = ("log10_delta_rms", "log10_preactivation_rms", "log10_activation_rms", "log10_update_ratio")


def test_a_grid_has_networks_and_ways_to_train_them():
    sweep = gl.TrainingSweep(depth=[2, 3], optimizer=["sgd", "adam"], activation="relu", init="he_normal")
    configs = list(sweep.configs())
    assert [(c.network.depth, c.optimizer, c.learning_rate) for c in configs] == [
        (2, "sgd", 0.1), (2, "adam", 0.001), (3, "sgd", 0.1), (3, "adam", 0.001)
    ]  # fmt: skip
    assert len({str(c.as_dict()) for c in configs}) == 4
    assert from_values(as_values(sweep), gl.TrainingSweep) == sweep
    assert differences(sweep, gl.Sweep()) == ["a Sweep instead of a TrainingSweep"]


def test_a_training_and_a_network_are_asked_for_the_network_alike():
    net = gl.MLP(depth=7)
    assert TrainingConfig(net).network == net.network == net
    with pytest.raises(AttributeError):
        TrainingConfig(net).depth  # noqa: B018


def test_what_would_be_computed_is_told_beforehand(capsys):
    table = gl.run(gl.TrainingSweep(**SMALL, optimizer=["sgd", "adam"], seeds=2), dry_run=True)
    assert "2 networks, 4 runs in 2 units" in capsys.readouterr().out
    # three products of 32 examples with 64 x 8, 8 x 8 and 8 x 10 weights, 20 steps and 2 seeds
    assert table["flops"].tolist() == [6 * 32 * (64 * 8 + 8 * 8 + 8 * 10) * 20 * 2] * 2


@pytest.mark.slow
def test_a_row_of_a_sweep_is_that_of_the_network_alone():
    sweep = gl.TrainingSweep(**SMALL, optimizer=["momentum"], clip_norm=0.5, seeds=2, columns=COLUMNS)
    frame = gl.run(sweep, progress=False)
    data = load("digits", dtype="float64")
    net = gl.MLP(depth=2, width=8, activation="relu", init="he_normal")
    alone = gl.frame(
        gl.train(net, data.x, data.y, optimizer="momentum", clip_norm=0.5, steps=20, records=4, batch=32, seeds=2,
                 columns=COLUMNS, data="digits", progress=False)
    )  # fmt: skip
    by = ["seed", "step", "layer"]
    for column in COLUMNS:
        np.testing.assert_array_equal(frame.sort_values(by)[column], alone.sort_values(by)[column])


@pytest.mark.parametrize("steps", [3, 300], ids=["brief", "long"])
@pytest.mark.slow
def test_depths_and_optimisers_share_programs_and_each_gets_its_own_numbers(steps):
    compiled = []

    def heard(event, seconds, fun_name="", **_):
        if event.endswith("backend_compile_duration"):
            compiled.append(fun_name)

    columns = ("log10_delta_rms", "log10_update_ratio")
    grid = dict(activation="tanh", init="xavier_normal", width=7, steps=steps, batch=32, records=2, seeds=1,
                columns=columns, dtype="float64")  # fmt: skip
    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        frame = gl.run(gl.TrainingSweep(depth=[1, 3], optimizer=["sgd", "adam", "adamw"], **grid), progress=False)
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)
    assert {compiled.count(f"jit({name})") for name in ("gradient", "outputs_at", "program")} == {1}
    assert compiled.count("jit(update)") == 2 * 2  # of sgd and of adam, at two depths
    assert compiled.count("jit(advance)") == (0 if steps == 3 else 2 * 2)
    alone = gl.run(gl.TrainingSweep(depth=1, optimizer="adamw", **grid), progress=False)
    same = frame[(frame["depth"] == 1) & (frame["optimizer"] == "adamw")]
    for column in columns:
        np.testing.assert_allclose(same[column], alone[column], rtol=1e-9, err_msg=column)


@pytest.mark.slow
def test_what_is_killed_or_extended_keeps_what_it_has(tmp_path, monkeypatch):
    sweep = dict(**SMALL, columns=COLUMNS, seeds=1)
    whole = gl.run(gl.TrainingSweep(**sweep, optimizer=["sgd", "adam"]), out=tmp_path / "whole", progress=False)
    rows, calls = TrainTask.rows, []

    def killed(self, configs, seeds):
        calls.append(configs)
        if len(calls) == 2:  # it is under way beside the first, until that one is kept
            while not list((tmp_path / "cut").glob("parts/*.parquet")):
                time.sleep(0.01)
            raise KeyboardInterrupt
        return rows(self, configs, seeds)

    monkeypatch.setattr(TrainTask, "rows", killed)
    with pytest.raises(KeyboardInterrupt):
        gl.run(gl.TrainingSweep(**sweep, optimizer=["sgd", "adam"]), out=tmp_path / "cut", progress=False)
    again = gl.run(gl.TrainingSweep(**sweep, optimizer=["sgd", "adam"]), out=tmp_path / "cut", progress=False)
    assert len(calls) == 3 and calls[2][0].optimizer == "adam"  # the first was not trained again
    pd.testing.assert_frame_equal(again, whole)
    with pytest.raises(GradlabError, match="a Sweep instead of a TrainingSweep"):
        gl.run(gl.Sweep(depth=2), out=tmp_path / "cut", progress=False)


@pytest.mark.slow
def test_an_interrupt_does_not_wait_for_the_trainings_under_way(monkeypatch):
    """Two trainings of many steps are under way; a third has not begun."""
    begun, finished = [], []
    trained = _Run.train

    def train(self, members, *rest):
        begun.append(members)
        found = trained(self, members, *rest)
        finished.append(members)
        return found

    def interrupted(futures):
        while len(begun) < 2:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "train", train)
    monkeypatch.setattr(executors, "as_completed", interrupted)
    sweep = gl.TrainingSweep(**SMALL | {"steps": 50_000, "records": 100}, learning_rate=[0.01, 0.1, 1.0], seeds=1,
                             columns=COLUMNS)  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        gl.run(sweep, progress=False)
    assert len(begun) == 2 and finished == []


@pytest.mark.slow
def test_train_and_report_and_once_more(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--depth", "2", "--width", "8", "--activation", "relu", "--init", "he_normal", "--steps", "20"]
    words += ["--optimizer", "sgd", "adam", "--records", "4", "--batch", "32", "--out", "runs/demo", "--quiet"]
    assert cli.main([*words, "--report"]) == 0
    frame = pd.read_parquet("runs/demo/frame.parquet")
    assert len(frame) == 2 * 3 * 4 * 3 and set(frame["optimizer"]) == {"sgd", "adam"}
    assert "adam" in Path("runs/demo/report.md").read_text()
    assert cli.main([*words, "--seeds", "4"]) == 0  # more seeds extend it
    assert len(pd.read_parquet("runs/demo/frame.parquet")) == len(frame) // 3 * 4
    capsys.readouterr()
    assert cli.main([*words, "--seeds", "4", "--steps", "21"]) == 2
    assert "steps=21 instead of 20" in capsys.readouterr().err
