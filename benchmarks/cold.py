"""What a user waits for: whole commands in new processes with empty caches, and first calls, beside another checkout.

    python benchmarks/cold.py --against ../before --torch PYTHON_WITH_TORCH

Sides take turns. Every process has a cache folder of its own, empty but for the rows that say "again": these run with
the folder that the same command has filled once. `--only` picks tables by the beginning of their names.
"""

import argparse
import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from in_turn import in_turn

HERE = Path(__file__).parent
GRID = ["--depth", "4", "8", "16", "32", "64", "128", "--width", "256", "--batch", "64"]
TWO_COLUMNS = ["--columns", "log10_delta_rms", "log10_weight_grad_norm"]
TRAIN = [
    "train", "--depth", "2", "4", "--width", "16", "--activation", "sigmoid", "relu", "--init", "xavier_normal",
    "he_normal", "--optimizer", "sgd", "adam", "--steps", "3", "--records", "2", "--seeds", "2",
]  # fmt: skip
#: Environment of JAX's own cache, which a checkout that does not switch it on needs.
CACHE = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0"}


class Process:
    """A command in a checkout, each time in a new process and with a new output folder.

    Parameters
    ----------
    tree : Path
        The checkout whose `gradlab` is imported.
    command : list of str
        ``{out}`` stands for a path that does not exist.
    again : bool
        Whether to run with the caches that one run has filled.
    """

    def __init__(self, tree: Path, command: list[str], again: bool = False):
        self.tree, self.command, self.again = tree, command, again
        self.home = tempfile.mkdtemp()
        if again:
            self.run()

    def run(self) -> str:
        """What the command prints."""
        home = self.home if self.again else tempfile.mkdtemp()
        env = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
        env |= {"PYTHONPATH": str(self.tree), "XDG_CACHE_HOME": home}
        if self.again:
            env |= {**CACHE, "JAX_COMPILATION_CACHE_DIR": f"{home}/jax"}
        command = [part.format(out=f"{tempfile.mkdtemp()}/run") for part in self.command]
        return subprocess.run(command, check=True, env=env, cwd=self.tree, stdout=subprocess.PIPE, text=True).stdout


def gradlab(*argv: str) -> list[str]:
    """The command line of gradlab, with an output folder."""
    return [sys.executable, "-m", "gradlab", *argv, "--quiet", "--out", "{out}"]


def tables(seeds: int, torch: str | None) -> dict[str, dict[str, tuple[list[str], bool]]]:
    """Table -> row -> command, and whether it runs with the caches of an earlier one; rows of ours begin with gradlab.

    The first row is what others are compared with.
    """
    first, grid = gradlab("sweep", "--report"), gradlab("sweep", *GRID, "--seeds", str(seeds))
    rival = ["--seeds", str(seeds), "--out", "{out}.parquet", *GRID]
    rivals = {"jax.grad loop": ([sys.executable, str(HERE / "rivals" / "jax_loop.py"), *rival], False)}
    if torch:
        rivals["PyTorch loop"] = ([torch, str(HERE / "rivals" / "torch_loop.py"), *rival], False)
    return {
        "README's first command": {"gradlab": (first, False), "gradlab again": (first, True)},
        f"36 networks × {seeds} seeds": {
            "gradlab, all columns": (grid, False),
            "gradlab, all columns, again": (grid, True),
            "gradlab, two columns": ([*grid, *TWO_COLUMNS], False),
            "gradlab, two columns, again": ([*grid, *TWO_COLUMNS], True),
            **rivals,
        },
        "16 small trainings": {"gradlab": (gradlab(*TRAIN), False), "gradlab again": (gradlab(*TRAIN), True)},
    }


def command_table(title: str, rows: dict[str, tuple[list[str], bool]], against: Path | None, runs: int) -> None:
    """Time the rows of a table in turn, in this checkout and in the other, and print them."""
    sides: dict[str, Callable[[], Any]] = {}
    for label, (command, again) in rows.items():
        sides[label] = Process(HERE.parent, command, again).run
        if against and label.startswith("gradlab"):
            sides[f"{label}, before"] = Process(against, command, again).run
    times = in_turn(sides, runs, warm_up=0)
    reference = next(iter(rows))
    print(f"| {title} | median s | CPU s | over {reference}, run by run | CPU |\n|---|---|---|---|---|")
    for side in sides:
        over = f"{times.over(side, reference):.2f} | {times.over(side, reference, cpu=True):.2f}"
        print(f"| {side} | {times.median(side):.1f} | {times.median(side, cpu=True):.1f} | {over} |", flush=True)
    print()


