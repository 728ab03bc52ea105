"""What was known of a model before: only what is worse than that is news."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradlab._errors import GradlabError
from gradlab._files import LARGEST_TEXT, path_from
from gradlab._text import plain
from gradlab.diagnosis import words
from gradlab.diagnosis.findings import SEVERITIES, Finding, Rule

if TYPE_CHECKING:
    from gradlab.diagnosis.diagnosis import Diagnosis

#: A finding is worse where what is judged lies this many times as far beyond its line as it did, and by this share of
#: the line: what has only just crossed it is not worse for another draw.
FARTHER, _SHARE = 1.5, 0.25


@dataclass(frozen=True)
class Known:
    """A finding of the baseline."""

    severity: str
    layers: frozenset[str]
    beyond: float


@dataclass(frozen=True)
class Baseline:
    """Findings by rule, and what was seen.

    Parameters
    ----------
    findings : mapping of str to Known
        By the rule's code; several of one rule are one.
    verdict : bool
        Whether there was one.
    unseen : int
        Products that were not seen.
    """

    findings: Mapping[str, Known]
    verdict: bool
    unseen: int

    @classmethod
    def of(cls, source: Any) -> Baseline:
        """From what `Diagnosis.to_dict` gave, or from its JSON file. Nothing in it is obeyed."""
        name = "the baseline" if isinstance(source, Mapping) else str(source)
        stored = source if isinstance(source, Mapping) else _read(path_from(source, "baseline"))
        try:
            known: dict[str, Known] = {}
            for entry in stored["findings"]:
                rule, severity = Rule[entry["rule"]].name, entry["severity"]
                layers = frozenset(str(layer) for layer in entry["layers"])
                beyond = _beyond(_float(entry["value"]), _float(entry["line"]))
                SEVERITIES.index(severity)
                if (had := known.get(rule)) is not None:
                    severity = max(severity, had.severity, key=SEVERITIES.index)
                    layers, beyond = layers | had.layers, max(beyond, had.beyond)
                known[rule] = Known(severity, layers, beyond)
            coverage = stored["coverage"]
            unseen = int(coverage["products"]) - int(coverage["seen"])
            return cls(known, not stored["no_verdict"], unseen)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise GradlabError(
                f"{plain(name)} to be a diagnosis of gradlab", f"{type(error).__name__}: {plain(error)[:200]}",
                "gradlab diagnose FILE.py:FACTORY --json OLD.json",
            ) from error  # fmt: skip

    def worse(self, d: Diagnosis) -> list[str]:
        """In what a diagnosis is worse, a clause each; empty where in nothing. Notes are no news."""
        if d.no_verdict:
            return ["there is no verdict any more"] if self.verdict else []
        changes = []
        for finding in d.at_least("warning"):
            what, had = f"{finding.rule.name} {finding.kind}", self.findings.get(finding.rule.name)
            if had is None or had.severity == "info":
                changes.append(f"{what} is new")
                continue
            if SEVERITIES.index(finding.severity) > SEVERITIES.index(had.severity):
                changes.append(f"{what} is an {finding.severity} now" if finding.severity == "error" else what)
            elif more := [layer for layer in finding.layers if layer not in had.layers]:
                changes.append(f"{what} has reached {words.layers(more)}")
            elif _farther(finding, had):
                changes.append(f"{what} is at {words.number(finding.value)}, far beyond what it was")
        lost = d.coverage.products - d.coverage.seen - self.unseen
        if lost > 0:
            changes.append(f"{words.counted(lost, 'product')} cannot be seen any more")
        return changes


def _beyond(value: float, line: float) -> float:
    """Return how far beyond its line a value lies; NaN, which is never more, where there is no number."""
    return abs(value - line) if math.isfinite(line) else math.nan


def _farther(finding: Finding, had: Known) -> bool:
    beyond = _beyond(finding.value, finding.line)
    return beyond > FARTHER * had.beyond and beyond - had.beyond > _SHARE * abs(finding.line)


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)


def _read(path: Path) -> Any:
    try:
        if os.path.getsize(path) > LARGEST_TEXT:
            raise ValueError(f"more than {LARGEST_TEXT:,} bytes")
        stored = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(stored, dict):
            raise ValueError(f"a {type(stored).__name__}")
        return stored
    except OSError as error:
        why = "which is not there" if isinstance(error, FileNotFoundError) else str(error.strerror)
        raise GradlabError("a JSON file for the baseline", f"{str(path)!r}, {why}", "checking the path") from error
    except (ValueError, RecursionError) as error:
        raise GradlabError(
            f"{path} to be a diagnosis as JSON", plain(error)[:200], "gradlab diagnose … --json"
        ) from error
