"""Measure networks at initialisation: one, or a whole group that shares draws and products.

Networks that differ in depth, gain and activation share their draws (a network of depth d is the
first d layers of the deepest one), and so they share the matrix products; `programs` holds what is
compiled for them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab._errors import unknown
from gradlab._types import MEASURED
from gradlab.config import MLPConfig, NetworkConfig, seed_numbers
from gradlab.core.activations import TABLE as ACTIVATIONS
from gradlab.core.backprop import targets
from gradlab.core.batch import batch_of, cast
from gradlab.core.execute import once, over_seeds
from gradlab.core.initializers import FAMILIES, PROBE_FOLD, Initializer
from gradlab.core.losses import probes
from gradlab.core.parameters import check_parameters, require_network
from gradlab.core.scaled import to_numpy
from gradlab.measurement.draws import Variant, draw_program
from gradlab.measurement.networks import measure_given, measure_networks, structure
from gradlab.measurement.programs import measure_program
from gradlab.measurement.records import Trace
from gradlab.measurement.stats import ON_REQUEST, TRAINING
from gradlab.measurement.traces import trace_of
from gradlab.networks import build
from gradlab.networks.network import Network, as_key, check_input, example_shape, weighted
from gradlab.networks.resolved import resolved
from gradlab.networks.rules import hidden_rule, readout_rule


def measure(
    net: Network,
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
    require_network(net, Network)
    if params is None:
        return measure_group(
            [net],
            x,
            y,
            loss=loss,
            key=key,
            seeds=tuple(seed_numbers(seeds)),
            columns=columns,
            dtype=dtype,
            data=data,
            outputs=net.outputs,
        )[0]
    return _given(net, params, x, y, loss=loss, key=key, columns=columns, dtype=dtype, data=data)


def measure_group(
    configs: Sequence[NetworkConfig],
    x: Any,
    y: Any,
    *,
    loss: str | None,
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
        x, y, loss, outputs = arrays(x, y, loss, dtype, outputs)
        wanted = _columns(columns)
        families: dict[tuple, list[int]] = {}
        for i, config in enumerate(configs):
            example_shape(build(config), x)
            resolved(config)  # what its names stand for now, from here on
            kind = (_measure_family, _family(config)) if shares(config) else (measure_networks, structure(config))
            families.setdefault(kind, []).append(i)
        traces: dict[int, Trace] = {}
        for (of_group, _), members in families.items():
            found = of_group(
                [configs[i] for i in members], x, y, outputs, loss, as_key(key), seeds, wanted, dtype, data
            )
            for i, trace in zip(members, found, strict=True):
                traces[i] = trace
    return [traces[i] for i in range(len(configs))]


def arrays(x: Any, y: Any, loss: str | None, dtype: str, outputs: int | None = None) -> tuple[Array, Any, str, int]:
    """Checked data as arrays of the dtype, targets as the loss takes them, the loss, and the number of outputs."""
    batch = batch_of(x, y, loss, outputs)
    x = jnp.asarray(cast("x", batch.x, dtype))
    wanted = None if batch.loss == "probe" else targets(batch.loss, batch.y, batch.outputs, jnp.dtype(dtype))
    return x, wanted, batch.loss, batch.outputs


def _columns(columns: Iterable[str] | None) -> tuple[str, ...]:
    if columns is None:
        return tuple(c for c in MEASURED if c not in (*TRAINING, *ON_REQUEST))
    for column in columns:
        if column not in MEASURED:
            raise unknown("column", column, MEASURED)
    chosen = set(columns)
    return tuple(c for c in MEASURED if c in chosen and c not in TRAINING)


def shares(config: NetworkConfig) -> bool:
    """Whether networks like this one can share products: blocks of a weight and an activation, nothing else."""
    return isinstance(config, MLPConfig) and config.norm is None and len(config.activations) == 1


def _family(config: MLPConfig) -> tuple:
    """What networks must have in common to share draws."""
    rule = hidden_rule(config)
    bias_family = rule.bias_family if config.sigma_b2 is None else FAMILIES["normal"]
    return config.width, config.bias, rule.family, bias_family, readout_rule(config).family


def _shapes(config: MLPConfig, depth: int, features: int, outputs: int) -> list[tuple[int, int]]:
    """(fan_in, fan_out) of each layer, hidden ones then readout."""
    widths = config.widths if isinstance(config.width, tuple) else (config.width,) * depth
    sizes = (features, *widths, outputs)
    return list(itertools.pairwise(sizes))


def _variant(config: MLPConfig, shapes: list[tuple[int, int]]) -> Variant:
    rule, head = hidden_rule(config), readout_rule(config)

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
    parts = tuple((ACTIVATIONS[a], len(list(g))) for a, g in itertools.groupby(v.activation for v in variants))
    draw = draw_program(
        _family(template), tuple(variants), tuple(_shapes(template, depth, x.shape[1], outputs)), loss, len(x), dtype
    )
    program = measure_program(template.width, depth, outputs, parts, template.bias, loss, wanted, len(depths))

    def evaluate(drawn):
        params, probe = drawn
        return params, x, probe if y is None else y, jnp.asarray(depths, jnp.int32)

    records = over_seeds(draw, program, evaluate, key, seeds)
    return [
        trace_of(
            c,
            variants.index(_variant(c, shapes)),
            depths.index(c.depth),
            records,
            shapes,
            seeds,
            loss,
            data,
            len(x),
            dtype,
        )
        for c in configs
    ]


def dtype_of(net: Network, params: Any) -> str:
    """Name of the dtype of given weights."""
    net.outputs_in(params)
    return str(weighted((), params)[0][1]["weight"].dtype)


def with_given(
    net: Network, params: Any, x: Any, y: Any, loss: str | None, key: Array | int, dtype: str
) -> tuple[Any, Array, Any, str, int]:
    """Given weights and the data that they see, as arrays of the dtype; targets, loss, and the number of outputs."""
    x, y, loss, outputs = arrays(x, y, loss, dtype, net.outputs_in(params))
    check_input(net, params, x)
    check_parameters(net, params, tuple(x.shape[1:]), outputs)
    params = jax.tree.map(lambda v: jnp.asarray(np.asarray(v), dtype), params)
    y = probes(jax.random.fold_in(as_key(key), PROBE_FOLD), len(x), outputs, dtype) if y is None else y
    return params, x, y, loss, outputs


def _given(net, params, x, y, *, loss, key, columns, dtype, data) -> Trace:
    """One measurement of given weights."""
    dtype = dtype or dtype_of(net, params)
    with jax.enable_x64(dtype == "float64"):
        params, x, y, loss, outputs = with_given(net, params, x, y, loss, key, dtype)
        wanted = _columns(columns)
        if not shares(net):
            return measure_given(net, params, x, y, outputs, loss, wanted, dtype, data)
        parts = ((ACTIVATIONS.current(net.activation), 1),)
        program = measure_program(net.width, net.depth, outputs, parts, net.bias, loss, wanted, 1)
        record = to_numpy(once(program, params, x, y, jnp.asarray([net.depth], jnp.int32)))
        shapes = _shapes(net, net.depth, x.shape[1], outputs)
        return trace_of(net, 0, 0, [record], shapes, (0,), loss, data, len(x), dtype, drawn=False)
