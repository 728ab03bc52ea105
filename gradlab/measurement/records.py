"""What a measurement hands back: plain records of NumPy arrays, every field with shape and unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gradlab.config import MLPConfig

if TYPE_CHECKING:
    from gradlab.measurement.slope import Rate
    from gradlab.measurement.verdict import Verdict


@dataclass(frozen=True)
class LayerInfo:
    """Where a row of the frame stands: one layer of the network.

    `layer` counts from 1 (next to the input) to L, then the readout L + 1;
    `width` is the number of its units.
    """

    layer: int
    layer_name: str
    width: int
    fan_in: int
    fan_out: int


@dataclass(frozen=True)
class Trace:
    """Per-layer statistics of one network over several seeds.

    Parameters
    ----------
    config : MLPConfig
        The network.
    layers : tuple of LayerInfo
        L hidden layers and the readout, from input to output.
    columns : mapping of str to ndarray
        Measured columns by name, each of shape (seeds, layers), float64; see `gradlab._types.MEASURED`.
    seeds : tuple of int
        The seed numbers.
    status : tuple of str
        One per seed: ``"ok"``, or what failed.
    sigma_w2, sigma_b2 : float
        Fan-in times the weight variance, and the bias variance, of the hidden layers.
    loss, data, dtype : str
        Names.
    batch : int
        Examples.
    drawn : bool
        False when the weights were given (``params=``): then no interval over seeds exists.
    """

    config: MLPConfig
    layers: tuple[LayerInfo, ...]
    columns: Mapping[str, np.ndarray]
    seeds: tuple[int, ...]
    status: tuple[str, ...]
    sigma_w2: float
    sigma_b2: float
    loss: str
    data: str
    batch: int
    dtype: str
    drawn: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def rate(self) -> Rate:
        """Factor of the rms delta per layer toward the input, with its interval over seeds."""
        from gradlab.measurement.slope import rate

        hidden = self.columns["log10_delta_rms"][:, : len(self.layers) - 1]
        return rate(hidden, drawn=self.drawn)

    @property
    def decades(self):
        """log10(rms delta_1 / rms delta_L), geometric mean over seeds, with its interval."""
        return self.rate.decades

    @property
    def verdict(self) -> Verdict:
        """Shape and effect in one word, with the evidence."""
        from gradlab.measurement.verdict import judge

        return judge(self.rate)
