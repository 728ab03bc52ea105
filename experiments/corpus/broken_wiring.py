"""Plain models that are wired wrongly: cut paths, norms that do not normalise, wrong derivatives, wrong ends."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import optax
from jax import lax

from experiments.corpus.case import Model, broken, measured, norm, ratio, zeros
from experiments.corpus.nets import (
    blobs,
    cross_entropy,
    forward,
    he,
    hidden,
    lecun,
    mlp,
    mse,
    normal,
    sequences,
    times,
    trained,
    weights,
)  # fmt: skip

PLAIN = "dict"


# Parameters that do not reach the loss.


@broken(PLAIN, "disconnected", hidden(2))
def layer_left_out() -> Model:
    """A loop that ends one layer early."""
    x, y = blobs()
    params = weights(4, 64, he, (16, 10))

    def loss(p, x, y):
        for i in (0, 1, 3):
            x = jax.nn.relu(x @ p[f"hidden_{i}"]["w"] + p[f"hidden_{i}"]["b"])
        return cross_entropy(x @ p["readout"]["w"] + p["readout"]["b"], y)

    return Model(loss, params, (x, y)).shows(zeros("hidden_2"), norm("hidden_1", 1e-4))


@broken(PLAIN, "disconnected", ("readout/b", "readout"))
def bias_forgotten() -> Model:
    """The readout's bias stands among the parameters and is not added."""
    x, y = blobs()
    params = weights(3, 64, he, (16, 10))

    def loss(p, x, y):
        for i in range(3):
            x = jax.nn.relu(x @ p[f"hidden_{i}"]["w"] + p[f"hidden_{i}"]["b"])
        return cross_entropy(x @ p["readout"]["w"], y)

    return Model(loss, params, (x, y)).shows(zeros("readout/b"), norm("readout/w", 1e-4))


@broken(PLAIN, ("disconnected", "frozen", "dead_layer"), ("embed", "score"))
def hard_choice() -> Model:
    """The argmax of scores picks a row: no gradient comes back through a choice."""
    x, y = blobs()
    params = {
        "score": lecun(16, 0) * normal(1, 16, 8),
        "table": normal(2, 8, 32) / 4,
        "head": lecun(32, 0) * normal(3, 32, 10),
    }
    loss = lambda p, x, y: cross_entropy(p["table"][jnp.argmax(x @ p["score"], -1)] @ p["head"], y)
    return Model(loss, params, (x, y)).shows(zeros("score"), norm("table", 1e-4))


@broken(PLAIN, ("disconnected", "frozen", "dead_layer"), hidden(0, 1))
def rounded_activations() -> Model:
    """Activations are rounded to quarters, without a straight-through estimator."""
    x, y = blobs()

    def loss(p, x, y):
        for i in range(3):
            x = jax.nn.relu(x @ p[f"hidden_{i}"]["w"] + p[f"hidden_{i}"]["b"])
            x = jnp.round(4 * x) / 4 if i == 1 else x
        return cross_entropy(x @ p["readout"]["w"] + p["readout"]["b"], y)

    return Model(loss, weights(3, 64, he, (16, 10)), (x, y)).shows(
        zeros("hidden_1"), zeros("hidden_0"), norm("hidden_2", 1e-4)
    )


@broken(PLAIN, "frozen", hidden(0, 1, 2), "info")
def trunk_stopped_by_mistake() -> Model:
    """stop_gradient meant for a target stands on the features that the network is to learn."""
    x, y = blobs()

    def loss(p, x, y):
        for i in range(3):
            x = jax.nn.relu(x @ p[f"hidden_{i}"]["w"] + p[f"hidden_{i}"]["b"])
        return cross_entropy(lax.stop_gradient(x) @ p["readout"]["w"] + p["readout"]["b"], y)

    return Model(loss, weights(3, 64, he, (16, 10)), (x, y)).shows(zeros("hidden_0"), norm("readout", 1e-3))


# Norms that do not normalise.


def _normed(epsilon: float, scale: float, axis: int = -1, depth: int = 4, batch: int = 64) -> Model:
    x, y = normal(7, batch, 16), jnp.arange(batch) % 10
    params = weights(depth, 64, times(scale), (16, 10))

    def loss(p, x, y):
        for i in range(depth):
            z = x @ p[f"hidden_{i}"]["w"]
            z = (z - z.mean(axis, keepdims=True)) * lax.rsqrt(z.var(axis, keepdims=True) + epsilon)
            x = jax.nn.relu(z + p[f"hidden_{i}"]["b"])
        return cross_entropy(x @ p["readout"]["w"] + p["readout"]["b"], y)

    return Model(loss, params, (x, y))


