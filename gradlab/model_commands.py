"""The commands for models that gradlab did not build: `diagnose`, and `inspect` for recordings."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradlab._errors import GradlabError, unknown
from gradlab._files import path_from, writable, write_text
from gradlab._text import plain
from gradlab.options import parse_options

if TYPE_CHECKING:
    from gradlab.diagnosis.baseline import Baseline
    from gradlab.diagnosis.diagnosis import Diagnosis

DIAGNOSE = """\
Judge a JAX model of your own: which layers starve or blow up, by what factor, why, and what to change.

FILE.py is run, as Python would run it. FACTORY is a function in it that takes nothing and returns loss_fn, params,
batch, or a dict with these three and more options of gl.diagnose, such as init.

examples:
  gradlab diagnose model.py:factory
  gradlab diagnose model.py:factory --repeats 8 --html diagnosis.html --json diagnosis.json
  gradlab diagnose model.py:factory --baseline diagnosis.json      (fails only where it is worse)
  gradlab diagnose model.py:factory --mute GL014 noise --out diagnosis

The exit code is 0 if the model is healthy, 1 if there are findings, 2 if the request cannot be met."""

INSPECT = """\
Judge a recording of a model in PyTorch, on an old JAX or on a pod, by the same rules as gradlab diagnose.

examples:
  gradlab inspect recorded.npz
  gradlab inspect first.npz second.npz --html inspected.html      (several batches: numbers have intervals)

Copy these lines, which need only NumPy; they write the file. Give the layers in order, from the input to the loss. Each
signal is a dict of arrays by layer: what the layer computes (value), the same behind its nonlinearity (activation), the
derivative of the loss by the value (delta), the weight, and the derivative of the loss by the weight (grad). Units are
the last axis.

{recorder}
The exit code is 0 if the model is healthy, 1 if there are findings, 2 if the request cannot be met."""

_PAGES: tuple[tuple[Any, ...], ...] = (
    ("mute", tuple[str, ...], (), "Rules to switch off, by code or kind: GL014, noise."),
    ("baseline", str | None, None, "JSON file of an earlier diagnosis: only what is worse than it fails."),
    ("json", str | None, None, "File for the diagnosis as JSON."),
    ("html", str | None, None, "File for the page as one self-contained HTML file."),
    ("out", str | None, None, "Folder for page, figure and JSON."),
    ("quiet", bool, False, "Whether to print only the verdict."),
)
DIAGNOSE_OPTIONS = (
    ("model", str, dataclasses.MISSING, "A Python file, which is run, and a function in it."),
    ("repeats", int | None, None, "Number of samples, each with another key or initialisation."),
    ("key", int | None, None, "Number from which everything random is drawn."),
    *_PAGES,
    ("cache", bool, True, "Whether to keep compiled programs in the user's folder for caches, for the next run."),
)
INSPECT_OPTIONS = (
    ("recorded", tuple[str, ...], dataclasses.MISSING, "Files of the recorder, one for each sample."),
    *_PAGES,
)


def diagnose(argv: list[str]) -> int:
    """Run ``gradlab diagnose FILE.py:FACTORY`` and return its exit code."""
    given, _ = parse_options("diagnose", DIAGNOSE, argv, None, DIAGNOSE_OPTIONS, {})
    known = _baseline(given)

    from gradlab.core.backend import require_backend
    from gradlab.core.cache import kept_programs
    from gradlab.diagnosis.diagnose import diagnose as judge
    from gradlab.diagnosis.factory import RETURNS, model_from, users_traceback

    require_backend()
    tell = lambda line: print(f"gradlab: {plain(line)}", file=sys.stderr)
    asked = {name: given[name] for name in ("repeats", "key") if given[name] is not None}
    asked |= {"mute": given["mute"]} if given["mute"] else {}
    try:
        with kept_programs(given["cache"]):
            arguments = model_from(given["model"], tell) | asked
            options = signature(judge).parameters
            for name in arguments:
                if name not in options:
                    raise unknown("an option of gl.diagnose", name, options)
            model = [arguments.pop(name) for name in RETURNS]
            diagnosis = judge(*model, **arguments)
    except GradlabError as error:
        if not (traceback := users_traceback(error)):
            raise
        print(f"gradlab: {plain(error)}\n{traceback}", file=sys.stderr, end="")
        return 2
    return _written(diagnosis, given, known)


def inspect(argv: list[str]) -> int:
    """Run ``gradlab inspect FILE.npz`` and return its exit code."""
    recorder = Path(__file__).parent / "diagnosis" / "recorder.py"
    description = INSPECT.format(
        recorder="\n".join(f"    {line}".rstrip() for line in recorder.read_text().splitlines())
    )
    given, _ = parse_options("inspect", description, argv, None, INSPECT_OPTIONS, {})
    known = _baseline(given)

    from gradlab.diagnosis.recording import inspect as judge

    return _written(judge(*given["recorded"], mute=given["mute"]), given, known)


def _baseline(given: Mapping[str, Any]) -> Baseline | None:
    """Read the baseline before anything is computed, and check the names of muted rules."""
    from gradlab.diagnosis.rules import rules_named

    rules_named(given["mute"])
    if given["baseline"] is None:
        return None
    from gradlab.diagnosis.baseline import Baseline

    return Baseline.of(given["baseline"])


def _written(diagnosis: Diagnosis, given: Mapping[str, Any], known: Baseline | None) -> int:
    """Print and write a diagnosis; return the exit code."""
    from gradlab.diagnosis import words

    print(words.headline(diagnosis) if given["quiet"] else diagnosis)
    made = []
    if given["out"]:
        made += _folder(diagnosis, path_from(given["out"]))
    if given["json"]:
        made.append(_json(diagnosis, path_from(given["json"], "json")))
    if given["html"]:
        path = path_from(given["html"], "html")
        write_text(path, diagnosis.to_html())
        made.append(path)
    for path in made:
        print(f"written: {path}")
    if known is None:
        return 0 if diagnosis.healthy else 1
    worse = known.worse(diagnosis)
    if worse:
        print(plain(f"worse than {given['baseline']}: {'; '.join(worse)}"))
        return 1
    print(plain(f"no worse than {given['baseline']}"))
    return 0


def _folder(diagnosis: Diagnosis, folder: Path) -> list[Path]:
    from gradlab.diagnosis.page import draw, markdown

    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    page = folder / "diagnosis.md"
    write_text(page, markdown(diagnosis, draw(diagnosis, folder)))
    return [page, _json(diagnosis, folder / "diagnosis.json")]


def _json(diagnosis: Diagnosis, path: Path) -> Path:
    write_text(path, json.dumps(diagnosis.to_dict(), indent=1, allow_nan=False) + "\n")
    return path
