"""Measure networks at initialisation: one, or a whole group; `shared` and `single` are the two ways to run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
from jax import Array

from gradlab._errors import unknown
from gradlab._types import MEASURED
from gradlab.config import NetworkConfig, seed_numbers
from gradlab.core.execute import once
from gradlab.core.parameters import require_network
from gradlab.measurement import shared, single
from gradlab.measurement.batch import DeviceBatch
from gradlab.measurement.records import Trace
from gradlab.measurement.rows import trace
from gradlab.measurement.stats import ON_REQUEST, TRAINING
from gradlab.networks import build
from gradlab.networks.network import Network, as_key, example_shape, weighted
from gradlab.networks.resolved import resolved


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
        Number of seeds, or their numbers. 16 by default, of which the rate's interval is made; a sweep takes 5 of
        each network, and what makes no interval of them (training, histograms, spectra, exponents, curves) takes 1.
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
    if params is not None:
        return measure_given(net, params, x, y, loss=loss, key=key, columns=columns, dtype=dtype, data=data)
    return measure_group(
        [net], x, y, loss=loss, key=key, seeds=tuple(seed_numbers(seeds)), columns=columns, dtype=dtype,
        data=data, outputs=net.outputs,
    )[0]  # fmt: skip


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
        batch = DeviceBatch.of(x, y, loss, dtype, outputs, data)
        wanted = _columns(columns)
        groups: dict[tuple, list[int]] = {}
        for i, config in enumerate(configs):
            example_shape(build(config), batch.x)
            resolved(config)  # what its names stand for now, from here on
            way = (shared, shared.family(config)) if shared.shares(config) else (single, single.structure(config))
            groups.setdefault(way, []).append(i)
        traces: dict[int, Trace] = {}
        for (way, _), members in groups.items():
            records, params = way.drawn([configs[i] for i in members], batch, as_key(key), seeds, wanted)
            for i, of, own in zip(members, records, params, strict=True):
                traces[i] = trace(build(configs[i]), own, of, batch, seeds)
    return [traces[i] for i in range(len(configs))]


def measure_given(
    net: Network, params: Any, x: Any, y: Any, *, loss: str | None, key: Array | int = 0,
    columns: Iterable[str] | None = None, dtype: str | None = None, data: str = "arrays",
) -> Trace:  # fmt: skip
    """One measurement of given weights; parameters as for `measure`."""
    dtype = dtype or dtype_of(net, params)
    with jax.enable_x64(dtype == "float64"):
        batch = DeviceBatch.of(x, y, loss, dtype, net.outputs_in(params), data)
        params, batch = batch.with_params(net, params, key)
        wanted = _columns(columns)
        return given(net, params, batch, wanted, net)


def given(
    net: Network, params: Any, batch: DeviceBatch, wanted: tuple[str, ...], deepest: Network, call: Callable = once
) -> Trace:
    """One measurement of given weights, in arrays of the deepest network whose beginning this one is."""
    way = shared if shared.shares(net) else single
    return trace(net, params, [way.given(net, params, batch, wanted, deepest, call)], batch, (0,), drawn=False)


def _columns(columns: Iterable[str] | None) -> tuple[str, ...]:
    if columns is None:
        return tuple(c for c in MEASURED if c not in (*TRAINING, *ON_REQUEST))
    for column in columns:
        if column not in MEASURED:
            raise unknown("column", column, MEASURED)
    chosen = set(columns)
    return tuple(c for c in MEASURED if c in chosen and c not in TRAINING)


def dtype_of(net: Network, params: Any) -> str:
    """Name of the dtype of given weights."""
    net.outputs_in(params)
    return str(weighted((), params)[0][1]["weight"].dtype)
