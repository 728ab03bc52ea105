"""What a researcher writes in JAX: a loop over configurations, jitted jax.grad, norms.

Per-layer norms of weight gradients and of deltas for depths x activations x initialisations x
seeds, to a Parquet file. Deltas come from the gradient by a zero added to each preactivation.
One program is compiled for each depth and activation; gains are arguments.
"""

import argparse
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int, nargs="+", default=[4, 8, 16, 32, 64, 128])
parser.add_argument("--seeds", type=int, default=10)
parser.add_argument("--width", type=int, default=256)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--out", default="jax_loop.parquet")
args = parser.parse_args()

ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu}
INITS = {
    "xavier_normal": lambda n, m: (2 / (n + m)) ** 0.5,
    "he_normal": lambda n, m: (2 / n) ** 0.5,
}


def load():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    sd = x.std(0)
    x = np.where(sd > 0, (x - x.mean(0)) / np.where(sd > 0, sd, 1), 0)
    return jnp.asarray(x[: args.batch], jnp.float32), jnp.asarray(y[: args.batch])


def init(key, depth, features, classes, std):
    sizes = [features] + [args.width] * depth + [classes]
    keys = jax.random.split(key, depth + 1)
    return [
        (std(n, m) * jax.random.normal(k, (n, m)), jnp.zeros(m))
        for k, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def loss(params, zeros, x, y, phi):
    for i, ((w, b), zero) in enumerate(zip(params, zeros, strict=True)):
        x = x @ w + b + zero
        if i < len(params) - 1:
            x = phi(x)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1))


def norms(params, zeros, x, y, phi):
    grads, deltas = jax.grad(loss, (0, 1))(params, zeros, x, y, phi)
    weight = jnp.stack([jnp.linalg.norm(g) for g, _ in grads])
    delta = jnp.stack([jnp.sqrt(jnp.mean((len(x) * d) ** 2)) for d in deltas])
    return weight, delta


x, y = load()
rows = []
for depth, (name, phi) in itertools.product(args.depth, ACTIVATIONS.items()):
    step = jax.jit(lambda p, z, x, y, phi=phi: norms(p, z, x, y, phi))
    zeros = [jnp.zeros((args.batch, args.width))] * depth + [jnp.zeros((args.batch, 10))]
    for (rule, std), seed in itertools.product(INITS.items(), range(args.seeds)):
        params = init(jax.random.key(seed), depth, x.shape[1], 10, std)
        weight, delta = map(np.asarray, step(params, zeros, x, y))
        for layer in range(depth + 1):
            rows.append((depth, name, rule, seed, layer + 1, weight[layer], delta[layer]))
columns = ["depth", "activation", "init", "seed", "layer", "weight_grad_norm", "delta_rms"]
pd.DataFrame(rows, columns=columns).to_parquet(args.out)
