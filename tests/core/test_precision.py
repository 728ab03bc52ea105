"""Products of float32 are taken in full, whatever the device: read in what is handed to the compiler."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradlab as gl
from gradlab.core import execute
from gradlab.core.layer import lift
from gradlab.core.scaled import PRECISION

PRODUCT = re.compile(r"stablehlo\.(?:dot_general|convolution)")


@pytest.fixture
def products(monkeypatch):
    """The lines of all products in programs that are compiled from here on."""
    lines = []
    compiled = jax.stages.Lowered.compile

    def read(self, *args, **options):
        lines.extend(line for line in self.as_text().splitlines() if PRODUCT.search(line))
        return compiled(self, *args, **options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", read)
    execute._compiled.cache_clear()
    return lines


def unscaled(width):
    """A user's dense layer, whose products say nothing of their precision."""
    init = lambda key, shape: ({"weight": jax.random.normal(key, (shape[0], width)) / shape[0] ** 0.5}, (width,))
    return lift(init, lambda p, x: (x @ p["weight"], x), lambda p, x, dy: (dy @ p["weight"].T, {"weight": x.T @ dy}))


def mixing():
    """A user's optimiser, which multiplies each weight's gradient by itself, as Muon does."""
    mixed = lambda g: 1e-3 * g @ g.T @ g if g.ndim == 2 else g
    update = lambda grads, state, params=None: (jax.tree.map(mixed, grads), state)
    return optax.chain(optax.GradientTransformation(lambda params: optax.EmptyState(), update), optax.sgd(0.1))


X = np.random.default_rng(0).standard_normal((12, 5)).astype("float32")
IMAGES = X.repeat(5, 1).reshape(12, 5, 5, 1)
SEQUENCES = X.reshape(12, 5, 1)
Y = np.arange(12) % 3


def measured(net, x):
    return lambda: gl.measure(net, x, Y, seeds=1)


def trained(net, optimizer="adam"):
    return lambda: gl.train(net, X, Y, optimizer=optimizer, steps=2, batch=4, records=(0, 2), progress=False)


CUSTOM = gl.CustomNetwork(gl.serial(unscaled(4), unscaled(4)), shape=(5,))
CASES = {
    "a measured network": measured(gl.MLP(depth=3, width=7), X),
    "a user's layer": measured(CUSTOM, X),
    "a user's optimiser": trained(gl.MLP(depth=2, width=6), mixing()),
    "a training": trained(gl.MLP(depth=2, width=6)),
    "convolutions": measured(gl.ConvNet(depth=2, width=3), IMAGES),
    "attention": measured(gl.Transformer(depth=1, width=4), SEQUENCES),
    "a recurrent network": measured(gl.RNN(width=3), SEQUENCES),
}
SLOW = ("convolutions", "attention", "a recurrent network", "a user's optimiser", "a training")


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow) if c in SLOW else c for c in CASES])
def test_every_product_asks_for_full_precision(products, case):
    CASES[case]()
    assert len(products) >= 4
    assert [line for line in products if line.count(PRECISION.upper()) != 2] == []


def test_a_product_that_asks_for_less_would_be_seen(products):
    less = jax.jit(lambda a: jnp.matmul(a, a, precision="default"))
    execute.once(less, jnp.ones((3, 3)))
    assert len(products) == 1 and PRECISION.upper() not in products[0]
