"""Clusters that run already, batch systems, and what is refused before the first task."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from fakes import FakeData, FakeTask

from gradlab import cli
from gradlab._errors import GradlabError
from gradlab.config import Sweep
from gradlab.sweep import cluster as clusters
from gradlab.sweep.cluster import Cluster, Jobs, check_versions
from gradlab.sweep.executors import compute_inside
from gradlab.sweep.plan import plan
from gradlab.sweep.run import run

SWEEP = Sweep(depth=(2, 3), width=(4, 8), activation="relu", init="he_normal", seeds=31)
HERE = Path(__file__).parent


@pytest.mark.slow
def test_the_job_script_asks_for_what_was_given(capsys, tmp_path):
    pytest.importorskip("dask_jobqueue")
    jobs = ["--queue", "short", "--walltime", "04:00:00", "--cores", "3", "--memory", "6GB"]
    assert cli.main(["sweep", "--out", str(tmp_path / "o"), "--executor", "slurm", "--dry-run", *jobs]) == 0
    script = capsys.readouterr().out
    for line in ("#SBATCH -J gradlab", "#SBATCH -p short", "#SBATCH --cpus-per-task=3", "#SBATCH -t 04:00:00"):
        assert line in script.splitlines()
    assert "--nworkers 1" in script or "--nworkers" not in script  # one unit at a time in each job
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"walltime": "4 hours"}, "walltime as HH:MM:SS"),
        ({"memory": "8"}, "memory with its unit"),
        ({"cores": 0}, "cores"),
        ({"queue": "a; rm -rf /"}, "the name of a queue"),
    ],
)
def test_jobs_that_no_system_would_take_are_refused(options, message):
    with pytest.raises(GradlabError, match=message):
        Jobs(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": "dask", "scheduler": "HOST:8786"}, "address of a scheduler"),
        ({"executor": "dask", "scheduler": "http://host:1/x"}, "address of a scheduler"),
        ({"executor": "slurm", "scheduler": "tcp://a:1"}, "executor='dask' with scheduler"),
        ({"executor": "slurms"}, "'slurm'"),
        ({"executor": "local", "scheduler": "tcp://a:1"}, "executor='local'"),
    ],
)
def test_a_cluster_that_is_none_is_refused(options, message):
    with pytest.raises(GradlabError, match=message):
        run(SWEEP, FakeData(), task=FakeTask, progress=False, **options)


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(clusters, "find_spec", lambda name: None if name == "dask_jobqueue" else True)
    with pytest.raises(GradlabError, match=r"dask-jobqueue.*gradlab-jax\[cluster\]"):
        Cluster("slurm", 1)


class Answers:
    """A client whose workers have such packages."""

    def __init__(self, **changed):
        self.changed = changed

    def run(self, ask):
        return {"tcp://a:1": {**ask(), **self.changed}}


def test_workers_with_other_versions_are_refused():
    check_versions(Answers())
    with pytest.raises(GradlabError, match=r"jax .*received jax 0\.1.*pip install .* jax=="):
        check_versions(Answers(jax="0.1"))
    with pytest.raises(GradlabError, match="received python 2"):
        check_versions(Answers(python="2.7"))


def test_a_worker_that_comes_later_with_other_versions_computes_nothing():
    task = FakeTask(SWEEP, FakeData())
    unit = plan([SWEEP], task, {})[0]
    here = clusters.deciding()
    assert len(compute_inside(contextlib.nullcontext, here, task, unit)) == len(unit.configs)
    with pytest.raises(GradlabError, match="workers with the packages"):
        compute_inside(contextlib.nullcontext, here | {"jax": "0.1"}, task, unit)


class Slow(FakeTask):
    """Long enough to be interrupted."""

    seconds = 0.3


@contextlib.contextmanager
def running(workers=2):
    """A scheduler and workers in processes of their own, as on a cluster: the scheduler's process, its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[1])))}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
    started = [subprocess.Popen([*scheduler, "--host", "127.0.0.1", "--port", str(port)], **quiet)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-dashboard", "--nthreads", "1"]
    try:
        started += [subprocess.Popen([*worker, "--no-nanny"], **quiet) for _ in range(workers)]
        yield started[0], address
    finally:
        for process in started:
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_runs_already_gives_the_same_frame_and_stays(tmp_path):
    distributed = pytest.importorskip("distributed")
    expected = run(SWEEP, FakeData(), task=FakeTask, progress=False)
    with running() as (process, address):
        frame = run(SWEEP, FakeData(), task=FakeTask, executor="dask", scheduler=address, progress=False)
        pd.testing.assert_frame_equal(frame, expected, check_exact=True)
        assert process.poll() is None  # it is somebody else's
        with distributed.Client(address) as client:
            again = run(SWEEP, FakeData(), task=FakeTask, executor="dask", scheduler=client, progress=False)
            pd.testing.assert_frame_equal(again, expected, check_exact=True)
            assert client.status == "running"


@pytest.mark.slow
def test_a_second_sweep_on_this_machine_says_nothing_of_ports(recwarn):
    pytest.importorskip("distributed")
    with Cluster("dask", 1).client(print), Cluster("dask", 1).client(print):
        pass
    assert [str(w.message) for w in recwarn if "Port" in str(w.message)] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_goes_costs_nothing_that_was_finished(tmp_path):
    pytest.importorskip("distributed")
    with running(1) as (process, address):
        script = (
            "from test_cluster import SWEEP, Slow, FakeData\nfrom gradlab.sweep.run import run\n"
            "from gradlab._errors import GradlabError\nimport sys\n"
            f"try: run(SWEEP, FakeData(), {str(tmp_path)!r}, task=Slow, executor='dask', scheduler={address!r},"
            " progress=False)\nexcept GradlabError as error: print(error); sys.exit(2)"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[1])))}
        sweep = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
        end = time.monotonic() + 120
        while not list((tmp_path / "parts").glob("*.parquet")) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        said, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 2 and "what was finished is kept" in said
    kept = len(list((tmp_path / "parts").glob("*.parquet")))
    assert kept > 0
    FakeTask.calls.clear()
    frame = run(SWEEP, FakeData(), tmp_path, task=FakeTask, progress=False)
    assert len(FakeTask.calls) == len(list((tmp_path / "parts").glob("*"))) - kept  # a part is a unit, and a call
    pd.testing.assert_frame_equal(frame, run(SWEEP, FakeData(), task=FakeTask, progress=False), check_exact=True)


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_one_message(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(clusters, "PATIENCE", 2.0)
    with pytest.raises(GradlabError, match="answers at tcp://127"):
        run(SWEEP, FakeData(), task=FakeTask, executor="dask", scheduler="tcp://127.0.0.1:9", progress=False)
