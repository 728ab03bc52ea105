"""Pages of experiments: one claim, judged by intervals, beside the figure and the table it was drawn from."""

from __future__ import annotations

import argparse
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from gradlab._errors import GradlabError
from gradlab._files import file_name, inside, path_from, writable, write_text
from gradlab.config import content_hash
from gradlab.reporting import tables, words
from gradlab.reporting.html import environment
from gradlab.sweep.provenance import backend, commit, versions

#: True, False, or None where an interval straddles the line.
Answer = bool | None


def below(low: float, high: float, line: float) -> Answer:
    """Whether a quantity lies below a line: its whole interval, none of it, or undecided."""
    if math.isnan(low) or math.isnan(high):
        return None
    return True if high < line else False if low >= line else None


def above(low: float, high: float, line: float) -> Answer:
    """Whether a quantity lies above a line: its whole interval, none of it, or undecided."""
    return below(-high, -low, -line)


def either(*answers: Answer) -> Answer:
    """Whether one of them is true; undecided where none is and one may be."""
    if True in answers:
        return True
    return None if None in answers else False


def both(*answers: Answer) -> Answer:
    """Whether all of them are true; undecided where none is false and one may be."""
    if False in answers:
        return False
    return None if None in answers else True


@dataclass(frozen=True)
class Finding:
    """What became of a claim.

    Parameters
    ----------
    outcome : {"held", "not held", "undecided"}
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
        """The finding on a claim that says something of every case.

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

    def __str__(self) -> str:
        text = f"{self.outcome}, in {words.counted(self.cases, 'case')}"
        if self.against:
            text += f"; false for {words.listed(self.against)}"
        if self.open:
            text += f"; the interval leaves open {words.listed(self.open)}"
        return text


def options(doc: str | None, script: str, name: str) -> argparse.Namespace:
    """The options that every experiment has: ``--quick`` and ``--out``, by default ``reports/NAME``.

    Parameters
    ----------
    doc, script : str
        ``__doc__`` and ``__file__`` of the script.
    name : str
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and small networks: seconds, another result")
    parser.add_argument("--out", type=Path, default=Path(script).resolve().parents[1] / "reports" / name)
    return parser.parse_args()


def publish(
    out: Path | str,
    *,
    name: str,
    title: str,
    claim: str,
    finding: Finding,
    figure: Any,
    caption: str,
    drawn: Mapping[str, pd.DataFrame],
    summary: pd.DataFrame,
    text: str,
    command: str,
    setting: Mapping[str, Any],
    formats: Sequence[str] = ("png", "svg"),
) -> Path:
    """Write the page of an experiment, its figure, the table it was drawn from and where they come from.

    Parameters
    ----------
    out : path
        The folder: ``README.md``, ``NAME.png``, ``NAME.svg``, tables, ``provenance.json``.
    name : str
        Of the figure.
    title, claim : str
        Plain text; markdown may stand in them.
    finding : Finding
    figure : Figure
    caption : str
        What n and the band are.
    drawn : mapping of str to DataFrame
        The tables that the figure was drawn from, by name.
    summary : DataFrame
        What the page shows.
    text : str
        Markdown: how to read it, and what does not follow.
    command : str
        What makes all this again.
    setting : mapping
        What was measured, for the provenance.
    formats : sequence of str
        Of the figure; the page shows the first.

    Returns
    -------
    Path
        The page.
    """
    from gradlab import plots

    out = path_from(out)
    for file in (name, *drawn):
        if file != file_name(file):
            raise GradlabError("the name of a file", repr(file), f"{file_name(file)!r}")
    about = {
        "command": command,
        "hash": content_hash(dict(setting)),
        "commit": commit(),
        "versions": versions(),
        "platform": {"system": platform.system(), "machine": platform.machine()},
        "backend": backend(),
        "setting": dict(setting),
        "finding": finding.outcome,
    }
    with writable(out):
        plots.save(figure, out / name, formats=tuple(formats), run_hash=about["hash"], command=command)
        for file, table in drawn.items():
            write_text(inside(out, f"{file}.csv"), table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
        write_text(out / "provenance.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")
        page = environment().get_template("experiment.md.j2")
        content = page.render(
            name=name, title=title, claim=claim, finding=finding, caption=caption, text=text, command=command,
            summary=tables.markdown(summary), formats=list(formats), setting=about["setting"],
            versions=about["versions"], files=[f"[{file}.csv]({file}.csv)" for file in drawn],
        )  # fmt: skip
        write_text(out / "README.md", content)
    return out / "README.md"
