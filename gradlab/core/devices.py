"""The devices of this process: how many seeds one call takes in their memory, and how they are spread."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

#: Share of a device's memory that one program may need: the rest is for data, and for what falls between arrays.
SHARE = 0.8
#: Name of the axis of a mesh along which seeds are spread.
SEEDS = "seed"


class TooLarge(MemoryError):
    """A program for a single seed that needs more memory than its device has.

    Parameters
    ----------
    needed, available : int
        Bytes.
    """

    def __init__(self, needed: int, available: int):
        super().__init__(f"one seed needs {needed:,} bytes of a device, and {available:,} are available")
        self.pieces = max(2, math.ceil(needed / max(available, 1)))


def is_memory_short(error: BaseException) -> bool:
    """Return whether memory did not suffice, on the host or on a device."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def are_batched() -> bool:
    """Return whether seeds are computed in one batched call.

    They are on accelerators, and wherever there are several devices. On a single CPU they are not: small products lose
    by it.
    """
    return jax.default_backend() != "cpu" or jax.local_device_count() > 1


def available_memory() -> int:
    """Return the bytes of one device that a program may need: a share of ``bytes_limit``, as the device tells it.

    Of a device that tells nothing, as CPUs do, it is the memory of the machine, divided by the number of devices.
    """
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if limit is None:
        try:
            limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // jax.local_device_count()
        except (AttributeError, OSError, ValueError):  # a system that does not say
            limit = 2**63 - 1
    return int(SHARE * limit)


def needed_memory(compiled: Any) -> int:
    """Return the bytes that one call of a compiled program needs on each device; 0 where the compiler does not tell."""
    stats = compiled.memory_analysis()
    if stats is None:
        return 0
    kinds = ("argument", "output", "temp", "generated_code")
    return sum(getattr(stats, f"{kind}_size_in_bytes") for kind in kinds) - stats.alias_size_in_bytes


def fitting(compiled_for: Callable[[int], Any], wanted: int) -> tuple[int, Any]:
    """Return how many seeds one call takes, and the program that is compiled for so many.

    It is as many as are wanted, rounded up to a multiple of the devices, or, where a device's memory does not
    suffice for that, as many as it suffices for. So it is a function of the request and of the device's memory.

    Parameters
    ----------
    compiled_for : callable
        Takes a number of seeds, returns the compiled program.
    wanted : int
        Number of seeds.

    Raises
    ------
    TooLarge
        Where not even one seed on each device fits.
    """
    devices, available = jax.local_device_count(), available_memory()
    each = math.ceil(wanted / devices)
    while True:
        compiled = compiled_for(each * devices)
        needed = needed_memory(compiled)
        if needed <= available:
            return each * devices, compiled
        if each == 1:
            raise TooLarge(needed, available)
        each = min(each - 1, max(1, each * available // needed))


def mesh() -> Mesh:
    """Return the devices of this process as one axis."""
    return Mesh(np.array(jax.local_devices()), (SEEDS,))


def spread(values: Any) -> Any:
    """Return arrays whose first axis is that of seeds, spread over the devices of this process."""
    if jax.local_device_count() == 1:
        return values
    along = NamedSharding(mesh(), PartitionSpec(SEEDS))
    return jax.tree.map(lambda v: jax.device_put(v, along), values)


def filled(keys: Sequence[Array], size: int) -> list[Array]:
    """Return the first `size` of some keys, with the last one repeated where there are fewer."""
    return [*keys[:size], *[keys[-1]] * (size - len(keys))]
