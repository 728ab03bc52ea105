"""The frozen configuration of a sweep: a grid of networks on many seeds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

from gradlab._errors import GradlabError, unknown
from gradlab._summary import Shown, Summary, listed
from gradlab.config.architectures import CONFIGS, GRID, OWN
from gradlab.config.bounds import MOST_POSITIONS, check_product, check_size
from gradlab.config.configuration import Configuration, configuration, coordinate, setting
from gradlab.config.custom import CustomConfig, config_of, keys_of
from gradlab.config.fields import (
    NO_NORM,
    Check,
    integer,
    many,
    named,
    number,
    optional,
    positive_integer,
    seed_numbers,
    several,
)
from gradlab.config.names import ARCHITECTURES, LOSSES, MEASURED_DTYPES
from gradlab.config.networks import (
    ConvNetConfig,
    NetworkConfig,
    ResNetConfig,
    TransformerConfig,
    lacking,
)
from gradlab.config.recurrent import RNNConfig

#: Values where none is given, of the fully connected networks.
_MLP: dict[str, tuple] = {"activation": ("sigmoid", "tanh", "relu"), "init": ("xavier_normal", "he_normal")}


@configuration
class Sweep(Configuration, Shown):
    """A grid over network configurations, measured on many seeds.

    Each coordinate takes one value or several; the networks are their product, in the
    order of the fields.

    Examples
    --------
    >>> sweep = Sweep(depth=[2, 4], activation=["tanh", "relu"], init="he_normal", seeds=3)
    >>> len(list(sweep.configs()))
    4
    """

    #: What spans the grid, and the work that is done on it.
    COORDINATES: ClassVar[tuple[str, ...]] = GRID
    TASK: ClassVar[str] = "measure"
    #: Depths where none is given.
    DEPTHS: ClassVar[tuple[int, ...]] = (2, 4, 8, 16, 32, 64)

    depth: tuple[int | None, ...] = setting(
        (None,),
        "Number of hidden layers L; of a resnet or transformer blocks, of an rnn time steps. None: 2, 4, 8, 16, "
        "32 and 64, in a grid to train 2, 10 and 30; of an rnn all steps that the data have.",
    )
    width: tuple[int | None, ...] = setting(
        (None,),
        "Units of each hidden layer, channels of a convnet. A sequence within the sequence has a number for each "
        "layer. None: those of each architecture, 128 of an mlp.",
    )
    activation: tuple[str | None, ...] = setting(
        (None,),
        "Name in the table of activations, as tanh or leaky_relu:0.18. A sequence within the sequence has a name for "
        "each layer of an mlp or a convnet. None: that of each architecture, gelu of a transformer; sigmoid, tanh and "
        "relu of an mlp.",
    )
    init: tuple[str | None, ...] = setting(
        (None,),
        "Name in the table of initialisers: distribution and variance rule. None: that of each architecture, "
        "orthogonal of an rnn; xavier_normal and he_normal of an mlp.",
    )
    gain: tuple[float, ...] = coordinate(NetworkConfig, "gain")
    sigma_w2: tuple[float | None, ...] = coordinate(NetworkConfig, "sigma_w2")
    std: tuple[float | None, ...] = coordinate(NetworkConfig, "std")
    sigma_b2: tuple[float | None, ...] = coordinate(NetworkConfig, "sigma_b2")
    bias: tuple[bool, ...] = coordinate(NetworkConfig, "bias")
    readout: tuple[str | None, ...] = coordinate(NetworkConfig, "readout")
    parametrization: tuple[str, ...] = coordinate(NetworkConfig, "parametrization")
    base_width: tuple[int, ...] = coordinate(NetworkConfig, "base_width")
    architecture: tuple[str, ...] = setting(
        ("mlp",), "Kind of network: mlp, resnet, convnet, rnn, transformer. Each takes the coordinates that it has."
    )
    norm: tuple[str | None, ...] = setting(
        (None,),
        "Kind of normalisation: batch, layer, rms or dyt; or none. None: that of each architecture, layer of a "
        "transformer.",
    )
    norm_position: tuple[str, ...] = setting(
        ("before",),
        "Where norms stand: before or after the activation; of a transformer before the branch, after the sum, or "
        "(peri) around the branch; of a resnet norm and activation together before or after each weight.",
    )
    branch_scale: tuple[float | str, ...] = coordinate(ResNetConfig, "branch_scale")
    branch: tuple[str, ...] = coordinate(ResNetConfig, "branch")
    branch_layers: tuple[int, ...] = coordinate(ResNetConfig, "branch_layers")
    kernel: tuple[int, ...] = coordinate(ConvNetConfig, "kernel")
    padding: tuple[str, ...] = coordinate(ConvNetConfig, "padding")
    cell: tuple[str, ...] = coordinate(RNNConfig, "cell")
    forget_bias: tuple[float, ...] = coordinate(RNNConfig, "forget_bias")
    r_min: tuple[float, ...] = coordinate(RNNConfig, "r_min")
    r_max: tuple[float, ...] = coordinate(RNNConfig, "r_max")
    truncate: tuple[int | None, ...] = coordinate(RNNConfig, "truncate")
    heads: tuple[int, ...] = coordinate(TransformerConfig, "heads")
    expansion: tuple[int, ...] = coordinate(TransformerConfig, "expansion")
    causal: tuple[bool, ...] = coordinate(TransformerConfig, "causal")
    skip: tuple[bool, ...] = coordinate(TransformerConfig, "skip")
    norm_scaling: tuple[bool, ...] = coordinate(TransformerConfig, "norm_scaling")
    qk_norm: tuple[bool, ...] = coordinate(TransformerConfig, "qk_norm")
    seeds: int | tuple[int, ...] = setting(5, "Number of seeds, 0 ... seeds - 1, or a sequence of seed numbers.")
    batch: int = setting(128, "Examples in the one fixed batch that all networks see.", positive_integer)
    loss: str = setting("softmax_cross_entropy", "Name of the loss.", named("loss", LOSSES))
    data: str | None = setting(
        None,
        "Name of a data set, or a file (.npz, .csv, .parquet); arrays are passed to `gradlab.run`. None: digits, "
        "as images or as sequences of rows where an architecture reads these alone.",
    )
    target: str | None = setting(None, "Column (or array of an .npz) that holds the target, for a file.")
    length: int | None = setting(
        None, "For data='adding', 'copying' and 'characters': steps of a sequence. None: 100.",
        optional(positive_integer),
    )  # fmt: skip
    q0: float = setting(1.0, "For data='gaussian' and 'circle': mean square of an input.", number)
    c0: float = setting(
        0.0, "For data='gaussian': correlation of two inputs.", partial(number, kind="a number from 0 to 1, 1 left out")
    )
    dtype: str = setting(
        "float32",
        "float32 or float64; or bfloat16, float16, float8_e4m3 or float8_e5m2, to which weights and signals are "
        "rounded on the way forward.",
        named("dtype", MEASURED_DTYPES),
    )
    key: int = setting(0, "The base key from which every seed is folded.", partial(integer, least=0))
    columns: tuple[str, ...] | None = setting(None, "Measured columns to compute. None: all.")
    networks: tuple[str, ...] = setting(
        (),
        "Networks of your own layers (`gradlab.CustomNetwork`) in place of the grid of built-in ones. From Python "
        "alone.",
        option=False,
    )

    def __post_init__(self):
        put = lambda name, value: object.__setattr__(self, name, value)
        put("networks", keys_of(self.networks))
        spans = tuple(name for name in self.COORDINATES if not (self.networks and name in GRID))
        given = [n for n in self.COORDINATES if n not in spans and many(getattr(self, n)) != self._default(n)]
        if given:
            raise GradlabError(f"networks= or {given[0]}=", "both", "networks that differ in it, or the grid alone")
        for name in spans:
            values = many(getattr(self, name))
            if not values:
                raise GradlabError(f"at least one value of {name}", "none", f"{name}={self._usual(name)[0]!r}")
            check = self._check_of(name)
            left = (None, NO_NORM) if name == "norm" else (None,) if self._default(name) == (None,) else ()
            known = (v if v in left else check(name, v) for v in values)
            put(name, self._filled(name, tuple(dict.fromkeys(known))))
        self._check()
        numbers = seed_numbers(self.seeds)
        put("seeds", numbers if several(self.seeds) else len(numbers))
        put("data", self._suited_data() if self.data is None else self.data)
        if self.columns is not None:
            from gradlab._types import MEASURED

            columns = many(self.columns)
            if not columns:
                raise GradlabError("at least one column", "none", "columns=None, for all")
            for column in columns:
                if column not in MEASURED:
                    raise unknown("column", column, MEASURED)
            put("columns", columns)
        if self.length is not None and self.in_one_batch is not None:
            batch = self.in_one_batch
            check_product("steps of all sequences of a batch", MOST_POSITIONS, batch=batch, length=self.length)
        if not self.networks:
            self._check_coordinates()
            self._check_size()
            self._check_needs([*self.configs()])  # each checks itself

    def summary(self) -> Summary:
        """Return the size of the grid and what spans it, as a notebook shows them."""
        always = ("architecture", "depth", "activation", "init", "batch", "data", "loss", "dtype")
        values = {name: getattr(self, name) for name in dict.fromkeys((*self.COORDINATES, *always))}
        facts = [
            (name, listed(v) if isinstance(v, tuple) else str(v)) for name, v in values.items()
            if v not in (None, (), (None,)) and (name in always or v != self.__dataclass_fields__[name].default)
        ]  # fmt: skip
        count, seeds = sum(1 for _ in self.configs()), len(self.seed_numbers)
        return Summary(f"{type(self).__name__}: {count} networks, {seeds} seeds", facts)

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        """Return the numbers of the seeds."""
        return self.seeds if isinstance(self.seeds, tuple) else tuple(range(self.seeds))

    @property
    def loaded(self) -> int | None:
        """Return how many examples to load: those of the batch. None means all."""
        return self.batch

    @property
    def in_one_batch(self) -> int | None:
        """Return how many examples one pass sees; None where only the data say it."""
        return self.batch

    def configs(self) -> Iterator[NetworkConfig | CustomConfig]:
        """Yield the networks of the grid, in its order."""
        if self.networks:
            yield from map(config_of, self.networks)
            return
        seen: set[NetworkConfig] = set()
        for architecture in self.architecture:
            kind = CONFIGS[architecture]
            names = [n for n in GRID if n in kind.names()]
            for values in itertools.product(*(self._values(n, architecture) for n in names)):
                given = dict(zip(names, values, strict=True))
                absent = lacking(kind.needs(), given)
                config = kind(**{n: v for n, v in given.items() if n not in absent})
                if config not in seen:  # what a network does not have does not tell it apart
                    seen.add(config)
                    yield config

    def _values(self, name: str, architecture: str) -> tuple:
        """Return the values of a coordinate for one architecture."""
        values = getattr(self, name)
        if name in OWN and None in values:
            values = _spelled_out(values, self._own(name, architecture))
        return tuple(None if v == NO_NORM else v for v in values) if name == "norm" else values

    def _filled(self, name: str, values: tuple) -> tuple:
        """Return the values with the default in place of None, where all architectures have the same default."""
        if name not in OWN:
            return values
        names = {self._own(name, a) for a in self.architecture if name in CONFIGS[a].names()}
        return _spelled_out(values, names.pop()) if len(names) == 1 else values

    def _own(self, name: str, architecture: str) -> tuple:
        """Return the values that an architecture has where none is given."""
        if name == "depth":
            return (None,) if architecture == "rnn" else self.DEPTHS
        if architecture == "mlp" and name in _MLP:
            return _MLP[name]
        return (getattr(CONFIGS[architecture], name, None),)

    def _usual(self, name: str) -> tuple:
        """Return the values of a coordinate where none is given."""
        return self._own(name, "mlp") if name in OWN else self._default(name)

    def _default(self, name: str) -> tuple:
        return type(self).__dataclass_fields__[name].default

    def _kinds(self) -> list[type[Configuration]]:
        """Return the kinds of configurations that have coordinates, those of the grid's architectures first."""
        return [*(CONFIGS[a] for a in self.architecture), *CONFIGS.values()]

    def _check_of(self, name: str) -> Check:
        """Return the check of a coordinate."""
        if name == "architecture":
            return named("architecture", ARCHITECTURES)
        return next(k.__dataclass_fields__[name].metadata["check"] for k in self._kinds() if name in k.names())

    def _suited_data(self) -> str:
        """Return the name of the digits in the form that the architectures read."""
        if "convnet" in self.architecture or ("resnet" in self.architecture and "conv" in self.branch):
            return "digits_images"
        return "digits_rows" if {"rnn", "transformer"} & set(self.architecture) else "digits"

    def _check_coordinates(self) -> None:
        """Raise where a coordinate is given that no architecture of the grid has."""
        for name in self.COORDINATES:
            owners = self._owners(name)
            if owners and not {*owners} & {*self.architecture} and getattr(self, name) != self._usual(name):
                raise GradlabError(
                    f"{name} only with {' or '.join(owners)}", f"architecture {', '.join(self.architecture)}",
                    f"architecture={owners[0]!r}",
                )  # fmt: skip

    def _check_size(self) -> None:
        """Raise where the grid is larger than any machine could hold."""
        choices = {name: len(getattr(self, name)) for name in self.COORDINATES if name != "architecture"}
        seeds = len(self.seeds) if isinstance(self.seeds, tuple) else self.seeds
        for architecture in self.architecture:
            counts = {
                name: n for name, n in choices.items() if architecture in self._owners(name) or not self._owners(name)
            }
            counts |= {name: len(self._values(name, architecture)) for name in OWN if name in counts}
            check_size(counts, seeds, max(depth or 1 for depth in self._values("depth", architecture)))

    def _check_needs(self, configs: Sequence[Any]) -> None:
        """Raise where a coordinate is given that no network of the grid has, though its architecture does."""
        asked = [one for config in configs for one in (config, config.network)]
        needs = {name: need for one in asked for name, need in one.needs().items()}
        for name, (other, known) in needs.items():
            usual = {self._own(name, a) if name in OWN else self._usual(name) for a in self.architecture}
            given = getattr(self, name) not in (*usual, (None,))
            if given and not any(one.has(name) for one in asked):
                raise GradlabError(
                    f"{name}= only with {other}={' or '.join(map(repr, known))}",
                    f"{other}={', '.join(map(repr, getattr(self, other)))}", f"leaving {name} out",
                )  # fmt: skip

    def _owners(self, name: str) -> list[str]:
        """Return the architectures that have a coordinate; none where it belongs to no architecture."""
        return [] if name == "architecture" else [a for a, kind in CONFIGS.items() if name in kind.names()]


def _spelled_out(values: tuple, usual: tuple) -> tuple:
    """Return the values with those of an architecture in place of None, each once."""
    return tuple(dict.fromkeys(v for one in values for v in (usual if one is None else (one,))))
