"""Models in Equinox: partitioned into arrays and the rest, and the module itself as the parameters."""

from __future__ import annotations

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from experiments.corpus.case import Model, broken, healthy, loss_finite, measured, norm, not_finite, ratio, zeros
from experiments.corpus.nets import blobs, cross_entropy, he, images, key, lecun, normal, sequences, xavier

SPLIT, MODULE = "equinox", "equinox module"


def linear(module: Any, std: Any) -> Any:
    """The same module, its linear layers drawn anew with these deviations and biases of 0."""
    is_linear = lambda a: isinstance(a, eqx.nn.Linear)
    count = iter(range(1000))

    def draw(a):
        if not is_linear(a):
            return a
        m, n = a.weight.shape
        fresh = std(n, m) * normal(next(count), m, n)
        a = eqx.tree_at(lambda a: a.weight, a, fresh)
        return eqx.tree_at(lambda a: a.bias, a, jnp.zeros(m)) if a.bias is not None else a

    return jax.tree.map(draw, module, is_leaf=is_linear)


def split(module: Any, data: Any = None) -> Model:
    """Arrays apart from the rest, one example at a time under vmap."""
    params, static = eqx.partition(module, eqx.is_inexact_array)
    loss = lambda p, x, y: cross_entropy(jax.vmap(eqx.combine(p, static))(x), y)
    return Model(loss, params, data or blobs())


class Net(eqx.Module):
    """Linear layers in a list; nothing in it but arrays."""

    layers: list
    head: eqx.nn.Linear

    def __init__(self, depth: int, std: Any, width: int = 64):
        sizes = [16, *[width] * depth]
        make = lambda i, n, m: eqx.nn.Linear(n, m, key=key(i))
        self.layers = [make(i, n, m) for i, (n, m) in enumerate(itertools.pairwise(sizes))]
        self.layers = linear(self.layers, std)
        self.head = make(99, width, 10)

    def __call__(self, x, phi=jax.nn.relu):
        """Logits of one example."""
        for layer in self.layers:
            x = phi(layer(x))
        return self.head(x)


def itself(module: Net, phi: Any = jax.nn.relu) -> Model:
    """The module is what the loss is given."""
    loss = lambda module, x, y: cross_entropy(jax.vmap(lambda x: module(x, phi))(x), y)
    return Model(loss, module, blobs())


def layers(*numbers: int) -> tuple[str, ...]:
    """Names of the listed layers."""
    return tuple(f"layers/{n}" for n in numbers)


def mlp(depth: int, std: Any, phi: Any, width: int = 64) -> Any:
    """Equinox's own MLP."""
    return linear(eqx.nn.MLP(16, 10, width, depth, activation=phi, key=key(0)), std)


@healthy(SPLIT)
def equinox_tanh_xavier_6() -> Model:
    """Equinox's MLP under vmap."""
    return split(mlp(6, xavier, jnp.tanh)).shows(ratio("layers/1", "layers/5", 0.1, 10))


@healthy(MODULE)
def equinox_module_relu_he() -> Model:
    """The module is the parameters."""
    return itself(Net(6, he)).shows(ratio("layers/1", "layers/5", 0.1, 10))


@healthy(SPLIT)
def equinox_convolutions() -> Model:
    """Convolutions, channels first."""
    keys = jax.random.split(key(0), 3)
    pool = eqx.nn.Lambda(lambda x: x.mean((1, 2)))
    module = eqx.nn.Sequential([
        eqx.nn.Conv2d(3, 12, 3, padding=1, key=keys[0]), eqx.nn.Lambda(jax.nn.relu),
        eqx.nn.Conv2d(12, 12, 3, padding=1, key=keys[1]), eqx.nn.Lambda(jax.nn.relu),
        pool, eqx.nn.Linear(12, 10, key=keys[2]),
    ])  # fmt: skip
    x, y = images(8, 6)
    return split(module, (x.transpose(0, 3, 1, 2), y)).shows(ratio("layers/0", "layers/5", 0.005, 20))


