"""The transformer: a linear embedding, blocks of self-attention and feed-forward, a linear readout."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from gradlab.config import TransformerConfig, configuration
from gradlab.core.activations import activation
from gradlab.core.attention import attention, positions
from gradlab.core.dense import dense
from gradlab.core.initializers import default_dtype
from gradlab.core.layer import Layer, Part, repeat, serial
from gradlab.core.pooling import global_mean
from gradlab.core.residual import residual
from gradlab.core.scaling import scaling
from gradlab.networks.network import Network
from gradlab.networks.rules import bias_std, hidden_rule, input_rule
from gradlab.networks.stack import Stack, normed, readout_block, stacked


@configuration
class Transformer(TransformerConfig, Network):
    r"""A transformer encoder over sequences, with its normalisation before or after the sums.

    Notes
    -----
    With ``norm_position="before"`` a block is x + A(N x), then x + F(N x) (pre-LN); with "after" it is N(x + A(x)),
    then N(x + F(x)) (post-LN; Xiong et al. 2020, table 1); with "peri" it is x + N(A(N x)), then x + N(F(N x))
    (peri-LN; Kim et al. 2025); with ``norm=None`` it is x + A(x), then x + F(x). N is the norm, A attention, F two
    dense layers with the activation between. With ``norm_scaling`` block l has N x / sqrt(l) in the place of N x
    (LayerNorm scaling; Sun et al. 2025); with ``norm="dyt"`` N is a tanh (Zhu et al. 2025).
    `branch_scale` is a factor on A and on F (on N of them with "peri"), and with ``skip=False`` the stream does not go
    around them (Dong et al. 2021): A(x), then F(A(x)).
    The embedding is linear with n Var = 1, positions are sinusoidal, and the readout sees the
    mean over positions, but with "after" of a last normalisation. A measured layer is a block: its delta is
    the gradient on the residual stream, with "after" before the last normalisation of the block.
    A mask of dropout stands on the output of A and of F, before it is added (Vaswani et al. 2017, section 5.4);
    the embeddings have none.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> net = Transformer(depth=2, width=8, heads=2)
    >>> x, y = jnp.ones((2, 5, 3)), jnp.zeros(2, int)
    >>> net.apply(net.init_params(0, x, y, outputs=3), x).shape
    (2, 3)
    """

    layer_name = "block"

    @property
    def ranks(self) -> tuple[int, ...]:
        """Return how many axes one example may have."""
        return (2,)

    def stack(self, outputs: int, scale: Any = None) -> Stack:
        """Return embedding, blocks and readout; `scale` replaces the scale of the branches and may be traced."""
        scale = self.scale if scale is None else scale
        embed = dense(self.width, input_rule(self, "lecun_normal"), bias=self.bias, bias_std=bias_std(self))
        stem = serial(
            Part("dense", embed), Part("activation", activation("identity")), Part("positions", positions("sinusoidal"))
        )
        last = () if self.norm_position == "after" else normed(self.norm)
        head = readout_block(self, outputs, *last, global_mean())
        return stacked(stem, repeat(lambda number: _block(self, scale, number), self.depth, 1), head)


def _block(config: TransformerConfig, scale: Any, number: Any) -> Layer:
    """Return attention and feed-forward part of the block of this number, each with the stream around it."""
    options = {"gain": config.gain, "bias": config.bias, "bias_std": bias_std(config)}
    rule = hidden_rule(config)
    attend = attention(
        config.heads, rule, causal=config.causal, divisor=_divisor(config), qk_norm=config.qk_norm, **options
    )._replace(mask=(2, 0))
    forward = serial(
        Part("in", dense(config.expansion * config.width, rule, **options), 0),
        Part("activation", activation(config.activation)),
        Part("out", dense(config.width, rule, **options), 2),
    )._replace(mask=(2, 1))
    norm = normed(config.norm)
    around = lambda layer: residual(layer, scale, config.skip)
    if config.norm_position == "after":
        return serial(
            Part("attention", around(attend), 0), Part("attention_norm", *norm),
            Part("feed_forward", around(forward), 2), Part("feed_forward_norm", *norm),
        )  # fmt: skip
    before = [Part("norm", n) for n in norm]
    if config.norm_scaling:
        before.append(Part("norm_scaling", scaling(jnp.asarray(number, default_dtype()) ** -0.5)))
    behind = [Part("output_norm", n) for n in norm if config.norm_position == "peri"]
    branch = lambda name, layer: around(serial(*before, Part(name, layer), *behind))
    return serial(
        Part("attention", branch("attention", attend), 0), Part("feed_forward", branch("feed_forward", forward), 1)
    )


def _divisor(config: TransformerConfig) -> float | None:
    """Return what scores are divided by under "mup": the features n of a head, as n over the root of n at the base."""
    if config.parametrization != "mup":
        return None
    return config.width / (config.heads * config.base_width) ** 0.5
