"""Plain models that vanish, explode, or start from weights of the wrong size."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from experiments.corpus.case import Model, broken, measured, norm, ratio, zeros
from experiments.corpus.nets import (
    blobs,
    chain,
    constant,
    convolve,
    cross_entropy,
    he,
    hidden,
    images,
    lecun,
    logits_rms,
    mlp,
    mse,
    normal,
    sequences,
    times,
    xavier,
)  # fmt: skip

PLAIN = "dict"


def first(depth: int, share: float = 0.5) -> tuple[str, ...]:
    """The first half of the hidden layers."""
    return chain(hidden(*range(depth)), share)


def any_of(depth: int) -> tuple[str, ...]:
    """All layers of a chain: the size of weights is a fault of each."""
    return (*hidden(*range(depth)), "readout")


# A sigmoid's slope is at most 1/4: 0.236 per layer with Xavier's weights, and no gain repairs it.


@broken(PLAIN, "vanishing", first(6))
def sigmoid_xavier_6() -> Model:
    """Six sigmoid layers lose three decades."""
    return mlp(6, 64, jax.nn.sigmoid, xavier).shows(ratio("hidden_1", "hidden_5", 1e-4, 1e-2))


@broken(PLAIN, "vanishing", first(20))
def sigmoid_xavier_20() -> Model:
    """Twenty lose twelve."""
    return mlp(20, 96, jax.nn.sigmoid, xavier).shows(ratio("hidden_1", "hidden_19", 1e-13, 1e-10))


@broken(PLAIN, ("vanishing", "underflow"), first(100))
def sigmoid_xavier_100() -> Model:
    """A hundred lose more decades than float32 has: the gradient of the first half is exactly 0."""
    return mlp(100, 128, jax.nn.sigmoid, xavier).shows(zeros("hidden_1/w"), ratio("hidden_90", "hidden_99", 1e-7, 1e-4))


@broken(PLAIN, ("vanishing", "init_too_small"), any_of(30))
def tanh_half_30() -> Model:
    """tanh at half of its critical gain: signal and delta shrink by 2 per layer."""
    return mlp(30, 64, jnp.tanh, times(0.5, lecun)).shows(
        measured("last / first signal", logits_rms(jnp.tanh), 0, 1e-7)
    )


@broken(PLAIN, "init_too_small", any_of(10))
def relu_hundredth_10() -> Model:
    """N(0, 0.01²), width 128: 0.08 per layer both ways, while the weight gradients are of one size."""
    return mlp(10, 128, jax.nn.relu, constant(0.01)).shows(
        measured("last / first signal", logits_rms(jax.nn.relu), 0, 1e-8), ratio("hidden_1/w", "hidden_9/w", 0.1, 10)
    )


@broken(PLAIN, "init_too_small", any_of(5))
def relu_twentieth_5() -> Model:
    """N(0, 0.05²) at width 64: 0.28 per layer, five layers."""
    return mlp(5, 64, jax.nn.relu, constant(0.05)).shows(
        measured("last / first signal", logits_rms(jax.nn.relu), 0, 0.02)
    )


@broken(PLAIN, ("init_too_small", "vanishing"), any_of(20))
def relu_xavier_20() -> Model:
    """Xavier's weights under ReLU: 0.707 per layer, twenty layers."""
    return mlp(20, 128, jax.nn.relu, xavier).shows(measured("last / first signal", logits_rms(jax.nn.relu), 1e-4, 1e-2))


@broken("list", "init_too_small")
def pairs_of_hundredths() -> Model:
    """The tutorial's ``[(w, b), …]`` with a scale of 0.01, but eight layers."""
    x, y = blobs()
    sizes = (16, *[96] * 7, 10)
    params = [(0.01 * normal(i, n, m), jnp.zeros(m)) for i, (n, m) in enumerate(itertools.pairwise(sizes))]

    def apply(params, x):
        for w, b in params[:-1]:
            x = jax.nn.relu(x @ w + b)
        return x @ params[-1][0] + params[-1][1]

    size = lambda model: jnp.abs(apply(model.params, model.batch[0])).max()
    model = Model(lambda p, x, y: cross_entropy(apply(p, x), y), params, (x, y))
    return model.shows(measured("largest logit", size, 0, 1e-6))


