"""What is compiled for a group of networks: one pass through all of it.

Signals of networks that share draws are stacked along a leading group axis: one product per layer
serves them all, and one forward pass serves every depth. The backward pass of each depth enters the
same loop further down.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradlab.config import MLPConfig
from gradlab.core.activations import TABLE as ACTIVATIONS
from gradlab.core.activations import Activation
from gradlab.core.losses import loss_named
from gradlab.core.scaled import Scaled, scaled
from gradlab.measurement import correlation
from gradlab.measurement.stats import BACKWARD, FORWARD, statistics
from gradlab.networks.mlp import stack


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
