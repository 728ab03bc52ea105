"""Arrays of many layers side by side, so that a program reads them with few operations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab._tree import Layers, Leaf

#: The most entries that are copied side by side: with 2**22 a recorded step of ten layers of 1024 units took six times
#: as long as a bare one on two CPU cores, for the copies are of the size of the model.
TOGETHER = 2**17
#: Entries of a row, where arrays of all shapes are cut into rows.
ROW = 1024


class Block(NamedTuple):
    """Some leaves of a model, their entries in rows.

    Parameters
    ----------
    trees : dict of str to Array
        Of each tree that has these leaves the entries, (rows, ...).
    slots : ndarray of int, shape (rows,)
        The slot that each row belongs to; -1 for a row to pass over.
    """

    trees: dict[str, Array]
    slots: np.ndarray


def blocks_of(layers: Layers, trees: Mapping[str, Sequence[Any]]) -> list[Block]:
    """Return the leaves of all trees in blocks.

    On one device arrays of all shapes are cut into rows of one length. Where there are several, arrays may be spread
    over them, and to cut them would be to send them about: then only arrays of one shape, spread alike, stand side by
    side. What is large stands by itself in any case.
    """
    first = np.cumsum([0, *(leaf.layers for leaf in layers.leaves)])
    blocks = []
    for members, cut in _groups(layers.leaves, trees):
        there = [name for name, arrays in trees.items() if arrays[members[0]] is not None]
        values = {name: [trees[name][i] for i in members] for name in there}
        slots = np.concatenate([np.arange(first[i], first[i + 1]) for i in members])
        if cut:
            places = _Rows(slots, [layers.slots[slot].entries for slot in slots])
            rows = {name: places.rows_of(arrays) for name, arrays in values.items()}
            blocks.append(Block(rows, places.slots))
            if not len(places.pieces):
                continue
            slots, parts = places.pieces[:, 0], {name: places.mixed(arrays) for name, arrays in rows.items()}
        elif layers.leaves[members[0]].stacked:
            parts = {name: arrays[0] for name, arrays in values.items()}
        else:
            parts = {name: jnp.stack(arrays) if len(arrays) > 1 else arrays[0][None] for name, arrays in values.items()}
        blocks.append(Block(parts, slots))
    return blocks


def _groups(leaves: Sequence[Leaf], trees: Mapping[str, Sequence[Any]]) -> list[tuple[list[int], bool]]:
    """Leaves that go together, by number, and whether they are cut into rows."""
    alike: dict[Any, list[list[int]]] = {}
    for i, leaf in enumerate(leaves):
        kinds = tuple(
            None if leaves_of_tree[i] is None else _about(leaves_of_tree[i]) for leaves_of_tree in trees.values()
        )
        size = math.prod(leaf.shape) * len(trees)
        if not any(kinds) or not size:
            continue
        cut = jax.device_count() == 1 and size <= TOGETHER
        formats = tuple(a and a[0] for a in kinds)
        key = (True, formats) if cut else (False, i if leaf.stacked else leaf.shape, kinds)
        groups = alike.setdefault(key, [[]])
        taken = sum(math.prod(leaves[k].shape) * len(trees) for k in groups[-1])
        if groups[-1] and taken + size > TOGETHER:
            groups.append([])
        groups[-1].append(i)
    return [(members, key[0]) for key, groups in alike.items() for members in groups]


def _about(x: Array) -> tuple[Any, Any]:
    return x.dtype, jax.typeof(x).sharding


class _Rows:
    """How arrays one after the other are cut into rows: rows of one slot as they are, mixed ones again for each slot.

    Parameters
    ----------
    slots : sequence of int
        Slots in the order of their entries.
    entries : sequence of int
        Entries of each.
    """

    def __init__(self, slots: Sequence[int], entries: Sequence[int]):
        ends = np.cumsum(entries)
        starts = ends - entries
        self.rows = -(-int(ends[-1]) // ROW)
        self.filling = self.rows * ROW - int(ends[-1])
        from_row, to_row = starts // ROW, (ends - 1) // ROW
        owners = np.bincount(np.concatenate([np.arange(a, b + 1) for a, b in zip(from_row, to_row, strict=True)]))
        of_row = np.full(self.rows, -1)
        pieces = []
        for slot, start, end in zip(slots, starts, ends, strict=True):
            for row in range(start // ROW, (end - 1) // ROW + 1):
                if owners[row] == 1:
                    of_row[row] = slot
                else:
                    pieces.append((slot, row, max(start - row * ROW, 0), min(end - row * ROW, ROW)))
        self.pieces = np.array(pieces, int).reshape(-1, 4)
        self.slots = of_row

    def rows_of(self, values: Sequence[Array]) -> Array:
        """Return the entries of these arrays in rows."""
        parts = [value.reshape(-1) for value in values]
        if self.filling:
            parts.append(jnp.zeros(self.filling, parts[0].dtype))
        return jnp.concatenate(parts).reshape(-1, ROW)

    def mixed(self, rows: Array) -> Array:
        """Return one copy of each row for each of its slots, with zeros in the place of the others."""
        _, row, start, end = self.pieces.T
        inside = (np.arange(ROW) >= start[:, None]) & (np.arange(ROW) < end[:, None])
        return jnp.where(inside, rows[row], jnp.zeros((), rows.dtype))
