"""Measure networks of any architecture: one forward and one backward pass for each network and seed.

Networks of one structure share one compiled program, whatever their depths, draws and branch scales:
both loops over blocks have a trip count that is an argument. Layer l's draw depends on the seed, l and
its shape alone, so that the shallower network is the beginning of the deeper one here too.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab._types import MEASURED
from gradlab.config import NetworkConfig
from gradlab.config.custom import CustomConfig
from gradlab.core.execute import once, over_seeds
from gradlab.core.initializers import PROBE_FOLD
from gradlab.core.losses import loss_named, probes
from gradlab.core.scaled import scaled, to_numpy
from gradlab.measurement.blocks import row, seen
from gradlab.measurement.records import LayerInfo, Trace
from gradlab.measurement.stats import BACKWARD, COUNTS, FORWARD, SIZES
from gradlab.measurement.traces import loss_columns, scales, status_of
from gradlab.networks import build
from gradlab.networks.custom import CustomNetwork
from gradlab.networks.network import Network, weighted
from gradlab.networks.resolved import Resolved, resolved

#: Fields that change numbers and no program.
NUMBERS = ("depth", "init", "gain", "sigma_w2", "std", "sigma_b2", "readout", "branch_scale")


def structure(config: NetworkConfig) -> tuple:
    """What networks must have in common to share a program."""
    if isinstance(config, CustomConfig):
        return config.architecture, config
    net = build(config)
    fields = {name: value for name, value in dataclasses.asdict(config).items() if name not in NUMBERS}
    return config.architecture, *fields.items(), tuple(net.numbers()), None if net.nests else config.depth


def measure_networks(
    configs: Sequence[NetworkConfig],
    x: Array,
    y: Any,
    outputs: int,
    loss: str,
    key: Array,
    seeds: Sequence[int],
    wanted: tuple[str, ...],
    dtype: str,
    data: str,
) -> list[Trace]:
    """Traces of networks of one structure, each drawn by itself."""
    deepest = max(configs, key=lambda c: c.depth or 0)
    traces = []
    for config in configs:
        records, params = drawn_records(config, deepest, x, y, outputs, loss, key, seeds, wanted, dtype)
        traces.append(_trace(build(config), params, outputs, records, seeds, loss, data, len(x), dtype))
    return traces


def drawn_records(
    config: NetworkConfig, deepest: NetworkConfig, x: Array, y: Any, outputs: int, loss: str, key: Array,
    seeds: Sequence[int], wanted: tuple[str, ...], dtype: str,
) -> tuple[list[Any], Any]:  # fmt: skip
    """The record of each seed's draw, by the program of a network that is as deep or deeper; shapes of parameters."""
    net, run = build(config), program(resolved(_shape(deepest)), outputs, loss, wanted)
    room = net if net.depth == deepest.depth else dataclasses.replace(net, depth=deepest.depth)
    draw = draws(resolved(room), tuple(x.shape[1:]), outputs, loss, len(x), dtype)

    def arguments(drawn):
        params, probe = drawn
        return params, x, probe if y is None else y, *_numbers(net, dtype)

    return over_seeds(draw, run, arguments, key, seeds), jax.eval_shape(draw, key)[0]


def measure_given(
    net: Network, params: Any, x: Array, y: Any, outputs: int, loss: str, wanted: tuple[str, ...], dtype: str, data: str
) -> Trace:
    """One measurement of given weights."""
    record = given_record(net, params, x, y, outputs, loss, wanted, dtype)
    return _trace(net, params, outputs, [record], (0,), loss, data, len(x), dtype, drawn=False)


def given_record(
    net: Network, params: Any, x: Array, y: Any, outputs: int, loss: str, wanted: tuple[str, ...], dtype: str
) -> Any:
    """The record of given weights."""
    run = program(resolved(_shape(net)), outputs, loss, wanted)
    return to_numpy(once(run, params, x, y, *_numbers(net, dtype)))


def _shape(config: NetworkConfig) -> NetworkConfig:
    """The configuration without what changes numbers alone, so that equal programs are compiled once."""
    if isinstance(config, CustomConfig):
        return config
    learned = {"branch_scale": "learned"} if getattr(config, "branch_scale", "") == "learned" else {}
    plain = {name: getattr(config, name) for name in config.names() if name not in NUMBERS}
    return type(config)(**plain, **learned, depth=config.depth)


def _numbers(net: Network, dtype: str) -> tuple[Array, dict[str, Array]]:
    """What a program takes beside parameters and data: the depth, and numbers of the blocks."""
    depth = jnp.int32(net.depth or 0)
    return depth, {name: jnp.asarray(value, dtype) for name, value in net.numbers().items()}


@functools.lru_cache(maxsize=64)
def draws(of: Resolved, shape: tuple[int, ...], outputs: int, loss: str, batch: int, dtype: str):
    """key -> (parameters, probe vectors)."""

    @jax.jit
    def draw(key):
        probe = probes(jax.random.fold_in(key, PROBE_FOLD), batch, outputs, dtype) if loss == "probe" else None
        return of.network.layer(outputs).init(key, shape)[0], probe

    return draw


