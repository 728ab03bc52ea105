"""A sweep that is killed again and again ends with the files of one that was left alone."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def killed(out, kills, seed=0):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, HERE / "kill_target.py", out, str(kills), str(seed)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return len(done.stdout.splitlines())


def results(out):
    """The hash of everything but the provenance, which has times."""
    files = [out / "frame.parquet", out / "frame.csv", out / "sweep.toml", *sorted((out / "parts").iterdir())]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_kills_at_random_times_and_at_each_kind_of_file_change_nothing(tmp_path):
    assert killed(tmp_path / "undisturbed", 0) == 0
    assert killed(tmp_path / "out", 20, seed=1) == 20 + 4 * 3
    assert results(tmp_path / "out") == results(tmp_path / "undisturbed")
