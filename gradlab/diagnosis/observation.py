"""What gradients, updates and weights of any model show, layer by layer: pure, and a few numbers a layer."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradlab._errors import GradlabError
from gradlab._tree import Layers, Leaf, layers_of
from gradlab.config import content_hash
from gradlab.diagnosis.replay import Replay
from gradlab.measurement import arrays

#: Where the sizes of each tree stand in the frame: weights, biases.
SIZES: dict[str, tuple[str, str]] = {
    "gradient": ("log10_weight_grad_norm", "log10_bias_grad_norm"),
    "clipped": ("log10_clipped_weight_grad_norm", "log10_clipped_bias_grad_norm"),
    "update": ("log10_weight_update_norm", "log10_bias_update_norm"),
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Observation:
    """Statistics of each layer: a pytree of small arrays, to return from a jitted step.

    Parameters
    ----------
    columns : mapping of str to array
        Columns of the frame by name, each of shape (layers,); behind `scan` (steps, layers), behind a `vmap`
        around that (seeds, steps, layers).
    step : array or None
        The step as given, shape (), or as the columns without their last axis.
    layers : Layers
        Names and order of the layers; part of the structure, not of the data.
    """

    columns: Mapping[str, Any]
    step: Any
    layers: Layers = field(metadata={"static": True})

    def rows(self) -> dict[str, np.ndarray]:
        """Coordinates and columns of the frame's rows."""
        return rows_of(self.layers, self.columns, self.step)


def observe(
    grads: Any,
    updates: Any = None,
    params: Any = None,
    *,
    step: Any = None,
    order: str | Sequence[str] = (),
    stacked: str | Sequence[str] = (),
) -> Observation:
    """Per-layer norms of gradients, updates and weights of any model.

    Parameters
    ----------
    grads : pytree of arrays
        Gradients: JAX arrays, also inside `jit` and `scan`; or a dict of NumPy or PyTorch arrays
        (``{name: p.grad for name, p in model.named_parameters()}``, read before they are zeroed).
    updates : pytree, optional
        What is added to the parameters.
    params : pytree, optional
        The parameters. Layers that have no gradient are rows too, and their status says so.
    step : int or scalar array, optional
        Number of the step. None: `gradlab.frame` counts what it is given.
    order, stacked : str or sequence of str
        Names or patterns of layers, or of their arrays, from the input to the output: without it dicts stand by
        name, ``dense_2`` before ``dense_10``, because `jit` sorts their keys. For PyTorch ``order=list(grads)``.
        And paths below which arrays have a first axis that counts layers.

    Returns
    -------
    Observation
        `gradlab.frame` of it, or of a list of them, is the tidy frame, and `gradlab.plots` draws it.

    Notes
    -----
    Where the arrays are shards that only `shard_map` or `pmap` puts together, norms are those of the shard; arrays
    spread over devices under `jit` are measured whole.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> import gradlab as gl
    >>> params = {"dense_1": {"kernel": jnp.ones((3, 2))}, "dense_2": {"kernel": jnp.ones((2, 1))}}
    >>> loss = lambda p: 1e-30 * jnp.sum(jnp.ones(3) @ p["dense_1"]["kernel"] @ p["dense_2"]["kernel"])
    >>> seen = jax.jit(lambda p: gl.observe(jax.grad(loss)(p), params=p))(params)
    >>> print(gl.frame(seen)[["layer", "layer_name", "log10_weight_grad_norm"]].round(2).to_string(index=False))
     layer layer_name  log10_weight_grad_norm
         1    dense_1                  -29.61
         2    dense_2                  -29.37
    """
    layers = layers_of(grads if params is None else params, order, stacked)
    trees = {"gradient": grads, "update": updates, "weight": params}
    aligned = {name: layers.align(tree, name) for name, tree in trees.items() if tree is not None}
    columns = layer_columns(layers, aligned)
    columns["gradient_zero_fraction"] = _zero_fraction(layers, aligned["gradient"])
    return Observation(columns, step, layers)


def layer_columns(layers: Layers, trees: Mapping[str, Sequence[Any]], due: Any = None) -> dict[str, Any]:
    """Columns of shape (layers,) for aligned leaves of the gradient, the clipped gradient, the update, the weight.

    Where `due` is false no array is read and the columns mean nothing. Leaves may be a `Replay`.
    """
    measure = lambda x: tuple(arrays.size(x))
    columns: dict[str, Any] = {}
    norms = {}
    for name, leaves in trees.items():
        sizes = per_slot(layers.leaves, leaves, measure, 2, due)
        norms[name] = {kind: _together(layers, sizes[0], kind) for kind in ("weights", "biases")}
        if name in SIZES:
            columns |= dict(zip(SIZES[name], norms[name].values(), strict=True))
        else:
            columns["weight_norm"] = 10 ** norms[name]["weights"]
        if name == "gradient":
            columns["gradient_not_finite"] = _summed(layers, sizes[1], ("weights", "biases"))
    if "update" in norms and "weight" in norms:
        columns["log10_update_ratio"] = _ratio(norms["update"]["weights"], norms["weight"]["weights"])
    return columns


