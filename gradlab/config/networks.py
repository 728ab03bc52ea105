"""Frozen configurations of networks, one for each architecture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

from gradlab._errors import GradlabError
from gradlab.config.bounds import MOST_WEIGHTS, check_product
from gradlab.config.configuration import Configuration, Need, configuration, fields_of, like, option
from gradlab.config.fields import (
    block_place,
    boolean,
    branch_scale,
    choice,
    named,
    non_negative,
    norm_kind,
    number,
    one_or_each,
    optional,
    place,
    positive_integer,
)
from gradlab.config.names import ACTIVATIONS, INITIALIZERS, one_after_another

NORMS = ("batch", "layer", "rms", "dyt")
#: Those of the blocks of a transformer.
BLOCK_NORMS = ("layer", "rms", "dyt")
#: How scales of weights and learning rates follow the width; all but the first are relative to a base width.
PARAMETRIZATIONS = ("standard", "mup", "ntk")
#: Initialisers of which no law of width speaks, because their weights are not drawn.
NOT_DRAWN = ("identity", "constant")


def lacking(needs: Mapping[str, Need], values: Mapping[str, Any]) -> set[str]:
    """Return the fields that do not exist for these values of others."""
    return {name for name, (other, known) in needs.items() if values[other] not in known}


def check_needs(needs: Mapping[str, Need], changed: Mapping[str, Any], config: Any) -> None:
    """Raise where a field is given that a configuration with these values does not have."""
    for name in sorted(lacking(needs, {other: getattr(config, other) for other, _ in needs.values()}) & {*changed}):
        other, known = needs[name]
        raise GradlabError(
            f"{name}= only with {other}={' or '.join(map(repr, known))}",
            f"{name}={changed[name]!r}, {other}={getattr(config, other)!r}", f"leaving {name} out",
        )  # fmt: skip


@configuration
class NetworkConfig(Configuration):
    """What every architecture has."""

    architecture: ClassVar[str]
    #: Whether it takes an activation for each hidden layer.
    BY_LAYER: ClassVar[bool] = False

    depth: int = option(10, "Number of hidden layers L.", positive_integer, "number")
    width: int | tuple[int, ...] = option(128, "Units of each hidden layer.", one_or_each(positive_integer), "program")
    activation: str | tuple[str, ...] = option(
        "relu",
        "Name in the table of activations, with a number in leaky_relu:0.18 and elu:0.5; of an MLP or a ConvNet also "
        "one for each hidden layer, from the input on.",
        one_or_each(named("activation", ACTIVATIONS)), "program",
    )  # fmt: skip
    init: str = option(
        "he_normal",
        "Name in the table of initialisers: distribution and variance rule. With zeros, or constant (all weights equal "
        "to `gain`), the units of a layer stay copies of one another; a readout that is constant too hands back no "
        "gradient under softmax, whose deltas sum to 0.",
        named("initializer", INITIALIZERS), "draw",
    )  # fmt: skip
    gain: float = option(
        1.0,
        "Factor on the standard deviation of the hidden weights (sigma_w2 = gain**2 * base). 0: all of them are 0.",
        partial(number, kind="a number of at least 0", usual=1), "draw",
    )  # fmt: skip
    sigma_w2: float | None = option(
        None, "Fan-in times the weight variance, for init='gaussian'.", optional(number), "draw"
    )
    std: float | None = option(
        None, "Absolute standard deviation of the weights, for init='gaussian'.", optional(number), "draw"
    )
    sigma_b2: float | None = option(
        None, "Variance of the hidden biases. None: the initialiser's own (0, but for pytorch).",
        optional(non_negative), "draw",
    )  # fmt: skip
    bias: bool = option(True, "Whether hidden layers and readout have a bias.", boolean, "program")
    readout: str | None = option(
        None, "Initialiser of the readout, with gain 1. None: the same as `init`.",
        optional(named("initializer", INITIALIZERS)), "draw",
    )  # fmt: skip
    parametrization: str = option(
        "standard",
        "How the scales of weights and the learning rates of a training follow the width: not at all (standard), by "
        "the maximal update parametrization (mup), or by the neural tangent one (ntk).",
        choice(*PARAMETRIZATIONS), "program", later=True,
    )  # fmt: skip
    base_width: int = option(
        64, "Width at which mup and ntk are the standard parametrization.", positive_integer, "program",
        needs=("parametrization", PARAMETRIZATIONS[1:]), later=True,
    )  # fmt: skip

    def __post_init__(self):
        self._check()
        self._one_width()
        self._one_activation()
        check_needs(self.needs(), self.changed(), self)
        layers = 1 if self.architecture == "rnn" else self.depth
        widest = max(self.width) if isinstance(self.width, tuple) else self.width
        check_product("weights", MOST_WEIGHTS, depth=layers, width=widest, fan_in=widest)
        if self.sigma_b2 and not self.bias:
            raise GradlabError("bias=True where sigma_b2 > 0", "bias=False", "sigma_b2=0 or bias=True")
        given = sum(v is not None for v in (self.sigma_w2, self.std))
        if self.init == "gaussian" and given != 1:
            raise GradlabError(
                "init='gaussian' with one of sigma_w2= and std=",
                f"sigma_w2={self.sigma_w2}, std={self.std}", "sigma_w2=1.0",
            )  # fmt: skip
        if self.init != "gaussian" and given:
            raise GradlabError(
                "sigma_w2= or std= only with init='gaussian'", f"init={self.init!r}",
                "init='gaussian', or gain= to scale another initialiser",
            )  # fmt: skip
        if self.parametrization != "standard":
            self._check_parametrization()

    def _check_parametrization(self) -> None:
        """Raise where it is not known how scales and rates follow the width."""
        if isinstance(self.width, tuple):
            raise GradlabError(
                f"one width for all layers with parametrization={self.parametrization!r}", f"{self.width}",
                f"width={max(self.width)}, or parametrization='standard'",
            )  # fmt: skip
        fixed = [name for name in self.initializers if name in NOT_DRAWN]
        if fixed:
            raise GradlabError(
                f"weights that are drawn, with parametrization={self.parametrization!r}", f"init={fixed[0]!r}",
                "init='lecun_normal', or parametrization='standard'",
            )  # fmt: skip

    def _one_width(self) -> None:
        if isinstance(self.width, tuple):
            raise GradlabError(f"one width for all layers of {self.architecture!r}", f"{self.width}", "width=64")

    def _one_activation(self) -> None:
        if not isinstance(self.activation, tuple):
            return
        if not self.BY_LAYER:
            raise GradlabError(
                f"one activation for all layers of {self.architecture!r}", f"{self.activation}",
                f"activation={self.activation[0]!r}; an MLP and a ConvNet take one for each layer",
            )  # fmt: skip
        if len(self.activation) != self.depth:
            raise GradlabError(
                f"one activation for each of the {self.depth} hidden layers",
                f"{len(self.activation)} activations", "a single name, or depth=len(activation)",
            )  # fmt: skip
        if len(set(self.activation)) == 1:
            object.__setattr__(self, "activation", self.activation[0])
        elif "critical" in (self.init, self.readout):
            raise GradlabError(
                "one activation for init='critical', which is made for it", f"{self.activation}",
                "init='gaussian', sigma_w2=1.0",
            )  # fmt: skip

    @property
    def network(self) -> NetworkConfig:
        """Return itself, so that networks and trainings are asked for their network by one name."""
        return self

    @property
    def initializers(self) -> tuple[str, ...]:
        """Return the names of the initialisers of the hidden weights and of the readout, each once."""
        return tuple(dict.fromkeys((self.init, self.readout or self.init)))

    @property
    def widths(self) -> tuple[int, ...]:
        """Return the units of each hidden layer."""
        return self.width if isinstance(self.width, tuple) else (self.width,) * self.depth

    @property
    def activations(self) -> tuple[str, ...]:
        """Return the names of the activations: one for each hidden layer, or one for all of them."""
        return self.activation if isinstance(self.activation, tuple) else (self.activation,)

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as plain values, with the architecture: what identifies the network."""
        kept = [f.name for f in fields_of(type(self)) if not f.metadata["later"] or self._differs(f)]
        return {"architecture": self.architecture, **{name: getattr(self, name) for name in kept}}

    def label(self) -> str:
        """Return a short description for progress lines and messages: ``mlp depth=50 tanh xavier_normal``."""
        rest = {k: v for k, v in self.changed().items() if k not in ("depth", "activation", "init")}
        extra = "".join(f" {k}={v}" for k, v in rest.items())
        return f"{self.architecture} depth={self.depth} {one_after_another(self.activations)} {self.init}{extra}"


