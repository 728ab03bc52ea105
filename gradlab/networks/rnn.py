"""The recurrent network: one cell over a sequence, and a linear readout of its last state."""

from __future__ import annotations

import jax.numpy as jnp

from gradlab._errors import GradlabError
from gradlab.config import RNNConfig, configuration
from gradlab.core.initializers import READOUT_FOLD
from gradlab.core.layer import Layer, Part, serial
from gradlab.core.linear_recurrent import lru
from gradlab.core.recurrent import gru_cell, lstm_cell, rnn_cell
from gradlab.core.scaled import Scaled
from gradlab.core.unroll import Cell, unroll
from gradlab.networks.network import Network
from gradlab.networks.rules import bias_std, hidden_rule, input_rule
from gradlab.networks.stack import STEM_FOLD, Stack, readout_block


@configuration
class RNN(RNNConfig, Network):
    """A recurrent network that reads a sequence and answers from its last state.

    Notes
    -----
    A measured layer is a time step, 1 the first; the weights are shared, so they have one row, layer 0.
    `init` and `gain` are those of the recurrent weight; the input's is Xavier's. An lru has eigenvalues in its place,
    which are drawn from the ring between `r_min` and `r_max`; `init` then is that of the readout alone.
    A mask of dropout stands on the last state, before the readout; none between steps (Zaremba et al. 2014).

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> net = RNN(cell="lstm", width=4)
    >>> x, y = jnp.ones((2, 7, 3)), jnp.zeros(2, int)
    >>> net.apply(net.init_params(0, x, y, outputs=3), x).shape
    (2, 3)
    """

    layer_name = "step"
    nests = False

    @property
    def ranks(self) -> tuple[int, ...]:
        """Return how many axes one example may have."""
        return (2,)

    def stack(self, outputs: int) -> Stack:
        """Return the unrolled cell and the readout."""
        cells = _cells(self)
        if self.depth is not None:
            cells = _of_the_last(self.depth, cells)
        head = readout_block(self, outputs)
        return Stack(
            serial(Part("cell", cells._replace(mask=(1, 1)), STEM_FOLD), Part("readout", head, READOUT_FOLD)),
            stem="cell",
        )


def _of_the_last(steps: int, layer: Layer) -> Layer:
    """Return `layer` on the last time steps of a sequence alone."""

    def cut(x: Scaled) -> Scaled:
        return Scaled(x.mantissa[..., -steps:, :], x.exponent)

    def init(key, shape):
        if shape[0] < steps:
            raise GradlabError(f"sequences of at least depth={steps} time steps", f"{shape[0]}", f"depth={shape[0]}")
        return layer.init(key, (steps, *shape[1:]))

    def forward(params, x):
        y, saved = layer.forward(params, cut(x))
        return y, (saved, x)

    def backward(params, saved, dy, read):
        saved, x = saved
        dx, record = layer.backward(params, saved, dy, read)
        before = [(0, 0)] * x.mantissa.ndim
        before[-2] = (x.mantissa.shape[-2] - steps, 0)
        return Scaled(jnp.pad(dx.mantissa, before), dx.exponent), record

    return Layer(init, forward, backward)


def _cells(config: RNNConfig) -> Layer:
    """Return the recurrent layer over a sequence."""
    if config.cell != "lru":
        return unroll(_cell(config), truncate=config.truncate)
    return lru(
        config.width, r_min=config.r_min, r_max=config.r_max, bias=config.bias, bias_std=bias_std(config),
        truncate=config.truncate,
    )  # fmt: skip


def _cell(config: RNNConfig) -> Cell:
    options = {
        "init": input_rule(config, "xavier_normal"), "recurrent_init": hidden_rule(config), "gain": config.gain,
        "bias": config.bias, "bias_std": bias_std(config),
    }  # fmt: skip
    if config.cell == "rnn":
        return rnn_cell(config.width, config.activation, **options)
    if config.cell == "lstm":
        return lstm_cell(config.width, forget_bias=config.forget_bias, **options)
    return gru_cell(config.width, **options)
