"""Healthy models of blocks in dicts of arrays: residual, recurrent, convolutional, with attention and experts."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from experiments.corpus.case import Model, healthy, norm, ratio, zeros
from experiments.corpus.nets import (
    blobs,
    convolve,
    cross_entropy,
    he,
    images,
    layer_norm,
    lecun,
    mse,
    normal,
    sequences,
    tokens,
)  # fmt: skip

PLAIN = "dict"


def _residual(depth: int, alpha: float, second: float, width: int = 32) -> Model:
    x, y = blobs()
    params = {"stem": lecun(16, 0) * normal(1, 16, width), "head": lecun(width, 0) * normal(2, width, 10)}
    for i in range(depth):
        up, down = he(width, 0) * normal(10 + i, width, width), second * he(width, 0) * normal(50 + i, width, width)
        params[f"block_{i}"] = {"up": up, "down": down, "alpha": jnp.asarray(alpha)}

    def loss(p, x, y):
        h = x @ p["stem"]
        for i in range(depth):
            b = p[f"block_{i}"]
            h = h + b["alpha"] * (jax.nn.relu(h @ b["up"]) @ b["down"])
        return cross_entropy(h @ p["head"], y)

    return Model(loss, params, (x, y))


@healthy(PLAIN)
def rezero() -> Model:
    """ReZero: each branch is multiplied by a learned 0, so that only these numbers have a gradient at first."""
    return _residual(12, 0.0, 1.0).shows(norm("alpha", 1e-4), ratio("stem", "head", 0.05, 20), zeros("up"))


@healthy(PLAIN)
def fixup() -> Model:
    """Fixup: the last matrix of each branch starts at zero."""
    return _residual(12, 1.0, 0.0).shows(norm("down", 1e-4), ratio("stem", "head", 0.05, 20), zeros("up"))


@healthy(PLAIN)
def scaled_branches() -> Model:
    """Branches times 1/√depth: the stream grows by a factor below 3 at any depth."""
    return _residual(24, 24**-0.5, 1.0).shows(ratio("stem", "head", 0.05, 20))


@healthy(PLAIN)
def tied_embedding() -> Model:
    """A language model whose readout is its embedding."""
    t = tokens()
    params = {"embed": normal(1, 32, 24) / math.sqrt(24), "mix": he(48, 0) * normal(2, 48, 24)}

    def loss(p, t):
        e = p["embed"][t]
        h = layer_norm(jax.nn.relu(jnp.concatenate([e[:, 1:-1], e[:, :-2]], -1) @ p["mix"]))
        return cross_entropy(h @ p["embed"].T, t[:, 2:])

    return Model(loss, params, (t,)).shows(ratio("embed", "mix", 0.02, 50))


@healthy(PLAIN)
def scanned_residual_blocks_with_remat() -> Model:
    """Twelve normalised residual blocks stacked in one scan, recomputed on the way back."""
    x, y = blobs()
    width, depth = 32, 12
    params = {
        "stem": lecun(16, 0) * normal(1, 16, width),
        "blocks": {
            "up": he(width, 0) * normal(2, depth, width, 2 * width),
            "down": depth**-0.5 * lecun(2 * width, 0) * normal(3, depth, 2 * width, width),
        },
        "head": lecun(width, 0) * normal(4, width, 10),
    }

    def loss(p, x, y):
        block = jax.checkpoint(
            lambda h, b: (h + jax.nn.gelu(layer_norm(h) @ b["up"]) @ b["down"], None), prevent_cse=False
        )
        return cross_entropy(layer_norm(lax.scan(block, x @ p["stem"], p["blocks"])[0]) @ p["head"], y)

    return Model(loss, params, (x, y)).shows(ratio("stem", "head", 0.05, 20))


@healthy(PLAIN)
def state_space_model() -> Model:
    """A diagonal linear recurrence by associative scan, with time constants from 2 to 30 steps."""
    x, y = sequences(steps=24)
    params = {
        "b": normal(1, 8, 16) / math.sqrt(8),
        "log_decay": jnp.log(1 / jnp.linspace(2, 30, 16)),
        "c": normal(2, 16, 2) / 4,
    }

    def loss(p, x, y):
        a = jnp.exp(-jnp.exp(p["log_decay"]))
        u = jnp.sqrt(1 - a**2) * (x @ p["b"])
        a = jnp.broadcast_to(a, u.shape)
        _, h = lax.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (a, u), axis=1)
        return cross_entropy(jnp.tanh(h[:, -1]) @ p["c"], y)

    return Model(loss, params, (x, y)).shows(ratio("b", "c", 0.02, 50))


@healthy(PLAIN)
def identity_relu_recurrence() -> Model:
    """Le et al. 2015: ReLU units whose recurrent matrix starts as the identity."""
    x, y = sequences(steps=20)
    params = {"in": 0.2 * normal(1, 8, 24), "recurrent": jnp.eye(24), "out": normal(2, 24, 2) / 5}

    def loss(p, x, y):
        step = lambda h, u: (jax.nn.relu(u @ p["in"] + h @ p["recurrent"]), None)
        return cross_entropy(lax.scan(step, jnp.zeros((x.shape[0], 24)), x.swapaxes(0, 1))[0] @ p["out"], y)

    return Model(loss, params, (x, y)).shows(ratio("in", "out", 0.02, 50))


@healthy(PLAIN)
def orthogonal_tanh_recurrence() -> Model:
    """An orthogonal recurrent matrix and small inputs: tanh stays near its linear part."""
    x, y = sequences(steps=12)
    params = {
        "in": 0.05 * normal(1, 8, 24),
        "recurrent": jnp.linalg.qr(normal(2, 24, 24))[0],
        "out": normal(3, 24, 2) / 5,
    }

    def loss(p, x, y):
        step = lambda h, u: (jnp.tanh(u @ p["in"] + h @ p["recurrent"]), None)
        return cross_entropy(lax.scan(step, jnp.zeros((x.shape[0], 24)), x.swapaxes(0, 1))[0] @ p["out"], y)

    return Model(loss, params, (x, y)).shows(ratio("in", "out", 0.02, 50))


@healthy(PLAIN)
def periodic_convolutions() -> Model:
    """He's weights with periodic padding, 8 layers."""
    x, y = images(8, 6)
    params = {f"conv{i}": he(9 * n, 0) * normal(i, 3, 3, n, 16) for i, n in enumerate((3, *[16] * 7))}
    params["head"] = lecun(16, 0) * normal(20, 16, 10)

    def loss(p, x, y):
        for i in range(8):
            x = jax.nn.relu(convolve(x, p[f"conv{i}"], "WRAP"))
        return cross_entropy(x.mean((1, 2)) @ p["head"], y)

    return Model(loss, params, (x, y)).shows(ratio("conv1", "conv7", 0.1, 10))


