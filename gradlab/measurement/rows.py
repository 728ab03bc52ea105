"""Make the rows of a network from its record: one row for each hidden layer, then the readout.

A block of a residual network or a transformer holds several weights and activations. Its row shows

- the delta where blocks meet: the gradient on the residual stream at the block's output if it has a
  stream, otherwise at the preactivations of its first weight;
- the forward signal at the same place: `log10_preactivation_rms` is the rms of the stream, and
  `log10_activation_rms` that of the block's last activation;
- all weights of the block as one vector of parameters, and all biases as another.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from gradlab._types import MEASURED
from gradlab.config import NetworkConfig
from gradlab.config.custom import CustomConfig
from gradlab.core.scaled import Scaled
from gradlab.measurement.attention import OF_WEIGHTS, TOKENS
from gradlab.measurement.batch import DeviceBatch
from gradlab.measurement.bins import joined_sizes
from gradlab.measurement.kept import SiteRecord
from gradlab.measurement.records import LayerInfo, Trace
from gradlab.measurement.stats import ENTRIES, SHARES
from gradlab.networks.custom import CustomNetwork
from gradlab.networks.network import Network, weighted
from gradlab.networks.rules import hidden_rule

#: Columns of the backward signal.
SIGNAL = ("log10_delta_rms", "delta_log10_mean", "zero_example_fraction", "float32_zero_fraction", "delta_counts",
          "delta_sizes", *SHARES["delta"])  # fmt: skip
#: Columns that every weight of a block has.
OF_A_WEIGHT = ("weight_norm", "log10_weight_grad_norm", "gradient_cosine_mean", "gradient_snr", "inverse_noise_scale",
               *ENTRIES, *SHARES["weight_grad"])  # fmt: skip
#: Columns of the stream, the preactivation of a block.
STREAM = (*SIGNAL, "log10_preactivation_rms", "log10_one_minus_c", "zero_pair_fraction", TOKENS)


def trace(
    net: Network, params: Any, records: Sequence[Any], batch: DeviceBatch, seeds: Sequence[int], *, drawn: bool = True
) -> Trace:
    """Make the trace of a network from its records, one for each seed.

    Parameters
    ----------
    net : Network
        The network.
    params : pytree
        Its parameters, or their shapes. Repeated blocks may be more than the network has.
    records : sequence
        Records on the host, as `shared` and `single` make them.
    batch : DeviceBatch
        The data that was measured on.
    seeds : sequence of int
        Numbers of the seeds.
    drawn : bool
        False where the weights were given.
    """
    blocks = [_blocks(net, batch.outputs, record) for record in records]
    numbers = [number for first, count, _ in blocks[0] for number in range(first, first + count)]
    layers = _layers(net, params, numbers)
    status = tuple(_status(blocks_of_seed, layers) for blocks_of_seed in blocks)
    per_seed = [
        _joined(blocks_of_seed) | _loss(record["loss"], len(numbers))
        for blocks_of_seed, record in zip(blocks, records, strict=True)
    ]
    names = [c for c in MEASURED if c in per_seed[0]]
    hidden = [info for info in layers if info.layer >= 1 and info.layer_name != "readout"]
    fans = hidden[-1].fan_in, hidden[-1].fan_out
    inner = fans if fans[0] else (net.width, net.width)  # the weight of a time step is the recurrent one
    return Trace(
        net, layers, {c: np.stack([columns[c] for columns in per_seed]) for c in names},
        tuple(int(s) for s in seeds), status,
        *_scales(net, inner), batch.loss, batch.name, len(batch.x), batch.dtype, drawn,
    )  # fmt: skip


#: One block, or repeated ones: number of the first row, number of rows, and columns with a leading axis of rows.
Block = tuple[int, int, dict[str, np.ndarray]]


def rows(net: Network, outputs: int, record: Any, axes: int = 0) -> tuple[list[int], dict[str, np.ndarray]]:
    """Return the number of each row's layer, and columns of shape (rows, ...), where one value has `axes` axes."""
    blocks = _blocks(net, outputs, record, axes)
    return [number for first, count, _ in blocks for number in range(first, first + count)], _joined(blocks)


def _blocks(net: Network, outputs: int, record: Any, axes: int = 0) -> list[Block]:
    parts = _parts_custom(net, record) if isinstance(net, CustomNetwork) else _parts(net, outputs, record)
    blocks: list[Block] = []
    following = 1
    for first, count, columns in parts:
        columns = {c: np.asarray(v) for c, v in columns.items()}
        several = any(v.ndim > axes for v in columns.values())
        columns = columns if several else {c: v[None] for c, v in columns.items()}
        first = following if first is None else first
        count = len(next(iter(columns.values()))) if columns else count
        blocks.append((first, count, columns))
        following = first + count
    return blocks


def _joined(blocks: Sequence[Block]) -> dict[str, np.ndarray]:
    """Join the columns of all rows; NaN where a row has none."""
    shapes = {c: v.shape[1:] for *_, columns in blocks for c, v in columns.items()}
    absent = lambda count, c: np.full((count, *shapes[c]), np.nan)
    joined = lambda c: np.concatenate(
        [columns[c] if c in columns else absent(count, c) for _, count, columns in blocks]
    )
    return {c: joined(c) for c in shapes}


