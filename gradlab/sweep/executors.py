"""Compute the units of a sweep: in this process, or on the workers of a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from gradlab._errors import GradlabError, unknown
from gradlab.config import positive_integer
from gradlab.core.devices import is_memory_short
from gradlab.core.execute import expecting
from gradlab.sweep.cluster import EXECUTORS, Cluster, Jobs, check_same, deciding

if TYPE_CHECKING:
    import pandas as pd

    from gradlab.sweep.plan import Unit
    from gradlab.sweep.task import Task

    Results = Iterator[tuple[Unit, list[pd.DataFrame]]]
    Around = Callable[[], AbstractContextManager]
    Note = Callable[[str], None]


def compute(task: Task, unit: Unit) -> list[pd.DataFrame]:
    """Compute the rows of a unit; if that raises, those of its networks one by one, so that only the culprit fails.

    Where memory is short, no network is wrong: the unit was too large, and its halves are tried instead. Where a
    device says beforehand how much it lacks, the pieces are as small as that asks for.

    Parameters
    ----------
    task : Task
        What turns networks and seeds into rows.
    unit : Unit
        The networks and seeds to compute.

    Returns
    -------
    list of DataFrame
        The rows of the networks in their order; a network that raised has rows with the error as their status.
    """
    try:
        with expecting(unit.runs):
            return task.rows(unit.configs, unit.seeds)
    except Exception as error:
        if len(unit.configs) == 1:
            return failed(task, unit, error)
        pieces = getattr(error, "pieces", 2) if is_memory_short(error) else len(unit.configs)
        size = max(1, len(unit.configs) // pieces)
    return [frame for piece in unit.cut(size) for frame in compute(task, piece)]


def in_one_call(task: Task, units: Sequence[Unit]) -> Results:
    """Compute units on the same seeds in one call of the task, and yield each with its frames.

    Of several units the task must return one frame for each network, since the frames are dealt out by their number.
    """
    if len(units) == 1:
        yield units[0], compute(task, units[0])
        return
    joined = lambda name: tuple(value for unit in units for value in getattr(unit, name))
    frames = iter(compute(task, type(units[0])(units[0].group, joined("configs"), joined("hashes"), units[0].seeds)))
    for unit in units:
        yield unit, list(islice(frames, len(unit.configs)))


def compute_inside(around: Around, here: Mapping[str, str], task: Task, unit: Unit) -> list[pd.DataFrame]:
    """Call `compute` in another process.

    Parameters
    ----------
    around : callable
        Makes the context in which the process computes.
    here : mapping
        The packages of the process that started the sweep, with their versions. They are compared again here, since
        a worker that came later may have others.
    task : Task
        What turns networks and seeds into rows.
    unit : Unit
        The networks and seeds to compute.

    Raises
    ------
    GradlabError
        If this process has other versions of the packages.
    """
    check_same(here, deciding())
    with around():
        return compute(task, unit)


def failed(task: Task, unit: Unit, error: BaseException) -> list[pd.DataFrame]:
    """Return rows for the networks of a unit that raised `error`, with the error as their status."""
    text = " ".join(str(error).split())
    status = f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
    return [task.failed(config, unit.seeds, status) for config in unit.configs]


def local(task: Task, units: Sequence[Unit]) -> Results:
    """Compute units in this process, and yield each with its frames.

    ``task.at_once`` units are computed at a time, each in a thread, and come in the order in which they end. Where that
    is 1 there are no threads, and the units that `Task.together` puts into one call are computed together.
    """
    if task.at_once == 1:
        for some in task.together(units):
            yield from in_one_call(task, some)
        return
    with ThreadPoolExecutor(task.at_once) as threads:
        under_way = {threads.submit(compute, task, unit): unit for unit in units}
        try:
            for ended in as_completed(list(under_way)):
                yield under_way.pop(ended), ended.result()
        except BaseException:
            task.given_up = True
            threads.shutdown(wait=False, cancel_futures=True)  # units not begun are not waited for
            raise


def dask(task: Task, units: Sequence[Unit], cluster: Cluster, around: Around, note: Note) -> Results:
    """Compute units on the processes of a cluster, and yield each with its frames, in the order in which they end.

    A unit whose worker was killed is given to another worker. A unit that kills several workers in turn has failed.

    Parameters
    ----------
    task : Task
        What turns networks and seeds into rows.
    units : sequence of Unit
        The networks and seeds to compute.
    cluster : Cluster
        Where the processes come from.
    around : callable
        Makes the context in which each process computes.
    note : callable
        Takes lines for the user.

    Raises
    ------
    GradlabError
        If the scheduler goes away, or a worker lacks what the sweep needs. Units that were yielded before are kept.
    """
    from distributed import as_completed as of_cluster

    with cluster.client(note) as client, message_when_gone(client):
        # No more units are submitted than there are workers: a unit that waits on a worker behind another one dies
        # with it, and would be blamed too.
        submit = lambda unit: client.submit(compute_inside, around, deciding(), task, unit, pure=False)
        waiting = iter(units)
        pending: dict[Any, Unit] = {}
        ended = of_cluster([])

        def fill() -> None:
            """Give work to workers that have none. Their number is asked for each time, since workers come and go."""
            free = max(1, len(client.scheduler_info(n_workers=-1)["workers"])) - len(pending)
            for unit in islice(waiting, max(free, 0)):
                future = submit(unit)
                pending[future] = unit
                ended.add(future)

        fill()
        for future in ended:
            unit, error = pending.pop(future), future.exception()
            if future.cancelled():
                raise CancelledError
            if isinstance(error, GradlabError):  # the worker is at fault, not a network
                raise error
            if isinstance(error, ModuleNotFoundError):
                raise GradlabError("workers that have what the sweep needs", str(error), "pip install there") from error
            yield unit, failed(task, unit, error) if error else future.result()
            future.release()
            fill()


@contextlib.contextmanager
def message_when_gone(client: Any) -> Iterator[None]:
    """Turn the many ways in which a scheduler can be missed into one message."""
    from distributed.comm.core import CommClosedError

    try:
        yield
    except (CancelledError, CommClosedError, OSError, TimeoutError) as error:
        raise GradlabError(
            "the scheduler to stay until the sweep ends", f"{type(error).__name__}: it is gone",
            "the same command again: what was finished is kept",
        ) from error  # fmt: skip


def executor(
    name: str, workers: int, around: Around, *, scheduler: Any = None, jobs: Jobs | None = None, note: Note = print
) -> Callable[[Task, Sequence[Unit]], Results]:
    """Return the function that computes units: it takes a task and units, and yields each unit with its frames.

    Parameters
    ----------
    name : str
        ``"local"``, ``"dask"``, or the name of a batch system.
    workers : int
        How many processes, or how many jobs.
    around : callable
        Makes the context in which each process of a cluster computes.
    scheduler : str or Client, optional
        Address or client of a dask cluster that runs already.
    jobs : Jobs, optional
        What each job of a batch system asks for. None: the defaults of `Jobs`.
    note : callable
        Takes lines for the user.

    Raises
    ------
    GradlabError
        If there is no executor of that name, or the options do not go with it.
    """
    if name not in EXECUTORS:
        raise unknown("executor", name, EXECUTORS)
    workers = positive_integer("workers", workers)
    if name == "local":
        for option, value, default in (("workers", workers, 1), ("scheduler", scheduler, None)):
            if value != default:
                raise GradlabError(f"executor='dask' with {option}={value!r}", "executor='local'", "executor='dask'")
        return local
    return partial(dask, cluster=Cluster(name, workers, scheduler, jobs or Jobs()), around=around, note=note)
