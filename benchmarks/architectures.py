"""Statistics of a ConvNet, an LSTM and a Transformer: gradlab beside jax.grad and norms, in one interleaved run.

    python benchmarks/architectures.py

The rival differentiates the plain forward pass of the same network and takes the norm of each gradient;
"with deltas" it differentiates by zeros that are added to the preactivations too (of the LSTM: to the
outputs of its steps) in a forward pass written out in plain JAX. Of the ConvNet both are written out and
unrolled: in a scan XLA's kernel gradients are many times slower on a CPU (`--scan` shows it). float32.
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
from in_turn import in_turn
from jax import lax

import gradlab as gl
from gradlab.core.backprop import run
from gradlab.core.losses import plain_loss
from gradlab.measurement.stats import BACKWARD, FORWARD, ON_REQUEST
from gradlab.measurement.stats import statistics as reader

COLUMNS = ("log10_weight_grad_norm", "log10_bias_grad_norm", "log10_delta_rms")
FULL = tuple(c for c in (*FORWARD, *BACKWARD) if c not in ON_REQUEST)
LOSS, CLASSES = "softmax_cross_entropy", 10
#: Name -> the network, and the shape of its batch.
NETWORKS: dict[str, tuple[gl.MLP, tuple[int, ...]]] = {
    "ConvNet, depth 32, 64 channels, 16 × 16, batch 32": (
        gl.ConvNet(depth=32, width=64, activation="relu", init="he_normal"), (32, 16, 16, 3)
    ),
    "LSTM, width 256, 256 steps, batch 32": (gl.RNN(cell="lstm", width=256), (32, 256, 16)),
    "Transformer, depth 12, width 256, 64 tokens, batch 8": (gl.Transformer(depth=12, width=256, heads=4), (8, 64, 16)),
}  # fmt: skip


def norms(grads: Any) -> Any:
    """The norm of each array of the tree, layer by layer where layers are stacked."""
    each = lambda run: lambda g: jnp.sqrt(jnp.sum(g * g, tuple(range(1 if run else 0, g.ndim))))
    return tuple(jax.tree.map(each(len(grads) == 3 and i == 1), part) for i, part in enumerate(grads))


def convolutions(params: Any, zeros: Any, x: jax.Array) -> jax.Array:
    """The ConvNet, unrolled, with zeros added to its preactivations if there are any."""
    first, rest, head = params[0][0], params[1][0], params[2][-2]

    a = x
    for i in range(len(rest["weight"]) + 1):
        p = first if i == 0 else {name: v[i - 1] for name, v in rest.items()}
        kernel = p["weight"].reshape(3, 3, a.shape[-1], -1)
        z = lax.conv_general_dilated(a, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        a = jax.nn.relu(z + p["bias"] + (0.0 if zeros is None else zeros[i]))
    return jnp.mean(a, (1, 2)) @ head["weight"] + head["bias"]


def memories(params: Any, zeros: Any, x: jax.Array) -> jax.Array:
    """The LSTM, with zeros added to the outputs of its steps."""
    fed, again, head = params[0]["input"], params[0]["recurrent"], params[1][0]

    def step(state, uz):
        h, c = state
        i, f, g, o = jnp.split(uz[0] + h @ again["weight"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c) + (0.0 if uz[1] is None else uz[1]), c), None

    u = jnp.swapaxes(x, 0, 1) @ fed["weight"] + fed["bias"]
    start = jnp.zeros((x.shape[0], again["weight"].shape[0]))
    (h, _), _ = lax.scan(step, (start, start), (u, zeros))
    return h @ head["weight"] + head["bias"]


def sides(net: gl.MLP, shape: tuple[int, ...], scan: bool) -> tuple[Any, dict[str, Any]]:
    """Parameters, and each side compiled for them."""
    x = jax.random.normal(jax.random.key(1), shape)
    y = jnp.arange(shape[0]) % CLASSES
    params, layer, loss = net.init_params(0, x, outputs=CLASSES), net.layer(CLASSES), plain_loss(LOSS)
    forward, zeros, rms = None, None, lambda d: jnp.sqrt(jnp.mean(d * d, (-1, -2) if d.ndim == 3 else None))
    if isinstance(net, gl.ConvNet):
        forward, zeros = convolutions, [jnp.zeros((*shape[:-1], net.width))] * net.depth
    elif isinstance(net, gl.RNN):
        forward, zeros = memories, jnp.zeros((shape[1], shape[0], net.width))
    written_out = isinstance(net, gl.ConvNet) and not scan
    plain = (lambda p: forward(p, None, x)) if written_out else (lambda p: net.apply(p, x))
    calls = {
        "gradlab": lambda p: run(layer, p, x, y, LOSS, reader(COLUMNS))[1],
        "gradlab, all columns": lambda p: run(layer, p, x, y, LOSS, reader(FULL))[1],
        "jax.grad and norms": lambda p: norms(jax.grad(lambda p: loss(plain(p), y))(p)),
    }
    if forward is not None:

        def both(p):
            grads, deltas = jax.grad(lambda p, z: loss(forward(p, z, x), y), (0, 1))(p, zeros)
            return norms(grads), jax.tree.map(rms, deltas)

        calls["jax.grad and norms, with deltas"] = both
    return params, {name: jax.jit(call).lower(params).compile() for name, call in calls.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--only", default="", help="the beginning of a network's name")
    parser.add_argument("--scan", action="store_true", help="the ConvNet's rival in a scan")
    args = parser.parse_args()
    for title, (net, shape) in NETWORKS.items():
        if not title.startswith(args.only):
            continue
        params, calls = sides(net, shape, args.scan)
        times = in_turn({name: functools.partial(call, params) for name, call in calls.items()}, args.runs)
        print(f"| {title} | median ms | gradlab over it, run by run | temporary MiB |\n|---|---|---|---|")
        for name, call in calls.items():
            memory = call.memory_analysis().temp_size_in_bytes / 2**20
            ratio = times.over("gradlab", name)
            print(f"| {name} | {1e3 * times.median(name):.0f} | {ratio:.2f} | {memory:.0f} |", flush=True)
        print()


if __name__ == "__main__":
    main()
