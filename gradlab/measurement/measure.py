"""Measure networks at initialisation: forward, backward and the reader, for a whole group at once.

Networks that differ in depth, gain and activation share their draws (a network of depth d is the
first d layers of the deepest one), and so they share the matrix products: their signals are
stacked along a leading group axis, one product per layer serves them all, and one forward pass
serves every depth. The backward pass of each depth enters the same loop further down.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab._errors import GradlabError, unknown
from gradlab._types import MEASURED
from gradlab.config import MLPConfig
from gradlab.core.activations import TABLE as ACTIVATIONS
from gradlab.core.backprop import targets
from gradlab.core.initializers import (
    BIAS_FOLD, FAMILIES, PROBE_FOLD, READOUT_FOLD, Initializer, initializer,
)  # fmt: skip
from gradlab.core.losses import default_loss, loss_named, probes
from gradlab.core.scaled import Log2, Scaled, scaled
from gradlab.measurement import correlation
from gradlab.measurement.records import LayerInfo, Trace
from gradlab.measurement.stats import BACKWARD, FORWARD, NETWORK, TRAINING, statistics, to_numpy
from gradlab.networks.mlp import MLP, as_key, outputs_in, outputs_of, readout_rule, runs_of, stack


class Variant(NamedTuple):
    """What may differ among networks that share a product: the activation and the scales of the draws."""

    activation: str
    weight_std: tuple[float, ...]  # of each weight, hidden layers then readout; one per shape
    bias_std: tuple[float, ...]


def measure(
    net: MLP,
    x: Any,
    y: Any = None,
    *,
    key: Array | int = 0,
    seeds: int | Sequence[int] = 16,
    loss: str | None = None,
    params: Any = None,
    columns: Sequence[str] | None = None,
    dtype: str | None = None,
    data: str = "arrays",
) -> Trace:
    r"""Per-layer statistics of one network over many seeds.

    Parameters
    ----------
    net : network
    x : array, shape (batch, features)
    y : array, optional
        Integer labels or real targets; may be left out for ``loss="probe"``.
    key : int or JAX key
        Base key: seed s draws from the key folded with s.
    seeds : int or sequence of int
        Number of seeds, or their numbers.
    loss : str, optional
        By default softmax cross-entropy for integer `y`, else mean squared error.
    params : pytree, optional
        Given weights, instead of draws: one measurement, without an interval.
    columns : sequence of str, optional
        Measured columns to keep, see `gradlab._types.MEASURED`. None: all.
    dtype : str, optional
        "float32" or "float64". None: that of `params`, else float32.
    data : str
        What the frame calls the data.

    Returns
    -------
    Trace
        `.columns`, `.rate`, `.decades`, `.verdict`; `gradlab.frame` makes the table.

    Examples
    --------
    >>> import gradlab as gl
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
    >>> trace = gl.measure(gl.MLP(depth=5, width=16, activation="sigmoid", init="xavier_normal"), x, loss="probe")
    >>> trace.verdict.name
    'vanishing'
    """
    y = np.zeros(len(x), int) if y is None and loss == "probe" else y
    if y is None:
        raise GradlabError("targets y", "none", "loss='probe', which needs no targets")
    loss = loss or default_loss(y)
    if params is None:
        numbers = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
        if not numbers:
            raise GradlabError("at least one seed", repr(seeds), "seeds=16")
        return measure_group(
            [net.config], x, y, loss=loss, key=key, seeds=numbers, columns=columns, dtype=dtype, data=data
        )[0]
    return _given(net.config, params, x, y, loss=loss, key=key, columns=columns, dtype=dtype, data=data)


def measure_group(
    configs: Sequence[MLPConfig],
    x: Any,
    y: Any,
    *,
    loss: str,
    key: Array | int,
    seeds: Sequence[int],
    columns: Iterable[str] | None = None,
    dtype: str | None = None,
    data: str = "arrays",
    outputs: int | None = None,
) -> list[Trace]:
    """Per-layer statistics of several networks that see the same data, products shared where draws are.

    Parameters
    ----------
    configs : sequence of MLPConfig
    x, y, loss, key, columns, dtype, data
        As for `measure`.
    seeds : sequence of int
    outputs : int, optional
        Number of outputs, where the targets do not show every class.

    Returns
    -------
    list of Trace
        One for each configuration, in their order.
    """
    dtype = dtype or "float32"
    with jax.enable_x64(dtype == "float64"):
        x, y, outputs = _arrays(x, y, loss, dtype, outputs)
        wanted = _columns(columns)
        families: dict[tuple, list[int]] = {}
        for i, config in enumerate(configs):
            families.setdefault(_family(config), []).append(i)
        traces: list[Trace | None] = [None] * len(configs)
        for members in families.values():
            found = _measure_family([configs[i] for i in members], x, y, outputs, loss, as_key(key), seeds, wanted, dtype, data)
            for i, trace in zip(members, found, strict=True):
                traces[i] = trace
    return traces


def _arrays(x: Any, y: Any, loss: str, dtype: str, outputs: int | None) -> tuple[Array, Any, int]:
    """Data as arrays of the dtype, targets as the loss takes them, and the number of outputs."""
    x = np.asarray(x)
    if x.ndim != 2:
        raise GradlabError("x of shape (batch, features)", f"shape {x.shape}", "x.reshape(len(x), -1)")
    if not np.all(np.isfinite(x)):
        raise GradlabError("finite numbers in x", f"{int(np.sum(~np.isfinite(x)))} that are not", "dropping those examples")
    if len(np.asarray(y)) != len(x):
        raise GradlabError(f"one target for each of the {len(x)} examples", f"{len(np.asarray(y))}", "y of that length")
    outputs = outputs or outputs_of(y)
    if loss == "probe":
        return jnp.asarray(x, dtype), None, outputs
    return jnp.asarray(x, dtype), targets(loss, y, outputs, jnp.dtype(dtype)), outputs


def _columns(columns: Iterable[str] | None) -> tuple[str, ...]:
    if columns is None:
        return tuple(c for c in MEASURED if c not in TRAINING)
    for column in columns:
        if column not in MEASURED:
            raise unknown("column", column, MEASURED)
    chosen = set(columns)
    return tuple(c for c in MEASURED if c in chosen and c not in TRAINING)


# --- groups: who shares a product with whom --------------------------------------------------


def _rule(config: MLPConfig) -> Initializer:
    return initializer(config.init, config.sigma_w2, config.std)


def _family(config: MLPConfig) -> tuple:
    """What networks must have in common to share draws."""
    rule = _rule(config)
    bias_family = rule.bias_family if config.sigma_b2 is None else "normal"
    return config.width, config.bias, rule.family, bias_family, readout_rule(config).family


def _shapes(config: MLPConfig, depth: int, features: int, outputs: int) -> list[tuple[int, int]]:
    """(fan_in, fan_out) of each layer, hidden ones then readout."""
    widths = config.widths if isinstance(config.width, tuple) else (config.width,) * depth
    sizes = (features, *widths, outputs)
    return list(itertools.pairwise(sizes))


def _variant(config: MLPConfig, shapes: list[tuple[int, int]]) -> Variant:
    rule, head = _rule(config), readout_rule(config)

    def bias_std(rule: Initializer, fan_in: int) -> float:
        return rule.bias_std(fan_in) if config.sigma_b2 is None else config.sigma_b2**0.5

    hidden = shapes[:-1]
    kept = hidden if isinstance(config.width, tuple) else hidden[:2]
    weights = (*(config.gain * rule.std(*s) for s in kept), head.std(*shapes[-1]))
    biases = (*(bias_std(rule, n) for n, _ in kept), bias_std(head, shapes[-1][0]))
    return Variant(config.activation, weights, biases)


def _measure_family(configs, x, y, outputs, loss, key, seeds, wanted, dtype, data) -> list[Trace]:
    """Traces of networks that share draws."""
    depth = max(c.depth for c in configs)
    template = configs[0]
    # two layers at least, so that a depth of 1 has the scales of a deeper network
    room = depth if isinstance(template.width, tuple) else max(depth, 2)
    shapes = _shapes(template, room, x.shape[1], outputs)
    variants = sorted({_variant(c, shapes) for c in configs}, key=lambda v: (v.activation, v))
    depths = sorted({c.depth for c in configs})
    parts = tuple((a, len(list(g))) for a, g in itertools.groupby(v.activation for v in variants))
    draw = _draw_program(_family(template), tuple(variants), tuple(_shapes(template, depth, x.shape[1], outputs)), loss, len(x), dtype)
    entries = tuple(ACTIVATIONS[a] for a, _ in parts)  # a registered function may have changed under its name
    program = _program(template.width, depth, outputs, parts, entries, template.bias, loss, wanted, len(depths))

    def evaluate(drawn):
        params, probe = drawn
        return params, x, probe if y is None else y, jnp.asarray(depths, jnp.int32)

    records = over_seeds(draw, program, evaluate, key, seeds)
    return [
        _trace(c, variants.index(_variant(c, shapes)), depths.index(c.depth), records, shapes, seeds, loss, data, len(x), dtype)
        for c in configs
    ]


def over_seeds(draw: Callable, program: Callable, arguments: Callable, key: Array, seeds: Sequence[int]) -> list[Any]:
    """Records of ``program(*arguments(draw(key of the seed)))`` for each seed, as suits the backend.

    On CPUs batched small products are slow, so seeds follow one another, and a second thread draws
    the next seed's weights meanwhile (and the first one's while the program is compiled). Elsewhere
    all seeds are one batched call.
    """
    keys = [jax.random.fold_in(key, seed) for seed in seeds]
    if jax.default_backend() != "cpu" and len(seeds) > 1:
        together = jax.jit(jax.vmap(lambda k: program(*arguments(draw(k)))))(jnp.stack(keys))
        together = to_numpy(together)
        return [jax.tree.map(lambda v: v[i], together) for i in range(len(seeds))]  # noqa: B023

    wide = jax.config.jax_enable_x64  # a setting of the thread

    def drawn(k):
        with jax.enable_x64(wide):
            return jax.block_until_ready(draw(k))

    records = []
    with ThreadPoolExecutor(1) as background:
        ahead = background.submit(drawn, keys[0])
        run = _executable(program, *_abstract(arguments(jax.eval_shape(draw, keys[0]))))
        for following in [*keys[1:], None]:
            params = ahead.result()
            if following is not None:
                ahead = background.submit(drawn, following)
            records.append(to_numpy(run(*arguments(params))))
    return records


def _abstract(arguments: Any) -> tuple[Any, tuple]:
    """Structure, and shapes with dtypes, of a program's arguments."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple((v.shape, v.dtype, getattr(v, "weak_type", False)) for v in leaves)


