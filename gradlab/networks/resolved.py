"""A network together with what its names stand for: what compiled programs are cached by."""

from __future__ import annotations

from dataclasses import dataclass

from gradlab.config import REGISTRIES, NetworkConfig
from gradlab.config.custom import CustomConfig
from gradlab.core.activations import TABLE as ACTIVATIONS
from gradlab.core.activations import Activation
from gradlab.core.initializers import Initializer
from gradlab.networks import build
from gradlab.networks.custom import CustomNetwork
from gradlab.networks.network import Network
from gradlab.networks.rules import hidden_rule, readout_rule


@dataclass(frozen=True)
class Resolved:
    """A network and the entries of its names. Equal, and of one hash, where fields and content are.

    A cache that is keyed by it is never stale: the same name with another function is another key, the same function
    registered once more is the same key. A program builds its layers while it is traced, from `network`, so that a
    name stands there for the entry that was found here.

    Parameters
    ----------
    network : Network
        The network itself.
    activations : tuple of Activation
        The entries of its activations, each once.
    hidden, readout : Initializer or None
        Of the hidden weights and of the readout; None where the network is of a user's own layers.
    """

    network: Network
    activations: tuple[Activation, ...] = ()
    hidden: Initializer | None = None
    readout: Initializer | None = None


def resolved(config: NetworkConfig | CustomConfig) -> Resolved:
    """Return what the names of a configuration stand for now; layers must compute what they did."""
    net = build(config)
    if isinstance(net, CustomNetwork):
        net.check_unchanged()
        return Resolved(net)
    activations = tuple(ACTIVATIONS.current(name) for name in dict.fromkeys(net.activations))
    for name in net.initializers:
        REGISTRIES["initializer"].renew(name)
    return Resolved(net, activations, hidden_rule(net), readout_rule(net))


def fingerprints(config: NetworkConfig | CustomConfig) -> dict[str, str]:
    """Return hashes of the registered functions that a network uses, by kind and name; built-in ones have none."""
    if isinstance(config, CustomConfig):  # it is part of the configuration
        return {}
    named = {"activation": config.activations, "initializer": config.initializers}
    known = [(kind, name) for kind, names in named.items() for name in dict.fromkeys(names)]
    made = {f"{kind} {name}": REGISTRIES[kind].fingerprint(name) for kind, name in known}
    return {name: value for name, value in made.items() if value}