@configuration
class NormedConfig(NetworkConfig):
    """What the architectures have that may be normalised."""

    norm: str | None = option(
        None, "Kind of normalisation: batch, layer, rms, or dyt, a tanh in its place.", norm_kind(*NORMS), "program"
    )
    norm_position: str = option(
        "before", "Where the norm stands: before the activation of each hidden layer, or after it.", place, "program",
        needs=("norm", NORMS),
    )  # fmt: skip


@configuration
class MLPConfig(NormedConfig):
    """A fully connected network: `depth` hidden layers, then a linear readout."""

    architecture: ClassVar[str] = "mlp"
    BY_LAYER: ClassVar[bool] = True

    norm: str | None = like(NormedConfig, "norm", None, later=True)
    norm_position: str = like(NormedConfig, "norm_position", "before", later=True)

    def _one_width(self) -> None:
        if isinstance(self.width, tuple):
            if len(self.width) != self.depth:
                raise GradlabError(
                    f"one width for each of the {self.depth} hidden layers",
                    f"{len(self.width)} widths", "a single number, or depth=len(width)",
                )  # fmt: skip
            if len(set(self.width)) == 1:
                object.__setattr__(self, "width", self.width[0])


class Branched:
    """What the architectures share whose blocks have branches."""

    @property
    def scale(self) -> float | str:
        """Return the factor of each branch as a number, or "learned"."""
        return {"1/sqrt(L)": self.depth**-0.5, "1/L": 1 / self.depth}.get(self.branch_scale, self.branch_scale)

    def numbers(self) -> dict[str, float]:
        """Return the factor of the branches, where it is no parameter: an argument of a compiled program."""
        return {} if isinstance(self.scale, str) else {"scale": self.scale}