def per_slot(
    leaves: Sequence[Leaf], values: Sequence[Any], measure: Any, count: int = 1, due: Any = None
) -> tuple[Any, ...]:
    """`measure`, which gives `count` scalars, of each layer's share of each leaf: `count` arrays of shape (slots,)."""
    parts = []
    for leaf, value in zip(leaves, values, strict=True):
        read = functools.partial(_of_leaf, leaf, measure)
        if value is None:
            parts.append((np.full(leaf.layers, np.nan, np.float32),) * count)
        else:
            parts.append(read(value) if due is None else _where_due(due, read, value))
    xp = jnp if any(isinstance(v, jax.Array) for part in parts for v in part) else np
    wide = any(v.dtype == np.float64 for part in parts for v in part)
    joined = lambda values: xp.concatenate([xp.asarray(v, np.float64 if wide else np.float32) for v in values])
    return tuple(joined(values) for values in zip(*parts, strict=True))


def _of_leaf(leaf: Leaf, measure: Any, value: Any) -> tuple[Any, ...]:
    """`measure` of each layer's share of an array, in arrays of shape (layers that share it,)."""
    if not leaf.stacked:
        return tuple(v[None] for v in measure(value))
    if isinstance(value, jax.Array):
        return jax.vmap(measure)(value)
    return tuple(np.stack(v) for v in zip(*map(measure, value), strict=True))


def _where_due(due: Any, read: Any, value: Any) -> tuple[Any, ...]:
    """What is read of an array or a `Replay`; zeros where it is not due.

    Each array has a condition of its own, with all that is computed of it inside: so it is read where it was made,
    while it is in the cache, and none waits in memory for another.
    """
    replay = value if isinstance(value, Replay) else Replay(value.shape, value.dtype, lambda x: x, (value,))
    found = lambda *operands: read(replay.of(*operands))
    unread = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), jax.eval_shape(found, *replay.operands))
    if isinstance(due, jax.core.Tracer):
        return lax.cond(due, found, lambda *_: unread, *replay.operands)
    return found(*replay.operands) if due else unread


def _places(layers: Layers, kinds: Sequence[str]) -> np.ndarray:
    """Slots of each layer, (layers, most slots of one); the number of slots stands for none."""
    slots = [[slot for kind in kinds for slot in getattr(row, kind)] for row in layers.rows]
    longest = max(1, *map(len, slots))
    return np.array([row + [len(layers.slots)] * (longest - len(row)) for row in slots])


def _together(layers: Layers, norms: Any, kind: str) -> Any:
    """log10 norm of all weights, or all biases, of each layer; NaN where it has none."""
    xp = _namespace(norms)
    places = _places(layers, [kind])
    nothing = xp.asarray([-np.inf], norms.dtype)
    found = arrays.pooled(xp.concatenate([norms, nothing])[places])
    return xp.where((places == len(layers.slots)).all(1), xp.asarray(np.nan, norms.dtype), found)


def _summed(layers: Layers, counts: Any, kinds: Sequence[str]) -> Any:
    xp = _namespace(counts)
    return xp.sum(xp.concatenate([counts, xp.zeros(1, counts.dtype)])[_places(layers, kinds)], -1)


def _ratio(update: Any, weight: Any) -> Any:
    dtype = np.promote_types(update.dtype, weight.dtype)  # updates may be wider than the weights they are added to
    with np.errstate(invalid="ignore"):  # zero over zero
        return update.astype(dtype) - weight.astype(dtype)


def _zero_fraction(layers: Layers, grads: Sequence[Any]) -> Any:
    kinds = ("weights", "biases")
    (zeros,) = per_slot(layers.leaves, grads, lambda x: (arrays.zero_count(x),))
    entries = np.array([leaf.entries for leaf in layers.slots], zeros.dtype)
    return _summed(layers, zeros, kinds) / _summed(layers, _namespace(zeros).asarray(entries), kinds)


def _namespace(x: Any) -> Any:
    return jnp if isinstance(x, jax.Array) else np


def rows_of(layers: Layers, columns: Mapping[str, Any], step: Any = None) -> dict[str, np.ndarray]:
    """The frame's rows: seeds slow, then steps, layers fast."""
    host = {name: np.asarray(values, np.float64) for name, values in columns.items()}
    lead = next(iter(host.values())).shape[:-1]
    if len(lead) > 2:
        raise GradlabError("columns of shape (seeds, steps, layers) or less", f"{len(lead) + 1} axes", "one vmap less")
    spread = lambda values: np.broadcast_to(np.asarray(values)[..., None], (*lead, len(layers.rows))).ravel()
    rows: dict[str, np.ndarray] = {"seed": spread(np.arange(lead[0])[:, None] if len(lead) == 2 else 0)}
    if step is not None:
        rows["step"] = spread(step)
    elif lead:
        rows["step"] = spread(np.arange(lead[-1]))
    count = len(rows["seed"]) // len(layers.rows)
    tile = lambda values: np.tile(np.asarray(values, object), count)
    slots = layers.slots
    rows |= {
        "network": tile([content_hash([[row.name, _shapes(row, slots)] for row in layers.rows])] * len(layers.rows)),
        "layer": np.tile(np.arange(1, len(layers.rows) + 1), count),
        "layer_name": tile(layers.names),
        "dtype": tile([slots[(*row.weights, *row.biases)[0]].dtype for row in layers.rows]),
        **{name: values.ravel() for name, values in host.items()},
    }
    return {**rows, "status": _status(rows["gradient_not_finite"])}


def _shapes(row: Any, slots: Sequence[Leaf]) -> list[list[int]]:
    return [list(slots[slot].shape) for slot in (*row.weights, *row.biases)]


def _status(not_finite: np.ndarray) -> np.ndarray:
    """What keeps a row from being whole: entries that are not finite; no gradient at all."""
    told = lambda n: "no gradient" if np.isnan(n) else f"not finite: {n:.0f} entries of the gradient" if n else "ok"
    return np.array([told(n) for n in not_finite], object)
