"""What a sweep would cost, before it runs: programs, operations, bytes, and minutes by a few seconds of real work."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from gradlab.core.execute import expecting
from gradlab.sweep.plan import Unit
from gradlab.sweep.task import Cost, Task

if TYPE_CHECKING:
    import pandas as pd

#: Seconds that a common machine takes to compile a program, where none was compiled here to try.
COMPILE_SECONDS = 2.0
#: Networks of a sample, and the seconds that one may take by the forecast: a longer one is not tried.
SAMPLE_NETWORKS, SAMPLE_SECONDS = 12, 3.0
#: Kinds of networks of which a sample is computed: those that the forecast gives the most time.
SAMPLES = 3
#: Seconds by the forecast, without those of the compiler, below which a sweep is not worth a sample.
WORTH_A_SAMPLE = 0.1


def forecast(units: Iterable[Unit], task: Task, lacks: Callable[[Unit], bool]) -> pd.DataFrame:
    """Estimate what the units would cost, nothing computed: one row per unit.

    Parameters
    ----------
    units : iterable of Unit
        As returned by `plan`.
    task : Task
        Whose `cost` is asked.
    lacks : callable
        Whether a unit has to be computed.

    Returns
    -------
    DataFrame
        ``group, first_seed, last_seed, networks, runs, missing, programs, flops, memory_bytes,
        disk_bytes, seconds``. `runs` counts network × seed; a program counts where it is first compiled;
        a unit of which nothing is missing costs 0; `seconds` are those of a common machine of two cores.
    """
    import pandas as pd

    compiled, rows = set(), []
    costs: dict[tuple, Cost] = {}  # units of the same networks on as many seeds cost the same
    for unit in units:
        missing, cost, programs = lacks(unit), Cost(0, 0.0, 0, 0), 0
        if missing:
            kind = (unit.hashes, len(unit.seeds))
            if kind not in costs:
                costs[kind] = task.cost(unit.configs, unit.seeds)
            cost = costs[kind]
            programs = 0 if unit.hashes in compiled else cost.programs
            compiled.add(unit.hashes)
        rows.append(
            {
                "group": str(unit.group),
                "first_seed": unit.seeds[0],
                "last_seed": unit.seeds[-1],
                "networks": len(unit.configs),
                "runs": len(unit.configs) * len(unit.seeds),
                "missing": missing,
                "programs": programs,
                "flops": cost.flops,
                "memory_bytes": cost.memory,
                "disk_bytes": cost.disk,
                "seconds": cost.seconds + COMPILE_SECONDS * programs,
            }
        )
    return pd.DataFrame(rows)


def calibrated(table: pd.DataFrame, units: Sequence[Unit], task: Task) -> pd.DataFrame:
    """Correct the seconds of a forecast by a small real piece of the sweep.

    A few networks of a unit are computed twice on two seeds. The second time says how fast this machine computes
    such networks, the first one besides how long it compiles.

    Parameters
    ----------
    table : DataFrame
        From `forecast`, in the order of `units`.
    units : sequence of Unit
        The units.
    task : Task
        What computes them.

    Returns
    -------
    DataFrame
        With other `seconds`. ``attrs["sample"]`` says how many networks were computed; 0 where the sweep is too short
        for a sample or one network is too long for it.
    """
    table = table.assign()
    table.attrs["sample"] = 0
    compiling = COMPILE_SECONDS * table["programs"]
    running = table["seconds"] - compiling
    if running.sum() < WORTH_A_SAMPLE:
        return table
    speeds: dict[str, float] = {}
    compiler = []
    by_group = running[table["missing"]].groupby(table["group"]).agg(["sum", "idxmax"]).sort_values("sum")
    for group, place in by_group["idxmax"].iloc[::-1].iloc[:SAMPLES].items():
        sample = _sample(units[place], task)
        if sample is not None:
            first, second = _seconds(sample, task), _seconds(sample, task)
            cost = task.cost(sample.configs, sample.seeds)
            speeds[group] = second / cost.seconds
            compiler.append(max(first - second, 0) / max(cost.programs, 1))
            table.attrs["sample"] += len(sample.configs)
    if speeds:
        usual = math.exp(sum(map(math.log, speeds.values())) / len(speeds))
        speed = table["group"].map(lambda group: speeds.get(group, usual))
        table["seconds"] = running * speed + compiling / COMPILE_SECONDS * sum(compiler) / len(compiler)
    return table


def _sample(unit: Unit, task: Task) -> Unit | None:
    """Return some networks of a unit on two of its seeds; None where even one network takes too long."""
    count = min(len(unit.configs), SAMPLE_NETWORKS)
    while count:
        # evenly spread, the last of them among them
        places = [(i + 1) * len(unit.configs) // count - 1 for i in range(count)]
        configs = tuple(unit.configs[i] for i in places)
        if task.cost(configs, unit.seeds[:2]).seconds <= SAMPLE_SECONDS:
            # the programs are compiled as those of the whole unit are
            runs = unit.runs * len(unit.configs) // count
            return Unit(unit.group, configs, tuple(unit.hashes[i] for i in places), unit.seeds[:2], runs)
        count //= 2
    return None


def _seconds(unit: Unit, task: Task) -> float:
    """Return how long a unit takes."""
    start = time.perf_counter()
    with expecting(unit.runs):
        task.rows(unit.configs, unit.seeds)
    return time.perf_counter() - start


def describe(table: pd.DataFrame, networks: int) -> str:
    """Write the forecast in one line."""
    to_do = table[table["missing"]]
    sample = table.attrs.get("sample")
    source = f"by {sample} networks that were computed" if sample else "on a common machine of two cores"
    return (
        f"{networks} networks, {table['runs'].sum()} runs in {len(table)} units, "
        f"of which {len(to_do)} to compute: "
        f"{to_do['programs'].sum()} programs, {scaled(to_do['flops'].sum(), 'FLOP')}, "
        f"{scaled(to_do['memory_bytes'].max() if len(to_do) else 0, 'B')} of memory, "
        f"{scaled(to_do['disk_bytes'].sum(), 'B')} on disk, about {duration(to_do['seconds'].sum())} {source}"
    )


def scaled(value: float, unit: str) -> str:
    """Write a number with a metric prefix: ``191 GFLOP``."""
    power = min(max(int(math.log10(value) // 3), 0), 6) if value >= 1 else 0
    return f"{value / 1000**power:.3g} {['', 'k', 'M', 'G', 'T', 'P', 'E'][power]}{unit}"


def duration(seconds: float) -> str:
    """Write a time: ``12 s``, ``3.5 min`` or ``2.1 h``."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.2g} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
