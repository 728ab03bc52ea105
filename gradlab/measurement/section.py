"""The piece of a network between two of its points, as one layer: what a Jacobian is taken of.

Points are the input, the preactivation z_l of layer l = 1 ... L, and the output z_{L+1}. Between z_{l-1} and z_l
stands one block, the activation and the dense layer above it; equal blocks in a row are one loop.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab._errors import GradlabError
from gradlab.core.activations import TABLE as ACTIVATIONS
from gradlab.core.activations import Activation, activation
from gradlab.core.dense import dense
from gradlab.core.layer import Layer, repeat, serial, tangent
from gradlab.core.scaled import Scaled
from gradlab.networks.mlp import MLP
from gradlab.networks.network import Network


class Piece(NamedTuple):
    """Part of a network.

    Parameters
    ----------
    layer : Layer
        The whole part.
    runs : tuple of (Layer, int)
        Its blocks, and how often each stands in a row; 0: once, outside a loop. Empty where the network's
        blocks are not known.
    widths : tuple of int
        Units at each point from its source to its target.
    """

    layer: Layer
    runs: tuple[tuple[Layer, int], ...] = ()
    widths: tuple[int, ...] = ()


def piece_of(net: Network | Layer, params: Any, source: str | int, target: str | int) -> tuple[Piece, Any]:
    """The part of a network between two points, with its parameters.

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
        A point that the network has not got, or a target that does not lie above the source.
    """
    if not isinstance(net, MLP):
        if (source, target) != ("input", "output"):
            raise GradlabError(
                "source='input' and target='output', for a network that is not an MLP",
                f"{source!r} and {target!r}", "an MLP, or the part as a Layer of its own",
            )  # fmt: skip
        return Piece(net if isinstance(net, Layer) else net.layer(net.outputs_in(params))), params
    depth = net.depth
    low, high = _number("source", source, depth), _number("target", target, depth)
    if low >= high:
        raise GradlabError("a target above the source", f"{source!r} and {target!r}", "source='input', target='output'")
    # on the host, where unstacking 1000 layers and stacking them again compiles nothing
    chosen = [p for _, p in net.layers(jax.tree.map(np.asarray, params))][low:high]
    names = net.activations if len(net.activations) > 1 else net.activations * depth
    # of each weight the activation that it reads; the first one reads the input
    found = {name: ACTIVATIONS.current(name) for name in dict.fromkeys(names)}
    entries = (None, *(found[name] for name in names))[low:high]
    piece = _piece(entries, net.bias, tuple(p["weight"].shape for p in chosen))
    trees = iter(p if low == i == 0 else ({}, p) for i, p in enumerate(chosen))
    grouped = []
    for _, count in piece.runs:
        taken = list(itertools.islice(trees, max(count, 1)))
        grouped.append(jax.tree.map(lambda *v: np.stack(v), *taken) if count else taken[0])
    return piece, tuple(grouped)


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
def _piece(entries: tuple[Activation | None, ...], bias: bool, sizes: tuple[tuple[int, int], ...]) -> Piece:
    runs: list[tuple[Layer, int]] = []
    before = None
    for entry, (fan_in, width) in zip(entries, sizes, strict=True):
        if entry is not None and fan_in == width and before == (entry, width):
            block, count = runs.pop()
            runs.append((block, count + 1))
        else:
            linear = dense(width, bias=bias)
            block = linear if entry is None else serial(activation(entry.name), linear)
            runs.append((block, 1 if entry is not None and fan_in == width else 0))
        before = (entry, width) if runs[-1][1] else None
    layer = serial(*(repeat(block, count) if count else block for block, count in runs))
    return Piece(layer, tuple(runs), (sizes[0][0], *(width for _, width in sizes)))


def along(
    piece: Piece, params: Any, saved: Any, v: Scaled, step: Callable[[Scaled], tuple[Scaled, Any]]
) -> tuple[Scaled, Any]:
    """Tangents carried up block by block, with a step after each.

    Parameters
    ----------
    piece : Piece
        One whose blocks are known.
    params, saved : Any
        Of ``piece.layer``.
    v : Scaled, shape (vectors, batch, units)
    step : callable
        ``(v) -> (v, record)``.

    Returns
    -------
    v : Scaled
    records
        Of all steps, along a leading axis.
    """
    records = []
    for (block, count), p, s in zip(piece.runs, params, saved, strict=True):

        def one(v, ps, block=block):
            return step(jax.vmap(lambda d: tangent(block, *ps, d))(v))

        if count:
            v, record = lax.scan(one, v, (p, s))
        else:
            v, record = one(v, (p, s))
            record = jax.tree.map(lambda r: r[None], record)
        records.append(record)
    return v, jax.tree.map(lambda *r: jnp.concatenate(r), *records)


def preactivations(piece: Piece, saved: Any, y: Scaled, layers: Sequence[int]) -> list[Array]:
    """Plain z of some layers of a part that begins at the input, from what its forward pass saved."""
    found, place = {}, 0
    for (_, count), s in zip(piece.runs, saved, strict=True):
        for i in range(max(count, 1)):
            if place in layers and place:  # what the first layer saves is the input
                z = jax.tree.map(lambda v: v[i], s[0]) if count else s[0]  # noqa: B023
                found[place] = z.value()
            place += 1
    found[place] = y.value()
    return [found[layer] for layer in layers]
