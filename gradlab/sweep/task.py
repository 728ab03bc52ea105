"""What a sweep runs: anything that turns networks and seeds into rows; by default, measuring them."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gradlab._types import COORDINATES, MEASURED
from gradlab.config import REGISTRIES, MLPConfig, NetworkConfig, Sweep
from gradlab.config.custom import CustomConfig
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

    def key(self, config: NetworkConfig) -> Mapping[str, str]:
        """Fingerprints of what the rows depend on besides configuration, data and settings.

        When one changes under the same name, its rows are recomputed.
        """
        ...

    def group(self, config: NetworkConfig) -> Hashable:
        """What networks must share to be computed together."""
        ...

    def rows(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> list[pd.DataFrame]:
        """One frame for each of `configs`, all of one group, with rows for each of `seeds`.

        When it raises, the networks are tried one by one.
        """
        ...

    def failed(self, config: NetworkConfig, seeds: Sequence[int], status: str) -> pd.DataFrame:
        """The rows of a network that raised: `status` says what."""
        ...

    def cost(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> Cost:
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

    def __getstate__(self) -> dict[str, Any]:
        """Registered functions travel along: another process does not know them."""
        return {**self.__dict__, "registered": {kind: of.registered for kind, of in REGISTRIES.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for kind, entries in state.pop("registered").items():
            REGISTRIES[kind].add(*entries)
        self.__dict__.update(state)

    def key(self, config: NetworkConfig) -> dict[str, str]:
        """Fingerprints of the registered functions that the network uses."""
        from gradlab.networks.resolved import fingerprints

        return fingerprints(config)

    def group(self, config: NetworkConfig) -> tuple:
        """Architecture, widths, bias and what else shapes a program; loss, input shape and dtype are the sweep's."""
        if isinstance(config, CustomConfig):
            return (config.key,)
        kept = [name for name in config.names("program") if name != "activation"]
        always = "width", "bias"
        return config.architecture, *(f"{n}={getattr(config, n)}" for n in kept if n in always or n in config.changed())

    def rows(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> list[pd.DataFrame]:
        """Measure the networks together."""
        from gradlab.frames.rows import frame
        from gradlab.measurement.measure import measure_group
        from gradlab.networks import build

        # a network that reads features takes the entries of an image or a sequence as such
        x = self.data.x.reshape(len(self.data.x), -1) if build(configs[0]).ranks == (1,) else self.data.x
        traces = measure_group(
            configs, x, self.data.y, loss=self.loss, key=self.base_key, seeds=seeds,
            columns=self.columns, dtype=self.dtype, data=self.data.name,
            outputs=build(configs[0]).outputs_for(self.data.classes),
        )  # fmt: skip
        return [frame(trace) for trace in traces]

    def failed(self, config: NetworkConfig, seeds: Sequence[int], status: str) -> pd.DataFrame:
        """One row per seed, with layer 0 and nothing measured."""
        from gradlab.frames.rows import failed_rows

        return failed_rows(
            config, seeds, status, loss=self.loss, data=self.data.name, batch=len(self.data.x), dtype=self.dtype
        )

    def cost(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> Cost:
        """Products with weights and Gram matrices, two operations per multiply-add.

        Networks that differ in depth alone share one forward pass, that of the deepest; each
        has a backward pass of its own. Networks that share draws share two programs: one draws, one measures.
        """
        if not isinstance(configs[0], MLPConfig):
            return self._cost_apart(configs, seeds)
        batch, itemsize = len(self.data.x), np.dtype(self.dtype).itemsize
        deepest: dict[tuple, NetworkConfig] = {}
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
            programs=2 * len({self._draws(c) for c in configs}),
            flops=2.0 * batch * len(seeds) * (forward + backward + grams),
            memory=itemsize * (weights + signals),
            disk=8 * rows * (len(COORDINATES) + len(self.columns or MEASURED)),
        )

    def _cost_apart(self, configs: Sequence[NetworkConfig], seeds: Sequence[int]) -> Cost:
        """The same for networks that share nothing but programs: three products with each weight at each position."""
        import jax

        from gradlab.networks import build
        from gradlab.networks.network import weighted

        batch, positions = len(self.data.x), prod(self.data.x.shape[1:-1])
        sizes, rows = [], 0
        for config in configs:
            net = build(config)
            params = jax.eval_shape(lambda net=net: net.init_params(0, self.data.x, outputs=self.data.classes))
            sizes.append(sum(prod(leaf["weight"].shape) for _, leaf in weighted((), params)))
            rows += len(seeds) * ((config.depth or positions) + 2)
        kinds = {(self.group(c), c.activation) for c in configs}
        return Cost(
            programs=len(kinds) + len(configs),
            flops=6.0 * batch * positions * len(seeds) * sum(sizes),
            memory=np.dtype(self.dtype).itemsize * 3 * max(sizes),
            disk=8 * rows * (len(COORDINATES) + len(self.columns or MEASURED)),
        )

    def _draws(self, config: NetworkConfig) -> tuple[str, str, str]:
        """Base draws of weights, biases and readout."""
        from gradlab.networks.rules import hidden_rule, readout_rule

        hidden, readout = hidden_rule(config), readout_rule(config)
        biases = hidden.bias_family.name if config.sigma_b2 is None else "normal"
        return hidden.family.name, biases, readout.family.name

    def _units(self, config: NetworkConfig) -> list[int]:
        """Numbers of inputs, of hidden units layer by layer, and of outputs."""
        return [prod(self.data.x.shape[1:]), *config.widths, self.data.classes]


def _products(units: Sequence[int]) -> int:
    """Entries of all weights between successive layers of these sizes."""
    return sum(n * m for n, m in itertools.pairwise(units))
