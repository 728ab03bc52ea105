"""Every case handed to `gl.diagnose`: what was said, whether it is right, and whether the layer is."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable
from typing import Any

import jax

import gradlab as gl
from experiments.corpus.case import CASES, SEVERITIES, Case, Model

#: Modules with cases; each needs its framework.
MODULES = (
    "healthy_plain", "healthy_blocks", "broken_scale", "broken_units", "broken_range", "broken_wiring",
    "linen", "linen_sequences", "nnx", "equinox_cases", "haiku_cases", "gradlab_cases",
)  # fmt: skip


def cases() -> dict[str, Case]:
    """All cases by name."""
    for module in MODULES:
        importlib.import_module(f"experiments.corpus.{module}")
    return CASES


def diagnosed(model: Model) -> Any:
    """What gradlab says of a model."""
    batch = model.batch if len(model.batch) > 1 else model.batch[0]
    return gl.diagnose(model.loss, model.params, batch, **model.options)


def row(case: Case, findings: Iterable[Any]) -> dict[str, Any]:
    """What was said of a case, and what is right in it."""
    findings = list(findings)
    kind, layer = case.found_in(findings)
    loud = [f for f in findings if SEVERITIES.index(f.severity) >= 1]
    said = dict.fromkeys(f.kind for f in (findings if case.severity == "info" else loud))
    first = next((f.layers[0] for f in findings if f.kind in case.kinds and f.layers), "")
    return {
        "case": case.name,
        "family": case.family,
        "truth": " | ".join(case.kinds) or "healthy",
        "said": ", ".join(said) or "healthy",
        "right": kind if case.kinds else not loud,
        "layer": first,
        "layer_right": layer if case.kinds else not loud,
    }


def tried(chosen: Iterable[Case]) -> list[dict[str, Any]]:
    """A row for each case, with the seconds that its diagnosis took."""
    rows = []
    for number, case in enumerate(chosen):
        model = case.build()
        start = time.process_time()
        found = diagnosed(model)
        rows.append({**row(case, found.findings), "seconds": time.process_time() - start})
        if number % 20 == 19:
            jax.clear_caches()  # compiled programs hold memory, and none is used twice
    return rows
