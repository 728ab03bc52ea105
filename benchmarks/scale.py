"""What many networks cost: a simulated run of 100,000, real ones up to 20,000, workers, and a second start.

    python benchmarks/scale.py --simulate 100000
    python benchmarks/scale.py --networks 10 100 1000 10000 20000 --keep runs/scale
    python benchmarks/scale.py --workers 10000
    python benchmarks/scale.py --starts
    python benchmarks/scale.py --forecast

Each run is a process of its own. With `--keep` a run that was stopped goes on where it was, and `--minutes` stops it by
itself: give the same command again until it prints the table.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab._types import COORDINATES, MEASURED
from gradlab.frames.rows import network_hash
from gradlab.measurement.stats import ON_REQUEST, TRAINING
from gradlab.sweep.measure_task import MeasureTask
from gradlab.sweep.plan import plan
from gradlab.sweep.request import Request
from gradlab.sweep.run import _load
from gradlab.sweep.task import Cost, Task

HERE = Path(__file__).parent


class Prepared(Task):
    """Return rows that cost nothing, with the columns of a measurement: what remains is the engine and the store."""

    @property
    def settings(self):
        return {"name": "prepared"}

    def key(self, config):
        return {}

    def group(self, config):
        return (config.width,)

    def cost(self, configs, seeds):
        return Cost(0, 1e6 * len(configs) * len(seeds), 0, 0)

    def rows(self, configs, seeds):
        layers = np.concatenate([np.tile(np.arange(1, c.depth + 2), len(seeds)) for c in configs])
        sizes = [len(seeds) * (c.depth + 1) for c in configs]
        each = lambda values: np.repeat(np.array(values, dtype=object if isinstance(values[0], str) else None), sizes)
        rows: dict[str, Any] = dict.fromkeys(COORDINATES, 1.0)
        rows |= {"network": each([network_hash(c) for c in configs]), "architecture": "mlp", "init": "gaussian"}
        rows |= {"depth": each([c.depth for c in configs]), "width": 64, "batch": 32, "fan_in": 64, "fan_out": 64}
        rows |= {"activation": each([c.activation for c in configs]), "sigma_w2": each([c.sigma_w2 for c in configs])}
        rows |= {"loss": self.loss, "data": self.data.name, "dtype": self.dtype, "status": "ok", "step": 0}
        rows |= {"seed": np.concatenate([np.repeat(seeds, c.depth + 1) for c in configs]), "layer": layers}
        rows["layer_name"] = np.where(layers > each([c.depth for c in configs]), "readout", "hidden").astype(object)
        names = [name for name in MEASURED if name not in (*TRAINING, *ON_REQUEST)]
        values = np.random.default_rng(len(configs)).normal(size=(len(names), len(layers)))
        return [pd.DataFrame(rows | dict(zip(names, values, strict=True)))]


class Timed(Task):
    """Measure, and add up what the measurement itself took: the rest is the engine and the store."""

    def __init__(self, sweep, data):
        super().__init__(sweep, data)
        self.inner, self.seconds = MeasureTask(sweep, data), 0.0
        self.settings, self.key, self.group, self.cost = (
            self.inner.settings, self.inner.key, self.inner.group, self.inner.cost,
        )  # fmt: skip

    settings = key = group = cost = None  # those of the inner task

    def rows(self, configs, seeds):
        start = time.perf_counter()
        try:
            return self.inner.rows(configs, seeds)
        finally:
            self.seconds += time.perf_counter() - start


def grid(networks: int, depths: int, seeds: int) -> gl.Sweep:
    """A grid of about so many networks: depths spread up to `depths`, ReLU and tanh, as many variances as it takes."""
    few = sorted({round(d) for d in np.linspace(1, depths, min(depths, max(networks // 20, 5)))})
    variances = max(1, round(networks / len(few) / 2))
    return gl.Sweep(
        depth=few, width=64, batch=32, activation=["relu", "tanh"], init="gaussian", seeds=seeds,
        sigma_w2=[round(0.5 + 3 * i / variances, 6) for i in range(variances)],
    )  # fmt: skip


def peak_memory() -> float:
    """The largest memory of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def simulate(networks: int) -> None:
    """Print what a simulated run takes, from the request to the page; and what reading its rows takes."""
    out = Path(tempfile.mkdtemp()) / "run"
    steps, start = [], time.perf_counter()

    def done(what: str) -> None:
        nonlocal start
        steps.append((what, time.perf_counter() - start, peak_memory()))
        start = time.perf_counter()

    sweep = grid(networks, 16, 1)
    done("the grid")
    loaded = _load(sweep, None)
    worker = Prepared(*loaded)
    request = Request.of(loaded[0], loaded[1], worker)
    units = plan(request.history, worker, request.context)
    done("keys and plan")
    rows = gl.run(sweep, out=out, task=Prepared, progress=False, read=["network", "status"])
    done("the run: rows, store, assembly")
    gl.run(sweep, out=out, task=Prepared, progress=False, read=["network", "status"])
    done("the same run again")
    files = sum(path.is_file() for path in out.rglob("*"))
    frame = gl.load(out).frame
    done("gl.load")
    gl.summarise(frame, by=["activation", "layer"], columns=["log10_delta_rms", "log10_weight_grad_norm"])
    done("gl.summarise of two columns")
    few = frame[(frame["depth"] == 16) & frame["sigma_w2"].isin(sweep.sigma_w2[:8])]
    axes = gl.plots.gradient_flow(few, value="log10_delta_rms", hue="sigma_w2", style="activation")
    gl.plots.save(axes, out / "figure.png")
    done("one figure, of 16 networks")
    del frame
    print(
        f"| {rows['network'].nunique():,} networks, {len(rows):,} rows, {len(units)} units, {files} files | s | GiB |"
    )
    print("|---|---|---|")
    for what, seconds, memory in steps:
        print(f"| {what} | {seconds:.1f} | {memory:.2f} |")
    command = [sys.executable, "-m", "gradlab", "report", str(out)]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=HERE.parent)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"| `gradlab report` in a process of its own | {time.perf_counter() - start:.1f} | {children:.2f} |")


