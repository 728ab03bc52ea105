"""What can go wrong while a sweep runs, done for real: what was finished stays, and the frame ends with the same bits.

``docs/faults.md`` has the table of all faults, each with the test that shows it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from fakes import FakeData, FakeTask

import gradlab as gl
from gradlab.config import Sweep
from gradlab.sweep.run import run

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SWEEP = Sweep(depth=(1, 2), width=(4, 8, 16), activation=("relu", "tanh"), init="he_normal", seeds=23)
KEY = ["network", "seed", "step", "layer"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), str(ROOT)))}


def go(out=None, sweep=SWEEP, task=FakeTask, **options):
    return run(sweep, FakeData(), out, task=task, **{"progress": False, **options})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a serial run that was left alone."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    go(out)
    return out


def parts(out):
    return sorted((out / "parts").glob("*.parquet"))


def rows(out):
    """The rows of all parts, in an order that does not depend on how they are dealt out to files."""
    tables = [pd.DataFrame(pq.ParquetFile(path).read().to_pandas()) for path in parts(out)]
    return pd.concat(tables).sort_values(KEY, ignore_index=True).sort_index(axis=1)


def check_equal(out, undisturbed):
    """Whether a run has the frame and the rows of the one that was left alone, to the bit."""
    pd.testing.assert_frame_equal(gl.load(out).frame, gl.load(undisturbed).frame, check_exact=True)
    pd.testing.assert_frame_equal(rows(out), rows(undisturbed), check_exact=True)


# --- signals --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code", "word"), [
    ("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated"), ("SIGKILL", -9, None),
])  # fmt: skip
def test_a_signal_at_any_moment_keeps_what_was_finished(tmp_path, name, code, word):
    done = subprocess.run(
        [sys.executable, HERE / "signal_target.py", tmp_path, name],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stopped = 0
    for attempt in map(json.loads, done.stdout.splitlines()):
        assert attempt["before"].items() <= attempt["after"].items()
        assert "Traceback" not in attempt["said"]
        if attempt["code"] == 0:
            check_equal(Path(attempt["out"]), tmp_path / "undisturbed")
            continue
        stopped += 1
        assert attempt["code"] == code
        last = attempt["said"].splitlines()[-1:]
        assert last == [] if word is None else last[0].startswith(f"gradlab: {word}; this command continues: gradlab ")
    assert stopped >= 4  # in each round the first, and some of the others


SMALL = "--depth 2 3 --width 8 12 16 20 --activation tanh --init he_normal --data gaussian --batch 8 --seeds 12"


def started(out, *options):
    words = [sys.executable, "-m", "gradlab", "sweep", *SMALL.split(), *options, "--out", str(out), "--no-cache"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def wait_for_a_part(out, process):
    while not parts(out) and process.poll() is None:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The folder of a serial run of real networks that was left alone."""
    out = tmp_path_factory.mktemp("measured") / "out"
    process = started(out)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    return out


@pytest.mark.slow
def test_the_end_of_a_job_is_one_line_and_the_same_command_continues(tmp_path, measured):
    """SIGTERM is what a batch system sends before it kills; with real networks."""
    process = started(tmp_path)
    wait_for_a_part(tmp_path, process)
    process.terminate()
    _, said = process.communicate(timeout=100)
    assert process.returncode == 143 and "Traceback" not in said
    *_, last = said.splitlines()
    assert last.startswith("gradlab: terminated; this command continues: gradlab sweep --depth 2 3")
    kept = {path: path.read_bytes() for path in parts(tmp_path)}
    assert 0 < len(kept) < len(parts(measured))
    again = started(tmp_path)
    _, said = again.communicate(timeout=200)
    assert again.returncode == 0, said
    assert all(path.read_bytes() == content for path, content in kept.items())
    check_equal(tmp_path, measured)


# --- workers --------------------------------------------------------------------------------


def children(process):
    """The processes that it started."""
    psutil = pytest.importorskip("psutil")
    return [c for c in psutil.Process(process.pid).children(recursive=True) if "spawn_main" in " ".join(c.cmdline())]


@pytest.mark.slow
def test_a_worker_killed_while_it_measures_costs_nothing(tmp_path, measured):
    """The workers of ``--executor dask``, with real networks: each is killed once."""
    pytest.importorskip("distributed")
    process = started(tmp_path, "--executor", "dask", "--workers", "2")
    wait_for_a_part(tmp_path, process)
    killed = children(process)
    for worker in killed:
        worker.send_signal(signal.SIGKILL)
    _, said = process.communicate(timeout=250)
    assert len(killed) >= 2 and process.returncode == 0, said
    check_equal(tmp_path, measured)


# --- memory ---------------------------------------------------------------------------------

#: Bytes that no machine has room to address.
TOO_MANY = 2**47


class Large(FakeTask):
    """Two networks or more do not fit: of the memory of the host, or of that of XLA."""

    allocate = staticmethod(lambda: None)

    def rows(self, configs, seeds):
        if len(configs) > 1:
            self.allocate()
        return super().rows(configs, seeds)


def on_the_host():
    np.empty(TOO_MANY, np.uint8).fill(1)


def on_the_device():
    import jax

    jax.block_until_ready(jax.numpy.zeros(TOO_MANY // 4, jax.numpy.float32))


@pytest.mark.slow
@pytest.mark.parametrize(("allocate", "message"), [
    (on_the_host, "Unable to allocate"), (on_the_device, "RESOURCE_EXHAUSTED"),
])  # fmt: skip
def test_memory_that_is_really_short_halves_the_unit(undisturbed, monkeypatch, allocate, message):
    """Rounding depends on the networks that are computed together, so the halves agree to rounding."""
    with pytest.raises((MemoryError, RuntimeError), match=message):
        allocate()
    monkeypatch.setattr(Large, "allocate", staticmethod(allocate))
    frame = go(task=Large)
    assert set(frame["status"]) == {"ok"}
    pd.testing.assert_frame_equal(frame, gl.load(undisturbed).frame, rtol=0, atol=1e-12)  # as fakes.py rounds
