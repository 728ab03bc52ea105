"""Writes down what `gradlab inspect` reads. NumPy alone: copy it."""

import numpy as np


def record(path, **signals):
    """Statistics of value=, activation=, delta=, weight=, grad=, dicts of arrays by layer; loss={"loss": loss}."""
    kept = {}
    for signal, layers in signals.items():
        for layer, array in layers.items():
            x = np.abs(np.asarray(array, np.float64))
            good = x[np.isfinite(x)]
            top = good.max(initial=0.0)
            log10 = lambda v: np.log10(v) if v > 0 else -np.inf
            rms = log10(top) + np.log10(np.mean((good / top) ** 2)) / 2 if top > 0 else -np.inf
            dead = np.mean(~np.atleast_2d(x).reshape(-1, (x.shape or (1,))[-1]).any(axis=0))
            below = [np.mean((x > 0) & (x < line)) for line in (2.0**-126, 2.0**-24, 1e-8)]
            kept[f"{signal}/{layer}"] = [x.size - good.size, rms, log10(top), np.mean(x == 0), dead, *below, *x.shape]
    np.savez(path, **kept)
