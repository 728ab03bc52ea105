"""The commands for papers: `cite`, `compare` and `provenance`."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from gradlab._files import path_from, write_text
from gradlab.options import parse_options

CITE = """\
Print BibTeX: this version of gradlab, and the papers whose initialisers, layers, optimisers, data or theory a run used.

examples:
  gradlab cite runs/demo
  gradlab cite runs/demo --out references.bib"""

COMPARE = """\
Set two runs beside each other: rates and decades of the networks that both have, seed by seed, and what was changed.

examples:
  gradlab compare runs/he runs/xavier
  gradlab compare runs/he runs/xavier --out compared.md --figure compared.png"""

PROVENANCE = """\
Say what made a figure, and how to make it again: a PNG, PDF or SVG of a report, an experiment or plots.save.

examples:
  gradlab provenance runs/demo/figures/rates.png"""

CITE_OPTIONS: tuple[tuple[Any, ...], ...] = (
    ("run", str, dataclasses.MISSING, "Folder of a run."),
    ("out", str | None, None, "File for the BibTeX."),
)
COMPARE_OPTIONS: tuple[tuple[Any, ...], ...] = (
    ("before", str, dataclasses.MISSING, "Folder of the first run."),
    ("after", str, dataclasses.MISSING, "Folder of the second run."),
    ("level", float, 0.95, "Level of the intervals."),
    ("out", str | None, None, "File for the comparison as Markdown."),
    ("figure", str | None, None, "File (.png, .pdf, .svg) for the network whose decades differ most."),
)
PROVENANCE_OPTIONS: tuple[tuple[Any, ...], ...] = (("drawn", str, dataclasses.MISSING, "File of a figure."),)


def cite(argv: list[str]) -> int:
    """Run ``gradlab cite RUN`` and return its exit code."""
    given, _ = parse_options("cite", CITE, argv, None, CITE_OPTIONS, {})

    from gradlab.reporting.cite import cite as references_of

    references = references_of(given["run"])
    if given["out"] is None:
        print(references)
        return 0
    path = path_from(given["out"])
    write_text(path, f"{references}\n")
    print(f"{len(references.keys)} entries: {path}")
    return 0


def compare(argv: list[str]) -> int:
    """Run ``gradlab compare BEFORE AFTER`` and return its exit code."""
    given, _ = parse_options("compare", COMPARE, argv, None, COMPARE_OPTIONS, {})

    from gradlab.reporting.compare import compare as beside

    comparison = beside(given["before"], given["after"], level=given["level"])
    print(comparison)
    if given["out"] is not None:
        path = path_from(given["out"])
        write_text(path, comparison.markdown())
        print(f"written: {path}")
    if given["figure"] is not None:
        from gradlab import plots

        for path in plots.save(comparison.figure(), given["figure"], command=f"gradlab compare {shlex.join(argv)}"):
            print(f"written: {path}")
    return 0


def provenance(argv: list[str]) -> int:
    """Run ``gradlab provenance FIGURE`` and return its exit code."""
    given, _ = parse_options("provenance", PROVENANCE, argv, None, PROVENANCE_OPTIONS, {})

    from gradlab.plots.ground.provenance import provenance as made_by

    print(made_by(given["drawn"]))
    return 0
