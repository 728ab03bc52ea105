"""Plain models that leave the range of their numbers: underflow, overflow, NaN forward and backward."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from experiments.corpus.case import Model, broken, loss_finite, norm, not_finite, zeros
from experiments.corpus.nets import (
    blobs,
    cross_entropy,
    forward,
    he,
    hidden,
    lecun,
    mlp,
    normal,
    sequences,
    times,
    weights,
)  # fmt: skip

PLAIN = "dict"


def _half(scale: float, depth: int = 4, phi=jax.nn.relu, std=he) -> Model:
    x, y = blobs()

    def loss(p, x, y):
        p, x = jax.tree.map(lambda a: a.astype(jnp.float16), (p, x))
        logits = forward(p, x, phi)[-1]
        return jnp.mean(-jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], -1) * jnp.float16(scale))

    return Model(loss, weights(depth, 64, std, (16, 10)), (x, y))


@broken(PLAIN, "underflow", (*hidden(0, 1, 2, 3), "readout"))
def float16_without_loss_scale() -> Model:
    """Float16, a loss that is weighted with 10⁻⁶: most gradients are below 6e-8, the smallest number there is."""
    return _half(2e-6).shows(zeros("hidden_1/w", 0.5, 1))


@broken(PLAIN, ("underflow", "vanishing"), hidden(0, 1, 2, 3, 4))
def float16_sigmoids() -> Model:
    """Float16 through ten sigmoid layers: the first ones hold nothing but zeros."""
    return _half(1.0, 10, jax.nn.sigmoid, lambda n, m: (2 / (n + m)) ** 0.5).shows(zeros("hidden_0/w", 0.3, 1))


@broken(PLAIN, "nonfinite", (*hidden(1, 2, 3), "readout"))
def float16_overflow() -> Model:
    """Float16 with weights sixteen times He's: the signal passes 65504 in the fourth layer."""
    return _half(1.0, 6, jax.nn.relu, times(16)).shows(loss_finite(False))


@broken(PLAIN, "nonfinite", hidden(1))
def root_behind_where() -> Model:
    """``where(z > 0, sqrt(z), 0)``: the loss is a number, the gradient is not."""

    def phi(z):
        return jnp.where(z > 0, jnp.sqrt(z), 0.0)

    x, y = blobs()

    def loss(p, x, y):
        h = jax.nn.relu(x @ p["hidden_0"]["w"])
        h = phi(h @ p["hidden_1"]["w"])
        return cross_entropy(h @ p["readout"]["w"], y)

    return Model(loss, weights(2, 48, he, (16, 10)), (x, y)).shows(loss_finite(True), not_finite("hidden_0"))


@broken(PLAIN, "nonfinite", ("embed", "hidden_0", "hidden_1"))
def root_at_zero() -> Model:
    """A norm at 0: the distance of an example to itself, as in all pairwise distances."""
    x, y = blobs(24)
    params = {"embed": lecun(16, 0) * normal(1, 16, 8)}

    def loss(p, x, y):
        z = x @ p["embed"]
        d = jnp.sqrt(jnp.sum((z[:, None] - z[None]) ** 2, -1))
        return jnp.mean(jnp.where(y[:, None] == y[None], d, jax.nn.relu(2 - d)))

    return Model(loss, params, (x, y)).shows(loss_finite(True), not_finite("embed"))


@broken(PLAIN, "nonfinite", (*hidden(2), "readout"))
def log_of_a_zero_probability() -> Model:
    """``-log(softmax)`` by hand with logits of some hundreds: a probability is 0."""
    by_hand = lambda z, y: -jnp.mean(jnp.log(jax.nn.softmax(z)[jnp.arange(z.shape[0]), y]))
    return mlp(3, loss=by_hand, readout=times(300, lecun)).shows(loss_finite(False))


@broken(PLAIN, "nonfinite", ())
def entropy_of_zeros() -> Model:
    """``p log p`` with p = 0 among given targets: 0 · −∞."""
    x, y = blobs()
    targets = jax.nn.one_hot(y, 10)
    loss = lambda z, t: jnp.mean(jnp.sum(t * (jnp.log(t) - jax.nn.log_softmax(z)), -1))
    return mlp(3, data=(x, targets), loss=loss).shows(loss_finite(False))


