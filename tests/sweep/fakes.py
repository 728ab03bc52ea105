"""A task that costs nothing and data that are never looked at, to try the engine of sweeps alone."""

import hashlib
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gradlab._types import COORDINATES
from gradlab.config import content_hash
from gradlab.sweep.task import Cost


@dataclass(frozen=True)
class FakeData:
    """What the engine knows of data: a name and a content hash."""

    name: str = "fake"
    content_hash: str = "0" * 12
    labels: tuple[str, ...] = ()


def number(*of) -> float:
    """A number in [0, 1) that is a function of the arguments."""
    return int.from_bytes(hashlib.sha256(repr(of).encode()).digest()[:6], "big") / 2**48


class FakeTask:
    """Rows are functions of network and seed; their last bits also of what they were computed with.

    Class attributes are what tests turn: `calls` lists what was computed.
    """

    settings = {"name": "fake"}
    at_once = 1
    calls: list = []
    prints: dict = {}
    broken: frozenset = frozenset()
    seconds: float = 0.0

    def __init__(self, sweep, data):
        self.sweep, self.data = sweep, data

    def key(self, config):
        name = f"activation {config.activation}"
        return {name: self.prints[name]} if name in self.prints else {}

    def group(self, config):
        return (config.width, config.bias)

    def rows(self, configs, seeds):
        self.calls.append((tuple(configs), tuple(seeds)))
        time.sleep(self.seconds)
        for config in configs:
            if config.label() in self.broken:
                raise FloatingPointError(f"cannot do\n {config.depth}")
        company = number(tuple(configs), tuple(seeds))
        return [self._frame(c, seeds, range(1, c.depth + 2), "ok", company) for c in configs]

    def together(self, units):
        return [[unit] for unit in units]

    def failed(self, config, seeds, status):
        return self._frame(config, seeds, [0], status, None)

    def cost(self, configs, seeds):
        return Cost(1, 1e6 * len(configs) * len(seeds), 1000, 10 * len(configs))

    def _frame(self, config, seeds, layers, status, company):
        rows = [(seed, layer) for seed in seeds for layer in layers]
        columns = dict.fromkeys(COORDINATES, 0)
        columns |= {"network": content_hash(config.as_dict()), "architecture": "mlp", "sigma_w2": 1.0}
        columns |= {"depth": config.depth, "width": config.widths[0], "activation": config.activation}
        columns |= {"init": config.init, "loss": self.sweep.loss, "data": self.data.name, "dtype": self.sweep.dtype}
        columns |= {"seed": [seed for seed, _ in rows], "layer": [layer for _, layer in rows]}
        columns |= {"layer_name": [f"hidden {layer}" for _, layer in rows], "status": status}
        columns |= {k: v for k, v in config.changed().items() if k not in COORDINATES}
        if company is not None:
            exact = np.array([number(config, *row) for row in rows])
            columns["log10_delta_rms"] = np.where(exact < 0.1, -np.inf, exact + 1e-12 * company)
        frame = pd.DataFrame(columns)
        frame["layer_name"] = frame["layer_name"].astype("category")
        return frame