@broken(PLAIN, ("init_too_large", "exploding"), any_of(10))
def relu_he_half_more_10() -> Model:
    """He's weights times 1.5: 1.5 per layer, both ways."""
    return mlp(10, 128, jax.nn.relu, times(1.5)).shows(
        measured("last / first signal", logits_rms(jax.nn.relu), 10, 200)
    )


@broken(PLAIN, ("init_too_large", "exploding"), any_of(30))
def relu_he_half_more_30() -> Model:
    """The same over thirty layers: five decades."""
    return mlp(30, 128, jax.nn.relu, times(1.5)).shows(
        measured("last / first signal", logits_rms(jax.nn.relu), 1e4, 1e6)
    )


@broken(PLAIN, ("init_too_large", "exploding", "saturation"), any_of(50))
def tanh_chaos_50() -> Model:
    """tanh with σ_w = 2: the delta grows by 1.17 per layer, the signal cannot."""
    return mlp(50, 128, jnp.tanh, times(2, lecun)).shows(ratio("hidden_1", "hidden_49", 100, 1e5))


@broken(PLAIN, ("init_too_large", "exploding", "saturation"), any_of(20))
def tanh_deep_chaos_20() -> Model:
    """σ_w = 4: 1.4 to 1.5 per layer, half of the units saturated."""
    return mlp(20, 128, jnp.tanh, times(4, lecun)).shows(ratio("hidden_1", "hidden_19", 30, 1e6))


@broken(PLAIN, ("init_too_large", "exploding"), any_of(4))
def unit_variance_weights() -> Model:
    """``random.normal(key, shape)`` without a scale, four layers: a factor 8 per layer, logits of some 10⁴."""
    return mlp(4, 128, jax.nn.relu, constant(1.0), readout=constant(1.0)).shows(
        measured("last / first signal", logits_rms(jax.nn.relu), 100, 1e4)
    )


@broken(PLAIN, ("exploding", "init_too_large"), tuple(f"block_{i}" for i in range(40)))
def branches_not_scaled() -> Model:
    """Forty residual blocks without norm: the mean square doubles in each."""
    x, y = blobs()
    width, depth = 32, 40
    params = {"stem": lecun(16, 0) * normal(1, 16, width), "head": lecun(width, 0) * normal(2, width, 10)}
    for i in range(depth):
        params[f"block_{i}"] = {
            "up": he(width, 0) * normal(10 + i, width, width),
            "down": lecun(width, 0) * normal(60 + i, width, width),
        }

    def loss(p, x, y):
        h = x @ p["stem"]
        for i in range(depth):
            h = h + jax.nn.relu(h @ p[f"block_{i}"]["up"]) @ p[f"block_{i}"]["down"]
        return cross_entropy(h @ p["head"], y)

    return Model(loss, params, (x, y)).shows(measured("loss", lambda m: m.loss(m.params, *m.batch), 1e4))


@broken(PLAIN, ("exploding", "shattered"), first(50))
def batch_norm_without_skips_50() -> Model:
    """Fifty batch-normalised ReLU layers: the mean squared delta grows by π/(π − 1) in each."""
    x, y = blobs(96)
    model = mlp(50, 48, data=(x, y))

    def loss(p, x, y):
        for i in range(50):
            z = x @ p[f"hidden_{i}"]["w"]
            x = jax.nn.relu((z - z.mean(0)) * lax.rsqrt(z.var(0) + 1e-5) + p[f"hidden_{i}"]["b"])
        return cross_entropy(x @ p["readout"]["w"] + p["readout"]["b"], y)

    return Model(loss, model.params, (x, y)).shows(ratio("hidden_1", "hidden_49", 100, 1e7))


