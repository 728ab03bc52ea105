"""What can be asked for: names and frozen configurations, free of JAX.

The command line imports this module and no other, so that ``--help`` is instant.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

from gradlab._errors import GradlabError, unknown

#: Built-in names; the tables in `gradlab.core` are tested to be complete against these.
ACTIVATIONS: tuple[str, ...] = (
    "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu",
    "softplus", "softsign", "hard_tanh", "erf",
)  # fmt: skip
INITIALIZERS: tuple[str, ...] = (
    "xavier_normal", "xavier_uniform", "xavier_truncated",
    "he_normal", "he_uniform", "he_truncated",
    "lecun_normal", "lecun_uniform", "lecun_truncated",
    "orthogonal", "pytorch", "standard_uniform", "gaussian",
)  # fmt: skip
LOSSES: tuple[str, ...] = ("softmax_cross_entropy", "mse", "logistic", "probe")
ARCHITECTURES: tuple[str, ...] = ("mlp",)
DATASETS: tuple[str, ...] = ("digits", "gaussian", "circle")
DTYPES: tuple[str, ...] = ("float32", "float64")

#: Other spellings that users know, and the name each stands for.
ALIASES: dict[str, str] = {
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "glorot_truncated": "xavier_truncated",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "linear": "identity",
    "swish": "silu",
    "cross_entropy": "softmax_cross_entropy",
}

#: Names added by `gradlab.register_activation` and `gradlab.register_initializer`.
registered: dict[str, list[str]] = {"activation": [], "initializer": []}

IMPORT_HINT = "register it first (from the command line: --import FILE.py)"


def resolve(kind: str, name: str, names: Sequence[str]) -> str:
    """The canonical form of `name`, or an error that lists the nearest right names."""
    canonical = ALIASES.get(name, name) if isinstance(name, str) else name
    known = (*names, *registered.get(kind, ()))
    if canonical not in known:
        raise unknown(kind, name, known, IMPORT_HINT if kind in registered else "")
    return canonical


def integer(name: str, value: Any, least: int) -> int:
    """`value` as an integer of at least `least`, or an error that names the option."""
    value = _scalar(value)
    whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or value < least:
        raise GradlabError(f"{name} to be an integer of at least {least}", repr(value), f"{name}={least} or more")
    return int(value)


def positive_integer(name: str, value: Any) -> int:
    """`value` as an integer of at least 1, or an error that names the option."""
    return integer(name, value, 1)


def _number(name: str, value: Any, kind: str = "a positive number") -> float:
    """`value` as a finite number of a kind; what is neither positive nor of at least 0 is checked where it is used."""
    value = _scalar(value)
    real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    in_range = {"a positive number": lambda v: v > 0, "a number of at least 0": lambda v: v >= 0}
    if not real or not in_range.get(kind, lambda _: True)(value):
        raise GradlabError(f"{name} to be {kind}", repr(value), f"{name}={1 if kind == 'a positive number' else 0}")
    return float(value)


def _boolean(name: str, value: Any) -> bool:
    value = _scalar(value)
    if not isinstance(value, bool):
        raise GradlabError(f"{name} to be True or False", repr(value), f"{name}=True")
    return value


def _scalar(value: Any) -> Any:
    """A number of NumPy as Python's own, so that it is written and hashed alike."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def _or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _width(value: Any) -> int | tuple[int, ...]:
    """One width for all layers, or one for each."""
    return (
        tuple(positive_integer("width", v) for v in _many(value))
        if _several(value)
        else positive_integer("width", value)
    )


#: What each field of a network takes, alone and in a grid: from what a user writes to its canonical form.
_FIELDS: dict[str, Callable[[Any], Any]] = {
    "architecture": lambda value: resolve("architecture", value, ARCHITECTURES),
    "depth": lambda value: positive_integer("depth", value),
    "width": lambda value: _width(value),
    "activation": lambda value: resolve("activation", value, ACTIVATIONS),
    "init": lambda value: resolve("initializer", value, INITIALIZERS),
    "gain": lambda value: _number("gain", value),
    "sigma_w2": _or_none(lambda value: _number("sigma_w2", value)),
    "std": _or_none(lambda value: _number("std", value)),
    "sigma_b2": _or_none(lambda value: _number("sigma_b2", value, "a number of at least 0")),
    "bias": lambda value: _boolean("bias", value),
    "readout": _or_none(lambda value: resolve("initializer", value, INITIALIZERS)),
}


def _several(value: Any) -> bool:
    """Whether a user wrote several values: a list, a tuple, a range, an array, but not a name."""
    if isinstance(value, (str, bytes)):
        return False
    return isinstance(value, (Sequence, Iterator)) or getattr(value, "shape", ()) != ()


def _many(value: Any) -> tuple:
    """A coordinate of a grid as a tuple: a single value is a grid of one."""
    if not _several(value):
        return (value,)
    return tuple(value.tolist() if hasattr(value, "tolist") else value)


