"""Run a sweep: compute what is missing, keep it, put the frame together."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from gradlab._errors import GradlabError
from gradlab._progress import Lines, reporter
from gradlab.config import NetworkConfig, Sweep, TrainingSweep
from gradlab.core.backend import require_backend
from gradlab.core.cache import kept_programs
from gradlab.sweep.assembly import Assembly, DamagedParts
from gradlab.sweep.cluster import SYSTEMS, Cluster, Jobs
from gradlab.sweep.executors import executor as find_executor
from gradlab.sweep.forecast import calibrated, describe, forecast
from gradlab.sweep.grid import networks
from gradlab.sweep.parts import Damaged
from gradlab.sweep.plan import Unit, plan
from gradlab.sweep.provenance import Session, call
from gradlab.sweep.request import Request
from gradlab.sweep.shard import Shard
from gradlab.sweep.store import FolderStore, MemoryStore, in_memory
from gradlab.sweep.task import Task

if TYPE_CHECKING:
    from gradlab.data import Data

    Store = FolderStore | MemoryStore
    Compute = Callable[[Sequence[Unit]], Iterable[tuple[Unit, list[pd.DataFrame]]]]

#: The work on each kind of grid; what it needs is imported for it alone.
TASKS = {
    Sweep.TASK: "gradlab.sweep.measure_task:MeasureTask",
    TrainingSweep.TASK: "gradlab.sweep.train_task:TrainTask",
}


def run(
    sweep: Sweep,
    data: Any = None,
    out: str | os.PathLike[str] | None = None,
    *,
    task: Callable[[Sweep, Data], Task] | None = None,
    progress: bool | None = None,
    retry_failed: bool = False,
    dry_run: bool = False,
    executor: str = "local",
    workers: int = 1,
    scheduler: Any = None,
    jobs: Jobs | None = None,
    cache: bool = True,
    shard: str | tuple[int, int] | None = None,
    command: str | None = None,
    read: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Measure all networks of a sweep, or train them.

    Parameters
    ----------
    sweep : Sweep or TrainingSweep
        The grid.
    data : str, path, (x, y) or Data, optional
        What the networks see. None: ``sweep.data``.
    out : path, optional
        Folder that keeps the rows. The same call there computes only what is missing; one that
        asks for more of the same grid computes what it adds. None: in memory.
    task : callable, optional
        ``task(sweep, data)`` makes what turns networks into rows. None: what the sweep is for.
    progress : bool, optional
        False: say nothing. None: a bar on a terminal, now and then a line elsewhere.
    retry_failed : bool
        Compute networks again that failed.
    dry_run : bool
        Write nothing; print and return what would be computed, with the time by a sample of a few seconds.
    executor : str
        ``"local"``, ``"dask"`` for several processes, or a batch system: ``"slurm"``, ``"pbs"``, ``"sge"``, ``"lsf"``,
        ``"oar"``, whose jobs dask-jobqueue submits.
    workers : int
        Number of processes, or of jobs.
    scheduler : str or distributed.Client, optional
        A cluster of dask that runs already, such as ``"tcp://HOST:8786"``. Its workers must have the versions of
        Python, gradlab, JAX and NumPy of this process, since other ones give other last bits.
    jobs : Jobs, optional
        Queue, walltime, cores and memory of each job, for a batch system.
    cache : bool
        With `out`, keep compiled programs in the user's folder for caches (``JAX_COMPILATION_CACHE_DIR`` where that
        is set), so that the next process takes them from there. False: compile them again.
    shard : str or (int, int), optional
        ``"3/10"``: compute the third of ten slices, into a folder that all slices share, as the tasks of an array job
        do. They run in any order and at the same time. The one that ends last puts the frame together; so does the
        same call without `shard`. Ten shards have the bits of one serial run. Needs `out`.
    command : str, optional
        What starts this sweep again, for the provenance. None: this call.
    read : sequence of str, optional
        The columns to return, where a run is too large for the memory. The files hold all columns. None: all.

    Returns
    -------
    DataFrame
        The tidy frame, networks in the order of the grid, seeds ascending; ``attrs["hash"]`` is
        the hash of the run. From ``dry_run`` the forecast, one row per unit of work. Of a `shard` that was not the
        last the rows of its own networks, with ``attrs["complete"]`` False.

    Raises
    ------
    GradlabError
        Where `out` holds another request, is in use, or cannot be written. What was computed
        before stays.

    Examples
    --------
    >>> import gradlab as gl
    >>> sweep = gl.TrainingSweep(depth=2, width=16, activation=["sigmoid", "relu"], init="xavier_normal",
    ...                          optimizer="adam", steps=20, records=3, seeds=2)
    >>> frame = gl.run(sweep, progress=False)
    >>> sorted(frame["step"].unique().tolist()), len(frame)
    ([0, 1, 20], 36)
    """
    around = contextlib.nullcontext if out is None else partial(kept_programs, cache)
    report = reporter(progress)
    execute = find_executor(executor, workers, around, scheduler=scheduler, jobs=jobs, note=report.note)
    require_backend()
    part_of = None if shard is None else Shard.of(shard)
    if part_of is not None and out is None:
        raise GradlabError("out= a folder that the shards share", "none", 'out="runs/large"')
    sweep, loaded = _load(sweep, data)
    worker = (task or resolve_name(TASKS[sweep.TASK]))(sweep, loaded)
    store: Store = MemoryStore() if out is None else FolderStore(out, report.note, part_of)
    request, reasons = Request.of(sweep, loaded, worker), []
    try:
        store.check()
        if not dry_run:
            store.open()
        recorded = store.recorded()
        if recorded is not None:
            request, reasons = request.after(recorded, str(out))
        units = plan(request.history, worker, request.context)
        share = units if part_of is None else part_of.units(units)
        lacking = [unit for unit in share if _lacks(store, unit, retry_failed)]
        for line in reasons:
            report.note(line)
        if dry_run:
            missing = {unit.name for unit in lacking}
            table = calibrated(forecast(share, worker, lambda unit: unit.name in missing), share, worker)
            if progress is not False:
                print(describe(table, len(networks(request.sweep))))
                if executor in SYSTEMS:
                    print(Cluster(executor, workers, jobs=jobs or Jobs()).job_script().rstrip())
            return table
        store.record(request)
        named = data is None or isinstance(data, (str, os.PathLike))
        session = Session(request, store.provenance(), command or call(sweep, out, named), getattr(loaded, "x", None))
        compute = partial(execute, worker)
        with around():
            _keep(compute, lacking, store, session, report)
            last = part_of is None or _last(units, store, request, part_of, report)
            wanted = units if last else share
            again = partial(_keep, compute, store=store, session=session, report=report)
            rows = _whole(wanted, networks(request.sweep), store, again, report)
        note = {"hash": request.hash}
        if not last:
            return in_memory(rows, {**note, "complete": False}, read)
        if part_of is not None:
            store.note_provenance(store.provenance())
        store.finish(rows, note)
        frame = store.frame(None if read is None else list(dict.fromkeys([*read, "network", "status"])))
    finally:
        report.stop()
        store.close()
    _tell_failures(frame, report)
    return frame if read is None else frame[list(read)]


