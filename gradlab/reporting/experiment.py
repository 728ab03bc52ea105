"""Pages of experiments: the sentences of a script around the figures and the tables of its run."""

from __future__ import annotations

import argparse
import json
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gradlab._errors import GradlabError
from gradlab._files import file_name, path_from, read_text, writable, write_text
from gradlab._text import markdown
from gradlab.config import content_hash
from gradlab.reporting import tables
from gradlab.reporting.citations import cited_in
from gradlab.reporting.csv_tables import read_tables, write_tables
from gradlab.reporting.experiment_words import Words
from gradlab.reporting.findings import Finding
from gradlab.reporting.html import environment
from gradlab.reporting.references import bibliography
from gradlab.sweep.provenance import backend, commit, versions

#: The tables of a run, by name.
Tables = Mapping[str, pd.DataFrame]
#: Formats of every figure; the page shows the first.
FORMATS: tuple[str, ...] = ("png", "svg", "pdf")
#: Rows of a table that a page shows; of a longer one those nearest to a line of the claim, and the rest folded.
MOST_ROWS = 10
#: The column of a shown table that gives the order of its rows, and is not shown.
MARGIN = "margin"
_PROVENANCE = "provenance.json"
_SIGNED_ZERO = re.compile(r"(?<![\w.])[-−](?=0(?:\.0*)?(?![\d.e]))")


def _nothing(_: Tables) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Experiment:
    """A script's page: all that stands on it is made from the tables of a run, and can be made from them again.

    Parameters
    ----------
    name : str
        Of the script in ``experiments/``, without its ending.
    said : Words
        The sentences, with a caption for each figure.
    draw : callable
        Tables -> figures by name, the names of `said.captions`. It draws from nothing but the tables.
    show : callable
        Tables -> the table of the page. Where it has a column ``margin`` (see `gradlab.reporting.margin`), the rows
        nearest to a line of the claim stand first and the rest is folded; the column itself is not shown.
    tell : callable, optional
        Tables -> numbers that the sentences name.
    doc : str
        The docstring of the script. The page ends with the references of the papers that it and the sentences cite.
    """

    name: str
    said: Words
    draw: Callable[[Tables], Mapping[str, Any]]
    show: Callable[[Tables], pd.DataFrame]
    tell: Callable[[Tables], Mapping[str, Any]] = _nothing
    doc: str = ""

    def options(self, doc: str | None, script: str, folder: str = "") -> argparse.Namespace:
        """Read the command line: ``--quick``, ``--out``, and ``--words`` or ``--redraw``, which end the script here.

        Parameters
        ----------
        doc, script : str
            ``__doc__`` and ``__file__`` of the script.
        folder : str
            Of the page in ``reports/``. Empty: the experiment's name.

        Returns
        -------
        Namespace
            With `quick` and `out`.
        """
        parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--quick", action="store_true", help="few and small networks: seconds, another result")
        parser.add_argument("--words", action="store_true", help="only the sentences and the table of the page anew")
        parser.add_argument("--redraw", action="store_true", help="figures, sentences and table anew, nothing measured")
        default = Path(script).resolve().parents[1] / "reports" / (folder or self.name)
        parser.add_argument("--out", type=Path, default=default, help="folder of the page (%(default)s)")
        asked = parser.parse_args()
        if asked.words or asked.redraw:
            print(self.redraw(asked.out) if asked.redraw else self.reword(asked.out))
            raise SystemExit(0)
        return asked

    def publish(
        self, out: Path | str, measured: Tables, *, finding: Finding, setting: Mapping[str, Any],
        numbers: Mapping[str, Any] | None = None,
    ) -> Path:  # fmt: skip
        """Write the tables of a run, draw the figures from what was written, write the page, and say the finding.

        Parameters
        ----------
        out : path
            The folder: ``README.md``, each figure as PNG, SVG and PDF, each table as CSV, ``provenance.json``.
        measured : mapping of str to DataFrame
            All that the figures, the table of the page and the numbers of its sentences are made from.
        finding : Finding
            What became of the claim.
        setting : mapping
            What was measured. Sentences may name it; its hash stands in every figure.
        numbers : mapping, optional
            What sentences name and no table holds, such as the seconds that it took.

        Returns
        -------
        Path
            The page.
        """
        out = path_from(out)
        provenance = {
            "command": f"python experiments/{self.name}.py",
            "hash": content_hash(dict(setting)),
            "commit": commit(),
            "versions": versions(),
            "platform": {"system": platform.system(), "machine": platform.machine()},
            "backend": backend(),
            "setting": dict(setting),
            "numbers": dict(numbers or {}),
            "finding": {"outcome": finding.outcome, "line": finding.line},
            "tables": list(measured),
            "captions": {},
            "alts": {},
        }
        with writable(out):
            write_tables(out, measured)
            page = self._write(out, provenance, drawn=True)
        print(f"{finding}\n{page}")
        return page

    def redraw(self, out: Path | str) -> Path:
        """Draw the figures anew from the tables that a run wrote, and write the page around them.

        The tables and the finding stay as the run left them.

        Parameters
        ----------
        out : path
            The folder that `publish` wrote.

        Returns
        -------
        Path
            The page.

        Raises
        ------
        GradlabError
            No page of an experiment there, or sentences that name a number which nothing gives.
        """
        out = path_from(out)
        return self._write(out, _about(out), drawn=True)

    def reword(self, out: Path | str) -> Path:
        """Write the sentences and the table of the page anew; the figures too stay as they are.

        Parameters, result and errors are those of `redraw`.
        """
        out = path_from(out)
        return self._write(out, _about(out), drawn=False)

    def _write(self, out: Path, provenance: dict[str, Any], *, drawn: bool) -> Path:
        """Write figures, provenance and page from the tables that lie in the folder."""
        import matplotlib.pyplot as plt

        from gradlab import plots
        from gradlab.plots.ground.captions import attach, figure_of, sentences

        try:
            measured = read_tables(out, provenance["tables"])
        except (OSError, ValueError) as error:
            raise GradlabError("the tables of a run", f"{out}: {error}", "the script itself") from None
        numbers = provenance["numbers"] = {**provenance["numbers"], **self.tell(measured)}
        known = {**provenance["setting"], **numbers}
        texts = self.said.filled(known)
        if drawn:
            with plots.style("paper"):
                figures = self.draw(measured)
            _check_names(self.said.captions, figures)
            provenance["captions"] = {name: plots.caption(figure) for name, figure in figures.items()}
            provenance["alts"] = {name: plots.alt(figure) for name, figure in figures.items()}
        captions = {n: c.filled({**known, "drawn": provenance["captions"][n]}) for n, c in self.said.captions.items()}
        shown = self.show(measured)
        prose = [
            self.doc,
            *(texts[name] for name in ("title", "claim", "text")),
            *(w for c in captions.values() for w in c),
        ]
        cited = cited_in([*prose, *(word for row in texts["fixed"] for word in row)], bibliography())
        first, folded = _split(shown)
        with writable(out):
            for name in captions if drawn else ():
                attach(figure_of(figures[name]), sentences(captions[name]))  # it goes into the files, too
                with plots.style("paper"):
                    plots.save(figures[name], out / name, FORMATS, provenance["hash"], provenance["command"])
                plt.close(figure_of(figures[name]))
            origin = json.dumps(provenance, indent=2, ensure_ascii=False, default=lambda value: value.item())
            write_text(out / _PROVENANCE, origin + "\n")
            page = environment().get_template("experiment.md.j2").render(
                **texts, provenance=provenance, outcome=provenance["finding"]["line"], formats=FORMATS,
                figures=[
                    (name, see, rest, _alt(see, provenance["alts"][name])) for name, (see, rest) in captions.items()
                ],
                table=tables.markdown(first), folded=tables.markdown(folded), rows=len(first), more=len(folded),
                nearest=MARGIN in shown, references=[reference.markdown() for reference in cited],
            )  # fmt: skip
            write_text(out / "README.md", page)
        return out / "README.md"


