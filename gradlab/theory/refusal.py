"""Why theory predicts nothing: a reason for programs, a sentence for readers, and what to try instead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Reason(Enum):
    """Why theory predicts nothing for a network. The value of each reason says what to try instead."""

    OTHER_NETWORK = "a plain fully connected network, or a law that the reason names"
    NOT_PREDICTED = "gl.predict_all with this network among the others"
    NOT_ASKED = "gl.predict_all(..., columns=None), which predicts every column"
    TRAINED = "the rows of step 0"
    OTHER_MEAN = "column='delta_log10_mean', or a batch of one"
    OTHER_MEAN_SQUARE = "column='log10_delta_rms', which is a mean square"
    ONE_EXAMPLE = "x with one example"
    SKIPS = "skip=True, or log10_delta_rms"
    ONE_LAYER = "two hidden layers or more"
    CORRELATED_EXAMPLES = "log10_per_example_grad_norm_rms, or a batch of one"
    ONE_VARIANCE_PER_LAYER = "the prediction without q="
    NO_PAIR = "x with two examples or more, or c0="
    MEASURED_VARIANCES = "the prediction without q="
    DEPENDENT_WEIGHTS = "an initialiser whose entries are drawn independently, such as 'xavier_normal'"
    UNEVEN_LAYERS = "one width for all layers"
    NO_FIXED_POINT = "gl.predict_all(..., frame=frame), which takes the variances that were measured"
    LARGE_TERM = "wider layers"


@dataclass(frozen=True)
class Refusal:
    """Say why there is no prediction.

    Parameters
    ----------
    reason : Reason
        The kind of reason, for programs.
    text : str
        The reason as a part of a sentence, for readers; it names what this network or this column is.
    """

    reason: Reason
    text: str

    @property
    def advice(self) -> str:
        """Say what to try instead."""
        return self.reason.value

    def __str__(self) -> str:
        return self.text
