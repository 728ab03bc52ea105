"""The same loop in PyTorch: a network for each configuration, backward(), norms.

Deltas are the gradients of the preactivations (retain_grad). Threads as PyTorch chooses them.
"""

import argparse
import itertools

import numpy as np
import pandas as pd
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int, nargs="+", default=[4, 8, 16, 32, 64, 128])
parser.add_argument("--seeds", type=int, default=10)
parser.add_argument("--width", type=int, default=256)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--out", default="torch_loop.parquet")
args = parser.parse_args()

ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}
INITS = {
    "xavier_normal": lambda n, m: (2 / (n + m)) ** 0.5,
    "he_normal": lambda n, m: (2 / n) ** 0.5,
}


def load():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    sd = x.std(0)
    x = np.where(sd > 0, (x - x.mean(0)) / np.where(sd > 0, sd, 1), 0)
    return torch.tensor(x[: args.batch], dtype=torch.float32), torch.tensor(y[: args.batch])


x, y = load()
rows = []
for depth, (name, phi), (rule, std), seed in itertools.product(
    args.depth, ACTIVATIONS.items(), INITS.items(), range(args.seeds)
):
    torch.manual_seed(seed)
    sizes = [x.shape[1]] + [args.width] * depth + [10]
    weights, biases = [], []
    for n, m in itertools.pairwise(sizes):
        weights.append((std(n, m) * torch.randn(n, m)).requires_grad_())
        biases.append(torch.zeros(m, requires_grad=True))
    h, zs = x, []
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = torch.addmm(b, h, w)
        z.retain_grad()
        zs.append(z)
        h = phi(z) if i < depth else z
    torch.nn.functional.cross_entropy(h, y).backward()
    with torch.no_grad():
        weight = torch.stack([w.grad.norm() for w in weights]).numpy()
        delta = torch.stack([(len(x) * z.grad).square().mean().sqrt() for z in zs]).numpy()
    for layer in range(depth + 1):
        rows.append((depth, name, rule, seed, layer + 1, weight[layer], delta[layer]))
columns = ["depth", "activation", "init", "seed", "layer", "weight_grad_norm", "delta_rms"]
pd.DataFrame(rows, columns=columns).to_parquet(args.out)
