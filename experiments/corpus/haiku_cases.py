"""Models in Haiku: functions transformed, and applied with parameters (and state)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from experiments.corpus.case import Model, broken, healthy, measured, norm, ratio, zeros
from experiments.corpus.nets import blobs, cross_entropy, images, key, sequences

HAIKU = "haiku"
he, xavier = hk.initializers.VarianceScaling(2.0), hk.initializers.VarianceScaling(1.0, "fan_avg")
gaussian = hk.initializers.RandomNormal


def pure(net: Callable[..., Any], data: Any = None, edit: Callable[[Any], Any] = lambda p: p) -> Model:
    """A net without state and randomness."""
    x, y = data or blobs()
    f = hk.without_apply_rng(hk.transform(net))
    return Model(lambda p, x, y: cross_entropy(f.apply(p, x), y), edit(f.init(key(0), x)), (x, y))


def dense(depth: int, init: Any, phi: Any = jax.nn.relu, width: int = 64) -> Callable[[Any], Any]:
    """Haiku's MLP with a linear readout."""
    return lambda x: hk.Linear(10, name="head")(
        hk.nets.MLP([width] * depth, w_init=init, activation=phi, activate_final=True)(x)
    )


def layers(*numbers: int) -> tuple[str, ...]:
    """Names of the layers of Haiku's MLP."""
    return tuple(f"linear_{n}" for n in numbers)


@healthy(HAIKU)
def haiku_relu_he_10() -> Model:
    """Ten layers, whose names do not sort by depth."""
    return pure(dense(11, he)).shows(ratio("mlp/~/linear_1", "mlp/~/linear_10", 0.1, 10))


@broken(HAIKU, "vanishing", layers(0, 1, 2, 3))
def haiku_sigmoid_8() -> Model:
    """Eight sigmoid layers."""
    return pure(dense(8, xavier, jax.nn.sigmoid)).shows(ratio("mlp/~/linear_1", "mlp/~/linear_7", 0, 1e-3))


@broken(HAIKU, "init_too_small", (*layers(*range(10)), "head"))
def haiku_relu_hundredth_10() -> Model:
    """N(0, 0.01²)."""
    return pure(dense(10, gaussian(0.01), width=128)).shows(norm("head/w", 0, 1e-7))


@broken(HAIKU, ("init_too_large", "exploding"), (*layers(*range(10)), "head"))
def haiku_he_doubled() -> Model:
    """A factor 2 per layer."""
    return pure(dense(10, hk.initializers.VarianceScaling(8.0))).shows(
        measured("loss", lambda m: m.loss(m.params, *m.batch), 100)
    )


@broken(HAIKU, ("symmetric",), layers(0, 1, 2))
def haiku_constant_init() -> Model:
    """Constant weights in all layers of an MLP."""
    return pure(dense(3, hk.initializers.Constant(0.05))).shows(norm("mlp/~/linear_1/w", 1e-6))


@broken(HAIKU, ("dead_layer", "dead"), layers(1))
def haiku_dead_layer() -> Model:
    """A bias of −40."""
    edit = lambda p: {n: ({**v, "b": v["b"] - 40.0} if n.endswith("linear_1") else v) for n, v in p.items()}
    return pure(dense(4, he), edit=edit).shows(zeros("mlp/~/linear_1"), zeros("mlp/~/linear_0"))


def _recurrent(x):
    core = hk.LSTM(20)
    h, _ = hk.dynamic_unroll(core, x.swapaxes(0, 1), core.initial_state(x.shape[0]))
    return hk.Linear(2, name="head")(h[-1])


@healthy(HAIKU)
def haiku_lstm() -> Model:
    """Haiku's LSTM adds 1 to its forget gates; twelve steps."""
    return pure(_recurrent, sequences(16, 12)).shows(ratio("lstm/linear/w", "head", 0.002, 20))


@broken(HAIKU, ("vanishing", "saturation"), ("lstm",))
def haiku_lstm_that_forgets() -> Model:
    """The same with a forget bias of −6, over thirty steps."""

    def edit(p):
        b = p["lstm/linear"]["b"]
        return {**p, "lstm/linear": {**p["lstm/linear"], "b": b.at[40:60].set(-7.0)}}

    by_x = lambda m: jax.grad(lambda x: m.loss(m.params, x, *m.batch[1:]))(m.batch[0])
    share = lambda m: (g := by_x(m), jnp.linalg.norm(g[:, 0]) / jnp.linalg.norm(g[:, -1]))[1]
    return pure(_recurrent, sequences(16, 30), edit).shows(measured("by the first input / by the last", share, 0, 1e-8))


@healthy(HAIKU)
def haiku_batch_norm() -> Model:
    """A convolutional net with batch norm: its state goes in and out of the loss."""

    def net(x):
        for _ in range(2):
            x = hk.Conv2D(12, 3, w_init=he)(x)
            x = jax.nn.relu(hk.BatchNorm(True, True, 0.9)(x, is_training=True))
        return hk.Linear(10, name="head")(x.mean((1, 2)))

    f, (x, y) = hk.without_apply_rng(hk.transform_with_state(net)), images(16, 6)
    params, state = f.init(key(0), x)

    def loss(p, x, y):
        logits, new = f.apply(p, state, x)
        return cross_entropy(logits, y), new

    return Model(loss, params, (x, y)).with_options(has_aux=True).shows(ratio("conv2_d/w", "conv2_d_1/w", 0.1, 10))


@healthy(HAIKU)
def haiku_attention_with_dropout() -> Model:
    """Multi-head attention, layer norm, dropout by the key that is given."""

    def net(x):
        for _ in range(2):
            u = hk.LayerNorm(-1, True, True)(x)
            x = x + hk.dropout(hk.next_rng_key(), 0.1, hk.MultiHeadAttention(2, 8, w_init=xavier)(u, u, u))
            u = hk.LayerNorm(-1, True, True)(x)
            x = x + hk.Linear(16)(jax.nn.gelu(hk.Linear(64)(u)))
        return hk.Linear(2, name="head")(x.mean(1))

    f, (x, y) = hk.transform(net), sequences(8, 10, 16)
    loss = lambda p, x, y, key: cross_entropy(f.apply(p, key, x), y)
    model = Model(loss, f.init(key(0), x), (x, y)).with_options(key=key(4))
    return model.shows(ratio("linear/w", "linear_2/w", 0.1, 10))
