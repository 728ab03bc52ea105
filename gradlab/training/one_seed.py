"""One network trained on one seed: from record to record, and what to do when its loss is no number."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab.config import TrainingConfig
from gradlab.core.execute import WORKERS, once, repeatedly
from gradlab.measurement.measure import measure
from gradlab.measurement.records import Trace
from gradlab.networks import build
from gradlab.networks.network import example_shape
from gradlab.networks.resolved import resolved
from gradlab.training.checkpoints import Checkpoints
from gradlab.training.curvature import sharpness
from gradlab.training.failure import HISTORY, explain
from gradlab.training.optimizers import Recipe, numbers_of
from gradlab.training.plan import Plan
from gradlab.training.program import Sizes, State, bare, draw, judge, programs
from gradlab.training.records import Failure
from gradlab.training.split import Split


class Trained(NamedTuple):
    """One seed at its end: the records so far, the last state, and what went wrong."""

    traces: dict[int, Trace]
    state: State
    failure: Failure | None


class OneSeed:
    """A network, its data and a seed.

    Parameters
    ----------
    config : TrainingConfig
    data : Split
    plan : Plan
    seed : int
    lanes : int
        Seeds that are trained in one call, this one among them.
    given : mapping of int to pytree, optional
        The weights that each seed starts from. None: they are drawn.
    """

    def __init__(
        self, config: TrainingConfig, data: Split, plan: Plan, seed: int, lanes: int = 1,
        given: Mapping[int, Any] | None = None,
    ):  # fmt: skip
        self.config, self.data, self.plan, self.seed, self.lanes = config, data, plan, seed, lanes
        self.given = given
        self.net = build(config.network)
        self.recipe = Recipe.of(config, plan.steps, plan.optimizer)
        of = bare(config.network)
        self.programs = programs(of, data.outputs, plan.loss, self.recipe, plan.batch)
        self.judge = judge(of, data.outputs, plan.loss)
        self.numbers = numbers_of(config, plan.dtype)
        self.x, self.y = _array(data.x, plan.dtype), _array(data.y, plan.dtype)
        self.test = _array(data.test_x, plan.dtype), _array(data.test_y, plan.dtype)

    def of_seed(self, seed: int) -> OneSeed:
        """The same training from another seed; it shares programs and data."""
        other = copy(self)
        other.seed = seed
        return other

    @property
    def key(self) -> Array:
        """Of all that this seed draws."""
        return jax.random.fold_in(jax.random.key(self.plan.key), self.seed)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What every step takes beside the state."""
        return self.key, self.x, self.y, self.numbers

    def start(self) -> State:
        """The state before the first step: given weights, or those that `gradlab.measure` draws for the seed."""
        if self.given is None:
            params = once(draw(resolved(self.net), example_shape(self.net, self.x), self.data.outputs), self.key)
        else:
            params = jax.tree.map(lambda v: jnp.asarray(np.asarray(v), self.plan.dtype), self.given[self.seed])
        order = jnp.arange(len(self.x), dtype=jnp.int32)
        return once(self.programs.start, params, order, self.numbers)

    def advance(self, state: State, stop: int) -> State:
        """The state at step `stop`, or behind the first loss that is not finite."""
        if self.lanes > 1:  # the same program as for all of them, so that steps taken again have the same bits
            return advance_together([self] * self.lanes, [state] * self.lanes, stop)[0]
        return self.programs.advance(state, *self.arguments, jnp.int32(stop), jnp.asarray(self.plan.patient))

    def compile(self) -> None:
        """Compile side by side what all seeds share: a step, and the programs of a record."""
        state = self.start()
        programs = (
            lambda: self.advance(state, 0),
            lambda: self._of_layers(state),
            lambda: self._sizes(state),
            *(lambda role=role: self._judged(state.params, role) for role in ("train", "test")),
        )

        def call(program: Callable[[], Any]) -> None:
            with jax.enable_x64(self.plan.dtype == "float64"):  # a setting of the thread
                program()

        with ThreadPoolExecutor(WORKERS) as workers:
            try:
                list(workers.map(call, programs))
            except BaseException:
                workers.shutdown(wait=False, cancel_futures=True)
                raise

    def run(
        self, told: Callable[[int], None], checkpoints: Checkpoints | None = None
    ) -> Generator[tuple[State, int], State, Trained]:
        """All steps: yields a state and the step to go to, and is sent the state there; returns what was trained.

        Parameters
        ----------
        told : callable
            Takes the number of steps done since it was called last.
        checkpoints : Checkpoints, optional
            Where to begin, and where to leave states.
        """
        plan, traces = self.plan, {}
        state = self.start()
        if checkpoints is not None:
            state, kept = checkpoints.restore(state)
            traces = {step: self._again(state.params, step, *record) for step, record in kept.items()}
        begun = int(state.step)
        told(begun)
        anchors = [state]  # states to go back to, should a loss not be finite
        saves = set() if checkpoints is None else checkpoints.steps(plan.steps)
        for stop in sorted({*plan.records, *saves, plan.steps}):
            if stop < begun or (stop == begun and begun in traces):
                continue
            state = yield state, stop
            if bool(state.failed) and not plan.patient:
                good, failure = explain(self, anchors, state)
                traces[int(good.step)] = replace(self.record(good), status=(failure.status,))
                if checkpoints is not None:
                    checkpoints.save(good, _columns(traces))
                return Trained(traces, good, failure)
            told(stop - begun)
            begun = stop
            if stop in plan.records:
                traces[stop] = self.record(state)
            if stop in saves:
                checkpoints.save(state, _columns(traces))
            if int(state.step) - int(anchors[-1].step) >= HISTORY:
                anchors = [anchors[-1], state]
        return Trained(traces, state, None)

    def record(self, state: State) -> Trace:
        """Statistics of a state, on the measured batch, and of the update that follows it."""
        plan, trace = self.plan, self._of_layers(state)
        columns = {**trace.columns, **self._of_update(state, trace), **self._of_network(state.params, trace)}
        kept = {name: values for name, values in columns.items() if plan.keeps(name)}
        step = int(state.step)
        return replace(
            trace, config=self.config, columns=kept, seeds=(self.seed,), step=step, batch=plan.batch, drawn=True
        )

    def _of_layers(self, state: State) -> Trace:
        """What `gradlab.measure` finds."""
        data, plan = self.data, self.plan
        return measure(
            self.net, data.measured_x, data.measured_y, loss=plan.loss, params=state.params, columns=plan.measured,
            dtype=plan.dtype, data=data.name,
        )  # fmt: skip

    def _sizes(self, state: State) -> Sizes:
        """Sizes of the step that follows, layer by layer."""
        _, sizes = once(self.programs.observe, state, *self.arguments)
        return Sizes(*(np.asarray(v, np.float64) for v in sizes))

    def _of_update(self, state: State, trace: Trace) -> dict[str, np.ndarray]:
        """Norms of the clipped gradient and of the update of the step that follows."""
        sizes = self._sizes(state)
        with np.errstate(invalid="ignore"):
            ratio = sizes.weight_update - sizes.weight
        found = {
            "log10_update_ratio": ratio,
            "log10_weight_update_norm": sizes.weight_update,
            "log10_bias_update_norm": sizes.bias_update,
        }
        if self.recipe.clip:
            found |= {
                "log10_clipped_weight_grad_norm": sizes.clipped_weight,
                "log10_clipped_bias_grad_norm": sizes.clipped_bias,
            }
        # a time step has no weight of its own; in the order of the rows the others are the layers of the parameters
        rows = [i for i, info in enumerate(trace.layers) if info.fan_in > 0]
        whole = {name: np.full((1, len(trace.layers)), np.nan) for name in found}
        for name, values in found.items():
            whole[name][0, rows] = values
        return whole

    def _of_network(self, params: Any, trace: Trace) -> dict[str, np.ndarray]:
        """What all layers share: losses, accuracies, sharpness."""
        found = {**self._judged(params, "train"), **self._judged(params, "test")}
        if self.plan.sharpness:
            batch = _array(self.data.measured_x, self.plan.dtype), _array(self.data.measured_y, self.plan.dtype)
            found["sharpness"] = sharpness(self.net, params, *batch, loss=self.plan.loss)
        return {name: np.full((1, len(trace.layers)), value) for name, value in found.items()}

    def _judged(self, params: Any, role: str) -> dict[str, float]:
        """Loss and accuracy on all examples that are trained on, or kept apart; nothing where there are none."""
        x, y = {"train": (self.x, self.y), "test": self.test}[role]
        if not len(x):
            return {}
        value, accuracy = repeatedly(self.judge, params, x, y)
        with np.errstate(divide="ignore"):
            size = np.log10(np.float64(value.mantissa)) + float(value.exponent) * np.log10(2.0)
        return {f"log10_{role}_loss": size, f"{role}_accuracy": float(accuracy)}

    def _again(self, params: Any, step: int, columns: Mapping[str, np.ndarray], status: str) -> Trace:
        """The trace of an earlier record, from what a checkpoint kept of it."""
        data = self.data
        like = measure(
            self.net, data.measured_x, data.measured_y, loss=self.plan.loss, params=params, columns=("weight_norm",),
            dtype=self.plan.dtype, data=data.name,
        )  # fmt: skip
        return replace(
            like, config=self.config, columns=dict(columns), seeds=(self.seed,), step=step, batch=self.plan.batch,
            status=(status,), drawn=True,
        )  # fmt: skip


