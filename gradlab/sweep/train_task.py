"""Train the networks of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, final

from gradlab.config import TrainingConfig, TrainingSweep
from gradlab.core.devices import are_batched
from gradlab.core.execute import WORKERS
from gradlab.frames.rows import frame
from gradlab.measurement.single import structure
from gradlab.networks import build
from gradlab.networks.resolved import fingerprints
from gradlab.sweep.costs import training
from gradlab.sweep.task import Cost, Task
from gradlab.training.optimizers import shared_program
from gradlab.training.plan import Plan
from gradlab.training.seeds import train_networks
from gradlab.training.split import split

if TYPE_CHECKING:
    import pandas as pd

    from gradlab.data import Data
    from gradlab.sweep.plan import Unit

#: Networks that are trained in one call at most: they end together, and a kill before that loses all of them.
TOGETHER = 32


@final
class TrainTask(Task):
    """Train networks and measure every layer at chosen steps; some examples are kept for testing."""

    def __init__(self, sweep: TrainingSweep, data: Data):
        super().__init__(sweep, data)
        self.parts = split(data.x, data.y, sweep.test, sweep.batch, data.classes, data.name, sweep.key)
        self.plan, self.test = Plan.of(sweep, len(self.parts.x)), sweep.test
        self.batch = self.plan.batch
        # For each structure the deepest network, whose compiled programs serve the others too.
        rising = sorted((config.network for config in sweep.configs()), key=lambda network: network.depth or 0)
        self.deepest = {structure(network): network for network in rising}

    @property
    def settings(self) -> dict[str, Any]:
        """Return what all trainings have in common."""
        plan = self.plan
        return {
            "name": TrainingSweep.TASK, "steps": plan.steps, "records": list(plan.records), "test": self.test,
            "sharpness": plan.sharpness, "keep_going": plan.keep_going,
        }  # fmt: skip

    def key(self, config: TrainingConfig) -> dict[str, str]:
        """Return fingerprints of the registered functions that the network uses."""
        return fingerprints(config.network)

    @property
    def at_once(self) -> int:
        """Return 2 on a CPU: while one training is compiled, or has one seed left, the other uses the second core."""
        return 1 if are_batched() else WORKERS

    def group(self, config: TrainingConfig) -> tuple:
        """Return a group of its own for each network: a training is long, so each is kept when it ends."""
        way = (f"{name}={value}" for name, value in config.as_dict()["training"].items())
        return (config.network.architecture, *way, config.label())

    def together(self, units: Sequence[Unit]) -> Iterable[Sequence[Unit]]:
        """Return units whose networks share the program of a training, on an accelerator or several devices.

        There they are trained in one call, so the rows are a function of the request and of the devices to rounding
        only: where some units are kept already, the others are trained in another composition.
        """
        if not are_batched():
            return super().together(units)
        alike: dict[tuple, list[Unit]] = {}
        for unit in units:
            (config,) = unit.configs
            kind = (structure(config.network), config.network.depth, shared_program(config), unit.seeds)
            alike.setdefault(kind, []).append(unit)
        return [some[i : i + TOGETHER] for some in alike.values() for i in range(0, len(some), TOGETHER)]

    def rows(self, configs: Sequence[TrainingConfig], seeds: Sequence[int]) -> list[pd.DataFrame]:
        """Train networks that share the program of a training; return a frame for each."""
        net = build(configs[0].network)
        parts = self.parts._replace(outputs=net.outputs_for(self.parts.outputs))
        if net.ranks == (1,):  # it takes the entries of an image or a sequence as features
            flat = lambda x: x.reshape(len(x), prod(x.shape[1:]))
            names = ("x", "test_x", "measured_x")
            parts = parts._replace(**{name: flat(getattr(parts, name)) for name in names})
        deepest = self.deepest[structure(configs[0].network)]
        is_stopped = lambda: self.given_up
        trained = train_networks(configs, parts, self.plan, seeds, deepest=deepest, is_stopped=is_stopped)
        return [frame(training) for training in trained]

    def cost(self, configs: Sequence[TrainingConfig], seeds: Sequence[int]) -> Cost:
        """Count three products with each weight, for each example and position of each step."""
        return training(self, self.plan, self.parts.x[:1], configs, seeds)
