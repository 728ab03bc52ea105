"""How much can be asked for: bounds that are checked before any memory is."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gradlab._errors import GradlabError

#: Largest value of an integer option, where it has no bound of its own: what a C int holds.
LARGEST_INTEGER = 2**31 - 1
#: Options that make lists or arrays as long as they say; and the key, of which JAX reads 32 bits.
LARGEST: dict[str, int] = {
    "depth": 100_000, "width": 1_000_000, "batch": 10_000_000, "length": 1_000_000, "examples": 10_000_000,
    "key": 2**32 - 1, "seed": 2**32 - 1, "workers": 1024, "kernel": 1024, "branch_layers": 1024, "expansion": 1024,
}  # fmt: skip
#: Steps of one training at which statistics are taken.
MOST_RECORDS = 100_000
#: Networks of one grid, and networks times seeds: each is a part of the plan and a file of the run.
MOST_NETWORKS, MOST_MEASUREMENTS = 200_000, 10_000_000
#: Hidden layers times seeds, summed over the networks of one grid: a row of the frame each.
MOST_ROWS = 200_000_000

#: Slices of a sweep: what array jobs of large sites bear.
MOST_SHARDS = 100_000
#: Values of one coordinate, which may be given as a range without end.
MOST_VALUES = 200_000
#: Weights of one network: 400 GB in float32. Steps of all sequences of one batch: 8 GB of ten symbols in float64.
MOST_WEIGHTS, MOST_POSITIONS = 10**11, 10**8


def largest(option: str) -> int:
    """Return the largest value of an integer option."""
    return LARGEST.get(option, LARGEST_INTEGER)


def check_size(choices: Mapping[str, int], seeds: int, deepest: int) -> None:
    """Refuse a grid that no machine could hold, before its networks are listed.

    Parameters
    ----------
    choices : mapping of str to int
        Number of values of each coordinate.
    seeds : int
        Number of seeds.
    deepest : int
        Hidden layers of the deepest network.

    Raises
    ------
    GradlabError
        Above `MOST_NETWORKS` networks, `MOST_MEASUREMENTS` networks times seeds, or `MOST_ROWS` rows.
    """
    networks = math.prod(choices.values())
    product = " × ".join(f"{n:,} of {name}" for name, n in choices.items() if n > 1) or "1 network"
    for what, most, asked, text in (
        ("networks in one grid", MOST_NETWORKS, networks, product),
        ("networks times seeds in one grid", MOST_MEASUREMENTS, networks * seeds, f"{product}, {seeds:,} seeds"),
        ("rows", MOST_ROWS, networks * seeds * deepest, f"{product}, {seeds:,} seeds, {deepest:,} layers"),
    ):
        if asked > most:
            raise GradlabError(f"at most {most:,} {what}", f"{asked:,} ({text})", "several grids, each in its folder")


def check_product(what: str, most: int, **factors: int) -> None:
    """Raise where the product of some options is above `most`."""
    if math.prod(factors.values()) > most:
        received = ", ".join(f"{name}={value}" for name, value in factors.items())
        raise GradlabError(f"at most {most:,} {what}", received, f"a smaller {' or '.join(factors)}")