@configuration
class ResNetConfig(Branched, NormedConfig):
    """A residual network: a linear stem, `depth` blocks x + scale * F(x), a linear readout."""

    architecture: ClassVar[str] = "resnet"

    depth: int = option(10, "Number of residual blocks L.", positive_integer, "number")
    width: int = option(
        128, "Units (of a convolutional branch: channels) of the residual stream.", one_or_each(positive_integer),
        "program",
    )  # fmt: skip
    branch_scale: float | Literal["1/sqrt(L)", "1/L", "learned"] = option(
        1.0,
        "Factor s of each branch of a resnet or a transformer: a number, 1/sqrt(L), 1/L, or learned (a scalar for each "
        "branch, 0 first).",
        branch_scale, "number",
    )  # fmt: skip
    branch: str = option(
        "dense", "What the branches of a resnet are made of: dense or conv.", choice("dense", "conv"), "program"
    )
    branch_layers: int = option(2, "Weights in each branch of a resnet.", positive_integer, "program")
    norm_position: str = like(
        NormedConfig, "norm_position", "before", needs=None,
        meaning="Where each activation of a branch stands, with the norm in front of it: before a weight, or after it; "
        "the last one then stands on the stream, after the sum.",
    )  # fmt: skip
    kernel: int = option(
        3, "Side of the kernels of a convolutional branch.", positive_integer, "program", needs=("branch", ("conv",))
    )