@functools.lru_cache(maxsize=64)
def _executable(program: Callable, structure: Any, leaves: tuple) -> Callable:
    """The compiled program for arguments of these shapes; compiled here, so that drawing can go on meanwhile."""
    shapes = [jax.ShapeDtypeStruct(shape, dtype, weak_type=weak) for shape, dtype, weak in leaves]
    return program.lower(*jax.tree.unflatten(structure, shapes)).compile()


# --- programs: compiled once per group -------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _draw_program(family: tuple, variants: tuple[Variant, ...], shapes: tuple[tuple[int, int], ...], loss: str, batch: int, dtype: str):
    """key -> (parameters of the group, probe vectors): base draws, and each group's scales."""
    width, bias, weight_family, bias_family, head_family = family
    *hidden, head = shapes
    base, base_bias, base_head = FAMILIES[weight_family], FAMILIES[bias_family], FAMILIES[head_family]
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
        layer_key = lambda i: jax.random.fold_in(key, i)  # noqa: E731
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
def _program(width, depth: int, outputs: int, parts: tuple, entries: tuple, bias: bool, loss: str, wanted: tuple[str, ...], n_depths: int):
    """(params, x, y, depths) -> the records of every depth: one compiled program for the group."""
    shape = MLPConfig(depth=depth, width=width, activation=entries[0].name, bias=bias)
    names = parts if len(parts) > 1 else (parts[0][0],)
    net = stack(shape, outputs, names)
    forward_columns = tuple(c for c in wanted if c in FORWARD)
    backward_columns = tuple(c for c in wanted if c in BACKWARD)
    correlated = "log10_one_minus_c" in wanted
    evaluate = loss_named(loss)

    def program(params, x, y, depths):
        inputs = scaled(x[None])
        lower, run_params, head = params[: net.below_parts], params[net.below_parts : -1], params[-1]
        below, saved_below = net.below.forward(lower, inputs)
        top, saved_run = (below, None) if net.last_run is None else net.last_run.forward(run_params[0], below)

        def output_of(d):
            """The activation that enters the readout of the network of depth d."""
            if net.last_run is None:
                return below
            i = d - net.below_depth
            stored = jax.tree.map(lambda v: lax.dynamic_index_in_dim(v, jnp.minimum(i, len(v) - 1), 0, False), saved_run[0])
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
            forward_records = backward(depth, Scaled(jnp.zeros_like(top.mantissa), jnp.zeros_like(top.exponent)), statistics(forward_columns))
        if correlated and x.shape[0] > 1:
            forward_records, gaps = _correlations(net, params, saved_below, saved_run, inputs, entries, parts, forward_records)

        def at_depth(d):
            a = output_of(d)
            logits, saved = net.readout.forward(head, a)
            value, dy = evaluate(logits, y)
            da, record = net.readout.backward(head, saved, dy, statistics((*forward_columns, *backward_columns)))
            record = {**record[0], **record[1]}
            if gaps is not None:
                gap = jax.tree.map(lambda v: v[d - net.below_depth], gaps)
                record["log10_one_minus_c"] = correlation.step(head[0], ((ACTIVATIONS["identity"], None),), saved[1], gap)[1]
            found = {"readout": record, "loss": value}
            if backward_columns:
                found.update(backward(d, da, statistics(backward_columns)))
            return found

        each = lax.map(at_depth, depths) if n_depths > 1 else jax.tree.map(lambda v: v[None], at_depth(depths[0]))
        return {"forward": forward_records, "each": each}

    return jax.jit(program)


