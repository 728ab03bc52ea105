"""The status of a row of the frame: the one place that writes it, and the one that reads it.

A status is ``ok``, or what should be known of the row, the worst first: ``no gradient: frozen by stop_gradient``,
``gradient exactly 0; no weight moved``; or the failure of a network: ``MemoryError: …``, ``diverged at step 12: …``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """What a status says of a row that was measured. The value is how the column of the frame says it."""

    OK = "ok"
    NOT_FINITE = "not finite"
    NO_GRADIENT = "no gradient"
    ZERO = "gradient exactly 0"
    UNDERFLOW = "underflow"
    UNMOVED = "no weight moved"

    @property
    def whole(self) -> bool:
        """Return whether the numbers of the row are as they should be: what is absent or 0 is so for a reason."""
        return self is not Status.NOT_FINITE


def written(said: Mapping[Status, str]) -> str:
    """Write a status, the worst first, each with its details; ``ok`` where there is nothing to say.

    Parameters
    ----------
    said : mapping of Status to str
        Details, such as which of the layer's arrays; they may be empty, and hold no semicolon.
    """
    order = [status for status in Status if status in said]
    return "; ".join(f"{s}: {said[s]}" if said[s] else str(s) for s in order) or str(Status.OK)


def read(text: object) -> dict[Status, str]:
    """Return what a status says, with its details; nothing where it is the failure of a whole network."""
    said = {}
    for part in str(text).split("; "):
        name, _, details = part.partition(": ")
        if name not in set(Status):
            return {}
        said[Status(name)] = details
    return said


def is_whole(text: object) -> bool:
    """Return whether a row was measured as it should be, though its status may say what to know of it."""
    said = read(text)
    return bool(said) and all(status.whole for status in said)


def concerns(text: object, status: Status, quantity: str = "") -> bool:
    """Return whether a row is said to be so, and, where one is asked for, its ``value``, ``delta`` or ``gradient``."""
    details = read(text).get(status)
    return details is not None and (not quantity or re.search(rf"\b{quantity}\b", details) is not None)