@broken(PLAIN, ("normalisation", "init_too_small"), (*hidden(0, 1, 2, 3), "readout"))
def epsilon_above_the_variance() -> Model:
    """Layer norm whose ε of 1e-3 is ten thousand times the variance it meets: the first norm divides by ε."""
    variance = lambda m: jnp.var(m.batch[0] @ m.params["hidden_0"]["w"], -1).mean()
    return _normed(1e-3, 2e-4).shows(measured("variance before the first norm", variance, 0, 1e-6))


@broken(PLAIN, ("normalisation", "init_too_small"), (*hidden(0, 1, 2, 3, 4, 5), "readout"))
def epsilon_for_the_standard_deviation() -> Model:
    """ε of 10: the variance is 1 at most, so that each layer divides by 3."""
    return _normed(10.0, 1.0, depth=6).shows(ratio("readout/w", "readout/b", 0, 0.1))


@broken(PLAIN, ("normalisation", "dead_layer", "dead"), (*hidden(0, 1, 2, 3), "readout"))
def batch_norm_of_one_example() -> Model:
    """Batch norm over a batch of one: every value is its own mean, and what comes out is 0."""
    return _normed(1e-5, 1.0, 0, batch=1).shows(zeros("hidden_0/w"), zeros("readout/w"))


@broken(PLAIN, ("normalisation", "dead_layer", "dead"), ("gate", "value", "head", "body/hidden_0", "body/readout"))
def layer_norm_over_one_unit() -> Model:
    """Layer norm over an axis of length 1: the value head always says the same."""
    x, _ = blobs()
    params = {"body": weights(1, 48, he, (16, 24)), "value": lecun(24, 0) * normal(3, 24, 1)}

    def loss(p, x, y):
        v = jax.nn.relu(forward(p["body"], x, jax.nn.relu)[-1]) @ p["value"]
        v = (v - v.mean(-1, keepdims=True)) * lax.rsqrt(v.var(-1, keepdims=True) + 1e-5)
        return mse(v[:, 0], y)

    return Model(loss, params, (x, normal(8, 64))).shows(zeros("value"), zeros("body"))


# Derivatives that are none.


def _with_rule(rule) -> Model:
    @jax.custom_vjp
    def act(z):
        return jnp.tanh(z)

    act.defvjp(lambda z: (jnp.tanh(z), jnp.tanh(z)), lambda a, g: (rule(a, g),))
    x, y = blobs()

    def loss(p, x, y):
        for i in range(3):
            z = x @ p[f"hidden_{i}"]["w"] + p[f"hidden_{i}"]["b"]
            x = act(z) if i == 1 else jnp.tanh(z)
        return cross_entropy(x @ p["readout"]["w"] + p["readout"]["b"], y)

    def error(model: Model) -> float:
        right = jax.grad(lambda p: cross_entropy(forward(p, model.batch[0], jnp.tanh)[-1], model.batch[1]))(
            model.params
        )
        told = jax.grad(model.loss)(model.params, *model.batch)
        a, b = (g["hidden_0"]["w"] for g in (told, right))
        return jnp.linalg.norm(a - b) / jnp.linalg.norm(b)

    model = Model(loss, weights(3, 48, lambda n, m: (1 / n) ** 0.5, (16, 10)), (x, y))
    return model.shows(measured("error of the gradient of hidden_0", error, 0.3))


@broken(PLAIN, "wrong_gradient", ())
def rule_without_its_square() -> Model:
    """A tanh whose own backward rule says 1 − a where 1 − a² is right."""
    return _with_rule(lambda a, g: g * (1 - a))


@broken(PLAIN, "wrong_gradient", ())
def rule_of_the_wrong_sign() -> Model:
    """The same with the sign turned."""
    return _with_rule(lambda a, g: -g * (1 - a**2))


