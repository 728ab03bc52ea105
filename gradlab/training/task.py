"""Trainings as the work of a sweep: what is computed, what it is called, and what it costs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gradlab._types import COORDINATES, MEASURED
from gradlab.config import TrainingConfig, TrainingSweep
from gradlab.core.execute import WORKERS, in_one_call
from gradlab.frames.rows import frame
from gradlab.networks import build
from gradlab.networks.network import weighted
from gradlab.sweep.plan import Cost
from gradlab.sweep.run import run
from gradlab.sweep.task import MeasureTask
from gradlab.training.plan import Plan
from gradlab.training.seeds import train_network
from gradlab.training.split import split

if TYPE_CHECKING:
    from gradlab.data import Data


class TrainTask(MeasureTask):
    """Training the networks of a sweep: statistics of each layer at chosen steps.

    Parameters
    ----------
    sweep : TrainingSweep
    data : Data
        All examples: to train on and to keep apart.
    """

    def __init__(self, sweep: TrainingSweep, data: Data):
        super().__init__(sweep, data)
        self.plan = Plan.of(sweep)
        self.test = sweep.test
        self.parts = split(data.x, data.y, sweep.test, sweep.batch, data.classes, data.name, sweep.key)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What all trainings have in common."""
        plan = self.plan
        return {
            "name": TrainingSweep.TASK, "steps": plan.steps, "records": list(plan.records), "test": self.test,
            "sharpness": plan.sharpness, "patient": plan.patient,
        }  # fmt: skip

    def key(self, config: TrainingConfig) -> dict[str, str]:
        """Fingerprints of the registered functions that the network uses."""
        return super().key(config.network)

    def group(self, config: TrainingConfig) -> tuple:
        """Each network is a unit of its own: a training is long, and what it has computed is kept."""
        return (config.architecture, *(f"{name}={value}" for name, value in config.as_dict()["training"].items()),
                config.label())  # fmt: skip

    def rows(self, configs: Sequence[TrainingConfig], seeds: Sequence[int]) -> list[pd.DataFrame]:
        """Train each of the networks."""
        frames = []
        for config in configs:
            net = build(config.network)
            parts = self.parts._replace(outputs=net.outputs_for(self.parts.outputs))
            if net.ranks == (1,):  # it takes the entries of an image or a sequence as features
                flat = lambda x: x.reshape(len(x), prod(x.shape[1:]))
                names = ("x", "test_x", "measured_x")
                parts = parts._replace(**{name: flat(getattr(parts, name)) for name in names})
            frames.append(frame(train_network(config, parts, self.plan, seeds)))
        return frames

    def failed(self, config: TrainingConfig, seeds: Sequence[int], status: str) -> pd.DataFrame:
        """One row per seed, with layer 0 and nothing measured."""
        from gradlab.frames.rows import failed_rows

        return failed_rows(
            config, seeds, status, loss=self.loss, data=self.data.name, batch=self.plan.batch, dtype=self.dtype
        )

    def cost(self, configs: Sequence[TrainingConfig], seeds: Sequence[int]) -> Cost:
        """Three products with each weight, for each example and position of each step."""
        import jax

        x, plan = self.parts.x, self.plan
        at_once = len(seeds) if in_one_call(seeds) else min(len(seeds), WORKERS)
        flops, memory, rows = 0.0, 0, 0
        for config in configs:
            net = build(config.network)
            example = x[:1].reshape(1, -1) if net.ranks == (1,) else x[:1]
            params = jax.eval_shape(lambda net=net, x=example: net.init_params(0, x, outputs=self.data.classes))
            entries = sum(prod(leaf["weight"].shape) for _, leaf in weighted((), params))
            positions = prod(example.shape[1:-1])
            flops += 6.0 * plan.batch * positions * entries * plan.steps * len(seeds)
            memory = max(memory, at_once * 6 * np.dtype(self.dtype).itemsize * entries)  # gradient, update, moments
            rows += len(seeds) * len(plan.records) * ((config.depth or positions) + 2)
        return Cost(4 * len(configs), flops, memory, 8 * rows * (len(COORDINATES) + len(self.columns or MEASURED)))


def train_sweep(
    sweep: TrainingSweep,
    data: Any = None,
    out: str | os.PathLike[str] | None = None,
    *,
    progress: bool | None = None,
    retry_failed: bool = False,
    dry_run: bool = False,
    executor: str = "local",
    workers: int = 1,
    cache: bool = True,
    command: str | None = None,
) -> pd.DataFrame:
    """Train all networks of a sweep; `gradlab.run` says what the options are.

    Parameters
    ----------
    sweep : TrainingSweep
    data : str, path, (x, y) or Data, optional
        As for `gradlab.run`; all examples are used, but for those kept apart.
    out : path, optional
        Folder that keeps the rows: the same call there trains only what is missing.
    progress, retry_failed, dry_run, executor, workers, cache, command
        As for `gradlab.run`.

    Returns
    -------
    DataFrame
        The tidy frame: a row for each network, seed, recorded step and layer.

    Examples
    --------
    >>> import gradlab as gl
    >>> sweep = gl.TrainingSweep(depth=2, width=16, activation=["sigmoid", "relu"], init="xavier_normal",
    ...                          optimizer="adam", steps=20, records=3, seeds=2)
    >>> frame = gl.train_sweep(sweep, progress=False)
    >>> sorted(frame["step"].unique().tolist()), len(frame)
    ([0, 1, 20], 36)
    """
    return run(
        sweep, data, out, task=TrainTask, progress=progress, retry_failed=retry_failed, dry_run=dry_run,
        executor=executor, workers=workers, cache=cache, command=command,
    )  # fmt: skip
