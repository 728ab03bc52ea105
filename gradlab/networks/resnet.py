"""The residual network: a linear stem, blocks x + s F(x), a linear readout."""

from __future__ import annotations

from typing import Any

from gradlab._errors import GradlabError
from gradlab.config import ResNetConfig, configuration
from gradlab.core.activations import activation
from gradlab.core.conv import conv
from gradlab.core.dense import dense
from gradlab.core.dropout import Dropout
from gradlab.core.layer import Layer, Part, repeat, serial
from gradlab.core.pooling import global_mean
from gradlab.core.residual import residual
from gradlab.networks.network import Network
from gradlab.networks.rules import bias_std, hidden_rule, input_rule
from gradlab.networks.stack import Stack, linear, normed, readout_block, stacked


@configuration
class ResNet(ResNetConfig, Network):
    r"""A residual network of `depth` blocks, :math:`x_{l} = x_{l-1} + s F_l(x_{l-1})`.

    Notes
    -----
    With ``norm_position="before"`` a branch is (norm, activation, weight) `branch_layers` times and the stream is
    never touched (pre-activation, He et al. 2016b); with "after" it is (weight, norm, activation), and the last
    activation stands on the stream, behind the sum (He et al. 2016a). The stem is a linear layer with
    n Var = 1 (for images a convolution), whatever `init` says, so that the stream begins as large as the data.
    A measured layer is a block: its delta is the gradient on the stream at the block's output.
    A mask of dropout stands right behind each activation inside a branch, none on the stream (Zagoruyko &
    Komodakis 2016); so with "after" a branch of one layer has no place for one, which is an error.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> net = ResNet(depth=3, width=8, branch_scale="1/sqrt(L)")
    >>> x, y = jnp.ones((4, 5)), jnp.zeros(4, int)
    >>> net.apply(net.init_params(0, x, y, outputs=3), x).shape
    (4, 3)
    """

    layer_name = "block"

    @property
    def ranks(self) -> tuple[int, ...]:
        """Return how many axes one example may have."""
        return (1,) if self.branch == "dense" else (2, 3)

    def masked(self, stack: Stack, dropout: Dropout | None) -> Stack:
        """Return the stack with its masks of dropout; refuse a branch without a place for one."""
        if dropout is not None and self.norm_position == "after" and self.branch_layers == 1:
            raise GradlabError(
                "an activation inside the branches, behind which dropout stands",
                "norm_position='after' with branch_layers=1, whose only one is on the stream", "branch_layers=2",
            )  # fmt: skip
        return super().masked(stack, dropout)

    def stack(self, outputs: int, scale: Any = None) -> Stack:
        """Return stem, blocks and readout; `scale` replaces the scale of the branches and may be traced."""
        scale = self.scale if scale is None else scale
        if self.branch == "dense":
            stem, before = linear(self, self.width, "lecun_normal"), ()
        else:
            rule = input_rule(self, "lecun_normal")
            weight = conv(self.width, self.kernel, rule, bias=self.bias, bias_std=bias_std(self))
            stem = serial(Part("conv", weight), Part("activation", activation("identity")))
            before = (global_mean(),)
        last = normed(self.norm) if self.norm_position == "before" else ()
        run = repeat(_block(self, scale), self.depth, 1)
        return stacked(stem, run, readout_block(self, outputs, *last, *before))


def _block(config: ResNetConfig, scale: Any) -> Layer:
    """Return a residual block."""
    options = {"gain": config.gain, "bias": config.bias, "bias_std": bias_std(config)}
    rule = hidden_rule(config)
    weight = (
        dense(config.width, rule, **options)
        if config.branch == "dense"
        else conv(config.width, config.kernel, rule, **options)
    )
    phi, norm = activation(config.activation), normed(config.norm)
    layers: list[Layer] = []
    for i in range(config.branch_layers):
        inside = phi._replace(mask=(config.branch_layers, i))
        layers += [*norm, inside, weight] if config.norm_position == "before" else [weight, *norm, inside]
    if config.norm_position == "before":
        return residual(serial(*layers), scale)
    return serial(Part("residual", residual(serial(*layers[:-1]), scale)), Part("activation", phi))
