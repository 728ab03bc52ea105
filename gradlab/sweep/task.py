"""What a sweep runs: anything that turns networks and seeds into rows; by default, measuring them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gradlab._types import COORDINATES, MEASURED
from gradlab.config import MLPConfig, Sweep
from gradlab.sweep.plan import Cost, stem

if TYPE_CHECKING:
    import pandas as pd

    from gradlab.data import Data


class Task(Protocol):
    """One kind of work on a grid. `gradlab.sweep.run.run` makes it as ``task(sweep, data)``.

    Its answers depend on its arguments alone, never on what was asked before, and it can be
    pickled, because other processes may run it.
    """

    @property
    def settings(self) -> Mapping[str, Any]:
        """Plain values that name the work; a folder refuses to mix different ones."""
        ...

    def key(self, config: MLPConfig) -> Mapping[str, str]:
        """Fingerprints of what the rows depend on besides configuration, data and settings.

        When one changes under the same name, its rows are recomputed.
        """
        ...

    def group(self, config: MLPConfig) -> Hashable:
        """What networks must share to be computed together."""
        ...

    def rows(self, configs: Sequence[MLPConfig], seeds: Sequence[int]) -> list[pd.DataFrame]:
        """One frame for each of `configs`, all of one group, with rows for each of `seeds`.

        When it raises, the networks are tried one by one.
        """
        ...

    def failed(self, config: MLPConfig, seeds: Sequence[int], status: str) -> pd.DataFrame:
        """The rows of a network that raised: `status` says what."""
        ...

    def cost(self, configs: Sequence[MLPConfig], seeds: Sequence[int]) -> Cost:
        """An estimate of what `rows` would take."""
        ...


class MeasureTask:
    """Per-layer statistics of the networks of a sweep at initialisation.

    Parameters
    ----------
    sweep : Sweep
        Loss, dtype, key and columns are taken from it.
    data : Data
        The one batch that all networks see.
    """

    settings: Mapping[str, Any] = {"name": "measure"}

    def __init__(self, sweep: Sweep, data: Data):
        self.data = data
        self.loss, self.dtype, self.base_key, self.columns = sweep.loss, sweep.dtype, sweep.key, sweep.columns

    def key(self, config: MLPConfig) -> dict[str, str]:
        """Fingerprints of the registered functions that the network uses."""
        from gradlab.core import activations, initializers

        prints = {f"activation {config.activation}": activations.fingerprint(config.activation)}
        for name in dict.fromkeys((config.init, config.readout or config.init)):
            prints[f"initializer {name}"] = initializers.fingerprint(name)
        return {name: value for name, value in prints.items() if value}

    def group(self, config: MLPConfig) -> tuple:
        """Architecture, widths and bias; loss, input shape and dtype are the sweep's."""
        return (config.architecture, f"width={config.width}", f"bias={config.bias}")

    def rows(self, configs: Sequence[MLPConfig], seeds: Sequence[int]) -> list[pd.DataFrame]:
        """Measure the networks together."""
        from gradlab.frames import frame
        from gradlab.measurement.measure import measure_group

        traces = measure_group(
            configs, self.data.x, self.data.y, loss=self.loss, key=self.base_key, seeds=seeds,
            columns=self.columns, dtype=self.dtype, data=self.data.name,
        )  # fmt: skip
        return [frame(trace) for trace in traces]

    def failed(self, config: MLPConfig, seeds: Sequence[int], status: str) -> pd.DataFrame:
        """One row per seed, with layer 0 and nothing measured."""
        from gradlab.frames import frame
        from gradlab.measurement.records import LayerInfo, Trace

        layer = LayerInfo(layer=0, layer_name="", width=config.widths[0], fan_in=0, fan_out=0)
        return frame(
            Trace(
                config=config, layers=(layer,), columns={}, seeds=tuple(seeds), status=(status,) * len(seeds),
                sigma_w2=np.nan, sigma_b2=np.nan, loss=self.loss, data=self.data.name,
                batch=len(self.data.x), dtype=self.dtype,
            )
        )  # fmt: skip

    def cost(self, configs: Sequence[MLPConfig], seeds: Sequence[int]) -> Cost:
        """Products with weights and Gram matrices, two operations per multiply-add.

        Networks that differ in depth alone share one forward pass, that of the deepest; each
        has a backward pass of its own.
        """
        batch, itemsize = len(self.data.x), np.dtype(self.dtype).itemsize
        deepest: dict[tuple, MLPConfig] = {}
        for config in configs:
            family = stem(config)
            if family not in deepest or deepest[family].depth < config.depth:
                deepest[family] = config
        forward = sum(_products(self._units(c)) for c in deepest.values())
        backward = sum(_products(self._units(c)[1:]) for c in configs)
        grams = sum(batch * sum(self._units(c)[:-1] + self._units(c)[1:]) for c in configs)
        rows = len(seeds) * sum(c.depth + 1 for c in configs)
        weights = max(_products(self._units(c)) for c in deepest.values())
        signals = 2 * batch * sum(sum(self._units(c)) for c in deepest.values())
        return Cost(
            programs=1,
            flops=2.0 * batch * len(seeds) * (forward + backward + grams),
            memory=itemsize * (weights + signals),
            disk=8 * rows * (len(COORDINATES) + len(self.columns or MEASURED)),
        )

    def _units(self, config: MLPConfig) -> list[int]:
        """Numbers of inputs, of hidden units layer by layer, and of outputs."""
        y = np.asarray(self.data.y)
        outputs = int(y.max()) + 1 if np.issubdtype(y.dtype, np.integer) else prod(y.shape[1:])
        return [prod(self.data.x.shape[1:]), *config.widths, outputs]


def _products(units: Sequence[int]) -> int:
    """Entries of all weights between successive layers of these sizes."""
    return sum(n * m for n, m in zip(units, units[1:], strict=False))
