"""Frames with known answers, made without computing a network."""

from pathlib import Path

import numpy as np

from gradlab.config import MLPConfig
from gradlab.frames.files import Run
from gradlab.frames.rows import frame
from gradlab.measurement.records import LayerInfo, Trace


def trace(config, per_layer, *, seeds=4, start=-1.0, noise=0.01, float32_zero=None, scale=0.0, data="digits"):
    """A network whose delta changes by `per_layer` decades toward the input, all else following from it.

    `scale` is log10 of a factor on the loss.
    """
    depth, widths = config.depth, (*config.widths, config.widths[-1])
    rng = np.random.default_rng(depth)
    layers = np.arange(depth + 1)
    slopes = per_layer + noise * np.linspace(-1, 1, seeds)[:, None]
    delta = start + scale + slopes * (depth - layers) + 1e-3 * rng.normal(size=(seeds, depth + 1))
    zero = np.zeros_like(delta)
    columns = {
        "log10_delta_rms": delta,
        "log10_weight_grad_norm": delta + 1.0,
        "log10_activation_rms": zero - 0.3,
        "saturated_fraction": zero + 0.02,
        "dead_fraction": zero,
        "float32_zero_fraction": (delta < -39.0).astype(float),
    }
    info = tuple(
        LayerInfo(i + 1, "readout" if i == depth else f"hidden_{i + 1}", width, width, width)
        for i, width in enumerate(widths)
    )
    return Trace(
        config, info, columns, tuple(range(seeds)), ("ok",) * seeds, 1.0, 0.0, "softmax_cross_entropy", data, 128,
        "float32",
    )  # fmt: skip


GRID = [
    ("sigmoid", "xavier_normal", -0.625),
    ("relu", "he_normal", 0.0005),
    ("relu", "xavier_normal", -0.1505),
    ("tanh", "he_normal", 0.2),
]


def grid(depths=(4, 32), scale=0.0, data="digits"):
    """Frames of a small sweep: each pair of GRID at each depth."""
    return frame(
        [trace(MLPConfig(depth=d, activation=a, init=i), s, scale=scale, data=data) for d in depths for a, i, s in GRID]
    )


def run_of(table, path="runs/demo"):
    request = {"request": {"depth": [4, 32], "activation": ["sigmoid", "relu", "tanh"], "seeds": 4, "gain": [1.0]}}
    provenance = {"hash": "cafe0123", "command": "gradlab sweep --out runs/demo", "versions": {"jax": "0.10.2"}}
    return Run(table, request, provenance, Path(path))
