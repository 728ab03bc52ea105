"""What is written down of a training: statistics of each layer, of the update that follows, losses and accuracies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from gradlab._types import MEASURED
from gradlab.config.custom import CustomConfig
from gradlab.core.scaled import Scaled
from gradlab.measurement.arrays import log10_norm, pooled
from gradlab.measurement.batch import DeviceBatch
from gradlab.measurement.measure import given
from gradlab.measurement.records import Trace
from gradlab.networks.network import Network, weighted
from gradlab.training import program
from gradlab.training.curvature import hessian_eigenvalues
from gradlab.training.optimizers import rates, stable_below
from gradlab.training.preconditioner import is_preconditioned, preconditioner
from gradlab.training.program import State
from gradlab.training.trainer import Step, Trainer


class Recorder:
    """Writes down states of a training.

    Parameters
    ----------
    trainer : Trainer
        The training whose states it records.
    """

    def __init__(self, trainer: Trainer):
        self.trainer, self.plan, data = trainer, trainer.plan, trainer.data
        x, y = trainer.on_device(data.measured_x, data.measured_y)
        self.measured = DeviceBatch(x, y, self.plan.loss, trainer.outputs, self.plan.dtype, data.name)
        # one column at least, from which the number of rows is known: what is not asked for is dropped in `record`
        self.wanted = tuple(name for name in MEASURED if name in trainer.plan.measured) or ("log10_delta_rms",)
        roles = {"train": (data.x, data.y), "test": (data.test_x, data.test_y)}
        self.roles = {role: (x, y) for role, (x, y) in roles.items() if len(x)}
        self.targets = {role: trainer.on_device(x[:0], y)[1] for role, (x, y) in self.roles.items()}
        # one call for all examples, but where those of a batch change each other
        each = [x for x, _ in self.roles.values()]
        self.batches = [
            trainer.on_device(x, data.y)[0] for x in (each if _mixes(trainer.net) else [np.concatenate(each)])
        ]

    def of(self, trainer: Trainer) -> Recorder:
        """Return the recorder of another network on the same examples, which share their place on the device."""
        other = copy.copy(self)
        other.trainer = trainer
        return other

    def parts(self, seed: int, state: State) -> tuple[Callable[[], Any], ...]:
        """Return the calls that a record is made of; each compiles programs of its own."""
        return (
            lambda: self._statistics(seed, state),
            lambda: self.trainer.step(seed, state),
            lambda: self._judged(state),
        )

    def record(self, seed: int, state: State) -> Trace:
        """Return the statistics of a state on the measured batch, and of the update that follows it."""
        trace = self._statistics(seed, state)
        layers = len(trace.layers)
        # a time step has no weight of its own; in the order of the rows the others are the layers of the parameters
        rows = [i for i, info in enumerate(trace.layers) if info.fan_in > 0]
        columns, step = dict(trace.columns), self.trainer.step(seed, state)
        for name, values in self._of_update(state, step).items():
            columns[name] = np.full((1, layers), np.nan)
            columns[name][0, rows] = values
        for name, value in {**self._judged(state), **self._curvature(state, step)}.items():
            columns[name] = np.full((1, layers), value)
        kept = {name: values for name, values in columns.items() if self.plan.keeps(name)}
        return replace(trace, columns=kept, step=int(state.step))

    def again(self, seed: int, state: State, step: int, columns: Mapping[str, np.ndarray], status: str) -> Trace:
        """Return an earlier record of a seed, from what a checkpoint kept of it."""
        return replace(self._statistics(seed, state), columns=dict(columns), step=step, status=(status,))

    def _statistics(self, seed: int, state: State) -> Trace:
        """Return what `gradlab.measure` returns for the present weights."""
        trainer, plan = self.trainer, self.plan
        params = trainer.room.widen(trainer.trained(state))
        trace = given(trainer.net, params, self.measured, self.wanted, trainer.room.deepest, trainer.call)
        return replace(
            trace, config=trainer.config, seeds=(seed,), batch=plan.batch, data=trainer.data.name, drawn=True
        )

    def _of_update(self, state: State, step: Step) -> dict[str, np.ndarray]:
        """Return norms of the clipped gradient and of the update of the step that follows, layer by layer."""
        sizes = lambda tree, kind: layer_norms(self.trainer.net, state.params, tree, kind)
        columns = {
            "log10_weight_update_norm": sizes(step.update, "weight"),
            "log10_bias_update_norm": sizes(step.update, "bias"),
        }
        with np.errstate(invalid="ignore"):
            columns["log10_update_ratio"] = columns["log10_weight_update_norm"] - sizes(state.params, "weight")
        if self.trainer.recipe.clip:
            columns["log10_clipped_weight_grad_norm"] = sizes(step.clipped, "weight")
            columns["log10_clipped_bias_grad_norm"] = sizes(step.clipped, "bias")
        return columns

    def _judged(self, state: State) -> dict[str, float]:
        """Return loss and accuracy of all training examples and of all test examples, where there are any."""
        trainer, loss, first = self.trainer, self.plan.loss, 0
        outputs_of = program.outputs_of(trainer.kind.resolved, trainer.outputs)
        params = trainer.room.widen(trainer.trained(state))
        outputs = [trainer.call(outputs_of, params, x, trainer.depth, trainer.blocks) for x in self.batches]
        outputs = jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)
        columns: dict[str, float] = {}
        for role, (x, y) in self.roles.items():
            part = jax.tree.map(lambda v: v[first : first + len(x)], outputs)  # noqa: B023
            first += len(x)
            value = trainer.call(program.mean_loss(loss), part, self.targets[role])
            with np.errstate(divide="ignore"):
                size = np.log10(np.float64(value.mantissa)) + float(value.exponent) * np.log10(2.0)
            columns |= {f"log10_{role}_loss": float(size), f"{role}_accuracy": _accuracy(part, y, loss)}
        return columns

    def _curvature(self, state: State, step: Step) -> dict[str, float]:
        """Return the sharpness of the measured batch, and the preconditioned one where steps differ by entry.

        The preconditioner is that of the step that follows: before the first step there is none.
        """
        plan, trainer = self.plan, self.trainer
        if not plan.sharpness:
            return {}
        config, data = trainer.config, trainer.data
        scales = {"sharpness": None}
        if is_preconditioned(config):
            factors = trainer.numbers.get("rate_factors")
            scales["preconditioned_sharpness"] = preconditioner(config, state.params, step.after.opt_state, factors)
        columns, products = {}, 0
        for name, scale in scales.items():
            if plan.keeps(name):
                largest = hessian_eigenvalues(
                    trainer.net, trainer.trained(state), data.measured_x, data.measured_y, count=1, loss=plan.loss,
                    preconditioner=scale,
                )  # fmt: skip
                columns[name] = float(largest.values[0])
                products += largest.products
        with np.errstate(divide="ignore"):  # of a rate that has fallen to 0 any sharpness is stable
            threshold = stable_below(config) / rates(config, plan.steps)[int(state.step)]
        return {**columns, "sharpness_threshold": float(threshold), "hessian_products": products}


def _accuracy(outputs: Scaled, y: np.ndarray, loss: str) -> float:
    """Return the share of labels that the largest output names; NaN for targets that are no labels."""
    if y.dtype.kind not in "iu":
        return float("nan")
    values = np.asarray(outputs.mantissa)
    if values.shape[-1] > 1:  # an example's exponent is one for all of its outputs
        return float(np.mean(values.argmax(-1) == y.reshape(-1)))
    # of one output the label is the side of the middle that it lies on: 0 for a logit, 1/2 for a value
    values = np.ldexp(values[:, 0].astype(np.float64), outputs.exponent)
    return float(np.mean((values > (0.5 if loss == "mse" else 0.0)) == y.reshape(-1)))


def _mixes(net: Network) -> bool:
    """Return whether a network's outputs for an example may depend on the others of its batch."""
    return isinstance(net, CustomConfig) or getattr(net, "norm", None) == "batch"


