"""The user's own names: of each leaf of the parameters, and of what a value in the program is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from gradlab._tree import named_leaves

#: What libraries call the array of a layer: the layer is named without it.
WEIGHTS = frozenset({"kernel", "w", "weight", "weights", "embedding", "embeddings"})


def paths_of(tree: Any) -> tuple[str, ...]:
    """Return the path of each leaf, ``encoder/up/kernel``, in the order of `jax.tree.leaves`.

    As `gradlab.observe` names them: for dicts, Flax linen and nnx, Equinox and Haiku.
    """
    leaves, structure = jax.tree.flatten(tree)
    numbers = structure.unflatten([np.float64(i) for i in range(len(leaves))])
    by_number = {int(number): path for path, number in named_leaves(numbers).items()}
    return tuple(by_number[i] for i in range(len(leaves)))


def layer_of(path: str) -> str:
    """Return the layer of a leaf whose own name says nothing: ``encoder/up`` of ``encoder/up/kernel``."""
    parent, _, name = path.rpartition("/")
    return parent if parent and name in WEIGHTS else path


def common(paths: Sequence[str]) -> str:
    """Return the path above all of several; empty where there is none."""
    if len(set(paths)) < 2:
        return paths[0] if paths else ""
    parts = []
    for here in zip(*(path.split("/") for path in paths), strict=False):
        if len(set(here)) > 1:
            break
        parts.append(here[0])
    return "/".join(parts)


@dataclass(frozen=True)
class Made:
    """What parameters a value is made of, and of no data.

    Parameters
    ----------
    leaf : int
        The parameter; of several the one with most entries.
    leaves : frozenset of int
        All that it is made of.
    scans : tuple of int
        Numbers of the scans that have taken it apart.
    leading : bool
        Whether its first axes are still those of the leaf.
    at : tuple of int
        Places on first axes that the program picked by number: ``w[3]``.
    several : bool
        Whether it holds several parameters side by side, as a stack of layers that are arrays of their own does.
    """

    leaf: int
    leaves: frozenset[int]
    scans: tuple[int, ...] = ()
    leading: bool = True
    at: tuple[int, ...] = ()
    several: bool = False

    def sliced(self, at: int) -> Made:
        """Return one entry of the first axis."""
        return replace(self, at=(*self.at, at), leading=False)

    def of_a_step(self, scan: int) -> Made:
        """Return what one step of a scan gets of it."""
        return replace(self, scans=(*self.scans, scan))

    def moved(self) -> Made:
        """Return the same entries at other places."""
        return replace(self, leading=False) if self.leading else self

    def name(self, paths: Sequence[str]) -> str:
        """Return the path, with the place where the program picked one."""
        name = layer_of(paths[self.leaf])
        if self.several:
            all_of = [paths[leaf] for leaf in sorted(self.leaves)]
            name = common(all_of) or f"{layer_of(all_of[0])}…{layer_of(all_of[-1])}"
        return name + "".join(f"[{i}]" for i in self.at)


#: What else a value can be made of: numbers in the program, arrays that the user closed over.
NUMBER, CONSTANT = "number", "constant"
#: `Made`, `NUMBER`, `CONSTANT`, or None for what depends on data.
Origin = Made | str | None


def joined(origins: Sequence[Origin], sizes: Sequence[int]) -> Origin:
    """Return what a value is made of that is computed from values of these sizes."""
    if any(origin is None for origin in origins):
        return None
    arrays = [
        (size, -i) for i, (origin, size) in enumerate(zip(origins, sizes, strict=True)) if isinstance(origin, Made)
    ]
    if not arrays:
        return CONSTANT if CONSTANT in origins else NUMBER
    largest = origins[-max(arrays)[1]]
    leaves = frozenset().union(*(origin.leaves for origin in origins if isinstance(origin, Made)))
    return replace(largest, leaves=leaves)
