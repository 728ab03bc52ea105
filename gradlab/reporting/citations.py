"""Find citations such as ``He et al. 2015`` in a text, and the entry of the bibliography that each one means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gradlab._errors import GradlabError
from gradlab.reporting.references import Reference

#: A surname: a capital letter, and letters, hyphens and apostrophes behind it. Ben Braiek has two words.
_NAME = r"(?:Ben )?[A-ZÄÖÜÉ][a-zA-Zà-öø-ÿ'’-]*[a-zà-öø-ÿ]"
_AUTHORS = rf"(?P<names>{_NAME}(?:(?:,\s+{_NAME})*\s+&\s+{_NAME})?)(?P<others>\s+et\s+al\.)?"
_CITATION = re.compile(rf"(?<![\w'’-]){_AUTHORS}\s+\(?(?P<year>(?:19|20)\d\d[a-z]?)(?![\w-])")
#: Words with a capital letter that stand before a number of four digits, and are no surnames.
_NO_NAMES = frozenset(
    ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
     "December", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Above", "After", "At", "Before", "By", "For", "From",
     "In", "Only", "Since", "The", "Until", "With")
)  # fmt: skip


@dataclass(frozen=True)
class Citation:
    """Hold one citation in a text.

    Parameters
    ----------
    names : tuple of str
        The surnames that it gives.
    others : bool
        Whether "et al." stands for more authors.
    year : str
        Four digits, with a letter where two papers of one author and year are cited.
    """

    names: tuple[str, ...]
    others: bool
    year: str

    def __str__(self) -> str:
        *first, last = self.names
        names = f"{', '.join(first)} & {last}" if first else last
        return f"{names}{' et al.' if self.others else ''} {self.year}"

    def means(self, reference: Reference) -> bool:
        """Say whether the citation can mean an entry: its year, and all its surnames or the first of three or more."""
        surnames = reference.surnames
        if self.year != reference.year + reference.letter:
            return False
        return surnames[0] == self.names[0] and len(surnames) > 2 if self.others else surnames == self.names


def citations(text: str) -> list[Citation]:
    """List the citations of a text in their order, each once.

    Parameters
    ----------
    text : str
        Prose. A citation may be broken over two lines.

    Examples
    --------
    >>> print(*citations("After Cho & Saul 2009; Xiao et al. (2018), and Hanin 2018."), sep="; ")
    Cho & Saul 2009; Xiao et al. 2018; Hanin 2018
    """
    cited = (
        Citation(tuple(re.split(r",\s+|\s+&\s+", match["names"])), bool(match["others"]), match["year"])
        for match in _CITATION.finditer(text)
    )
    return list(dict.fromkeys(c for c in cited if c.others or c.names[0] not in _NO_NAMES))


def resolve(citation: Citation, bibliography: Mapping[str, Reference]) -> Reference:
    """Return the entry that a citation means.

    Parameters
    ----------
    citation : Citation
        From `citations`.
    bibliography : mapping of str to Reference
        From `gradlab.reporting.references.bibliography`.

    Raises
    ------
    GradlabError
        If no entry fits, or several do.
    """
    fitting = [reference for reference in bibliography.values() if citation.means(reference)]
    if len(fitting) != 1:
        received = f"{len(fitting)} for {citation}" if fitting else f"none for {citation}"
        raise GradlabError("one entry of references.bib", received, "all surnames, joined by & in place of et al.")
    return fitting[0]


def cited_in(texts: Iterable[str], bibliography: Mapping[str, Reference]) -> list[Reference]:
    """Return the entries that texts cite, in the order of the bibliography; what it does not have is left out."""
    cited = {citation for text in texts for citation in citations(text)}
    return [reference for reference in bibliography.values() if any(c.means(reference) for c in cited)]