def one_run(networks: int, out: Path) -> None:
    """In a process of its own: run a grid, and note what this session took beside what the folder has already."""
    notes = out.with_suffix(".json")
    before = json.loads(notes.read_text()) if notes.exists() else {"wall": 0.0, "compute": 0.0, "memory": 0.0}
    sweep, tasks, start = grid(networks, 64, 2), [], time.perf_counter()

    def task(sweep, data):
        tasks.append(Timed(sweep, data))
        return tasks[-1]

    def keep(ended: bool, rows: int = 0) -> None:
        wall = before["wall"] + time.perf_counter() - start
        compute = before["compute"] + sum(t.seconds for t in tasks)
        memory = max(before["memory"], peak_memory())
        note = {"wall": wall, "compute": compute, "memory": memory, "ended": ended, "rows": rows}
        notes.write_text(json.dumps(note | {"networks": len(list(sweep.configs()))}))

    try:
        rows = gl.run(sweep, out=out, task=task, progress=False, cache=False, read=["network"])
    except KeyboardInterrupt:
        keep(False)
        raise
    keep(True, len(rows))


def many(sizes: list[int], keep: Path, minutes: float) -> None:
    """Run grids of several sizes, and print the table once all have ended."""
    keep.mkdir(parents=True, exist_ok=True)
    end, notes = time.monotonic() + 60 * minutes, []
    for size in sizes:
        note = keep / f"networks-{size}.json"
        if not (note.exists() and json.loads(note.read_text())["ended"]):
            command = [sys.executable, __file__, "--one", str(size), "--keep", str(keep)]
            process = subprocess.Popen(command)
            try:
                process.wait(max(end - time.monotonic(), 1))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                process.wait()
                print(f"stopped at {size} networks after {minutes:g} minutes; the same command goes on")
                return
            if process.returncode:
                sys.exit(f"{size} networks ended with {process.returncode}")
        notes.append(json.loads(note.read_text()))
    print("| networks | rows | wall s | ms a network | engine and store over compute | peak GiB |")
    print("|---|---|---|---|---|---|")
    for n in notes:
        rest = 100 * (n["wall"] - n["compute"]) / n["compute"]
        each = 1000 * n["wall"] / n["networks"]
        size = f"{n['networks']:,} | {n['rows']:,}"
        print(f"| {size} | {n['wall']:.1f} | {each:.1f} | {rest:.1f} % | {n['memory']:.2f} |")