#: Sizes of the networks whose first calls are timed: depth, width, examples, outputs.
SHAPES = ((2, 8, 60, 3), (3, 8, 60, 3), (2, 8, 61, 3), (2, 9, 60, 3), (2, 8, 60, 4))
#: What has the shapes of the first network, and compiles nothing.
SAME_SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the same": ({}, {}),
    "another key": ({}, {"key": 1}),
    "another gain": ({"gain": 1.5}, {}),
    "three seeds": ({}, {"seeds": 3}),
    "another initialiser": ({"init": "he_normal"}, {}),
    "another variance of the biases": ({"sigma_b2": 0.1}, {}),
}


def first_calls() -> None:
    """In a process of its own: CPU seconds of first calls for each shape, and compilations of calls that have none."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import monitoring

    import gradlab as gl

    compiled = []
    monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    rng = np.random.default_rng(0)

    def measure(depth, width, examples, outputs, network, options):
        x, y = rng.normal(size=(examples, 5)).astype("float32"), np.arange(examples) % outputs
        net = gl.MLP(depth=depth, width=width, activation="tanh", **network)
        return x, y, functools.partial(gl.measure, net, x, y, **{"key": 0, "seeds": 1, **options})

    def loss(params, x, y):
        for weight, bias in params[:-1]:
            x = jnp.tanh(x @ weight + bias)
        weight, bias = params[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(x @ weight + bias), y[:, None], 1).mean()

    seconds = []
    for depth, width, examples, outputs in SHAPES:
        x, y, ours = measure(depth, width, examples, outputs, {}, {})
        sizes = [x.shape[1], *[width] * depth, outputs]
        params = [(np.ones((n, m), "float32"), np.ones(m, "float32")) for n, m in itertools.pairwise(sizes)]
        theirs = functools.partial(jax.jit(jax.value_and_grad(loss)), params, x, y)
        seconds.append(in_turn({"gradlab": ours, "jit(value_and_grad)": theirs}, 1, warm_up=0).cpu)
    counts = {}
    for label, (network, options) in SAME_SHAPES.items():
        before = len(compiled)
        measure(*SHAPES[0], network, options)[-1]()
        counts[label] = len(compiled) - before
    print(json.dumps({"seconds": seconds, "compilations": counts}))


def first_calls_table(against: Path | None, runs: int) -> None:
    """Print what first calls of `gl.measure` take in CPU time beside the gradient of the same network."""
    command = [sys.executable, str(Path(__file__).resolve()), "--first-calls"]
    trees = {"": HERE.parent} | ({", before": against} if against else {})
    processes = {name: Process(tree, command) for name, tree in trees.items()}
    found: dict[str, list[Any]] = {name: [] for name in trees}
    for _ in range(runs):
        for name, process in processes.items():
            found[name].append(json.loads(process.run()))
    median = lambda values: sorted(values)[len(values) // 2]
    print("| first gl.measure: depth, width, examples, outputs | CPU s | jit(value_and_grad) | ratio, run by run |")
    print("|---|---|---|---|")
    for name, results in found.items():
        for i, shape in enumerate(SHAPES):
            ours, theirs = ([r["seconds"][i][side][0] for r in results] for side in ("gradlab", "jit(value_and_grad)"))
            ratio = median([a / b for a, b in zip(ours, theirs, strict=True)])
            print(f"| {shape}{name} | {median(ours):.2f} | {median(theirs):.2f} | {ratio:.1f} |")
    print(
        "\n| then, same shapes | "
        + " | ".join(f"compilations{name}" for name in trees)
        + " |\n|---|"
        + "---|" * len(trees)
    )
    for label in SAME_SHAPES:
        print(f"| {label} | " + " | ".join(str(r[-1]["compilations"][label]) for r in found.values()) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=10, help="of the sweep of 36 networks")
    parser.add_argument("--against", type=Path, help="another checkout of gradlab")
    parser.add_argument("--torch", help="a Python that has PyTorch; left out without it")
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of the names of tables")
    parser.add_argument("--first-calls", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.first_calls:
        first_calls()
        return
    against = args.against and args.against.resolve()
    wanted = lambda title: title.startswith(tuple(args.only))
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        for title, rows in tables(args.seeds, args.torch).items():
            if wanted(title):
                command_table(title, rows, against, args.runs)
        if wanted("first calls"):
            first_calls_table(against, args.runs)


if __name__ == "__main__":
    main()