@broken(PLAIN, "nonfinite", ("bid,bjd->bij:dot_general", "q", "k"))
def fully_masked_row() -> Model:
    """One sentence of the batch is all padding: its softmax is over −∞ alone."""
    x, y = sequences(8, 10, 16)
    lengths = jnp.array([10, 9, 8, 7, 6, 5, 4, 0])
    params = {n: lecun(16, 0) * normal(i, 16, 16) for i, n in enumerate("qkvo")} | {
        "head": lecun(16, 0) * normal(9, 16, 2)
    }

    def loss(p, x, y):
        there = (jnp.arange(10) < lengths[:, None])[:, None, :]
        q, k, v = (x @ p[n] for n in "qkv")
        a = jax.nn.softmax(jnp.where(there, jnp.einsum("bid,bjd->bij", q, k) / 4, -jnp.inf))
        return cross_entropy((x + jnp.einsum("bij,bjd->bid", a, v) @ p["o"]).mean(1) @ p["head"], y)

    return Model(loss, params, (x, y)).shows(loss_finite(False), not_finite("v"))


@broken(PLAIN, "nonfinite", ("bid,bjd->bij:dot_general", "q", "k"))
def masked_row_only_backward() -> Model:
    """The masked row's NaN is thrown away by ``where`` before the loss, and comes back in its gradient."""
    x, y = sequences(8, 10, 16)
    lengths = jnp.array([10, 9, 8, 7, 6, 5, 4, 0])
    params = {n: lecun(16, 0) * normal(i, 16, 16) for i, n in enumerate("qkvo")} | {
        "head": lecun(16, 0) * normal(9, 16, 2)
    }

    def loss(p, x, y):
        there = (jnp.arange(10) < lengths[:, None])[:, None, :]
        q, k, v = (x @ p[n] for n in "qkv")
        a = jax.nn.softmax(jnp.where(there, jnp.einsum("bid,bjd->bij", q, k) / 4, -jnp.inf))
        out = jnp.where((lengths > 0)[:, None, None], jnp.einsum("bij,bjd->bid", a, v) @ p["o"], 0.0)
        return cross_entropy((x + out).mean(1) @ p["head"], y)

    return Model(loss, params, (x, y)).shows(loss_finite(True), not_finite("v"))


@broken(PLAIN, "nonfinite", hidden(2))
def standardised_without_epsilon() -> Model:
    """A feature that is the same for the whole batch is divided by its standard deviation, 0."""
    x, y = blobs()
    params = weights(4, 48, he, (16, 10))
    params["hidden_2"]["w"] = params["hidden_2"]["w"].at[:, 5].set(0.0)

    def loss(p, x, y):
        for i in range(4):
            z = x @ p[f"hidden_{i}"]["w"]
            z = (z - z.mean(0)) / z.std(0) if i == 2 else z
            x = jax.nn.relu(z + p[f"hidden_{i}"]["b"])
        return cross_entropy(x @ p["readout"]["w"] + p["readout"]["b"], y)

    return Model(loss, params, (x, y)).shows(loss_finite(False))


@broken(PLAIN, "nonfinite", ("logits", "hidden_2", "readout"))
def softmax_without_its_maximum() -> Model:
    """exp(z) / Σ exp(z) by hand, logits beyond 88."""

    def loss(z, y):
        e = jnp.exp(z)
        return -jnp.mean(jnp.log(e[jnp.arange(z.shape[0]), y] / e.sum(-1)))

    return mlp(3, loss=loss, readout=times(100, lecun)).shows(loss_finite(False))


@broken(PLAIN, "nonfinite", ())
def nan_in_the_data() -> Model:
    """One missing value among the inputs."""
    x, y = blobs()
    return mlp(3, data=(x.at[5, 3].set(jnp.nan), y)).shows(loss_finite(False))


@broken(PLAIN, "nonfinite", hidden(3))
def infinite_weight() -> Model:
    """A weight that is infinite: an update went wrong before."""

    def edit(params):
        params["hidden_3"]["w"] = params["hidden_3"]["w"].at[0, 0].set(jnp.inf)

    return mlp(5, edit=edit).shows(not_finite("hidden_3"))


