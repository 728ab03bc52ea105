"""What a sweep runs: anything that turns networks and seeds into rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradlab.config import REGISTRIES, NetworkConfig, Sweep

if TYPE_CHECKING:
    import pandas as pd

    from gradlab.data import Data


@dataclass(frozen=True)
class Cost:
    """What one unit takes: compiled programs, floating-point operations, bytes.

    `memory` is what is held at once, `disk` what its parts fill.
    """

    programs: int
    flops: float
    memory: int
    disk: int


class Task(ABC):
    """One kind of work on a grid. `gradlab.run` makes it as ``task(sweep, data)``.

    Its answers depend on its arguments alone, never on what was asked before, and it can be
    pickled, because other processes may run it.

    Parameters
    ----------
    sweep : Sweep
        Loss, dtype, key and columns are taken from it.
    data : Data
        What the networks see.
    """

    def __init__(self, sweep: Sweep, data: Data):
        self.data, self.batch = data, len(data.x)
        self.loss, self.dtype, self.base_key, self.columns = sweep.loss, sweep.dtype, sweep.key, sweep.columns

    def __getstate__(self) -> dict[str, Any]:
        """Registered functions travel along: another process does not know them."""
        return {**self.__dict__, "registered": {kind: registry.registered for kind, registry in REGISTRIES.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for kind, entries in state.pop("registered").items():
            REGISTRIES[kind].add(*entries)
        self.__dict__.update(state)

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Plain values that name the work; a folder refuses to mix different ones."""

    @abstractmethod
    def key(self, config: NetworkConfig) -> Mapping[str, str]:
        """Fingerprints of what the rows depend on besides configuration, data and settings.

        When one changes under the same name, its rows are recomputed.
        """

    @abstractmethod
    def group(self, config: NetworkConfig) -> Hashable:
        """What networks must share to be computed together."""

    @abstractmethod
    def rows(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> list[pd.DataFrame]:
        """One frame for each of `configs`, all of one group, with rows for each of `seeds`.

        When it raises, the networks are tried one by one.
        """

    @abstractmethod
    def cost(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> Cost:
        """An estimate of what `rows` would take."""

    def failed(self, config: NetworkConfig, seeds: Sequence[int], status: str) -> pd.DataFrame:
        """The rows of a network that raised, one for each seed, with layer 0: `status` says what."""
        from gradlab.frames.rows import failed_rows

        return failed_rows(
            config, seeds, status, loss=self.loss, data=self.data.name, batch=self.batch, dtype=self.dtype
        )
