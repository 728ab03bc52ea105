"""The layers of a network in the order in which a measurement needs them, and the parts that networks share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from gradlab.config import NetworkConfig
from gradlab.core.activations import activation
from gradlab.core.dense import dense
from gradlab.core.dyt import dyt
from gradlab.core.initializers import READOUT_FOLD
from gradlab.core.layer import Layer, Part, repeat, serial
from gradlab.core.norm import batch_norm, layer_norm, rms_norm
from gradlab.networks.rules import bias_std, input_rule, readout_rule

#: Name of a normalisation -> the layer.
NORMS = {"batch": batch_norm, "layer": layer_norm, "rms": rms_norm, "dyt": dyt}
#: Folded into a seed's key for what stands below the counted layers.
STEM_FOLD = 0


class Stack(NamedTuple):
    """A network cut where a measurement needs it.

    Parameters
    ----------
    whole : Layer
        A `serial`; its last part ends in the linear readout.
    runs : bool
        Whether the part before the readout is a `repeat`, into which a cotangent may enter at any depth.
    stem : str
        Name of the first part where it is no counted layer: its row is layer 0. Empty where it is.
    """

    whole: Layer
    runs: bool = False
    stem: str = ""

    @property
    def earlier(self) -> Layer:
        """Return all layers before the readout, or before the last repeated blocks."""
        return serial(*self.whole.sequence[: -1 - self.runs])

    @property
    def earlier_depth(self) -> int:
        """Return how many counted layers are `earlier`."""
        return sum(max(part.layer.copies, 1) for part in self.earlier.sequence) - bool(self.stem)

    @property
    def last_run(self) -> Layer | None:
        """Return the last repeated blocks."""
        return self.whole.sequence[-2].layer if self.runs else None

    @property
    def readout(self) -> Layer:
        """Return the readout."""
        return self.whole.sequence[-1].layer

    def split(self, params: Any) -> tuple[Any, Any, Any]:
        """Return the parameters of `earlier`, of the last repeated blocks (or None) and of the readout."""
        *below, head = params
        run = below.pop() if self.runs else None
        return tuple(below), run, head


def stacked(stem: Layer, run: Layer, readout: Layer) -> Stack:
    """Return a stem that is not counted, repeated blocks, and a readout."""
    parts = Part("stem", stem, STEM_FOLD), Part("run", run), Part("readout", readout, READOUT_FOLD)
    return Stack(serial(*parts), True, "stem")


def runs_of(widths: tuple[int, ...], kinds: Sequence[Hashable] | None = None) -> list[tuple[int, int, int]]:
    """Return the blocks behind the first one as (width, number of the first layer, count); count 0 changes the width.

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
    block: Callable[[int, Any, bool], Layer], widths: tuple[int, ...], kinds: Sequence[Hashable], readout: Layer
) -> Stack:
    """Return a first block, the others in loops over equal ones, and a readout.

    Parameters
    ----------
    block : callable
        ``(width, kind, first) -> Layer``, `first` where it reads the data; block l draws from the key folded with l,
        whichever loop it stands in.
    widths : tuple of int
        Units of each block.
    kinds : sequence
        What blocks differ in beside their width.
    readout : Layer
        The last layer, which is no block.
    """
    shapes = runs_of(widths, kinds)
    parts = [Part("first", block(widths[0], kinds[0], True), 1)]
    for i, (width, number, count) in enumerate(shapes):
        one = block(width, kinds[number - 1], False)
        parts.append(Part(f"run_{i}", repeat(one, count, number)) if count else Part(f"run_{i}", one, number))
    whole = serial(*parts, Part("readout", readout, READOUT_FOLD))
    return Stack(whole, bool(shapes and shapes[-1][2]))


def linear(config: NetworkConfig, width: int, init: str) -> Layer:
    """Return a dense layer that reads the data, as a block of its own, which is read as every block is."""
    weight = dense(width, input_rule(config, init), bias=config.bias, bias_std=bias_std(config))
    return serial(Part("dense", weight), Part("activation", activation("identity")))


def readout_block(config: NetworkConfig, outputs: int, *before: Layer) -> Layer:
    """Return the linear readout, behind the layers that have to stand `before` it."""
    head = dense(outputs, readout_rule(config), bias=config.bias, bias_std=bias_std(config))
    parts = (Part(f"before_{i}", layer) for i, layer in enumerate(before))
    return serial(*parts, Part("dense", head), Part("activation", activation("identity")))


def normed(name: str | None) -> tuple[Layer, ...]:
    """Return the normalisation of that name; none for None."""
    return () if name is None else (NORMS[name](),)
