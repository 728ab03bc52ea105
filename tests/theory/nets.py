"""Plain NumPy pieces that the laws of normalised networks are simulated with: each forward with its backward."""

import math

import numpy as np

#: phi and phi' of a few activations, written apart from the package's.
PHI = {
    "identity": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "gelu": (
        lambda z: z * (1 + _erf(z / math.sqrt(2))) / 2,
        lambda z: (1 + _erf(z / math.sqrt(2))) / 2 + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    ),
}
_erf = np.vectorize(math.erf)


def normalised(z, axis, centred=True):
    """z over its standard deviation along an axis, and the map of cotangents."""
    z = z - z.mean(axis, keepdims=True) if centred else z
    sd = np.sqrt(np.mean(z * z, axis, keepdims=True))
    y = z / sd

    def pull(d):
        d = d - d.mean(axis, keepdims=True) if centred else d
        return (d - y * np.mean(d * y, axis, keepdims=True)) / sd

    return y, pull


def gaussian(rng, nets, n, sigma_w2=1.0):
    """Weights of `nets` layers."""
    return rng.normal(size=(nets, n, n)) * (sigma_w2 / n) ** 0.5


def back(d, w):
    """The cotangent before a product x @ w."""
    return d @ np.swapaxes(w, -1, -2)


def within(samples, law, extra=0.0, errors=4.5):
    """Whether the mean of samples along the first axis lies within standard errors of a law, and something more."""
    samples = np.asarray(samples)
    error = np.std(samples, 0, ddof=1) / len(samples) ** 0.5
    return bool(np.all(np.abs(np.mean(samples, 0) - law) < errors * error + extra))
