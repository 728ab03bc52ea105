"""gradlab's own networks through their plain forward pass, as a stranger's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

import gradlab as gl
from experiments.corpus.case import Model, broken, healthy, measured
from experiments.corpus.nets import blobs, cross_entropy, key, sequences

GRADLAB = "gradlab"


def network(net: Any, data: Any = None, outputs: int = 10) -> Model:
    """A network, its weights as its configuration says."""
    x, y = data or blobs()
    params = net.init_params(key(0), x, outputs=outputs)
    return Model(lambda p, x, y: cross_entropy(net.apply(p, x), y), params, (x, y))


def first_over_last(net: Any, low: float, high: float):
    """The rms gradient of the second layer's weights over that of the last hidden one's."""

    def value(model: Model) -> float:
        grads = [layer["weight"] for _, layer in net.layers(jax.grad(model.loss)(model.params, *model.batch))]
        size = lambda g: jnp.sqrt(jnp.mean(g**2))
        return size(grads[1]) / size(grads[-2])

    return measured("gradient of layer 2 / of the last hidden one", value, low, high)


@healthy(GRADLAB)
def gradlab_relu_he_12() -> Model:
    """gradlab's own MLP."""
    net = gl.MLP(depth=12, width=64, activation="relu", init="he_normal")
    return network(net).shows(first_over_last(net, 0.1, 10))


@healthy(GRADLAB)
def gradlab_transformer() -> Model:
    """gradlab's own transformer, norms before the branches."""
    net = gl.Transformer(depth=2, width=16)
    x, y = sequences(8, 8, 6)
    return network(net, (x, y), 2).shows(first_over_last(net, 0.02, 50))


@broken(GRADLAB, "vanishing")
def gradlab_sigmoid_12() -> Model:
    """Twelve sigmoid layers."""
    net = gl.MLP(depth=12, width=64, activation="sigmoid", init="xavier_normal")
    return network(net).shows(first_over_last(net, 0, 1e-4))


@broken(GRADLAB, "init_too_small")
def gradlab_relu_hundredth_10() -> Model:
    """N(0, 0.01²)."""
    net = gl.MLP(depth=10, width=128, activation="relu", init="gaussian", std=0.01)
    logits = lambda m: jnp.abs(net.apply(m.params, m.batch[0])).max()
    return network(net).shows(measured("largest logit", logits, 0, 1e-7))
