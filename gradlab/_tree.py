"""Name the leaves of any pytree, and group them into layers.

Leaves with one parent are a layer: ``{"dense": {"kernel", "bias"}}`` is the layer ``dense``. A leaf at the root is a
layer by itself. The groups are made once, are hashable, and pass through `jit` and `scan` as part of the structure.
The order of the layers is the same for every tree of one model, however the tree was made.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.tree_util import GetAttrKey, keystr, tree_flatten_with_path

from gradlab._errors import GradlabError, unknown

#: Names of vectors that are biases. With other names a leaf is a bias if another leaf of its layer has more axes.
BIASES = frozenset({"bias", "b", "beta", "offset"})


@dataclass(frozen=True)
class Leaf:
    """Describe one array of the tree: its path, its shape and dtype, and whether its first axis counts layers.

    Where the tree holds None instead of an array, the dtype is empty and the shape means nothing.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    stacked: bool = False

    @property
    def layers(self) -> int:
        """Return how many layers share the array."""
        return self.shape[0] if self.stacked else 1

    @property
    def entries(self) -> int:
        """Return how many of its entries belong to one layer."""
        return math.prod(self.shape[1:] if self.stacked else self.shape)


@dataclass(frozen=True)
class Row:
    """Describe one layer: its name, and the places of its weights and biases in `Layers.slots`."""

    name: str
    weights: tuple[int, ...]
    biases: tuple[int, ...]