#: Number of the first row, or None for the next one; number of rows, used where there is no column; and the columns.
Part = tuple[int | None, int, dict[str, np.ndarray]]


def _parts(net: Network, outputs: int, record: Any) -> list[Part]:
    """Return the parts of a network, from input to readout."""
    stack = net.stack(outputs)
    parts: list[Part] = []
    for i, part in enumerate(record["below"]):
        if stack.stem and i == 0:
            parts.append((0, 1, row(part)))
            if stack.stem == "cell":
                parts.append((1, 1, part["recurrent"].values["steps"]))
        else:
            parts.append((None, 1, row(part)))
    if "run" in record:
        count = net.depth - stack.earlier_depth
        parts.append((stack.earlier_depth + 1, count, {c: v[:count] for c, v in row(record["run"]).items()}))
    return [*parts, (None, 1, row(record["readout"]))]


def _parts_custom(net: CustomNetwork, record: Any) -> list[Part]:
    """Return the parts of a network of a user's layers, from input to readout."""
    return [(None, 1, row(part.tree)) for part in net.rows(net.shapes(), (*record["below"], record["readout"]))]


def _layers(net: Network, params: Any, numbers: Sequence[int]) -> tuple[LayerInfo, ...]:
    """Make names, widths and fans of the rows."""
    custom = isinstance(net, CustomNetwork)
    blocks: list[tuple[int, int]] = []  # fan-in and fan-out of the first weight of each block
    for part in (row.tree for row in net.rows(params, params)) if custom else params:
        *copies, fan_in, fan_out = weighted((), part)[0][1]["weight"].shape
        blocks += [(fan_in, fan_out)] * (copies[0] if copies else 1)
    stem = "" if custom else net.stack(1).stem
    infos = []
    for i, number in enumerate(numbers):
        last = i == len(numbers) - 1
        step = stem == "cell" and number > 0 and not last
        name = "readout" if last else stem if number == 0 else f"{net.layer_name}_{number}"
        fan_in, fan_out = blocks[-1] if last else blocks[number if stem else number - 1] if not step else (0, 0)
        fan_out = net.width if step else fan_out  # a time step has no weight of its own
        width = net.width if stem == "cell" and not last else fan_out
        infos.append(LayerInfo(number, name, width, fan_in, fan_out))
    return tuple(infos)


def _scales(config: NetworkConfig, inner: tuple[int, int]) -> tuple[float, float]:
    """Return sigma_w2 and sigma_b2 of a hidden layer with these fans; NaN for a user's layers, and without a weight."""
    if isinstance(config, CustomConfig) or getattr(config, "cell", "") == "lru":
        return float("nan"), float("nan")
    rule = hidden_rule(config)
    sigma_b2 = rule.sigma_b2(inner[0]) if config.sigma_b2 is None else config.sigma_b2
    return rule.sigma_w2(*inner, config.gain), sigma_b2 if config.bias else 0.0


def _loss(value: Scaled, count: int) -> dict[str, np.ndarray]:
    """Make the columns of size and sign of the loss, which are the same in every row."""
    with np.errstate(divide="ignore"):
        size = np.log10(np.abs(value.mantissa)) + value.exponent * np.log10(2.0)
    return {"log10_abs_loss": np.full(count, size), "loss_sign": np.full(count, np.sign(value.mantissa))}


def _status(blocks: Sequence[Block], layers: Sequence[LayerInfo]) -> str:
    """Return 'ok', or say where a signal left the range of its dtype."""
    for name in ("log10_preactivation_rms", "log10_activation_rms", "log10_delta_rms"):
        values = np.concatenate([columns.get(name, np.zeros(count)) for _, count, columns in blocks])
        bad = np.flatnonzero(np.isnan(values) | (values == np.inf))
        if bad.size:
            info = layers[bad[0]]
            where = "the readout" if info.layer_name == "readout" else f"layer {info.layer}"
            return f"overflow: the {'backward' if 'delta' in name else 'forward'} signal is not finite from {where}"
    return "ok"


