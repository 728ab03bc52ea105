"""Plain models whose units are saturated, dead, all alike, or whose examples have become so."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from experiments.corpus.case import Model, broken, measured, norm, ratio, zeros
from experiments.corpus.nets import (
    blobs,
    convolve,
    cross_entropy,
    forward,
    he,
    hidden,
    images,
    layer_norm,
    lecun,
    mlp,
    normal,
    rms,
    sequences,
    times,
    xavier,
)  # fmt: skip

PLAIN = "dict"


def beyond(layer: int, line: float, low: float):
    """The share of a layer's preactivations beyond a line."""

    def value(model: Model) -> float:
        return jnp.mean(jnp.abs(forward(model.params, model.batch[0], jnp.tanh)[layer]) > line)

    return measured(f"|z| > {line:g} in layer {layer}", value, low, 1)


# Saturation.


@broken(PLAIN, ("saturation", "init_too_large"), (*hidden(0, 1, 2, 3),))
def tanh_saturated_4() -> Model:
    """tanh with σ_w = 10: nine of ten units stand at ±1."""
    return mlp(4, 64, jnp.tanh, times(10, lecun)).shows(beyond(2, 2.65, 0.7))


@broken(PLAIN, "saturation", (*hidden(1), *hidden(0)))
def tanh_saturated_by_bias() -> Model:
    """Biases of ±6 in one layer: all of its units stand at ±1, whatever comes in."""

    def edit(params):
        params["hidden_1"]["b"] = 6.0 * jnp.sign(normal(3, 64))

    return mlp(4, 64, jnp.tanh, xavier, edit=edit).shows(beyond(1, 2.65, 0.9), ratio("hidden_0", "hidden_3", 0, 0.01))


@broken(PLAIN, ("saturation", "init_too_large", "vanishing"), hidden(0, 1, 2, 3))
def sigmoid_saturated_4() -> Model:
    """Sigmoids with σ_w = 30: most units stand at 0 or 1."""
    share = lambda m: jnp.mean(jnp.abs(forward(m.params, m.batch[0], jax.nn.sigmoid)[2]) > 4.6)
    return mlp(4, 64, jax.nn.sigmoid, times(30, lecun)).shows(measured("|z| > 4.6 in layer 2", share, 0.6, 1))


@broken(PLAIN, ("saturation", "scale"), hidden(0))
def sigmoid_of_positive_pixels() -> Model:
    """784 positive inputs and weights 0.28 above zero: the first layer is saturated for every image."""
    x = jax.random.uniform(jax.random.key(1), (64, 784))
    y = jnp.arange(64) % 10

    def edit(params):
        params["hidden_0"]["w"] = 0.28 + 0.05 * normal(5, 784, 48)

    share = lambda m: jnp.mean(jnp.abs(forward(m.params, m.batch[0], jax.nn.sigmoid)[0]) > 4.6)
    model = mlp(2, 48, jax.nn.sigmoid, xavier, data=(x, y), edit=edit)
    return model.shows(measured("|z| > 4.6 in layer 0", share, 0.99, 1))


@broken(PLAIN, ("saturation", "scale"), hidden(0))
def tanh_of_raw_pixels() -> Model:
    """Pixels from 0 to 255 into tanh units."""
    x = 255 * jax.random.uniform(jax.random.key(1), (64, 64))
    return mlp(3, 48, jnp.tanh, xavier, data=(x, jnp.arange(64) % 10)).shows(beyond(0, 2.65, 0.9))


