"""Sentences of an experiment's page, with names in braces where numbers of its run belong."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gradlab._errors import GradlabError


@dataclass(frozen=True)
class Caption:
    """The caption of one figure, in the order in which it is read.

    Every part may have names in braces; ``{drawn}`` is what `gl.plots.caption` says of the figure.

    Parameters
    ----------
    see : str
        What there is to see, in one sentence. It stands in bold, and begins the alternative text.
    panels : mapping of str to str
        Letter of a panel -> what is in it, as a sentence. Empty for a figure of one panel.
    band : str
        What n is, which mean is drawn, what bands and bars are.
    setting : str
        The network, the data and the rest of the setting, once.
    """

    see: str
    panels: Mapping[str, str] = field(default_factory=dict)
    band: str = ""
    setting: str = ""

    def filled(self, numbers: Mapping[str, Any]) -> tuple[str, str]:
        """Return the first sentence, and all that follows it, with the numbers in their places."""
        panels = [f"({letter}) {text}" for letter, text in self.panels.items()]
        rest = " ".join(part for part in (*panels, self.band, self.setting) if part)
        see, rest = (" ".join(filled(text, numbers).split()) for text in (self.see, rest))
        return see, rest


@dataclass(frozen=True)
class Words:
    """The sentences of a page: no number is typed, each has a name in braces.

    Parameters
    ----------
    title, claim : str
        Plain text; markdown may stand in them.
    text : str
        Markdown: how to read it, and what does not follow.
    captions : mapping of str to Caption
        Name of each figure, in the order of the page -> its caption.
    fixed : sequence of (str, str)
        Each line or threshold of the claim, and when it was fixed: "before the run", or "after a look at …".
    case : str
        What one case of the finding is, such as "a row of the table".
    """

    title: str
    claim: str
    text: str
    captions: Mapping[str, Caption]
    fixed: tuple[tuple[str, str], ...] = ()
    case: str = ""

    def __post_init__(self):
        if not self.captions:
            raise GradlabError("a caption for each figure", "none", 'captions={"profiles": Caption("It falls.")}')
        for line, when in self.fixed:
            if not when.startswith(("before ", "after ")):
                wanted = f"when the line {line!r} was fixed"
                raise GradlabError(wanted, repr(when), '"before the run" or "after a look at two seeds"')

    def filled(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return title, claim, text, lines and case, with the numbers in their places."""
        texts: dict[str, Any] = {
            name: wrapped(filled(getattr(self, name), numbers)) for name in ("title", "claim", "text")
        }
        fixed = [[" ".join(filled(part, numbers).split()) for part in row] for row in self.fixed]
        return {**texts, "fixed": fixed, "case": filled(self.case, numbers)}


def filled(text: str, numbers: Mapping[str, Any]) -> str:
    """Return the text with a number in each pair of braces."""
    try:
        return text.format(**numbers)
    except (KeyError, IndexError) as error:
        wanted = f"a number for each name in braces, {', '.join(map(str, error.args))} too"
        raise GradlabError(wanted, ", ".join(numbers), "tell=, numbers= or setting=, which give them") from None


def wrapped(text: str) -> str:
    """Break paragraphs into lines of one length, whatever numbers came into them."""
    fill = functools.partial(textwrap.fill, width=119, break_long_words=False, break_on_hyphens=False)
    return "\n\n".join(map(fill, text.split("\n\n")))