def row(record: Any) -> dict[str, np.ndarray]:
    """Make the columns of a block from the tree of its layers' records.

    Parameters
    ----------
    record : tree of SiteRecord
        Records on the host, in the order of the signal, with columns as their values (`measurement.kept.on_host`). A
        leading axis of repeated blocks is kept.

    Returns
    -------
    dict of str to ndarray
        Columns by name.
    """
    sites = [
        s for s in jax.tree.leaves(record, is_leaf=lambda v: isinstance(v, SiteRecord)) if isinstance(s, SiteRecord)
    ]
    layers = [s.values for s in sites if s.kind != "residual"]
    block: dict[str, np.ndarray] = {}
    for name, join in _JOINS.items():
        values = [columns[name] for columns in layers if name in columns]
        if values:
            block[name] = join(values)
    for columns in (s.values for s in sites if s.kind == "residual"):
        block |= {name: columns[name] for name in STREAM if name in columns}
    if sum(any(name in columns for name in OF_A_WEIGHT) for columns in layers) > 1:
        block.pop(
            "gradient_cosine_mean", None
        )  # the cosine of the whole vector does not follow from those of its parts
        if "gradient_snr" in block:
            block["gradient_snr"] = _snr(block, layers)
        if "inverse_noise_scale" in block:
            block["inverse_noise_scale"] = _inverse_noise_scale(layers)
        if "log10_weight_grad_mean_abs" in block:
            block["log10_weight_grad_mean_abs"] = _mean_entry(layers)
        block |= {name: _share(name, layers) for name in SHARES["weight_grad"] if name in block}
    return block


def _mean_entry(layers: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Compute log10 of the mean over the entries of all weights of the block."""
    parts = [c for c in layers if "weight_entries" in c]
    with np.errstate(divide="ignore"):
        sums = [np.asarray(c["log10_weight_grad_mean_abs"]) + np.log10(c["weight_entries"]) for c in parts]
    return _log10_sum(sums) - np.log10(sum(c["weight_entries"] for c in parts))


def _share(name: str, layers: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Compute the share of the entries of all weights of the block; NaN where all are 0."""
    parts = [c for c in layers if name in c]
    with np.errstate(invalid="ignore"):
        lost = sum(np.where(c["weight_grad_alive"] > 0, c[name], 0) * c["weight_grad_alive"] for c in parts)
        return lost / sum(c["weight_grad_alive"] for c in parts)


def _snr(block: dict[str, np.ndarray], layers: list[dict[str, np.ndarray]]) -> np.ndarray:
    r"""Compute B |mean|^2 / tr Cov of the block from those of its weights: each trace is B |mean|^2 / snr."""
    parts = [c for c in layers if "gradient_snr" in c]
    if any("log10_weight_grad_norm" not in c for c in parts):
        return np.full_like(block["gradient_snr"], np.nan)
    squares = lambda c: 2 * np.asarray(c["log10_weight_grad_norm"])
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = [squares(c) - np.log10(c["gradient_snr"]) for c in parts]
        return 10.0 ** (_log10_sum([squares(c) for c in parts]) - _log10_sum(noise))


def _inverse_noise_scale(layers: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Compute signal over noise of the block: the mean of those of its weights, by the noise of each."""
    parts = [c for c in layers if "inverse_noise_scale" in c]
    whole = _norm([c["log10_noise"] for c in parts])
    with np.errstate(invalid="ignore"):
        return sum(c["inverse_noise_scale"] * 10.0 ** (2 * (c["log10_noise"] - whole)) for c in parts)


def _log10_sum(values: list[np.ndarray]) -> np.ndarray:
    """Compute log10 of the sum of 10**v."""
    return functools.reduce(
        lambda a, b: np.logaddexp2(*(np.asarray(v) / np.log10(2.0) for v in (a, b))) * np.log10(2.0), values
    )


def _norm(values: list[np.ndarray]) -> np.ndarray:
    """Compute log10 of the root of the sum of squares."""
    return 0.5 * _log10_sum([2 * np.asarray(v) for v in values])


def _first(values: list[np.ndarray]) -> np.ndarray:
    return values[0]


def _last(values: list[np.ndarray]) -> np.ndarray:
    return values[-1]


def _mean(values: list[np.ndarray]) -> np.ndarray:
    return np.mean(np.stack(values), 0)


#: How the columns of a block's layers become one column.
_JOINS: dict[str, Callable[[list[np.ndarray]], np.ndarray]] = {
    **dict.fromkeys(SIGNAL, _first),
    "log10_weight_grad_norm": _norm,
    "log10_weight_grad_mean_abs": _first,
    "log10_weight_grad_max_abs": lambda values: np.max(np.stack(values), 0),
    "log10_bias_grad_norm": _norm,
    "weight_grad_sizes": joined_sizes,
    "log10_activation_rms": _last,
    "activation_mean_over_rms": _last,
    "activation_p98_over_rms": _last,
    "activation_counts": _last,
    "activation_sizes": _last,
    **dict.fromkeys(SHARES["activation"], _last),
    **dict.fromkeys(SHARES["weight_grad"], _first),
    "log10_preactivation_rms": _first,
    "log10_one_minus_c": _first,
    "zero_pair_fraction": _first,
    TOKENS: _last,
    **dict.fromkeys(OF_WEIGHTS.values(), _first),
    "attention_logit_max": lambda values: np.max(np.stack(values), 0),
    "attention_entropy": _mean,
    "saturated_fraction": _mean,
    "dead_fraction": _mean,
    "weight_norm": lambda values: np.sqrt(np.sum(np.square(np.stack(values)), 0)),
    "log10_per_example_grad_norm_rms": _norm,
    "gradient_cosine_mean": _first,
    "gradient_snr": _first,
    "inverse_noise_scale": _first,
}
