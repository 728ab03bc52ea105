"""What has to be computed, and in which composition: a function of the requests alone.

A sweep is cut into units: networks of one group on one range of ten seeds. A unit is the
least that is computed and kept, always whole, so that what is missing never decides what is
stacked with what, and a resumed sweep has the bits of an undisturbed one. A folder that was extended
keeps its earlier requests; each extension is a generation with units of its own, made of
the rows that it added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gradlab.config import NetworkConfig, Sweep, content_hash
from gradlab.frames.files import part_name
from gradlab.sweep.grid import networks, stem
from gradlab.sweep.task import Cost, Task

if TYPE_CHECKING:
    import pandas as pd

#: Seeds in one range: 0-9, 10-19, ...
SEED_RANGE = 10
#: Networks of one unit at most; a larger group is several units.
UNIT_NETWORKS = 512


@dataclass(frozen=True)
class Unit:
    """Hold networks of one group on the same seeds: computed together and whole, and kept as one file.

    Parameters
    ----------
    group : hashable
        What the networks have in common, from `Task.group`.
    configs : tuple of NetworkConfig
        The networks, in the order in which they are computed.
    hashes : tuple of str
        The content hash of each network: of its configuration and everything else that its rows depend on.
    seeds : tuple of int
        The seeds that all of them share, ascending.
    """

    group: Hashable
    configs: tuple[NetworkConfig, ...]
    hashes: tuple[str, ...]
    seeds: tuple[int, ...]

    @cached_property
    def name(self) -> str:
        """Return the name of its file: the hash over the content hashes and the seeds."""
        return part_name(self.hashes, self.seeds)

    def cut(self, size: int) -> list[Unit]:
        """Return the same networks in units of at most `size`, to be computed where the whole cannot be."""
        return [
            Unit(self.group, self.configs[i : i + size], self.hashes[i : i + size], self.seeds)
            for i in range(0, len(self.configs), size)
        ]

    def label(self) -> str:
        """Return a short description for messages."""
        more = f" and {len(self.configs) - 1} more" if len(self.configs) > 1 else ""
        return f"{self.configs[0].label()}{more}"


def plan(history: Sequence[Sweep], task: Task, context: Mapping[str, Any]) -> list[Unit]:
    """All units of a sweep.

    Parameters
    ----------
    history : sequence of Sweep
        The requests of the folder, each an extension of the one before it, the last the present one.
    task : Task
        What turns networks into rows.
    context : mapping
        Everything besides the network, the seed and ``task.key`` that the rows depend on.

    Returns
    -------
    list of Unit
        Every network and seed of the last request stands in exactly one of them.
    """
    # of each network once, not for every range of its seeds
    hashes: dict[NetworkConfig, str] = {}
    stems: dict[NetworkConfig, str] = {}
    done: dict[NetworkConfig, set[int]] = {}
    units = []
    for sweep in history:
        together: dict[tuple, list[NetworkConfig]] = {}
        fresh = seed_ranges(sweep.seed_numbers)
        for config in networks(sweep):
            if config not in hashes:
                identity = {"config": config.as_dict(), "functions": dict(task.key(config)), "context": dict(context)}
                hashes[config], stems[config] = content_hash(identity, 16), stem(config)
            before, group = done.setdefault(config, set()), task.group(config)
            for seeds in seed_ranges(set(sweep.seed_numbers) - before) if before else fresh:
                together.setdefault((group, seeds), []).append(config)
            before.update(sweep.seed_numbers)
        for (group, seeds), configs in together.items():
            for some in _cut(configs, stems):
                units.append(Unit(group, tuple(some), tuple(hashes[c] for c in some), seeds))
    return units


def seed_ranges(seeds: Iterable[int]) -> list[tuple[int, ...]]:
    """The seeds, ascending, cut at multiples of `SEED_RANGE`."""
    ranges: dict[int, list[int]] = {}
    for seed in sorted(seeds):
        ranges.setdefault(seed // SEED_RANGE, []).append(seed)
    return [tuple(some) for some in ranges.values()]


def _cut(configs: Sequence[NetworkConfig], stems: Mapping[NetworkConfig, str]) -> Iterator[list[NetworkConfig]]:
    """At most `UNIT_NETWORKS` at a time; networks that differ in depth alone stay neighbours."""
    nested: dict[str, list[NetworkConfig]] = {}
    for config in configs:
        nested.setdefault(stems[config], []).append(config)
    ordered = [config for family in nested.values() for config in family]
    for start in range(0, len(ordered), UNIT_NETWORKS):
        yield ordered[start : start + UNIT_NETWORKS]


def forecast(units: Iterable[Unit], task: Task, lacks: Callable[[Unit], bool]) -> pd.DataFrame:
    """What the units would cost, nothing computed: one row per unit.

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
        disk_bytes``. `runs` counts network × seed; a program counts where it is first compiled;
        a unit of which nothing is missing costs 0.
    """
    import pandas as pd

    compiled, rows = set(), []
    costs: dict[tuple, Cost] = {}  # units of the same networks on as many seeds cost the same
    for unit in units:
        missing, configs, cost = lacks(unit), unit.configs, Cost(0, 0.0, 0, 0)
        again = (unit.group, configs) in compiled
        if missing:
            compiled.add((unit.group, configs))
            kind = (configs, len(unit.seeds))
            if kind not in costs:
                costs[kind] = task.cost(configs, unit.seeds)
            cost = costs[kind]
        rows.append(
            {
                "group": str(unit.group),
                "first_seed": unit.seeds[0],
                "last_seed": unit.seeds[-1],
                "networks": len(configs),
                "runs": len(configs) * len(unit.seeds),
                "missing": missing,
                "programs": 0 if again else cost.programs,
                "flops": cost.flops,
                "memory_bytes": cost.memory,
                "disk_bytes": cost.disk,
            }
        )
    return pd.DataFrame(rows)


def describe(forecast: pd.DataFrame, networks: int) -> str:
    """The forecast in one line."""
    to_do = forecast[forecast["missing"]]
    return (
        f"{networks} networks, {forecast['runs'].sum()} runs in {len(forecast)} units, "
        f"of which {len(to_do)} to compute: "
        f"{to_do['programs'].sum()} programs, {scaled(to_do['flops'].sum(), 'FLOP')}, "
        f"{scaled(to_do['memory_bytes'].max() if len(to_do) else 0, 'B')} of memory, "
        f"{scaled(to_do['disk_bytes'].sum(), 'B')} on disk"
    )


def scaled(value: float, unit: str) -> str:
    """A number with a metric prefix: ``191 GFLOP``."""
    power = min(max(int(math.log10(value) // 3), 0), 6) if value >= 1 else 0
    return f"{value / 1000**power:.3g} {['', 'k', 'M', 'G', 'T', 'P', 'E'][power]}{unit}"
