"""Deal the units of a sweep to shards: each is computed by a process of its own, perhaps on another machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradlab._errors import GradlabError
from gradlab.config.bounds import MOST_SHARDS

if TYPE_CHECKING:
    from gradlab.sweep.plan import Unit


@dataclass(frozen=True)
class Shard:
    """Name one of several slices of a sweep. Which units it has follows from the request alone.

    Parameters
    ----------
    number : int
        Which of the slices this is, from 1 to `count`.
    count : int
        How many slices the sweep has.
    """

    number: int
    count: int

    @classmethod
    def of(cls, given: Any) -> Shard:
        """Make the shard that ``"3/10"`` or ``(3, 10)`` names; return a shard as it is.

        Raises
        ------
        GradlabError
            If `given` does not name one of at least one and at most `MOST_SHARDS` slices.
        """
        if isinstance(given, cls):
            return given
        words = given.split("/") if isinstance(given, str) else given
        try:
            number, count = (int(word) if isinstance(word, str) else word for word in words)
            whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (number, count))
        except (TypeError, ValueError):
            whole, number, count = False, 0, 0
        if not whole or not 1 <= number <= count <= MOST_SHARDS:
            raise GradlabError(f"shard K/N with 1 <= K <= N <= {MOST_SHARDS}", repr(given), 'shard="3/10"')
        return cls(number, count)

    def units(self, units: Sequence[Unit]) -> list[Unit]:
        """Return the units of this slice: every `count`-th, so that large and small ones are dealt out alike."""
        return list(units[self.number - 1 :: self.count])

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"
