"""The convolutional network: convolutions of equal size, the mean over positions, a linear readout."""

from __future__ import annotations

from gradlab.config import ConvNetConfig, configuration
from gradlab.core.activations import activation
from gradlab.core.conv import conv
from gradlab.core.layer import Layer, Part, serial
from gradlab.core.pooling import global_mean
from gradlab.networks.network import Network
from gradlab.networks.rules import bias_std, hidden_rule, input_rule
from gradlab.networks.stack import Stack, chained, normed, readout_block


@configuration
class ConvNet(ConvNetConfig, Network):
    """A convolutional network of `depth` convolutions with stride 1, whose images keep their size.

    Notes
    -----
    With ``init="delta_orthogonal"`` and ``padding="periodic"`` it is the network of Xiao et al. 2018.
    A mask of dropout stands right behind each hidden activation, one draw for each number (Srivastava et al. 2014).

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> net = ConvNet(depth=3, width=4, activation="tanh")
    >>> x, y = jnp.ones((2, 8, 8, 1)), jnp.zeros(2, int)
    >>> net.apply(net.init_params(0, x, y, outputs=3), x).shape
    (2, 3)
    """

    @property
    def ranks(self) -> tuple[int, ...]:
        """Return how many axes one example may have."""
        return (2, 3)

    def stack(self, outputs: int) -> Stack:
        """Return the first convolution, the others in loops over those of one activation, and the readout."""
        phis = self.activations if len(self.activations) > 1 else self.activations * self.depth
        hidden = lambda width, phi, first: _block(self, phi, first)
        return chained(hidden, self.widths, phis, readout_block(self, outputs, global_mean()))


def _block(config: ConvNetConfig, name: str, first: bool) -> Layer:
    """Return a convolution with its norm and its activation; the first one reads the data."""
    rule = input_rule(config) if first else hidden_rule(config)
    weight = conv(
        config.width, config.kernel, rule, padding=config.padding, gain=config.gain, bias=config.bias,
        bias_std=bias_std(config),
    )  # fmt: skip
    phi = (Part("activation", activation(name)._replace(mask=(1, 0))),)
    norm = tuple(Part("norm", n) for n in normed(config.norm))
    return serial(Part("conv", weight), *((*norm, *phi) if config.norm_position == "before" else (*phi, *norm)))