@configuration
class ConvNetConfig(NormedConfig):
    """A convolutional network: `depth` convolutions of equal size, the mean over positions, a linear readout."""

    architecture: ClassVar[str] = "convnet"
    BY_LAYER: ClassVar[bool] = True

    depth: int = option(10, "Number of convolutions L.", positive_integer, "number")
    width: int = option(16, "Channels of each of them.", one_or_each(positive_integer), "program")
    kernel: int = option(3, "Side of the kernels of convolutions.", positive_integer, "program")
    padding: str = option(
        "same", "What stands beyond the border of a convnet's input: zeros (same), or the opposite side (periodic).",
        choice("same", "periodic"), "program",
    )  # fmt: skip


@configuration
class TransformerConfig(Branched, NormedConfig):
    """A transformer: a linear embedding, `depth` blocks of self-attention and feed-forward, a linear readout."""

    architecture: ClassVar[str] = "transformer"

    depth: int = option(10, "Number of blocks L.", positive_integer, "number")
    width: int = option(64, "Units of the residual stream.", one_or_each(positive_integer), "program")
    activation: str = like(NetworkConfig, "activation", "gelu")
    init: str = like(NetworkConfig, "init", "xavier_normal")
    heads: int = option(4, "Attention heads of a transformer; they divide the width.", positive_integer, "program")
    norm: str | None = like(
        NormedConfig, "norm", "layer", check=norm_kind(*BLOCK_NORMS),
        meaning="Kind of normalisation: layer, rms, or dyt, a tanh in its place; or None.",
    )  # fmt: skip
    norm_position: str = like(
        NormedConfig, "norm_position", "before", needs=("norm", BLOCK_NORMS), check=block_place,
        meaning="Where the norm stands: before each branch, on the branch (pre-LN), after each sum, on the stream "
        "(post-LN), or on the input and on the output of each branch (peri-LN, of a transformer alone).",
    )  # fmt: skip
    expansion: int = option(
        4, "Units of a transformer's feed-forward part over its width.", positive_integer, "program"
    )
    causal: bool = option(False, "Whether a position of a transformer sees the earlier ones alone.", boolean, "program")
    skip: bool = option(
        True, "Whether the stream of a transformer goes around its branches too: x + s F(x). Without: s F(x).",
        boolean, "program", later=True,
    )  # fmt: skip
    branch_scale: float | Literal["1/sqrt(L)", "1/L", "learned"] = like(ResNetConfig, "branch_scale", 1.0, later=True)
    norm_scaling: bool = option(
        False, "Whether the norms in front of the branches of block l are multiplied by 1/sqrt(l) (LayerNorm scaling).",
        boolean, "program", needs=("norm_position", ("before",)), later=True,
    )  # fmt: skip
    qk_norm: bool = option(
        False, "Whether the queries and keys of each head of a transformer are divided by their rms.", boolean,
        "program", later=True,
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.branch_scale == "learned" and not self.skip:
            raise GradlabError(
                "skip=True with branch_scale='learned', which is 0 at first", "skip=False: all outputs would be 0",
                "branch_scale=1.0",
            )  # fmt: skip
        if self.norm_scaling and self.norm is None:
            raise GradlabError("a norm with norm_scaling=True", "norm=None", "norm='layer'")
        if self.width % self.heads:
            raise GradlabError(
                "heads that divide the width", f"width={self.width}, heads={self.heads}", f"width={self.heads * 16}"
            )
        if self.parametrization != "standard" and self.base_width % self.heads:
            raise GradlabError(
                "heads that divide the base width", f"base_width={self.base_width}, heads={self.heads}",
                f"base_width={self.heads * 16}",
            )  # fmt: skip
