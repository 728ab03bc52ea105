"""How the weights and biases of a network are drawn, as its configuration says."""

from __future__ import annotations

from gradlab.config import NetworkConfig
from gradlab.core.initializers import Initializer, initializer


def bias_std(config: NetworkConfig) -> float | None:
    """Return the standard deviation of the biases; None for the initialiser's own rule."""
    return None if config.sigma_b2 is None else config.sigma_b2**0.5


def hidden_rule(config: NetworkConfig) -> Initializer:
    """Return the initialiser of the hidden layers."""
    sigma_b2 = config.sigma_b2 if config.bias else 0.0
    return initializer(config.init, config.sigma_w2, config.std, activation=config.activation, sigma_b2=sigma_b2)


def readout_rule(config: NetworkConfig) -> Initializer:
    """Return the initialiser of the readout: that of the hidden layers where no other is named."""
    if config.readout is None:
        return hidden_rule(config)
    return initializer(config.readout, activation=config.activation, sigma_b2=config.sigma_b2 if config.bias else 0.0)
