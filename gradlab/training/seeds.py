"""The seeds of one network, as suits the backend: two at a time, or all of them in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from gradlab.config import TrainingConfig
from gradlab.core.execute import WORKERS, in_one_call
from gradlab.measurement.records import Trace
from gradlab.training.checkpoints import Checkpoints
from gradlab.training.one_seed import OneSeed, Trained, advance_together
from gradlab.training.plan import Plan
from gradlab.training.records import Training
from gradlab.training.split import Split

Told = Callable[[int], None]
Keep = Callable[[int], Checkpoints] | None


def train_network(
    config: TrainingConfig,
    data: Split,
    plan: Plan,
    seeds: Sequence[int],
    told: Told = lambda steps: None,
    keep: Keep = None,
    start: Mapping[int, Any] | None = None,
) -> Training:
    """Train one network on several seeds; all share their compiled programs.

    Parameters
    ----------
    config : TrainingConfig
    data : Split
    plan : Plan
    seeds : sequence of int
    told : callable
        Takes numbers of steps that are done.
    keep : callable, optional
        The checkpoints of a seed; each is then trained by itself, as each may begin at another step.
    start : mapping of int to pytree, optional
        The weights that each seed starts from. None: they are drawn.
    """
    lanes = len(seeds) if keep is None and in_one_call(seeds) else 1
    with jax.enable_x64(plan.dtype == "float64"):
        first = OneSeed(config, data, plan, seeds[0], lanes, start)
        if keep is None:  # what is resumed may have little left to do
            first.compile()
        of = [first.of_seed(seed) for seed in seeds]
        found = _together(of, told) if lanes > 1 else _two_at_a_time(of, told, keep)
    trained = dict(zip(seeds, found, strict=True))
    return Training(
        traces=tuple(_joined([t.traces[step] for t in trained.values() if step in t.traces])
                     for step in sorted({step for t in trained.values() for step in t.traces})),
        params={seed: t.state.params for seed, t in trained.items()},
        losses={seed: np.asarray(t.state.losses) for seed, t in trained.items()},
        failures=tuple(t.failure for t in trained.values() if t.failure is not None),
    )  # fmt: skip


def _two_at_a_time(of: Sequence[OneSeed], told: Told, keep: Keep) -> list[Trained]:
    def one(seed: OneSeed) -> Trained:
        with jax.enable_x64(seed.plan.dtype == "float64"):  # a setting of the thread
            checkpoints = None if keep is None else keep(seed.seed)
            try:
                return _alone(seed, told, checkpoints)
            finally:
                if checkpoints is not None:
                    checkpoints.close()

    with ThreadPoolExecutor(1 if keep else WORKERS) as workers:
        try:
            return list(workers.map(one, of))
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)
            raise


def _alone(seed: OneSeed, told: Told, checkpoints: Checkpoints | None) -> Trained:
    run = seed.run(told, checkpoints)
    try:
        asked = next(run)
        while True:
            asked = run.send(seed.advance(*asked))
    except StopIteration as end:
        return end.value


def _together(of: Sequence[OneSeed], told: Told) -> list[Trained]:
    """Each seed asks for the same steps; one that has ended leaves its lane to another, so that no shape changes."""
    runs, trained = [seed.run(told) for seed in of], {}
    asked = {lane: next(run) for lane, run in enumerate(runs)}
    while asked:
        lanes = [*asked, *[min(asked)] * (len(of) - len(asked))]
        states = advance_together([of[i] for i in lanes], [asked[i][0] for i in lanes], asked[lanes[0]][1])
        for lane, state in zip(list(asked), states, strict=False):
            try:
                asked[lane] = runs[lane].send(state)
            except StopIteration as end:
                trained[lane] = end.value
                del asked[lane]
    return [trained[lane] for lane in range(len(of))]


def _joined(traces: Sequence[Trace]) -> Trace:
    """The traces of several seeds at one step as one."""
    columns = {name: np.concatenate([trace.columns[name] for trace in traces]) for name in traces[0].columns}
    seeds, status = (tuple(value for trace in traces for value in getattr(trace, n)) for n in ("seeds", "status"))
    return replace(traces[0], columns=columns, seeds=seeds, status=status)
