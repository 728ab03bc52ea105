"""Healthy models whose parameters are dicts, lists and tuples of arrays."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from experiments.corpus.case import Look, Model, healthy, measured, norm, ratio, zeros
from experiments.corpus.nets import (
    blobs,
    cross_entropy,
    forward,
    he,
    hidden,
    key,
    lecun,
    mlp,
    mse,
    normal,
    times,
    trained,
    weights,
    xavier,
)  # fmt: skip

PLAIN = "dict"


@healthy(PLAIN)
def relu_he_5() -> Model:
    """He's gain keeps the signal of ReLU."""
    return mlp(5).shows(ratio("hidden_0", "hidden_4", 0.2, 5))


@healthy(PLAIN)
def relu_he_20_wide() -> Model:
    """He's gain at four times the depth: the delta stays within a decade."""
    return mlp(20, 128).shows(ratio("hidden_1", "hidden_19", 0.1, 10))


@healthy(PLAIN)
def tanh_xavier_5() -> Model:
    """Glorot & Bengio's own network."""
    return mlp(5, phi=jnp.tanh, std=xavier).shows(ratio("hidden_1", "hidden_4", 0.2, 5))


@healthy(PLAIN)
def tanh_xavier_12_narrow() -> Model:
    """At the critical point the delta falls only as a power of depth."""
    return mlp(12, 32, jnp.tanh, xavier).shows(ratio("hidden_1", "hidden_11", 0.1, 10))


@healthy(PLAIN)
def selu_lecun_20() -> Model:
    """Self-normalising networks: LeCun's weights, SELU."""
    return mlp(20, phi=jax.nn.selu, std=lecun).shows(ratio("hidden_1", "hidden_19", 0.1, 10))


@healthy(PLAIN)
def gelu_he_5() -> Model:
    """GELU loses about a tenth of its signal per layer with He's weights: nothing over 5 layers."""
    return mlp(5, phi=jax.nn.gelu).shows(ratio("hidden_1", "hidden_4", 0.2, 5))


@healthy(PLAIN)
def silu_he_4() -> Model:
    """SiLU, shallow."""
    return mlp(4, phi=jax.nn.silu).shows(ratio("hidden_1", "hidden_3", 0.2, 5))


@healthy(PLAIN)
def leaky_relu_15() -> Model:
    """Leaky ReLU with its own He gain."""
    slope = 0.1
    std = times(1 / math.sqrt(1 + slope**2))
    return mlp(15, 96, lambda z: jax.nn.leaky_relu(z, slope), std).shows(ratio("hidden_1", "hidden_14", 0.1, 10))


@healthy(PLAIN)
def one_sigmoid_layer() -> Model:
    """One hidden layer of sigmoids: there is no depth for the gradient to vanish over."""
    return mlp(1, 64, jax.nn.sigmoid, xavier).shows(ratio("hidden_0", "readout", 0.02, 5))


@healthy("list")
def uniform_default_of_torch() -> Model:
    """U(±1/√fan-in) for weights and biases under ReLU, two hidden layers: what most people train from."""
    x, y = blobs()
    sizes = (16, 64, 64, 10)
    params = []
    for i, (n, m) in enumerate(itertools.pairwise(sizes)):
        keys = jax.random.split(key(i))
        params.append(
            tuple(
                jax.random.uniform(k, s, minval=-1, maxval=1) / math.sqrt(n)
                for k, s in zip(keys, ((n, m), (m,)), strict=True)
            )
        )

    def loss(params, x, y):
        for w, b in params[:-1]:
            x = jax.nn.relu(x @ w + b)
        return cross_entropy(x @ params[-1][0] + params[-1][1], y)

    return Model(loss, params, (x, y)).shows(ratio("0", "2", 0.02, 5))


@healthy(PLAIN)
def softmax_regression_of_zeros() -> Model:
    """A convex problem may start at zero: its units are equal but their gradients are not."""
    loss = lambda p, x, y: cross_entropy(x @ p["w"] + p["b"], y)
    return Model(loss, {"w": jnp.zeros((16, 10)), "b": jnp.zeros(10)}, blobs()).shows(norm("w", 1e-3))


@healthy(PLAIN)
def zero_readout() -> Model:
    """A readout of zeros gives the hidden layers no gradient at the first step, and a good one at the second."""
    model = mlp(5, readout=lambda n, m: 0.0)
    later = lambda model: float(jnp.linalg.norm(Look(trained(model, 3)).grad("hidden_0")))
    return model.shows(
        zeros("hidden_0"), norm("readout", 1e-3), measured("|gradient of hidden_0| 3 steps on", later, 1e-4)
    )