@broken(PLAIN, "wrong_gradient", ())
def rule_that_is_twice_too_large() -> Model:
    """A scan's own rule that counts its steps twice: a matrix product with a factor 2 on the way back to the weight."""

    @jax.custom_vjp
    def product(x, w):
        return x @ w

    product.defvjp(lambda x, w: (x @ w, (x, w)), lambda kept, g: (g @ kept[1].T, 2 * kept[0].T @ g))
    x, y = blobs()
    loss = lambda p, x, y: cross_entropy(jax.nn.relu(product(x, p["a"])) @ p["b"], y)
    plain = lambda p, x, y: cross_entropy(jax.nn.relu(x @ p["a"]) @ p["b"], y)
    params = {"a": he(16, 0) * normal(1, 16, 48), "b": lecun(48, 0) * normal(2, 48, 10)}
    size = lambda f: lambda m: jnp.linalg.norm(jax.grad(f)(m.params, *m.batch)["a"])
    error = lambda m: size(loss)(m) / size(plain)(m)
    return Model(loss, params, (x, y)).shows(measured("gradient of a / right one", error, 1.99, 2.01))


# Attention.


def _attention(scale: float, gain: float) -> Model:
    x, y = sequences(8, 12, 32)
    params = {
        f"layer_{i}": {
            n: (gain if n in "qk" else 1.0) * lecun(32, 0) * normal(10 * i + j, 32, 32) for j, n in enumerate("qkvo")
        }
        for i in range(3)
    }
    params["head"] = lecun(32, 0) * normal(99, 32, 2)

    def loss(p, x, y):
        for i in range(3):
            q, k, v = (x @ p[f"layer_{i}"][n] for n in "qkv")
            a = jax.nn.softmax(scale * jnp.einsum("bid,bjd->bij", q, k))
            x = x + jnp.einsum("bij,bjd->bid", a, v) @ p[f"layer_{i}"]["o"]
        return cross_entropy(x.mean(1) @ p["head"], y)

    def logits(m: Model):
        q, k = (m.batch[0] @ m.params["layer_0"][n] for n in "qk")
        return scale * jnp.einsum("bid,bjd->bij", q, k)

    largest = measured("largest logit", lambda m: jnp.abs(logits(m)).max(), 100)
    weight = measured("mean largest attention weight", lambda m: jax.nn.softmax(logits(m)).max(-1).mean(), 0.9, 1)
    return Model(loss, params, (x, y)).shows(largest, weight)


@broken(PLAIN, ("attention_logits", "saturation", "init_too_large"), ())
def attention_logits_times_50() -> Model:
    """Logits of some 150: each place looks at one other, and the softmax passes no gradient."""
    return _attention(50 / math.sqrt(32), 1.0)


@broken(PLAIN, ("attention_logits", "saturation", "init_too_large"), ())
def queries_and_keys_not_scaled() -> Model:
    """No 1/√d, and queries and keys five times too large."""
    return _attention(1.0, 5.0)


# The two ends.


@broken(PLAIN, "scale", ())
def softmax_before_the_loss() -> Model:
    """A loss that takes logits is given probabilities of 100 classes: all gradients fall alike."""
    x, _ = blobs()
    y = jnp.arange(64)
    model = mlp(3, data=(x, y), outputs=100, loss=lambda z, y: cross_entropy(jax.nn.softmax(z), y))
    right = mlp(3, data=(x, y), outputs=100)
    share = lambda m: jnp.linalg.norm(jax.grad(m.loss)(m.params, *m.batch)["hidden_1"]["w"])
    return model.shows(measured("gradient / that of logits", lambda m: share(m) / share(right), 0, 0.2))


@broken(PLAIN, "scale", ())
def softmax_before_the_loss_at_a_zero_head() -> Model:
    """The same at a small head: a factor of 1/K, here 1/50."""
    x, _ = blobs()
    y = jnp.arange(64) % 50
    build = lambda loss: mlp(3, data=(x, y), outputs=50, readout=times(0.05, lecun), loss=loss)
    model, right = build(lambda z, y: cross_entropy(jax.nn.softmax(z), y)), build(cross_entropy)
    share = lambda m: jnp.linalg.norm(jax.grad(m.loss)(m.params, *m.batch)["hidden_1"]["w"])
    return model.shows(measured("gradient / that of logits", lambda m: share(m) / share(right), 0, 0.05))


