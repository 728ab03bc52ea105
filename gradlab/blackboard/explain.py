"""Work a small network out on the blackboard: every number of its forward and backward pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab._errors import GradlabError
from gradlab.blackboard.explanation import ExplainedLayer, Explanation
from gradlab.config import positive_integer
from gradlab.core.activations import slope
from gradlab.core.backprop import run
from gradlab.core.gradient import Site
from gradlab.core.layer import Layer, Part, serial
from gradlab.core.parameters import require_network
from gradlab.measurement.batch import DeviceBatch
from gradlab.networks.network import Network, example_shape

#: Most examples, inputs and units, and most hidden layers, that a blackboard has room for.
MOST = 6
_DEEPEST = 10
#: Digits that are printed.
_DIGITS = range(2, 7)


def explain(
    net: Network,
    x: Any,
    y: Any = None,
    *,
    params: Any = None,
    key: Array | int = 0,
    loss: str | None = None,
    outputs: int | None = None,
    decimals: int | None = None,
    digits: int = 4,
) -> Explanation:
    r"""Work a small network out as on a blackboard: every z, a, delta and gradient, with formulas and numbers.

    The numbers are those of gradlab's own backward pass, in float64.

    .. math:: z_l = a_{l-1} W_l + b_l,\quad a_l = \varphi(z_l),\qquad
              \delta_l = \partial L/\partial a_l\circ\varphi'(z_l),\quad
              \partial L/\partial W_l = a_{l-1}^\top\delta_l,\quad \partial L/\partial a_{l-1} = \delta_l W_l^\top.

    Parameters
    ----------
    net : network
        A chain of dense layers and activations: `gradlab.MLP` without `norm`, or a `gradlab.CustomNetwork` of
        `gradlab.dense` and `gradlab.activation`. At most 6 units in a layer, and 10 hidden layers.
    x : array, shape (features,) or (batch, features)
        One example, or up to 6.
    y : array, optional
        Labels or targets: of one example a label, a number, or one number for each output. It may be left out with
        ``loss="probe"``.
    params : pytree, optional
        Weights. None: ``net.init_params(key, x, y)``.
    key : int or JAX key
        Key from which the weights are drawn; another key gives other weights.
    loss : str, optional
        Name of the loss. None: softmax cross-entropy for labels, otherwise squared error.
    outputs : int, optional
        Number of outputs, where the labels do not show every class.
    decimals : int, optional
        Decimals to which the weights are rounded before anything is computed, so that they can be copied by hand. None:
        the weights stay as they are.
    digits : int
        Significant digits of the largest number in each matrix, from 2 to 6.

    Returns
    -------
    Explanation
        Print it, or take `.to_markdown()` and `.to_latex()`; its `.layers` hold the numbers as arrays.

    Raises
    ------
    GradlabError
        A network with other layers or of more units, or data that do not fit it.

    Examples
    --------
    >>> import gradlab as gl
    >>> net = gl.MLP(depth=1, width=2, activation="tanh", init="xavier_normal")
    >>> example = gl.explain(net, x=[1.0, 0.5], y=[1.0], decimals=1)
    >>> example
    Explanation(2-2-1, loss=0.1503)
    >>> example.layers[0].weight_grad.round(4).tolist()
    [[-0.0301, -0.1288], [-0.015, -0.0644]]
    """
    require_network(net, Network)
    if positive_integer("digits", digits) not in _DIGITS:
        raise GradlabError(f"digits from {_DIGITS[0]} to {_DIGITS[-1]}", str(digits), "digits=4")
    x, y = _one_example(x, y)
    if params is None:
        params = _drawn(net, x, y, key, loss, outputs)
    with jax.enable_x64(True):
        batch = DeviceBatch.of(x, y, loss, "float64", net.outputs_in(params))
        params, batch = batch.with_params(net, params, key)
        if decimals is not None:
            params = jax.tree.map(lambda v: jnp.asarray(np.round(np.asarray(v), decimals)), params)
        _check_room(batch, params, net)
        leaves = list(_leaves(net.layer(batch.outputs), params, ()))
        chain = serial(*(Part(".".join(leaf.path), leaf.layer) for leaf in leaves))
        value, sites = run(chain, tuple(leaf.params for leaf in leaves), batch.x, batch.y, batch.loss, _whole)
        _check_kinds(net, sites)
        names = [name for name, _ in net.layers(params)]
        layers = tuple(map(_record, names, _layers(leaves, sites)))
        return Explanation(np.asarray(batch.x), np.asarray(batch.y), batch.loss, float(value.value()), layers, digits)


def _one_example(x: Any, y: Any) -> tuple[Any, Any]:
    """Return a batch; a vector is a batch of one example."""
    try:
        single = np.ndim(x) == 1
    except ValueError:  # rows of different lengths: the one door says so
        single = False
    if not single:
        return x, y
    return np.asarray(x)[None], None if y is None else np.asarray(y)[None]


def _drawn(net: Network, x: Any, y: Any, key: Array | int, loss: str | None, outputs: int | None) -> Any:
    """Draw weights as `init_params` does."""
    if y is None and outputs is None and loss == "probe":
        outputs = 1
    return net.init_params(key, x, y, outputs=outputs)


class _Leaf(NamedTuple):
    """Hold a layer that is no combinator, with the names on the way to it."""

    path: tuple[str, ...]
    layer: Layer
    params: Any


def _leaves(layer: Layer, params: Any, path: tuple[str, ...]) -> Iterator[_Leaf]:
    """Yield the layers of a chain, those of repeated blocks one by one."""
    if layer.parts is None or not (layer.sequence or layer.copies):
        yield _Leaf(path, layer, params)
        return
    for name, part, tree in layer.parts(params):
        yield from _leaves(part, tree, (*path, name))


def _whole(site: Site) -> Site:
    """Keep all that a layer shows: a reader."""
    return site


def _check_room(batch: DeviceBatch, params: Any, net: Network) -> None:
    """Raise where the network or the batch is too large for a blackboard."""
    example_shape(net, batch.x)
    if batch.x.ndim != 2:
        raise GradlabError("x of shape (examples, features)", f"shape {batch.x.shape}", "gl.MLP, and vectors as x")
    widths = [leaf["weight"].shape[-1] for _, leaf in net.layers(params)]
    sizes = {"examples": len(batch.x), "inputs": batch.x.shape[1], "units in a layer": max(widths)}
    for what, size in sizes.items():
        if size > MOST:
            raise GradlabError(f"at most {MOST} {what}", str(size), "a smaller network, or gl.measure for a large one")
    if len(widths) - 1 > _DEEPEST:
        hint = "a smaller depth, or gl.measure for a deep network"
        raise GradlabError(f"at most {_DEEPEST} hidden layers", str(len(widths) - 1), hint)


def _check_kinds(net: Network, sites: tuple[Any, ...]) -> None:
    """Raise where the network is no chain of dense layers, each with at most one activation behind it."""
    kinds = [site.kind if isinstance(site, Site) else "a block with a skip" for site in sites]
    others = [kind for kind in dict.fromkeys(kinds) if kind not in ("dense", "activation")]
    if kinds[0] == "activation":
        others.append("an activation before its first weight")
    if ("activation", "activation") in itertools.pairwise(kinds):
        others.append("two activations in a row")
    if others:
        hint = "gl.MLP(depth=1, width=2) without norm"
        raise GradlabError("a chain of dense layers and activations", f"{net!r} with {', '.join(others)}", hint)


def _layers(leaves: Sequence[_Leaf], sites: Sequence[Site]) -> Iterator[dict[str, Any]]:
    """Yield the numbers of each dense layer together with those of the activation behind it."""
    for i, (leaf, site) in enumerate(zip(leaves, sites, strict=True)):
        if site.kind == "dense":
            behind = sites[i + 1] if i + 1 < len(sites) and sites[i + 1].kind == "activation" else None
            yield _numbers(leaf, site, behind)


def _numbers(leaf: _Leaf, dense: Site, activation: Site | None) -> dict[str, Any]:
    """Turn what the two layers showed into arrays."""
    gradients = {name: gradient.materialise() for name, gradient in dense.gradient.items()}
    z = leaf.layer.forward(leaf.params, dense.x)[0]
    delta = dense.dy.value()
    if activation is None:
        rest = {"activation": "identity", "a": z.value(), "slope": jnp.ones_like(delta), "signal_grad": delta}
    else:
        entry = activation.entries[0][0]
        rest = {
            "activation": entry.name, "a": activation.y.value(), "slope": slope(entry, z),
            "signal_grad": activation.dy.value(),
        }  # fmt: skip
    return {
        "inputs": dense.x.value(), "weight": dense.params["weight"], "bias": dense.params.get("bias"), "z": z.value(),
        "delta": delta, "weight_grad": gradients["weight"], "bias_grad": gradients.get("bias"), **rest,
    }  # fmt: skip


def _record(name: str, numbers: dict[str, Any]) -> ExplainedLayer:
    arrays = {key: v if v is None or isinstance(v, str) else np.asarray(v) for key, v in numbers.items()}
    return ExplainedLayer(name=name, **arrays)
