"""Measure networks that share draws, and therefore matrix products, by one program for the whole group.

Networks that differ in depth, gain and activation share their draws: a network of depth d is the first d layers of
the deepest one. Their signals are stacked along a leading group axis: one product per layer serves all, and one
forward pass serves every depth. The backward pass of a shallower network enters the same loop at its own depth.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from gradlab.config import MLPConfig, NetworkConfig
from gradlab.core.activations import TABLE as ACTIVATIONS
from gradlab.core.activations import Activation
from gradlab.core.execute import once, over_seeds
from gradlab.core.initializers import FAMILIES, Initializer
from gradlab.core.losses import loss_named
from gradlab.core.scaled import scaled
from gradlab.measurement.batch import DeviceBatch
from gradlab.measurement.correlation import PairGap, behind_activation, behind_blocks, behind_weight, input_gap
from gradlab.measurement.draws import Variant, draw_program
from gradlab.measurement.kept import Pairs, SiteRecord, on_host
from gradlab.measurement.stats import FORWARD, statistics
from gradlab.networks.mlp import stack
from gradlab.networks.network import Network
from gradlab.networks.rules import hidden_rule, readout_rule
from gradlab.networks.stack import Stack, runs_of

#: Columns of pairs of examples, whose differences are carried from layer to layer.
PAIRED = frozenset({"log10_one_minus_c", "zero_pair_fraction"})
#: Values of the forward pass are the same for all depths, so they are read for the deepest network only.
SHOWN_ONCE = frozenset((*FORWARD, "activation_counts"))


def shares(config: NetworkConfig) -> bool:
    """Say whether networks like this one can share products: their blocks are a weight and an activation only."""
    plain = isinstance(config, MLPConfig) and config.norm is None and len(config.activations) == 1
    return plain and config.parametrization == "standard"  # others have three rules for their draws, and a family one


def family(config: MLPConfig) -> tuple:
    """Return what networks must have in common to share draws."""
    rule = hidden_rule(config)
    bias_family = rule.bias_family if config.sigma_b2 is None else FAMILIES["normal"]
    return config.width, config.bias, rule.family, bias_family, readout_rule(config).family


def drawn(
    configs: Sequence[MLPConfig], batch: DeviceBatch, key: Array, seeds: Sequence[int], wanted: tuple[str, ...]
) -> tuple[list[list[Any]], list[Any]]:
    """Measure networks of one family; return the records of each network by seed, and the shapes of its parameters."""
    depth = max(c.depth for c in configs)
    template = configs[0]
    # At least two layers, so that a network of depth 1 has the scales of a deeper one.
    room = depth if isinstance(template.width, tuple) else max(depth, 2)
    shapes = _shapes(template, room, batch)
    variants = sorted({_variant(c, shapes) for c in configs}, key=lambda v: (v.activation, v))
    depths = sorted({c.depth for c in configs})
    parts = tuple((ACTIVATIONS[a], len(list(g))) for a, g in itertools.groupby(v.activation for v in variants))
    draw = draw_program(
        family(template), tuple(variants), tuple(_shapes(template, depth, batch)), batch.loss, len(batch.x), batch.dtype
    )
    program = measure_program(
        template.width, depth, batch.outputs, parts, template.bias, batch.loss, wanted, len(depths)
    )

    def arguments(drawn):
        params, probe = drawn
        return params, batch.x, probe if batch.y is None else batch.y, jnp.asarray(depths, jnp.int32)

    params = jax.eval_shape(draw, key)[0]
    signals = batch.signals(params) * len(variants) * sum(depths) // depth
    records = over_seeds(draw, program, arguments, on_host, key, seeds, signals)
    places = [(variants.index(_variant(c, shapes)), depths.index(c.depth)) for c in configs]
    cut = [[_cut(record, c, wanted, *place) for record in records] for c, place in zip(configs, places, strict=True)]
    return cut, [params] * len(configs)


def given(
    net: Network, params: Any, batch: DeviceBatch, wanted: tuple[str, ...], deepest: Network, call: Callable = once
) -> Any:
    """Measure given weights with the program of the deepest network that begins like this one; `call` runs it."""
    parts = ((ACTIVATIONS.current(net.activation), 1),)
    program = measure_program(net.width, deepest.depth, batch.outputs, parts, net.bias, batch.loss, wanted, 1)
    record = on_host(call(program, params, batch.x, batch.y, jnp.asarray([net.depth], jnp.int32)))
    return _cut(record, net, wanted, 0, 0)


def _shapes(config: MLPConfig, depth: int, batch: DeviceBatch) -> list[tuple[int, int]]:
    """Return (fan_in, fan_out) of each hidden layer, then of the readout."""
    widths = config.widths if isinstance(config.width, tuple) else (config.width,) * depth
    return list(itertools.pairwise((*batch.shape, *widths, batch.outputs)))


def _variant(config: MLPConfig, shapes: list[tuple[int, int]]) -> Variant:
    rule, head = hidden_rule(config), readout_rule(config)

    def bias_std(rule: Initializer, fan_in: int) -> float:
        return rule.bias_std(fan_in) if config.sigma_b2 is None else config.sigma_b2**0.5

    hidden = shapes[:-1]
    kept = hidden if isinstance(config.width, tuple) else hidden[:2]
    weights = (*(config.gain * rule.std(*s) for s in kept), head.std(*shapes[-1]))
    biases = (*(bias_std(rule, n) for n, _ in kept), bias_std(head, shapes[-1][0]))
    return Variant(config.activation, weights, biases)


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
    """Make the compiled program of a group, which returns records of every depth from (params, x, y, depths).

    `parts` are the activations, each with the number of its variants; `depths` are in rising order. Values of the
    forward pass are the same for all depths, and are read for the last one only.
    """
    names = tuple((entry.name, count) for entry, count in parts)
    shape = MLPConfig(depth=depth, width=width, activation=names[0][0], bias=bias)
    correlated = not PAIRED.isdisjoint(wanted)
    columns = tuple(c for c in wanted if c not in PAIRED)  # they have a pass of their own
    evaluate = loss_named(loss)

    def program(params, x, y, depths):
        net = stack(shape, outputs, names if len(names) > 1 else (names[0][0],))
        entries = tuple((ACTIVATIONS[name], count) for name, count in names)
        inputs = scaled(x[None])
        lower, run, head = net.split(params)
        below, saved_below = net.earlier.forward(lower, inputs)
        top: Any = below
        saved_run: Any = None
        if net.last_run is not None:
            top, saved_run = net.last_run.forward(run, below)
        pairs, gaps = {}, None
        if correlated and len(x) > 1:
            pairs, gaps = _correlations(net, params, saved_below, saved_run, inputs, entries)

        def output_of(d):
            """Return the activation that enters the readout of the network of depth d."""
            if net.last_run is None:
                return below
            i = jnp.minimum(d - net.earlier_depth, net.last_run.copies - 1)
            stored = jax.tree.map(lambda v: lax.dynamic_index_in_dim(v, i, 0, False), saved_run[0])
            return jax.tree.map(lambda a, b: jnp.where(d == depth, a, b), top, stored)

        def at_depth(d):
            logits, saved = net.readout.forward(head, output_of(d))
            value, dy = evaluate(logits, y)
            dy, record = net.readout.backward(head, saved, dy, statistics(columns))
            records: dict[str, Any] = {"readout": record, "loss": value}
            if gaps is not None:
                before = jax.tree.map(lambda v: v[d - net.earlier_depth], gaps)
                gap = behind_weight(head[0], saved[0], before)
                records["pairs"] = behind_activation(((ACTIVATIONS["identity"], None),), saved[1], gap)[1]
            read = statistics(columns, None if n_depths == 1 else d == depth)
            if net.last_run is not None:
                dy, records["run"] = net.last_run.first(d - net.earlier_depth).backward(run, saved_run, dy, read)
            records["below"] = net.earlier.backward(lower, saved_below, dy, read)[1]
            return records

        each = lax.map(at_depth, depths) if n_depths > 1 else jax.tree.map(lambda v: v[None], at_depth(depths[0]))
        return {"each": each, "pairs": pairs}

    return jax.jit(program)


def _correlations(net: Stack, params, saved_below, saved_run, inputs, entries) -> tuple[dict[str, Any], PairGap]:
    """Compute 1 - c of every hidden layer, and the differences at every depth that may have a readout."""
    signals = [*saved_below, *([] if saved_run is None else [saved_run])]
    blocks = [(p[0], signal) for p, signal in zip(params[:-1], signals, strict=True)]
    in_run = lambda block: block[1][1].mantissa.ndim == 4
    pairs_of_blocks: list[Pairs] = []
    gaps = jax.tree.map(lambda v: v[None], input_gap(inputs))
    while blocks:
        first, run = blocks.pop(0), blocks.pop(0) if blocks and in_run(blocks[0]) else None
        gaps, pairs = behind_blocks(entries, first, run, jax.tree.map(lambda v: v[-1], gaps))
        pairs_of_blocks += [jax.tree.map(lambda v: v[0], pairs)] + (
            [] if run is None else [jax.tree.map(lambda v: v[1:], pairs)]
        )
    if saved_run is None:
        return {"below": pairs_of_blocks}, jax.tree.map(lambda v: v[-1:], gaps)
    return {"below": pairs_of_blocks[:-1], "run": pairs_of_blocks[-1]}, gaps


def _cut(record: dict[str, Any], config: MLPConfig, wanted: tuple[str, ...], variant: int, place: int) -> Any:
    """Cut the record of one network out of that of its group."""
    widths = config.widths if isinstance(config.width, tuple) else (config.width,) * 2
    loops = [0, *(int(bool(count)) for *_, count in runs_of(widths))]  # the axis of the variants, for each part
    each, pairs = record["each"], record["pairs"]

    def site(whole: SiteRecord, axis: int, once: frozenset[str], more: dict[str, Any]) -> SiteRecord:
        values = {c: v[-1 if c in once else place].take(variant, axis) for c, v in whole.values.items()}
        return SiteRecord(whole.kind, values | {c: v.take(variant, axis) for c, v in more.items()})

    def part(whole, axis: int, once: frozenset[str], shown: Pairs | None):
        return site(whole[0], axis, once, {}), site(whole[1], axis, once, shown.columns(wanted) if shown else {})

    parts = {"loss": jax.tree.map(lambda v: v[place][variant], each["loss"])}
    hidden_pairs = pairs.get("below", [None] * len(loops))
    parts["below"] = tuple(
        part(whole, axis, SHOWN_ONCE, one) for whole, axis, one in zip(each["below"], loops, hidden_pairs, strict=False)
    )
    if "run" in each:
        parts["run"] = part(each["run"], 1, SHOWN_ONCE, pairs.get("run"))
    last = jax.tree.map(lambda v: v[place], each["pairs"]) if "pairs" in each else None
    parts["readout"] = part(each["readout"], 0, frozenset(), last)
    return parts
