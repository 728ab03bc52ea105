"""Errors and notes: one way to say what was expected, what was received and what to try."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable


class GradlabError(ValueError):
    """Raised when a request cannot be met; the message says what was expected, what was received and what to try.

    The command line prints the message alone, without a traceback, and exits with code 2.

    Parameters
    ----------
    expected, received, hint : str
        The three parts of the message. Empty parts are left out.
    """

    def __init__(self, expected: str, received: str = "", hint: str = ""):
        self.expected, self.received, self.hint = expected, received, hint
        parts = [f"expected {expected}"]
        if received:
            parts.append(f"received {received}")
        if hint:
            parts.append(f"try {hint}")
        super().__init__("; ".join(parts))

    def __reduce__(self):
        return type(self), (self.expected, self.received, self.hint)


class GradlabNote(UserWarning):
    """Warn that an input was read in one of several possible ways; the note says which."""


def note(text: str) -> None:
    """Note how an input was read. Python shows each note once, the command line on a line of its own."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "gradlab":
        level, frame = level + 1, frame.f_back  # the warning names the user's line, not one of gradlab
    warnings.warn(GradlabNote(text), stacklevel=level)


def nearest(name: object, names: Iterable[str], n: int = 3) -> list[str]:
    """Return the names most similar to `name`, best first."""
    return difflib.get_close_matches(str(name), list(names), n=n, cutoff=0.5)


def unknown(kind: str, name: object, names: Iterable[str], extra: str = "") -> GradlabError:
    """Make the error for an unknown name; it lists the nearest names, then all of them."""
    names = list(names)
    close = nearest(name, names)
    hint = " or ".join(repr(c) for c in close) if close else "one of them"
    if extra:
        hint += f", or {extra}"
    return GradlabError(f"{kind} to be one of {', '.join(names)}", repr(name), hint)