def _correlations(net, params, saved_below, saved_run, inputs, entries, parts, records):
    """1 - c of every hidden layer added to the forward records, and the differences at each output of the last run."""
    pieces = tuple((entry, count) for entry, (_, count) in zip(entries, parts, strict=True))
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


# --- records: from groups and depths to one trace a network -----------------------------------


def _trace(config, variant: int, depth_index: int, records, shapes, seeds, loss, data, batch, dtype, *, drawn=True) -> Trace:
    """The columns of one network, cut out of the group's records."""
    per_seed = [_rows(r, variant, depth_index, config.depth) for r in records]
    names = [c for c in MEASURED if c in per_seed[0]]
    columns = {c: np.stack([rows[c] for rows in per_seed]) for c in names}
    widths = [*config.widths, shapes[-1][1]]
    features = shapes[0][0]
    sizes = list(itertools.pairwise((features, *widths)))
    layers = tuple(
        LayerInfo(i, f"hidden_{i}" if i <= config.depth else "readout", fan_out, fan_in, fan_out)
        for i, (fan_in, fan_out) in enumerate(sizes, 1)
    )
    rule = _rule(config)
    inner = sizes[1] if config.depth > 1 else sizes[0]
    sigma_b2 = rule.sigma_b2(inner[0]) if config.sigma_b2 is None else config.sigma_b2
    status = tuple(_status(rows, config.depth) for rows in per_seed)
    return Trace(
        config, layers, columns, tuple(int(s) for s in seeds), status, rule.sigma_w2(*inner, config.gain),
        sigma_b2 if config.bias else 0.0, loss, data, batch, dtype, drawn,
    )  # fmt: skip