@broken(PLAIN, ("saturation", "vanishing"), ("recurrent", "in", "gates"))
def lstm_gates_shut() -> Model:
    """Forget gates with a bias of −8: nothing passes from one step to the next."""
    x, y = sequences(16, 20)
    params = {
        "gates": {
            "w": lecun(32, 0) * normal(1, 32, 96),
            "b": jnp.concatenate([jnp.zeros(24), jnp.full(24, -8.0), jnp.zeros(48)]),
        },
        "out": normal(3, 24, 2) / 5,
    }

    def cell(p, h, c, u):
        i, f, g, o = jnp.split(jnp.concatenate([u, h], -1) @ p["gates"]["w"] + p["gates"]["b"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def loss(p, x, y):
        step = lambda s, u: (cell(p, *s, u), None)
        zero = jnp.zeros((x.shape[0], 24))
        return cross_entropy(lax.scan(step, (zero, zero), x.swapaxes(0, 1))[0][0] @ p["out"], y)

    by_x = lambda m: jax.grad(lambda x: m.loss(m.params, x, m.batch[1]))(m.batch[0])
    return Model(loss, params, (x, y)).shows(
        measured("by first input / by last", lambda m: (g := by_x(m), rms(g[:, 0]) / rms(g[:, -1]))[1], 0, 1e-8)
    )


# Dead units.


def _bias(layer: str, value: float, share: float = 1.0):
    def edit(params):
        n = params[layer]["b"].shape[0]
        params[layer]["b"] = jnp.where(jnp.arange(n) < share * n, value, 0.0)

    return edit


@broken(PLAIN, ("dead_layer", "dead"), hidden(2))
def relu_bias_minus_50() -> Model:
    """A bias of −50 in one ReLU layer: no example passes it, forward or backward."""
    return mlp(5, edit=_bias("hidden_2", -50.0)).shows(zeros("hidden_2"), zeros("hidden_0"), zeros("hidden_4/w"))


@broken(PLAIN, ("dead", "dead_layer"), hidden(2))
def most_units_dead() -> Model:
    """The same bias in nine of ten units."""
    return mlp(5, edit=_bias("hidden_2", -50.0, 0.9)).shows(zeros("hidden_2/b", 0.85, 1), norm("hidden_0", 1e-6))


@broken(PLAIN, ("dead", "dead_layer"), hidden(0))
def first_layer_dead() -> Model:
    """Positive inputs and negative weights: no unit of the first layer is ever on."""

    def edit(params):
        params["hidden_0"]["w"] = -jnp.abs(params["hidden_0"]["w"])

    x, y = blobs()
    return mlp(3, data=(jnp.abs(x), y), edit=edit).shows(zeros("hidden_0"), zeros("hidden_1/w"))


@broken(PLAIN, ("dead", "dead_layer"), ("readout", "hidden_3"))
def relu_on_the_output() -> Model:
    """A ReLU behind a regression's readout whose bias is −10: the output is 0 for all, and nothing can change it."""
    x, _ = blobs()
    y = jnp.abs(x @ normal(5, 16, 1)) / 4

    def edit(params):
        params["readout"]["b"] -= 10.0

    loss = lambda out, y: jnp.mean((jax.nn.relu(out) - y) ** 2)
    return mlp(4, 48, data=(x, y), loss=loss, edit=edit, outputs=1).shows(zeros("readout"), zeros("hidden_0"))


@broken(PLAIN, ("dead", "dead_layer"), ("conv1",))
def convolution_dead() -> Model:
    """A bias of −20 behind a convolution."""
    x, y = images()
    params = {
        f"conv{i}": {"w": he(9 * n, 0) * normal(i, 3, 3, n, 12), "b": jnp.full(12, -20.0 if i == 1 else 0.0)}
        for i, n in enumerate((3, 12, 12))
    }
    params["head"] = {"w": lecun(12, 0) * normal(9, 12, 10), "b": jnp.zeros(10)}

    def loss(p, x, y):
        for i in range(3):
            x = jax.nn.relu(convolve(x, p[f"conv{i}"]["w"]) + p[f"conv{i}"]["b"])
        return cross_entropy(x.mean((1, 2)) @ p["head"]["w"] + p["head"]["b"], y)

    return Model(loss, params, (x, y)).shows(zeros("conv0"), zeros("conv1"))


# Units that are all alike.


@broken(PLAIN, "symmetric", hidden(0, 1, 2))
def constant_weights() -> Model:
    """All weights of the hidden layers are 0.05: all units of a layer are one unit."""

    def edit(params):
        for name in hidden(0, 1, 2):
            params[name]["w"] = jnp.full_like(params[name]["w"], 0.05)

    column = lambda look: look.grads["hidden_1/w"]
    model = mlp(3, edit=edit)
    spread = lambda look: measured("units differ by", lambda m: abs(column(look) - column(look)[:, :1]).max(), 0, 0)(
        look
    )
    return model.shows(spread, norm("hidden_1/w", 1e-6))


@broken(PLAIN, ("symmetric", "dead", "dead_layer"), (*hidden(0, 1, 2), "readout"))
def zero_weights() -> Model:
    """All weights are 0: only the output's bias moves, for ever."""

    def edit(params):
        for layer in params.values():
            layer["w"] = jnp.zeros_like(layer["w"])

    return mlp(3, edit=edit).shows(zeros("hidden_0"), zeros("hidden_2"), zeros("readout/w"), norm("readout/b", 1e-3))


@broken(PLAIN, "symmetric", hidden(1))
def one_constant_layer() -> Model:
    """One layer among four starts with equal units, and so do the weights behind it."""

    def edit(params):
        params["hidden_1"]["w"] = jnp.full((64, 64), 0.1)
        params["hidden_2"]["w"] = jnp.broadcast_to(params["hidden_2"]["w"][:1], (64, 64))

    return mlp(4, phi=jnp.tanh, std=xavier, edit=edit).shows(norm("hidden_1/w", 1e-6), norm("hidden_0", 1e-6))


# Examples that have become alike.


def _alike(layer: int, phi):
    def value(model: Model) -> float:
        z = forward(model.params, model.batch[0], phi)[layer]
        unit = z / jnp.linalg.norm(z, axis=-1, keepdims=True)
        return 1 - jnp.mean(unit @ unit.T)

    return measured(f"1 − c in layer {layer}", value, -1e-5, 1e-3)


@broken(PLAIN, ("collapse", "vanishing", "init_too_small"), (*hidden(*range(40)), "readout"))
def ordered_tanh_40() -> Model:
    """tanh with σ_w = 0.8 and biases of variance 0.5: in the ordered phase all examples come to one point."""

    def edit(params):
        for i, layer in enumerate(params.values()):
            layer["b"] = math.sqrt(0.5) * normal(300 + i, *layer["b"].shape)

    return mlp(40, 64, jnp.tanh, times(0.8, lecun), edit=edit).shows(
        _alike(39, jnp.tanh), ratio("hidden_1", "hidden_39", 0, 1e-3)
    )


@broken(PLAIN, ("collapse", "scale"), (*hidden(0, 1, 2, 3, 4, 5, 6, 7), "readout"))
def inputs_far_from_zero() -> Model:
    """Inputs that were not centred: 100 with a spread of 1."""
    x, y = blobs()
    return mlp(8, data=(100 + x, y)).shows(_alike(7, jax.nn.relu))


@broken(PLAIN, ("collapse", "vanishing"), (*hidden(*range(12)), "readout"))
def large_biases_drown_the_signal() -> Model:
    """Biases of 30 in the first of twelve layers: what differs between examples is a thirtieth of what they share."""

    def edit(params):
        params["hidden_0"]["b"] = 30 * jnp.abs(normal(4, 64))

    return mlp(12, edit=edit).shows(_alike(11, jax.nn.relu))


@broken(PLAIN, ("collapse", "normalisation", "attention_logits"), ())
def attention_that_averages() -> Model:
    """Six layers of attention whose queries are 0, without skips: after the first all places are their mean."""
    x, y = sequences(8, 12, 24)
    params = {
        f"layer_{i}": {
            "q": 1e-3 * normal(i, 24, 24),
            "k": normal(20 + i, 24, 24) / 5,
            "v": normal(40 + i, 24, 24) / math.sqrt(24),
        }
        for i in range(6)
    }
    params["head"] = normal(99, 24, 2) / 5

    def places(p, x):
        for i in range(6):
            q, k, v = (x @ p[f"layer_{i}"][n] for n in "qkv")
            x = layer_norm(jax.nn.softmax(q @ k.swapaxes(-1, -2) / 5) @ v)
        return x

    spread = lambda m: (h := places(m.params, m.batch[0]), jnp.std(h, axis=1).mean())[1]
    loss = lambda p, x, y: cross_entropy(places(p, x)[:, 0] @ p["head"], y)
    return Model(loss, params, (x, y)).shows(measured("spread over places", spread, 0, 1e-2))


# Gradients of neighbours that have nothing in common.


def _neighbours(depth: int, sigma_w: float) -> Model:
    x, y = blobs(32)
    x, y = jnp.concatenate([x, x + 1e-3 * normal(50, *x.shape)]), jnp.concatenate([y, y])
    return mlp(depth, 96, jnp.tanh, times(sigma_w, lecun), data=(x, y))


def _cosine(model: Model) -> float:
    one = lambda x, y: jax.grad(lambda x: model.loss(model.params, x[None], y[None]))(x)
    g = jax.vmap(one)(*model.batch)
    a, b = g[:32], g[32:]
    return jnp.mean(jnp.sum(a * b, -1) / jnp.linalg.norm(a, axis=-1) / jnp.linalg.norm(b, axis=-1))


SHATTERED = ("shattered", "exploding", "init_too_large", "saturation")


@broken(PLAIN, SHATTERED, (*hidden(*range(30)), "readout"))
def chaotic_neighbours_30() -> Model:
    """tanh with σ_w = 3, thirty layers: inputs 0.001 apart have unrelated gradients."""
    return _neighbours(30, 3.0).shows(measured("cosine of neighbours' gradients", _cosine, -0.3, 0.3))


@broken(PLAIN, SHATTERED, (*hidden(*range(60)), "readout"))
def chaotic_neighbours_60() -> Model:
    """σ_w = 2, sixty layers."""
    return _neighbours(60, 2.0).shows(measured("cosine of neighbours' gradients", _cosine, -0.5, 0.5))
