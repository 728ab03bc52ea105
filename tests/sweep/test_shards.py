"""A sweep in slices: any order, at the same time, killed or not, and the bits of a serial run."""

import json
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest
from fakes import FakeData, FakeTask

from gradlab._errors import GradlabError
from gradlab.config import Sweep
from gradlab.sweep.plan import plan
from gradlab.sweep.run import run
from gradlab.sweep.shard import Shard

SWEEP = Sweep(depth=(1, 2, 3), width=(4, 8, 16), activation=("relu", "tanh"), init="he_normal", seeds=23)


def go(out, shard=None, sweep=SWEEP, **options):
    return run(sweep, FakeData(), out, task=FakeTask, shard=shard, **{"progress": False, **options})


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    out = tmp_path_factory.mktemp("serial")
    return go(out), (out / "frame.parquet").read_bytes()


def test_the_shard_that_ends_last_reads_each_part_once(tmp_path, monkeypatch):
    from gradlab.sweep.store import FolderStore

    go(tmp_path, "1/2")
    reads, read = [], FolderStore.read
    monkeypatch.setattr(FolderStore, "read", lambda self, unit: reads.append(unit.name) or read(self, unit))
    go(tmp_path, "2/2")
    assert sorted(reads) == sorted(path.name for path in (tmp_path / "parts").iterdir())


@pytest.mark.parametrize("count", [2, 4, 30])
def test_shards_in_any_order_have_the_bits_of_a_serial_run(tmp_path, serial, count):
    numbers = list(range(1, count + 1))
    random.Random(count).shuffle(numbers)
    frames = [go(tmp_path, f"{k}/{count}") for k in numbers]
    complete = [frame.attrs.get("complete", True) for frame in frames]
    # more slices than units: some are empty, and each that finds all parts there puts them together
    assert complete == sorted(complete) and complete[-1] and (count > 9 or sum(complete) == 1)
    pd.testing.assert_frame_equal(frames[-1], serial[0], check_exact=True)
    assert (tmp_path / "frame.parquet").read_bytes() == serial[1]
    # of each slice the rows of its own networks: together all of them
    assert sum(map(len, frames[: complete.index(True)])) < len(serial[0])
    notes = json.loads((tmp_path / "provenance.json").read_text())
    assert sum(session["parts_computed"] for session in notes["sessions"]) == len(list((tmp_path / "parts").iterdir()))
    assert not list(tmp_path.glob("provenance.*-of-*"))  # they are in it


def test_the_slices_hold_each_unit_once():
    units = plan([SWEEP], FakeTask(SWEEP, FakeData()), {})
    dealt = [Shard(k, 4).units(units) for k in range(1, 5)]
    assert sorted(map(id, (unit for some in dealt for unit in some))) == sorted(map(id, units))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_the_plain_sweep_puts_together_what_shards_left(tmp_path, serial, monkeypatch):
    go(tmp_path, "1/3")
    monkeypatch.setattr(FakeTask, "calls", [])
    assert len(go(tmp_path, "1/3")) and FakeTask.calls == []  # the same slice again: nothing to do
    frame = go(tmp_path)
    assert 0 < len(FakeTask.calls) < 9
    assert (tmp_path / "frame.parquet").read_bytes() == serial[1] and len(frame) == len(serial[0])


def test_a_damaged_part_of_another_shard_is_computed_again_by_the_last(tmp_path, serial, monkeypatch):
    go(tmp_path, "1/2")
    part = sorted((tmp_path / "parts").iterdir())[0]
    part.write_bytes(part.read_bytes()[:-20])
    monkeypatch.setattr(FakeTask, "calls", [])
    go(tmp_path, "2/2")
    assert len(FakeTask.calls) == 4 + 1  # its own units, and that of the damaged part
    assert (tmp_path / "frame.parquet").read_bytes() == serial[1]


def test_what_another_shard_is_writing_is_left_alone(tmp_path):
    go(tmp_path, "1/2")
    half = tmp_path / "parts" / "abc.parquet.00ff00ff.tmp"
    half.write_bytes(b"half")
    go(tmp_path, "1/2")
    assert half.exists()
    go(tmp_path)
    assert not half.exists()


def test_a_slice_that_runs_already_and_a_sweep_beside_shards_are_refused(tmp_path):
    from gradlab.sweep.store import FolderStore

    first = FolderStore(tmp_path, print, Shard(1, 2))
    first.open()
    try:
        with pytest.raises(GradlabError, match="running there"):
            go(tmp_path, "1/2")
        with pytest.raises(GradlabError, match="running there"):
            go(tmp_path)
        assert go(tmp_path, "2/2").attrs["complete"] is False  # others may
    finally:
        first.close()


@pytest.mark.parametrize("wrong", ["0/3", "4/3", "3", "a/b", "1/2/3", (1,), (1.5, 3), 7, "1/9999999"])
def test_what_is_no_shard_is_refused(tmp_path, wrong):
    with pytest.raises(GradlabError, match=r"shard K/N"):
        go(tmp_path / "out", wrong)
    assert not (tmp_path / "out").exists()


def test_shards_need_a_folder():
    with pytest.raises(GradlabError, match="a folder that the shards share"):
        go(None, "1/2")


HERE = Path(__file__).parent
PROGRAM = """
import sys
from fakes import FakeData, FakeTask
from test_shards import SWEEP
from gradlab.sweep.run import run

FakeTask.seconds = 0.02
run(SWEEP, FakeData(), sys.argv[1], task=FakeTask, progress=False, shard=sys.argv[2])
"""


@pytest.mark.slow
def test_shards_at_the_same_time_one_of_them_killed(tmp_path, serial):
    """Five processes on one folder; the third is killed and started again."""
    start = lambda k: subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path), f"{k}/5"], cwd=HERE,
        env={**os.environ, "PYTHONPATH": f"{HERE.parents[1]}"},
    )  # fmt: skip
    running = {k: start(k) for k in range(1, 6)}
    while not list((tmp_path / "parts").glob("*.parquet")) and all(p.poll() is None for p in running.values()):
        pass
    running[3].kill()
    assert running[3].wait() != 0 and all(running[k].wait() == 0 for k in (1, 2, 4, 5))
    assert start(3).wait() == 0
    assert (tmp_path / "frame.parquet").read_bytes() == serial[1]