def workers(networks: int) -> None:
    """Compare one serial process on one core with two workers of dask, each a new process with empty caches."""
    code = (
        "import sys, gradlab as gl; sys.path.insert(0, {here!r}); from scale import grid\n"
        "if __name__ == '__main__': gl.run(grid({n}, 64, 2), out={out!r}, progress=False, cache=False{more})"
    )
    seconds = {}
    both = os.sched_getaffinity(0)
    sides = {"serial, on one core": ("", {min(both)}), "dask, 2 workers": (", executor='dask', workers=2", both)}
    for label, (more, cores) in sides.items():
        folder = Path(tempfile.mkdtemp())
        script = folder / "run.py"
        script.write_text(code.format(here=str(HERE), n=networks, out=str(folder / "run"), more=more))
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, str(script)], check=True, preexec_fn=lambda c=cores: os.sched_setaffinity(0, c),
            env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        )  # fmt: skip
        seconds[label] = time.perf_counter() - start
    first = next(iter(seconds.values()))
    print(f"| {networks} networks, 2 seeds | s | times as fast |\n|---|---|---|")
    for label, took in seconds.items():
        print(f"| {label} | {took:.1f} | {first / took:.2f} |")


def starts(runs: int) -> None:
    """Compare a first start of the default sweep with one that finds its compiled programs in the cache."""
    from cold import Process, gradlab
    from in_turn import in_turn

    command = gradlab("sweep")
    sides = {"cold": Process(HERE.parent, command).run, "again": Process(HERE.parent, command, again=True).run}
    times = in_turn(sides, runs, warm_up=0)
    print("| default sweep, whole process | median s | CPU s | over cold, run by run |\n|---|---|---|---|")
    for side in sides:
        took, cpu = times.median(side), times.median(side, cpu=True)
        print(f"| {side} | {took:.1f} | {cpu:.1f} | {times.over(side, 'cold'):.2f} |")


#: Sweeps whose forecast is compared with what they take.
FORECAST = {
    "the default sweep": gl.Sweep(),
    "the same, 20 seeds": gl.Sweep(seeds=20),
    "400 small networks": grid(400, 64, 2),
    "residual networks": gl.Sweep(architecture="resnet", depth=[4, 16], activation=["relu", "tanh"], init="he_normal"),
    "transformers": gl.Sweep(architecture="transformer", depth=[2, 4], batch=32, seeds=4),
}


def forecasts() -> None:
    """Compare the seconds that a dry run says with those that the sweep takes."""
    print("| sweep | forecast s | true s | forecast over true |\n|---|---|---|---|")
    for label, sweep in FORECAST.items():
        said = gl.run(sweep, dry_run=True, progress=False)["seconds"].sum()
        start = time.perf_counter()
        gl.run(sweep, progress=False)
        took = time.perf_counter() - start
        print(f"| {label} | {said:.1f} | {took:.1f} | {said / took:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulate", type=int, help="networks of a run that computes nothing")
    parser.add_argument("--networks", type=int, nargs="+", help="sizes of grids that are measured")
    parser.add_argument("--workers", type=int, help="networks that two workers of dask compute, and one serial process")
    parser.add_argument("--starts", action="store_true", help="first and second start of the default sweep")
    parser.add_argument("--forecast", action="store_true", help="forecasts of dry runs beside what the sweeps take")
    parser.add_argument("--runs", type=int, default=3, help="of each start")
    parser.add_argument("--keep", type=Path, default=Path("runs/scale"), help="folder of the measured grids")
    parser.add_argument("--minutes", type=float, default=7.5, help="after which --networks stops")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one_run(args.one, args.keep / f"networks-{args.one}")
    if args.simulate:
        simulate(args.simulate)
    if args.networks:
        many(args.networks, args.keep, args.minutes)
    if args.workers:
        workers(args.workers)
    if args.starts:
        starts(args.runs)
    if args.forecast:
        forecasts()


if __name__ == "__main__":
    main()