def _scan_net(depth: int, gain: float, phi) -> Model:
    x, y = blobs()
    width = 64
    params = {
        "stem": lecun(16, 0) * normal(1, 16, width),
        "layers": gain * he(width, 0) * normal(2, depth, width, width),
        "head": lecun(width, 0) * normal(3, width, 10),
    }

    def loss(p, x, y):
        h = lax.scan(lambda h, w: (phi(h @ w), None), x @ p["stem"], p["layers"])[0]
        return cross_entropy(h @ p["head"], y)

    return Model(loss, params, (x, y))


@broken(PLAIN, "vanishing", ("layers", "stem"))
def scanned_sigmoid_16() -> Model:
    """Sigmoids in a scan over stacked layers: the gradients of one array span ten decades."""

    def share(model: Model) -> float:
        by_layer = jax.grad(model.loss)(model.params, *model.batch)["layers"]
        return jnp.linalg.norm(by_layer[0]) / jnp.linalg.norm(by_layer[-1])

    return _scan_net(16, 0.7, jax.nn.sigmoid).shows(measured("gradient of layers[0] / of layers[15]", share, 0, 1e-6))


@broken(PLAIN, ("init_too_large", "exploding"), ("layers", "stem"))
def scanned_relu_double_12() -> Model:
    """Twice He's weights in a scan: a factor of 2 per layer."""
    return _scan_net(12, 2.0, jax.nn.relu).shows(measured("loss", lambda m: m.loss(m.params, *m.batch), 1e3))


# Recurrences: a power of one matrix.


def recurrent(radius: float, steps: int, phi, scale: float = 0.3) -> Model:
    """A recurrent network whose matrix is a radius times an orthogonal one; the class stands in the first steps."""
    x, y = sequences(16, steps)
    params = {
        "in": scale * normal(1, 8, 24),
        "recurrent": radius * jnp.linalg.qr(normal(2, 24, 24))[0],
        "out": normal(3, 24, 2) / 5,
    }

    def loss(p, x, y):
        step = lambda h, u: (phi(u @ p["in"] + h @ p["recurrent"]), None)
        return cross_entropy(lax.scan(step, jnp.zeros((x.shape[0], 24)), x.swapaxes(0, 1))[0] @ p["out"], y)

    return Model(loss, params, (x, y))


def by_first_input(low: float, high: float):
    """The gradient by the first input over that by the last."""

    def value(model: Model) -> float:
        by_x = jax.grad(lambda x: model.loss(model.params, x, *model.batch[1:]))(model.batch[0])
        return jnp.linalg.norm(by_x[:, 0]) / jnp.linalg.norm(by_x[:, -1])

    return measured("gradient by the first input / by the last", value, low, high)


@broken(PLAIN, ("vanishing", "init_too_small"), ("recurrent", "in"))
def recurrence_of_radius_half() -> Model:
    """A linear recurrence of radius 0.5 forgets its first step over forty: 10⁻¹²."""
    return recurrent(0.5, 40, lambda z: z).shows(by_first_input(0, 1e-10))


@broken(PLAIN, ("vanishing", "saturation"), ("recurrent", "in"))
def tanh_recurrence_of_radius_1() -> Model:
    """tanh units with large inputs, whose slopes are far below 1: the first of thirty steps is forgotten."""
    return recurrent(1.0, 30, jnp.tanh, 1.0).shows(by_first_input(0, 1e-6))


@broken(PLAIN, ("exploding", "init_too_large"), ("recurrent", "in"))
def recurrence_of_radius_one_and_a_half() -> Model:
    """A linear recurrence of radius 1.5: five decades in thirty steps."""
    return recurrent(1.5, 30, lambda z: z).shows(by_first_input(1e4, 1e7))


