"""The frozen configuration of a sweep: a grid of networks on many seeds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from gradlab._errors import GradlabError, unknown
from gradlab.config.bounds import MOST_POSITIONS, check_product, check_size
from gradlab.config.custom import CustomConfig, config_of, keys_of
from gradlab.config.fields import FIELDS, integer, many, number, positive_integer, seed_numbers, several
from gradlab.config.names import DTYPES, LOSSES, resolve
from gradlab.config.networks import CONFIGS, Needs, NetworkConfig, lacking

#: Coordinates of which each architecture has defaults of its own, and those of the fully connected networks.
OWN: tuple[str, ...] = ("depth", "width", "activation", "init")
_MLP: dict[str, tuple] = {"activation": ("sigmoid", "tanh", "relu"), "init": ("xavier_normal", "he_normal")}
#: The coordinates of `Sweep` that span the grid.
GRID: tuple[str, ...] = (
    "architecture", "depth", "width", "activation", "init", "gain", "sigma_w2", "std", "sigma_b2", "bias", "readout",
    "norm", "norm_position", "branch_scale", "branch", "branch_layers", "order", "kernel", "padding",
    "cell", "forget_bias", "truncate", "heads", "expansion", "causal",
)  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """A grid over network configurations, measured on many seeds.

    Each coordinate takes one value or several; the networks are their product, in the
    order of the fields.

    Parameters
    ----------
    depth : int or sequence of int, optional
        Number of hidden layers L; of a resnet or transformer blocks, of an rnn time steps. None: 2, 4, 8, 16, 32
        and 64, in a grid to train 2, 10 and 30; of an rnn all steps that the data have.
    width : int or sequence of int, optional
        Units of each hidden layer, channels of a convnet. A sequence within the sequence has a number for each layer.
        None: those of each architecture, 128 of an mlp.
    activation : str or sequence of str, optional
        Name in the table of activations. A sequence within the sequence has a name for each layer of an
        mlp or a convnet.
        None: that of each architecture, gelu of a transformer; sigmoid, tanh and relu of an mlp.
    init : str or sequence of str, optional
        Name in the table of initialisers: distribution and variance rule. None: that of each architecture,
        orthogonal of an rnn; xavier_normal and he_normal of an mlp.
    gain : float or sequence of float
        Factor on the standard deviation of the hidden weights (sigma_w2 = gain**2 * base).
    sigma_w2 : float or sequence of float, optional
        Fan-in times the weight variance, for ``init="gaussian"``.
    std : float or sequence of float, optional
        Absolute standard deviation of the weights, for ``init="gaussian"``.
    sigma_b2 : float or sequence of float, optional
        Variance of the hidden biases. None: the initialiser's own (0, but for "pytorch").
    bias : bool or sequence of bool
        Whether hidden layers and readout have a bias.
    readout : str or sequence of str, optional
        Initialiser of the readout, with gain 1. None: the same as `init`.
    networks : CustomNetwork or sequence of these
        Networks of your own layers (`gradlab.CustomNetwork`) in place of the grid of built-in ones. From Python alone.
    architecture : str or sequence of str
        Kind of network: mlp, resnet, convnet, rnn, transformer. Each takes the coordinates that it has.
    norm : str or sequence of str, optional
        Normalisation: batch, layer or rms; of a transformer pre or post. None: none, or pre.
    norm_position : str or sequence of str
        Whether an mlp or convnet normalises before or after the activation.
    branch_scale : str or sequence of str
        Factor of each branch of a resnet: a number, "1/sqrt(L)", "1/L" or "learned" (a scalar that starts at 0).
    branch : str or sequence of str
        Branches of a resnet: dense or conv.
    branch_layers : int or sequence of int
        Weights in each branch of a resnet.
    order : str or sequence of str
        Activation before (pre) or after (post) each weight of a resnet's branch.
    kernel : int or sequence of int
        Side of the kernels of convolutions.
    padding : str or sequence of str
        Border of a convnet: same (zeros) or periodic.
    cell : str or sequence of str
        Cell of an rnn: rnn, lstm or gru.
    forget_bias : float or sequence of float
        Bias of the forget gates of an lstm.
    truncate : int or sequence of int, optional
        Steps after which the backward pass of an rnn is cut. None: never.
    heads : int or sequence of int
        Attention heads of a transformer.
    expansion : int or sequence of int
        Units of a transformer's feed-forward part over its width.
    causal : bool or sequence of bool
        Whether a position of a transformer sees the earlier ones alone.
    seeds : int or sequence of int
        Number of seeds, 0 ... seeds - 1, or a sequence of seed numbers.
    batch : int
        Examples in the one fixed batch that all networks see.
    loss : str
        Name of the loss.
    data : str, optional
        Name of a data set, or a file (.npz, .csv, .parquet); arrays are passed to `gradlab.run`. None: digits,
        as images or as sequences of rows where an architecture reads these alone.
    target : str, optional
        Column (or array of an .npz) that holds the target, for a file.
    length : int, optional
        For ``data="adding"``, ``"copying"`` and ``"characters"``: steps of a sequence. None: 100.
    q0 : float
        For ``data="gaussian"`` and ``"circle"``: mean square of an input.
    c0 : float
        For ``data="gaussian"``: correlation of two inputs.
    dtype : str
        ``float32`` or ``float64``.
    key : int
        The base key from which every seed is folded.
    columns : sequence of str, optional
        Measured columns to compute. None: all.

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

    depth: tuple[int | None, ...] = (None,)
    width: tuple[int | None, ...] = (None,)
    activation: tuple[str | None, ...] = (None,)
    init: tuple[str | None, ...] = (None,)
    gain: tuple[float, ...] = (1.0,)
    sigma_w2: tuple[float | None, ...] = (None,)
    std: tuple[float | None, ...] = (None,)
    sigma_b2: tuple[float | None, ...] = (None,)
    bias: tuple[bool, ...] = (True,)
    readout: tuple[str | None, ...] = (None,)
    architecture: tuple[str, ...] = ("mlp",)
    norm: tuple[str | None, ...] = (None,)
    norm_position: tuple[str, ...] = ("before",)
    branch_scale: tuple[str, ...] = ("1",)
    branch: tuple[str, ...] = ("dense",)
    branch_layers: tuple[int, ...] = (2,)
    order: tuple[str, ...] = ("pre",)
    kernel: tuple[int, ...] = (3,)
    padding: tuple[str, ...] = ("same",)
    cell: tuple[str, ...] = ("rnn",)
    forget_bias: tuple[float, ...] = (1.0,)
    truncate: tuple[int | None, ...] = (None,)
    heads: tuple[int, ...] = (4,)
    expansion: tuple[int, ...] = (4,)
    causal: tuple[bool, ...] = (False,)
    seeds: int | tuple[int, ...] = 5
    batch: int = 128
    loss: str = "softmax_cross_entropy"
    data: str | None = None
    target: str | None = None
    length: int | None = None
    q0: float = 1.0
    c0: float = 0.0
    dtype: str = "float32"
    key: int = 0
    columns: tuple[str, ...] | None = None
    networks: tuple[str, ...] = field(default=(), metadata={"option": False})

    def __post_init__(self):
        put = lambda name, value: object.__setattr__(self, name, value)
        put("networks", keys_of(self.networks))
        spans = tuple(name for name in self.COORDINATES if not (self.networks and name in GRID))
        given = [n for n in self.COORDINATES if n not in spans and many(getattr(self, n)) != _plain_default(n)]
        if given:
            raise GradlabError(f"networks= or {given[0]}=", "both", "networks that differ in it, or the grid alone")
        for name in spans:
            values = many(getattr(self, name))
            if not values:
                raise GradlabError(f"at least one value of {name}", "none", f"{name}={self._usual(name)[0]!r}")
            known = (v if v is None and name in OWN else FIELDS[name](v) for v in values)
            put(name, self._filled(name, tuple(dict.fromkeys(known))))
        numbers = seed_numbers(self.seeds)
        put("seeds", numbers if several(self.seeds) else len(numbers))
        put("batch", positive_integer("batch", self.batch))
        put("key", integer("key", self.key, 0))
        put("loss", resolve("loss", self.loss, LOSSES))
        put("dtype", resolve("dtype", self.dtype, DTYPES))
        put("length", None if self.length is None else positive_integer("length", self.length))
        put("q0", number("q0", self.q0))
        put("data", self._suited_data() if self.data is None else self.data)
        put("c0", number("c0", self.c0, "a number from 0 to 1, 1 left out"))
        if self.columns is not None:
            from gradlab._types import MEASURED

            columns = many(self.columns)
            if not columns:
                raise GradlabError("at least one column", "none", "columns=None, for all")
            for column in columns:
                if column not in MEASURED:
                    raise unknown("column", column, MEASURED)
            put("columns", columns)
        if self.length is not None:
            check_product("steps of all sequences of a batch", MOST_POSITIONS, batch=self.batch, length=self.length)
        if not self.networks:
            self._check_coordinates()
            self._check_size()
            self._check_needs([*self.configs()])  # each checks itself

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        """The seeds as numbers."""
        return self.seeds if isinstance(self.seeds, tuple) else tuple(range(self.seeds))

    @property
    def loaded(self) -> int | None:
        """Examples to load: the batch. None: all."""
        return self.batch

    def configs(self) -> Iterator[NetworkConfig | CustomConfig]:
        """The networks of the grid, in its order."""
        if self.networks:
            yield from map(config_of, self.networks)
            return
        seen: set[NetworkConfig] = set()
        for architecture in self.architecture:
            kind = CONFIGS[architecture]
            names = [n for n in GRID if n in kind.names()]
            for values in itertools.product(*(self._values(n, architecture) for n in names)):
                given = dict(zip(names, values, strict=True))
                config = kind(**{n: v for n, v in given.items() if n not in lacking(kind.NEEDS, given)})
                if config not in seen:  # what a network does not have does not tell it apart
                    seen.add(config)
                    yield config

    def _values(self, name: str, architecture: str) -> tuple:
        """The values of a coordinate for the networks of one architecture."""
        found = getattr(self, name)
        if name in OWN and None in found:
            found = _spelled_out(found, self._own(name, architecture))
        return found

    def _filled(self, name: str, values: tuple) -> tuple:
        """The values with the defaults of the architectures in the place of None, where all of them have the same."""
        own = [*{self._own(name, architecture) for architecture in self.architecture}] if name in OWN else []
        return _spelled_out(values, own[0]) if len(own) == 1 else values

    def _own(self, name: str, architecture: str) -> tuple:
        """The values of a coordinate that an architecture has where none is given."""
        if name == "depth":
            return (None,) if architecture == "rnn" else self.DEPTHS
        if architecture == "mlp" and name in _MLP:
            return _MLP[name]
        return (CONFIGS[architecture].__dataclass_fields__[name].default,)

    def _usual(self, name: str) -> tuple:
        """The values of a coordinate where none is given."""
        return self._own(name, "mlp") if name in OWN else type(self).__dataclass_fields__[name].default

    def _suited_data(self) -> str:
        """The digits in the form that the architectures read."""
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
            own = {
                name: n for name, n in choices.items() if architecture in self._owners(name) or not self._owners(name)
            }
            own |= {name: len(self._values(name, architecture)) for name in OWN}
            check_size(own, seeds, max(depth or 1 for depth in self._values("depth", architecture)))

    def _check_needs(self, configs: Sequence[Any]) -> None:
        """Raise where a coordinate is given that no network of the grid has, though its architecture does."""
        needs = {name: need for config in configs for name, need in self._needs(config).items()}
        for name, (other, known) in needs.items():
            usual = {self._own(name, a) if name in OWN else self._usual(name) for a in self.architecture}
            given = getattr(self, name) not in (*usual, (None,))
            if given and not any(self._has(config, name) for config in configs):
                raise GradlabError(
                    f"{name}= only with {other}={' or '.join(map(repr, known))}",
                    f"{other}={', '.join(map(repr, getattr(self, other)))}", f"leaving {name} out",
                )  # fmt: skip

    def _has(self, config: Any, name: str) -> bool:
        """Whether a network of the grid has a coordinate."""
        needs = self._needs(config)
        return name in config.names() and (name not in needs or getattr(config, needs[name][0]) in needs[name][1])

    def _needs(self, config: Any) -> Needs:
        return config.NEEDS

    def _owners(self, name: str) -> list[str]:
        """The architectures that have a coordinate; none where it belongs to no architecture."""
        return [] if name == "architecture" else [a for a, kind in CONFIGS.items() if name in kind.names()]


def _plain_default(name: str) -> tuple:
    return Sweep.__dataclass_fields__[name].default


def _spelled_out(values: tuple, own: tuple) -> tuple:
    """Values with an architecture's own in the place of None, each once."""
    return tuple(dict.fromkeys(v for one in values for v in (own if one is None else (one,))))
