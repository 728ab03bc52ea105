"""What gradients, updates and weights of any model show, layer by layer: pure, and a few numbers a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab._tree import layers_of
from gradlab.measurement.arrays import to_numpy
from gradlab.monitoring.labels import Labels
from gradlab.monitoring.reading import quantities, read

_read = jax.jit(read, static_argnums=0)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Observation:
    """Statistics of each layer: a pytree of small arrays, to return from a jitted step.

    Parameters
    ----------
    values : array, shape (quantities, arrays)
        What was read of the arrays, of which `rows` makes columns; behind `scan` with an axis of steps in front,
        behind a `vmap` around that with axes of seeds and steps.
    step : array or None
        The step as given, shape (), or as the axes in front.
    labels : Labels
        Names and order of the layers; part of the structure, not of the data.
    """

    values: Any
    step: Any
    labels: Labels = field(metadata={"static": True})

    def rows(self) -> dict[str, np.ndarray]:
        """Coordinates and columns of the frame's rows."""
        return self.labels.rows(self.values, self.step)


def observe(
    grads: Any,
    updates: Any = None,
    params: Any = None,
    *,
    step: Any = None,
    order: str | Sequence[str] = (),
    stacked: str | Sequence[str] = (),
    pool: str | Sequence[str] = (),
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
    pool : str or sequence of str
        Patterns of paths whose layers are one row: ``"blocks/*"`` makes a row of each block, ``"blocks"`` one of all.

    Returns
    -------
    Observation
        `gradlab.frame` of it, or of a list of them, is the tidy frame, and `gradlab.plots` draws it.

    Notes
    -----
    The `status` of a row says what is not finite, which arrays have no gradient, whether a gradient is exactly 0 and
    whether entries underflow. ``moved_fraction`` is the share of weights that the update changes once rounded as they
    are stored: with bfloat16 a healthy ratio of norms may move few of them.

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
    layers = layers_of(grads if params is None else params, order, stacked, pool, absent=params is None)
    trees = {"gradient": grads, "update": updates, "weight": params}
    aligned = {name: layers.align(tree, name) for name, tree in trees.items() if tree is not None}
    if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(aligned)):
        values = _read(layers, jax.tree.map(jnp.asarray, aligned))
    else:  # NumPy's or PyTorch's, which may be of 64 bits
        with jax.enable_x64(True):
            values = np.asarray(_read(layers, jax.tree.map(to_numpy, aligned)))
    return Observation(values, step, Labels(layers, quantities(tuple(aligned))))
