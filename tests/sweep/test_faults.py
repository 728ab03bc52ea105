"""What can go wrong while a sweep runs, done for real: what was finished stays, and the frame ends with the same bits.

``docs/faults.md`` has the table of all faults, each with the test that shows it.
"""

import contextlib
import json
import os
import re
import shutil
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

pytestmark = pytest.mark.slow
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


def started(out, *options, **how):
    words = [sys.executable, "-m", "gradlab", "sweep", *SMALL.split(), *options, "--out", str(out), "--no-cache"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, **how)


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
    """The workers that it started and that live."""
    psutil = pytest.importorskip("psutil")
    workers = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie among them
            if "spawn_main" in " ".join(child.cmdline()):
                workers.append(child)
    return workers


def in_a_terminal():
    """What a terminal gives a process that the suite starts, also where the suite itself ignores Ctrl-C."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("replaced", [False, True])
def test_ctrl_c_with_workers_is_one_line_and_the_same_command_continues(tmp_path, measured, replaced):
    """A terminal sends Ctrl-C to the workers too, also to those that took the place of killed ones."""
    pytest.importorskip("distributed")
    process = started(tmp_path, "--executor", "dask", "--workers", "2", preexec_fn=in_a_terminal)
    wait_for_a_part(tmp_path, process)
    if replaced:
        before = children(process)
        for worker in before:
            worker.send_signal(signal.SIGKILL)
        while not set(children(process)) - set(before) and process.poll() is None:
            time.sleep(0.01)
    kept = {path: path.read_bytes() for path in parts(tmp_path)}
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130
    lines = [line for line in said.splitlines() if line and not re.search("Restarting worker|runs, .*left", line)]
    assert lines[-1].startswith("gradlab: interrupted; this command continues: gradlab sweep --depth 2 3")
    assert all(line.startswith("gradlab: ") for line in lines) and len(lines) == 2, said
    assert 0 < len(kept) < len(parts(measured))
    again = started(tmp_path, "--executor", "dask", "--workers", "2")
    _, said = again.communicate(timeout=200)
    assert again.returncode == 0, said
    assert all(path.read_bytes() == content for path, content in kept.items())
    check_equal(tmp_path, measured)


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


# --- networks that fail ---------------------------------------------------------------------


def test_a_network_that_raises_is_failed_rows_and_the_rest_completes(tmp_path, undisturbed, monkeypatch):
    monkeypatch.setattr(FakeTask, "broken", frozenset({"mlp depth=2 tanh he_normal width=8"}))
    frame, whole = go(tmp_path), gl.load(undisturbed).frame
    failed = frame["status"] != "ok"
    assert set(frame["status"][failed]) == {"FloatingPointError: cannot do 2"} and len(frame[failed]) == 23
    culprit = (whole["depth"] == 2) & (whole["activation"] == "tanh") & (whole["width"] == 8)
    kept = [
        f.astype({"status": str, "layer_name": str}).reset_index(drop=True) for f in (frame[~failed], whole[~culprit])
    ]
    pd.testing.assert_frame_equal(*kept, rtol=0, atol=1e-12)  # its company is computed alone: as fakes.py rounds
    monkeypatch.setattr(FakeTask, "broken", frozenset())
    assert set(go(tmp_path, retry_failed=True)["status"]) == {"ok"}
    check_equal(tmp_path, undisturbed)


# --- the folder -----------------------------------------------------------------------------

#: Runs the sweep in the folder that is given, slowly if that is asked for.
PROGRAM = """
import sys
from fakes import FakeTask
from test_faults import go
from gradlab._errors import GradlabError

FakeTask.seconds = float(sys.argv[2])
try:
    go(sys.argv[1])
except GradlabError as error:
    sys.exit(str(error))
