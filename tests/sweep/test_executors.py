import contextlib
import os
import signal

import pandas as pd
import pytest
from fakes import FakeData, FakeTask

from gradlab.config import Sweep
from gradlab.sweep.cluster import deciding
from gradlab.sweep.executors import compute, compute_inside
from gradlab.sweep.plan import plan
from gradlab.sweep.run import run

SWEEP = Sweep(depth=(2, 3), width=(4, 8), activation="relu", init="he_normal", seeds=11)


class Killed(FakeTask):
    """The first worker that gets a network of width 8 is killed; each one that gets width 4, depth 2, seed 10, is."""

    always = False

    def rows(self, configs, seeds):
        mark = self.data.name
        if configs[0].width == 8 and not os.path.exists(mark):
            open(mark, "x").close()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.always and configs[0].width == 4 and 10 in seeds:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rows(configs, seeds)


class AlwaysKilled(Killed):
    always = True


def test_only_the_culprit_fails_and_the_others_are_computed_alone(monkeypatch):
    monkeypatch.setattr(FakeTask, "broken", frozenset({"mlp depth=3 relu he_normal width=4"}))
    monkeypatch.setattr(FakeTask, "calls", [])
    task = FakeTask(SWEEP, FakeData())
    unit = plan([SWEEP], task, {})[0]
    good, bad = compute(task, unit)
    assert set(good["status"]) == {"ok"}
    assert set(bad["status"]) == {"FloatingPointError: cannot do 3"}
    assert [len(configs) for configs, _ in FakeTask.calls] == [2, 1, 1]


def test_another_process_computes_inside_a_context_of_its_own(monkeypatch):
    inside = []

    @contextlib.contextmanager
    def around():
        inside.append("in")
        yield
        inside.append("out")

    monkeypatch.setattr(FakeTask, "rows", lambda *args: inside.append("rows"))
    task = FakeTask(SWEEP, FakeData())
    compute_inside(around, deciding(), task, plan([SWEEP], task, {})[0])
    assert inside == ["in", "rows", "out"]


def test_a_failure_without_words_has_the_name_of_its_kind(monkeypatch):
    def rows(self, configs, seeds):
        raise MemoryError

    monkeypatch.setattr(FakeTask, "rows", rows)
    task = FakeTask(SWEEP, FakeData())
    assert compute(task, plan([SWEEP], task, {})[0])[0]["status"][0] == "MemoryError"


@pytest.fixture
def quiet():
    """Workers that die are what is tried here, not news."""
    pytest.importorskip("distributed")
    import logging

    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_dask_survives_a_killed_worker_and_gives_the_same_frame(tmp_path, quiet):
    data = FakeData(str(tmp_path / "mark"))
    frame = run(SWEEP, data, tmp_path / "out", task=Killed, executor="dask", workers=2, progress=False)
    assert (tmp_path / "mark").exists()
    pd.testing.assert_frame_equal(frame, run(SWEEP, data, task=FakeTask, progress=False), check_exact=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_unit_that_kills_every_worker_is_a_failure(tmp_path, quiet):
    data = FakeData(str(tmp_path / "mark"))
    frame = run(SWEEP, data, tmp_path / "out", task=AlwaysKilled, executor="dask", workers=2, progress=False)
    failed = frame[frame["status"] != "ok"]
    assert failed["status"].str.startswith("KilledWorker").all()
    assert set(failed["width"]) == {4}
    assert set(failed["seed"]) == {10}
    keys, whole = ["network", "seed", "layer"], run(SWEEP, data, task=FakeTask, progress=False)
    others = whole[(whole["width"] != 4) | (whole["seed"] != 10)]
    kept = frame[frame["status"] == "ok"]
    plain = [rows.astype({"network": str})[[*keys, "log10_delta_rms"]].sort_values(keys) for rows in (kept, others)]
    pd.testing.assert_frame_equal(*[rows.reset_index(drop=True) for rows in plain], check_exact=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_knows_registered_functions(quiet, own_activation):
    own_activation("twice", lambda z: 2 * z, lambda z: 2 + 0 * z)
    sweep = Sweep(depth=2, width=8, activation="twice", init="he_normal", seeds=2, data="gaussian", batch=16)
    frame = run(sweep, executor="dask", workers=1, progress=False)
    pd.testing.assert_frame_equal(frame, run(sweep, progress=False), check_exact=True)


def test_where_memory_does_not_suffice_a_unit_is_halved(monkeypatch):
    """Units of more than two networks do not fit; nothing is wrong with any of them."""
    plain = FakeTask.rows

    def rows(self, configs, seeds):
        if len(configs) > 2:
            self.calls.append((tuple(configs), tuple(seeds)))
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes")
        return plain(self, configs, seeds)

    monkeypatch.setattr(FakeTask, "rows", rows)
    monkeypatch.setattr(FakeTask, "calls", [])
    sweep = Sweep(depth=(1, 2, 3, 4, 5, 6, 7), width=4, activation="relu", init="he_normal", seeds=2)
    task = FakeTask(sweep, FakeData())
    frames = compute(task, plan([sweep], task, {})[0])
    assert [set(frame["status"]) for frame in frames] == [{"ok"}] * 7
    assert [len(configs) for configs, _ in FakeTask.calls] == [7, 3, 1, 1, 1, 3, 1, 1, 1, 1]
