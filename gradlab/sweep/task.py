"""Tasks: anything that turns networks and seeds into rows for a sweep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradlab.config import REGISTRIES, NetworkConfig, Sweep

if TYPE_CHECKING:
    import pandas as pd

    from gradlab.data import Data
    from gradlab.sweep.plan import Unit


#: What two cores of a common machine do in a second beside each other: by these numbers sweeps are cut into units, so
#: they are a part of what a request means, and a change of them raises `RESULTS_VERSION`.
FLOPS_PER_SECOND, SIGNALS_PER_SECOND = 1e11, 1e8


@dataclass(frozen=True)
class Cost:
    """Hold what one unit costs: compiled programs, floating-point operations, and bytes.

    `memory` counts the bytes held at once, `disk` those that its parts fill. `signals` counts the entries of all
    signals and deltas that are read, each of which takes time of its own beside the products.
    """

    programs: int
    flops: float
    memory: int
    disk: int
    signals: float = 0.0

    @property
    def seconds(self) -> float:
        """Estimate the wall time on a common machine, of two cores, with the programs compiled already."""
        return self.flops / FLOPS_PER_SECOND + self.signals / SIGNALS_PER_SECOND


class Task(ABC):
    """Do one kind of work on a grid. `gradlab.run` makes it as ``task(sweep, data)``.

    Its results depend on its arguments alone, never on earlier calls, and it can be pickled, because other
    processes may run it.

    Parameters
    ----------
    sweep : Sweep
        The request; loss, dtype, key and columns are taken from it.
    data : Data
        The data that the networks see.
    """

    #: Units that one process computes at once, each in a thread; what is computed must not depend on it.
    at_once = 1
    #: Whether the sweep was interrupted: a task with several units under way then ends them soon, without their rows.
    given_up = False

    def __init__(self, sweep: Sweep, data: Data):
        self.data, self.batch = data, len(data.x)
        self.loss, self.dtype, self.base_key, self.columns = sweep.loss, sweep.dtype, sweep.key, sweep.columns

    def __getstate__(self) -> dict[str, Any]:
        """Add registered functions to the state, because another process does not know them."""
        return {**self.__dict__, "registered": {kind: registry.registered for kind, registry in REGISTRIES.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for kind, entries in state.pop("registered").items():
            REGISTRIES[kind].add(*entries)
        self.__dict__.update(state)

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Return plain values that identify the work; a folder refuses to mix different ones."""

    @abstractmethod
    def key(self, config: NetworkConfig) -> Mapping[str, str]:
        """Return fingerprints of what the rows depend on besides configuration, data and settings.

        When the fingerprint of a name changes, its rows are recomputed.
        """

    @abstractmethod
    def group(self, config: NetworkConfig) -> Hashable:
        """Return what networks must have in common to be computed together."""

    @abstractmethod
    def rows(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> list[pd.DataFrame]:
        """Compute the rows of `configs`, all of one group, for each of `seeds`.

        The frames, one after the other, hold the networks in their order: a frame for each, or for several of them.
        If this raises, the networks are tried one by one.
        """

    @abstractmethod
    def cost(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> Cost:
        """Estimate what `rows` would cost."""

    def together(self, units: Sequence[Unit]) -> Iterable[Sequence[Unit]]:
        """Return the units that are computed in one call of `rows`, where none runs in a thread: each by itself.

        Units that are computed together are still kept apart. They must have the same seeds, and `rows` must then
        return a frame for each network.
        """
        return [[unit] for unit in units]

    def failed(self, config: NetworkConfig, seeds: Sequence[int], status: str) -> pd.DataFrame:
        """Make the rows of a network that raised, one for each seed, with layer 0; `status` says what was raised."""
        from gradlab.frames.rows import failed_rows

        return failed_rows(
            config, seeds, status, loss=self.loss, data=self.data.name, batch=self.batch, dtype=self.dtype
        )