@healthy(PLAIN)
def mup_readout() -> Model:
    """muP: the readout's weights are smaller by the root of the width."""
    return mlp(4, 128, readout=lambda n, m: 1 / n).shows(ratio("hidden_1", "hidden_3", 0.2, 5), norm("hidden_0", 1e-4))


@healthy(PLAIN)
def frozen_layers() -> Model:
    """Fine-tuning: the first layers stand behind stop_gradient, as is meant."""
    x, y = blobs()
    params = weights(4, 64, he, (16, 10))

    def loss(p, x, y):
        p = {n: lax.stop_gradient(v) if n in hidden(0, 1) else v for n, v in p.items()}
        return cross_entropy(forward(p, x, jax.nn.relu)[-1], y)

    return Model(loss, params, (x, y)).shows(zeros("hidden_1"), ratio("hidden_2", "hidden_3", 0.2, 5))


@healthy(PLAIN)
def low_rank_adapters() -> Model:
    """LoRA: frozen weights, A drawn, B zero; A has no gradient before B has moved."""
    x, y = blobs()
    base = weights(3, 64, he, (16, 10))
    adapters = {
        n: {"a": normal(i, base[n]["w"].shape[0], 4) / 4, "b": jnp.zeros((4, base[n]["w"].shape[1]))}
        for i, n in enumerate(base)
    }

    def loss(p, x, y):
        full = {
            n: {"w": lax.stop_gradient(v["w"]) + p["lora"][n]["a"] @ p["lora"][n]["b"], "b": v["b"]}
            for n, v in p["base"].items()
        }
        return cross_entropy(forward(full, x, jax.nn.relu)[-1], y)

    return Model(loss, {"base": base, "lora": adapters}, (x, y)).shows(
        zeros("lora/hidden_1/a"), norm("lora/hidden_1/b", 1e-4), zeros("base/hidden_1/w")
    )


@healthy(PLAIN)
def siamese_contrastive() -> Model:
    """Two towers with the same weights, and a margin."""
    x, y = blobs()
    params = weights(3, 64, he, (16, 8))

    def loss(p, a, b, same):
        d = jnp.sum((forward(p, a, jax.nn.relu)[-1] - forward(p, b, jax.nn.relu)[-1]) ** 2, -1)
        return jnp.mean(jnp.where(same, d, jax.nn.relu(1 - jnp.sqrt(d + 1e-6)) ** 2))

    other = jnp.where(
        jnp.arange(64) % 2 == 0, (jnp.arange(64) + 10) % 60, (jnp.arange(64) + 5) % 64
    )  # every second pair of one class
    return Model(loss, params, (x, x[other], y == y[other])).shows(
        measured("pairs of one class", lambda m: m.batch[2].mean(), 0.3, 0.7), ratio("hidden_0", "hidden_2", 0.1, 10)
    )


@healthy(PLAIN)
def info_nce() -> Model:
    """Contrastive loss between two views of each example."""
    x, _ = blobs()
    params = weights(3, 64, he, (16, 16))

    def loss(p, one, two):
        unit = lambda z: z / jnp.sqrt(jnp.sum(z**2, -1, keepdims=True) + 1e-6)
        u, v = (unit(forward(p, a, jax.nn.relu)[-1]) for a in (one, two))
        return cross_entropy(u @ v.T / 0.2, jnp.arange(u.shape[0]))

    views = x + 0.3 * normal(3, *x.shape), x + 0.3 * normal(4, *x.shape)
    return Model(loss, params, views).shows(ratio("hidden_0", "hidden_2", 0.1, 10))


@healthy(PLAIN)
def regression() -> Model:
    """Targets of scale 1, tanh."""
    x, _ = blobs()
    y = jnp.sin(x @ normal(5, 16, 2) / 4)
    return mlp(3, 48, jnp.tanh, lecun, data=(x, y), loss=mse, outputs=2).shows(ratio("hidden_0", "hidden_2", 0.1, 10))


@healthy(PLAIN)
def weight_decay_in_loss() -> Model:
    """The penalty stands in the loss."""
    model = mlp(4)
    penalty = lambda p: 1e-4 * sum(jnp.sum(v["w"] ** 2) for v in p.values())
    loss = lambda p, x, y: model.loss(p, x, y) + penalty(p)
    return Model(loss, model.params, model.batch).shows(ratio("hidden_0", "hidden_3", 0.1, 10))


