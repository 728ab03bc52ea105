"""A diagnosis as JSON can hold it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import gradlab
from gradlab.diagnosis.findings import Finding, Margin, Remedy
from gradlab.diagnosis.layers import columns, layer_rows, marks, statuses
from gradlab.diagnosis.words import not_examined, silent_rules

if TYPE_CHECKING:
    from gradlab.diagnosis.diagnosis import Diagnosis

#: Version of the keys.
SCHEMA = 1


def to_dict(d: Diagnosis) -> dict[str, Any]:
    """Plain numbers, texts, lists and dicts; what JSON has no number for is text (``"-inf"``), or null."""
    rows = layer_rows(d.evidence)
    values_of, marked, notes = columns(d.evidence, rows), marks(d, rows), statuses(d.evidence, rows)
    layers = [
        {
            "name": row.name, "findings": [f.rule.name for f in marked[i]],
            "status": next((str(s) for s in notes[:, i] if s != "ok"), "ok"),
            **{name: _number(values[:, i].mean()) for name, values in values_of.items()},
        }
        for i, row in enumerate(rows)
    ]  # fmt: skip
    suspects = d.evidence.suspects
    return {
        "gradlab": gradlab.__version__, "schema": SCHEMA, "name": d.name, "healthy": d.healthy,
        "no_verdict": d.no_verdict, "samples": d.evidence.samples, "varied": d.evidence.varied,
        "coverage": {
            "seen": d.coverage.seen, "products": d.coverage.products, "taps": d.coverage.taps,
            "unseen": [dict(vars(place)) for place in d.coverage.unseen],
        },
        "losses": [_number(v) for v in d.evidence.losses],
        "findings": [_finding(f) for f in d.findings], "margins": [_margin(m) for m in silent_rules(d)],
        "layers": layers,
        "suspects": None if suspects is None else {
            "slope": [_number(v) for v in suspects.slope], "slope_error": _number(suspects.slope_error),
            "steps": [[_number(v) for v in step] for step in suspects.steps],
        },
        "not_examined": not_examined(d), "seconds": {name: _number(s) for name, s in d.seconds.items()},
    }  # fmt: skip


def _number(value: Any) -> float | str | None:
    value = float(value)
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule.name, "kind": finding.kind, "severity": finding.severity, "layers": list(finding.layers),
        "evidence": finding.evidence, "value": _number(finding.value), "line": _number(finding.line),
        "remedies": [_remedy(remedy) for remedy in finding.remedies],
    }  # fmt: skip


def _remedy(remedy: Remedy) -> dict[str, Any]:
    outcomes = [
        {"what": o.what, "before": _number(o.before), "predicted": _number(o.predicted), "after": _number(o.after)}
        for o in remedy.outcomes
    ]
    return {
        "text": remedy.text, "factor": _number(remedy.factor), "tried": remedy.tried, "outcomes": outcomes,
        "not_tried": remedy.not_tried, "options": dict(remedy.options),
    }  # fmt: skip


def _margin(margin: Margin) -> dict[str, Any]:
    return {
        "rule": margin.rule.name, "kind": margin.rule.kind, "value": _number(margin.value),
        "line": _number(margin.line), "layer": margin.layer, "unit": margin.unit, "silent": margin.silent,
    }  # fmt: skip
