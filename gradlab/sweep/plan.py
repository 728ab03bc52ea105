"""Plan what has to be computed, and what is computed together: both follow from the requests alone.

A sweep is cut into units: networks of one group on a few seeds, which take some seconds by a forecast that knows
nothing of this machine. A unit is the least that is computed and kept, always whole, so that what is missing never
decides what is stacked with what, and a resumed sweep has the bits of an undisturbed one. A folder that was extended
keeps its earlier requests; each extension is a generation with units of its own, made of the rows that it added.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gradlab.config import NetworkConfig, Sweep, content_hash
from gradlab.frames.files import part_name
from gradlab.sweep.grid import networks, stem
from gradlab.sweep.task import Task

#: Seeds in one range: 0-9, 10-19, ...
SEED_RANGE = 10
#: Networks of one unit at most; a larger group is several units.
UNIT_NETWORKS = 512
#: Seconds of a unit on a common machine, at least and at most, and into how many units a sweep between is cut. What is
#: compiled comes on top, once for all units of the same networks.
SHORTEST, LONGEST, SLICES = 0.5, 20.0, 8


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
    runs : int
        For how many seeds the request has the same networks computed, in this unit and others. The programs are
        compiled for speed or in little time by it.
    """

    group: Hashable
    configs: tuple[NetworkConfig, ...]
    hashes: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: int = 1

    @cached_property
    def name(self) -> str:
        """Return the name of its file: the hash over the content hashes and the seeds."""
        return part_name(self.hashes, self.seeds)

    def cut(self, size: int) -> list[Unit]:
        """Return the same networks in units of at most `size`, to be computed where the whole cannot be."""
        return [
            replace(self, configs=self.configs[i : i + size], hashes=self.hashes[i : i + size])
            for i in range(0, len(self.configs), size)
        ]

    def label(self) -> str:
        """Return a short description for messages."""
        more = f" and {len(self.configs) - 1} more" if len(self.configs) > 1 else ""
        return f"{self.configs[0].label()}{more}"


def plan(history: Sequence[Sweep], task: Task, context: Mapping[str, Any]) -> list[Unit]:
    """Cut a sweep into units.

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
    # Each network is hashed once, not again for every generation.
    hashes: dict[NetworkConfig, str] = {}
    done: dict[NetworkConfig, set[int]] = {}
    units = []
    key = _Keys(task, context)
    for sweep in history:
        numbers = tuple(sorted(sweep.seed_numbers))
        together: dict[tuple, list[NetworkConfig]] = {}
        for config in networks(sweep):
            if config not in hashes:
                hashes[config] = key.hash(config)
            before, group = done.setdefault(config, set()), task.group(config)
            seeds = tuple(s for s in numbers if s not in before) if before else numbers
            if seeds:
                together.setdefault((group, seeds), []).append(config)
            before.update(numbers)
        cut = [
            (group, some, seeds, seconds)
            for (group, seeds), configs in together.items()
            for some, seconds in _cut(group, configs, task)
        ]
        whole = sum(seconds * len(seeds) for *_, seeds, seconds in cut)
        for group, some, seeds, seconds in cut:
            for few in _seed_slices(seeds, seconds, whole):
                units.append(Unit(group, tuple(some), tuple(hashes[c] for c in some), few, len(seeds)))
    return units


def seed_ranges(seeds: Iterable[int]) -> list[tuple[int, ...]]:
    """Return the seeds, ascending, cut at multiples of `SEED_RANGE`."""
    ranges: dict[int, list[int]] = {}
    for seed in sorted(seeds):
        ranges.setdefault(seed // SEED_RANGE, []).append(seed)
    return [tuple(some) for some in ranges.values()]


def _seed_slices(seeds: Sequence[int], seconds: float, whole: float) -> Iterator[tuple[int, ...]]:
    """Yield seeds that make a unit of the wanted size.

    A small sweep is cut into about `SLICES` units and a large one into units of `LONGEST` seconds, which cost little
    beside what they compute. Two seeds are computed side by side, so a unit has an even number of them, unless one
    alone takes too long.
    """
    wanted = min(max(whole / SLICES, SHORTEST), LONGEST)
    size = max(2, int(wanted / max(seconds, 1e-9)) // 2 * 2) if seconds < LONGEST else 1
    for some in seed_ranges(seeds):
        for start in range(0, len(some), size):
            yield some[start : start + size]


def _cut(group: Hashable, configs: Sequence[NetworkConfig], task: Task) -> Iterator[tuple[list[NetworkConfig], float]]:
    """Yield networks of one group that are computed together, and the seconds that one seed of them takes.

    They are at most `UNIT_NETWORKS`, and as many as one seed takes `LONGEST` seconds for. Networks that differ in
    depth alone stay neighbours, since they share signals.
    """
    nested: dict[Hashable, list[NetworkConfig]] = {}
    for config in configs:
        nested.setdefault(stem(config), []).append(config)
    alone: dict[Any, float] = {}  # networks of a group differ in depth, and else in numbers alone
    some: list[NetworkConfig] = []
    seconds = 0.0
    for config in (config for family in nested.values() for config in family):
        depth = config.network.depth
        if depth not in alone:
            alone[depth] = task.cost([config], (0,)).seconds
        if some and (len(some) == UNIT_NETWORKS or seconds + alone[depth] > LONGEST):
            yield some, seconds
            some, seconds = [], 0.0
        some.append(config)
        seconds += alone[depth]
    if some:
        yield some, seconds


class _Keys:
    """Make content hashes of networks: of the configuration, its functions, and everything else that rows depend on."""

    def __init__(self, task: Task, context: Mapping[str, Any]):
        self._task, self._context = task, content_hash(dict(context), 32)

    def hash(self, config: NetworkConfig) -> str:
        """Return the content hash of a network."""
        return content_hash([config.as_dict(), dict(self._task.key(config)), self._context], 16)
