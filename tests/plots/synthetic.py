"""Frames with known answers, sick ones among them, made without computing a network."""

import numpy as np
import pandas as pd

from gradlab import frames
from gradlab.config import MLPConfig
from gradlab.measurement.records import LayerInfo, Trace

SIGNALS = ("log10_activation_rms", "log10_delta_rms", "log10_weight_grad_norm")


def trace(depth=20, seeds=3, per_layer=-0.63, noise=0.02, zeros=(), overflows=(), loss="mse", **options):
    """A network whose delta changes by `per_layer` decades toward the input.

    `zeros` are pairs (seed, last layer whose delta is 0), `overflows` (seed, first layer that is not finite).
    """
    config = MLPConfig(depth=depth, **options)
    rng = np.random.default_rng(depth + seeds)
    steps = per_layer + noise * rng.normal(size=(seeds, depth + 1))
    delta = -1 + np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    activation = -0.3 + noise * rng.normal(size=(seeds, depth + 1)).cumsum(axis=1)
    columns = dict(zip(SIGNALS, (activation, delta, delta + activation + 1), strict=True))
    status = ["ok"] * seeds
    for seed, layer in zeros:
        for name in SIGNALS[1:]:
            columns[name][seed, :layer] = -np.inf
    for seed, layer in overflows:
        columns[SIGNALS[0]][seed, layer - 1 :] = np.inf
        for name in SIGNALS[1:]:
            columns[name][seed] = np.nan
        status[seed] = f"overflow: the forward signal is not finite from layer {layer}"
    layers = tuple(
        LayerInfo(i + 1, "readout" if i == depth else f"hidden_{i + 1}", 10 if i == depth else 128, 128, 128)
        for i in range(depth + 1)
    )
    return Trace(
        config, layers, columns, tuple(range(seeds)), tuple(status), 1.0, 0.0, loss, "digits", 128, "float32"
    )  # fmt: skip


def failed(seeds=3, **options):
    """A cell of which nothing was measured."""
    return frames.failed_rows(
        MLPConfig(**options),
        range(seeds),
        MemoryError("no room"),
        loss="mse",
        data="digits",
        batch=128,
        dtype="float32",
    )


def sick(seeds=3):
    """Vanishing, steady with zeros, exploding with an overflow, and a cell that failed; depths 5, 20 and 80."""
    made = []
    for depth in (5, 20, 80):
        zeros = {5: [], 20: [(0, 7)], 80: [(s, 40) for s in range(seeds)]}[depth]
        made.append(trace(depth, seeds, activation="sigmoid", init="xavier_normal"))
        made.append(trace(depth, seeds, 0.001, zeros=zeros, activation="relu", init="he_normal"))
        overflows = [(1, 60)] if depth == 80 else []
        made.append(trace(depth, seeds, 0.2, overflows=overflows, activation="tanh", init="he_normal"))
    return frames.concat([frames.frame(made), failed(seeds, depth=20, activation="gelu", init="he_normal")])


def healthy(seeds=3, depths=(4, 16)):
    """A full grid of two activations, two initialisers and some depths."""
    rates = {("sigmoid", "xavier_normal"): -0.63, ("sigmoid", "he_normal"): -0.5}
    rates |= {("relu", "xavier_normal"): -0.15, ("relu", "he_normal"): 0.0005}
    return frames.frame([trace(d, seeds, r, activation=a, init=i) for (a, i), r in rates.items() for d in depths])


STEPS = (0, 1, 2, 4, 8, 16, 64, 256)


def learnt(configs=({"activation": "tanh"},), steps=STEPS, seeds=3, depth=4):
    """Training runs: each layer's gradient falls and its accuracy rises, of a known size at every step."""
    made = []
    for place, config in enumerate(configs):
        fields = {"depth": depth, **config}
        base = frames.frame(trace(fields.pop("depth"), seeds, **fields))
        table = pd.concat([base] * len(steps), ignore_index=True)
        table["step"] = np.repeat(steps, len(base))
        slower = 0.1 * np.log10(1 + table["step"]) + 0.05 * place
        table["log10_delta_rms"] -= slower
        table["log10_weight_grad_norm"] -= slower * table["layer"]
        table["log10_update_ratio"] = table["log10_weight_grad_norm"] - 2
        table["log10_train_loss"] = 0.3 - slower + 0.01 * table["seed"]
        table["log10_test_loss"] = 0.4 - slower + 0.02 * table["seed"]
        table["train_accuracy"] = 1 - 0.9 / (1 + table["step"])
        table["test_accuracy"] = 0.9 - 0.8 / (1 + table["step"]) - 0.01 * table["seed"]
        table["log10_activation_rms"] = np.log10(0.5 + 0.02 * table["layer"])
        table["activation_mean_over_rms"] = 0.6
        table["activation_p98_over_rms"] = 1.7
        made.append(table)
    return frames.concat(made)