@broken(PLAIN, ("scale", "saturation"), ())
def sigmoid_before_its_loss() -> Model:
    """A sigmoid, and a binary loss with another inside it, on a network that is sure."""
    x, y = blobs()
    y = (y % 2).astype(jnp.float32)
    loss = lambda z, y: optax.sigmoid_binary_cross_entropy(jax.nn.sigmoid(z[:, 0]), y).mean()
    right = mlp(
        3,
        data=(x, y),
        outputs=1,
        readout=times(8, lecun),
        loss=lambda z, y: optax.sigmoid_binary_cross_entropy(z[:, 0], y).mean(),
    )
    share = lambda m: jnp.linalg.norm(jax.grad(m.loss)(m.params, *m.batch)["hidden_1"]["w"])
    model = mlp(3, data=(x, y), outputs=1, readout=times(8, lecun), loss=loss)
    return model.shows(measured("gradient / that of logits", lambda m: share(m) / share(right), 0, 0.3))


@broken(PLAIN, ("scale", "init_too_large"), ())
def pixels_to_255() -> Model:
    """Pixels from 0 to 255 into a ReLU network: logits of some hundreds at the start."""
    x = 255 * jax.random.uniform(jax.random.key(1), (64, 64))
    return mlp(4, data=(x, jnp.arange(64) % 10)).shows(measured("loss", lambda m: m.loss(m.params, *m.batch), 50))


@broken(PLAIN, "scale", ())
def inputs_of_a_millionth() -> Model:
    """Inputs in metres that are micrometres: 10⁻⁶, under biases of 0.1."""

    def edit(params):
        for i, layer in enumerate(params.values()):
            layer["b"] = 0.1 * normal(200 + i, *layer["b"].shape)

    x, y = blobs()
    return mlp(3, data=(1e-6 * x, y), edit=edit).shows(ratio("hidden_0/w", "hidden_1/w", 0, 1e-4))


@broken(PLAIN, "scale", ())
def targets_of_a_million() -> Model:
    """Prices in cents: targets of 10⁶, a network whose outputs are of size 1."""
    x, _ = blobs()
    y = 1e6 * (2 + jnp.sin(x @ normal(5, 16, 1) / 4))
    return mlp(3, 48, data=(x, y), loss=mse, outputs=1).shows(
        measured("loss", lambda m: m.loss(m.params, *m.batch), 1e11)
    )


@broken(PLAIN, ("scale", "vanishing", "saturation"), ())
def generator_against_a_sure_discriminator() -> Model:
    """log(1 − D) with a D that has won by 30: its slope is 10⁻¹³."""
    z = normal(3, 64, 4)
    discriminator = weights(2, 48, he, (8, 1))
    discriminator["readout"]["b"] -= 30.0

    def loss(p, z):
        fake = forward(p, z, jax.nn.relu)[-1]
        return jnp.mean(jnp.log1p(-jax.nn.sigmoid(forward(discriminator, fake, jax.nn.relu)[-1])))

    return Model(loss, weights(2, 32, he, (4, 8)), (z,)).shows(norm("hidden_0", 0, 1e-10))


@broken(PLAIN, ("scale", "init_too_large"), ("readout", "hidden_2"))
def readout_fifty_times_too_large() -> Model:
    """Hidden layers by He, a readout of fifty times LeCun: the softmax is sure, and wrong, from the first step."""
    return mlp(3, readout=times(50, lecun)).shows(measured("loss", lambda m: m.loss(m.params, *m.batch), 30))


# Gradients that say nothing.


@broken(PLAIN, "noise", (), "info")
def random_labels() -> Model:
    """Labels drawn at random, independent of the inputs: the mean gradient is what its noise leaves."""
    x = normal(40, 256, 16)

    def snr(model: Model) -> float:
        each = jax.vmap(lambda x, y: jax.grad(model.loss)(model.params, x[None], y[None])["hidden_1"]["w"].ravel())(
            *model.batch
        )
        return each.shape[0] * jnp.sum(each.mean(0) ** 2) / jnp.sum(each.var(0, ddof=1))

    y = jax.random.randint(jax.random.key(77), (256,), 0, 10)
    settled = trained(mlp(2, 48, data=(x, y)), 60, optimiser=optax.sgd(0.05))
    fresh = normal(41, 256, 16), jax.random.randint(jax.random.key(78), (256,), 0, 10)
    return Model(settled.loss, settled.params, fresh).shows(
        measured("signal to noise", snr, 0, 2), norm("hidden_1", 1e-4)
    )
