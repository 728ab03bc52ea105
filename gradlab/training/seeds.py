"""Networks and their seeds, as suits the backend: two at a time, or many in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from gradlab.config import NetworkConfig, TrainingConfig
from gradlab.core.devices import are_batched, is_memory_short
from gradlab.core.execute import side_by_side
from gradlab.measurement.records import Trace
from gradlab.training.checkpoints import Checkpoints
from gradlab.training.failure import HISTORY, explain
from gradlab.training.plan import Plan
from gradlab.training.program import State
from gradlab.training.recorder import Recorder
from gradlab.training.records import Failure, Training
from gradlab.training.split import Split
from gradlab.training.together import Advance, Member, Together
from gradlab.training.trainer import Trainer

OnProgress = Callable[[int], None]
CheckpointsOf = Callable[[int], Checkpoints] | None


class Trained(NamedTuple):
    """One seed at its end: its records by step, the last state, and what went wrong."""

    traces: dict[int, Trace]
    state: State
    failure: Failure | None = None


def train_network(config: TrainingConfig, data: Split, plan: Plan, seeds: Sequence[int], **how: Any) -> Training:
    """Train one network on several seeds; arguments as for `train_networks`."""
    return train_networks([config], data, plan, seeds, **how)[0]


def train_networks(
    configs: Sequence[TrainingConfig],
    data: Split,
    plan: Plan,
    seeds: Sequence[int],
    on_progress: OnProgress = lambda steps: None,
    checkpoints_of: CheckpointsOf = None,
    start: Mapping[int, Any] | None = None,
    deepest: NetworkConfig | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> list[Training]:
    """Train networks on several seeds; all share their compiled programs.

    On one CPU each seed of each network is trained by itself, two at a time. On an accelerator, and on several devices,
    they are members of one call, spread over the devices, as many as the memory takes; what does not fit follows in
    further calls.

    Parameters
    ----------
    configs : sequence of TrainingConfig
        The networks and how they are trained. Several must have the program of a training in common: only numbers may
        differ, such as learning rates and gains.
    data : Split
        Training, test and measured examples.
    plan : Plan
        How long they are trained, and what is recorded.
    seeds : sequence of int
        Numbers of the seeds.
    on_progress : callable
        Takes numbers of steps that are done.
    checkpoints_of : callable, optional
        The checkpoints of a seed; each is then trained by itself, as each may begin at another step.
    start : mapping of int to pytree, optional
        The weights that each seed starts from. None: they are drawn.
    deepest : NetworkConfig, optional
        The deepest of the networks that are trained in a row, whose beginning these are: they share programs.
    is_stopped : callable
        Whether to give up, which is asked at each record.

    Raises
    ------
    KeyboardInterrupt
        Where `is_stopped` says so.
    """
    members = [Member(place, seed) for place in range(len(configs)) for seed in seeds]
    in_one_call = checkpoints_of is None and are_batched() and len(members) > 1
    with jax.enable_x64(plan.dtype == "float64"):
        first = Trainer(configs[0], data, plan, in_one_call, start, deepest)
        others = [
            Trainer(config, data, plan, in_one_call, start, deepest, (first.x, first.y)) for config in configs[1:]
        ]
        recorder = Recorder(first)
        run = _Run([first, *others], [recorder, *map(recorder.of, others)], on_progress, is_stopped)
        if in_one_call:
            trained = run.in_one_call(members)
        else:
            trained = run.two_at_a_time(members, checkpoints_of)
        of_place = lambda place: {seed: trained[Member(place, seed)] for seed in seeds}
        return [_training(trainer, of_place(place)) for place, trainer in enumerate(run.trainers)]


def _training(trainer: Trainer, trained: Mapping[int, Trained]) -> Training:
    """Return what is handed back of one network, from its seeds."""
    steps = sorted({step for one in trained.values() for step in one.traces})
    return Training(
        traces=tuple(_joined([t.traces[step] for t in trained.values() if step in t.traces]) for step in steps),
        params={seed: jax.device_put(trainer.trained(one.state)) for seed, one in trained.items()},
        losses={seed: np.asarray(one.state.losses) for seed, one in trained.items()},
        failures=tuple(one.failure for one in trained.values() if one.failure is not None),
    )


class _Run:
    """Trainings of some networks, which share programs.

    Parameters
    ----------
    trainers, recorders : sequence
        Of each network.
    on_progress : callable
        Takes numbers of steps that are done.
    is_stopped : callable
        Whether to give up.
    """

    def __init__(
        self,
        trainers: Sequence[Trainer],
        recorders: Sequence[Recorder],
        on_progress: OnProgress,
        is_stopped: Callable[[], bool],
    ):
        self.trainers, self.recorders, self.on_progress = trainers, recorders, on_progress
        self.plan, self._stopped, self._given_up = trainers[0].plan, is_stopped, False

    def give_up(self) -> None:
        """Make trainings that are under way end at their next record."""
        self._given_up = True

    def in_one_call(self, members: Sequence[Member]) -> dict[Member, Trained]:
        """Train members in one call, or in as few as the memory of the devices allows."""
        self._compile(members[0], loop=False)
        together, trained = Together(self.trainers, members), {}
        while rest := members[len(trained) :]:
            try:
                trained |= self.train(rest[: together.size], together.advance)
            except Exception as error:  # other programs may hold memory too
                if not is_memory_short(error) or together.size <= jax.local_device_count():
                    raise
                together = Together(self.trainers, members, together.size // 2)
        return trained

    def two_at_a_time(self, members: Sequence[Member], checkpoints_of: CheckpointsOf) -> dict[Member, Trained]:
        """Train each member by itself, some of them under way at once; with checkpoints one by one."""
        if checkpoints_of is not None:
            return {member: self._resumed(member, checkpoints_of) for member in members}
        self._compile(members[0], loop=True)
        calls = [lambda member=member: self.train([member], self._alone) for member in members]
        return {member: one for by_member in side_by_side(calls, self.give_up) for member, one in by_member.items()}

    def _compile(self, member: Member, loop: bool) -> None:
        """Compile side by side what all members share; the `loop` over steps only where it is that of one member."""
        trainer, recorder, seed = self.trainers[member.place], self.recorders[member.place], member.seed
        state = trainer.start(seed)
        steps = [lambda: trainer.advance(seed, state, 0)] if loop else []
        side_by_side([*steps, *recorder.parts(seed, state)])

    def _alone(self, states: Mapping[Member, State], stop: int) -> dict[Member, State]:
        """Take steps of each member by itself."""
        return {
            member: self.trainers[member.place].advance(member.seed, state, stop) for member, state in states.items()
        }

    def _resumed(self, member: Member, checkpoints_of: Callable[[int], Checkpoints]) -> Trained:
        """Train one member from and to its checkpoints; what is resumed may have little left to compile for."""
        checkpoints = checkpoints_of(member.seed)
        try:
            return self.train([member], self._alone, checkpoints)[member]
        finally:
            checkpoints.close()

    def train(
        self, members: Sequence[Member], advance: Advance, checkpoints: Checkpoints | None = None
    ) -> dict[Member, Trained]:
        """Take all steps of members that go side by side; those that fail are explained and left behind.

        A record is made while the next steps are taken.

        Parameters
        ----------
        members : sequence of Member
            Which networks and seeds.
        advance : callable
            Takes their steps.
        checkpoints : Checkpoints, optional
            Of the only member: where to begin, and where to leave states.
        """
        plan, wide = self.plan, self.plan.dtype == "float64"
        states = {member: self.trainers[member.place].start(member.seed) for member in members}
        traces: dict[Member, dict[int, Trace]] = {member: {} for member in members}
        saves: set[int] = set()
        if checkpoints is not None:
            (only,) = members
            recorder = self.recorders[only.place]
            states[only], kept = checkpoints.restore(states[only])
            traces[only] = {s: recorder.again(only.seed, states[only], s, *record) for s, record in kept.items()}
            saves = checkpoints.steps(plan.steps)
        begun = int(states[members[0]].step)
        self.on_progress(begun)
        anchors = {member: [state] for member, state in states.items()}  # to go back to, should a loss not be finite
        failed: dict[Member, Trained] = {}
        under_way: dict[tuple[Member, int], Future[Trace]] = {}

        def finish() -> None:
            for (member, step), record in under_way.items():
                traces[member][step] = record.result()
            under_way.clear()

        with ThreadPoolExecutor(1) as beside:
            for stop in sorted({*plan.records, *saves, plan.steps}):
                if not states or stop < begun or (stop == begun and begun in traces[members[0]]):
                    continue
                if self._given_up or self._stopped():
                    raise KeyboardInterrupt
                states = jax.block_until_ready(advance(states, stop))
                finish()
                for member, state in list(states.items()):
                    trainer, recorder = self.trainers[member.place], self.recorders[member.place]
                    if bool(state.failed) and not plan.keep_going:
                        one = lambda state, stop: advance({member: state}, stop)[member]  # noqa: B023
                        good, trace, failure = explain(trainer, recorder, member.seed, anchors[member], state, one)
                        traces[member][int(good.step)] = trace
                        failed[member] = Trained(traces[member], good, failure)
                        state = good
                        del states[member]
                    else:
                        self.on_progress(stop - begun)
                        if stop in plan.records:
                            record = beside.submit(_within, wide, recorder.record, member.seed, state)
                            under_way[member, stop] = record
                        if int(state.step) - int(anchors[member][-1].step) >= HISTORY:
                            anchors[member] = [anchors[member][-1], state]
                    if checkpoints is not None and (stop in saves or member in failed):
                        finish()
                        checkpoints.save(state, {s: (t.columns, t.status[0]) for s, t in traces[member].items()})
                begun = stop
            finish()
        return {member: failed.get(member) or Trained(traces[member], states[member]) for member in members}


def _within(wide: bool, call: Callable, *arguments: Any) -> Any:
    """Return ``call(*arguments)`` in 64 bits, or in 32, which is a setting of the thread."""
    with jax.enable_x64(wide):
        return call(*arguments)


def _joined(traces: Sequence[Trace]) -> Trace:
    """Return the traces of several seeds at one step as one trace."""
    columns = {name: np.concatenate([trace.columns[name] for trace in traces]) for name in traces[0].columns}
    seeds, status = (tuple(value for trace in traces for value in getattr(trace, n)) for n in ("seeds", "status"))
    return replace(traces[0], columns=columns, seeds=seeds, status=status)