@broken(PLAIN, "nonfinite", ("log_std", "mean", "hidden_1", "body/hidden_1", "hidden_0", "body/hidden_0"))
def policy_with_exp_of_its_head() -> Model:
    """A Gaussian policy's log standard deviation has no bound: exp overflows."""
    x, _ = blobs()
    action = normal(3, 64, 2)
    params = {"body": weights(1, 32, he, (16, 16)), "mean": normal(1, 16, 2) / 4, "log_std": 40 * normal(2, 16, 2)}

    def loss(p, x, a):
        h = jax.nn.relu(forward(p["body"], x, jax.nn.relu)[-1])
        std = jnp.exp(h @ p["log_std"])
        return jnp.mean(0.5 * ((a - h @ p["mean"]) / std) ** 2 + jnp.log(std))

    return Model(loss, params, (x, action)).shows(loss_finite(False))


def _blocks(fault, remat: bool) -> Model:
    x, y = blobs()
    width, depth = 32, 12
    params = {
        "stem": lecun(16, 0) * normal(1, 16, width),
        "blocks": {
            "up": he(width, 0) * normal(2, depth, width, 48),
            "down": 0.3 * lecun(48, 0) * normal(3, depth, 48, width),
        },
        "head": lecun(width, 0) * normal(4, width, 10),
    }

    def loss(p, x, y):
        def block(h, numbered):
            i, b = numbered
            z = h @ b["up"]
            return h + fault(jax.nn.gelu(z), i) @ b["down"], None

        body = jax.checkpoint(block, prevent_cse=False) if remat else block
        return cross_entropy(lax.scan(body, x @ p["stem"], (jnp.arange(depth), p["blocks"]))[0] @ p["head"], y)

    return Model(loss, params, (x, y))


@broken(PLAIN, "nonfinite", ("blocks/up[7]", "blocks/down[7]"))
def forward_nan_in_block_7() -> Model:
    """A root of negative numbers in block 7 of twelve that are scanned and recomputed."""
    return _blocks(lambda a, i: jnp.where(i == 7, jnp.sqrt(a - 1), a), True).shows(loss_finite(False))


@broken(PLAIN, "nonfinite", ("blocks/up[7]", "blocks/down[7]"))
def backward_nan_in_block_7() -> Model:
    """Each block adds the root of something positive, block 7 that of 0: its slope is infinite, only backward."""
    fault = lambda a, i: a + 1e-3 * jnp.sqrt(jnp.where(i == 7, 0 * a, 1 + a**2))
    # the blocks behind it are finite, and so is its own `down`, which its root goes into
    return _blocks(fault, False).shows(
        loss_finite(True),
        not_finite("stem"),
        not_finite("blocks/up", 8 * 32 * 48, 8 * 32 * 48),
        not_finite("blocks/down", 7 * 32 * 48, 7 * 32 * 48),
    )


@broken(PLAIN, "nonfinite", ("id,jd->ij:dot_general",))
def angle_of_equal_vectors() -> Model:
    """arccos of a cosine of 1, that of each vector with itself: its slope is infinite."""
    x, _ = blobs()
    params = {"stem": lecun(16, 0) * normal(1, 16, 24), "angle": jnp.ones(24)}

    def loss(p, x):
        z = (x @ p["stem"]) * p["angle"]
        unit = z / jnp.linalg.norm(z, axis=-1, keepdims=True)
        return jnp.mean(jnp.arccos(jnp.clip(jnp.einsum("id,jd->ij", unit, unit), -1, 1)) ** 2)

    return Model(loss, params, (x,)).shows(loss_finite(True), not_finite("stem"))


@broken(PLAIN, ("underflow", "below_epsilon", "scale"), (), "info")
def loss_of_a_billionth() -> Model:
    """A loss weighted with 10⁻¹⁰: all gradients are below Adam's ε of 10⁻⁸."""
    model = mlp(3)
    loss = lambda p, x, y: 1e-10 * model.loss(p, x, y)
    return Model(loss, model.params, model.batch).shows(norm("hidden_1", 1e-14, 1e-8))