def advance_together(of: Sequence[OneSeed], states: Sequence[State], stop: int) -> list[State]:
    """The states of several seeds of one training at step `stop`, from one step that they share: in one call.

    A seed whose loss is not finite goes along with the others; the step of its state is the one behind that loss.
    """
    _, *shared = of[0].arguments
    keys, patient = jnp.stack([one.key for one in of]), of[0].plan.patient
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)._replace(step=states[0].step)
    after = of[0].programs.advance_all(together, keys, *shared, jnp.int32(stop), jnp.asarray(patient))
    after = after._replace(step=jnp.full(len(of), after.step))
    found = [jax.tree.map(lambda leaf: leaf[lane], after) for lane in range(len(of))]  # noqa: B023
    return [_behind_the_loss(state) if bool(state.failed) and not patient else state for state in found]


def _behind_the_loss(state: State) -> State:
    """The state of a seed that failed, with the step behind its first loss that is not finite."""
    return state._replace(step=jnp.int32(np.flatnonzero(~np.isfinite(state.losses))[0] + 1))


def _columns(traces: Mapping[int, Trace]) -> dict[int, tuple[Mapping[str, np.ndarray], str]]:
    """What a checkpoint keeps of each record: its columns and its status."""
    return {step: (trace.columns, trace.status[0]) for step, trace in traces.items()}


def _array(values: Any, dtype: str) -> Array:
    """Labels as they are, all else in the dtype of the training."""
    return jnp.asarray(values, None if np.asarray(values).dtype.kind in "iu" else dtype)
