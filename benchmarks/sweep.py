"""Whole sweeps as whole processes, from start to table on disk, gradlab beside its rivals, in turn.

    python benchmarks/sweep.py --runs 3 --torch PYTHON_WITH_TORCH

Every side writes the same two columns; the cost of gradlab's full record stands beside it. The
compilation cache is off, but for the row that says so.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
GRID = ["--depth", "4", "8", "16", "32", "64", "128", "--width", "256", "--batch", "64"]
COLUMNS = ["--columns", "log10_delta_rms", "log10_weight_grad_norm"]


def commands(seeds: int, torch: str | None, full: bool) -> dict[str, list[str]]:
    sweep = [sys.executable, "-m", "gradlab", "sweep", *GRID, "--seeds", str(seeds), "--quiet", "--out", "{out}"]
    rival = ["--seeds", str(seeds), "--out", "{out}.parquet", *GRID]
    found = {"gradlab": [*sweep, *COLUMNS]}
    if full:
        found["gradlab, all columns"] = sweep
        found["gradlab, second run, cache on"] = [*sweep, *COLUMNS]
    if full:
        found["jax.grad loop"] = [sys.executable, str(HERE / "rivals" / "jax_loop.py"), *rival]
    if torch:
        found["PyTorch loop"] = [torch, str(HERE / "rivals" / "torch_loop.py"), *rival]
    return found


def timed(command: list[str], folder: Path, cache: Path | None) -> float:
    env = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION")}
    env["PYTHONPATH"] = str(HERE.parent)
    if cache:
        env |= {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        env["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
    out = tempfile.mkdtemp(dir=folder)
    start = time.perf_counter()
    subprocess.run([c.format(out=f"{out}/run") for c in command], check=True, env=env, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--torch", help="a Python that has PyTorch; left out without it")
    parser.add_argument("--short", action="store_true", help="gradlab and PyTorch alone")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "cache"
        table = commands(args.seeds, args.torch, not args.short)
        seconds: dict[str, list[float]] = {k: [] for k in table}
        if not args.short:
            timed(table["gradlab"], folder, cache)  # fills the cache
        for _ in range(args.runs):
            for label, command in table.items():
                seconds[label].append(timed(command, folder, cache if "cache on" in label else None))
    base = seconds["gradlab"]
    print(f"| whole process, {args.seeds} seeds | median s | over gradlab, run by run |\n|---|---|---|")
    for label, values in seconds.items():
        ratio = statistics.median(v / b for v, b in zip(values, base, strict=True))
        print(f"| {label} | {statistics.median(values):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
