"""Arrays that are alike are read in one loop: a compiler then takes its time for one reading, not for each site's."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradlab.diagnosis import jaxprs, marks
from gradlab.diagnosis.collect import Collector, Readings

#: Bytes of arrays that are kept until the end, to be read together; what comes after is read where it is.
LIMIT = 2**28
#: Fewest arrays that are worth a loop.
_FEWEST = 3


class _Kept(NamedTuple):
    """An array that has not been read yet."""

    array: Any


class Together(Collector):
    """A collector that keeps what stands in no loop until the end.

    Parameters
    ----------
    read, merge : callable
        As a `Collector` takes them.
    alike : callable
        ``alike(site, role)``: what a reading depends on beside the array.
    """

    def __init__(
        self,
        read: Callable[[Any, int, str], Any],
        merge: Callable[[Any, Any], Any],
        alike: Callable[[int, str], Hashable],
    ):
        super().__init__(read, merge)
        self.alike = alike
        self._loops = 0
        self._bytes = 0

    def run(self, program: Any, args: Sequence[Any]) -> tuple[list[Any], Readings]:
        """Results of a program, and what was read at its marks."""
        self._bytes = 0
        results, vectors = self.evaluate(program, args)
        groups: dict[Hashable, list[tuple[int, str]]] = {}
        for key, kept in vectors.items():
            if isinstance(kept, _Kept):
                groups.setdefault((jax.typeof(kept.array), self.alike(*key)), []).append(key)
        for keys in groups.values():
            vectors |= zip(keys, self._read([vectors[key].array for key in keys], *keys[0]), strict=True)
        return results, vectors

    def _read(self, arrays: Sequence[Any], site: int, role: str) -> list[Any]:
        if len(arrays) < _FEWEST:
            return [self.read(array, site, role) for array in arrays]
        vectors = lax.map(lambda array: self.read(array, site, role), jnp.stack(arrays))
        return [vectors[i] for i in range(len(arrays))]

    def _equation(self, eqn: Any, values: list[Any]) -> tuple[Sequence[Any], Readings]:
        if marks.is_mark(eqn):
            key, size = marks.key_of(eqn), values[0].size * values[0].dtype.itemsize
            if self._loops or not self.wants(key) or self._bytes + size > LIMIT:
                return super()._equation(eqn, values)
            self._bytes += size
            return values, {key: _Kept(values[0])}
        loop = jaxprs.treatment(eqn) != "call"
        self._loops += loop
        results = super()._equation(eqn, values)
        self._loops -= loop
        return results
