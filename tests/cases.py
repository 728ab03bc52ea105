"""THE table: the networks, losses and data on which every law is tried."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gradlab as gl
from gradlab.config import ACTIVATIONS, INITIALIZERS, LOSSES
from gradlab.core.backprop import run, targets
from gradlab.core.gradient import materialise
from gradlab.core.losses import plain_loss

BATCH, FEATURES, OUTPUTS = 8, 6, 3
HOMOGENEOUS = ("identity", "relu", "leaky_relu")
DEPTHS = (1, 3, 10, 50)
#: max|difference| / max|gradient| of one layer: 2 * 50 products of 64 terms lose 800 eps by rounding.
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}


class Case(NamedTuple):
    """A network with its loss."""

    depth: int
    width: int | tuple[int, ...]
    activation: str
    init: str
    loss: str
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def net(self) -> gl.MLP:
        std = {"sigma_w2": 1.5} if self.init == "gaussian" else {}
        return gl.MLP(
            depth=self.depth, width=self.width, activation=self.activation, init=self.init, **std, **dict(self.more)
        )

    def __str__(self):
        return "-".join(str(v) for v in (*self[:5], *(f"{k}={v}" for k, v in self.more)))


def turn(values, i):
    """The i-th of `values`, round and round."""
    return values[i % len(values)]


#: Every activation, every initialiser, every loss at least once, at depth 3.
COVERING = tuple(Case(3, 7, a, turn(INITIALIZERS, i), turn(LOSSES, i)) for i, a in enumerate(ACTIVATIONS))
#: What is odd: one layer, deep, unequal widths, no bias, large bias, one unit, another readout.
ODD = (
    Case(1, 5, "tanh", "xavier_normal", "softmax_cross_entropy"),
    Case(50, 16, "sigmoid", "xavier_normal", "softmax_cross_entropy"),
    Case(5, (4, 9, 9, 9, 2), "gelu", "he_normal", "mse"),
    Case(10, 8, "relu", "he_normal", "softmax_cross_entropy", (("bias", False),)),
    Case(3, 6, "tanh", "xavier_normal", "mse", (("sigma_b2", 0.5), ("gain", 1.3), ("readout", "lecun_uniform"))),
    Case(2, 1, "relu", "he_normal", "mse"),
)  # fmt: skip
FAST = COVERING + ODD
#: The whole product, by programs: the initialisers of one program differ in the numbers alone.
PROGRAMS = tuple((d, a, loss) for d in DEPTHS for a in ACTIVATIONS for loss in LOSSES)


def data(loss: str, batch: int = BATCH, features: int = FEATURES, outputs: int = OUTPUTS, dtype="float64", seed=0):
    """Inputs, and targets as the loss takes them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, features)).astype(dtype)
    labels = np.arange(batch) % outputs
    if loss == "mse":
        return x, rng.normal(size=(batch, outputs)).astype(dtype)
    if loss == "logistic":
        return x, rng.integers(0, 2, size=(batch, outputs)).astype(dtype)
    if loss == "probe":
        u = rng.normal(size=(batch, outputs))
        return x, (u / np.linalg.norm(u, axis=-1, keepdims=True)).astype(dtype)
    return x, labels


@functools.cache
def program(depth: int, width, activation: str, loss: str, bias: bool = True):
    """(params, x, y) -> (ours, theirs), each (loss, gradients): one compilation for all initialisers."""
    net = gl.MLP(depth=depth, width=width, activation=activation, bias=bias)

    def both(params, x, y):
        outputs = params[-1][0]["weight"].shape[-1]
        value, grads = run(net.layer(outputs), params, x, y, loss, materialise)
        theirs = jax.value_and_grad(lambda p: plain_loss(loss)(net.apply(p, x), y))(params)
        return (value.value(), grads), theirs

    return jax.jit(both)


def both(case: Case, params, x, y, dtype):
    """Ours and theirs for one case."""
    net = case.net
    fields = net.width, case.activation, case.loss, net.bias
    y = targets(case.loss, y, params[-1][0]["weight"].shape[-1], dtype)
    return program(case.depth, *fields)(params, jnp.asarray(x, dtype), y)


def errors(net: gl.MLP, ours, theirs, floor: float = 0.0) -> dict[str, float]:
    """max|difference| / max|gradient| of each layer's parameters; left out where the reference is below `floor`."""
    found = {}
    for (name, a), (_, b) in zip(net.layers(ours), net.layers(theirs), strict=True):
        for parameter in b:
            one, two = np.asarray(a[parameter], float), np.asarray(b[parameter], float)
            scale = np.max(np.abs(two))
            if scale > floor:
                found[f"{name} {parameter}"] = np.max(np.abs(one - two)) / scale
            elif floor == 0:
                assert np.all(one == 0), (name, parameter)
    return found
