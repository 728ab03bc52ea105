"""A network in arrays that are as deep as the deepest of several, so that one program serves all of them."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from gradlab.networks.network import Network
from gradlab.networks.resolved import Resolved, resolved


class Room(NamedTuple):
    """A network, and the deepest one whose beginning it is.

    Parameters
    ----------
    net, deepest : Network
        The network that is trained, and the one whose arrays it uses.
    shape : tuple of int
        Of one example.
    outputs : int
        Number of outputs.
    """

    net: Network
    deepest: Network
    shape: tuple[int, ...]
    outputs: int

    def widen(self, params: Any) -> Any:
        """Return the parameters of `net` in arrays as deep as those of the deepest network, filled up with zeros."""
        if self.net.depth == self.deepest.depth:
            return params
        dtype = jax.tree.leaves(params)[0].dtype
        below, run, head = self.net.stack(self.outputs).split(params)
        _, room, _ = self.deepest.stack(self.outputs).split(shapes_of(resolved(self.deepest), self.shape, self.outputs))
        zeros = lambda count, like: np.zeros((count, *like.shape[1:]), dtype)
        run = jax.tree.map(lambda like: zeros(0, like), room) if run is None else run
        above = lambda v, like: np.concatenate([v, zeros(like.shape[0] - len(v), like)])
        return (*below, jax.tree.map(above, run, room), head)

    def narrow(self, tree: Any) -> Any:
        """Undo `widen`, for a tree like the parameters."""
        if self.net.depth == self.deepest.depth:
            return tree
        stack = self.deepest.stack(self.outputs)
        below, run, head = stack.split(tree)
        count = self.net.depth - stack.earlier_depth
        return (*below, *([jax.tree.map(lambda v: np.asarray(v)[:count], run)] if count else []), head)


@functools.lru_cache(maxsize=32)
def shapes_of(resolved: Resolved, shape: tuple[int, ...], outputs: int) -> Any:
    """Return the shapes of a network's parameters."""
    return jax.eval_shape(lambda key: resolved.network.layer(outputs).init(key, shape)[0], jax.random.key(0))
