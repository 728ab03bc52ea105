"""The layers of a network in the order in which a measurement needs them, and the parts that networks share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from gradlab.config import NetworkConfig
from gradlab.core.activations import activation
from gradlab.core.dense import dense
from gradlab.core.dropout import Dropout
from gradlab.core.initializers import READOUT_FOLD
from gradlab.core.layer import Layer, Part, repeat, serial
from gradlab.core.norm import batch_norm, layer_norm, rms_norm
from gradlab.networks.rules import bias_std, readout_rule

#: Name of a normalisation -> the layer.
NORMS = {"batch": batch_norm, "layer": layer_norm, "rms": rms_norm}
#: Folded into a seed's key for what stands below the counted layers.
STEM_FOLD = 0


class Stack(NamedTuple):
    """A network cut where a measurement needs it.

    Parameters
    ----------
    below : Layer
        All that is below the last run of equal blocks: `below_depth` counted layers in `below_parts` parts.
    last_run : Layer or None
        A `repeat`, into which a cotangent may enter at any depth; None where no block repeats.
    readout : Layer
        What is above: its last layer is the linear readout.
    below_depth, below_parts, depth : int
    whole : Layer
        All of them as one layer.
    stem : str
        Name of the first part where it is no counted layer: its row is layer 0. Empty where it is.
    """

    below: Layer
    last_run: Layer | None
    readout: Layer
    below_depth: int
    below_parts: int
    depth: int
    whole: Layer
    stem: str = ""


def stacked(stem: Layer, run: Layer, readout: Layer, depth: int) -> Stack:
    """A stem that is not counted, a run of `depth` equal blocks, a readout."""
    first = Part("stem", stem, STEM_FOLD)
    whole = serial(first, Part("run", run), Part("readout", readout, READOUT_FOLD))
    return Stack(serial(first), run, readout, 0, 1, depth, whole, "stem")


def runs_of(widths: tuple[int, ...], kinds: Sequence[Hashable] | None = None) -> list[tuple[int, int, int]]:
    """Blocks above the first one as (width, number of the first layer, count); count 0: it changes the width.

    Blocks of one kind whose input and output are equally wide stand in one loop; None: all are of one kind.
    """
    runs: list[tuple[int, int, int]] = []
    for i in range(1, len(widths)):
        if widths[i] != widths[i - 1]:
            runs.append((widths[i], i + 1, 0))
        elif runs and runs[-1][2] and (kinds is None or kinds[i] == kinds[i - 1]):
            width, first, count = runs[-1]
            runs[-1] = (width, first, count + 1)
        else:
            runs.append((widths[i], i + 1, 1))
    return runs


def chained(
    block: Callable[[int, Any, Any], Layer], widths: tuple[int, ...], kinds: Sequence[Hashable], readout: Layer,
    dropout: Dropout | None,
) -> Stack:  # fmt: skip
    """A first block, the others in loops over equal ones, a readout.

    Parameters
    ----------
    block : callable
        ``(width, kind, number) -> Layer``; its draws are those of the number, whichever loop it stands in.
    widths : tuple of int
    kinds : sequence
        What blocks differ in beside their width.
    readout : Layer
    dropout : Dropout, optional
    """
    shapes = runs_of(widths, kinds)
    parts = [Part("first", block(widths[0], kinds[0], 1), 1)]
    for i, (width, number, count) in enumerate(shapes):
        own = functools.partial(block, width, kinds[number - 1])
        run = repeat(copies(own, dropout), count, number) if count else own(number)
        parts.append(Part(f"run_{i}", run, None if count else number))
    whole = serial(*parts, Part("readout", readout, READOUT_FOLD))
    last = shapes[-1][2] if shapes else 0
    run = parts.pop().layer if last else None
    return Stack(serial(*parts), run, readout, len(widths) - last, len(parts), len(widths), whole)


def masked(layer: Layer, dropout: Dropout | None, number: Any) -> Layer:
    """`layer` with its mask of dropout, if there is one."""
    return layer if dropout is None else dropout.after(layer, number)


def copies(block: Callable[[Any], Layer], dropout: Dropout | None) -> Layer | Callable[[Any], Layer]:
    """What `repeat` takes: one layer where all copies are equal, else the copy of each number, with its own masks."""
    return block(0) if dropout is None else block


def linear(config: NetworkConfig, width: int, init: str) -> Layer:
    """A dense layer as a block of its own, read as every block is."""
    weight = dense(width, init, bias=config.bias, bias_std=bias_std(config))
    return serial(Part("dense", weight), Part("activation", activation("identity")))


def readout_block(config: NetworkConfig, outputs: int, *before: Layer) -> Layer:
    """The linear readout, behind what has to stand `before` it."""
    head = dense(outputs, readout_rule(config), bias=config.bias, bias_std=bias_std(config))
    parts = (Part(f"before_{i}", layer) for i, layer in enumerate(before))
    return serial(*parts, Part("dense", head), Part("activation", activation("identity")))


def normed(name: str | None) -> tuple[Layer, ...]:
    """The normalisation of that name, if there is one."""
    return () if name is None else (NORMS[name](),)