@functools.lru_cache(maxsize=64)
def program(of: Resolved, outputs: int, loss: str, wanted: tuple[str, ...]):
    """(params, x, y, depth, numbers) -> the records of all parts of the network, and its loss."""
    evaluate = loss_named(loss)
    read = seen(tuple(c for c in wanted if c in (*FORWARD, *BACKWARD, *COUNTS, *SIZES)))

    @jax.jit
    def measured(params, x, y, depth, numbers):
        stack = of.network.stack(outputs, **numbers)
        lower, run, head = params[: stack.below_parts], params[stack.below_parts : -1], params[-1]
        through = depth - stack.below_depth
        a, saved_below = stack.below.forward(lower, scaled(x, x.ndim - 1))
        saved_run = None
        if stack.last_run is not None:
            a, saved_run = stack.last_run.forward(run[0], a, leave=through)
        logits, saved = stack.readout.forward(head, a)
        value, dy = evaluate(logits, y)
        dy, above = stack.readout.backward(head, saved, dy, read)
        found = {"readout": above, "loss": value}
        if stack.last_run is not None:
            dy, found["run"] = stack.last_run.backward(run[0], saved_run, dy, read, enter=through)
        found["below"] = stack.below.backward(lower, saved_below, dy, read)[1]
        return found

    return measured


def _trace(
    net: Network, params: Any, outputs: int, records: Sequence[Any], seeds: Sequence[int], loss: str, data: str,
    batch: int, dtype: str, *, drawn: bool = True,
) -> Trace:  # fmt: skip
    per_seed = [rows_of(net, outputs, record) for record in records]
    counted, names = per_seed[0][0], [c for c in MEASURED if any(c in r for r in per_seed[0][1])]
    table = lambda rows: {c: np.array([r.get(c, np.nan) for r in rows], np.float64) for c in names}
    columns = {c: np.stack([table(rows)[c] for _, rows in per_seed]) for c in names}
    losses = [loss_columns(record["loss"], len(counted)) for record in records]
    columns |= {c: np.stack([values[c] for values in losses]) for c in losses[0]}
    layers = _layers(net, params, counted)
    hidden = [info for info in layers if info.layer >= 1 and info.layer_name != "readout"]
    fans = hidden[-1].fan_in, hidden[-1].fan_out
    inner = fans if fans[0] else (net.width, net.width)  # a step's is the recurrent weight
    status = tuple(status_of(rows, layers) for _, rows in per_seed)
    return Trace(
        net, layers, columns, tuple(int(s) for s in seeds), status,
        *scales(net, inner), loss, data, batch, dtype, drawn,
    )  # fmt: skip


def rows_of(net: Network, outputs: int, record: Any, axes: int = 0) -> tuple[list[int], list[dict[str, Any]]]:
    """The number of each row's layer, and its columns, from input to readout; `axes` are those of one value."""
    if isinstance(net, CustomNetwork):
        return _custom_rows(net, record)
    stack = net.stack(outputs)
    numbers: list[int] = []
    rows: list[dict[str, Any]] = []

    def put(columns: dict[str, np.ndarray], first: int) -> None:
        """A row, or one for each of several equal blocks."""
        several = np.ndim(next(iter(columns.values()))) > axes if columns else False
        count = len(next(iter(columns.values()))) if several else 1
        for i in range(count):
            numbers.append(first + i)
            rows.append({c: v[i] if several else v for c, v in columns.items()})

    for i, part in enumerate(record["below"]):
        if stack.stem and i == 0:
            put(row(part), 0)
            steps = net.steps_of(part)
            if steps:
                put(steps, 1)
        else:
            put(row(part), numbers[-1] + 1 if numbers else 1)
    if "run" in record:
        put({c: v[: stack.depth - stack.below_depth] for c, v in row(record["run"]).items()}, stack.below_depth + 1)
    put(row(record["readout"]), numbers[-1] + 1)
    return numbers, rows


def _custom_rows(net: CustomNetwork, record: Any) -> tuple[list[int], list[dict[str, Any]]]:
    """The same of a network of a user's layers."""
    rows: list[dict[str, Any]] = []
    for part in net.rows(net.shapes(), (*record["below"], record["readout"])):
        columns = row(part.tree)
        copies = [{c: v[i] for c, v in columns.items()} for i in range(part.copies)]
        rows += copies or [columns]
    return list(range(1, len(rows) + 1)), rows


def _custom_layers(net: CustomNetwork, params: Any) -> tuple[LayerInfo, ...]:
    """Names, widths and fans of the rows of a network of a user's layers."""
    fans = []
    for part in net.rows(params, params):
        *_, fan_in, fan_out = weighted((), part.tree)[0][1]["weight"].shape
        fans += [(fan_in, fan_out)] * max(part.copies, 1)
    names = [*(f"{net.layer_name}_{i}" for i in range(1, len(fans))), "readout"]
    return tuple(LayerInfo(i, n, f[1], *f) for i, (n, f) in enumerate(zip(names, fans, strict=True), 1))


def _layers(net: Network, params: Any, numbers: Sequence[int]) -> tuple[LayerInfo, ...]:
    """Names, widths and fans of the rows."""
    if isinstance(net, CustomNetwork):
        return _custom_layers(net, params)
    stack = net.stack(1)
    blocks: list[tuple[int, int]] = []  # fan-in and fan-out of the first weight of each part, run by run
    for part in params:
        weights = [leaf["weight"].shape for _, leaf in weighted((), part)]
        count = weights[0][0] if len(weights[0]) > 2 else 1
        blocks += [(weights[0][-2], weights[0][-1])] * count
    infos = []
    for i, number in enumerate(numbers):
        last, stem = i == len(numbers) - 1, number == 0
        name = "readout" if last else stack.stem if stem else f"{net.layer_name}_{number}"
        if last:
            fan_in, fan_out = blocks[-1]
        elif stack.stem == "cell" and not stem:
            fan_in, fan_out = 0, net.width  # a step has no weight of its own
        else:
            fan_in, fan_out = blocks[number if stack.stem else number - 1]
        width = net.width if stack.stem == "cell" and not last else fan_out
        infos.append(LayerInfo(number, name, width, fan_in, fan_out))
    return tuple(infos)