@healthy(PLAIN)
def u_net() -> Model:
    """Down, up, and a skip across."""
    x, _ = images(4, 8, 2)
    shapes = {
        "down0": (3, 3, 2, 12),
        "down1": (3, 3, 12, 24),
        "middle": (3, 3, 24, 24),
        "up": (3, 3, 36, 12),
        "out": (1, 1, 12, 2),
    }
    params = {n: he(s[0] * s[1] * s[2], 0) * normal(i, *s) for i, (n, s) in enumerate(shapes.items())}

    def loss(p, noisy, clean):
        skip = jax.nn.relu(convolve(noisy, p["down0"]))
        h = jax.nn.relu(convolve(skip, p["down1"], stride=2))
        h = jax.nn.relu(convolve(h, p["middle"]))
        h = jax.image.resize(h, (*skip.shape[:3], 24), "nearest")
        h = jax.nn.relu(convolve(jnp.concatenate([skip, h], -1), p["up"]))
        return mse(convolve(h, p["out"]), clean)

    return Model(loss, params, (x + 0.3 * normal(9, *x.shape), x)).shows(ratio("down0", "up", 0.05, 20))


@healthy(PLAIN)
def mixture_of_experts() -> Model:
    """Four experts, each example to its best one, the router trained through the weight of its choice."""
    x, y = blobs(96, 16, 6)
    params = {
        "stem": lecun(16, 0) * normal(1, 16, 24), "router": lecun(24, 0) * normal(2, 24, 4),
        "experts": {"up": he(24, 0) * normal(3, 4, 24, 32), "down": lecun(32, 0) * normal(4, 4, 32, 24)},
        "head": lecun(24, 0) * normal(5, 24, 6),
    }  # fmt: skip

    def loss(p, x, y):
        h = x @ p["stem"]
        gate = jax.nn.softmax(h @ p["router"])
        chosen = jax.nn.one_hot(gate.argmax(-1), 4)
        out = jnp.einsum(
            "bef,efd->bed", jax.nn.relu(jnp.einsum("bd,edf->bef", h, p["experts"]["up"])), p["experts"]["down"]
        )
        return cross_entropy((h + jnp.einsum("be,be,bed->bd", gate, chosen, out)) @ p["head"], y)

    return Model(loss, params, (x, y)).shows(ratio("experts/up", "head", 0.01, 20), norm("router", 1e-4))


@healthy(PLAIN)
def mean_over_a_mask() -> Model:
    """Padded places are masked in attention and in the mean: no row of the softmax is wholly masked."""
    x, y = sequences(8, 10, 16)
    lengths = jnp.array([10, 9, 8, 7, 6, 5, 4, 3])
    params = {n: lecun(16, 0) * normal(i, 16, 16) for i, n in enumerate("qkvo")} | {
        "head": lecun(16, 0) * normal(9, 16, 2)
    }

    def loss(p, x, y):
        there = jnp.arange(10) < lengths[:, None]
        q, k, v = (x @ p[n] for n in "qkv")
        logits = jnp.where(there[:, None, :], jnp.einsum("bid,bjd->bij", q, k) / 4, -1e9)
        h = x + jnp.einsum("bij,bjd->bid", jax.nn.softmax(logits), v) @ p["o"]
        pooled = jnp.sum(h * there[..., None], 1) / there.sum(1, keepdims=True)
        return cross_entropy(pooled @ p["head"], y)

    return Model(loss, params, (x, y)).shows(ratio("v", "head", 0.02, 50), norm("q", 1e-6))
