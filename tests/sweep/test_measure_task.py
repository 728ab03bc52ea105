"""What a sweep runs by default: real networks, small ones."""

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from gradlab._errors import GradlabError
from gradlab.config import MLPConfig, Sweep
from gradlab.data import load
from gradlab.frames.rows import frame as frame_of
from gradlab.measurement import measure as measuring
from gradlab.networks.mlp import MLP
from gradlab.sweep.measure_task import MeasureTask
from gradlab.sweep.run import run

#: Few columns, because what takes time here is compilation.
SWEEP = Sweep(
    depth=(1, 3), width=8, activation=("tanh", "relu"), init=("he_normal", "xavier_normal"), seeds=2,
    data="gaussian", batch=12, columns=("log10_delta_rms", "log10_activation_rms"),
)  # fmt: skip


def shas(out):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in [out / "frame.parquet", *out.glob("parts/*")]}


@pytest.mark.parametrize("columns", [SWEEP.columns, pytest.param(None, marks=pytest.mark.slow)])
def test_a_row_of_a_sweep_is_the_measurement_of_that_network_alone(columns):
    sweep = dataclasses.replace(SWEEP, dtype="float64", columns=columns)
    data = load("gaussian", batch=12, dtype="float64")
    frame = run(sweep, progress=False)
    net = MLP(depth=3, width=8, activation="relu", init="xavier_normal")
    alone = frame_of(measuring.measure(net, data.x, data.y, seeds=2, dtype="float64", data="gaussian", columns=columns))
    rows = frame[frame["network"] == alone["network"].iloc[0]].reset_index(drop=True)
    text = {name: str for name, dtype in alone.dtypes.items() if dtype == "category"}
    pd.testing.assert_frame_equal(rows.astype(text), alone.astype(text), rtol=1e-9, atol=1e-12)


def test_a_resumed_sweep_has_the_bits_of_an_undisturbed_one(tmp_path):
    run(SWEEP, out=tmp_path, progress=False)
    whole = shas(tmp_path)
    for path in sorted(tmp_path.glob("parts/*"))[::3]:
        path.unlink()
    (tmp_path / "frame.parquet").unlink()
    run(SWEEP, out=tmp_path, progress=False)
    assert shas(tmp_path) == whole


@pytest.mark.slow
def test_another_process_gives_the_same_bits(tmp_path):
    run(SWEEP, out=tmp_path / "here", progress=False)
    code = f"from gradlab.sweep.run import run; from gradlab.config import *; run({SWEEP!r}, out='{tmp_path}/there')"
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env={**os.environ, "PYTHONPATH": root})
    assert shas(tmp_path / "there") == shas(tmp_path / "here")


@pytest.mark.slow
def test_an_activation_that_changed_under_its_name_is_seen(tmp_path, own_activation, capsys):
    own_activation("own", lambda z: jnp.sin(z), lambda z: jnp.cos(z))
    sweep = dataclasses.replace(SWEEP, activation=("own", "relu"), init="he_normal", depth=2)
    first = run(sweep, out=tmp_path, progress=False)
    own_activation("own", lambda z: jnp.sin(2 * z), lambda z: 2 * jnp.cos(2 * z))
    second = run(sweep, out=tmp_path)
    assert "activation own is not the function it was" in capsys.readouterr().err
    mean = lambda frame, name: frame[frame["activation"] == name]["log10_delta_rms"].mean()
    assert mean(first, "relu") == mean(second, "relu")
    assert mean(first, "own") != mean(second, "own")


def test_a_network_that_fails_is_a_row_of_its_seed(monkeypatch):
    measure_group = measuring.measure_group

    def fails(configs, *args, **options):
        if any(c.activation == "tanh" for c in configs):
            raise RuntimeError("no memory")
        return measure_group(configs, *args, **options)

    sweep = dataclasses.replace(SWEEP, depth=2, init="he_normal")
    monkeypatch.setattr("gradlab.sweep.measure_task.measure_group", fails)
    frame = run(sweep, progress=False)
    failed = frame[frame["status"] != "ok"]
    assert list(failed["status"]) == ["RuntimeError: no memory"] * 2
    assert list(failed["seed"]) == [0, 1]
    assert set(failed["layer"]) == {0}
    assert set(failed["activation"]) == {"tanh"}
    assert frame["network"].nunique() == 2


def test_arrays_are_data_and_other_arrays_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5)).astype("float32"), np.arange(12) % 3
    sweep = dataclasses.replace(SWEEP, depth=2, activation="relu", init="he_normal", columns=("weight_norm",))
    frame = run(sweep, (x, y), tmp_path, progress=False)
    assert set(frame["data"]) == {"arrays"}
    assert "weight_norm" in frame
    assert "log10_delta_rms" not in frame
    with pytest.raises(GradlabError, match="other content"):
        run(sweep, (x + 1, y), tmp_path, progress=False)


def test_data_given_by_name_are_those_of_the_request():
    sweep = dataclasses.replace(SWEEP, depth=2, activation="relu", init="he_normal", data="digits")
    assert set(run(sweep, "gaussian", progress=False)["data"]) == {"gaussian"}


@pytest.mark.parametrize("data", ["mnist", "missing.csv", (np.full((12, 3), np.nan), np.zeros(12, int))])
def test_bad_data_stop_before_anything_is_made(tmp_path, data):
    with pytest.raises(GradlabError):
        run(SWEEP, data, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_widths_layer_by_layer_are_groups_of_their_own():
    task = MeasureTask(SWEEP, load("gaussian", batch=12))
    groups = [task.group(MLPConfig(depth=3, width=width)) for width in (8, (8, 4, 8), (8, 8, 8))]
    assert groups[0] == groups[2] != groups[1]
