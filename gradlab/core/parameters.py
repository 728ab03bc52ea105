"""Networks and parameters as a user hands them over: whether they are such, and fit each other and the data."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab import config
from gradlab._errors import GradlabError
from gradlab.core.layer import Layer

HINT = "params=net.init_params(key, x, y), or those of a training: run.params[seed]"


def require_network(net: Any, kind: type | None = None, or_layer: bool = False) -> None:
    """Raise where `net` is no network.

    Parameters
    ----------
    net : Any
        What should be a network.
    kind : type, optional
        The class that it must be of. None: anything that gives itself as a layer.
    or_layer : bool
        Whether a bare `Layer` will do.
    """
    if or_layer and isinstance(net, Layer):
        return
    offered = callable(getattr(net, "layer", None)) and not isinstance(net, type)
    if offered if kind is None else isinstance(net, kind):
        return
    raise GradlabError("a network" + (" or a Layer" if or_layer else ""), described(net), _hint(net))


def described(net: Any) -> str:
    """Return what a message calls something that is no network."""
    if isinstance(net, type):
        return f"the class {net.__name__}"
    if isinstance(net, Layer):
        return "a bare Layer"
    return config.shown(net)


def _hint(net: Any) -> str:
    if isinstance(net, Layer):
        return "gl.CustomNetwork(layer, shape=x.shape[1:])"
    if isinstance(net, type):
        return f"{net.__name__}(...), one network"
    if isinstance(net, config.NetworkConfig):
        return f"{type(net).__name__.removesuffix('Config')}(...), which has the same fields"
    return "gl.MLP(depth=10, width=64)"


def outputs_in(params: Any) -> int:
    """Number of outputs of given parameters: the columns of their last weight."""
    try:
        named = jax.tree_util.tree_flatten_with_path(params[-1])[0]
        return [leaf for path, leaf in named if getattr(path[-1], "key", None) == "weight"][-1].shape[-1]
    except (TypeError, KeyError, IndexError, AttributeError):
        raise GradlabError("params, the parameters of the network", config.shown(params), HINT) from None


def check_parameters(net: Any, params: Any, shape: tuple[int, ...], outputs: int | None = None) -> None:
    """Raise if `params` are not those of a network, or of a bare layer, for examples of this shape.

    Parameters
    ----------
    net : network or Layer
        The network.
    params : pytree of arrays
        What should be its parameters.
    shape : tuple of int
        Of one example.
    outputs : int, optional
        Of a network.

    Raises
    ------
    GradlabError
        Another tree, an array of another shape, or one that does not hold real numbers.
    """
    bare = isinstance(net, Layer)
    of_layer = net if bare else net.layer(outputs)
    net = "this Layer" if bare else net
    wanted = jax.eval_shape(lambda: of_layer.init(jax.random.key(0), shape)[0])
    if jax.tree.structure(params) != jax.tree.structure(wanted):
        received = f"another tree: {jax.tree.structure(params)}"[:200]
        raise GradlabError(f"params, the parameters of {net}", received, HINT)
    for (path, leaf), like in zip(jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(wanted), strict=True):
        where = f"params{jax.tree_util.keystr(path)}"
        if np.shape(leaf) != like.shape:
            raise GradlabError(f"{where} of shape {like.shape}, as {net} has for these data", f"{np.shape(leaf)}", HINT)
        dtype = getattr(leaf, "dtype", None) or np.asarray(leaf).dtype  # a tracer is no array, and has a dtype
        if not jnp.issubdtype(dtype, jnp.floating):
            raise GradlabError(f"{where} to hold real numbers", f"{dtype}", "values of type float32")
