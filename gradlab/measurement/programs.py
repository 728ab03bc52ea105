"""What is compiled for a group of networks: drawing its parameters, and one pass through all of it.

Signals of networks that share draws are stacked along a leading group axis: one product per layer
serves them all, and one forward pass serves every depth. The backward pass of each depth enters the
same loop further down.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab.config import MLPConfig
from gradlab.core.activations import TABLE as ACTIVATIONS
from gradlab.core.activations import Activation
from gradlab.core.initializers import BIAS_FOLD, PROBE_FOLD, READOUT_FOLD
from gradlab.core.losses import loss_named, probes
from gradlab.core.scaled import Scaled, scaled
from gradlab.measurement import correlation
from gradlab.measurement.stats import BACKWARD, FORWARD, statistics, to_numpy
from gradlab.networks.mlp import stack
from gradlab.networks.stack import runs_of


class Variant(NamedTuple):
    """What may differ among networks that share a product: the activation and the scales of the draws."""

    activation: str
    weight_std: tuple[float, ...]  # of each weight, hidden layers then readout; one per shape
    bias_std: tuple[float, ...]


def in_one_call(seeds: Sequence[int]) -> bool:
    """Whether seeds are batched, as suits the backend: on CPUs small products are slow where they are batched."""
    return jax.default_backend() != "cpu" and len(seeds) > 1


def over_seeds(draw: Callable, program: Callable, arguments: Callable, key: Array, seeds: Sequence[int]) -> list[Any]:
    """Records of ``program(*arguments(draw(key of the seed)))`` for each seed, as suits the backend.

    On CPUs each seed has a call of its own, `WORKERS` of them under way at once; the first one's weights are drawn
    while the program is compiled. Elsewhere all seeds are one batched call.
    """
    keys = [jax.random.fold_in(key, seed) for seed in seeds]
    if in_one_call(seeds):
        together = jax.jit(jax.vmap(lambda k: program(*arguments(draw(k)))))(jnp.stack(keys))
        together = to_numpy(together)
        return [jax.tree.map(lambda v: v[i], together) for i in range(len(seeds))]  # noqa: B023

    wide = jax.config.jax_enable_x64  # a setting of the thread

    def drawn(k):
        with jax.enable_x64(wide):
            return jax.block_until_ready(draw(k))

    def measured(params):
        with jax.enable_x64(wide):
            return to_numpy(run(*arguments(params)))

    with ThreadPoolExecutor(WORKERS) as workers:
        try:
            first = workers.submit(drawn, keys[0])
            run = executable(program, *_abstract(arguments(jax.eval_shape(draw, keys[0]))))
            others = [workers.submit(lambda k: measured(drawn(k)), k) for k in keys[1:]]
            return [measured(first.result()), *(other.result() for other in others)]
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait for seeds not begun
            raise


def once(program: Callable, *arguments: Any) -> Any:
    """``program(*arguments)`` of a program that runs a few times only: where arrays are small, compiled fast."""
    structure, leaves = _abstract(arguments)
    entries = sum(math.prod(shape) for shape, *_ in leaves)
    return executable(program, structure, leaves, entries < _SMALL)(*arguments)


def repeatedly(program: Callable, *arguments: Any) -> Any:
    """``program(*arguments)`` of a program that runs many times: compiled for speed, whatever the sizes."""
    return executable(program, *_abstract(arguments))(*arguments)


def _abstract(arguments: Any) -> tuple[Any, tuple]:
    """Structure, and shapes with dtypes, of a program's arguments."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple((v.shape, v.dtype, getattr(v, "weak_type", False)) for v in leaves)


#: Seeds that are under way at once on CPUs: one's elementwise work fills the gaps of the other's products.
WORKERS = 2
#: LLVM's higher levels cost a third more compile time here, and the code is no faster for it.
_OPTIONS = {"xla_backend_optimization_level": 1}
#: Two thirds of that compile time, for elementwise code that takes two to three times as long; products are the same.
_QUICK = {"xla_backend_optimization_level": 0}
#: Entries of all arguments below which slower code is made up for by its compile time.
_SMALL = 2**20


