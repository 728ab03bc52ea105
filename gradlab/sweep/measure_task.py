"""Measure the networks of a sweep at initialisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from gradlab.config import NetworkConfig
from gradlab.config.custom import CustomConfig
from gradlab.frames.rows import frame
from gradlab.measurement.measure import measure_group
from gradlab.networks import build
from gradlab.networks.resolved import fingerprints
from gradlab.sweep.costs import measuring
from gradlab.sweep.task import Cost, Task

if TYPE_CHECKING:
    import pandas as pd


@final
class MeasureTask(Task):
    """Measure the statistics of every layer, on one batch that all networks of the sweep see."""

    @property
    def settings(self) -> dict[str, str]:
        """Return the name of the work."""
        return {"name": "measure"}

    def key(self, config: NetworkConfig) -> dict[str, str]:
        """Return fingerprints of the registered functions that the network uses."""
        return fingerprints(config)

    def group(self, config: NetworkConfig) -> tuple:
        """Return architecture, widths, bias and the other fields that shape a program; the rest is the sweep's."""
        if isinstance(config, CustomConfig):
            return (config.key,)
        kept = [name for name in config.names("program") if name != "activation"]
        always = "width", "bias"
        return config.architecture, *(f"{n}={getattr(config, n)}" for n in kept if n in always or n in config.changed())

    def rows(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> list[pd.DataFrame]:
        """Measure the networks together."""
        net = build(configs[0])
        # A network that reads features takes every entry of an image or a sequence as a feature.
        x = self.data.x.reshape(len(self.data.x), -1) if net.ranks == (1,) else self.data.x
        traces = measure_group(
            configs, x, self.data.y, loss=self.loss, key=self.base_key, seeds=seeds,
            columns=self.columns, dtype=self.dtype, data=self.data.name, outputs=net.outputs_for(self.data.classes),
        )  # fmt: skip
        return [frame(traces)]

    def cost(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> Cost:
        """Count products with weights and Gram matrices, two operations per multiply-add."""
        return measuring(self, configs, seeds)