def _gan(turn: str) -> Model:
    x, _ = blobs(64, 8, 4)
    z = normal(3, 64, 4)
    generator, discriminator = weights(2, 32, he, (4, 8)), weights(3, 48, he, (8, 1))
    judge = lambda p, a: forward(p, a, lambda v: jax.nn.leaky_relu(v, 0.2))[-1]
    make = lambda p, z: forward(p, z, jax.nn.relu)[-1]
    if turn == "discriminator":
        fake = make(generator, z)
        loss = lambda p, x, fake: jnp.mean(jax.nn.softplus(-judge(p, x))) + jnp.mean(jax.nn.softplus(judge(p, fake)))
        return Model(loss, discriminator, (x, fake))
    return Model(lambda p, z: jnp.mean(jax.nn.softplus(-judge(discriminator, make(p, z)))), generator, (z,))


@healthy(PLAIN)
def gan_discriminator_at_start() -> Model:
    """Real against generated, before anything was learnt."""
    return _gan("discriminator").shows(ratio("hidden_0", "hidden_2", 0.1, 10))


@healthy(PLAIN)
def gan_generator_at_start() -> Model:
    """The loss that does not saturate, through a discriminator that is no parameter."""
    return _gan("generator").shows(ratio("hidden_0", "hidden_1", 0.1, 10))


@healthy(PLAIN)
def autoencoder() -> Model:
    """Down to 8 numbers and up again."""
    x, _ = blobs(64, 32)
    sizes = (32, 24, 8, 24, 32)
    params = {
        f"layer{i}": {"kernel": he(n, 0) * normal(i, n, m), "bias": jnp.zeros(m)}
        for i, (n, m) in enumerate(itertools.pairwise(sizes))
    }

    def loss(p, x):
        h = x
        for i in range(4):
            h = h @ p[f"layer{i}"]["kernel"] + p[f"layer{i}"]["bias"]
            h = jax.nn.relu(h) if i in (0, 2) else h
        return mse(h, x)

    return Model(loss, params, (x,)).shows(ratio("layer0", "layer3", 0.05, 20))


@healthy(PLAIN)
def variational_autoencoder() -> Model:
    """Samples its code with the key that it is given."""
    x, _ = blobs(64, 24)
    params = {"encoder": weights(1, 32, he, (24, 8)), "decoder": weights(1, 32, he, (4, 24))}

    def loss(p, x, key):
        mean, log_var = jnp.split(forward(p["encoder"], x, jax.nn.relu)[-1], 2, -1)
        code = mean + jnp.exp(0.5 * log_var) * jax.random.normal(key, mean.shape)
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(log_var) - 1 - log_var, -1)
        return jnp.sum((forward(p["decoder"], code, jax.nn.relu)[-1] - x) ** 2, -1).mean() + divergence.mean()

    return (
        Model(loss, params, (x,))
        .with_options(key=key(5))
        .shows(ratio("encoder/hidden_0", "decoder/hidden_0", 0.05, 20))
    )


@healthy(PLAIN)
def log_softmax_twice() -> Model:
    """The second log_softmax changes nothing."""
    return mlp(3, loss=lambda z, y: cross_entropy(jax.nn.log_softmax(z), y)).shows(
        ratio("hidden_0", "hidden_2", 0.1, 10)
    )


@healthy(PLAIN)
def bfloat16_products() -> Model:
    """Mixed precision: parameters in float32, products in bfloat16."""
    x, y = blobs()

    def loss(p, x, y):
        p, x = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (p, x))
        return cross_entropy(forward(p, x, jax.nn.relu)[-1], y)

    return Model(loss, weights(6, 64, he, (16, 10)), (x, y)).shows(ratio("hidden_0", "hidden_5", 0.1, 10))


@healthy(PLAIN)
def float16_with_a_loss_scale() -> Model:
    """Float16 with the loss multiplied by 1024, as loss scaling does: nothing is lost."""
    x, y = blobs()

    def loss(p, x, y):
        p, x = jax.tree.map(lambda a: a.astype(jnp.float16), (p, x))
        return 1024 * cross_entropy(forward(p, x, jax.nn.relu)[-1], y)

    return Model(loss, weights(4, 64, he, (16, 10)), (x, y)).shows(
        zeros("hidden_1/w", 0, 0.3), ratio("hidden_0", "hidden_3", 0.1, 10)
    )