@jax.tree_util.register_static
@dataclass(frozen=True)
class Layers:
    """Hold the layers of a tree of parameters, in order; it is a pytree without leaves.

    Parameters
    ----------
    leaves : tuple of Leaf
        The arrays of the tree that hold real floats.
    rows : tuple of Row
        The layers, from layer 1. A slot is the share of one layer in one leaf; slots are numbered leaf by leaf.
    """

    leaves: tuple[Leaf, ...]
    rows: tuple[Row, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the layers, in order."""
        return tuple(row.name for row in self.rows)

    @property
    def slots(self) -> tuple[Leaf, ...]:
        """Return the leaf that each slot belongs to."""
        return tuple(leaf for leaf in self.leaves for _ in range(leaf.layers))

    def align(self, tree: Any, what: str) -> tuple[Any, ...]:
        """Return the arrays of another tree in the order of `leaves`; None where it lacks one.

        Raises
        ------
        GradlabError
            If the tree has a leaf that is not among `leaves`, or one of another shape.
        """
        arrays = named_leaves(tree)
        known = {leaf.path: leaf for leaf in self.leaves}
        for path, value in arrays.items():
            if path not in known:
                raise unknown(f"each leaf of the {what}", path, known)
            if tuple(np.shape(value)) != known[path].shape:
                raise GradlabError(
                    f"{path} of the {what} of shape {known[path].shape}", f"{np.shape(value)}", "trees of one model"
                )
        if not arrays:
            raise GradlabError(f"{what} with leaves", "none", "the tree that jax.grad returns")
        return tuple(arrays.get(leaf.path) for leaf in self.leaves)


def layers_of(
    tree: Any,
    order: str | Sequence[str] = (),
    stacked: str | Sequence[str] = (),
    pool: str | Sequence[str] = (),
    absent: bool = False,
) -> Layers:
    """Group the leaves of a tree into layers.

    Parameters
    ----------
    tree : pytree
        A tree of arrays, or of anything with shape and dtype. Integers, and leaves that are no arrays, are left out.
    order : str or sequence of str
        Names or patterns (``"blocks/*"``) of layers or of their arrays, from the input to the output; layers that match
        none of them follow. Within a pattern, and without one, sequences and fields of classes keep their order, and
        keys of a dict are sorted by name, ``dense_2`` before ``dense_10``, because `jit` loses the order in which they
        were written. Give an order where names do not have that of the model.
    stacked : str or sequence of str
        Paths under which every array has a first axis that counts layers (a scan over blocks). Layer i of
        ``"blocks"`` is called ``blocks/i/...``.
    pool : str or sequence of str
        Patterns of paths whose layers become one. With ``"blocks/*"`` everything under ``blocks/7`` is the layer
        ``blocks/7``, with all weights and all biases there.
    absent : bool
        Whether None in a dict stands for a missing array, as in a tree of gradients.

    Returns
    -------
    Layers
        The layers in their order.

    Raises
    ------
    GradlabError
        If the tree has no arrays of floats, or a pattern matches nothing.
    """
    stacked, order, pool = _listed(stacked), _listed(order), _listed(pool)
    arrays = named_leaves(tree, absent)
    for prefix in stacked:
        if not any(_below(path, prefix) for path in arrays):
            raise unknown("stacked", prefix, {path.rpartition("/")[0] or path for path in arrays})
    leaves = tuple(_leaf(path, value, any(_below(path, p) for p in stacked)) for path, value in arrays.items())
    if not leaves:
        raise GradlabError("a tree with arrays of floats", "none", "the parameters, or their gradients")
    groups: dict[str, list[int]] = {}
    for name, slot in _shares(leaves, stacked):
        groups.setdefault(name, []).append(slot)
    slots = [leaf for leaf in leaves for _ in range(leaf.layers)]
    rows = _pooled([_row(name, members, slots) for name, members in groups.items()], pool)
    return Layers(leaves, tuple(_ordered(rows, slots, order)))


def named_leaves(tree: Any, absent: bool = False) -> dict[str, Any]:
    """Return arrays of floats by their path, ``blocks/0/attention/kernel``, in the order of the tree.

    Dots in a key separate like slashes, so that the names of a PyTorch model form layers as well; ``params`` at the
    root and ``value`` at the end (Flax) are left out. With ``absent`` a None in a dict is returned too.
    """
    named: dict[str, Any] = {}
    for name, value in _named(tree):
        if _is_float(value) or (value is None and absent):
            if name in named:
                raise GradlabError("leaves with names of their own", f"two called {name}", "other keys")
            named[name] = value
    return named


def _named(tree: Any) -> list[tuple[str, Any]]:
    leaves = list(_walk(tree, ()))
    if leaves and all(len(path) > 1 and path[0] == "params" for path, _ in leaves):
        leaves = [(path[1:], value) for path, value in leaves]
    return [("/".join(path) or "array", value) for path, value in leaves]


def _walk(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield leaves with their paths, one level at a time, because JAX sorts the keys of a dict."""
    children, _ = tree_flatten_with_path(node, is_leaf=lambda child: child is not node)
    if node is None or (len(children) == 1 and not children[0][0]):
        yield path, node
        return
    names = [keystr(keys, simple=True) for keys, _ in children]
    if isinstance(node, Mapping) or names == sorted(names):  # some training loops sort by the alphabet, so sort for all
        children = sorted(children, key=lambda entry: _natural(keystr(entry[0], simple=True)))
    for keys, child in children:
        if child is None and not isinstance(node, Mapping):
            continue  # an empty field, such as the bias of a layer without one
        if isinstance(keys[0], GetAttrKey) and keys[0].name == "value" and len(children) == 1:
            yield from _walk(child, path)
        else:
            name = "/".join(keystr((key,), simple=True) for key in keys)
            yield from _walk(child, (*path, *filter(None, re.split(r"[./]", name))))


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Make a key that sorts ``dense_2`` before ``dense_10``."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part]


def _is_float(value: Any) -> bool:
    dtype = getattr(value, "dtype", np.dtype(float) if isinstance(value, float) else None)
    kind = str(dtype).removeprefix("torch.")
    return kind.startswith(("float", "bfloat", "complex")) and kind != "float0"


def _leaf(path: str, value: Any, stacked: bool) -> Leaf:
    if value is None:
        return Leaf(path, (), "")
    shape = tuple(np.shape(value))
    if stacked and not shape:
        raise GradlabError("an axis that counts layers", f"{path} without axes", "another path for stacked=")
    return Leaf(path, shape, str(getattr(value, "dtype", "float64")).removeprefix("torch."), stacked)


def _shares(leaves: Sequence[Leaf], stacked: Sequence[str]) -> list[tuple[str, int]]:
    """Return the layer's name of each slot: stacked layers come one after the other, each with all its parts."""
    first = {}
    named = []
    slot = 0
    for place, leaf in enumerate(leaves):
        prefix = next((p for p in stacked if leaf.stacked and _below(leaf.path, p)), None)
        for i in range(leaf.layers):
            path = leaf.path if prefix is None else f"{prefix}/{i}{leaf.path[len(prefix) :]}"
            start = place if prefix is None else first.setdefault(prefix, place)
            parent = "" if prefix == leaf.path else path.rpartition("/")[0]
            named.append(((start, i if prefix else 0, place), parent or path, slot))
            slot += 1
    return [(name, slot) for _, name, slot in sorted(named)]


def _row(name: str, members: Sequence[int], slots: Sequence[Leaf]) -> Row:
    rank = {slot: len(slots[slot].shape) - slots[slot].stacked for slot in members}
    highest = max(rank.values())
    named = lambda slot: rank[slot] < 2 and slots[slot].path.rpartition("/")[2].lower() in BIASES
    biases = tuple(slot for slot in members if named(slot) or rank[slot] < highest)
    return Row(name, tuple(slot for slot in members if slot not in biases), biases)


def _pooled(rows: Sequence[Row], patterns: Sequence[str]) -> list[Row]:
    """Join the layers under each path that a pattern matches, part by part."""
    names = [row.name for row in rows]
    for pattern in patterns:
        if not any(_prefix(name, pattern) for name in names):
            raise unknown("pool", pattern, names)
    together: dict[str, Row] = {}
    for row in rows:
        name = next(filter(None, (_prefix(row.name, pattern) for pattern in patterns)), row.name)
        had = together.get(name, Row(name, (), ()))
        together[name] = Row(name, had.weights + row.weights, had.biases + row.biases)
    return list(together.values())


def _prefix(name: str, pattern: str) -> str:
    """Return the beginning of a path that a pattern of as many parts matches; empty where none does."""
    parts, wanted = name.split("/"), pattern.replace(".", "/").split("/")
    here = len(parts) >= len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))
    return "/".join(parts[: len(wanted)]) if here else ""


def _ordered(rows: list[Row], slots: Sequence[Leaf], order: Sequence[str]) -> list[Row]:
    called = {row.name: [row.name, *(slots[slot].path for slot in (*row.weights, *row.biases))] for row in rows}
    patterns = [pattern.replace(".", "/") for pattern in order]
    for pattern in patterns:
        if not any(matching(names, pattern) for names in called.values()):
            raise unknown("order", pattern, called)
    place = lambda row: next((i for i, p in enumerate(patterns) if matching(called[row.name], p)), len(patterns))
    return sorted(rows, key=place)


def matching(names: Sequence[str], pattern: str) -> list[str]:
    """Return the names that a pattern like ``blocks/*`` matches."""
    return [name for name in names if fnmatch.fnmatchcase(name, pattern)]


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
