"""A network's configuration together with what its names stand for: what compiled programs are cached by."""

from __future__ import annotations

from dataclasses import dataclass

from gradlab.config import REGISTRIES, NetworkConfig
from gradlab.config.custom import CustomConfig
from gradlab.core.activations import TABLE as ACTIVATIONS
from gradlab.core.activations import Activation
from gradlab.core.initializers import Initializer
from gradlab.networks import build
from gradlab.networks.network import Network
from gradlab.networks.stack import hidden_rule, readout_rule


@dataclass(frozen=True)
class Resolved:
    """A configuration and the entries of its names. Equal, and of one hash, where configuration and content are.

    A cache that is keyed by it is never stale: the same name with another function is another key, the same function
    registered once more is the same key. A program builds its layers while it is traced, from `network`, so that a
    name stands there for the entry that was found here.

    Parameters
    ----------
    config : NetworkConfig or CustomConfig
    activations : tuple of Activation
    hidden, readout : Initializer or None
        Of the hidden weights and of the readout; None where the configuration holds the layers themselves.
    """

    config: NetworkConfig | CustomConfig
    activations: tuple[Activation, ...] = ()
    hidden: Initializer | None = None
    readout: Initializer | None = None

    @property
    def network(self) -> Network:
        """The network of the configuration."""
        return build(self.config)


def resolved(config: NetworkConfig | CustomConfig) -> Resolved:
    """What the names of a configuration stand for now; layers must compute what they did."""
    if isinstance(config, CustomConfig):
        build(config).check_unchanged()
        return Resolved(config)
    activations = tuple(ACTIVATIONS.current(name) for name in dict.fromkeys(config.activations))
    for name in config.initializers:
        REGISTRIES["initializer"].renew(name)
    return Resolved(config, activations, hidden_rule(config), readout_rule(config))


def fingerprints(config: NetworkConfig | CustomConfig) -> dict[str, str]:
    """What tells registered functions of the same names apart, by kind and name; nothing of built-in ones."""
    if isinstance(config, CustomConfig):  # it is part of the configuration
        return {}
    named = {"activation": config.activations, "initializer": config.initializers}
    known = [(kind, name) for kind, names in named.items() for name in dict.fromkeys(names)]
    found = {f"{kind} {name}": REGISTRIES[kind].fingerprint(name) for kind, name in known}
    return {name: value for name, value in found.items() if value}
