"""One forward and one backward pass for each network and seed: networks of any architecture.

Networks of one structure share one compiled program, whatever their depths, draws and branch scales: both loops over
blocks have a trip count that is an argument. Layer l's draw depends on the seed, l and its shape alone, so that the
shallower network is the beginning of the deeper one here too.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gradlab.config import NetworkConfig
from gradlab.config.custom import CustomConfig
from gradlab.core.execute import once, over_seeds
from gradlab.core.initializers import PROBE_FOLD
from gradlab.core.keys import fold_in
from gradlab.core.losses import loss_named, probes
from gradlab.core.scaled import scaled
from gradlab.measurement.batch import DeviceBatch
from gradlab.measurement.kept import on_host
from gradlab.measurement.stats import statistics
from gradlab.networks import build
from gradlab.networks.network import Network
from gradlab.networks.resolved import Resolved, resolved


def structure(config: NetworkConfig) -> tuple:
    """What networks must have in common to share a program."""
    if isinstance(config, CustomConfig):
        return config.architecture, config
    net = build(config)
    fields = [(name, getattr(config, name)) for name in config.names("program")]
    return config.architecture, *fields, tuple(net.numbers()), None if net.nests else config.depth


def drawn(
    configs: Sequence[NetworkConfig], batch: DeviceBatch, key: Array, seeds: Sequence[int], wanted: tuple[str, ...]
) -> tuple[list[list[Any]], list[Any]]:
    """Records of networks of one structure, for each network seed by seed, and the shapes of their parameters."""
    deepest = max(configs, key=lambda c: c.depth or 0)
    run = program(resolved(bare(deepest)), batch.outputs, batch.loss, wanted)
    records, shapes = [], []
    for config in configs:
        net = build(config)
        room = net if net.depth == deepest.depth else dataclasses.replace(net, depth=deepest.depth)
        draw = draws(resolved(room), batch.shape, batch.outputs, batch.loss, len(batch.x), batch.dtype)

        def arguments(drawn, net=net):
            params, probe = drawn
            return params, batch.x, probe if batch.y is None else batch.y, *numbers_of(net, batch.dtype)

        shapes.append(jax.eval_shape(draw, key)[0])
        records.append(over_seeds(draw, run, arguments, on_host, key, seeds, batch.signals(shapes[-1])))
    return records, shapes


def given(
    net: Network, params: Any, batch: DeviceBatch, wanted: tuple[str, ...], deepest: Network, call: Callable = once
) -> Any:
    """The record of given weights, in arrays of the deepest network whose beginning this one is; `call` compiles."""
    run = program(resolved(bare(deepest)), batch.outputs, batch.loss, wanted)
    return on_host(call(run, params, batch.x, batch.y, *numbers_of(net, batch.dtype)))


def bare(config: NetworkConfig) -> NetworkConfig:
    """The configuration without what changes numbers alone, so that equal programs are compiled once."""
    if isinstance(config, CustomConfig):
        return config
    learned = {"branch_scale": "learned"} if getattr(config, "branch_scale", "") == "learned" else {}
    plain = {name: getattr(config, name) for name in config.names("program")}
    return type(config)(**plain, **learned, depth=config.depth)


def numbers_of(net: Network, dtype: str) -> tuple[Array, dict[str, Array]]:
    """What a program takes beside parameters and data: the depth, and numbers of the blocks."""
    depth = jnp.int32(net.depth or 0)
    return depth, {name: jnp.asarray(value, dtype) for name, value in net.numbers().items()}


@functools.lru_cache(maxsize=64)
def draws(of: Resolved, shape: tuple[int, ...], outputs: int, loss: str, batch: int, dtype: str):
    """key -> (parameters, probe vectors)."""

    def draw(key):
        probe = probes(fold_in(key, PROBE_FOLD), batch, outputs, dtype) if loss == "probe" else None
        return of.network.layer(outputs).init(key, shape)[0], probe

    return draw


@functools.lru_cache(maxsize=64)
def program(of: Resolved, outputs: int, loss: str, wanted: tuple[str, ...]):
    """(params, x, y, depth, numbers) -> the records of all parts of the network, and its loss."""
    evaluate = loss_named(loss)
    read = statistics(wanted)

    @jax.jit
    def measured(params, x, y, depth, numbers):
        stack = of.network.stack(outputs, **numbers)
        lower, run, head = stack.split(params)
        through = depth - stack.earlier_depth
        a, saved_below = stack.earlier.forward(lower, scaled(x, x.ndim - 1))
        saved_run = None
        if stack.last_run is not None:
            a, saved_run = stack.last_run.first(through).forward(run, a)
        logits, saved = stack.readout.forward(head, a)
        value, dy = evaluate(logits, y)
        dy, above = stack.readout.backward(head, saved, dy, read)
        found = {"readout": above, "loss": value}
        if stack.last_run is not None:
            dy, found["run"] = stack.last_run.first(through).backward(run, saved_run, dy, read)
        found["below"] = stack.earlier.backward(lower, saved_below, dy, read)[1]
        return found

    return measured