@functools.lru_cache(maxsize=64)
def executable(program: Callable, structure: Any, leaves: tuple, quick: bool = False) -> Callable:
    """The compiled program for arguments of these shapes; compiled here, so that drawing can go on meanwhile."""
    shapes = [jax.ShapeDtypeStruct(shape, dtype, weak_type=weak) for shape, dtype, weak in leaves]
    options = _QUICK if quick else _OPTIONS
    return program.lower(*jax.tree.unflatten(structure, shapes)).compile(compiler_options=options)


@functools.lru_cache(maxsize=64)
def draw_program(
    family: tuple, variants: tuple[Variant, ...], shapes: tuple[tuple[int, int], ...], loss: str, batch: int, dtype: str
):
    """key -> (parameters of the group, probe vectors): base draws, and each group's scales."""
    width, bias, weight_family, bias_family, head_family = family
    *hidden, head = shapes
    base, base_bias, base_head = weight_family.draw, bias_family.draw, head_family.draw
    stds = np.array([v.weight_std for v in variants])
    bias_stds = np.array([v.bias_std for v in variants])

    def block(key, shape, column, draw=base):
        params = {"weight": draw(key, shape, dtype), "gain": jnp.asarray(stds[:, column], dtype)}
        if bias:
            scale = jnp.asarray(bias_stds[:, column], dtype)[:, None]
            noise = 0.0
            if bias_stds[:, column].any():
                noise = base_bias(jax.random.fold_in(key, BIAS_FOLD), (1, shape[1]), dtype)
            params["bias"] = jnp.broadcast_to(scale * noise, (len(variants), shape[1]))
        return params, {}

    widths = tuple(fan_out for _, fan_out in hidden)
    constant = not isinstance(width, tuple)

    @jax.jit
    def draw(key):
        layer_key = lambda i: jax.random.fold_in(key, i)
        params = [block(layer_key(1), hidden[0], 0)]
        for _, number, count in runs_of(widths):
            column = 1 if constant else number - 1
            shape = hidden[number - 1]
            if count:
                numbers = jnp.arange(number, number + count)
                params.append(lax.map(lambda i: block(layer_key(i), shape, column), numbers))  # noqa: B023
            else:
                params.append(block(layer_key(number), shape, column))
        params.append(block(layer_key(READOUT_FOLD), head, -1, base_head))
        probe = probes(layer_key(PROBE_FOLD), batch, head[1], dtype) if loss == "probe" else None
        return tuple(params), probe

    return draw


