"""Why theory says nothing of something: a code for programs and a sentence for readers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why there is no prediction.

    Parameters
    ----------
    code : str
        The kind of reason, in a word or two.
    text : str
        The reason as a part of a sentence.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return self.text
