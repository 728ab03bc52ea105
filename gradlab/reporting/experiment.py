"""Pages of experiments: the sentences of a script around the numbers, the figure and the tables of its run."""

from __future__ import annotations

import argparse
import functools
import json
import platform
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gradlab._errors import GradlabError
from gradlab._files import file_name, inside, path_from, writable, write_text
from gradlab.config import content_hash
from gradlab.reporting import tables
from gradlab.reporting.findings import Finding
from gradlab.reporting.html import environment
from gradlab.sweep.provenance import backend, commit, versions


@dataclass(frozen=True)
class Words:
    """What a page says, with names in braces where a number of the run belongs: none is typed.

    Parameters
    ----------
    title, claim : str
        Plain text; markdown may stand in them.
    text : str
        Markdown: how to read it, and what does not follow.
    caption : str
        What n and the band are.
    """

    title: str
    claim: str
    text: str
    caption: str

    def filled(self, numbers: Mapping[str, Any]) -> dict[str, str]:
        """All of them with the numbers in their places."""
        try:
            return {name: _wrapped(template.format(**numbers)) for name, template in vars(self).items()}
        except (KeyError, IndexError) as error:
            wanted = f"a number for each name in braces, {', '.join(map(str, error.args))} too"
            raise GradlabError(wanted, ", ".join(numbers), "numbers=, or the script without --words") from None


def _wrapped(text: str) -> str:
    """Paragraphs in lines of one length, whatever numbers came into them."""
    fill = functools.partial(textwrap.fill, width=119, break_long_words=False, break_on_hyphens=False)
    return "\n\n".join(map(fill, text.split("\n\n")))


def options(doc: str | None, script: str, name: str, said: Words) -> argparse.Namespace:
    """The options that every experiment has: ``--quick``, ``--words``, and ``--out``, by default ``reports/NAME``.

    With ``--words`` the page is written anew around what is there (`reword`), and the script ends here.

    Parameters
    ----------
    doc, script : str
        ``__doc__`` and ``__file__`` of the script.
    name : str
    said : Words
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and small networks: seconds, another result")
    parser.add_argument("--words", action="store_true", help="only the sentences anew: nothing is measured or judged")
    parser.add_argument("--out", type=Path, default=Path(script).resolve().parents[1] / "reports" / name)
    asked = parser.parse_args()
    if asked.words:
        print(reword(asked.out, said))
        raise SystemExit(0)
    return asked


def publish(
    out: Path | str,
    said: Words,
    *,
    name: str,
    finding: Finding,
    figure: Any,
    drawn: Mapping[str, pd.DataFrame],
    summary: pd.DataFrame,
    setting: Mapping[str, Any],
    numbers: Mapping[str, Any] | None = None,
    formats: Sequence[str] = ("png", "svg"),
) -> Path:
    """Write the page of an experiment, its figure, its tables and where they come from; and say the finding.

    Parameters
    ----------
    out : path
        The folder: ``README.md``, ``NAME.png``, ``NAME.svg``, tables, ``provenance.json``.
    said : Words
    name : str
        Of the figure, and of the script in ``experiments/``.
    finding : Finding
    figure : Figure
    drawn : mapping of str to DataFrame
        The tables that the figure was drawn from, by name.
    summary : DataFrame
        What the page shows.
    setting : mapping
        What was measured, for the provenance.
    numbers : mapping, optional
        What else the words name: kept in the provenance, so that sentences can be written anew.
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
    command = f"python experiments/{name}.py"
    about = {
        "command": command,
        "hash": content_hash(dict(setting)),
        "commit": commit(),
        "versions": versions(),
        "platform": {"system": platform.system(), "machine": platform.machine()},
        "backend": backend(),
        "setting": dict(setting),
        "numbers": dict(numbers or {}),
        "finding": finding.outcome,
    }
    texts = said.filled(_numbers(about))
    with writable(out):
        plots.save(figure, out / name, formats=tuple(formats), run_hash=about["hash"], command=command)
        for file, table in drawn.items():
            write_text(inside(out, f"{file}.csv"), table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
        write_text(out / "provenance.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")
        origin = environment().get_template("experiment_origin.md.j2").render(
            name=name, command=command, formats=list(formats), setting=about["setting"],
            versions=about["versions"], files=[f"[{file}.csv]({file}.csv)" for file in drawn],
        ).rstrip("\n")  # fmt: skip
        picture, summary = f"{name}.{formats[0]}", tables.markdown(summary)
        write_text(out / "README.md", _page(texts, finding.line, picture, summary, origin))
    print(f"{finding}\n{out / 'README.md'}")
    return out / "README.md"


def reword(out: Path | str, said: Words) -> Path:
    """Write the sentences of a page anew; its finding, figure and tables stay as the last run left them.

    Parameters
    ----------
    out : path
        The folder that `publish` wrote.
    said : Words

    Raises
    ------
    GradlabError
        No page of an experiment there, or words that name a number which its run did not keep.

    Returns
    -------
    Path
        The page.
    """
    out = path_from(out)
    try:
        about = json.loads((out / "provenance.json").read_text(encoding="utf-8"))
        page = (out / "README.md").read_text(encoding="utf-8")
        outcome = re.search(r"^\*\*(Held|Not held|Undecided)\*\*.*$", page, re.MULTILINE)[0]
        picture = re.search(r"^!\[.*\]\((.*)\)$", page, re.MULTILINE)[1]
        summary = re.search(r"(?:^\|.*\n)+", page, re.MULTILINE)[0].rstrip("\n")
        numbers = _numbers(about)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GradlabError("a folder with the page of an experiment", f"{out}: {error}", "the script itself") from None
    content = _page(said.filled(numbers), outcome, picture, summary, page[page.index(_ORIGIN) :].rstrip("\n"))
    with writable(out):
        write_text(out / "README.md", content)
    return out / "README.md"


#: Where the part of a page begins that says how it was made.
_ORIGIN = "## How to make it again"


def _numbers(about: Mapping[str, Any]) -> dict[str, Any]:
    """What words may name: the setting of a run, and the numbers that it kept for them."""
    return {**about["setting"], **about["numbers"]}


def _page(texts: Mapping[str, str], outcome: str, picture: str, summary: str, origin: str) -> str:
    page = environment().get_template("experiment.md.j2")
    return page.render(**texts, outcome=outcome, picture=picture, summary=summary, origin=origin)
