"""The fully connected network: a first block, runs of equal blocks, a linear readout."""

from __future__ import annotations

from gradlab.config import MLPConfig, configuration
from gradlab.core.activations import activation
from gradlab.core.dense import dense
from gradlab.core.initializers import Initializer
from gradlab.core.layer import Layer, Part, serial
from gradlab.networks.network import Network
from gradlab.networks.rules import bias_std, hidden_rule, input_rule, readout_rule
from gradlab.networks.stack import Stack, chained, normed

#: One part of an activation layer: a name, or a name with the number of its groups.
Parts = tuple[str | tuple[str, int], ...]


@configuration
class MLP(MLPConfig, Network):
    """A fully connected network: `depth` hidden layers, then a linear readout.

    Notes
    -----
    A mask of dropout stands right behind each hidden activation (Srivastava et al. 2014).

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> net = MLP(depth=3, width=8, activation="tanh", init="xavier_normal")
    >>> x, y = jnp.ones((4, 5)), jnp.zeros(4, int)
    >>> params = net.init_params(jax.random.key(0), x, y, outputs=3)
    >>> net.apply(params, x).shape
    (4, 3)
    """

    def name_of(self, path: tuple[str, ...], number: int, count: int) -> str:
        """Return "readout", or ``hidden_3`` for layer 3."""
        return "readout" if number == count else f"hidden_{number}"

    def stack(self, outputs: int) -> Stack:
        """Return the first block, the repeated blocks and the readout."""
        return stack(self, outputs)


def stack(config: MLPConfig, outputs: int, parts: Parts | None = None, depth: int | None = None) -> Stack:
    """Return the layers of a network, or of a family of networks that share products.

    Parameters
    ----------
    config : MLPConfig
        The network, or one of the family.
    outputs : int
        Number of outputs.
    parts : tuple, optional
        Activations of the groups in every layer, for arrays with a leading group axis.
    depth : int, optional
        Another depth than the config's, for networks of constant width.
    """
    depth = depth or config.depth
    names = config.activations if len(config.activations) > 1 else config.activations * depth
    phis = (parts,) * depth if parts else tuple((name,) for name in names)
    widths = config.widths if isinstance(config.width, tuple) else (config.width,) * depth
    rule, first_rule = hidden_rule(config), input_rule(config)

    def block(width: int, init: Initializer, gain: float, phi: Layer, norm: str | None = None) -> Layer:
        layers = [Part("dense", dense(width, init, gain=gain, bias=config.bias, bias_std=bias_std(config)))]
        layers += [Part("activation", phi)]
        layers[1 if config.norm_position == "before" else 2 : 0] = [Part("norm", layer) for layer in normed(norm)]
        return serial(*layers)

    def hidden(width: int, phi: Parts, first: bool) -> Layer:
        rule_here = first_rule if first else rule
        return block(width, rule_here, config.gain, activation(*phi)._replace(mask=(1, 0)), config.norm)

    # the readout is a block too, so that every row of the frame is read in the same way
    head = block(outputs, readout_rule(config), 1.0, activation("identity"))
    return chained(hidden, widths, phis, head)
