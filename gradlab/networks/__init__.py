"""Configurations that build a stack of layers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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
    """The network of a configuration, by its architecture."""
    home, name = _BUILDERS.get(config.architecture, ("custom", "CustomNetwork"))
    return getattr(import_module(f"{__name__}.{home}"), name).of(config)
