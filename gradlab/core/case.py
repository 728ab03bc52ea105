"""What is checked: a layer with its parameters and data, in one dtype."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab import config
from gradlab._errors import GradlabError
from gradlab.core.backprop import targets
from gradlab.core.batch import default_loss, targets_of
from gradlab.core.comparison import REFERENCE_ROUNDINGS, TOLERANCE
from gradlab.core.initializers import PROBE_FOLD
from gradlab.core.layer import Layer
from gradlab.core.losses import probes
from gradlab.core.parameters import check_parameters
from gradlab.core.scaled import plain

_WORD = int.from_bytes(b"check")


@dataclass(frozen=True)
class Case:
    """What is compared: a layer, its parameters, data and loss; without one, y is a random cotangent."""

    layer: Layer
    params: Any
    x: np.ndarray
    y: Any
    loss: str | None
    names: tuple[str, ...]
    title: str
    dtype: str
    tolerance: float
    rng: np.random.Generator

    def cast(self, dtype) -> Case:
        """Return the same numbers in another dtype."""
        real = lambda v: jnp.asarray(np.asarray(v), dtype)
        y = None if self.y is None else np.asarray(self.y)
        if y is not None:
            # labels as integers of the width that is switched on
            y = real(y) if np.issubdtype(y.dtype, np.floating) else jnp.asarray(y)
        return replace(self, params=jax.tree.map(real, self.params), x=np.asarray(self.x, dtype), y=y)


def case_of(net: Any, x: np.ndarray, y: Any, loss: str | None, key: Array, params: Any, dtype: str) -> Case:
    """Return the case of a network, or of a bare layer; parameters are drawn where none are given."""
    bare = isinstance(net, Layer)
    loss = None if loss is None else config.resolve("loss", loss, config.LOSSES)
    if not bare and y is None and loss != "probe":
        raise GradlabError("targets y", "none", "loss='probe', which needs no targets")
    if params is None:
        if bare:
            params = _shaped(net.init, key, x.shape[1:])[0]
        else:
            params = net.init_params(key, x, outputs=1) if y is None else net.init_params(key, x, y)
    else:
        if not bare:
            check_parameters(net, params, x.shape[1:], net.outputs_in(params))
        params = jax.tree.map(lambda v: jnp.asarray(np.asarray(v), dtype), params)
    layer = net if bare else net.layer(net.outputs_in(params))
    try:
        shape = jax.eval_shape(lambda p, x: layer.forward(p, plain(x))[0].mantissa, params, x).shape
    except GradlabError:  # a layer's own says more
        raise
    except (TypeError, ValueError, IndexError) as error:
        raise GradlabError(
            "x that fits the parameters", f"shape {x.shape}: {error}", "params=None, for a draw that fits"
        ) from None
    if y is not None:
        y = targets_of(y, len(x), loss, shape[-1])
        loss = loss or default_loss(y)
    if loss == "probe":
        y = probes(jax.random.fold_in(key, PROBE_FOLD), len(x), shape[-1], dtype)
    elif loss is not None:
        y = targets(loss, y, shape[-1], dtype)
    # with a word of its own: default_rng(0) may have made x, and a cotangent equal to x hides a transpose
    rng = np.random.default_rng([*np.asarray(jax.random.key_data(key)).ravel(), _WORD])
    if loss is None:
        y = rng.normal(size=shape).astype(dtype)
    names = tuple(name for name, _ in net.layers(params)) if hasattr(net, "layers") else ()
    matrices = [v for v in jax.tree.leaves(params) if jnp.ndim(v) >= 2]
    fan_in = max((v.shape[-2] for v in matrices), default=1)
    depth = sum(1 if v.ndim == 2 else v.shape[0] for v in matrices)
    tolerance = TOLERANCE[dtype] * max(1.0, 2 * depth * fan_in**0.5 / REFERENCE_ROUNDINGS)
    title = f"{net if not bare else 'layer'}, {loss or 'random cotangent'}, batch {len(x)}, {dtype}"
    return Case(layer, params, x, y, loss, names, title, dtype, tolerance, rng)


def _shaped(init, key, shape):
    try:
        return init(key, shape)
    except GradlabError:
        raise
    except (TypeError, ValueError) as error:
        raise GradlabError(
            "x that fits the layer", f"{shape} per example: {error}", "an x of the layer's shape"
        ) from None
