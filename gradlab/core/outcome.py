"""Outcomes of a comparison between a gradient and a witness."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What became of a comparison of one gradient with a witness. The value is how the table says it."""

    COMPARED = "compared"
    NOT_GIVEN = ""
    OUT_OF_RANGE = "jax.grad is out of range"
    LOST_DIGITS = "jax.grad lost digits; equals float64"
    ROUNDING = "zero but for rounding"
    CANCELLED = "its terms cancel"
    LOGITS = "the logits are out of range"
    BELOW_RESOLUTION = "below resolution"
    OUTSIDE = "outside the range"
