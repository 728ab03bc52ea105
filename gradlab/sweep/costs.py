"""Estimate the cost of a sweep before it runs, by the sizes of its matrix products."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

import jax
import numpy as np

from gradlab._formats import held_in
from gradlab._types import COORDINATES, MEASURED
from gradlab.config import MLPConfig, NetworkConfig, TrainingConfig
from gradlab.core.devices import are_batched
from gradlab.core.execute import WORKERS
from gradlab.measurement.stats import ON_REQUEST
from gradlab.networks import build
from gradlab.networks.network import weighted
from gradlab.networks.rules import hidden_rule, readout_rule
from gradlab.sweep.grid import stem
from gradlab.sweep.task import Cost, Task
from gradlab.training.plan import Plan

#: What the sharpness of one record costs, in gradients: about 20 products with the Hessian, of two gradients each.
GRADIENTS_OF_SHARPNESS = 40


def measuring(task: Task, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> Cost:
    """Count products with weights and Gram matrices, two operations per multiply-add."""
    together = isinstance(configs[0], MLPConfig)
    return _measuring_together(task, configs, seeds) if together else _measuring_apart(task, configs, seeds)


def _measuring_together(task: Task, configs: Sequence[MLPConfig], seeds: Sequence[int]) -> Cost:
    """Count networks that are measured together.

    Networks that differ in depth alone share the forward pass of the deepest, and each has a backward pass. Networks
    that share draws share two programs: one draws, one measures.
    """
    deepest: dict[str, MLPConfig] = {}
    for config in configs:
        deepest[stem(config)] = max(config, deepest.get(stem(config), config), key=lambda c: c.depth)
    inputs, batch = prod(task.data.x.shape[1:]), len(task.data.x)
    units = lambda config: [inputs, *config.widths, task.data.classes]
    forward = [_products(units(c)) for c in deepest.values()]
    backward = sum(_products(units(c)[1:]) for c in configs)
    grams = sum(batch * sum(units(c)[:-1] + units(c)[1:]) for c in configs)
    signals = 2 * batch * sum(sum(units(c)) for c in deepest.values())
    return Cost(
        programs=2 * len({_draws(c) for c in configs}),
        flops=2.0 * batch * len(seeds) * (sum(forward) + backward + grams),
        memory=np.dtype(held_in(task.dtype)).itemsize * (max(forward) + signals),
        disk=_disk(task, len(seeds) * sum(c.depth + 1 for c in configs)),
        signals=float(batch * len(seeds) * sum(sum(units(c)) for c in configs)),
    )


def _measuring_apart(task: Task, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> Cost:
    """Count networks that share only programs: three products with each weight at each position."""
    x = task.data.x
    positions = prod(x.shape[1:-1])
    entries = [_weights(config, x, task.data.classes) for config in configs]
    sized = list(zip(entries, configs, strict=True))
    kinds = {(task.group(config), config.activation) for config in configs}
    return Cost(
        programs=len(kinds) + len(configs),
        flops=6.0 * len(x) * positions * len(seeds) * sum(entries),
        memory=np.dtype(held_in(task.dtype)).itemsize * 3 * max(entries),
        disk=_disk(task, len(seeds) * sum((config.depth or positions) + 2 for config in configs)),
        # L square weights of n units have L n^2 entries, and the signals of one position L n
        signals=float(len(x) * positions * len(seeds) * sum(n**0.5 * (c.depth or 1) ** 0.5 for n, c in sized)),
    )


def training(
    task: Task, plan: Plan, example: np.ndarray, configs: Sequence[TrainingConfig], seeds: Sequence[int]
) -> Cost:
    """Count three products with each weight, for each example and position of each step."""
    at_once = len(seeds) if are_batched() else min(len(seeds), WORKERS)
    flops, largest, rows = 0.0, 0, 0
    for config in configs:
        x = example.reshape(1, -1) if build(config.network).ranks == (1,) else example
        positions = prod(x.shape[1:-1])
        entries = _weights(config.network, x, task.data.classes)
        gradients = plan.steps + (GRADIENTS_OF_SHARPNESS * len(plan.records) if plan.sharpness else 0)
        flops += 6.0 * plan.batch * positions * entries * gradients * len(seeds)
        largest = max(largest, entries)
        rows += len(seeds) * len(plan.records) * ((config.network.depth or positions) + 2)
    memory = at_once * 6 * np.dtype(held_in(task.dtype)).itemsize * largest  # weights, gradient, update, moments
    return Cost(4 * len(configs), flops, memory, _disk(task, rows))


def _disk(task: Task, rows: int) -> int:
    return 8 * rows * (len(COORDINATES) + len(task.columns or {*MEASURED} - {*ON_REQUEST}))


def _weights(config: NetworkConfig, x: np.ndarray, outputs: int) -> int:
    """Count the entries of all weights of a network."""
    params = jax.eval_shape(lambda: build(config).init_params(0, x, outputs=outputs))
    return sum(prod(leaf["weight"].shape) for _, leaf in weighted((), params))


def _draws(config: MLPConfig) -> tuple[str, str, str]:
    """Return the base draws of weights, biases and readout."""
    hidden, readout = hidden_rule(config), readout_rule(config)
    biases = hidden.bias_family.name if config.sigma_b2 is None else "normal"
    return hidden.family.name, biases, readout.family.name


def _products(units: Sequence[int]) -> int:
    """Count the entries of all weights between successive layers of these sizes."""
    return sum(n * m for n, m in itertools.pairwise(units))
