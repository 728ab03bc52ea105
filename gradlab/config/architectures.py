"""All architectures by name, and the coordinates of a grid of their networks."""

from __future__ import annotations

from gradlab.config.networks import ConvNetConfig, MLPConfig, NetworkConfig, ResNetConfig, TransformerConfig
from gradlab.config.recurrent import RNNConfig

#: The configuration of each architecture.
CONFIGS: dict[str, type[NetworkConfig]] = {
    kind.architecture: kind for kind in (MLPConfig, ResNetConfig, ConvNetConfig, RNNConfig, TransformerConfig)
}
#: The coordinates of a grid of networks: all their fields.
GRID: tuple[str, ...] = ("architecture", *dict.fromkeys(name for kind in CONFIGS.values() for name in kind.names()))
#: Coordinates of which an architecture has defaults of its own.
OWN: tuple[str, ...] = tuple(
    name for name in GRID[1:] if len({getattr(k, name) for k in CONFIGS.values() if name in k.names()}) > 1
)
