"""What the monitor costs: a jitted Adam step with and without it, in one interleaved run.

    python benchmarks/monitor.py

MLP of 10 layers of 1024 units, ReLU, batch 256, float32; parameters and optimiser state are donated. Each round
times ten steps of each side, so that every tenth step is in it; the ratio is taken round by round.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import optax

import gradlab as gl


def loss(params, x, y):
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["weight"] + layer["bias"])
    return jnp.mean((x @ params[-1]["weight"] + params[-1]["bias"] - y) ** 2)


def start(tx, depth, width):
    """Parameters, the optimiser's state, and the step."""
    keys = jax.random.split(jax.random.key(0), depth)
    scale = (2 / width) ** 0.5
    params = [{"weight": scale * jax.random.normal(k, (width, width)), "bias": jnp.zeros(width)} for k in keys]

    def step(params, state, x, y):
        grads = jax.grad(loss)(params, x, y)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return params, tx.init(params), jax.jit(step, donate_argnums=(0, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("depth", 10), ("width", 1024), ("batch", 256), ("rounds", 15), ("steps", 10)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--histograms", action="store_true", help="time histograms too")
    args = parser.parse_args()
    adam = lambda: optax.adam(1e-4)
    sides = {
        "Adam": adam(),
        "Adam, once more": adam(),
        "monitored, interval 1": gl.monitored(adam()),
        "monitored, interval 10": gl.monitored(adam(), every=10),
    }
    if args.histograms:
        sides["monitored, histograms, interval 10"] = gl.monitored(adam(), every=10, histograms=True)
    x, y = jax.random.normal(jax.random.key(1), (2, args.batch, args.width))
    runs, compile_s = {}, {}
    for label, tx in sides.items():
        params, state, step = start(tx, args.depth, args.width)
        began = time.perf_counter()
        runs[label] = (*jax.block_until_ready(step(params, state, x, y)), step)
        compile_s[label] = time.perf_counter() - began
    wall: dict[str, list[float]] = {label: [] for label in sides}
    cpu: dict[str, list[float]] = {label: [] for label in sides}
    for _ in range(args.rounds):
        for label, (params, state, step) in runs.items():
            clocks = time.perf_counter(), time.process_time()
            for _ in range(args.steps):
                params, state = step(params, state, x, y)
            jax.block_until_ready(params)
            wall[label].append(time.perf_counter() - clocks[0])
            cpu[label].append(time.process_time() - clocks[1])
            runs[label] = params, state, step
    what = f"MLP {args.depth} × {args.width}, batch {args.batch}"
    print(f"| {what} | median ms a step | over Adam, round by round | in CPU time | compile s |\n|---|---|---|---|---|")
    for label in sides:
        over = lambda seconds, label=label: statistics.median(
            a / b for a, b in zip(seconds[label], seconds["Adam"], strict=True)
        )
        ms = 1e3 * statistics.median(wall[label]) / args.steps
        print(f"| {label} | {ms:.0f} | {over(wall):.3f} | {over(cpu):.3f} | {compile_s[label]:.1f} |")


if __name__ == "__main__":
    main()
