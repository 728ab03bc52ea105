r"""What arrays hold, in one number each: sums over the entries of each layer's share of each array.

The sum of squares is enough wherever it lies well within the range of its format. Elsewhere, and where an entry is not
finite, a second look is taken at the entries times :math:`2^{\pm s}`, on one condition for all arrays.

A compiler takes its time for each operation and not for each entry. So arrays are read side by side, and what is summed
is arithmetic without comparisons, which compilers do within the sum, with nothing written to memory. Arrays spread over
devices need one exchange of sums and one of maxima.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab._tree import Layers
from gradlab.monitoring.blocks import Block, blocks_of

#: By what power of two entries are scaled before their squares are summed, where these leave the range.
SHIFT = {32: 80, 64: 600}
#: What stands in the place of an array that is not there.
ABSENT = -1

#: Arrays of the gradient, the clipped gradient, the update, the weights, aligned with ``layers.leaves``.
Trees = Mapping[str, Sequence[Any]]
#: A sum for each row of a block, and the places of these sums.
Part = tuple[Array, np.ndarray]


def quantities(trees: Sequence[str]) -> tuple[str, ...]:
    """Names of what is read, in the order of `read`."""
    moved = ["moved"] if {"update", "weight"} <= set(trees) else []
    of_all = [f"{name} {what}" for what in ("squares", *SECOND) for name in trees]
    return (*of_all, *(f"gradient {what}" for what in (*FIRST, "sizes down", "top")), *moved)


def read(layers: Layers, trees: Trees, wide: bool | None = None) -> Array:
    """Read the arrays of a model.

    Parameters
    ----------
    layers : Layers
        Which arrays belong to which layer.
    trees : mapping of str to sequence of array
        "gradient", and where there are any "clipped", "update", "weight": aligned with ``layers.leaves``, None where
        the tree has no such leaf.
    wide : bool, optional
        Whether sums are of float64; where not, arrays of 64 bits are rounded first. None: where any array has 64 bits.

    Returns
    -------
    Array, shape (quantities, slots)
        Of each slot and tree: the sum of ``squares``; of the gradient its
        largest absolute value ``top``, the sum of absolute values ``sizes``, and how many entries are ``not zero``
        and how many ``normal``, as large as the numbers that their format holds to full precision; how many weights an
        update has ``moved``. The rest is zero where all squares are in range: the sums of entries times ``2**±SHIFT``,
        and how many are ``not finite``. `ABSENT` where an array is not there.
    """
    names, count = quantities(tuple(trees)), len(layers.slots)
    if wide is None:
        wide = any(v is not None and is_wide(v.dtype) for leaves in trees.values() for v in leaves)
    if not wide:
        trees = {name: [v if v is None else _narrow(v) for v in leaves] for name, leaves in trees.items()}
    blocks = blocks_of(layers, trees)
    nothing = jnp.zeros(len(names) * count, jnp.float64 if wide else jnp.float32)

    def places(name: str, block: Block) -> np.ndarray:
        return np.where(block.slots < 0, nothing.size, names.index(name) * count + block.slots)

    def parts(
        what: str, transform: Callable[[Array], Array], over: Callable[..., Array] = jnp.sum, name: str = ""
    ) -> list[Part]:
        """Return one quantity of one tree, or of all, row by row."""
        return [
            (_sum(x, transform, over), places(f"{tree} {what}", block))
            for block in blocks
            for tree, x in block.trees.items()
            if tree == (name or tree)
        ]

    first = parts("squares", lambda x: _wide(x) ** 2)
    first += [part for what, transform in FIRST.items() for part in parts(what, transform, name="gradient")]
    both = [block for block in blocks if {"update", "weight"} <= set(block.trees)]
    first += [(_moved(block.trees["weight"], block.trees["update"]), places("moved", block)) for block in both]
    sums_so_far = _put(nothing, "add", first)
    sums_so_far = _put(sums_so_far, "max", parts("top", lambda x: jnp.abs(_wide(x)), jnp.max, "gradient"))
    there = _there(layers, trees, names)
    squares, entries = sums_so_far.reshape(-1, count)[: len(trees)], np.array([leaf.entries for leaf in layers.slots])
    floor = jnp.asarray(entries * lost(nothing.dtype), nothing.dtype)
    well = jnp.all(((squares > floor) & jnp.isfinite(squares)) | ~there[: len(trees)])

    def second() -> Array:
        sums = [part for what, transform in SECOND.items() for part in parts(what, transform)]
        return _put(nothing, "add", sums + parts("sizes down", lambda x: jnp.abs(_scaled(x, -1)), name="gradient"))

    sums_so_far = sums_so_far + lax.cond(well, lambda: nothing, second)
    return jnp.where(there, sums_so_far.reshape(-1, count), jnp.asarray(ABSENT, nothing.dtype))


def is_wide(dtype: Any) -> bool:
    """Return whether numbers have 64 bits, or two parts of as many."""
    return str(dtype) in ("float64", "complex128")


def _narrow(x: Array) -> Array:
    return x.astype(jnp.complex64 if jnp.iscomplexobj(x) else jnp.float32) if is_wide(x.dtype) else x


def lost(dtype: Any) -> float:
    """Return the mean square below which squares that leave the range would be missed."""
    limits = np.finfo(dtype)
    return float(limits.tiny) / float(limits.eps)


def _put(target: Array, how: str, parts: Sequence[Part]) -> Array:
    """Add numbers, or take the larger ones, each in its place; those whose place is beyond the end are dropped."""
    if not parts:
        return target
    values, places = zip(*parts, strict=True)
    whole = jnp.concatenate([value.astype(target.dtype) for value in values])
    return getattr(target.at[np.concatenate(places)], how)(whole, mode="drop")


def _there(layers: Layers, trees: Trees, names: Sequence[str]) -> np.ndarray:
    """Return whether there is an array that each quantity is read of, (quantities, slots)."""
    numbers = [i for i, leaf in enumerate(layers.leaves) for _ in range(leaf.layers)]
    present = {tree: np.array([leaves[i] is not None for i in numbers]) for tree, leaves in trees.items()}
    if "moved" in names:
        present["moved"] = present["update"] & present["weight"]
    return np.stack([present[name.partition(" ")[0]] for name in names])


def _sum(x: Array, transform: Callable[[Array], Array], over: Callable[..., Array] = jnp.sum) -> Array:
    """Return the sum over each row's entries, or the largest."""
    if x.size == 0:
        return jnp.zeros(len(x), _wide(x).dtype)
    sums = over(transform(x), tuple(range(1, x.ndim)))
    if any(jax.typeof(sums).sharding.spec):  # layers that are spread over devices: JAX joins no such arrays unasked
        sums = jax.sharding.reshard(sums, jax.sharding.PartitionSpec())
    return sums


