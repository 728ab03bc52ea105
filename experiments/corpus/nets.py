"""Data, weights and plain networks that cases are made of; every weight is drawn from its own key."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from experiments.corpus.case import Model

key = jax.random.key


def normal(seed: int, *shape: int) -> Array:
    """Standard normal numbers."""
    return jax.random.normal(key(seed), shape)


def blobs(batch: int = 64, features: int = 16, classes: int = 10, seed: int = 7) -> tuple[Array, Array]:
    """Standardised points around one centre for each class, and their labels: something that can be learnt."""
    y = jnp.arange(batch) % classes
    x = 1.5 * normal(seed, classes, features)[y] + normal(seed + 1, batch, features)
    return (x - x.mean(0)) / x.std(0), y


def images(batch: int = 16, side: int = 8, channels: int = 3, classes: int = 10, seed: int = 7) -> tuple[Array, Array]:
    """Standardised images, likewise."""
    x, y = blobs(batch, side * side * channels, classes, seed)
    return x.reshape(batch, side, side, channels), y


def sequences(batch: int = 16, steps: int = 20, features: int = 8, seed: int = 7) -> tuple[Array, Array]:
    """Noise over time, batch first, whose class is the sign of what came in the first steps."""
    x = normal(seed, batch, steps, features)
    return x, (x[:, :3, 0].sum(1) > 0).astype(jnp.int32)


def tokens(batch: int = 8, length: int = 13, vocabulary: int = 32, seed: int = 7) -> Array:
    """Sentences that count upwards from a random start, in steps of 1 to 3."""
    start, step = jax.random.randint(key(seed), (2, batch, 1), 0, vocabulary)
    return (start + (1 + step % 3) * jnp.arange(length)) % vocabulary


def cross_entropy(logits: Array, labels: Array) -> Array:
    """The mean over all examples, in float32."""
    return optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels).mean()


def mse(outputs: Array, targets: Array) -> Array:
    """The mean square."""
    return jnp.mean((outputs - targets) ** 2)


def rms(x: Any) -> float:
    """Root of the mean square, in float64 by way of the largest entry."""
    x = np.asarray(x, np.float64)
    top = np.abs(x).max()
    return float(top * np.sqrt(np.mean((x / top) ** 2))) if top else 0.0


#: Standard deviations of weights by fan-in and fan-out.
Std = Callable[[int, int], float]


def he(fan_in: int, fan_out: int) -> float:
    """He et al. 2015."""
    return math.sqrt(2 / fan_in)


def lecun(fan_in: int, fan_out: int) -> float:
    """One over the root of the fan-in."""
    return math.sqrt(1 / fan_in)


def xavier(fan_in: int, fan_out: int) -> float:
    """Glorot & Bengio 2010."""
    return math.sqrt(2 / (fan_in + fan_out))


def times(factor: float, std: Std = he) -> Std:
    """Another rule with a gain."""
    return lambda fan_in, fan_out: factor * std(fan_in, fan_out)


def constant(value: float) -> Std:
    """The same standard deviation whatever the size."""
    return lambda fan_in, fan_out: value


def hidden(*numbers: int) -> tuple[str, ...]:
    """Names of hidden layers."""
    return tuple(f"hidden_{n}" for n in numbers)


def weights(depth: int, width: int, std: Std, ends: tuple[int, int], readout: Std = lecun) -> dict[str, Any]:
    """``hidden_0 …``, then ``readout``, each with ``w`` and ``b``."""
    sizes = [ends[0], *[width] * depth]
    params = {
        f"hidden_{i}": {"w": std(n, m) * normal(100 + i, n, m), "b": jnp.zeros(m)}
        for i, (n, m) in enumerate(itertools.pairwise(sizes))
    }
    return {
        **params,
        "readout": {"w": readout(sizes[-1], ends[1]) * normal(99, sizes[-1], ends[1]), "b": jnp.zeros(ends[1])},
    }


def forward(params: dict[str, Any], x: Array, phi: Callable[[Array], Array]) -> list[Array]:
    """Preactivations of all hidden layers, then the logits."""
    found = []
    for i in range(len(params) - 1):
        layer = params[f"hidden_{i}"]
        found.append(x @ layer["w"] + layer["b"])
        x = phi(found[-1])
    return [*found, x @ params["readout"]["w"] + params["readout"]["b"]]


def mlp(
    depth: int, width: int = 64, phi: Callable[[Array], Array] = jax.nn.relu, std: Std = he, *,
    readout: Std = lecun, data: tuple[Array, Array] | None = None, outputs: int = 10,
    loss: Callable[[Array, Array], Array] = cross_entropy,
    edit: Callable[[dict[str, Any]], Any] = lambda params: None,
) -> Model:  # fmt: skip
    """A plain network in a dict of dicts, its weights edited in place before it is handed over."""
    x, y = data or blobs()
    params = weights(depth, width, std, (x.shape[-1], outputs), readout)
    edit(params)
    return Model(lambda p, x, y: loss(forward(p, x, phi)[-1], y), params, (x, y))


def logits_rms(phi: Callable[[Array], Array]) -> Callable[[Model], float]:
    """Size of the last hidden preactivation of an `mlp`, over that of its first."""

    def value(model: Model) -> float:
        places = forward(model.params, model.batch[0], phi)[:-1]
        return rms(places[-1]) / rms(places[0])

    return value


def convolve(x: Array, w: Array, padding: str = "SAME", stride: int = 1) -> Array:
    """Convolution of images, channels last; ``WRAP`` is periodic."""
    if padding == "WRAP":
        margin = w.shape[0] // 2
        x, padding = jnp.pad(x, [(0, 0), (margin, margin), (margin, margin), (0, 0)], mode="wrap"), "VALID"
    return lax.conv_general_dilated(x, w, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def layer_norm(x: Array, epsilon: float = 1e-6) -> Array:
    """Without gain and shift."""
    return (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + epsilon)


def trained(model: Model, steps: int, rate: float = 3e-3, optimiser: Any = None) -> Model:
    """The same after some hundred steps of Adam on its own batch."""
    rule = optimiser or optax.adam(rate)

    def step(carry, _):
        params, state = carry
        updates, state = rule.update(jax.grad(model.loss)(params, *model.arguments), state, params)
        return (optax.apply_updates(params, updates), state), None

    run = jax.jit(lambda p: lax.scan(step, (p, rule.init(p)), None, length=steps)[0][0])
    return replace(model, params=run(model.params))


def chain(names: Sequence[str], share: float = 0.5) -> tuple[str, ...]:
    """The first part of a chain of layers: those that a vanishing gradient starves."""
    return tuple(names[: max(1, math.ceil(share * len(names)))])