def curved(rates=(0.1, 0.4), steps=STEPS, peak=1.0):
    """Training runs whose sharpness rises from half of its threshold to a little above it, and passes a peak."""
    table = learnt([{"activation": "tanh"}, {"activation": "relu"}][: len(rates)], steps, depth=1)
    table["learning_rate"] = (
        table["network"].map(dict(zip(table["network"].unique(), rates, strict=True))).astype(float)
    )
    table["sharpness_threshold"] = 2 / table["learning_rate"]
    share = np.where(table["step"] == steps[2], peak, 1 - 0.5 / (1 + table["step"]))
    table["sharpness"] = (share + 0.01 * table["seed"]) * table["sharpness_threshold"]
    return table


def bins(inits=("standard_uniform", "xavier_uniform"), layers=5, edge="both"):
    """Counts of 1000 values a layer: 600 in one bin or two, 250 exact zeros, 150 beyond."""
    edges = np.linspace(-5, 5, 102)
    rows = []
    for init in inits:
        for signal in ("activation", "delta"):
            for layer in range(1, layers + 1):
                counts = np.zeros(101, dtype=int)
                counts[50 + layer] = 400
                counts[50 - layer] = 200
                centres = [-np.inf, *(edges[:-1] + edges[1:]) / 2, np.inf, np.nan]
                lefts, rights = [-np.inf, *edges[:-1], 5, 0], [-5, *edges[1:], np.inf, 0]
                values = [50, *counts, 100, 250]
                rows += [(init, signal, layer, *v) for v in zip(centres, lefts, rights, values, strict=True)]
    table = pd.DataFrame(rows, columns=["init", "signal", "layer", "bin", "left", "right", "count"])
    if edge == "left":
        table["bin"] = table["left"].where(np.isfinite(table["bin"]), table["bin"])
    return table if edge == "both" else table.drop(columns=["left", "right"])


def printed(depth=100):
    """What four ways to compute the norms show; two of them die."""
    layer = np.arange(1, depth + 1)
    right = -0.63 * (depth - layer) - 0.25
    shown = {
        "gradlab, float32": right,
        "jax.grad, float32": np.where(layer <= 72, -np.inf, right),
        "jax.grad, float32, scaled norm": np.where(layer <= 44, -np.inf, right),
        "jax.grad, float64": right,
    }
    table = pd.DataFrame({"layer": layer, **shown})
    return table.melt("layer", var_name="method", value_name="log10_weight_grad_norm")


def counted(layers=2, steps=(0, 10, 100), entries=2000, zeros=None):
    """Histograms of a training and the values that were counted, which fall tenfold from the first to the last step.

    `zeros` gives, by (layer, step), the share of entries that are exactly 0.
    """
    rng = np.random.default_rng(0)
    edges = np.arange(-12, 2, 0.15)
    values, rows = {}, []
    for layer in range(1, layers + 1):
        spread = rng.normal(layer - 6, 0.5, entries)
        for step in steps:
            share = (zeros or {}).get((layer, step), 0.0)
            lost = round(share * entries)
            values[layer, step] = spread - np.log10(1 + 9 * step / steps[-1])
            heights, _ = np.histogram(values[layer, step][lost:], edges)
            bins = zip((edges[:-1] + edges[1:]) / 2, edges[:-1], edges[1:], heights, strict=True)
            rows += [(step, "log10_weight_grad", layer, *b) for b in (*bins, (np.nan, 0.0, 0.0, lost)) if b[-1]]
    return values, pd.DataFrame(rows, columns=["step", "signal", "layer", "bin", "left", "right", "count"])