def _load(sweep: Sweep, data: Any) -> tuple[Sweep, Data]:
    """Return the sweep with the name of its data in it, and the data, which are loaded where they are only named."""
    if hasattr(data, "content_hash"):
        return dataclasses.replace(sweep, data=data.name), data
    from gradlab.data import load

    if isinstance(data, (str, os.PathLike)):
        sweep, data = dataclasses.replace(sweep, data=os.fspath(data)), None
    loaded = load(
        sweep.data if data is None else data, batch=sweep.loaded, loss=sweep.loss, target=sweep.target,
        length=sweep.length, q0=sweep.q0, c0=sweep.c0, key=sweep.key, dtype=sweep.dtype,
    )  # fmt: skip
    return (sweep if data is None else dataclasses.replace(sweep, data=loaded.name)), loaded


def _lacks(store: Store, unit: Unit, retry_failed: bool) -> bool:
    """Return whether a unit has to be computed: its part is absent or, with `retry_failed`, a network in it failed.

    A part whose rows are damaged is not seen here: that is found when it is read, once, at the end.
    """
    try:
        return not store.has(unit) or (retry_failed and store.outline(unit).failed > 0)
    except Damaged:
        return True


def _last(units: Sequence[Unit], store: Store, request: Request, shard: Shard, report: Lines) -> bool:
    """Return whether all parts are there and this shard may put the run together; where not, tell the user why."""
    lacking = sum(not store.has(unit) for unit in units)
    if lacking:
        report.note(f"shard {shard} is done; {lacking} of {len(units)} parts are for other shards")
        return False
    if not store.take_alone():
        report.note(f"shard {shard} is done, and other shards still run: the last of them puts the frame together")
        return False
    recorded = store.recorded()
    if recorded is None or recorded.hash != request.hash:
        report.note(f"shard {shard} is done; its folder was extended meanwhile")
        return False
    return True


def _keep(compute: Compute, units: Sequence[Unit], store: Store, session: Session, report: Lines) -> None:
    """Compute units, and store the rows of each as soon as they are there."""
    if not units:
        return
    report.start(sum(len(unit.configs) * len(unit.seeds) for unit in units))
    before = session.computed
    store.note_provenance(session.report())
    try:
        for unit, frames in compute(units):
            store.write(unit, frames)
            session.computed += 1
            report.advance(len(unit.configs) * len(unit.seeds))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            done = session.computed - before
            report.note(f"stopped with {done} of {len(units)} missing parts computed; the same command continues")
        with contextlib.suppress(GradlabError):  # the user must see the first error, not this one
            store.note_provenance(session.report())
        raise
    store.note_provenance(session.report())


def _whole(
    units: Sequence[Unit], order: Sequence[NetworkConfig], store: Store, compute: Callable[[Sequence[Unit]], None],
    report: Lines,
) -> Assembly:  # fmt: skip
    """Return the rows of some units in their order; name parts that are damaged, and compute them again."""
    seen: set[Unit] = set()
    while True:
        try:
            return Assembly(order, units, store)
        except DamagedParts as error:
            for unit, reason in error.units.items():
                if unit in seen:
                    raise GradlabError(f"{unit.name} as it was written a moment ago", reason, "another disk") from error
                report.note(f"part {unit.name} ({unit.label()}) is damaged, it is computed again: {reason}")
            seen |= error.units.keys()
            compute(list(error.units))
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:  # parts differ in types
            reason = " ".join(str(error).split())[:200]
            raise GradlabError("parts as they were written", reason, "the same command without them") from error


def _tell_failures(frame: pd.DataFrame, report: Lines) -> None:
    """Write a line on the networks that failed, if there are any."""
    failures = frame.loc[frame["status"] != "ok", ["network", "status"]].drop_duplicates("network")
    if len(failures):
        report.note(
            f"{len(failures)} of {frame['network'].nunique()} networks failed, the first with "
            f"{failures['status'].iloc[0]}; they are rows, and retry_failed=True computes them again"
        )
