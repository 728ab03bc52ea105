"""Measure networks of any architecture, by one forward and one backward pass for each network and seed.

Networks of one structure share one compiled program, whatever their depths, draws and branch scales, because the number
of repeated blocks is an argument of it. The draw of layer l depends on the seed, l and its shape only, so a shallower
network has the first layers of a deeper one.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gradlab._formats import Format
from gradlab.config import NetworkConfig
from gradlab.config.custom import CustomConfig
from gradlab.core.execute import once, over_seeds
from gradlab.core.initializers import PROBE_FOLD
from gradlab.core.keys import fold_in
from gradlab.core.losses import loss_named, probes
from gradlab.core.rounding import in_format, in_format_params, rounded_array
from gradlab.core.scaled import scaled
from gradlab.measurement.batch import DeviceBatch
from gradlab.measurement.kept import on_host
from gradlab.measurement.stats import statistics
from gradlab.networks import build
from gradlab.networks.network import Network
from gradlab.networks.resolved import Resolved, resolved


def structure(config: NetworkConfig) -> tuple:
    """Return what networks must have in common to share a program."""
    if isinstance(config, CustomConfig):
        return config.architecture, config
    net = build(config)
    fields = [(name, getattr(config, name)) for name in config.names("program")]
    return config.architecture, *fields, tuple(net.numbers()), None if net.nests else config.depth


def drawn(
    configs: Sequence[NetworkConfig], batch: DeviceBatch, key: Array, seeds: Sequence[int], wanted: tuple[str, ...]
) -> tuple[list[list[Any]], list[Any]]:
    """Measure networks of one structure; return records of each network by seed, and the shapes of its parameters."""
    deepest = max(configs, key=lambda c: c.depth or 0)
    run = program(resolved(bare(deepest)), batch.outputs, batch.loss, wanted, batch.form)
    records, shapes = [], []
    for config in configs:
        net = build(config)
        room = net if net.depth == deepest.depth else dataclasses.replace(net, depth=deepest.depth)
        draw = draws(resolved(room), batch.shape, batch.outputs, batch.loss, len(batch.x), batch.held)

        def arguments(drawn, net=net):
            params, probe = drawn
            return params, batch.x, probe if batch.y is None else batch.y, *numbers_of(net, batch.held)

        shapes.append(jax.eval_shape(draw, key)[0])
        records.append(over_seeds(draw, run, arguments, on_host, key, seeds, batch.signals(shapes[-1])))
    return records, shapes


def given(
    net: Network, params: Any, batch: DeviceBatch, wanted: tuple[str, ...], deepest: Network, call: Callable = once
) -> Any:
    """Measure given weights with the program of the deepest network that begins like this one; `call` runs it."""
    run = program(resolved(bare(deepest)), batch.outputs, batch.loss, wanted, batch.form)
    return on_host(call(run, params, batch.x, batch.y, *numbers_of(net, batch.held)))


def bare(config: NetworkConfig) -> NetworkConfig:
    """Leave out fields of a configuration that change only numbers, so that equal programs are compiled once."""
    if isinstance(config, CustomConfig):
        return config
    learned = {"branch_scale": "learned"} if getattr(config, "branch_scale", "") == "learned" else {}
    plain = {name: getattr(config, name) for name in config.names("program")}
    return type(config)(**plain, **learned, depth=config.depth)


def numbers_of(net: Network, dtype: str) -> tuple[Array, dict[str, Array]]:
    """Return the other arguments of a program: the depth, and the numbers of the blocks."""
    depth = jnp.int32(net.depth or 0)
    return depth, {name: jnp.asarray(value, dtype) for name, value in net.numbers().items()}


@functools.lru_cache(maxsize=64)
def draws(entry: Resolved, shape: tuple[int, ...], outputs: int, loss: str, batch: int, dtype: str):
    """Make the function that draws parameters and probe vectors from a key."""

    def draw(key):
        probe = probes(fold_in(key, PROBE_FOLD), batch, outputs, dtype) if loss == "probe" else None
        return entry.network.layer(outputs).init(key, shape)[0], probe

    return draw


@functools.lru_cache(maxsize=64)
def program(entry: Resolved, outputs: int, loss: str, wanted: tuple[str, ...], form: Format | None = None):
    """Make the program that returns records of all parts of a network from (params, x, y, depth, numbers).

    With a `form` the inputs, the parameters and each layer's output are rounded to this format.
    """
    evaluate = loss_named(loss)
    read = statistics(wanted)

    @jax.jit
    def measured(params, x, y, depth, numbers):
        stack = entry.network.stack(outputs, **numbers)
        if form is not None:
            stack = stack._replace(whole=in_format(stack.whole, form))
            params, x = in_format_params(params, form), rounded_array(x, form)
        lower, run, head = stack.split(params)
        through = depth - stack.earlier_depth
        a, saved_below = stack.earlier.forward(lower, scaled(x, x.ndim - 1))
        saved_run = None
        if stack.last_run is not None:
            a, saved_run = stack.last_run.first(through).forward(run, a)
        logits, saved = stack.readout.forward(head, a)
        value, dy = evaluate(logits, y)
        dy, above = stack.readout.backward(head, saved, dy, read)
        records = {"readout": above, "loss": value}
        if stack.last_run is not None:
            dy, records["run"] = stack.last_run.first(through).backward(run, saved_run, dy, read)
        records["below"] = stack.earlier.backward(lower, saved_below, dy, read)[1]
        return records

    return measured
