"""The section of a network between two of its points, as one layer: what a Jacobian is taken of.

Points are the input, the preactivation z_l of layer l = 1 ... L, and the output z_{L+1}: what the dense layer of each
block gives. A section begins behind the dense layer of one block and ends with that of another; runs of equal blocks
stay loops.
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


def section(net: Network | Layer, params: Any, source: str | int, target: str | int) -> tuple[Layer, Any]:
    """The layer between two points of a network, with its parameters.

    Parameters
    ----------
    net : network or Layer
        Of one that is not an `MLP` only the whole, from input to output.
    params : pytree
    source, target : "input", "output" or int
        An integer l stands for the preactivation of layer l.

    Raises
    ------
    GradlabError
        A point that the network does not have, or a target that is not above the source.
    """
    if not isinstance(net, MLP):
        if (source, target) != ("input", "output"):
            raise GradlabError(
                "source='input' and target='output', for a network that is not an MLP",
                f"{source!r} and {target!r}", "an MLP, or the part as a Layer of its own",
            )  # fmt: skip
        return net if isinstance(net, Layer) else _whole(resolved(net), net.outputs_in(params)), params
    low, high = _number("source", source, net.depth), _number("target", target, net.depth)
    if low >= high:
        raise GradlabError("a target above the source", f"{source!r} and {target!r}", "source='input', target='output'")
    # without what changes numbers alone, so that equal programs are compiled once
    plain = MLP(**{name: getattr(net, name) for name in net.names("program")}, depth=net.depth)
    layer, cuts = _section(resolved(plain), net.outputs_in(params), low, high)
    # views on the host, of which a CPU makes no copies: slices of 1000 layers compile nothing
    host = jax.tree.map(np.asarray, params)
    return layer, jax.device_put(tuple(jax.tree.map(lambda v: v[copies], host[i])[kept] for i, copies, kept in cuts))  # noqa: B023


def _number(name: str, point: str | int, depth: int) -> int:
    """The number of a point: 0 the input, L + 1 the output."""
    named = {"input": 0, "output": depth + 1}
    number = named.get(point, point) if isinstance(point, str) else point
    if isinstance(number, bool) or not isinstance(number, int) or not (0 < number <= depth or point in named):
        raise GradlabError(
            f"{name} to be 'input', 'output' or a hidden layer from 1 to {depth}", repr(point), f"{name}={depth}"
        )
    return number


@functools.lru_cache(maxsize=64)
def _whole(of: Resolved, outputs: int) -> Layer:
    """The whole network, the same layer for equal arguments: programs are cached by it."""
    return of.network.layer(outputs)


@functools.lru_cache(maxsize=64)
def _section(of: Resolved, outputs: int, low: int, high: int) -> tuple[Layer, list[tuple[int, Any, slice]]]:
    """The layer from point `low` to point `high`, and where the parameters of its parts lie: the number of a block or
    of a run of equal blocks, which copies of the run, which parts of the block."""
    # behind the first dense layer, whole blocks, the last dense layer
    ranges = ((low - 1, low, slice(1, None)), (low, high - 1, slice(None)), (high - 1, high, slice(0, 1)))
    parts, cuts, below = [], [], 0
    for place, (_, run, _) in enumerate(of.network.layer(outputs).sequence):
        count = max(run.copies, 1)
        for begin, end, kept in ranges:
            first, last = max(begin - below, 0), min(end - below, count)
            if first < last:
                part = serial(*_block(run).sequence[kept])
                parts.append(repeat(part, last - first) if run.copies else part)
                cuts.append((place, slice(first, last) if run.copies else ..., kept))
        below += count
    return serial(*parts), cuts


def _block(layer: Layer) -> Layer:
    """One copy of a run of equal blocks; a block that stands alone as it is."""
    return layer.parts(())[0][1] if layer.copies else layer


def along(
    layer: Layer, params: Any, saved: Any, v: Scaled, step: Callable[[Scaled], tuple[Scaled, Any]]
) -> tuple[Scaled, Any]:
    """Tangents carried up a section, with a step behind each dense layer.

    Parameters
    ----------
    layer : Layer
        A section of an `MLP`.
    params, saved : Any
        Those of the layer.
    v : Scaled, shape (vectors, batch, units)
    step : callable
        ``(v) -> (v, record)``.

    Returns
    -------
    v : Scaled
    records
        Of all steps, along a leading axis.
    """

    def through(v, block, params, saved):
        record = None
        for part, p, s in zip(block.sequence, params, saved, strict=True):
            v = jax.vmap(lambda d: tangent(part.layer, p, s, d))(v)  # noqa: B023
            if part.name == "dense":
                v, record = step(v)
        return v, record

    records = []
    for part, p, s in zip(layer.sequence, params, saved, strict=True):
        block = _block(part.layer)
        if part.layer.copies:
            v, record = lax.scan(lambda v, ps: through(v, block, *ps), v, (p, s))  # noqa: B023
        else:
            v, record = through(v, block, p, s)
            record = jax.tree.map(lambda r: r[None], record)
        records += [] if record is None else [record]
    return v, jax.tree.map(lambda *r: jnp.concatenate(r), *records)


def preactivations(layer: Layer, params: Any, saved: Any, numbers: Sequence[int]) -> list[Array]:
    """Plain z of some layers, the first one 1, of a section that begins at the input: from what its layers saved."""
    found, number = {}, 0
    for part, *trees in zip(layer.sequence, params, saved, strict=True):
        dense = _block(part.layer).sequence[0].layer
        for i in range(max(part.layer.copies, 1)):
            number += 1
            if number in numbers:
                p, s = jax.tree.map(lambda v: v[i], trees) if part.layer.copies else trees  # noqa: B023
                found[number] = dense.forward(p[0], s[0])[0].value()
    return [found[number] for number in numbers]