@healthy(PLAIN)
def integers_and_none_among_parameters() -> Model:
    """A step counter and an absent bias stand in the tree."""
    x, y = blobs()
    params = {"steps": jnp.asarray(3), "mask": None, **weights(3, 64, he, (16, 10))}
    loss = lambda p, x, y: cross_entropy(
        forward({n: v for n, v in p.items() if n not in ("steps", "mask")}, x, jax.nn.relu)[-1], y
    )
    return Model(loss, params, (x, y)).shows(ratio("hidden_0", "hidden_2", 0.1, 10))


@healthy(PLAIN)
def converged_classifier() -> Model:
    """400 steps of Adam: all gradients are small, and of one size."""
    return trained(mlp(3, 48), 400).shows(norm("hidden_0", 1e-8, 0.02), ratio("hidden_0", "hidden_2", 0.02, 50))


@healthy(PLAIN)
def converged_regression() -> Model:
    """150 steps on a smooth target: the gradient is a hundredth of what it was."""
    x, _ = blobs()
    y = jnp.tanh(x @ normal(5, 16, 1) / 4)
    model = mlp(2, 48, jnp.tanh, lecun, data=(x, y), loss=mse, outputs=1)
    return trained(model, 150).shows(
        measured("loss", lambda m: m.loss(m.params, *m.batch), 1e-7, 1e-3), norm("hidden_0", 1e-5, 0.05)
    )


@healthy(PLAIN)
def metrics_beside_the_loss() -> Model:
    """The loss hands out its logits too, as has_aux is for."""
    model = mlp(4)

    def loss(p, x, y):
        logits = forward(p, x, jax.nn.relu)[-1]
        return cross_entropy(logits, y), {"accuracy": jnp.mean(logits.argmax(-1) == y)}

    return (
        Model(loss, model.params, model.batch).with_options(has_aux=True).shows(ratio("hidden_0", "hidden_3", 0.1, 10))
    )


@healthy(PLAIN)
def dropout_with_key() -> Model:
    """A tenth of the units is dropped, by the key that is given."""
    x, y = blobs()

    def loss(p, x, y, key):
        h = x
        for i in range(4):
            keep = jax.random.bernoulli(jax.random.fold_in(key, i), 0.9, (x.shape[0], 64))
            h = jnp.where(keep, jax.nn.relu(h @ p[f"hidden_{i}"]["w"] + p[f"hidden_{i}"]["b"]) / 0.9, 0)
        return cross_entropy(h @ p["readout"]["w"] + p["readout"]["b"], y)

    return (
        Model(loss, weights(4, 64, he, (16, 10)), (x, y))
        .with_options(key=key(3))
        .shows(ratio("hidden_0", "hidden_3", 0.1, 10))
    )


@healthy(PLAIN)
def physics_informed() -> Model:
    """The second derivative of a tanh network stands in the loss (Poisson's equation on a line)."""
    params = weights(2, 24, lecun, (1, 1))
    u = lambda p, s: forward(p, s[None], jnp.tanh)[-1][0]

    def loss(p, s):
        second = jax.vmap(jax.grad(jax.grad(lambda t: u(p, t[None]).sum())))(s)
        ends = jnp.array([u(p, jnp.array([e])) for e in (-1.0, 1.0)])
        return jnp.mean((second + jnp.sin(3 * s)) ** 2) + jnp.sum(ends**2)

    return Model(loss, params, (jnp.linspace(-1, 1, 40),)).shows(ratio("hidden_0", "hidden_1", 0.05, 20))


@healthy(PLAIN)
def auxiliary_heads() -> Model:
    """A loss at every layer, GoogLeNet's auxiliary heads."""
    x, y = blobs()
    params = {
        **weights(4, 48, he, (16, 10)),
        "aux": {f"head_{i}": lecun(48, 0) * normal(60 + i, 48, 10) for i in range(3)},
    }

    def loss(p, x, y):
        *inner, last = forward({n: v for n, v in p.items() if n != "aux"}, x, jax.nn.relu)
        heads = [jax.nn.relu(z) @ p["aux"][f"head_{i}"] for i, z in enumerate(inner[:3])]
        return cross_entropy(last, y) + 0.3 * sum(cross_entropy(z, y) for z in heads)

    return Model(loss, params, (x, y)).shows(ratio("hidden_0", "hidden_3", 0.1, 20))
