"""The bibliography of gradlab: ``references.bib``, one entry for each paper that it cites."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

#: Key of the entry of gradlab itself.
OWN = "gradlab"
_ENTRY = re.compile(r"^@(?P<kind>\w+)\{(?P<key>\w+),\n(?P<fields>(?:  \w+ = \{.*\},\n)+)\}$", re.MULTILINE)
_FIELD = re.compile(r"^  (\w+) = \{(.*)\},$", re.MULTILINE)
_ACCENTS = {r"{\"a}": "ä", r"{\'e}": "é", r"{\"e}": "ë", r"{\"o}": "ö", r"{\"u}": "ü"}
#: Where a paper appeared: the first of these fields that an entry has.
_PLACES = ("journal", "booktitle", "howpublished", "publisher", "institution", "school")


@dataclass(frozen=True)
class Reference:
    """Hold one entry of the bibliography.

    Parameters
    ----------
    key : str
        The first surname and the year in small letters, with a letter or a word where two entries have both in common.
    kind : str
        The kind of entry in BibTeX, such as ``article``.
    fields : mapping of str to str
        The fields as they stand in the file.
    """

    key: str
    kind: str
    fields: Mapping[str, str]

    @property
    def year(self) -> str:
        """Return the year of the paper."""
        return self.fields["year"]

    @property
    def letter(self) -> str:
        """Return the letter behind the year in a citation, as in ``He et al. 2016a``; empty where there is none."""
        match = re.search(r"\d{4}([a-z])$", self.key)
        return match[1] if match else ""

    @property
    def surnames(self) -> tuple[str, ...]:
        """Return the surnames of all authors."""
        return tuple(surname for surname, _ in self._authors())

    @property
    def title(self) -> str:
        """Return the title as plain text."""
        return _plain(self.fields["title"])

    @property
    def address(self) -> str:
        """Return a link to the paper, by its DOI or its number at arXiv; empty where neither is known."""
        if doi := self.fields.get("doi"):
            return f"https://doi.org/{doi}"
        return f"https://arxiv.org/abs/{eprint}" if (eprint := self.fields.get("eprint")) else ""

    def bibtex(self) -> str:
        """Write the entry for BibTeX."""
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])

    def markdown(self) -> str:
        """Write the entry as a line of Markdown: authors, title, place, year, link.

        Examples
        --------
        >>> print(bibliography()["hanin2018"].markdown())
        B. Hanin. Which neural net architectures give rise to exploding and vanishing gradients? *Advances in \
Neural Information Processing Systems* 31, 2018. [arXiv:1801.03744](https://arxiv.org/abs/1801.03744)
        """
        authors = [" ".join(part for part in (initials, surname) if part) for surname, initials in self._authors()]
        many = "et al." in authors[-1:]
        names = f"{', '.join(authors[:-1])} et al." if many else f"{_listed(authors)}."
        title = self.title if self.title.endswith("?") else f"{self.title}."
        place = next((f"*{_plain(self.fields[name])}*" for name in _PLACES if name in self.fields), "")
        series = [self.fields[name] for name in ("series", "volume") if name in self.fields]
        place += (f" ({' '.join(series)})" if "series" in self.fields else f" {series[0]}") if series else ""
        where = f"{place}, {self.year}." if place else f"{self.year}."
        link = f"[{self._number()}]({self.address})" if self.address else ""
        return " ".join(part for part in (names.replace("..", "."), title, where, link) if part)

    def _number(self) -> str:
        """Return the number by which a library finds the paper."""
        return f"doi:{self.fields['doi']}" if "doi" in self.fields else f"arXiv:{self.fields['eprint']}"

    def _authors(self) -> list[tuple[str, str]]:
        """Return surname and initials of each author; an institution has no initials."""
        authors = []
        for name in _plain(self.fields["author"], braces="{}").split(" and "):
            surname, _, first = name.partition(", ")
            initials = " ".join("-".join(f"{part[0]}." for part in word.split("-")) for word in first.split())
            authors.append(("et al.", "") if name == "others" else (surname.strip("{}"), initials))
        return authors


def _plain(text: str, braces: str = "") -> str:
    """Turn LaTeX into plain text: accents, dashes, and braces, which stay where `braces` names them."""
    for tex, letter in _ACCENTS.items():
        text = text.replace(tex, letter)
    text = text.replace("---", "—").replace("--", "–")
    return text if braces else re.sub(r"[{}]", "", text)


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} & {names[-1]}" if len(names) > 1 else names[0]


@functools.cache
def bibliography() -> Mapping[str, Reference]:
    """Return all entries by their keys, in the order of their years; gradlab's own entry is among them.

    Returns
    -------
    mapping of str to Reference
    """
    text = (resources.files("gradlab.reporting") / "references.bib").read_text(encoding="utf-8")
    entries = (
        Reference(match["key"], match["kind"], dict(_FIELD.findall(match["fields"]))) for match in _ENTRY.finditer(text)
    )
    return MappingProxyType({reference.key: reference for reference in entries})
