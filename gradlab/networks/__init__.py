"""Configurations that build a stack of layers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from gradlab.config import NetworkConfig
    from gradlab.networks.network import Network

_BUILDERS = {
    "mlp": ("mlp", "MLP"),
    "resnet": ("resnet", "ResNet"),
    "convnet": ("convnet", "ConvNet"),
    "rnn": ("rnn", "RNN"),
    "transformer": ("transformer", "Transformer"),
}


def build(config: NetworkConfig) -> Network:
    """Return the network with the fields of a configuration; one of a user's own layers is a network already."""
    if config.architecture not in _BUILDERS:
        return cast("Network", config)
    home, name = _BUILDERS[config.architecture]
    kind = getattr(import_module(f"{__name__}.{home}"), name)
    return (
        cast("Network", config) if isinstance(config, kind) else kind(**{n: getattr(config, n) for n in config.names()})
    )
