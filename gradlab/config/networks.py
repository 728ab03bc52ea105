"""Frozen configurations of networks, one for each architecture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, dataclass_transform

from gradlab._errors import GradlabError, unknown
from gradlab.config.bounds import MOST_WEIGHTS, check_product
from gradlab.config.fields import FIELDS, positive_integer
from gradlab.config.names import one_after_another

#: (field, values) that each of some fields needs.
Needs = Mapping[str, tuple[str, tuple[Any, ...]]]
NORMS = ("batch", "layer", "rms")
T = TypeVar("T")


def lacking(needs: Needs, values: Mapping[str, Any]) -> set[str]:
    """The fields that something with these values does not have."""
    return {name for name, (other, known) in needs.items() if values[other] not in known}


def check_needs(needs: Needs, changed: Mapping[str, Any], config: Any) -> None:
    """Raise where a field is given that a configuration with these values does not have."""
    for name in sorted(lacking(needs, {other: getattr(config, other) for other, _ in needs.values()}) & {*changed}):
        other, known = needs[name]
        raise GradlabError(
            f"{name}= only with {other}={' or '.join(map(repr, known))}",
            f"{name}={changed[name]!r}, {other}={getattr(config, other)!r}", f"leaving {name} out",
        )  # fmt: skip


@dataclass_transform(frozen_default=True, kw_only_default=True)
def configuration(kind: type[T]) -> type[T]:
    """A class as a frozen dataclass with keywords alone, which shows the fields that were changed."""
    return dataclass(frozen=True, kw_only=True, repr=False)(kind)


@configuration
class NetworkConfig:
    """What every architecture has.

    Parameters
    ----------
    depth : int
        Number of hidden layers L.
    width : int
        Units of each hidden layer.
    activation : str or sequence of str
        Name in the table of activations; of an MLP or a ConvNet also one for each hidden layer, from the input on.
    init : str
        Name in the table of initialisers: distribution and variance rule. With "zeros", or "constant" (all weights
        equal to `gain`), the units of a layer stay copies of one another; a readout that is constant too hands back
        no gradient under softmax, whose deltas sum to 0.
    gain : float
        Factor on the standard deviation of the hidden weights (sigma_w2 = gain**2 * base). 0: all of them are 0.
    sigma_w2 : float, optional
        Fan-in times the weight variance, for ``init="gaussian"``.
    std : float, optional
        Absolute standard deviation of the weights, for ``init="gaussian"``.
    sigma_b2 : float, optional
        Variance of the hidden biases. None: the initialiser's own (0, but for "pytorch").
    bias : bool
        Whether hidden layers and readout have a bias.
    readout : str, optional
        Initialiser of the readout, with gain 1. None: the same as `init`.
    """

    architecture: ClassVar[str]
    #: Whether it takes an activation for each hidden layer.
    BY_LAYER: ClassVar[bool] = False
    #: Fields that came after the first results: at their defaults they are no part of a network's hash.
    LATER: ClassVar[tuple[str, ...]] = ()
    #: Fields that a network has only where another field has one of these values.
    NEEDS: ClassVar[Needs] = {}

    depth: int = 10
    width: int | tuple[int, ...] = 128
    activation: str | tuple[str, ...] = "relu"
    init: str = "he_normal"
    gain: float = 1.0
    sigma_w2: float | None = None
    std: float | None = None
    sigma_b2: float | None = None
    bias: bool = True
    readout: str | None = None

    def __new__(cls, *_: Any, **fields: Any):
        """A misspelt field is told with the nearest right one, before the dataclass refuses it without a hint."""
        for name in fields:
            if name not in cls.names():
                raise unknown(f"option of {cls.__name__}", name, cls.names())
        return super().__new__(cls)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.changed().items())
        return f"{type(self).__name__}({fields})"

    def __post_init__(self):
        put = lambda name, value: object.__setattr__(self, name, value)
        for field in dataclasses.fields(self):
            put(field.name, FIELDS[field.name](getattr(self, field.name)))
        if self.depth is None and self.architecture != "rnn":
            positive_integer("depth", None)
        self._one_width()
        self._one_activation()
        check_needs(self.NEEDS, self.changed(), self)
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

    def _one_of(self, name: str, known: tuple[Any, ...]) -> None:
        if getattr(self, name) not in known:
            listed = ", ".join(map(repr, known))
            raise GradlabError(
                f"{name} of {self.architecture!r} to be one of {listed}",
                repr(getattr(self, name)),
                f"{name}={known[0]!r}",
            )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of its fields."""
        return tuple(f.name for f in dataclasses.fields(cls))

    @property
    def initializers(self) -> tuple[str, ...]:
        """Names of the initialisers that it uses: of the hidden weights, and of the readout."""
        return tuple(dict.fromkeys((self.init, self.readout or self.init)))

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each of the hidden layers."""
        return self.width if isinstance(self.width, tuple) else (self.width,) * self.depth

    @property
    def activations(self) -> tuple[str, ...]:
        """Names of the activations of the hidden layers: one for each, or one that all of them have."""
        return self.activation if isinstance(self.activation, tuple) else (self.activation,)

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain values, with the architecture: what identifies the network."""
        changed = self.changed()
        kept = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        kept = {name: value for name, value in kept.items() if name not in self.LATER or name in changed}
        return {"architecture": self.architecture, **kept}

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}

    def label(self) -> str:
        """A short description for progress lines and messages: ``mlp depth=50 tanh xavier_normal``."""
        rest = {k: v for k, v in self.changed().items() if k not in ("depth", "activation", "init")}
        extra = "".join(f" {k}={v}" for k, v in rest.items())
        return f"{self.architecture} depth={self.depth} {one_after_another(self.activations)} {self.init}{extra}"


