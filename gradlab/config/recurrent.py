"""The configuration of recurrent networks."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from gradlab._errors import GradlabError
from gradlab.config.configuration import configuration, like, option
from gradlab.config.fields import below_1, choice, number, one_or_each, optional, positive_integer, share
from gradlab.config.networks import NetworkConfig

#: Recurrent cells that multiply their state with a weight matrix.
WITH_A_WEIGHT = ("rnn", "lstm", "gru")


@configuration
class RNNConfig(NetworkConfig):
    """A recurrent network: one cell over a sequence, a linear readout of its last state."""

    architecture: ClassVar[str] = "rnn"

    depth: int | None = option(
        None, "Time steps that are read, the last ones of the sequence. None: all that the data have.",
        optional(positive_integer), "number",
    )  # fmt: skip
    width: int = option(64, "Units of the state.", one_or_each(positive_integer), "program")
    activation: str = like(NetworkConfig, "activation", "tanh", needs=("cell", ("rnn",)))
    init: str = like(NetworkConfig, "init", "orthogonal", needs=("cell", WITH_A_WEIGHT))
    gain: float = like(NetworkConfig, "gain", 1.0, needs=("cell", WITH_A_WEIGHT))
    parametrization: str = like(NetworkConfig, "parametrization", "standard", needs=("cell", WITH_A_WEIGHT))
    cell: str = option(
        "rnn",
        "Kind of recurrent cell: rnn, lstm, gru or lru; the activation is that of rnn.",
        choice(*WITH_A_WEIGHT, "lru"),
        "program",
    )
    forget_bias: float = option(
        1.0,
        "Bias of the forget gates of an lstm at initialisation.",
        partial(number, kind="a number"),
        "program",
        needs=("cell", ("lstm",)),
    )
    r_min: float = option(
        0.0, "Smallest absolute eigenvalue of an lru at initialisation.", below_1, "draw", needs=("cell", ("lru",)),
        later=True,
    )  # fmt: skip
    r_max: float = option(
        1.0, "Largest absolute eigenvalue of an lru at initialisation; at most 1.", share, "draw",
        needs=("cell", ("lru",)), later=True,
    )  # fmt: skip
    truncate: int | None = option(
        None, "Time steps after which the backward pass of an rnn is cut. None: never.", optional(positive_integer),
        "program",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.r_min > self.r_max:
            raise GradlabError(
                "r_min of at most r_max", f"r_min={self.r_min}, r_max={self.r_max}", "r_min=0.9, r_max=0.999"
            )
