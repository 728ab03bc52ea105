"""From the records of a group to one trace a network: columns cut out by group and depth."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from gradlab._types import MEASURED
from gradlab.config import NetworkConfig
from gradlab.config.custom import CustomConfig
from gradlab.core.scaled import Scaled
from gradlab.measurement.records import LayerInfo, Trace
from gradlab.networks.rules import hidden_rule


def trace_of(
    config, variant: int, depth_index: int, records, shapes, seeds, loss, data, batch, dtype, *, drawn=True
) -> Trace:
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
    one = lambda rows, i: {c: rows[c][i] for c in rows}
    status = tuple(status_of([one(rows, i) for i in range(len(layers))], layers) for rows in per_seed)
    return Trace(
        config, layers, columns, tuple(int(s) for s in seeds), status,
        *scales(config, sizes[1] if config.depth > 1 else sizes[0]), loss, data, batch, dtype, drawn,
    )  # fmt: skip


def scales(config: NetworkConfig, inner: tuple[int, int]) -> tuple[float, float]:
    """sigma_w2 and sigma_b2 of a hidden layer with this fan-in and fan-out; NaN of a user's layers."""
    if isinstance(config, CustomConfig):
        return float("nan"), float("nan")
    rule = hidden_rule(config)
    sigma_b2 = rule.sigma_b2(inner[0]) if config.sigma_b2 is None else config.sigma_b2
    return rule.sigma_w2(*inner, config.gain), sigma_b2 if config.bias else 0.0


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
        rows |= loss_columns(jax.tree.map(lambda v: v[variant], each["loss"]), depth + 1)
    return rows


def loss_columns(value: Scaled, count: int) -> dict[str, np.ndarray]:
    """Size and sign of the loss, the same in each of the rows."""
    with np.errstate(divide="ignore"):
        size = np.log10(np.abs(value.mantissa)) + value.exponent * np.log10(2.0)
    return {"log10_abs_loss": np.full(count, size), "loss_sign": np.full(count, np.sign(value.mantissa))}


def status_of(rows: Sequence[Mapping[str, float]], layers: Sequence[LayerInfo]) -> str:
    """'ok', or where a signal left the range of its dtype."""
    for name in ("log10_preactivation_rms", "log10_activation_rms", "log10_delta_rms"):
        for row, info in zip(rows, layers, strict=True):
            value = row.get(name, 0.0)
            if value != value or value == np.inf:
                where = "the readout" if info.layer_name == "readout" else f"layer {info.layer}"
                signal = "backward" if "delta" in name else "forward"
                return f"overflow: the {signal} signal is not finite from {where}"
    return "ok"
