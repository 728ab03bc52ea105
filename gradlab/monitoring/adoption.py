"""States that come from a checkpoint: found in any tree, told apart, and refused where they do not fit."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import Array
from jax.tree_util import keystr, tree_flatten_with_path

from gradlab._errors import GradlabError
from gradlab.monitoring.labels import Labels

#: What a monitor's state has, by name, whatever container a checkpoint gave it.
FIELDS = frozenset({"inner_state", "seen", "ring", "labels"})


def monitors(tree: Any) -> list[dict[str, Any]]:
    """Return the fields of each monitor's state in a tree: tuples, or dicts that a checkpoint made of them."""
    fields = children_of(tree)
    if set(fields) >= FIELDS:
        return [fields]
    return [state for child in fields.values() for state in monitors(child)]


def children_of(node: Any) -> dict[str, Any]:
    """Return what hangs on a node by its name: fields, keys, or numbers in a sequence; nothing on an array."""
    if hasattr(node, "_asdict"):
        return node._asdict()
    entries, _ = tree_flatten_with_path(node, is_leaf=lambda child: child is not node)
    return {keystr(keys, simple=True): child for keys, child in entries if keys}


def array_of(node: Any) -> np.ndarray:
    """Return the one array in a leaf, or in the box that a library keeps it in."""
    return np.asarray(jax.tree.leaves(node)[0])


def refuse_others(labels_kept: Array, labels: Labels) -> None:
    """Refuse a state whose labels are not those of the layers that are updated, if that is known before the step runs.

    Raises
    ------
    GradlabError
    """
    traced = isinstance(labels_kept, jax.core.Tracer)
    if labels_kept.shape != labels.encoded().shape or not (traced or labels.fit(labels_kept)):
        raise other_layers(labels, None if traced else Labels.decoded(labels_kept))


def other_layers(ours: Labels, theirs: Labels | None) -> GradlabError:
    """Return the refusal of records of other layers, or of another order; None where it is not known whose they are."""
    if theirs is None:
        received = "a state of others"
    elif ours.layers.names != theirs.layers.names:
        received = f"one of {_few(theirs)}"
    else:
        arrays = lambda labels: [f"{leaf.path} {leaf.shape} {leaf.dtype}" for leaf in labels.layers.leaves]
        other = [array for array in arrays(theirs) if array not in arrays(ours)]
        received = f"one with {', '.join(other[:3]) or 'other columns'}"
    hint = "the model, order= and pool= of the checkpoint, or tx.init(params)"
    return GradlabError(f"a monitor of the layers {_few(ours)}", received, hint)


def _few(labels: Labels, most: int = 6) -> str:
    names = labels.layers.names
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])


def restored(state: Any, fresh: Any) -> Any:
    """Return a fresh state of a monitor, with what a checkpoint has in its places."""
    kept = monitors(state)
    if not kept:
        return fresh._replace(inner_state=_like(fresh.inner_state, state, ()))
    if len(kept) > 1:
        raise GradlabError("the state of one monitor", f"{len(kept)} of them", "the part of the tree that holds one")
    theirs = Labels.decoded(array_of(kept[0]["labels"]))
    ours = Labels.decoded(fresh.labels)
    if theirs != ours:
        raise other_layers(ours, theirs)
    return type(fresh)(**{name: _like(getattr(fresh, name), kept[0][name], (name,)) for name in fresh._fields})


def _like(template: Any, kept: Any, path: tuple[str, ...]) -> Any:
    """Return the arrays of a tree in the structure of another, by their names."""
    children, structure = tree_flatten_with_path(template, is_leaf=lambda child: child is not template)
    if len(children) == 1 and not children[0][0]:
        return _leaf_like(template, kept, path)
    given = children_of(kept)
    parts = []
    for keys, child in children:
        name = keystr(keys, simple=True)
        if name not in given and jax.tree.leaves(child):
            received = f"{', '.join(given) or 'nothing'} in {'/'.join(path) or 'it'}"
            raise _unlike(f"{'/'.join((*path, name))}", received)
        parts.append(_like(child, given[name], (*path, name)) if name in given else child)
    return jax.tree.unflatten(structure, parts)


def _leaf_like(template: Any, kept: Any, path: tuple[str, ...]) -> Any:
    leaves = jax.tree.leaves(kept)
    if len(leaves) != 1 or np.shape(leaves[0]) != np.shape(template):
        received = f"shape {np.shape(leaves[0])}" if len(leaves) == 1 else f"{len(leaves)} arrays"
        raise _unlike(f"{'/'.join(path)} of shape {np.shape(template)}", received)
    return leaves[0]


def _unlike(expected: str, received: str) -> GradlabError:
    hint = "the transformation and the parameters that the checkpoint was made with"
    return GradlabError(f"a state that has {expected}", received, hint)