def layer_norms(net: Network, params: Any, tree: Any, kind: str) -> np.ndarray:
    """Return the log10 norm of a tree's weights, or biases, layer by layer; NaN where a layer has none.

    Parameters
    ----------
    net : network
        The network.
    params : pytree
        Its parameters, which say where layers begin.
    tree : pytree like `params`
        What is measured: parameters, gradients or updates.
    kind : {"weight", "bias"}
        Which arrays of a layer count.
    """
    norms: list[float] = []
    for leaves in layers_in(net, params, tree):
        norms_of_kind = [log10_norm(rows) for name, rows in leaves if name == kind]
        norms.append(float(pooled(np.stack(norms_of_kind))) if norms_of_kind else np.nan)
    return np.array(norms)


def layers_in(net: Network, params: Any, tree: Any) -> list[list[tuple[str, np.ndarray]]]:
    """Return the named arrays of each layer that has a weight, from input to readout."""
    layers = []
    for part, subtree in zip(net.parts(params, params), net.parts(params, tree), strict=True):
        weights = [layer["weight"] for _, layer in weighted((), part)]
        if not weights:
            continue
        # of a run of equal blocks the arrays are stacked, and a block is a layer
        count = len(weights[0]) if weights[0].ndim > 2 else 1
        leaves = jax.tree_util.tree_flatten_with_path(subtree)[0]
        rows = [(getattr(path[-1], "key", ""), np.asarray(leaf).reshape(count, -1)) for path, leaf in leaves]
        layers += [[(name, leaf[i]) for name, leaf in rows] for i in range(count)]
    return layers
