"""The configuration of a network of a user's own layers: what the layers compute, as a hash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gradlab._errors import GradlabError


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
        Number of outputs, which the last layer has.
    depth : int
        Number of hidden layers: rows below the readout.
    width : int
        Units of the first hidden layer.
    activation : str
        Names of its activations, as far as they are gradlab's.
    given : Layer
        The layers themselves; equality does not look at them.
    """

    architecture: str
    fingerprint: str
    shape: tuple[int, ...]
    outputs: int
    depth: int
    width: int
    activation: str
    given: Any = field(compare=False, repr=False)

    #: The initialiser, in the frame: each layer has its own.
    init = "own"

    @classmethod
    def names(cls, *affects: str) -> tuple[str, ...]:
        """No field of it is one of the built-in architectures' own."""
        return ()

    @property
    def network(self) -> CustomConfig:
        """Return itself, so that networks and trainings are asked for their network by one name."""
        return self

    @property
    def activations(self) -> tuple[str, ...]:
        """Return one text for all layers."""
        return (self.activation,)

    def as_dict(self) -> dict[str, Any]:
        """Return what identifies the network."""
        return {"architecture": self.architecture, "shape": self.shape, "layer": self.fingerprint}

    def changed(self) -> dict[str, Any]:
        """No field has a default."""
        return {}

    @property
    def key(self) -> str:
        """Return what a grid holds instead of the network: architecture and fingerprint."""
        return f"{self.architecture} {self.fingerprint}"

    def label(self) -> str:
        """Return a short description for progress lines and messages: ``custom depth=3 1f09ac``."""
        return f"{self.architecture} depth={self.depth} {self.fingerprint[:6]}"


#: The configurations that grids were made of in this process, by key. A key says what the layers compute, so none is
#: ever replaced by another.
_made: dict[str, CustomConfig] = {}


def keys_of(networks: Any) -> tuple[str, ...]:
    """Return the keys of `CustomNetwork`s, each once; keys that a grid holds already stay as they are."""
    several = networks if isinstance(networks, Iterable) and not isinstance(networks, str) else (networks,)
    keys = []
    for one in several:
        if not isinstance(one, (str, CustomConfig)):
            raise GradlabError("networks of your own layers", repr(one), "gl.CustomNetwork(layer, shape=...)")
        if isinstance(one, CustomConfig):
            _made[one.key] = one
        keys.append(one if isinstance(one, str) else one.key)
    keys = list(dict.fromkeys(keys))
    seen: set[tuple] = set()
    for config in (_made[key] for key in keys if key in _made):
        shown = config.architecture, config.depth, config.width, config.activation
        if shown in seen:
            raise GradlabError(
                "names that tell networks apart which are alike in depth, width and activation",
                f"two called {config.architecture!r}", "gl.CustomNetwork(..., name='another')",
            )  # fmt: skip
        seen.add(shown)
    return tuple(keys)


def config_of(key: str) -> CustomConfig:
    """Return the configuration that belongs to a key."""
    if key not in _made:
        raise GradlabError(
            f"the network {key!r}, of a user's own layers, to be made in this process", "no such network",
            "the script that made it",
        )  # fmt: skip
    return _made[key]
