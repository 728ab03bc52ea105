"""Judge a claim by intervals, case by case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gradlab._errors import GradlabError
from gradlab.reporting import words

#: True, False, or None where an interval straddles the line.
Answer = bool | None


def below(low: float, high: float, line: float) -> Answer:
    """Return whether a whole interval lies below a line; None where the line lies inside.

    Parameters
    ----------
    low, high : float
        The ends of the interval.
    line : float
        What it is compared with.
    """
    if math.isnan(low) or math.isnan(high):
        return None
    return True if high < line else False if low >= line else None


def above(low: float, high: float, line: float) -> Answer:
    """Return whether a whole interval lies above a line; None where the line lies inside.

    Parameters
    ----------
    low, high : float
        The ends of the interval.
    line : float
        What it is compared with.
    """
    return below(-high, -low, -line)


def margin(low: float, high: float, *lines: float) -> float:
    """Return how far an interval lies from the nearest of some lines, in half-widths beyond its end.

    It orders the rows of a table: those nearest to a line are what a claim turns on.

    Parameters
    ----------
    low, high : float
        The ends of the interval.
    *lines : float
        What it is compared with. Infinite ones are no lines.

    Returns
    -------
    float
        0 where the interval ends at the line, negative where the line lies inside, inf for an interval without width,
        and without a line; NaN where there is no interval.
    """
    half = (high - low) / 2
    beyond = min((abs((low + high) / 2 - line) - half for line in lines if math.isfinite(line)), default=math.inf)
    return beyond / half if half else math.copysign(math.inf, beyond)


def answered(answer: Answer) -> str:
    """Return ``true``, ``false``, or ``open`` where the line lies inside the interval, for a table."""
    return "open" if answer is None else str(bool(answer)).lower()


def either(*answers: Answer) -> Answer:
    """Return whether one answer is true; None where none is true and one may be."""
    if True in answers:
        return True
    return None if None in answers else False


def both(*answers: Answer) -> Answer:
    """Return whether all answers are true; None where none is false and one may be."""
    if False in answers:
        return False
    return None if None in answers else True


@dataclass(frozen=True)
class Finding:
    """The outcome of a claim.

    Parameters
    ----------
    outcome : {"held", "not held", "undecided"}
        What the cases say together: one that is false refutes the claim, one that is open leaves it undecided.
    cases : int
        Cases it was tried on.
    against : tuple of str
        Cases in which it is false.
    open : tuple of str
        Cases that their intervals leave undecided.
    """

    outcome: Literal["held", "not held", "undecided"]
    cases: int
    against: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    @classmethod
    def of(cls, answers: Mapping[str, Answer]) -> Finding:
        """Judge a claim by its answers: one false case refutes it, one open case leaves it undecided.

        Parameters
        ----------
        answers : mapping of str to bool or None
            Case in words -> whether the claim is true of it.
        """
        if not answers:
            raise GradlabError("at least one case to try the claim on", "none", "a larger grid")
        against = tuple(case for case, answer in answers.items() if answer is False)
        undecided = tuple(case for case, answer in answers.items() if answer is None)
        outcome = "not held" if against else "undecided" if undecided else "held"
        return cls(outcome, len(answers), against, undecided)

    @property
    def line(self) -> str:
        """Return the finding in a line of the page."""
        return f"**{self.outcome.capitalize()}**{str(self).removeprefix(self.outcome)}."

    def __str__(self) -> str:
        text = f"{self.outcome}, in {words.counted(self.cases, 'case')}"
        if self.against:
            text += f"; false for {words.listed(self.against)}"
        if self.open:
            text += f"; the interval leaves open {words.listed(self.open)}"
        return text
