"""Configurations that build a stack of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradlab.config import MLPConfig
    from gradlab.networks.mlp import MLP


def build(config: MLPConfig) -> MLP:
    """The network of a configuration, by its architecture."""
    from gradlab.networks.mlp import MLP

    return {"mlp": MLP}[config.architecture].of(config)
