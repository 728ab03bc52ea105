"""THE table of layer kinds: each with the shape of one example. A new kind is one line here."""

from __future__ import annotations

from typing import NamedTuple

from gradlab.core.activations import activation
from gradlab.core.dense import dense
from gradlab.core.layer import Layer, repeat, serial


class Kind(NamedTuple):
    """A layer, the shape of one example, and what sets it apart."""

    name: str
    layer: Layer
    shape: tuple[int, ...]
    interacts: bool = False  #: the output of an example depends on the whole batch (batch normalisation)

    def __str__(self):
        return self.name


KINDS = (
    Kind("dense", dense(4), (3,)),
    Kind("dense, no bias", dense(4, bias=False), (3,)),
    Kind("dense, one unit", dense(1), (1,)),
    Kind("dense at positions", dense(4), (2, 5, 3)),
    Kind("activation", activation("gelu"), (3,)),
    Kind("serial", serial(dense(4), activation("tanh"), dense(2)), (3,)),
    Kind("repeat", repeat(serial(dense(3), activation("sigmoid")), 4), (3,)),
)
