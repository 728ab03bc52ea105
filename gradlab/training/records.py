"""What a training hands back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gradlab._summary import Shown, Summary, number
from gradlab.measurement.records import Trace

if TYPE_CHECKING:
    import pandas as pd

#: Columns that the summary of a training shows.
_SHOWN = ("log10_train_loss", "log10_test_loss", "train_accuracy", "test_accuracy")


@dataclass(frozen=True)
class Failure:
    """Where a training went out of range.

    Parameters
    ----------
    seed : int
        Number of the seed.
    step : int
        The step whose loss is not finite; the parameters before it are the last good ones.
    layer : int
        The first layer in which something is not finite, in the direction of the signal.
    layer_name : str
        Name of that layer.
    direction : {"forward", "backward", "update", "loss"}
        Whether it is the signal on its way up, the gradient on its way down, the new parameters, or the loss alone.
    history : DataFrame
        Rows of that layer at the last finite steps, up to 20.
    unstable : str
        Where the learning rate times the recorded sharpness was above what gradient descent bears; empty elsewhere.
    """

    seed: int
    step: int
    layer: int
    layer_name: str
    direction: str
    history: pd.DataFrame = field(repr=False, compare=False)
    unstable: str = ""

    @property
    def status(self) -> str:
        """Return the failure in one line, as it stands in the frame."""
        what = {
            "forward": "the forward signal is not finite from",
            "backward": "the gradient is not finite from",
            "update": "the update made parameters that are not finite in",
            "loss": "the loss is not finite behind",
        }[self.direction]
        where = "the readout" if self.layer_name == "readout" else f"layer {self.layer}"
        return f"diverged at step {self.step}: {what} {where}" + (f"; {self.unstable}" if self.unstable else "")


@dataclass(frozen=True, repr=False)
class Training(Shown):
    """Trained networks, one for each seed, and what was recorded on the way. `gradlab.frame` makes the table.

    Parameters
    ----------
    traces : tuple of Trace
        Statistics of each recorded step, of the seeds that came so far.
    params : mapping of int to pytree
        Parameters of each seed behind its last step; where a training failed, the last good ones.
    losses : mapping of int to ndarray, shape (steps,)
        Loss of the minibatch of each step of each seed; NaN where a training stopped before.
    failures : tuple of Failure
        Of the seeds that went out of range.
    """

    traces: tuple[Trace, ...]
    params: Mapping[int, Any]
    losses: Mapping[int, np.ndarray]
    failures: tuple[Failure, ...] = ()

    def __iter__(self) -> Iterator[Trace]:
        """Iterate over the traces, so that a training is a record as others are."""
        return iter(self.traces)

    def __repr__(self) -> str:
        return self.summary().to_text()

    def summary(self) -> Summary:
        """Return the losses and the verdict of each recorded step, as a terminal and a notebook show them."""
        facts = [("failed", "; ".join(failure.status for failure in self.failures))]
        if not self.traces:
            return Summary("Training without a recorded step", facts)
        first = self.traces[0]
        facts = [
            ("network", repr(first.config)), ("data", f"{first.data}, {first.batch} examples, loss {first.loss}"),
            ("seeds", str(len(self.losses))), *facts,
        ]  # fmt: skip
        names = [name for name in _SHOWN if name in first.columns]
        judged = ["rate", "verdict"] if "log10_delta_rms" in first.columns else []
        rows = []
        for trace in self.traces:
            means = [number(float(np.mean(trace.columns[name][:, -1]))) for name in names]
            verdict = [number(trace.rate.value), str(trace.verdict)] if judged else []
            rows.append([str(trace.step), *means, *verdict])
        return Summary(f"Training of {max(self.steps)} steps", facts, ["step", *names, *judged], rows)

    @property
    def steps(self) -> tuple[int, ...]:
        """Return the recorded steps."""
        return tuple(trace.step for trace in self.traces)

    def last(self, column: str) -> np.ndarray:
        """Return a column of the last recorded step, seed by seed, of the readout: for what all layers share."""
        return self.traces[-1].columns[column][:, -1]
