"""Why a loss is not finite: the steps before it are taken again, and looked at one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.core.execute import once
from gradlab.frames.rows import concat, frame
from gradlab.measurement.records import LayerInfo, Trace
from gradlab.networks.network import Network
from gradlab.training.optimizers import rate_at, stable_below
from gradlab.training.program import State, by_layer
from gradlab.training.records import Failure

if TYPE_CHECKING:
    from gradlab.training.one_seed import OneSeed

#: Finite steps that are shown.
HISTORY = 20


def explain(of: OneSeed, anchors: Sequence[State], failed: State) -> tuple[State, Failure]:
    """The last good state, and the first layer in which something is not finite.

    Parameters
    ----------
    of : OneSeed
        What was trained.
    anchors : sequence of State
        Earlier states; the steps from one of them on are taken again, which gives the same bits.
    failed : State
        The state behind the loss that is not finite.

    Returns
    -------
    good : State
        The last state whose parameters are all finite.
    failure : Failure
    """
    step = int(failed.step) - 1
    first = max(step - HISTORY, 0)
    state = next((a for a in reversed(anchors) if int(a.step) <= first), anchors[0])
    states = [of.advance(state, max(first, int(state.step)))]
    while int(states[-1].step) < step:
        states.append(of.advance(states[-1], int(states[-1].step) + 1))
    good = [state for state in states if _finite(state.params)]
    traces = [of.record(state) for state in good]
    direction, place = _origin(of, good[-1], len(good) == len(states))
    info = traces[-1].layers[place]
    whole = concat([frame(trace) for trace in traces])
    history = whole[whole["layer"] == info.layer].tail(HISTORY).reset_index(drop=True)
    unstable = _unstable(of, traces)
    return good[-1], Failure(of.seed, step, info.layer, info.layer_name, direction, history, unstable)


def _unstable(of: OneSeed, traces: Sequence[Trace]) -> str:
    """Where rate times sharpness was largest, if that was more than gradient descent bears and both are known."""
    bound = stable_below(of.config)
    if "sharpness" not in traces[0].columns or np.isnan(bound):
        return ""
    products = {
        trace.step: rate_at(of.recipe, of.config, trace.step) * float(trace.columns["sharpness"][0, 0])
        for trace in traces
    }
    known = {step: value for step, value in products.items() if np.isfinite(value)}
    if not known or not known[worst := max(known, key=lambda step: known[step])] > bound:
        return ""
    value = known[worst]
    return f"learning rate times sharpness was {value:.3g} at step {worst}, and steps are unstable above {bound:.3g}"


def _origin(of: OneSeed, state: State, params_finite: bool) -> tuple[str, int]:
    """Direction of what is not finite, and the row of the first layer that it is in.

    Where the parameters behind `state` are not finite, its gradient or its update was not; else the loss is not, of
    signals that overflow on their way up.
    """
    layers = of.record(state).layers
    weighted = [i for i, info in enumerate(layers) if info.fan_in > 0]
    if not params_finite:
        grads = _bad_layers(of.net, state.params, once(of.programs.gradient, state, *of.arguments))
        if grads.any():
            return "backward", weighted[int(np.flatnonzero(grads)[-1])]  # the gradient comes from above
        after = once(of.programs.observe, state, *of.arguments)[0]
        return "update", weighted[int(np.flatnonzero(_bad_layers(of.net, state.params, after.params))[0])]
    largest = np.log10(np.finfo(of.plan.dtype).max)
    trace = of.record(state)
    for place in range(len(layers)):
        sizes = [trace.columns[c][0, place] for c in ("log10_preactivation_rms", "log10_activation_rms")
                 if c in trace.columns]  # fmt: skip
        if any(size != size or size > largest for size in sizes if not _absent(size, layers[place])):
            return "forward", place
    return "loss", len(layers) - 1


def _absent(size: float, info: LayerInfo) -> bool:
    """Whether a layer has no such column: the row of a recurrent cell has no signal of its own."""
    return size != size and info.layer == 0


def _finite(tree: Any) -> bool:
    return bool(jnp.all(jnp.asarray([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)])))


def _bad_layers(net: Network, params: Any, tree: Any) -> np.ndarray:
    """Whether each layer with a weight, from input to readout, holds numbers that are not finite."""
    both = zip(net.parts(params, params), net.parts(params, tree), strict=True)
    parts = [[np.asarray(rows) for _, rows in by_layer(*of)] for of in both]
    return np.concatenate([~np.all([np.isfinite(rows).all(1) for rows in part], axis=0) for part in parts if part])
