"""Sides of a comparison, timed in turn in one run: whatever slows the machine slows all of them alike.

A benchmark makes a call for each side, hands them to `in_turn`, and prints medians and ratios. A ratio is taken run by
run, each side beside the other's run in the same turn, and the median of these is what a table shows.
"""

import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def cpu_seconds() -> float:
    """CPU time of this process, all its threads, and of the processes that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@dataclass(frozen=True)
class Times:
    """Seconds of each side, run by run: by the clock, and of CPU time, which other processes stretch less."""

    wall: dict[str, list[float]]
    cpu: dict[str, list[float]]

    def median(self, side: str, cpu: bool = False) -> float:
        """Median seconds of a side."""
        return statistics.median((self.cpu if cpu else self.wall)[side])

    def over(self, side: str, other: str, cpu: bool = False) -> float:
        """Median of the ratios of two sides, run by run."""
        seconds = self.cpu if cpu else self.wall
        return statistics.median(a / b for a, b in zip(seconds[side], seconds[other], strict=True))


def in_turn(sides: Mapping[str, Callable[[], Any]], runs: int, warm_up: int = 1) -> Times:
    """Call every side once in each turn.

    Parameters
    ----------
    sides : mapping of str to callable
        What is called, without arguments. What it returns is waited for, as JAX computes beside Python.
    runs : int
        Turns that count.
    warm_up : int
        Turns before these, in which programs are compiled and files come into memory.

    Returns
    -------
    Times
    """
    from jax import block_until_ready

    times = Times({side: [] for side in sides}, {side: [] for side in sides})
    for turn in range(-warm_up, runs):
        for side, call in sides.items():
            wall, cpu = time.perf_counter(), cpu_seconds()
            block_until_ready(call())
            if turn >= 0:
                times.wall[side].append(time.perf_counter() - wall)
                times.cpu[side].append(cpu_seconds() - cpu)
    return times
