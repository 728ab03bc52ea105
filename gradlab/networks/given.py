"""Weights that a user hands over: what identifies them, own arrays put into a tree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab._errors import GradlabError, unknown

if TYPE_CHECKING:
    from gradlab.networks.network import Network

#: What a layer's parameters are called and hold, by the name of the layer.
Layers = Mapping[str, Mapping[str, Any]] | Iterable[tuple[str, Mapping[str, Any]]]


def digest(params: Any) -> str:
    """Return what identifies given parameters: a hash of their tree and of all their numbers."""
    leaves, structure = jax.tree.flatten(params)
    hashed = hashlib.sha256(str(structure).encode())
    for leaf in map(np.asarray, leaves):
        hashed.update(repr((leaf.shape, str(leaf.dtype))).encode() + leaf.tobytes())
    return hashed.hexdigest()[:16]


def with_layers(net: Network, params: Any, layers: Layers) -> Any:
    """Return a copy of `params` with other arrays in some layers; see `Network.with_layers`."""
    leaves, structure = jax.tree.flatten(params)
    starts = np.cumsum([0, *(np.size(leaf) for leaf in leaves)])
    # the place of every number in one long vector, laid out as a tree: unstacked as the numbers themselves are
    places = structure.unflatten(
        np.arange(start, start + np.size(leaf)).reshape(np.shape(leaf))
        for start, leaf in zip(starts, leaves, strict=False)
    )
    known = dict(net.layers(places))
    values = np.concatenate([np.ravel(np.asarray(leaf)) for leaf in leaves])
    for name, arrays in layers.items() if isinstance(layers, Mapping) else layers:
        if name not in known:
            raise unknown("layer", name, known)
        for parameter, array in arrays.items():
            if parameter not in known[name]:
                raise unknown(f"parameter of {name}", parameter, known[name])
            place = known[name][parameter]
            if np.shape(array) != place.shape:
                raise GradlabError(
                    f"{parameter} of {name} of shape {place.shape}", f"{np.shape(array)}",
                    "the transpose, if it comes from a library that keeps weights as (outputs, inputs)",
                )  # fmt: skip
            values[place] = np.asarray(array)
    pieces = np.split(values, starts[1:-1])
    return structure.unflatten(
        jnp.asarray(piece.reshape(np.shape(leaf)), jnp.asarray(leaf).dtype)
        for piece, leaf in zip(pieces, leaves, strict=True)
    )
