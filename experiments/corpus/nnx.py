"""Models in Flax nnx: split into parameters and rest, and the module itself as the parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.corpus.case import Model, broken, healthy, measured, norm, ratio, zeros
from experiments.corpus.nets import blobs, cross_entropy, images, key, normal, tokens

SPLIT, MODULE = "nnx", "nnx module"
INIT = nnx.initializers


class MLP(nnx.Module):
    """A list of linear layers."""

    def __init__(self, depth: int, phi: Any = nnx.relu, init: Any = None, width: int = 64, outputs: int = 10):
        rngs, init = nnx.Rngs(0), init or INIT.he_normal()
        self.stem = nnx.Linear(16, width, kernel_init=init, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(width, width, kernel_init=init, rngs=rngs) for _ in range(depth - 1)])
        self.head = nnx.Linear(width, outputs, rngs=rngs)
        self.phi = phi

    def __call__(self, x):
        """Logits."""
        x = self.phi(self.stem(x))
        for layer in self.layers:
            x = self.phi(layer(x))
        return self.head(x)


def split(module: nnx.Module, data: Any = None) -> Model:
    """Parameters apart from the rest, merged in the loss."""
    graph, params, rest = nnx.split(module, nnx.Param, ...)
    loss = lambda p, x, y: cross_entropy(nnx.merge(graph, p, rest, copy=True)(x), y)
    return Model(loss, params, data or blobs())


def itself(module: nnx.Module, data: Any = None) -> Model:
    """The module is what the loss is given."""
    return Model(lambda module, x, y: cross_entropy(module(x), y), module, data or blobs())


def layers(*numbers: int) -> tuple[str, ...]:
    """Names of the listed layers."""
    return tuple(f"layers/{n}" for n in numbers)


@healthy(SPLIT)
def nnx_relu_he_8() -> Model:
    """Linear layers with He's weights."""
    return split(MLP(8)).shows(ratio("stem", "layers/6", 0.1, 10))


@healthy(MODULE)
def nnx_module_of_tanh() -> Model:
    """The module is the parameters."""
    return itself(MLP(4, nnx.tanh, INIT.xavier_normal())).shows(ratio("layers/0", "layers/2", 0.1, 10))


@broken(SPLIT, "vanishing", ("stem", *layers(0, 1, 2, 3)))
def nnx_sigmoid_8() -> Model:
    """Eight sigmoid layers."""
    return split(MLP(8, nnx.sigmoid, INIT.xavier_normal())).shows(ratio("layers/0", "layers/6", 0, 1e-3))


@broken(MODULE, "init_too_small", ("stem", *layers(*range(9)), "head"))
def nnx_module_of_hundredths() -> Model:
    """N(0, 0.01²), in a module that is its own parameters."""
    return itself(MLP(10, nnx.relu, INIT.normal(0.01), 128)).shows(norm("head/kernel", 0, 1e-7))


@broken(MODULE, ("init_too_large", "exploding"), ("stem", *layers(*range(9)), "head"))
def nnx_module_he_doubled() -> Model:
    """A factor 2 per layer."""
    init = INIT.variance_scaling(8.0, "fan_in", "normal")
    return itself(MLP(10, nnx.relu, init)).shows(measured("loss", lambda m: m.loss(m.params, *m.batch), 500))


@broken(MODULE, ("dead_layer", "dead"), layers(1))
def nnx_module_with_a_dead_layer() -> Model:
    """A bias of −40."""
    module = MLP(5)
    module.layers[1].bias[...] = module.layers[1].bias[...] - 40.0
    return itself(module).shows(zeros("layers/1"), zeros("stem"))


class Regular(nnx.Module):
    """Batch norm and dropout."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(3, 12, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(12, rngs=rngs)
        self.hidden = nnx.Linear(12, 32, kernel_init=INIT.he_normal(), rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.head = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x):
        """Logits."""
        x = nnx.relu(self.norm(self.conv(x))).mean((1, 2))
        return self.head(self.drop(nnx.relu(self.hidden(x))))


@healthy(SPLIT)
def nnx_batch_norm_and_dropout() -> Model:
    """Statistics and random state stand outside the parameters."""
    return split(Regular(), images(16, 8)).shows(ratio("conv/kernel", "head/kernel", 0.02, 50))


class Attentive(nnx.Module):
    """Two pre-LN blocks of nnx's own attention."""

    def __init__(self, width: int = 24, unused: bool = False):
        rngs = nnx.Rngs(0)
        self.embed = nnx.Embed(32, width, rngs=rngs)
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(4)])
        self.attention = nnx.List([nnx.MultiHeadAttention(2, width, decode=False, rngs=rngs) for _ in range(2)])
        self.up = nnx.List([nnx.Linear(width, 4 * width, rngs=rngs) for _ in range(2)])
        self.down = nnx.List([nnx.Linear(4 * width, width, rngs=rngs) for _ in range(2)])
        self.head = nnx.Linear(width, 32, rngs=rngs)
        if unused:
            self.pooler = nnx.Linear(width, width, rngs=rngs)

    def __call__(self, t):
        """Logits of the next token."""
        h = self.embed(t)
        for i in range(2):
            h = h + self.attention[i](self.norms[2 * i](h))
            h = h + self.down[i](nnx.gelu(self.up[i](self.norms[2 * i + 1](h))))
        return self.head(h)


@healthy(MODULE)
def nnx_module_transformer() -> Model:
    """nnx's own attention, the module as parameters."""
    t = tokens()
    return itself(Attentive(), (t[:, :-1], t[:, 1:])).shows(ratio("up/0", "up/1", 0.1, 10))


@broken(SPLIT, "disconnected", ("pooler",))
def nnx_pooler_not_used() -> Model:
    """A layer that is made and never called."""
    t = tokens()
    return split(Attentive(unused=True), (t[:, :-1], t[:, 1:])).shows(zeros("pooler"), norm("up/0", 1e-4))


@broken(MODULE, ("scale", "saturation"), ())
def nnx_module_of_raw_pixels() -> Model:
    """Pixels from 0 to 255 into tanh units."""
    x = 255 * jax.random.uniform(key(1), (64, 16))
    model = itself(MLP(3, nnx.tanh, INIT.xavier_normal()), (x, jnp.arange(64) % 10))
    share = lambda m: jnp.mean(jnp.abs(m.params.stem(m.batch[0])) > 2.65)
    return model.shows(measured("|z| > 2.65 in the first layer", share, 0.9, 1))


@healthy(SPLIT)
def nnx_regression_1() -> Model:
    """One hidden layer, targets of scale 1."""
    graph, params, rest = nnx.split(MLP(1, nnx.tanh, INIT.lecun_normal(), outputs=1), nnx.Param, ...)
    x, _ = blobs()
    y = jnp.sin(x @ normal(5, 16, 1) / 4)
    loss = lambda p, x, y: jnp.mean((nnx.merge(graph, p, rest, copy=True)(x) - y) ** 2)
    return Model(loss, params, (x, y)).shows(ratio("stem", "head", 0.02, 10))
