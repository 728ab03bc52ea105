"""The configuration of a network of a user's own layers: what the layers compute, as a hash."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CustomConfig:
    """A network of a user's own layers; `gradlab.networks.custom.CustomNetwork` makes it from them.

    Parameters
    ----------
    architecture : str
        What the frame calls it; no built-in architecture.
    fingerprint : str
        A hash of what its layers draw and compute, forward and backward.
    shape : tuple of int
        Of one example.
    outputs : int
    depth : int
        Number of hidden layers: rows below the readout.
    width : int
        Units of the first hidden layer.
    activation : str
        Names of its activations, as far as they are gradlab's.
    layer : Layer
        The layers themselves; equality does not look at them.
    """

    architecture: str
    fingerprint: str
    shape: tuple[int, ...]
    outputs: int
    depth: int
    width: int
    activation: str
    layer: Any = field(compare=False, repr=False)

    #: The initialiser, in the frame: each layer has its own.
    init = "own"

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """No field of it is one of the built-in architectures' own."""
        return ()

    @property
    def activations(self) -> tuple[str, ...]:
        """One text for all layers."""
        return (self.activation,)

    def as_dict(self) -> dict[str, Any]:
        """What identifies the network."""
        return {"architecture": self.architecture, "shape": self.shape, "layer": self.fingerprint}

    def changed(self) -> dict[str, Any]:
        """No field has a default."""
        return {}

    def label(self) -> str:
        """A short description for progress lines and messages: ``custom depth=3 1f09ac``."""
        return f"{self.architecture} depth={self.depth} {self.fingerprint[:6]}"