@broken(PLAIN, ("vanishing", "init_too_small"), ("decay", "b", "c"))
def state_space_that_forgets() -> Model:
    """A diagonal recurrence without a product: all its factors are below 0.25, over 24 steps."""
    x, y = sequences(16, 24)
    params = {"b": normal(1, 8, 16) / math.sqrt(8), "decay": jnp.linspace(-3.0, -1.2, 16), "c": normal(2, 16, 2) / 4}

    def loss(p, x, y):
        a = jax.nn.sigmoid(p["decay"])
        h = lax.scan(lambda h, u: (a * h + u, None), jnp.zeros((x.shape[0], 16)), (x @ p["b"]).swapaxes(0, 1))[0]
        return cross_entropy(h @ p["c"], y)

    return Model(loss, params, (x, y)).shows(by_first_input(0, 1e-12))


# Convolutions.


def convolutions(depth: int, channels: int, std: float, side: int = 6, phi=jax.nn.relu) -> Model:
    """A plain stack of 3 × 3 kernels, and the mean of its last image."""
    x, y = images(8, side)
    params = {
        f"conv{i}": {"kernel": (std or he(9 * n, 0)) * normal(i, 3, 3, n, channels)}
        for i, n in enumerate((3, *[channels] * (depth - 1)))
    }
    params["head"] = {"kernel": lecun(channels, 0) * normal(90, channels, 10)}

    def loss(p, x, y):
        for i in range(depth):
            x = phi(convolve(x, p[f"conv{i}"]["kernel"]))
        return cross_entropy(x.mean((1, 2)) @ p["head"]["kernel"], y)

    return Model(loss, params, (x, y))


@broken(PLAIN, "init_too_small", tuple(f"conv{i}" for i in range(12)))
def convolutions_of_hundredths_12() -> Model:
    """N(0, 0.01²) in 3 × 3 convolutions of 32 channels: 0.12 per layer."""
    return convolutions(12, 32, 0.01).shows(norm("head", 0, 1e-8))


@broken(PLAIN, ("init_too_large", "exploding"), tuple(f"conv{i}" for i in range(8)))
def convolutions_of_fifths_8() -> Model:
    """N(0, 0.2²) in convolutions of 24 channels: a factor 2 per layer."""
    return convolutions(8, 24, 0.2).shows(measured("loss", lambda m: m.loss(m.params, *m.batch), 10))


# One layer among others.


def _scaled(layer: str, factor: float):
    def edit(params):
        params[layer]["w"] *= factor

    return edit


@broken(PLAIN, ("init_too_small", "vanishing", "scale"), (*hidden(3), *hidden(2, 4)))
def one_layer_a_thousandth() -> Model:
    """A layer in the middle drawn a thousand times too small: what comes after sees nothing but the biases."""
    return mlp(8, edit=_scaled("hidden_3", 1e-3)).shows(ratio("hidden_2/w", "hidden_3/w", 0, 1e-2))


@broken(PLAIN, ("init_too_small", "vanishing", "scale"), ("readout",))
def readout_a_millionth() -> Model:
    """Hidden layers by He, a readout of 10⁻⁶: all of them get a millionth of the gradient."""
    return mlp(5, readout=times(1e-6, lecun)).shows(ratio("hidden_4", "readout", 0, 1e-4))


@broken(PLAIN, ("init_too_large", "exploding", "scale"), (*hidden(4), *hidden(3, 5)))
def one_layer_a_thousand_times() -> Model:
    """A layer drawn a thousand times too large: logits of some thousands, all gradients before it as large."""
    return mlp(8, edit=_scaled("hidden_4", 1e3)).shows(measured("loss", lambda m: m.loss(m.params, *m.batch), 100))


@broken(PLAIN, ("vanishing", "init_too_small"), first(8))
def regression_through_sigmoids() -> Model:
    """A regression with eight sigmoid layers and small weights."""
    x, _ = blobs()
    y = jnp.sin(x @ normal(5, 16, 1) / 4)
    model = mlp(8, 48, jax.nn.sigmoid, lecun, data=(x, y), loss=mse, outputs=1)
    return model.shows(ratio("hidden_1", "hidden_7", 0, 1e-3))
