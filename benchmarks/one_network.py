"""All per-layer weight-gradient and delta norms of one network: gradlab beside jax.grad, in one interleaved run.

    python benchmarks/one_network.py

ReLU, depth 64, width 1024, batch 32, float32. Rivals: jitted jax.grad plus norms, layers in a scan
and unrolled; and the bare forward and delta products, which nobody can do without.
"""

import argparse

import jax
import jax.numpy as jnp
from in_turn import in_turn
from jax import lax

from gradlab.core.backprop import run
from gradlab.measurement.stats import BACKWARD, FORWARD
from gradlab.measurement.stats import statistics as reader
from gradlab.networks.mlp import MLP

COLUMNS = ("log10_weight_grad_norm", "log10_delta_rms")
FULL = (*FORWARD, *BACKWARD)


def forward_scan(params, zeros, x, y):
    w1, ws, wr = params
    z1, zs, zr = zeros
    h = jax.nn.relu(x @ w1 + z1)
    h, _ = lax.scan(lambda h, wz: (jax.nn.relu(h @ wz[0] + wz[1]), None), h, (ws, zs))
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h @ wr + zr), y[:, None], 1))


def forward_unrolled(params, zeros, x, y):
    w1, ws, wr = params
    z1, zs, zr = zeros
    h = jax.nn.relu(x @ w1 + z1)
    for w, z in zip(ws, zs, strict=True):
        h = jax.nn.relu(h @ w + z)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h @ wr + zr), y[:, None], 1))


def scan_norms(params, zeros, x, y):
    (g1, gs, gr), (d1, ds, dr) = jax.grad(forward_scan, (0, 1))(params, zeros, x, y)
    rms = lambda d: jnp.sqrt(jnp.mean(d**2))
    return (
        jnp.linalg.norm(g1),
        jnp.sqrt(jnp.sum(gs**2, (1, 2))),
        jnp.linalg.norm(gr),
        rms(d1),
        jax.vmap(rms)(ds),
        rms(dr),
    )


def unrolled_norms(params, zeros, x, y):
    grads, deltas = jax.grad(forward_unrolled, (0, 1))(params, zeros, x, y)
    return [jnp.linalg.norm(g) for g in jax.tree.leaves(grads)], [
        jnp.sqrt(jnp.mean(d**2)) for d in jax.tree.leaves(deltas)
    ]


def bare(params, zeros, x, y):
    """The forward products and the delta products alone."""
    w1, ws, wr = params
    h, _ = lax.scan(lambda h, w: (h @ w, None), x @ w1, ws)
    d = (h @ wr) @ wr.T
    d, _ = lax.scan(lambda d, w: (d @ w.T, None), d, ws, reverse=True)
    return d @ w1.T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("depth", 64), ("width", 1024), ("batch", 32), ("runs", 15)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    net = MLP(depth=args.depth, width=args.width, bias=False)
    x = jax.random.normal(jax.random.key(1), (args.batch, 64))
    y = jnp.arange(args.batch) % 10
    params = net.init_params(0, x, outputs=10)
    layer = net.layer(10)
    ours = jax.jit(lambda p: run(layer, p, x, y, "softmax_cross_entropy", reader(COLUMNS))[1])
    full = jax.jit(lambda p: run(layer, p, x, y, "softmax_cross_entropy", reader(FULL))[1])
    plain = params[0][0]["weight"], params[1][0]["weight"], params[2][0]["weight"]
    zeros = (
        jnp.zeros((args.batch, args.width)),
        jnp.zeros((args.depth - 1, args.batch, args.width)),
        jnp.zeros((args.batch, 10)),
    )
    loose = plain[0], list(plain[1]), plain[2]
    loose_zeros = zeros[0], list(zeros[1]), zeros[2]
    scan, unrolled, products = map(jax.jit, (scan_norms, unrolled_norms, bare))
    calls = {
        "gradlab": lambda: ours(params),
        "gradlab, all columns": lambda: full(params),
        "jax.grad, scan, and norms": lambda: scan(plain, zeros, x, y),
        "jax.grad, unrolled, and norms": lambda: unrolled(loose, loose_zeros, x, y),
        "bare products": lambda: products(plain, zeros, x, y),
    }
    times = in_turn(calls, args.runs)
    what = f"depth {args.depth}, width {args.width}, batch {args.batch}"
    print(f"| {what} | median ms | gradlab over it, run by run |\n|---|---|---|")
    for label in calls:
        print(f"| {label} | {1e3 * times.median(label):.0f} | {times.over('gradlab', label):.2f} |")


if __name__ == "__main__":
    main()