@configuration
class MLPConfig(NetworkConfig):
    """A fully connected network: `depth` hidden layers, then a linear readout.

    Parameters
    ----------
    width : int or sequence of int
        Units of each hidden layer.
    norm : {"batch", "layer", "rms"}, optional
        Normalisation of each hidden layer.
    norm_position : {"before", "after"}
        Whether it stands before or after the activation.
    """

    architecture: ClassVar[str] = "mlp"
    BY_LAYER: ClassVar[bool] = True
    LATER: ClassVar[tuple[str, ...]] = ("norm", "norm_position")
    NEEDS: ClassVar[Needs] = {"norm_position": ("norm", NORMS)}

    norm: str | None = None
    norm_position: str = "before"

    def __post_init__(self):
        super().__post_init__()
        self._one_of("norm", (None, *NORMS))

    def _one_width(self) -> None:
        if isinstance(self.width, tuple):
            if len(self.width) != self.depth:
                raise GradlabError(
                    f"one width for each of the {self.depth} hidden layers",
                    f"{len(self.width)} widths", "a single number, or depth=len(width)",
                )  # fmt: skip
            if len(set(self.width)) == 1:
                object.__setattr__(self, "width", self.width[0])


@configuration
class ResNetConfig(NetworkConfig):
    """A residual network: a linear stem, `depth` blocks x + scale * F(x), a linear readout.

    Parameters
    ----------
    depth : int
        Number of residual blocks L.
    width : int
        Units (of a convolutional branch: channels) of the residual stream.
    branch_scale : str
        Factor of each branch: a number, "1/sqrt(L)", "1/L", or "learned" (one scalar a block that starts at 0).
    branch : {"dense", "conv"}
        What the branches are made of.
    branch_layers : int
        Weights in each branch.
    order : {"pre", "post"}
        Activation before each weight of a branch, or after it (the last one then after the sum).
    norm : {"batch", "layer", "rms"}, optional
        Normalisation before each activation of a branch.
    kernel : int
        Side of the kernels of a convolutional branch.
    """

    architecture: ClassVar[str] = "resnet"
    NEEDS: ClassVar[Needs] = {"kernel": ("branch", ("conv",))}

    branch_scale: str = "1"
    branch: str = "dense"
    branch_layers: int = 2
    order: str = "pre"
    norm: str | None = None
    kernel: int = 3

    def __post_init__(self):
        super().__post_init__()
        self._one_of("norm", (None, *NORMS))

    @property
    def scale(self) -> float | str:
        """The factor of each branch as a number, or "learned"."""
        named = {"1/sqrt(L)": self.depth**-0.5, "1/L": 1 / self.depth, "learned": "learned"}
        return named[self.branch_scale] if self.branch_scale in named else float(self.branch_scale)


