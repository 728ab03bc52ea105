"""Cut the section between two points of a network, as one layer: its Jacobian is what is measured.

Points are the input, the preactivation z_l of layer l = 1 ... L, and the output z_{L+1}, which the dense layers give. A
section begins behind the dense layer of one block and ends with the dense layer of another. Repeated blocks stay loops.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab._errors import GradlabError
from gradlab.core.layer import Layer, repeat, serial, tangent
from gradlab.core.scaled import Scaled
from gradlab.networks.mlp import MLP
from gradlab.networks.network import Network
from gradlab.networks.resolved import Resolved, resolved


def section(net: Network | Layer, params: Any, from_layer: str | int, to_layer: str | int) -> tuple[Layer, Any]:
    """Cut out the layer between two points of a network, with its parameters.

    Parameters
    ----------
    net : network or Layer
        The network. Only an `MLP` can be cut; others are taken whole, from input to output.
    params : pytree
        The parameters of the network.
    from_layer, to_layer : "input", "output" or int
        The two points. An integer l stands for the preactivation of layer l.

    Raises
    ------
    GradlabError
        If the network lacks one of the points, or `to_layer` is not behind `from_layer`.
    """
    if not isinstance(net, MLP):
        if (from_layer, to_layer) != ("input", "output"):
            raise GradlabError(
                "from_layer='input' and to_layer='output', for a network that is not an MLP",
                f"{from_layer!r} and {to_layer!r}", "an MLP, or the part as a Layer of its own",
            )  # fmt: skip
        return net if isinstance(net, Layer) else _whole(resolved(net), net.outputs_in(params)), params
    low, high = _number("from_layer", from_layer, net.depth), _number("to_layer", to_layer, net.depth)
    if low >= high:
        raise GradlabError(
            "to_layer behind from_layer", f"from_layer={from_layer!r}, to_layer={to_layer!r}",
            "from_layer='input', to_layer='output'",
        )  # fmt: skip
    # Fields that change only numbers are left out, so that equal programs are compiled once.
    plain = MLP(**{name: getattr(net, name) for name in net.names("program")}, depth=net.depth)
    layer, cuts = _section(resolved(plain), net.outputs_in(params), low, high)
    # Cut on the host, where a slice is a view: slices of 1000 layers on the device would all be compiled.
    host = jax.tree.map(np.asarray, params)
    return layer, jax.device_put(tuple(jax.tree.map(lambda v: v[copies], host[i])[kept] for i, copies, kept in cuts))  # noqa: B023


def _number(name: str, point: str | int, depth: int) -> int:
    """Return the number of a point: 0 for the input, L + 1 for the output."""
    named = {"input": 0, "output": depth + 1}
    number = named.get(point, point) if isinstance(point, str) else point
    if isinstance(number, bool) or not isinstance(number, int) or not (0 < number <= depth or point in named):
        raise GradlabError(
            f"{name} to be 'input', 'output' or a hidden layer from 1 to {depth}", repr(point), f"{name}={depth}"
        )
    return number


@functools.lru_cache(maxsize=64)
def _whole(entry: Resolved, outputs: int) -> Layer:
    """Make the layer of the whole network; it is cached, because compiled programs are cached by it."""
    return entry.network.layer(outputs)


@functools.lru_cache(maxsize=64)
def _section(entry: Resolved, outputs: int, low: int, high: int) -> tuple[Layer, list[tuple[int, Any, slice]]]:
    """Make the layer from point `low` to point `high`, and say where the parameters of its parts lie.

    Each place is the number of a block or of repeated blocks, which copies of them, and which parts of the block.
    """
    # behind the first dense layer, whole blocks, the last dense layer
    ranges = ((low - 1, low, slice(1, None)), (low, high - 1, slice(None)), (high - 1, high, slice(0, 1)))
    parts, cuts, offset = [], [], 0
    for place, (_, run, _) in enumerate(entry.network.layer(outputs).sequence):
        count = max(run.copies, 1)
        for begin, end, kept in ranges:
            first, last = max(begin - offset, 0), min(end - offset, count)
            if first < last:
                part = serial(*_block(run).sequence[kept])
                parts.append(repeat(part, last - first) if run.copies else part)
                cuts.append((place, slice(first, last) if run.copies else ..., kept))
        offset += count
    return serial(*parts), cuts


def _block(layer: Layer) -> Layer:
    """Return one copy of repeated blocks, or a single block as it is."""
    return layer if layer.parts is None or not layer.copies else layer.parts(())[0][1]


def carry_tangents(
    layer: Layer, params: Any, saved: Any, v: Scaled, at_dense: Callable[[Scaled], tuple[Scaled, Any]]
) -> tuple[Scaled, Any]:
    """Carry tangents through a section, and call a function behind each dense layer.

    Parameters
    ----------
    layer : Layer
        A section of an `MLP`.
    params, saved : Any
        Parameters of the layer, and what its forward pass saved.
    v : Scaled, shape (vectors, batch, units)
        The tangents.
    at_dense : callable
        ``(v) -> (v, record)``, called behind each dense layer.

    Returns
    -------
    v : Scaled
        The tangents at the end.
    records
        The records behind all dense layers, along a leading axis.
    """

    def through(v, block, params, saved):
        record = None
        for part, p, s in zip(block.sequence, params, saved, strict=True):
            v = jax.vmap(lambda d: tangent(part.layer, p, s, d))(v)  # noqa: B023
            if part.name == "dense":
                v, record = at_dense(v)
        return v, record

    records = []
    for part, p, s in zip(layer.sequence, params, saved, strict=True):
        block = _block(part.layer)
        if part.layer.copies:
            carried: Any = lax.scan(lambda v, ps: through(v, block, *ps), v, (p, s))  # noqa: B023
            v, record = carried
        else:
            v, record = through(v, block, p, s)
            record = jax.tree.map(lambda r: r[None], record)
        records += [] if record is None else [record]
    return v, jax.tree.map(lambda *r: jnp.concatenate(r), *records)


def preactivations(layer: Layer, params: Any, saved: Any, numbers: Sequence[int]) -> list[Array]:
    """Return the preactivations of some layers (from 1) of a section that begins at the input."""
    values, number = {}, 0
    for part, *trees in zip(layer.sequence, params, saved, strict=True):
        dense = _block(part.layer).sequence[0].layer
        for i in range(max(part.layer.copies, 1)):
            number += 1
            if number in numbers:
                p, s = jax.tree.map(lambda v: v[i], trees) if part.layer.copies else trees  # noqa: B023
                values[number] = dense.forward(p[0], s[0])[0].value()
    return [values[number] for number in numbers]