def _rows(record, variant: int, depth_index: int, depth: int) -> dict[str, np.ndarray]:
    """Columns of one seed, each of shape (layers,)."""
    each = jax.tree.map(lambda v: v[depth_index], record["each"])
    rows: dict[str, np.ndarray] = {}
    for part in (record["forward"], {k: v for k, v in each.items() if k in ("below", "run")}):
        if not part:
            continue
        blocks = [{**d, **a} for d, a in part["below"]]
        run = {**part["run"][0], **part["run"][1]} if "run" in part else {}
        for name in {n for b in blocks for n in b}:
            values = [np.atleast_1d(b[name][..., variant]) for b in blocks]
            if name in run:
                values.append(run[name][..., variant])
            rows[name] = np.concatenate(values)[:depth]
    for name in rows:
        rows[name] = np.append(rows[name], each["readout"][name][variant])
    if "loss" in each:
        value = each["loss"]
        sign = np.sign(value.mantissa[variant])
        with np.errstate(divide="ignore"):
            size = np.log10(np.abs(value.mantissa[variant])) + value.exponent[variant] * np.log10(2.0)
        rows["log10_abs_loss"] = np.full(depth + 1, size)
        rows["loss_sign"] = np.full(depth + 1, sign)
    return rows


def _status(rows: dict[str, np.ndarray], depth: int) -> str:
    """'ok', or where the forward signal left the range of its dtype."""
    for name in ("log10_preactivation_rms", "log10_activation_rms", "log10_delta_rms"):
        if name in rows:
            bad = np.isnan(rows[name]) | (rows[name] == np.inf)
            if bad.any():
                layer = int(np.argmax(bad)) + 1
                where = "readout" if layer > depth else f"layer {layer}"
                signal = "backward" if "delta" in name else "forward"
                return f"overflow: the {signal} signal is not finite from {where}"
    return "ok"


def _given(config, params, x, y, *, loss, key, columns, dtype, data) -> Trace:
    """One measurement of given weights."""
    kind = params[0][0]["weight"].dtype
    dtype = dtype or str(kind)
    with jax.enable_x64(dtype == "float64"):
        params = jax.tree.map(lambda v: jnp.asarray(np.asarray(v), dtype), params)
        outputs = outputs_in(params)
        x, y, outputs = _arrays(x, y, loss, dtype, outputs)
        features = params[0][0]["weight"].shape[0]
        if features != x.shape[1]:
            raise GradlabError(f"x with {features} features, as the first layer has", f"{x.shape[1]}", "the x of net.init")
        y = probes(jax.random.fold_in(as_key(key), PROBE_FOLD), len(x), outputs, dtype) if y is None else y
        entry = ACTIVATIONS[config.activation]
        program = _program(config.width, config.depth, outputs, ((config.activation, 1),), (entry,), config.bias, loss, _columns(columns), 1)
        record = to_numpy(program(params, x, y, jnp.asarray([config.depth], jnp.int32)))
        shapes = _shapes(config, config.depth, features, outputs)
        return _trace(config, 0, 0, [record], shapes, (0,), loss, data, len(x), dtype, drawn=False)


__all__ = ["NETWORK", "Log2", "measure", "measure_group", "over_seeds"]
