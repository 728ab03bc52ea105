"""What a diagnosis says: rules by stable codes, findings with their evidence, remedies with what became of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]

#: From mild to grave.
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")


class Rule(Enum):
    """The rules: the member is the code, which never changes, the value the sentence."""

    GL001 = "the gradient vanishes towards the input"
    GL002 = "the gradient explodes towards the input"
    GL003 = "the weights are too small: the signal shrinks from layer to layer"
    GL004 = "the weights are too large: the signal grows from layer to layer"
    GL005 = "units are saturated"
    GL006 = "units are dead on the whole batch"
    GL007 = "a layer is dead: no gradient passes it"
    GL008 = "all examples look alike to the deeper layers"
    GL009 = "gradients of similar examples have nothing in common (shattered)"
    GL010 = "numbers are lost in the working precision"
    GL011 = "a parameter does not reach the loss"
    GL012 = "a parameter is frozen by stop_gradient"
    GL013 = "a normalisation does not normalise"
    GL014 = "the update is out of proportion to the weight"
    GL015 = "attention logits are out of range"
    GL016 = "units are identical, and stay so"
    GL017 = "the gradient is noise"
    GL018 = "a value is not finite"
    GL019 = "the gradient is not the derivative of the loss"
    GL020 = "the end of the network or the scale of its inputs holds all layers back"
    GL021 = "the gradient is below the optimiser's epsilon"

    @property
    def kind(self) -> str:
        """Return the name by which code asks for it: ``init_too_small``."""
        return KINDS[self]


KINDS: dict[Rule, str] = {
    Rule.GL001: "vanishing",
    Rule.GL002: "exploding",
    Rule.GL003: "init_too_small",
    Rule.GL004: "init_too_large",
    Rule.GL005: "saturation",
    Rule.GL006: "dead",
    Rule.GL007: "dead_layer",
    Rule.GL008: "collapse",
    Rule.GL009: "shattered",
    Rule.GL010: "underflow",
    Rule.GL011: "disconnected",
    Rule.GL012: "frozen",
    Rule.GL013: "normalisation",
    Rule.GL014: "update_ratio",
    Rule.GL015: "attention_logits",
    Rule.GL016: "symmetric",
    Rule.GL017: "noise",
    Rule.GL018: "nonfinite",
    Rule.GL019: "wrong_gradient",
    Rule.GL020: "scale",
    Rule.GL021: "below_epsilon",
}


@dataclass(frozen=True)
class Outcome:
    """A number before a remedy, as theory predicts it after, and as it was measured after.

    Parameters
    ----------
    what : str
        The quantity: ``factor per layer of the delta``.
    before, predicted, after : float
        NaN where there is none.
    """

    what: str
    before: float
    predicted: float
    after: float


@dataclass(frozen=True)
class Remedy:
    """Something to change.

    Parameters
    ----------
    text : str
        What to do, in one sentence: ``multiply the weights by 12.5 (He)``.
    factor : float
        The number to multiply weights by, where it is that; else NaN.
    outcomes : tuple of Outcome
        Numbers before, predicted and after; without one after where it was not tried.
    not_tried : str
        Why it was not tried; empty where it was.
    change : str
        What it does to the parameters, by the name that `gradlab.diagnosis.trials` has for it; empty where it stands
        elsewhere than in the parameters.
    options : tuple of (str, Any)
        Of one of gradlab's networks the options that it changes, and their new values.
    """

    text: str
    factor: float = float("nan")
    outcomes: tuple[Outcome, ...] = ()
    not_tried: str = ""
    change: str = ""
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def tried(self) -> bool:
        """Return whether the change was made and measured."""
        return any(math.isfinite(outcome.after) for outcome in self.outcomes)


@dataclass(frozen=True)
class Finding:
    """Something that a rule found.

    Parameters
    ----------
    rule : Rule
        The rule that speaks.
    severity : {"info", "warning", "error"}
        An error keeps the model from learning, a warning may, an info is good to know.
    layers : tuple of str
        Names of the places or parameters, the user's own; the most affected first.
    evidence : str
        The measured numbers, in one or two sentences.
    value, line : float
        The number that was judged, and the line that it crossed; NaN where there is no number.
    remedies : tuple of Remedy
        The best first.
    """

    rule: Rule
    severity: Severity
    layers: tuple[str, ...]
    evidence: str
    value: float = float("nan")
    line: float = float("nan")
    remedies: tuple[Remedy, ...] = ()

    @property
    def kind(self) -> str:
        """Return the rule's name: ``vanishing``."""
        return self.rule.kind


@dataclass(frozen=True)
class Margin:
    """How far a rule was from speaking.

    Parameters
    ----------
    rule : Rule
        The rule that was asked.
    value, line : float
        The number nearest to the rule's line, and the line.
    layer : str
        Where.
    unit : str
        ``decades``, ``share``, ...
    silent : str
        Why the rule could not look; empty where it did.
    """

    rule: Rule
    value: float = float("nan")
    line: float = float("nan")
    layer: str = ""
    unit: str = ""
    silent: str = ""
