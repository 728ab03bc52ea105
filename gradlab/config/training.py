"""Frozen configurations of trainings: a network with the way it is trained, and a grid of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from gradlab._errors import GradlabError
from gradlab.config.bounds import MOST_RECORDS
from gradlab.config.fields import FIELDS, boolean, choice, integer, many, number, positive_integer, several
from gradlab.config.networks import Needs, NetworkConfig, check_needs, lacking
from gradlab.config.sweep import GRID, Sweep

#: The coordinates of `TrainingSweep` beside those of networks.
TRAINING_GRID: tuple[str, ...] = (
    "optimizer", "learning_rate", "momentum", "schedule", "warmup", "clip_norm", "clip_value", "clip_adaptive",
    "weight_decay", "dropout",
)  # fmt: skip
#: Learning rates where none is given: optax's examples' and the papers' own, none of them tuned.
LEARNING_RATES: dict[str, float] = {
    "sgd": 0.1, "momentum": 0.01, "nesterov": 0.01, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3,
}  # fmt: skip
#: Weight decays where none is given: optax's; of an optimiser that does not decay by itself none.
WEIGHT_DECAYS: dict[str, float] = {"adamw": 1e-4}
#: Ways to go on when a loss is not finite.
ON_FAILURE: tuple[str, ...] = ("stop", "continue")


@dataclass(frozen=True)
class TrainingConfig:
    """One network and how it is trained. It has the fields of its network too.

    Parameters
    ----------
    network : NetworkConfig
        What is trained.
    optimizer : str
        sgd, momentum, nesterov, rmsprop, adam or adamw.
    learning_rate : float, optional
        The largest learning rate of the schedule. None: `LEARNING_RATES` of the optimiser.
    momentum : float
        Of momentum and nesterov.
    schedule : {"constant", "linear", "cosine"}
        The learning rate stays, or falls to 0 at the last step.
    warmup : int
        Steps in which the learning rate rises from 0.
    clip_norm, clip_value, clip_adaptive : float, optional
        Clipping of gradients by their global norm, entry by entry, or by each unit's norm over that of its weights
        (Brock et al. 2021); at most one of them.
    weight_decay : float, optional
        Factor of the weights in their own update (adamw), of half the squared weights in the loss (all others).
        None: `WEIGHT_DECAYS` of the optimiser, 0.0001 for adamw and 0 for all others.
    dropout : float
        Rate.
    own : str
        What identifies an optimiser of the user's own, by content. It has its learning rate in it, so
        `learning_rate` is None, and `optimizer` is any label. Empty: `optimizer` is one of those named above.
    start : str
        What identifies the weights that it starts from, where they are given and not drawn.
    """

    #: As in `NetworkConfig`.
    NEEDS: ClassVar[Needs] = {"momentum": ("optimizer", ("momentum", "nesterov"))}

    network: NetworkConfig
    optimizer: str = "sgd"
    learning_rate: float | None = None
    momentum: float = 0.9
    schedule: str = "constant"
    warmup: int = 0
    clip_norm: float | None = None
    clip_value: float | None = None
    clip_adaptive: float | None = None
    weight_decay: float | None = None
    dropout: float = 0.0
    own: str = ""
    start: str = ""

    def __post_init__(self):
        put = lambda name, value: object.__setattr__(self, name, value)
        for name in TRAINING_GRID:
            if not (self.own and name == "optimizer"):
                put(name, FIELDS[name](getattr(self, name)))
        if self.own:
            inside = [n for n in ("learning_rate", "momentum", "schedule", "warmup") if getattr(self, n) != _default(n)]
            if inside:
                raise GradlabError(
                    f"{inside[0]}= only with an optimiser's name", "an optimiser of your own too",
                    f"an optimiser with its own {inside[0]}, or optimizer='adam'",
                )  # fmt: skip
        elif self.learning_rate is None:
            put("learning_rate", LEARNING_RATES.get(self.optimizer, 1e-3))
        if self.weight_decay is None:
            put("weight_decay", WEIGHT_DECAYS.get(self.optimizer, 0.0))
        check_needs(self.NEEDS, {n: getattr(self, n) for n in self.NEEDS if getattr(self, n) != _default(n)}, self)
        clips = [name for name in ("clip_norm", "clip_value", "clip_adaptive") if getattr(self, name) is not None]
        if len(clips) > 1:
            raise GradlabError("one way of clipping", " and ".join(clips), f"{clips[0]}= alone")

    def __getattr__(self, name: str) -> Any:
        """The fields of the network."""
        if name.startswith("__") or name == "network":
            raise AttributeError(name)
        return getattr(self.network, name)

    def names(self) -> tuple[str, ...]:
        """The names of all fields, the network's first."""
        return (*self.network.names(), *TRAINING_GRID)

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain values: what identifies the training."""
        given = {name: getattr(self, name) for name in ("own", "start") if getattr(self, name)}
        return {**self.network.as_dict(), "training": {name: getattr(self, name) for name in TRAINING_GRID}, **given}

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults; optimiser and learning rate are always named."""
        always = "optimizer", "learning_rate"
        own = {n: getattr(self, n) for n in TRAINING_GRID if n in always or getattr(self, n) != UNCHANGED[n]}
        return {**self.network.changed(), **own}

    def label(self) -> str:
        """A short description for progress lines and messages: ``mlp depth=10 relu he_normal adam 0.001``."""
        own = {n: v for n, v in self.changed().items() if n in TRAINING_GRID}
        rest = "".join(f" {n}={v}" for n, v in own.items() if n not in ("optimizer", "learning_rate"))
        given = " from given weights" if self.start else ""
        rate = "" if self.learning_rate is None else f" {self.learning_rate:g}"
        return f"{self.network.label()} {self.optimizer}{rate}{rest}{given}"


