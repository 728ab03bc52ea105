"""What was measured of a model: numbers for each place and each parameter, of one sample or of several."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gradlab._formats import FORMATS
from gradlab.diagnosis.sites import Coverage, Parameter, Place

#: Columns of a place. Signals are of the value that the site computes; a delta is the derivative of the loss, as it is
#: given, by this value. ``exact_`` columns are from a second look in float64, NaN where there was none.
PLACE_COLUMNS: dict[str, str] = {
    "log10_value_rms": "rms of the value's entries",
    "value_mean_over_rms": "mean of the value's entries over their rms",
    "log10_value_max": "largest absolute entry of the value",
    "value_zero_fraction": "share of the value's entries that are exactly 0",
    "value_not_finite": "entries of the value that are NaN or infinite",
    "log10_delta_rms": "rms of the delta's entries",
    "log10_delta_max": "largest absolute entry of the delta",
    "delta_zero_fraction": "share of the delta's entries that are exactly 0",
    "delta_not_finite": "entries of the delta that are NaN or infinite",
    "dead_fraction": "of an activation the share of units that are 0, or whose derivative is, on the whole batch",
    "saturated_fraction": "of an activation the share of entries within 1 % of the range of a limit",
    "log10_one_minus_c": "1 - c, c the mean correlation of the values of pairs of examples",
    "delta_cosine": "mean cosine of the deltas of pairs of examples",
    "exact_log10_value_rms": "log10_value_rms in float64",
    "exact_log10_delta_rms": "log10_delta_rms in float64",
    **{
        f"delta_lost_{name}": f"share of the delta's non-zero entries below the smallest number of {name}"
        for name in FORMATS
    },
}

#: Columns of a parameter.
PARAMETER_COLUMNS: dict[str, str] = {
    "log10_grad_norm": "Frobenius norm of the gradient",
    "log10_grad_max": "largest absolute entry of the gradient",
    "grad_zero_fraction": "share of the gradient's entries that are exactly 0",
    "grad_not_finite": "entries of the gradient that are NaN or infinite",
    "log10_weight_norm": "Frobenius norm of the parameter",
    "identical_fraction": "share of units whose weights and gradients are those of another unit, to the bit",
    "below_adam_fraction": "share of the gradient's entries below Adam's epsilon, 1e-8",
    "gradient_snr": "B |mean gradient|^2 over the trace of the covariance over examples, from parts of the batch",
    "log10_update_ratio": "norm of the optimiser's first update over that of the parameter; on request",
    "exact_log10_grad_norm": "log10_grad_norm in float64",
    **{
        f"grad_lost_{name}": f"share of the gradient's non-zero entries below the smallest number of {name}"
        for name in FORMATS
    },
}


@dataclass(frozen=True)
class Birth:
    """Where the first value that is not finite came from.

    Parameters
    ----------
    direction : {"input", "forward", "backward"}
        Whether it came in with the data, or was made on the way to the loss, or on the way back.
    primitive : str
        The operation that made it.
    place : str
        The name of the last place before it; empty before the first.
    source : str
        File and line of the user's code.
    what : {"nan", "inf"}
        What was made: NaN, or an infinite number.
    operands : tuple of str
        The range of each operand just before: ``[-3, 0]``.
    reaches : tuple of str
        What it reaches: ``loss``, or paths of parameters whose gradient it spoils.
    """

    direction: str
    primitive: str
    place: str
    source: str
    what: str
    operands: tuple[str, ...] = ()
    reaches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suspects:
    """What is looked at next where no layer is to blame.

    Parameters
    ----------
    slope : (float, float)
        The derivative of the loss along a random direction by finite differences, and by the gradient; NaN where the
        difference cannot be resolved.
    slope_error : float
        What of their difference rounding and curvature explain.
    steps : tuple of (float, float)
        Learning rates of plain gradient descent, and the drop of the loss after one step over the drop that the
        gradient promises: 1 where the loss is a straight line, negative where it rises.
    notes : tuple of str
        What was not examined, and why.
    """

    slope: tuple[float, float] = (np.nan, np.nan)
    slope_error: float = np.nan
    steps: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that rules judge.

    Parameters
    ----------
    places : tuple of Place
        In the order of the signal, from the input to the loss.
    parameters : tuple of Parameter
        In the order in which they first meet data.
    signals : dict of str to ndarray, shape (samples, places)
        By `PLACE_COLUMNS`; log10 columns hold -inf for a true zero, all hold NaN where nothing was measured.
    gradients : dict of str to ndarray, shape (samples, parameters)
        By `PARAMETER_COLUMNS`.
    losses, own_losses : ndarray, shape (samples,)
        The loss of the program that was read, and of the model as it is.
    coverage : Coverage
        What was seen of the model, and what was not.
    varied : str
        What differs from sample to sample: ``batches``, ``keys``, ``initialisations``; empty with one sample.
    births : tuple of Birth
        Empty where all is finite.
    suspects : Suspects or None
        Comparisons of the loss with what its gradient promises; None where they were not made.
    notes : tuple of str
        What was left out, and why: no second look for want of memory, and the like.
    """

    places: tuple[Place, ...]
    parameters: tuple[Parameter, ...]
    signals: dict[str, np.ndarray]
    gradients: dict[str, np.ndarray]
    losses: np.ndarray
    own_losses: np.ndarray
    coverage: Coverage
    varied: str = ""
    births: tuple[Birth, ...] = ()
    suspects: Suspects | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def samples(self) -> int:
        """Return how many samples there are."""
        return len(self.losses)

    def signal(self, column: str, exact: bool = True) -> np.ndarray:
        """Return a column of the places; with `exact` what the second look in float64 saw, where there was one."""
        return _column(self.signals, column, exact, (self.samples, len(self.places)))

    def gradient(self, column: str, exact: bool = True) -> np.ndarray:
        """Return a column of the parameters, likewise."""
        return _column(self.gradients, column, exact, (self.samples, len(self.parameters)))

    def replace(self, **changes: Any) -> Evidence:
        """Return the same with other fields."""
        return replace(self, **changes)


def _column(columns: dict[str, np.ndarray], name: str, exact: bool, shape: tuple[int, int]) -> np.ndarray:
    plain = columns.get(name, np.full(shape, np.nan))
    better = columns.get(f"exact_{name}") if exact else None
    return plain if better is None else np.where(np.isnan(better), plain, better)
