"""THE table of layer kinds: each with the shape of one example. A new kind is one line here."""

from __future__ import annotations

from typing import NamedTuple

from gradlab.core.activations import activation
from gradlab.core.attention import attention, positions
from gradlab.core.conv import conv
from gradlab.core.dense import dense
from gradlab.core.dropout import Dropout, dropout
from gradlab.core.dyt import dyt
from gradlab.core.layer import Layer, repeat, serial
from gradlab.core.linear_recurrent import lru
from gradlab.core.norm import batch_norm, layer_norm, rms_norm
from gradlab.core.pooling import flatten, global_mean
from gradlab.core.recurrent import gru_cell, lstm_cell, rnn_cell
from gradlab.core.residual import residual
from gradlab.core.scaling import scaling
from gradlab.core.unroll import unroll


class Kind(NamedTuple):
    """A layer, the shape of one example, and what sets it apart."""

    name: str
    layer: Layer
    shape: tuple[int, ...]
    interacts: bool = False  #: the output of an example depends on the whole batch (batch normalisation)

    def __str__(self):
        return self.name


#: A part of several kinds.
PHI = activation("tanh")
#: Those that stand for the others where every law is tried at once; the slow tests try them all.
FEW = ("dense", "residual", "convolution of a sequence", "lstm")

KINDS = (
    Kind("dense", dense(4), (3,)),
    Kind("dense, no bias", dense(4, bias=False), (3,)),
    Kind("dense, one unit", dense(1), (1,)),
    Kind("dense at positions", dense(4), (2, 5, 3)),
    Kind("activation", activation("gelu"), (3,)),
    Kind("activation, with a number", serial(activation("leaky_relu:-0.3"), dense(3), activation("elu:2.5")), (3,)),
    Kind("serial", serial(dense(4), activation("tanh"), dense(2)), (3,)),
    Kind("repeat", repeat(serial(dense(3), activation("sigmoid")), 4), (3,)),
    Kind("residual", residual(serial(dense(4), activation("tanh"), dense(3)), 0.5), (3,)),
    Kind("residual, learned", residual(dense(3), "learned"), (3,)),
    Kind("residual, no skip", residual(serial(dense(4), activation("tanh"), dense(3)), 0.5, skip=False), (3,)),
    Kind("batch norm", batch_norm(), (3,), interacts=True),
    Kind("batch norm at positions", batch_norm(), (2, 5, 3), interacts=True),
    Kind("layer norm", layer_norm(), (4,)),
    Kind("layer norm at positions, one feature", layer_norm(), (5, 1)),
    Kind("rms norm", rms_norm(bias=True), (2, 4)),
    Kind("dynamic tanh", dyt(), (2, 4)),
    Kind("fixed factor", scaling(0.3), (3,)),
    Kind("convolution of a sequence", conv(4, 3), (5, 2)),
    Kind("convolution of one pixel and channel", conv(1, 3, padding="periodic"), (1, 1, 1)),
    Kind("convolution with strides", conv(3, (3, 2), stride=(2, 3)), (6, 5, 2)),
    Kind("convolution of the inside", conv(3, (2, 3), stride=2, padding="valid", bias=False), (5, 6, 2)),
    Kind("convolution on a torus", conv(3, (4, 3), padding="periodic", stride=(1, 2)), (3, 5, 2)),
    Kind("global mean", global_mean(), (2, 3, 4)),
    Kind("flatten", flatten(), (2, 3, 4)),
    Kind("dropout", dropout(0.4, key=0), (2, 4)),
    Kind(
        "dropout behind copies",
        Dropout(0.4, 0).within(serial(repeat(lambda i: serial(dense(3), PHI)._replace(mask=(1, 0)), 3, 1))),
        (3,),
    ),
    Kind("rnn", unroll(rnn_cell(4)), (5, 3)),
    Kind("rnn, relu, all steps", unroll(rnn_cell(4, "relu", recurrent_init="identity"), returns="all"), (5, 3)),
    Kind("lstm", unroll(lstm_cell(4)), (5, 3)),
    Kind("lstm, one unit, one step", unroll(lstm_cell(1, bias=False), returns="all"), (1, 1)),
    Kind("gru", unroll(gru_cell(3), returns="all"), (4, 2)),
    Kind("lru", lru(2, 4), (5, 3)),
    Kind("lru, all steps, without gamma", lru(3, 2, normalised=False, bias=True, returns="all"), (4, 2)),
    Kind("attention", attention(2), (5, 4)),
    Kind("attention, causal, one feature", attention(1, causal=True), (4, 1)),
    Kind("attention, scores over n", attention(2, divisor=2.0), (5, 4)),
    Kind("attention of normalised queries and keys", attention(2, qk_norm=True), (5, 4)),
    Kind("positions, learned", positions("learned"), (4, 3)),
    Kind("positions, sinusoidal", positions(), (4, 3)),
)