@configuration
class ConvNetConfig(NetworkConfig):
    """A convolutional network: `depth` convolutions of equal size, the mean over positions, a linear readout.

    Parameters
    ----------
    depth : int
        Number of convolutions L.
    width : int
        Channels of each of them.
    kernel : int
        Side of the kernels.
    padding : {"same", "periodic"}
        What stands beyond the border: zeros, or the opposite side (Xiao et al. 2018).
    norm : {"batch", "layer", "rms"}, optional
        Normalisation of each convolution.
    norm_position : {"before", "after"}
        Whether it stands before or after the activation.
    """

    architecture: ClassVar[str] = "convnet"
    BY_LAYER: ClassVar[bool] = True
    NEEDS: ClassVar[Needs] = {"norm_position": ("norm", NORMS)}

    width: int = 16
    kernel: int = 3
    padding: str = "same"
    norm: str | None = None
    norm_position: str = "before"

    def __post_init__(self):
        super().__post_init__()
        self._one_of("norm", (None, *NORMS))
        self._one_of("padding", ("same", "periodic"))


@configuration
class RNNConfig(NetworkConfig):
    """A recurrent network: one cell over a sequence, a linear readout of its last state.

    Parameters
    ----------
    depth : int, optional
        Time steps that are read, the last ones of the sequence. None: all that the data have.
    width : int
        Units of the state.
    cell : {"rnn", "lstm", "gru"}
        Kind of cell; the activation is that of "rnn".
    forget_bias : float
        Bias of the forget gates of "lstm" at initialisation.
    truncate : int, optional
        Steps after which the backward pass through time is cut. None: never.
    """

    architecture: ClassVar[str] = "rnn"
    NEEDS: ClassVar[Needs] = {"activation": ("cell", ("rnn",)), "forget_bias": ("cell", ("lstm",))}

    depth: int | None = None
    width: int = 64
    activation: str = "tanh"
    init: str = "orthogonal"
    cell: str = "rnn"
    forget_bias: float = 1.0
    truncate: int | None = None


@configuration
class TransformerConfig(NetworkConfig):
    """A transformer: a linear embedding, `depth` blocks of self-attention and feed-forward, a linear readout.

    Parameters
    ----------
    depth : int
        Number of blocks L.
    width : int
        Units of the residual stream.
    heads : int
        Attention heads; they divide the width.
    norm : {"pre", "post"}
        Layer normalisation before each branch (on the branch), or after each sum (on the stream). None: "pre".
    expansion : int
        Units of the feed-forward part over the width.
    causal : bool
        Whether a position sees the earlier ones alone.
    """

    architecture: ClassVar[str] = "transformer"

    width: int = 64
    activation: str = "gelu"
    init: str = "xavier_normal"
    heads: int = 4
    norm: str | None = "pre"
    expansion: int = 4
    causal: bool = False

    def __post_init__(self):
        if self.norm is None:
            object.__setattr__(self, "norm", "pre")
        super().__post_init__()
        self._one_of("norm", ("pre", "post"))
        if self.width % self.heads:
            raise GradlabError(
                "heads that divide the width", f"width={self.width}, heads={self.heads}", f"width={self.heads * 16}"
            )


#: The configuration of each architecture.
CONFIGS: dict[str, type[NetworkConfig]] = {
    kind.architecture: kind for kind in (MLPConfig, ResNetConfig, ConvNetConfig, RNNConfig, TransformerConfig)
}