@dataclass(frozen=True)
class MLPConfig:
    """A fully connected network: `depth` hidden layers, then a linear readout.

    Parameters
    ----------
    depth : int
        Number of hidden layers L.
    width : int or sequence of int
        Units of each hidden layer.
    activation : str
        Name in the table of activations.
    init : str
        Name in the table of initialisers: distribution and variance rule.
    gain : float
        Factor on the standard deviation of the hidden weights (sigma_w2 = gain**2 * base).
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

    architecture: ClassVar[str] = "mlp"

    depth: int = 10
    width: int | tuple[int, ...] = 128
    activation: str = "relu"
    init: str = "he_normal"
    gain: float = 1.0
    sigma_w2: float | None = None
    std: float | None = None
    sigma_b2: float | None = None
    bias: bool = True
    readout: str | None = None

    def __post_init__(self):
        put = lambda name, value: object.__setattr__(self, name, value)
        for name, check in _FIELDS.items():
            if name != "architecture":
                put(name, check(getattr(self, name)))
        if isinstance(self.width, tuple):
            if len(self.width) != self.depth:
                raise GradlabError(
                    f"one width for each of the {self.depth} hidden layers",
                    f"{len(self.width)} widths", "a single number, or depth=len(width)",
                )  # fmt: skip
            if len(set(self.width)) == 1:
                put("width", self.width[0])
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

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each of the hidden layers."""
        return self.width if isinstance(self.width, tuple) else (self.width,) * self.depth

    def as_dict(self) -> dict[str, Any]:
        """All fields, with the architecture, as plain values."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"architecture": self.architecture, **fields}

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}

    def label(self) -> str:
        """A short description for progress lines and messages: ``mlp depth=50 tanh xavier_normal``."""
        rest = {k: v for k, v in self.changed().items() if k not in ("depth", "activation", "init")}
        extra = "".join(f" {k}={v}" for k, v in rest.items())
        return f"{self.architecture} depth={self.depth} {self.activation} {self.init}{extra}"


def content_hash(value: Any, length: int = 12) -> str:
    """Hexadecimal SHA-256 of `value` as canonical JSON, cut to `length` digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@dataclass(frozen=True)
class Sweep:
    """A grid over network configurations, measured on many seeds.

    Each coordinate takes one value or several; the networks are their product, in the
    order of the fields.

    Parameters
    ----------
    depth : int or sequence of int
        Number of hidden layers L.
    width : int or sequence of int
        Units of each hidden layer. A sequence within the sequence has a number for each layer.
    activation : str or sequence of str
        Name in the table of activations.
    init : str or sequence of str
        Name in the table of initialisers: distribution and variance rule.
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
    architecture : str or sequence of str
        Kind of network.
    seeds : int or sequence of int
        Number of seeds, 0 ... seeds - 1, or a sequence of seed numbers.
    batch : int
        Examples in the one fixed batch that all networks see.
    loss : str
        Name of the loss.
    data : str
        Name of a data set, or a file (.npz, .csv, .parquet); arrays are passed to `gradlab.run`.
    target : str, optional
        Column (or array of an .npz) that holds the target, for a file.
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

    depth: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    width: tuple[int, ...] = (128,)
    activation: tuple[str, ...] = ("sigmoid", "tanh", "relu")
    init: tuple[str, ...] = ("xavier_normal", "he_normal")
    gain: tuple[float, ...] = (1.0,)
    sigma_w2: tuple[float | None, ...] = (None,)
    std: tuple[float | None, ...] = (None,)
    sigma_b2: tuple[float | None, ...] = (None,)
    bias: tuple[bool, ...] = (True,)
    readout: tuple[str | None, ...] = (None,)
    architecture: tuple[str, ...] = ("mlp",)
    seeds: int | tuple[int, ...] = 5
    batch: int = 128
    loss: str = "softmax_cross_entropy"
    data: str = "digits"
    target: str | None = None
    q0: float = 1.0
    c0: float = 0.0
    dtype: str = "float32"
    key: int = 0
    columns: tuple[str, ...] | None = None

    def __post_init__(self):
        put = lambda name, value: object.__setattr__(self, name, value)
        for name in GRID:
            values = _many(getattr(self, name))
            if not values:
                default = Sweep.__dataclass_fields__[name].default[0]
                raise GradlabError(f"at least one value of {name}", "none", f"{name}={default!r}")
            put(name, tuple(dict.fromkeys(map(_FIELDS[name], values))))
        if _several(self.seeds):
            numbers = tuple(dict.fromkeys(integer("seeds", seed, 0) for seed in _many(self.seeds)))
            if not numbers:
                raise GradlabError("seeds to be a count, or numbers of at least 0", "none", "seeds=5")
            put("seeds", numbers)
        else:
            put("seeds", positive_integer("seeds", self.seeds))
        put("batch", positive_integer("batch", self.batch))
        put("key", integer("key", self.key, 0))
        put("loss", resolve("loss", self.loss, LOSSES))
        put("dtype", resolve("dtype", self.dtype, DTYPES))
        put("q0", _number("q0", self.q0))
        put("c0", _number("c0", self.c0, "a number from 0 to 1, 1 left out"))
        if self.columns is not None:
            from gradlab._types import MEASURED

            columns = _many(self.columns)
            if not columns:
                raise GradlabError("at least one column", "none", "columns=None, for all")
            for column in columns:
                if column not in MEASURED:
                    raise unknown("column", column, MEASURED)
            put("columns", columns)
        for config in self.configs():  # each checks itself
            del config

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        """The seeds as numbers."""
        return self.seeds if isinstance(self.seeds, tuple) else tuple(range(self.seeds))

    def configs(self) -> Iterator[MLPConfig]:
        """The networks of the grid, in its order."""
        import itertools

        names = [n for n in GRID if n != "architecture"]
        for values in itertools.product(*(getattr(self, n) for n in names)):
            yield MLPConfig(**dict(zip(names, values, strict=True)))


#: The coordinates of `Sweep` that span the grid.
GRID: tuple[str, ...] = (
    "architecture", "depth", "width", "activation", "init", "gain", "sigma_w2", "std", "sigma_b2", "bias", "readout",
)  # fmt: skip