"""


def test_two_sweeps_started_on_one_folder_at_once(tmp_path, undisturbed):
    words = [sys.executable, "-c", PROGRAM, str(tmp_path), "0.1"]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) for _ in range(2)]
    said = [process.communicate(timeout=100)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 1], said
    refused = codes.index(1)
    assert f"running there as process {both[1 - refused].pid} on " in said[refused]
    check_equal(tmp_path, undisturbed)


def damage(out, how):
    """Change parts of a finished run on the disk."""
    files = parts(out)
    one, other = files[0], files[-1]
    content = one.read_bytes()
    middle = len(content) // 8  # among the rows: in the footer there are bytes that mean nothing
    if how == "truncated":
        one.write_bytes(content[:middle])
    elif how == "flipped":
        one.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    elif how == "emptied":
        one.write_bytes(b"")
    else:
        one.write_bytes(other.read_bytes())
        other.write_bytes(content)
    return {one, other} if how == "swapped" else {one}


@pytest.mark.parametrize("how", ["truncated", "flipped", "emptied", "swapped"])
def test_a_part_that_changed_on_the_disk_is_computed_again(tmp_path, undisturbed, how):
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    before = {path: path.read_bytes() for path in parts(out)}
    changed = damage(out, how)
    assert all(path.read_bytes() != before[path] for path in changed)
    (out / "frame.parquet").unlink()
    go(out)
    assert {path: path.read_bytes() for path in parts(out)} == before
    check_equal(out, undisturbed)


@pytest.mark.parametrize("now", [0.0, 4e9])
def test_the_clock_decides_nothing(tmp_path, undisturbed, monkeypatch, now):
    """Files of the past and of the future, and a clock that runs backwards."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    (gone, *kept) = parts(out)
    gone.unlink()
    (out / "frame.parquet").unlink()
    for i, path in enumerate(out.rglob("*")):
        os.utime(path, (4e9, 4e9) if i % 2 else (0, 0))
    times = {path: path.stat().st_mtime for path in kept}
    ticks = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: now - next(ticks))
    FakeTask.calls.clear()
    go(out)
    assert len(FakeTask.calls) == 1 and {path: path.stat().st_mtime for path in kept} == times
    check_equal(out, undisturbed)


def in_namespace(commands, place):
    """Run lines of a shell that may mount; ``$0`` is Python, ``$1`` the folder. What they said."""
    words = ["unshare", "-Urm", "sh", "-c", commands, sys.executable, str(place), PROGRAM]
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert "Traceback" not in done.stderr
    return done


def test_a_disk_that_was_full_and_has_room_again(tmp_path, undisturbed):
    """A memory file system with room for about half of the parts, which then becomes larger."""
    pages = sum(-(-path.stat().st_size // 4096) for path in parts(undisturbed))
    done = in_namespace(
        f"mount -t tmpfs -o size={4 * (pages // 2 + 6)}k tmpfs $1 || exit 77\n"
        '"$0" -c "$2" $1/out 0 && exit 3\n'
        "cp -r $1/out $1.full\nmount -o remount,size=64m $1 || exit 77\n"
        '"$0" -c "$2" $1/out 0 && cp -r $1/out $1.end',
        made(tmp_path / "disk"),
    )
    assert done.returncode == 0, done.stderr
    assert re.search("room to write .*No space left on device; try freeing space and the same command", done.stderr)
    full, end = Path(f"{tmp_path}/disk.full"), Path(f"{tmp_path}/disk.end")
    assert 0 < len(parts(full)) < len(parts(end))
    assert not list(full.rglob("*.tmp"))
    assert all((end / "parts" / path.name).read_bytes() == path.read_bytes() for path in parts(full))
    check_equal(end, undisturbed)


def test_a_folder_that_became_read_only(tmp_path, undisturbed):
    """It is read, and a sweep in it is refused before anything is computed; as root permissions would not hold."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    parts(out)[0].unlink()
    done = in_namespace(
        "mount --bind $1 $1 && mount -o remount,bind,ro $1 || exit 77\n"
        '"$0" -c "import gradlab as gl, sys; print(len(gl.load(sys.argv[1]).frame))" $1\n"$0" -c "$2" $1 9',
        out,
    )
    assert done.returncode == 1 and done.stdout.split() == [str(len(gl.load(undisturbed).frame))]
    assert re.search("able to write .*Read-only file system; try another folder", done.stderr)
    go(out)
    check_equal(out, undisturbed)


def made(folder):
    folder.mkdir()
    return folder
