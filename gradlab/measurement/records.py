"""Records that measurements return: plain NumPy arrays, every field with its shape and unit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gradlab._summary import Shown, Summary, number
from gradlab.config import NetworkConfig, TrainingConfig

if TYPE_CHECKING:
    from gradlab.measurement.slope import Rate
    from gradlab.measurement.verdict import Verdict


#: Columns that the summary of a trace shows: means over seeds of signal, delta and weight gradient.
_SHOWN = ("log10_activation_rms", "log10_delta_rms", "log10_weight_grad_norm")


def value_rows(axes: Mapping[str, Sequence[Any] | np.ndarray], **values: Any) -> dict[str, np.ndarray]:
    """Make one row for each place along the axes: its coordinates, and the value of each array there."""
    at = np.meshgrid(*axes.values(), indexing="ij")
    columns = {**dict(zip(axes, at, strict=True)), **values}
    return {name: np.broadcast_to(column, at[0].shape).ravel() for name, column in columns.items()}


@dataclass(frozen=True)
class LayerInfo:
    """Describe one layer of a network: a row of the frame.

    `layer` counts from 1 (next to the input) to L, then the readout L + 1; uncounted layers such as a stem are 0.
    `width` is the number of units. A time step has no fans of its own, so they are 0.
    """

    layer: int
    layer_name: str
    width: int
    fan_in: int
    fan_out: int


@dataclass(frozen=True, repr=False)
class Trace(Shown):
    """Hold the statistics of every layer of one network, over several seeds.

    Parameters
    ----------
    config : NetworkConfig or TrainingConfig
        The network, or how it is trained.
    layers : tuple of LayerInfo
        From input to output: layers that are not counted (a stem, the shared weights of a cell) have the number 0; then
        come L hidden layers and the readout.
    columns : mapping of str to ndarray
        Measured columns by name, each of shape (seeds, layers), float64; see `gradlab._types.MEASURED`.
    seeds : tuple of int
        Numbers of the seeds.
    status : tuple of str
        One for each seed: ``"ok"``, or what failed.
    sigma_w2, sigma_b2 : float
        Fan-in times the weight variance, and the bias variance, of the hidden layers.
    loss, data, dtype : str
        Names of the loss, the data and the dtype.
    batch : int
        Number of examples.
    drawn : bool
        False where the weights were given (``params=``): then there is no interval over seeds.
    step : int
        Training step, 0 at initialisation.
    """

    config: NetworkConfig | TrainingConfig
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
    step: int = 0

    def __repr__(self) -> str:
        return self.summary().to_text()

    def summary(self) -> Summary:
        """Return the network, its verdict and its layers, as a terminal and a notebook show them."""
        failed = sorted({status for status in self.status if status != "ok"})
        facts = [
            ("network", repr(self.config)), ("layers", f"{self.depth} hidden ones"),
            ("data", f"{self.data}, {self.batch} examples, loss {self.loss}, {self.dtype}"),
            ("seeds", str(len(self.seeds)) if self.drawn else "none, the weights were given"),
            ("step of training", str(self.step) if self.step else ""), ("failed", "; ".join(failed)),
        ]  # fmt: skip
        title = f"Trace of {type(self.config).__name__}"
        if "log10_delta_rms" in self.columns:
            from gradlab.measurement.verdict import describe

            title = f"Trace: {self.verdict}"
            facts.append(("rate", describe(self.rate, self.verdict)))
        names = [name for name in _SHOWN if name in self.columns]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of layers of which nothing is known
            means = [np.nanmean(self.columns[name], 0) for name in names]
        rows = [
            [str(info.layer), info.layer_name, *(number(float(mean[i])) for mean in means)]
            for i, info in enumerate(self.layers)
        ]
        return Summary(title, facts, ["layer", "name", *names], rows)

    @cached_property
    def rate(self) -> Rate:
        """Return the factor of the rms delta per layer toward the input, with its interval over seeds."""
        from gradlab.measurement.slope import rate

        hidden = [i for i, info in enumerate(self.layers) if 1 <= info.layer <= self.depth]
        return rate(self.columns["log10_delta_rms"][:, hidden], drawn=self.drawn)

    @property
    def depth(self) -> int:
        """Return the number L of hidden layers (or blocks, or time steps)."""
        return sum(info.layer >= 1 and info.layer_name != "readout" for info in self.layers)

    @property
    def decades(self):
        """Return log10(rms delta_1 / rms delta_L), the geometric mean over seeds, with its interval."""
        return self.rate.decades

    @property
    def verdict(self) -> Verdict:
        """Return the verdict: shape and effect in one word, with the evidence."""
        from gradlab.measurement.verdict import judge

        return judge(self.rate)