def _default(name: str) -> Any:
    return TrainingConfig.__dataclass_fields__[name].default


#: What each field of a training is where nothing is asked for.
UNCHANGED: dict[str, Any] = {name: _default(name) for name in TRAINING_GRID} | {"weight_decay": 0.0}


@dataclass(frozen=True)
class TrainingSweep(Sweep):
    """A grid over networks and ways to train them, on many seeds.

    Parameters
    ----------
    optimizer : str or sequence of str
        sgd, momentum, nesterov, rmsprop, adam, adamw.
    learning_rate : float or sequence of float, optional
        The largest learning rate of the schedule. None: 0.1 for sgd, 0.01 with momentum, else 0.001.
    momentum : float or sequence of float
        Of momentum and nesterov.
    schedule : str or sequence of str
        constant, or linear or cosine down to 0 at the last step.
    warmup : int or sequence of int
        Steps in which the learning rate rises from 0.
    clip_norm : float or sequence of float, optional
        Largest global norm of a gradient.
    clip_value : float or sequence of float, optional
        Largest absolute value of an entry of a gradient.
    clip_adaptive : float or sequence of float, optional
        Largest norm of a unit's gradient over that of its weights.
    weight_decay : float or sequence of float, optional
        Factor of the weights in their own update (adamw), of half the squared weights in the loss (all others).
        None: 0.0001 for adamw, 0 for all others.
    dropout : float or sequence of float
        Rate of dropout.
    steps : int
        Updates.
    batch : int
        Examples in a minibatch; as many, fixed and balanced over the classes, are what statistics are taken on.
    test : float
        Share of the data that is kept apart.
    records : int or sequence of int
        Number of steps at which statistics are taken, spaced logarithmically, first and last among them; or the steps.
    examples : int, optional
        Examples, train and test. None: all that there are, or what is usual of a synthetic set.
    sharpness : bool
        Whether the largest eigenvalue of the Hessian is computed at each record.
    on_failure : str
        Whether to stop when the loss is not finite, or to continue.
    """

    COORDINATES: ClassVar[tuple[str, ...]] = (*GRID, *TRAINING_GRID)
    TASK: ClassVar[str] = "train"

    DEPTHS: ClassVar[tuple[int, ...]] = (2, 10, 30)

    seeds: int | tuple[int, ...] = 3
    optimizer: tuple[str, ...] = ("sgd",)
    learning_rate: tuple[float | None, ...] = (None,)
    momentum: tuple[float, ...] = (0.9,)
    schedule: tuple[str, ...] = ("constant",)
    warmup: tuple[int, ...] = (0,)
    clip_norm: tuple[float | None, ...] = (None,)
    clip_value: tuple[float | None, ...] = (None,)
    clip_adaptive: tuple[float | None, ...] = (None,)
    weight_decay: tuple[float | None, ...] = (None,)
    dropout: tuple[float, ...] = (0.0,)
    steps: int = 1000
    test: float = 0.2
    records: int | tuple[int, ...] = 20
    examples: int | None = None
    sharpness: bool = False
    on_failure: str = "stop"

    def __post_init__(self):
        put = lambda name, value: object.__setattr__(self, name, value)
        put("steps", positive_integer("steps", self.steps))
        test = number("test", self.test, "a number of at least 0")
        if test >= 1:
            raise GradlabError("test to be a share of at least 0 and below 1", f"{test:g}", "test=0.2")
        put("test", test)
        put("records", record_steps(self.records, self.steps) if several(self.records) else self._count())
        put("examples", None if self.examples is None else positive_integer("examples", self.examples))
        put("sharpness", boolean("sharpness", self.sharpness))
        put("on_failure", choice("on_failure", *ON_FAILURE)(self.on_failure))
        super().__post_init__()
        if self.loss == "probe":
            raise GradlabError("a loss with targets", "loss='probe'", "loss='softmax_cross_entropy'")

    def _count(self) -> int:
        return integer("records", self.records, 2, MOST_RECORDS)

    @property
    def loaded(self) -> int | None:
        """Examples to load: all of them are trained or tested on."""
        return self.examples

    def configs(self) -> Iterator[TrainingConfig]:
        """The trainings of the grid, in its order."""
        products = itertools.product(*(getattr(self, name) for name in TRAINING_GRID))
        given = [dict(zip(TRAINING_GRID, values, strict=True)) for values in products]
        ways = [{n: v for n, v in way.items() if n not in lacking(TrainingConfig.NEEDS, way)} for way in given]
        different = [way for i, way in enumerate(ways) if way not in ways[:i]]
        for network in super().configs():
            for way in different:
                yield TrainingConfig(network, **way)

    def _needs(self, config: TrainingConfig) -> Needs:
        return {**config.network.NEEDS, **config.NEEDS}

    def _owners(self, name: str) -> list[str]:
        return [] if name in TRAINING_GRID else super()._owners(name)


def record_steps(records: Any, steps: int) -> tuple[int, ...]:
    """The steps at which statistics are taken, ascending.

    Parameters
    ----------
    records : int or sequence of int
        How many, spaced logarithmically from 1 behind step 0, the last one `steps`; or the steps themselves.
    steps : int
        Updates of the training.

    Raises
    ------
    GradlabError
        A step beyond the last one.

    Examples
    --------
    >>> record_steps(6, 1000)
    (0, 1, 6, 32, 178, 1000)
    """
    if several(records):
        chosen = sorted({integer("records", step, 0) for step in many(records)})
        if not chosen or chosen[-1] > steps:
            received = f"step {chosen[-1]}" if chosen else "none"
            raise GradlabError(f"records at steps from 0 to {steps}", received, f"records=(0, {steps})")
        return tuple(chosen)
    count = max(integer("records", records, 2, MOST_RECORDS) - 1, 1)
    places = (steps ** (i / max(count - 1, 1)) for i in range(count)) if count > 1 else (steps,)
    return tuple(sorted({0, *(round(place) for place in places)}))