class Gated(eqx.Module):
    """A GRU over time."""

    cell: eqx.nn.GRUCell
    head: eqx.nn.Linear

    def __init__(self):
        self.cell, self.head = eqx.nn.GRUCell(8, 24, key=key(0)), eqx.nn.Linear(24, 2, key=key(1))

    def __call__(self, x):
        """Logits of one sequence."""
        return self.head(jax.lax.scan(lambda h, u: (self.cell(u, h), None), jnp.zeros(24), x)[0])


@healthy(SPLIT)
def equinox_gru() -> Model:
    """Equinox's GRU over eight steps."""
    return split(Gated(), sequences(16, 8)).shows(ratio("cell", "head", 0.005, 20))


@broken(SPLIT, "vanishing", layers(0, 1, 2, 3, 4))
def equinox_sigmoid_8() -> Model:
    """Eight sigmoid layers."""
    return split(mlp(8, xavier, jax.nn.sigmoid)).shows(ratio("layers/1", "layers/7", 0, 1e-3))


@broken(MODULE, "init_too_small", (*layers(*range(10)), "head"))
def equinox_module_of_hundredths() -> Model:
    """N(0, 0.01²), the module as parameters."""
    return itself(Net(10, lambda n, m: 0.01, 128)).shows(norm("head/weight", 0, 1e-7))


@broken(SPLIT, ("init_too_large", "exploding"), layers(*range(11)))
def equinox_he_doubled() -> Model:
    """A factor 2 per layer."""
    model = split(mlp(10, lambda n, m: 2 * he(n, m), jax.nn.relu))
    return model.shows(measured("loss", lambda m: m.loss(m.params, *m.batch), 100))


@broken(SPLIT, ("dead_layer", "dead"), layers(2))
def equinox_dead_layer() -> Model:
    """A bias of −50 under vmap."""
    module = mlp(5, he, jax.nn.relu)
    module = eqx.tree_at(lambda m: m.layers[2].bias, module, jnp.full(64, -50.0))
    return split(module).shows(zeros("layers/2"), zeros("layers/0"))


@broken(MODULE, ("saturation", "init_too_large"), layers(0, 1, 2, 3))
def equinox_module_of_saturated_tanh() -> Model:
    """tanh with σ_w = 8."""
    model = itself(Net(4, lambda n, m: 8 * lecun(n, m)), jnp.tanh)
    share = lambda m: jnp.mean(jnp.abs(jax.vmap(m.params.layers[0])(m.batch[0])) > 2.65)
    return model.shows(measured("|z| > 2.65 in layer 0", share, 0.6, 1))


@broken(SPLIT, "nonfinite", layers(1))
def equinox_nan_of_a_norm() -> Model:
    """Units of length 1 by a norm without ε, behind a layer of zeros: its gradient is 0/0."""

    class Unit(eqx.Module):
        layers: list
        head: eqx.nn.Linear

        def __call__(self, x):
            h = self.layers[1](jax.nn.relu(self.layers[0](x)))
            return self.head(h / jnp.maximum(jnp.linalg.norm(h), 1e-6))

    net = Net(2, he)
    net = eqx.tree_at(lambda n: n.layers[1].weight, net, jnp.zeros((64, 64)))
    params, static = eqx.partition(Unit(net.layers, net.head), eqx.is_inexact_array)
    loss = lambda p, x, y: cross_entropy(jax.vmap(eqx.combine(p, static))(x), y)
    return Model(loss, params, blobs()).shows(loss_finite(True), not_finite("layers/1"))


@broken(SPLIT, "disconnected", ("projection",))
def equinox_projection_not_used() -> Model:
    """A projection that is made and forgotten."""

    class Two(eqx.Module):
        body: eqx.nn.MLP
        projection: eqx.nn.Linear

        def __call__(self, x):
            return self.body(x)

    return split(Two(mlp(2, he, jax.nn.relu), eqx.nn.Linear(16, 10, key=key(5)))).shows(
        zeros("projection"), norm("body", 1e-3)
    )
