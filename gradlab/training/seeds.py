"""The seeds of one network, as suits the backend: two at a time, or all of them in one call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from gradlab.config import NetworkConfig, TrainingConfig
from gradlab.core.execute import WORKERS, are_batched
from gradlab.measurement.records import Trace
from gradlab.training.checkpoints import Checkpoints
from gradlab.training.failure import HISTORY, explain
from gradlab.training.plan import Plan
from gradlab.training.program import State
from gradlab.training.recorder import Recorder
from gradlab.training.records import Failure, Training
from gradlab.training.split import Split
from gradlab.training.trainer import Trainer

OnProgress = Callable[[int], None]
CheckpointsOf = Callable[[int], Checkpoints] | None


class Trained(NamedTuple):
    """One seed at its end: its records by step, the last state, and what went wrong."""

    traces: dict[int, Trace]
    state: State
    failure: Failure | None = None


def train_network(
    config: TrainingConfig,
    data: Split,
    plan: Plan,
    seeds: Sequence[int],
    on_progress: OnProgress = lambda steps: None,
    checkpoints_of: CheckpointsOf = None,
    start: Mapping[int, Any] | None = None,
    deepest: NetworkConfig | None = None,
) -> Training:
    """Train one network on several seeds; all share their compiled programs.

    Parameters
    ----------
    config : TrainingConfig
        The network and how it is trained.
    data : Split
        Training, test and measured examples.
    plan : Plan
        How long it is trained, and what is recorded.
    seeds : sequence of int
        Numbers of the seeds.
    on_progress : callable
        Takes numbers of steps that are done.
    checkpoints_of : callable, optional
        The checkpoints of a seed; each is then trained by itself, as each may begin at another step.
    start : mapping of int to pytree, optional
        The weights that each seed starts from. None: they are drawn.
    deepest : NetworkConfig, optional
        The deepest of the networks that are trained in a row, whose beginning this one is: they share programs.
    """
    at_once = len(seeds) if checkpoints_of is None and are_batched(seeds) else 1
    wide = plan.dtype == "float64"
    with jax.enable_x64(wide):
        trainer = Trainer(config, data, plan, at_once, start, deepest)
        recorder = Recorder(trainer)
        if checkpoints_of is None:  # what is resumed may have little left to do
            _compile(trainer, recorder, seeds[0])
        if at_once > 1:
            trained = _trained(trainer, recorder, seeds, on_progress)
        else:
            one_seed = lambda seed: _alone(trainer, recorder, seed, on_progress, checkpoints_of)
            found = _side_by_side(
                [lambda seed=seed: one_seed(seed) for seed in seeds], wide, 1 if checkpoints_of else WORKERS
            )
            trained = {seed: one for of in found for seed, one in of.items()}
    return Training(
        traces=tuple(_joined([trained[s].traces[step] for s in seeds if step in trained[s].traces])
                     for step in sorted({step for t in trained.values() for step in t.traces})),
        params={seed: trained[seed].state.params for seed in seeds},
        losses={seed: np.asarray(trained[seed].state.losses) for seed in seeds},
        failures=tuple(failure for s in seeds if (failure := trained[s].failure) is not None),
    )  # fmt: skip


def _compile(trainer: Trainer, recorder: Recorder, seed: int) -> None:
    """Compile side by side what all seeds share."""
    state = trainer.start(seed)
    at_once = dict.fromkeys(range(trainer.at_once), state)
    calls = [lambda: trainer.advance(at_once, 0), *recorder.parts(seed, state)]
    _side_by_side(calls, trainer.plan.dtype == "float64")


def _side_by_side(calls: Sequence[Callable[[], Any]], wide: bool, workers: int = WORKERS) -> list[Any]:
    """Return what the calls return, some of them under way at once; `wide` computes in 64 bits."""

    with ThreadPoolExecutor(workers) as pool:
        try:
            return list(pool.map(functools.partial(_within, wide), calls))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait for calls not begun
            raise


def _within(wide: bool, call: Callable, *arguments: Any) -> Any:
    """Return ``call(*arguments)`` in 64 bits, or in 32, which is a setting of the thread."""
    with jax.enable_x64(wide):
        return call(*arguments)


def _alone(
    trainer: Trainer, recorder: Recorder, seed: int, on_progress: OnProgress, checkpoints_of: CheckpointsOf
) -> dict[int, Trained]:
    """Train one seed by itself, from and to its checkpoints."""
    if checkpoints_of is None:
        return _trained(trainer, recorder, [seed], on_progress)
    checkpoints = checkpoints_of(seed)
    try:
        return _trained(trainer, recorder, [seed], on_progress, checkpoints)
    finally:
        checkpoints.close()


def _trained(
    trainer: Trainer,
    recorder: Recorder,
    seeds: Sequence[int],
    on_progress: OnProgress,
    checkpoints: Checkpoints | None = None,
) -> dict[int, Trained]:
    """Take all steps of seeds that go side by side; those that fail are explained and left behind.

    A record is made while the next steps are taken.

    Parameters
    ----------
    trainer : Trainer
        The training.
    recorder : Recorder
        What takes its statistics.
    seeds : sequence of int
        Numbers of the seeds.
    on_progress : callable
        Takes numbers of steps that are done.
    checkpoints : Checkpoints, optional
        Of the only seed: where to begin, and where to leave states.
    """
    plan, wide = trainer.plan, trainer.plan.dtype == "float64"
    states = {seed: trainer.start(seed) for seed in seeds}
    traces: dict[int, dict[int, Trace]] = {seed: {} for seed in seeds}
    saves: set[int] = set()
    if checkpoints is not None:
        (seed,) = seeds
        states[seed], kept = checkpoints.restore(states[seed])
        traces[seed] = {step: recorder.again(seed, states[seed], step, *record) for step, record in kept.items()}
        saves = checkpoints.steps(plan.steps)
    begun = int(states[seeds[0]].step)
    on_progress(begun)
    anchors = {seed: [state] for seed, state in states.items()}  # states to go back to, should a loss not be finite
    failed: dict[int, Trained] = {}
    under_way: dict[tuple[int, int], Future[Trace]] = {}

    def finish() -> None:
        for (seed, step), record in under_way.items():
            traces[seed][step] = record.result()
        under_way.clear()

    with ThreadPoolExecutor(1) as beside:
        for stop in sorted({*plan.records, *saves, plan.steps}):
            if not states or stop < begun or (stop == begun and begun in traces[seeds[0]]):
                continue
            states = jax.block_until_ready(trainer.advance(states, stop))
            finish()
            for seed, state in list(states.items()):
                if bool(state.failed) and not plan.keep_going:
                    good, trace, failure = explain(trainer, recorder, seed, anchors[seed], state)
                    traces[seed][int(good.step)] = trace
                    failed[seed] = Trained(traces[seed], good, failure)
                    state = good
                    del states[seed]
                else:
                    on_progress(stop - begun)
                    if stop in plan.records:
                        under_way[seed, stop] = beside.submit(_within, wide, recorder.record, seed, state)
                    if int(state.step) - int(anchors[seed][-1].step) >= HISTORY:
                        anchors[seed] = [anchors[seed][-1], state]
                if checkpoints is not None and (stop in saves or seed in failed):
                    finish()
                    checkpoints.save(state, {step: (t.columns, t.status[0]) for step, t in traces[seed].items()})
            begun = stop
        finish()
    return {seed: failed.get(seed) or Trained(traces[seed], states[seed]) for seed in seeds}


def _joined(traces: Sequence[Trace]) -> Trace:
    """Return the traces of several seeds at one step as one trace."""
    columns = {name: np.concatenate([trace.columns[name] for trace in traces]) for name in traces[0].columns}
    seeds, status = (tuple(value for trace in traces for value in getattr(trace, n)) for n in ("seeds", "status"))
    return replace(traces[0], columns=columns, seeds=seeds, status=status)
