"""What all trainings of a run have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradlab._types import MEASURED
from gradlab.config import ALL, TrainingSweep, record_steps
from gradlab.measurement.stats import NETWORK, ON_REQUEST, TRAINING
from gradlab.training.optax_optimizer import OptaxOptimizer


@dataclass(frozen=True)
class Plan:
    """How long a training is, and what is recorded of it.

    Parameters
    ----------
    steps, batch : int
        Updates, and examples in a minibatch.
    records : tuple of int
        Steps at which statistics are taken, ascending.
    loss, dtype : str
        Names of the loss and of the precision.
    key : int
        Base key of all seeds.
    columns : sequence of str, optional
        Columns to record. None: all.
    sharpness : bool
        Whether the sharpness is recorded.
    keep_going : bool
        Whether to go on when a loss is not finite.
    optimizer : OptaxOptimizer, optional
        Instead of one that a configuration names.
    full_batch : bool
        Whether each step sees all training examples, in their order: then `batch` is their number.
    """

    steps: int
    batch: int
    records: tuple[int, ...]
    loss: str
    dtype: str
    key: int
    columns: Sequence[str] | None = None
    sharpness: bool = False
    keep_going: bool = False
    optimizer: OptaxOptimizer | None = None
    full_batch: bool = False

    @classmethod
    def of(cls, sweep: TrainingSweep, examples: int) -> Plan:
        """Return the plan of a sweep's trainings, on so many training examples."""
        records = sweep.records if isinstance(sweep.records, tuple) else record_steps(sweep.records, sweep.steps)
        return cls(
            sweep.steps, examples if sweep.batch == ALL else sweep.batch, records, sweep.loss, sweep.dtype, sweep.key,
            sweep.columns, sweep.sharpness, sweep.on_failure == "continue", full_batch=sweep.batch == ALL,
        )  # fmt: skip

    @property
    def measured(self) -> tuple[str, ...]:
        """Return the columns that `gradlab.measure` takes at each record."""
        if self.columns is None:
            asked = (*TRAINING, *ON_REQUEST)
            return (*(c for c in MEASURED if c not in asked), "activation_p98_over_rms")  # for the activation bands
        return tuple(c for c in self.columns if c not in TRAINING) or NETWORK

    def keeps(self, column: str) -> bool:
        """Return whether a column is recorded."""
        return self.columns is None or column in self.columns or column in NETWORK