def _wide(x: Array) -> Array:
    """Real numbers of 32 bits at least: absolute values of complex ones."""
    x = jnp.abs(x) if jnp.iscomplexobj(x) else x
    return x.astype(_common(x.dtype, jnp.float32))


def _common(*dtypes: Any) -> Any:
    """Return the format that holds these, also where mixing them is forbidden."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*dtypes)


def _one(x: Array) -> Array:
    """1 for entries that are not zero."""
    # twice: what equals a step of `_normal` would be computed once for both, and written to memory
    return jnp.ceil(_up_to_one(x, _wide(x).dtype, 2))


def _normal(x: Array) -> Array:
    """1 for entries as large as their format's smallest normal number, 0 below."""
    return jnp.floor(_up_to_one(x, x.dtype))


def _up_to_one(x: Array, dtype: Any, times: int = 1) -> Array:
    """Absolute values over the smallest normal number of a format, and 1 for all larger ones; the sign takes longer."""
    return jnp.minimum(jnp.abs(_wide(x)) * (times / float(jnp.finfo(dtype).tiny)), 1)


def _moved(weight: Array, update: Array) -> Array:
    """Return how many entries are other numbers once the update is added and the sum stored in the weight's format."""
    limits, dtype = jnp.finfo(weight.dtype), _common(weight.dtype, update.dtype)
    before, after = weight.astype(dtype), weight.astype(dtype) + update.astype(dtype)
    if before.dtype != weight.dtype or limits.bits < 32:
        # a cast alone would not do: compilers may drop it and go on with digits that are not stored
        before, after = (lax.reduce_precision(x, limits.nexp, limits.nmant) for x in (before, after))
    return _sum(after - before, _one)


def _scaled(x: Array, sign: int) -> Array:
    x = _wide(x)
    return x * jnp.asarray(2.0 ** (sign * SHIFT[jnp.finfo(x.dtype).bits]), x.dtype)


#: What is always read of the gradient.
FIRST: dict[str, Callable[[Array], Array]] = {
    "sizes": lambda x: jnp.abs(_wide(x)),
    "not zero": _one,
    "normal": _normal,
}
#: What is read of all trees at the second look.
SECOND: dict[str, Callable[[Array], Array]] = {
    "squares up": lambda x: _scaled(x, 1) ** 2,
    "squares down": lambda x: _scaled(x, -1) ** 2,
    "not finite": lambda x: (~jnp.isfinite(x)).astype(_wide(x).dtype),
}
