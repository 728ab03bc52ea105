"""Where the units of a sweep are computed: in this process, or by the workers of dask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING

from gradlab._errors import GradlabError, unknown
from gradlab.config import positive_integer

if TYPE_CHECKING:
    import pandas as pd

    from gradlab.sweep.plan import Unit
    from gradlab.sweep.task import Task

    Results = Iterator[tuple[Unit, list[pd.DataFrame]]]
    Around = Callable[[], AbstractContextManager]


def compute(task: Task, unit: Unit) -> list[pd.DataFrame]:
    """The frames of a unit; if that raises, of its networks one by one, so that only the culprit fails."""
    try:
        return task.rows(unit.configs, unit.seeds)
    except Exception as error:
        if len(unit.parts) == 1:
            return failed(task, unit, error)
    return [frame for part in unit.parts for frame in compute(task, type(unit)(unit.group, (part,)))]


def compute_inside(around: Around, task: Task, unit: Unit) -> list[pd.DataFrame]:
    """`compute`, in another process, inside the context that ``around()`` makes there."""
    with around():
        return compute(task, unit)


def failed(task: Task, unit: Unit, error: BaseException) -> list[pd.DataFrame]:
    """The rows of networks that raised `error`, which their status names."""
    text = " ".join(str(error).split())
    status = f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
    return [task.failed(part.config, part.seeds, status) for part in unit.parts]


def local(task: Task, units: Sequence[Unit]) -> Results:
    """One unit after the other, in this process."""
    for unit in units:
        yield unit, compute(task, unit)


def dask(task: Task, units: Sequence[Unit], workers: int, around: Around) -> Results:
    """Units on `workers` processes of this machine, in the order in which they end.

    The processes are spawned, so a script needs ``if __name__ == "__main__":``. A unit whose
    worker was killed is given to another; one that kills several workers in turn is a failure.
    """
    from distributed import Client, LocalCluster, as_completed

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        # no more units than workers: one that waits behind another dies with it, and would count as a culprit too
        submit = lambda unit: client.submit(compute_inside, around, task, unit, pure=False)
        waiting = iter(units)
        pending = {submit(unit): unit for unit in islice(waiting, workers)}
        ended = as_completed(list(pending))
        for future in ended:
            unit, error = pending.pop(future), future.exception()
            yield unit, failed(task, unit, error) if error else future.result()
            future.release()
            for following in islice(waiting, 1):
                future = submit(following)
                pending[future] = following
                ended.add(future)


def executor(name: str, workers: int, around: Around) -> Callable[[Task, Sequence[Unit]], Results]:
    """The executor of that name, with so many processes; each computes inside a context that ``around()`` makes."""
    if name not in ("local", "dask"):
        raise unknown("executor", name, ("local", "dask"))
    workers = positive_integer("workers", workers)
    if name == "local":
        if workers != 1:
            raise GradlabError("workers=1 with executor='local'", f"workers={workers}", "executor='dask'")
        return local
    if find_spec("distributed") is None:
        raise GradlabError("the package distributed, for executor='dask'", "none", "pip install distributed")
    return partial(dask, workers=workers, around=around)
