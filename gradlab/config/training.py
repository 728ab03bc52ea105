"""Frozen configurations of trainings: a network with the way it is trained, and a grid of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import Field, field, fields
from functools import partial
from typing import Any, ClassVar, Literal

from gradlab._errors import GradlabError
from gradlab.config.architectures import CONFIGS, GRID
from gradlab.config.bounds import MOST_RECORDS
from gradlab.config.configuration import Configuration, configuration, coordinate, like, option, setting
from gradlab.config.fields import (
    ALL,
    batch_size,
    below_1,
    boolean,
    choice,
    integer,
    many,
    named,
    non_negative,
    number,
    optional,
    positive_integer,
    several,
)
from gradlab.config.names import DTYPES, OPTIMIZERS, SCHEDULES
from gradlab.config.networks import NetworkConfig, check_needs, lacking
from gradlab.config.sweep import Sweep

#: Learning rates where none is given: optax's examples' and the papers' own, and of sign that of Lion, whose steps
#: are as long. None of them is tuned.
LEARNING_RATES: dict[str, float] = {
    "sgd": 0.1, "momentum": 0.01, "nesterov": 0.01, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3,
    "muon": 0.02, "lion": 1e-4, "schedule_free": 2.5e-3, "sign": 1e-4,
}  # fmt: skip
#: Weight decays where none is given, of optimisers that decay the weights in their update: optax's. Of all others
#: weight decay is a term of the loss, and there is none.
WEIGHT_DECAYS: dict[str, float] = {"adamw": 1e-4, "muon": 0.0, "lion": 1e-3, "schedule_free": 0.0}
#: Ways to go on when a loss is not finite.
ON_FAILURE: tuple[str, ...] = ("stop", "continue")


@configuration
class TrainingConfig(Configuration):
    """One network and how it is trained."""

    network: NetworkConfig = field(kw_only=False, metadata={"meaning": "What is trained."})
    optimizer: str = option(
        "sgd", f"{', '.join(OPTIMIZERS[:-1])} or {OPTIMIZERS[-1]}.", named("optimizer", OPTIMIZERS), "program"
    )
    learning_rate: float | None = option(
        None,
        "The largest learning rate of the schedule. None: 0.1 for sgd, 0.01 for momentum and nesterov, 0.02 for muon, "
        "0.0025 for schedule_free, 0.0001 for lion and sign, 0.001 for all others.",
        optional(number), "number",
    )  # fmt: skip
    momentum: float = option(
        0.9,
        "Factor of the past in the moving sum of momentum and nesterov.",
        below_1,
        "number",
        needs=("optimizer", ("momentum", "nesterov")),
    )
    schedule: str = option(
        "constant",
        "The learning rate stays (constant), or falls to 0 at the last step (linear, cosine); of schedule_free it "
        "stays.",
        named("schedule", SCHEDULES), "program",
        needs=("optimizer", tuple(name for name in OPTIMIZERS if name != "schedule_free")),
    )  # fmt: skip
    warmup: int = option(0, "Steps in which the learning rate rises from 0.", partial(integer, least=0), "program")
    clip_norm: float | None = option(
        None, "Clipping of gradients by their global norm; at most one way of clipping.", optional(number), "number"
    )
    clip_value: float | None = option(None, "Clipping of gradients entry by entry.", optional(number), "number")
    clip_adaptive: float | None = option(
        None, "Clipping by each unit's norm over that of its weights (Brock et al. 2021).", optional(number), "number"
    )
    weight_decay: float | None = option(
        None,
        "Factor of the weights in their own update (adamw, muon, lion, schedule_free), of half the squared weights in "
        "the loss (all others). None: 0.0001 for adamw, 0.001 for lion, 0 for all others.",
        optional(non_negative), "number",
    )  # fmt: skip
    dropout: float = option(0.0, "Rate of dropout.", below_1, "program")
    optimizer_fingerprint: str = setting(
        "",
        "What identifies an optimiser of the user's own, by content. It has its learning rate in it, so "
        "`learning_rate` is None, and `optimizer` is any label. Empty: `optimizer` is one of those named above.",
    )
    start: str = setting("", "What identifies the weights that it starts from, where they are given and not drawn.")

    def __post_init__(self):
        put = lambda name, value: object.__setattr__(self, name, value)
        self._check(*["optimizer"] * bool(self.optimizer_fingerprint))
        given = super().changed()
        if self.optimizer_fingerprint:
            inside = [n for n in ("learning_rate", "momentum", "schedule", "warmup") if n in given]
            if inside:
                raise GradlabError(
                    f"{inside[0]}= only with an optimiser's name", "an optimiser of your own too",
                    f"an optimiser with its own {inside[0]}, or optimizer='adam'",
                )  # fmt: skip
        elif self.learning_rate is None:
            put("learning_rate", LEARNING_RATES.get(self.optimizer, 1e-3))
        if self.weight_decay is None:
            put("weight_decay", WEIGHT_DECAYS.get(self.optimizer, 0.0))
        check_needs(self.needs(), given, self)
        clips = [name for name in ("clip_norm", "clip_value", "clip_adaptive") if getattr(self, name) is not None]
        if len(clips) > 1:
            raise GradlabError("one way of clipping", " and ".join(clips), f"{clips[0]}= alone")

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as plain values: what identifies the training."""
        given = {name: getattr(self, name) for name in ("optimizer_fingerprint", "start") if getattr(self, name)}
        return {**self.network.as_dict(), "training": {name: getattr(self, name) for name in TRAINING_GRID}, **given}

    def changed(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults; optimiser and learning rate are always among them."""
        always = "optimizer", "learning_rate"
        options = {n: getattr(self, n) for n in TRAINING_GRID if n in always or getattr(self, n) != UNCHANGED[n]}
        return {**self.network.changed(), **options}

    def label(self) -> str:
        """Return a short description for progress lines and messages: ``mlp depth=10 relu he_normal adam 0.001``."""
        options = {n: v for n, v in self.changed().items() if n in TRAINING_GRID}
        rest = "".join(f" {n}={v}" for n, v in options.items() if n not in ("optimizer", "learning_rate"))
        given = " from given weights" if self.start else ""
        rate = "" if self.learning_rate is None else f" {self.learning_rate:g}"
        return f"{self.network.label()} {self.optimizer}{rate}{rest}{given}"


#: The coordinates of `TrainingSweep` beside those of networks.
TRAINING_GRID: tuple[str, ...] = TrainingConfig.names()
#: All options of networks and trainings by name; of one that several architectures have, the first one's.
OPTIONS: dict[str, Field] = {
    one.name: one
    for kind in (TrainingConfig, *reversed(CONFIGS.values()))
    for one in fields(kind)
    if one.name in kind.names()
}
#: What each of a training's is where nothing is asked for.
UNCHANGED: dict[str, Any] = {name: getattr(TrainingConfig, name) for name in TRAINING_GRID} | {"weight_decay": 0.0}


@configuration
class TrainingSweep(Sweep):
    """A grid over networks and ways to train them, on many seeds."""

    COORDINATES: ClassVar[tuple[str, ...]] = (*GRID, *TRAINING_GRID)
    TASK: ClassVar[str] = "train"

    DEPTHS: ClassVar[tuple[int, ...]] = (2, 10, 30)

    seeds: int | tuple[int, ...] = like(Sweep, "seeds", 3)
    batch: int | Literal["all"] = setting(
        128,
        "Examples in a minibatch; as many, fixed and balanced over the classes, are what statistics are taken on. "
        "'all': each step sees all training examples, in one order.",
        batch_size,
    )
    optimizer: tuple[str, ...] = coordinate(TrainingConfig, "optimizer")
    learning_rate: tuple[float | None, ...] = coordinate(TrainingConfig, "learning_rate")
    momentum: tuple[float, ...] = coordinate(TrainingConfig, "momentum")
    schedule: tuple[str, ...] = coordinate(TrainingConfig, "schedule")
    warmup: tuple[int, ...] = coordinate(TrainingConfig, "warmup")
    clip_norm: tuple[float | None, ...] = coordinate(TrainingConfig, "clip_norm")
    clip_value: tuple[float | None, ...] = coordinate(TrainingConfig, "clip_value")
    clip_adaptive: tuple[float | None, ...] = coordinate(TrainingConfig, "clip_adaptive")
    weight_decay: tuple[float | None, ...] = coordinate(TrainingConfig, "weight_decay")
    dropout: tuple[float, ...] = coordinate(TrainingConfig, "dropout")
    steps: int = setting(1000, "Updates.", positive_integer)
    test: float = setting(0.2, "Share of the data that is kept apart.", below_1)
    records: int | tuple[int, ...] = setting(
        20,
        "Number of steps at which statistics are taken, spaced logarithmically, first and last among them; or the "
        "steps.",
    )
    examples: int | None = setting(
        None, "Examples, train and test. None: all that there are, or what is usual of a synthetic set.",
        optional(positive_integer),
    )  # fmt: skip
    dtype: str = setting("float32", "float32 or float64.", named("dtype", DTYPES))
    sharpness: bool = setting(
        False,
        "Whether the largest eigenvalue of the Hessian is computed at each record, and the one above which steps are "
        "unstable.",
        boolean,
    )
    on_failure: str = setting(
        "stop", "Whether to stop when the loss is not finite, or to continue.", choice(*ON_FAILURE)
    )

    def __post_init__(self):
        super().__post_init__()
        count = lambda: integer("records", self.records, 2, MOST_RECORDS)
        records = record_steps(self.records, self.steps) if several(self.records) else count()
        object.__setattr__(self, "records", records)
        if self.loss == "probe":
            raise GradlabError("a loss with targets", "loss='probe'", "loss='softmax_cross_entropy'")

    @property
    def loaded(self) -> int | None:
        """Return how many examples to load; all of them are trained or tested on."""
        return self.examples

    @property
    def in_one_batch(self) -> int | None:
        """Return how many examples one step sees."""
        return self.examples if self.batch == ALL else self.batch

    def configs(self) -> Iterator[TrainingConfig]:
        """Yield the trainings of the grid, in its order."""
        products = itertools.product(*(getattr(self, name) for name in TRAINING_GRID))
        given = [dict(zip(TRAINING_GRID, values, strict=True)) for values in products]
        ways = [{n: v for n, v in way.items() if n not in lacking(TrainingConfig.needs(), way)} for way in given]
        different = [way for i, way in enumerate(ways) if way not in ways[:i]]
        for network in super().configs():
            for way in different:
                yield TrainingConfig(network, **way)

    def _kinds(self) -> list[type[Configuration]]:
        return [*super()._kinds(), TrainingConfig]

    def _owners(self, name: str) -> list[str]:
        return [] if name in TRAINING_GRID else super()._owners(name)


def record_steps(records: Any, steps: int) -> tuple[int, ...]:
    """Return the steps at which statistics are taken, ascending.

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