def _check_names(captions: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    if set(captions) != set(figures) or any(name != file_name(name) for name in figures):
        wanted = f"a figure for each caption, under the name of a file: {', '.join(captions)}"
        raise GradlabError(wanted, ", ".join(figures), "the same names")


def _about(out: Path) -> dict[str, Any]:
    """Read the provenance of a page, in the form that `publish` writes."""
    try:
        provenance = json.loads(read_text(out, _PROVENANCE))
    except (OSError, ValueError) as error:
        raise GradlabError("a folder with the page of an experiment", f"{out}: {error}", "the script itself") from None
    needed = {"setting", "numbers", "finding", "tables", "captions"}
    if not isinstance(provenance, dict) or not needed <= set(provenance):
        received = f"{out}, which another version of the script wrote"
        raise GradlabError("a folder with the page of an experiment", received, "the script itself")
    return provenance


def _split(shown: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the rows into those that a page shows, nearest to a line first, and those that it folds."""
    cells = shown.drop(columns=MARGIN, errors="ignore").map(_unsigned_zero)
    if len(shown) <= MOST_ROWS:
        return cells, cells.iloc[:0]
    margins = shown[MARGIN] if MARGIN in shown else pd.Series(0.0, shown.index)
    near = margins.reset_index(drop=True).sort_values(kind="stable").index[:MOST_ROWS]
    return cells.iloc[near], cells.iloc[[i for i in range(len(shown)) if i not in set(near)]]


def _unsigned_zero(cell: Any) -> Any:
    """Take the sign from numbers in a text that are rounded to 0: ``-0.00``."""
    return _SIGNED_ZERO.sub("", cell) if isinstance(cell, str) else cell


def _alt(see: str, drawn: str) -> str:
    """Describe a figure for those who do not see it: the first sentence of its caption, and what is drawn."""
    return markdown(f"{see.replace('*', '')} {drawn}")
