"""Every case handed to `gl.diagnose`: what was said, whether it is right, and whether the layer is."""

from __future__ import annotations

import importlib
import multiprocessing
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import jax

import gradlab as gl
from experiments.corpus.case import CASES, SEVERITIES, Case, Model
from experiments.corpus.published import RULES, Signals, right

#: Modules with cases; each needs its framework.
MODULES = (
    "healthy_plain", "healthy_blocks", "broken_scale", "broken_units", "broken_range", "broken_wiring",
    "linen", "linen_sequences", "nnx", "equinox_cases", "haiku_cases", "gradlab_cases",
)  # fmt: skip
#: Some of each sort: of all frameworks, of most faults.
FEW = (
    "relu_he_5", "rezero", "converged_classifier", "linen_cnn_with_batch_norm", "haiku_lstm", "sigmoid_xavier_20",
    "relu_hundredth_10", "equinox_dead_layer", "nnx_module_he_doubled", "constant_weights", "root_behind_where",
    "layer_left_out",
)  # fmt: skip


def cases() -> dict[str, Case]:
    """All cases by name."""
    for module in MODULES:
        importlib.import_module(f"experiments.corpus.{module}")
    return CASES


@contextmanager
def as_users_have_it():
    """JAX's own defaults, whatever those of the process are: float32, and promotion of dtypes."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


def diagnosed(model: Model, **options: Any) -> Any:
    """What gradlab says of a model."""
    batch = model.batch if len(model.batch) > 1 else model.batch[0]
    return gl.diagnose(model.loss, model.params, batch, **model.options, **options)


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


def tried(names: Sequence[str], **options: Any) -> list[dict[str, Any]]:
    """A row for each case: what gradlab says, what published rules say of the same signals, and the seconds it took.

    Parameters
    ----------
    names : sequence of str
    options
        For `gl.diagnose`: ``trials=False`` takes half of the time, and finds no wrong derivative.
    """
    with as_users_have_it():
        return [_row_of(cases()[name], options) for name in names]


def _row_of(case: Case, options: dict[str, Any]) -> dict[str, Any]:
    model, start = case.build(), time.process_time()
    found = diagnosed(model, **options)
    seconds = time.process_time() - start
    signals = Signals.of(found.evidence)
    words = {tool: rule(signals) for tool, rule in RULES.items()}
    theirs = {tool: ", ".join(sorted(said)) or "silent" for tool, said in words.items()}
    theirs |= {f"{tool} right": right(said, case.kinds) for tool, said in words.items()}
    return {**row(case, found.findings), **theirs, "seconds": round(seconds, 1)}


def tried_in_processes(names: Sequence[str], workers: int = 2, share: int = 15) -> list[dict[str, Any]]:
    """The same in fresh processes of a few cases each: compiled programs hold memory, and none is used twice."""
    parts = [list(names[i : i + share]) for i in range(0, len(names), share)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1) as pool:
        return [found for part in pool.map(tried, parts) for found in part]
