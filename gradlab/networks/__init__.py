"""Configurations that build a stack of layers."""

from gradlab.config import MLPConfig
from gradlab.networks.mlp import MLP

__all__ = ["MLP", "build"]


def build(config: MLPConfig) -> MLP:
    """The network of a configuration, by its architecture."""
    return {"mlp": MLP}[config.architecture].of(config)
