"""What the monitor costs: a jitted Adam step with and without it, in one interleaved run.

    python benchmarks/monitor.py
    python benchmarks/monitor.py --depth 14 --width 256        small layers, where what a step has more weighs most

MLP of 10 layers of 1024 units, ReLU, batch 256, float32; parameters and optimiser state are donated. Each round
times ten steps of each side, so that every tenth step is in it; the ratio is taken round by round.

XLA asks the C library for some 30 MiB in each step. Whether glibc keeps such a block, or hands it back to the system
and takes it page by page in the next step, hangs on a threshold of 32 MiB and on what ran before: it is worth a tenth
of a step, also between two sides of the same code. So the processes that are measured keep their memory (`--malloc
default` leaves glibc as it is), there are several of them, each with its sides in another order, and JAX's profiler
says what part of a step is spent inside the conditions in which the monitor reads.
"""

import argparse
import functools
import gzip
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from in_turn import in_turn

import gradlab as gl


def loss(params, x, y):
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["weight"] + layer["bias"])
    return jnp.mean((x @ params[-1]["weight"] + params[-1]["bias"] - y) ** 2)


#: What glibc does not hand back to the system; read when a process starts.
KEPT = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_TOP_PAD_": str(2**28)}


def reading(tx):
    """The least there is to do for three norms a layer: three of its arrays are read once more, nothing is computed."""

    def square(due, x):
        return jax.lax.cond(due, lambda x: jnp.vdot(x, x, precision="highest"), lambda x: jnp.zeros(()), x)

    def update(grads, state, params):
        inner, sums = state
        updates, inner = tx.update(grads, inner, params)
        arrays = [layer["weight"] for tree in (grads, inner[0].mu, params) for layer in tree]
        return updates, (inner, jnp.stack([square(sums[0] >= 0, x) for x in arrays]))

    init = lambda params: (tx.init(params), jnp.zeros(3 * len(params)))
    return optax.GradientTransformation(init, update)


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


def in_conditions(side: tuple, data: tuple, steps: int) -> tuple[tuple, float]:
    """The side after some more steps, and the part of their time that passed inside conditions."""
    params, state, step = side
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            began = time.perf_counter()
            for _ in range(steps):
                params, state = step(params, state, *data)
            jax.block_until_ready(params)
            whole = 1e6 * (time.perf_counter() - began)
        (found,) = Path(folder).rglob("*.trace.json.gz")
        events = json.loads(gzip.decompress(found.read_bytes()))["traceEvents"]
    spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("ph") == "X" and e["name"].startswith("cond"))
    inside, end = 0.0, 0.0
    for begins, ends in spans:  # one condition may lie in another
        inside += max(0.0, ends - max(begins, end))
        end = max(end, ends)
    return (params, state, step), inside / whole


def measured(args: argparse.Namespace, process: int) -> dict[str, tuple[float, ...]]:
    """Of each side: ms a step, time over Adam's (medians over rounds), part inside conditions, seconds to compile."""
    adam = lambda: optax.adam(1e-4)
    sides = {
        "Adam": adam(),
        "Adam, once more": adam(),
        "three arrays a layer read": reading(adam()),
        "monitored, interval 1": gl.monitored(adam()),
        "monitored, interval 10": gl.monitored(adam(), every=10),
    }
    if args.histograms:
        sides["monitored, histograms, interval 10"] = gl.monitored(adam(), every=10, histograms=True)
    data = jax.random.normal(jax.random.key(1), (2, args.batch, args.width))
    runs, compile_s = {}, {}
    for label in random.Random(process).sample(list(sides), len(sides)):
        params, state, step = start(sides[label], args.depth, args.width)
        began = time.perf_counter()
        runs[label] = (*jax.block_until_ready(step(params, state, *data)), step)
        compile_s[label] = time.perf_counter() - began

    def some_steps(label):
        params, state, step = runs[label]
        for _ in range(args.steps):
            params, state = step(params, state, *data)
        runs[label] = params, state, step
        return params

    times = in_turn({label: functools.partial(some_steps, label) for label in runs}, args.rounds, warm_up=0)
    inside = {}
    for label in runs:
        runs[label], inside[label] = in_conditions(runs[label], data, 2 * args.steps)
    ms = {label: 1e3 * times.median(label) / args.steps for label in sides}
    return {label: (ms[label], times.over(label, "Adam"), inside[label], compile_s[label]) for label in sides}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    options = (("depth", 10), ("width", 1024), ("batch", 256), ("rounds", 5), ("steps", 10), ("processes", 12))
    for name, value in options:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--histograms", action="store_true", help="time histograms too")
    parser.add_argument("--malloc", choices=["kept", "default"], default="kept", help="what glibc does with memory")
    args = parser.parse_args()
    if args.malloc == "kept":
        os.environ.update(KEPT)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:  # one at a time, each afresh
        found = [pool.apply(measured, (args, process)) for process in range(args.processes)]
    what = f"MLP {args.depth} × {args.width}, batch {args.batch}"
    print(f"| {what} | ms a step | over Adam | of {args.processes} processes | inside conditions | compile s |")
    print("|---|---|---|---|---|---|")
    for label in found[0]:
        columns = list(zip(*(side[label] for side in found), strict=True))
        ms, over, inside, compile_s = map(statistics.median, columns)
        spread = f"{min(columns[1]):.2f}–{max(columns[1]):.2f}"
        print(f"| {label} | {ms:.0f} | {over:.3f} | {spread} | {100 * inside:.1f} % | {compile_s:.1f} |")


if __name__ == "__main__":
    main()
