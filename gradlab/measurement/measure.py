"""Measure one network or a group of networks at initialisation; `shared` and `single` are the two ways to run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
from jax import Array

from gradlab._errors import GradlabError, unknown
from gradlab._formats import SHORT_FORMATS
from gradlab._types import MEASURED
from gradlab.config import MEASURED_DTYPES, NetworkConfig, resolve, seed_numbers
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
    r"""Measure the statistics of every layer of a network, over many seeds.

    Parameters
    ----------
    net : network
        The network, such as `gradlab.MLP`.
    x : array, shape (batch, features)
        The inputs.
    y : array, optional
        Integer labels or real targets. It may be left out with ``loss="probe"``.
    key : int or JAX key
        Key from which the weights are drawn: seed s draws from the key folded with s.
    seeds : int or sequence of int
        Number of seeds, or their numbers. The interval of the rate is over seeds, so more of them make it narrower.
        (The default is 16 here, 5 for each network of a sweep, and 1 where no interval is computed.)
    loss : str, optional
        Name of the loss. None: softmax cross-entropy for integer `y`, otherwise mean squared error.
    params : pytree, optional
        Weights to use instead of random ones, for example after training. They are measured once, without an
        interval.
    columns : sequence of str, optional
        Names of the columns to measure, see `gradlab._types.MEASURED`. Fewer columns take less time. None: all but
        those on request.
    dtype : str, optional
        "float32" or "float64". None: that of `params`, otherwise float32. With "bfloat16", "float16", "float8_e4m3" or
        "float8_e5m2" the forward pass is that of this format, see the notes.
    data : str
        Name of the data in the frame.

    Returns
    -------
    Trace
        With `.columns`, `.rate`, `.decades` and `.verdict`; `gradlab.frame` makes the table.

    Raises
    ------
    GradlabError
        If the data or the parameters do not fit the network, or a name is unknown.

    Notes
    -----
    In a short format inputs, weights and the output of each layer are rounded to its nearest number, subnormal ones
    included; what lies beyond its largest number becomes infinite, and the column `status` says where. Within a layer
    (a product with its sum, a norm, an attention) and in the loss numbers are of float32, as in the products of
    accelerators. The way back starts from the rounded signals and is not rounded: deltas and gradients show what this
    forward pass asks for, and the columns ``delta_below_float16`` and so on (on request) how much of them a format
    would lose. Of an activation, what was rounded to 0 counts as a zero, not as an entry below.

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
    """Measure several networks on the same data. Networks with the same draws share their matrix products.

    Parameters
    ----------
    configs : sequence of NetworkConfig
        The networks.
    x, y, loss, key, columns, dtype, data
        As for `measure`.
    seeds : sequence of int
        Numbers of the seeds.
    outputs : int, optional
        Number of outputs; give it where the targets do not show every class.

    Returns
    -------
    list of Trace
        One for each configuration, in their order.
    """
    dtype = _dtype(dtype or "float32", configs)
    with jax.enable_x64(dtype == "float64"):
        batch = DeviceBatch.of(x, y, loss, dtype, outputs, data)
        wanted = _columns(columns)
        groups: dict[tuple, list[int]] = {}
        for i, config in enumerate(configs):
            example_shape(build(config), batch.x)
            resolved(config)  # fixes what the names of its functions stand for
            together = batch.form is None and shared.shares(config)  # rounded weights of two gains are no multiples
            way = (shared, shared.family(config)) if together else (single, single.structure(config))
            groups.setdefault(way, []).append(i)
        traces: dict[int, Trace] = {}
        for (way, _), members in groups.items():
            records, params = way.drawn([configs[i] for i in members], batch, as_key(key), seeds, wanted)
            for i, of_seeds, shapes in zip(members, records, params, strict=True):
                traces[i] = trace(build(configs[i]), shapes, of_seeds, batch, seeds)
    return [traces[i] for i in range(len(configs))]


def measure_given(
    net: Network, params: Any, x: Any, y: Any, *, loss: str | None, key: Array | int = 0,
    columns: Iterable[str] | None = None, dtype: str | None = None, data: str = "arrays",
) -> Trace:  # fmt: skip
    """Measure given weights once; the arguments are those of `measure`."""
    dtype = _dtype(dtype or dtype_of(net, params), [net])
    with jax.enable_x64(dtype == "float64"):
        batch = DeviceBatch.of(x, y, loss, dtype, net.outputs_in(params), data)
        params, batch = batch.with_params(net, params, key)
        wanted = _columns(columns)
        return given(net, params, batch, wanted, net)


def given(
    net: Network, params: Any, batch: DeviceBatch, wanted: tuple[str, ...], deepest: Network, call: Callable = once
) -> Trace:
    """Measure given weights once, with the program of the deepest network that begins like this one."""
    way = shared if batch.form is None and shared.shares(net) else single
    return trace(net, params, [way.given(net, params, batch, wanted, deepest, call)], batch, (0,), drawn=False)


def _dtype(name: str, configs: Sequence[NetworkConfig]) -> str:
    """Check the name of a dtype, and that the networks have a forward pass in it."""
    name = resolve("dtype", name, MEASURED_DTYPES)
    if name in SHORT_FORMATS and any(config.architecture == "rnn" for config in configs):
        raise GradlabError(
            "dtype='float32' or 'float64' of a recurrent network", f"dtype={name!r}",
            "the columns activation_below_float16 and so on, which say what a format would lose",
        )  # fmt: skip
    return name


def _columns(columns: Iterable[str] | None) -> tuple[str, ...]:
    if columns is None:
        return tuple(c for c in MEASURED if c not in (*TRAINING, *ON_REQUEST))
    for column in columns:
        if column not in MEASURED:
            raise unknown("column", column, MEASURED)
    chosen = set(columns)
    return tuple(c for c in MEASURED if c in chosen and c not in TRAINING)


def dtype_of(net: Network, params: Any) -> str:
    """Return the name of the dtype of given weights; float32 where they are no numbers, which a check refuses."""
    net.outputs_in(params)
    name = str(weighted((), params)[0][1]["weight"].dtype)
    return name if name in MEASURED_DTYPES else "float32"
