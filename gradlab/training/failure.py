"""Why a loss is not finite: the steps before it are taken again, and looked at one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from gradlab.frames.rows import concat, frame
from gradlab.measurement.records import LayerInfo, Trace
from gradlab.training.optimizers import rates, stable_below
from gradlab.training.preconditioner import is_preconditioned
from gradlab.training.program import State
from gradlab.training.recorder import Recorder, layers_in
from gradlab.training.records import Failure
from gradlab.training.trainer import Trainer

#: Finite steps that are shown.
HISTORY = 20


class Explained(NamedTuple):
    """The last good state of a failed training, its record, and why the steps behind it failed."""

    good: State
    trace: Trace
    failure: Failure


def explain(
    trainer: Trainer,
    recorder: Recorder,
    seed: int,
    anchors: Sequence[State],
    failed: State,
    advance: Callable[[State, int], State],
) -> Explained:
    """Find the last state whose parameters are all finite, and the first layer in which something is not.

    Parameters
    ----------
    trainer : Trainer
        The training that failed.
    recorder : Recorder
        What takes the statistics of its states.
    seed : int
        Number of the seed that failed.
    anchors : sequence of State
        Earlier states; the steps from one of them on are taken again, which gives the same bits.
    failed : State
        The state behind the loss that is not finite.
    advance : callable
        Takes a state of the seed and a step, returns the state at that step, by the program that trained it.
    """
    step = int(failed.step) - 1
    first = max(step - HISTORY, 0)
    state = next((a for a in reversed(anchors) if int(a.step) <= first), anchors[0])
    states = [advance(state, max(first, int(state.step)))]
    while int(states[-1].step) < step:
        states.append(advance(states[-1], int(states[-1].step) + 1))
    good = [state for state in states if _finite(state.params)]
    traces = [recorder.record(seed, state) for state in good]
    if len(good) == len(states):
        direction, place = _in_signal(traces[-1])
    else:
        direction, place = _in_step(trainer, seed, good[-1], traces[-1])
    info = traces[-1].layers[place]
    whole = concat([frame(trace) for trace in traces])
    history = whole[whole["layer"] == info.layer].tail(HISTORY).reset_index(drop=True)
    failure = Failure(seed, step, info.layer, info.layer_name, direction, history, _unstable(trainer, traces))
    return Explained(good[-1], replace(traces[-1], status=(failure.status,)), failure)


def _unstable(trainer: Trainer, traces: Sequence[Trace]) -> str:
    """Say where rate times sharpness was largest, if both are known and it was more than gradient descent bears."""
    bound = stable_below(trainer.config)
    column = "preconditioned_sharpness" if is_preconditioned(trainer.config) else "sharpness"
    if column not in traces[0].columns or np.isnan(bound):
        return ""
    rate = rates(trainer.config, trainer.plan.steps)
    products = {trace.step: rate[trace.step] * float(trace.columns[column][0, 0]) for trace in traces}
    known = {step: value for step, value in products.items() if np.isfinite(value)}
    if not known or not known[worst := max(known, key=lambda step: known[step])] > bound:
        return ""
    value = known[worst]
    name = column.replace("_", " ")
    return f"learning rate times {name} was {value:.3g} at step {worst}, and steps are unstable above {bound:.3g}"


def _in_step(trainer: Trainer, seed: int, state: State, trace: Trace) -> tuple[str, int]:
    """Return whether gradient or update made parameters that are not finite, and the row of the first such layer."""
    rows = [i for i, info in enumerate(trace.layers) if info.fan_in > 0]
    bad = lambda tree: _bad_layers(trainer, state, tree)
    grads = bad(trainer.gradient(seed, state)[2])
    if grads.any():
        return "backward", rows[int(np.flatnonzero(grads)[-1])]  # the gradient comes from above
    return "update", rows[int(np.flatnonzero(bad(trainer.step(seed, state).after.params))[0])]


def _in_signal(trace: Trace) -> tuple[str, int]:
    """Return the row of the first layer whose signal leaves the range of the dtype; if none does, it is the loss."""
    largest = np.log10(np.finfo(trace.dtype).max)
    for place, info in enumerate(trace.layers):
        sizes = [trace.columns[c][0, place] for c in ("log10_preactivation_rms", "log10_activation_rms")
                 if c in trace.columns]  # fmt: skip
        if any(size != size or size > largest for size in sizes if not _absent(size, info)):
            return "forward", place
    return "loss", len(trace.layers) - 1


def _absent(size: float, info: LayerInfo) -> bool:
    """Return whether a layer has no such column: the row of a recurrent cell has no signal of its own."""
    return size != size and info.layer == 0


def _finite(tree: Any) -> bool:
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(tree))


def _bad_layers(trainer: Trainer, state: State, tree: Any) -> np.ndarray:
    """Return whether each layer with a weight, from input to readout, holds numbers that are not finite."""
    layers = layers_in(trainer.net, state.params, tree)
    return np.array([not all(np.isfinite(values).all() for _, values in leaves) for leaves in layers])