@functools.lru_cache(maxsize=64)
def measure_program(
    width,
    depth: int,
    outputs: int,
    parts: tuple[tuple[Activation, int], ...],
    bias: bool,
    loss: str,
    wanted: tuple[str, ...],
    n_depths: int,
):
    """(params, x, y, depths) -> the records of every depth: one compiled program for the group.

    `parts` are the activations, each with the number of its variants.
    """
    names = tuple((entry.name, count) for entry, count in parts)
    shape = MLPConfig(depth=depth, width=width, activation=names[0][0], bias=bias)
    # 1 - c has a pass of its own below
    forward_columns = tuple(c for c in wanted if c in FORWARD and c != "log10_one_minus_c")
    backward_columns = tuple(c for c in wanted if c in BACKWARD)
    correlated = "log10_one_minus_c" in wanted
    evaluate = loss_named(loss)

    def program(params, x, y, depths):
        net = stack(shape, outputs, names if len(names) > 1 else (names[0][0],))
        entries = tuple((ACTIVATIONS[name], count) for name, count in names)
        inputs = scaled(x[None])
        lower, run_params, head = params[: net.below_parts], params[net.below_parts : -1], params[-1]
        below, saved_below = net.below.forward(lower, inputs)
        top, saved_run = (below, None) if net.last_run is None else net.last_run.forward(run_params[0], below)

        def output_of(d):
            """The activation that enters the readout of the network of depth d."""
            if net.last_run is None:
                return below
            i = d - net.below_depth
            stored = jax.tree.map(
                lambda v: lax.dynamic_index_in_dim(v, jnp.minimum(i, len(v) - 1), 0, False), saved_run[0]
            )
            return jax.tree.map(lambda a, b: jnp.where(d == depth, a, b), top, stored)

        def backward(d, dy, read):
            if net.last_run is None:
                return {"below": net.below.backward(lower, saved_below, dy, read)[1]}
            dy, run = net.last_run.backward(run_params[0], saved_run, dy, read, enter=d - net.below_depth)
            return {"below": net.below.backward(lower, saved_below, dy, read)[1], "run": run}

        gaps = None
        forward_records: dict[str, Any] = {}
        if forward_columns:
            # the forward columns ask nothing of the cotangent, so any will do; it is optimised away
            forward_records = backward(
                depth, Scaled(jnp.zeros_like(top.mantissa), jnp.zeros_like(top.exponent)), statistics(forward_columns)
            )
        if correlated and x.shape[0] > 1:
            forward_records, gaps = _correlations(net, params, saved_below, saved_run, inputs, entries, forward_records)

        def at_depth(d):
            a = output_of(d)
            logits, saved = net.readout.forward(head, a)
            value, dy = evaluate(logits, y)
            da, record = net.readout.backward(head, saved, dy, statistics((*forward_columns, *backward_columns)))
            record = {**record[0], **record[1]}
            if gaps is not None:
                gap = jax.tree.map(lambda v: v[d - net.below_depth], gaps)
                record["log10_one_minus_c"] = correlation.step(
                    head[0], ((ACTIVATIONS["identity"], None),), saved[1], gap
                )[1]
            found = {"readout": record, "loss": value}
            if backward_columns:
                found.update(backward(d, da, statistics(backward_columns)))
            return found

        each = lax.map(at_depth, depths) if n_depths > 1 else jax.tree.map(lambda v: v[None], at_depth(depths[0]))
        return {"forward": forward_records, "each": each}

    return jax.jit(program)


def _correlations(net, params, saved_below, saved_run, inputs, pieces, records):
    """1 - c of every hidden layer added to the forward records, and the differences at each output of the last run."""
    gap, _ = correlation.difference(inputs)

    def put(record, value):
        dense, act = record
        return dense, {**act, "log10_one_minus_c": value}

    records = dict(records)
    below = list(records.get("below", [({}, {})] * len(saved_below)))
    for i, (_, z) in enumerate(saved_below):
        if z.mantissa.ndim == 4:  # a run of equal blocks in the middle
            gap, values, _ = _along_run(params[i][0], pieces, z, gap)
        else:
            gap, values = correlation.step(params[i][0], pieces, z, gap)
        below[i] = put(below[i], values)
    records["below"] = tuple(below)
    gaps = jax.tree.map(lambda v: v[None], gap)
    if saved_run is not None:
        _, values, gaps = _along_run(params[len(saved_below)][0], pieces, saved_run[1], gap)
        records["run"] = put(records.get("run", ({}, {})), values)
    return records, gaps


def _along_run(params, pieces, z, gap):
    """The same through a stacked run: the last difference, 1 - c of each layer, and all differences."""
    gap = Scaled(
        jnp.broadcast_to(gap.mantissa, (z.mantissa.shape[1], *gap.mantissa.shape[1:])),
        jnp.broadcast_to(gap.exponent, (z.mantissa.shape[1], *gap.exponent.shape[1:])),
    )

    def body(gap, layer):
        p, z = layer
        after, value = correlation.step(p, pieces, z, gap)
        return after, (value, gap)

    last, (values, gaps) = lax.scan(body, gap, (params, z))
    return last, values, jax.tree.map(lambda g, end: jnp.concatenate([g, end[None]]), gaps, last)
