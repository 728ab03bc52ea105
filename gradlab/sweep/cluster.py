"""Find the dask processes that compute units: they are started here, run already, or come from a batch system."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gradlab._errors import GradlabError, unknown
from gradlab._signals import starting_without_interrupts
from gradlab.config import positive_integer
from gradlab.sweep.provenance import versions

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

#: Batch systems by name, and the class of dask-jobqueue that writes their job scripts.
SYSTEMS: dict[str, str] = {
    "slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster", "lsf": "LSFCluster", "oar": "OARCluster",
}  # fmt: skip
EXECUTORS: tuple[str, ...] = ("local", "dask", *SYSTEMS)
#: Packages whose versions decide last bits: they must be the same in all processes.
DECIDING = ("python", "gradlab-jax", "jax", "jaxlib", "numpy")
#: Where the scheduler of this machine shows how it does: a fixed port would be taken where two sweeps run.
ANY_PORT = "127.0.0.1:0"
#: Seconds within which a scheduler must answer.
PATIENCE = 15.0


@dataclass(frozen=True)
class Jobs:
    """Say what each job of a batch system asks for.

    Parameters
    ----------
    queue : str, optional
        Name of the queue (Slurm: partition) that takes the jobs. None: the default of the batch system.
    walltime : str
        Hours, minutes and seconds that a job may last, as ``"HH:MM:SS"``. The units that it has finished by then are
        kept.
    cores : int
        Processor cores of a job; each job computes one unit at a time, on all of them.
    memory : str
        Memory of a job, with its unit, such as ``"8GB"``.

    Raises
    ------
    GradlabError
        If `cores` is not a positive integer, or another field does not have the form that batch systems read.

    Examples
    --------
    >>> import gradlab as gl
    >>> gl.Jobs(queue="short", walltime="04:00:00", cores=4).memory
    '8GB'
    """

    queue: str | None = None
    walltime: str = "01:00:00"
    cores: int = 2
    memory: str = "8GB"

    def __post_init__(self):
        positive_integer("cores", self.cores)
        if not re.fullmatch(r"(\d+-)?\d{1,3}:\d{2}:\d{2}", str(self.walltime)):
            raise GradlabError("walltime as HH:MM:SS", repr(self.walltime), 'walltime="04:00:00"')
        if not re.fullmatch(r"\d+(\.\d+)?\s*[kMGT]i?B", str(self.memory)):
            raise GradlabError("memory with its unit", repr(self.memory), 'memory="8GB"')
        if self.queue is not None and not re.fullmatch(r"[\w.,@-]+", str(self.queue)):
            raise GradlabError("the name of a queue", repr(self.queue), 'queue="short"')


@dataclass(frozen=True)
class Cluster:
    """Say where the processes of an executor come from.

    Parameters
    ----------
    executor : str
        ``"dask"``, or the name of a batch system.
    workers : int
        How many processes to start, or how many jobs to submit.
    scheduler : str or Client, optional
        Address or client of a dask cluster that runs already. Nothing is started then, and `workers` has no effect.
    jobs : Jobs
        What each job asks for, where the executor is a batch system.

    Raises
    ------
    GradlabError
        If the executor is not known, `workers` or `scheduler` is not valid for it, or a package that it needs is not
        installed.
    """

    executor: str
    workers: int
    scheduler: Any = None
    jobs: Jobs = Jobs()

    def __post_init__(self):
        positive_integer("workers", self.workers)
        if self.executor not in EXECUTORS[1:]:
            raise unknown("executor", self.executor, EXECUTORS)
        if self.scheduler is not None and self.executor != "dask":
            raise GradlabError("executor='dask' with scheduler=", f"executor={self.executor!r}", "executor='dask'")
        packages = ["distributed", *(["dask_jobqueue"] if self.executor in SYSTEMS else [])]
        for name in packages:
            if find_spec(name) is None:
                package = name.replace("_", "-")
                extra = "cluster" if name == "dask_jobqueue" else "scale-out"
                raise GradlabError(
                    f"the package {package}, for executor={self.executor!r}", "none",
                    f"pip install 'gradlab-jax[{extra}]'",
                )  # fmt: skip
        if isinstance(self.scheduler, str) and not re.fullmatch(r"(tcp|tls)://[\w.:\[\]-]+:\d+", self.scheduler):
            raise GradlabError("the address of a scheduler", repr(self.scheduler), 'scheduler="tcp://HOST:8786"')

    def job_script(self) -> str:
        """Return the script that the batch system is given for each job."""
        with contextlib.closing(self._jobs_cluster(0)) as cluster:
            return cluster.job_script()

    def _jobs_cluster(self, count: int) -> Any:
        import dask_jobqueue

        jobs = self.jobs
        make = getattr(dask_jobqueue, SYSTEMS[self.executor])
        return make(
            queue=jobs.queue, walltime=jobs.walltime, cores=jobs.cores, memory=jobs.memory, processes=1,
            n_workers=count, job_name="gradlab", scheduler_options={"dashboard_address": None},
        )  # fmt: skip

    @contextlib.contextmanager
    def client(self, note: Callable[[str], None]) -> Iterator[Client]:
        """Yield a client of the cluster, once a worker has come and all workers have the versions of this process.

        What is started for it ends with the context.

        Parameters
        ----------
        note : callable
            Takes a line for the user while no worker has come yet.

        Raises
        ------
        GradlabError
            If no scheduler answers at the address, or a worker has other versions.
        """
        from distributed import Client, LocalCluster
        from distributed.utils import silence_logging_cmgr

        with contextlib.ExitStack() as stack:
            if hasattr(self.scheduler, "submit"):
                client = self.scheduler
            elif self.scheduler is not None:
                try:
                    client = stack.enter_context(Client(self.scheduler, timeout=PATIENCE))
                except (OSError, TimeoutError) as error:
                    raise GradlabError(
                        f"a scheduler that answers at {self.scheduler}", " ".join(str(error).split())[:200],
                        "starting it there: dask scheduler",
                    ) from error  # fmt: skip
            else:
                # while a cluster closes it writes messages of lower levels too
                stack.enter_context(silence_logging_cmgr(logging.WARNING))
                with starting_without_interrupts():
                    made = stack.enter_context(
                        LocalCluster(
                            n_workers=self.workers,
                            threads_per_worker=1,
                            dashboard_address=None,
                            scheduler_kwargs={"dashboard_address": ANY_PORT},
                        )
                        if self.executor == "dask"
                        else self._jobs_cluster(self.workers)
                    )
                    if self.executor == "dask":
                        stack.push(lambda kind, *_: kill_workers(made) if kind else None)
                    client = stack.enter_context(Client(made))
            if not client.scheduler_info(n_workers=-1)["workers"]:
                note("waiting for the first worker")
                client.wait_for_workers(1)
            check_versions(client)
            yield client


def kill_workers(cluster: LocalCluster) -> None:
    """Kill the processes of a cluster on this machine, and let none replace them.

    Asked to stop, a worker that measures would write what troubles it on the terminal, and be killed after 4 seconds.
    It holds nothing to keep: what was finished is written here.
    """
    kills = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has the second alone, and there it kills
    for nanny in cluster.workers.values():
        nanny.close_gracefully()
        if (pid := nanny.pid) is not None:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                os.kill(pid, kills)


def check_versions(client: Client) -> None:
    """Refuse the workers of a client if one has packages that would give other last bits, or lacks one."""
    here = deciding()
    for there in client.run(_asked(DECIDING)).values():
        check_same(here, there)


def deciding() -> dict[str, str]:
    """Return the packages of this process that decide last bits, each with its version."""
    return {name: value for name, value in versions().items() if name in DECIDING}


def check_same(here: Mapping[str, str], there: Mapping[str, str]) -> None:
    """Refuse a worker whose packages, `there`, are not those of the process that started the sweep, `here`."""
    differing = {name: (here.get(name), there.get(name)) for name in DECIDING if here.get(name) != there.get(name)}
    if differing:
        raise GradlabError(
            f"workers with the packages of this process, {_listed({n: v for n, (v, _) in differing.items()})}",
            _listed({name: value for name, (_, value) in differing.items()}),
            "pip install of the same versions on all of them: " + " ".join(_requirements(differing)),
        )


def _asked(names: tuple[str, ...]) -> Callable[[], dict[str, str]]:
    """Return a function that looks up the versions of the named packages where it runs, and leaves out absent ones.

    It uses nothing of gradlab, so that it also runs on a worker where gradlab is absent.
    """

    def ask() -> dict[str, str]:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        versions = {"python": platform.python_version()}
        for name in names[1:]:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                continue
        return versions

    return ask


def _listed(packages: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {value or 'not installed'}" for name, value in packages.items())


def _requirements(differing: Mapping[str, tuple[str | None, str | None]]) -> list[str]:
    return [f"{name}=={here}" for name, (here, _) in differing.items() if here is not None and name != "python"]
