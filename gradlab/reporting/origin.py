"""Request and provenance of a run; entries in another form than gradlab's are left out, and named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from gradlab._text import code, fenced, is_hash, markdown
from gradlab.config import OWN, SWEEPS, Sweep
from gradlab.frames.files import Run
from gradlab.reporting import tables

#: What a request says of itself, in this order; the rest is named where it differs from its default.
_ALWAYS = (*OWN, "seeds", "batch", "data", "loss", "dtype")
#: Values of one coordinate that a page lists.
_MOST_VALUES = 30


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_commit(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{7,64}(-dirty)?", value) is not None


def _is_data(value: Any) -> bool:
    return isinstance(value, Mapping) and is_hash(value.get("content_hash")) and _is_text(value.get("name"))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(v, (str, int, float)) for v in value.values())


def _is_inputs(value: Any) -> bool:
    if not isinstance(value, Mapping) or not isinstance(squares := value.get("mean_squares"), list):
        return False
    numbers = all(isinstance(v, (int, float)) and 0 <= v < float("inf") for v in squares)
    features = value.get("features")
    return numbers and 0 < len(squares) <= 1000 and isinstance(features, int) and 0 < features <= 100_000


#: The form of each entry of a provenance that a page shows.
_FORMS: dict[str, Callable[[Any], bool]] = {
    "command": _is_text, "hash": is_hash, "commit": _is_commit, "backend": _is_text, "data": _is_data,
    "versions": _is_table, "inputs": _is_inputs,
}  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Request and provenance of one run, each entry in the form in which gradlab writes it.

    Parameters
    ----------
    name : str
        Of the run, where there are several.
    asked : mapping
        The request; empty where there is none.
    kind : type
        Of the sweep.
    noted : mapping
        Entries of the provenance.
    left_out : tuple of str
        Entries that had another form.
    """

    name: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    kind: type[Sweep] = Sweep
    noted: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, request: Any, provenance: Any) -> Origin:
        """Take the entries of a request and a provenance that have the right form."""
        given = request if isinstance(request, Mapping) else {}
        asked = given.get("request", given)
        task = given.get("task")
        task_name = task.get("name") if isinstance(task, Mapping) else None
        stored = provenance if isinstance(provenance, Mapping) else {}
        noted = {k: stored[k] for k, fits in _FORMS.items() if stored.get(k) is not None and fits(stored[k])}
        left_out = [k for k in _FORMS if stored.get(k) is not None and k not in noted]
        left_out += ["the request"] if not isinstance(asked, Mapping) else []
        return cls(
            name, asked if isinstance(asked, Mapping) else {}, SWEEPS.get(str(task_name), Sweep), noted, tuple(left_out)
        )

    @property
    def command(self) -> str:
        """Command that makes the run again; empty where it is not known."""
        return self.noted.get("command", "")

    @property
    def hash(self) -> str:
        """Hash of the run, hexadecimal; empty where it is not known."""
        return self.noted.get("hash", "")

    def request_table(self) -> str:
        """Write the request as a Markdown table."""
        defaults = {f: getattr(self.kind, f, None) for f in self.kind.__dataclass_fields__}
        rows = []
        for key in (*_ALWAYS, *(k for k in self.asked if k not in _ALWAYS)):
            value = self.asked.get(key)
            same = tuple(value) if isinstance(value, list) else value
            if value is not None and (key in _ALWAYS or same != defaults.get(key)):
                rows.append((key, _shown(value)))
        table = pd.DataFrame(rows, columns=["asked", "value"]).set_index("asked")
        if table.empty:
            return "The run has no record of its request."
        return (f"Run {markdown(self.name)}:\n\n" if self.name else "") + tables.markdown(table)

    def reproduction(self) -> str:
        """Write the command of the run and the versions it used, as Markdown."""
        noted = self.noted
        facts = [f"run {code(self.hash)}"] if self.hash else []
        if "data" in noted:
            facts.append(f"data {markdown(noted['data']['name'])} {code(noted['data']['content_hash'])}")
            labels = noted["data"].get("labels")
            if isinstance(labels, list) and all(map(_is_text, labels)):
                named = ", ".join(f"{markdown(name)} = {i}" for i, name in enumerate(labels))
                facts.append(f"classes {named}")
        if "commit" in noted:
            facts.append(f"commit {code(noted['commit'])}")
        facts += [f"{markdown(k)} {markdown(v)}" for k, v in noted.get("versions", {}).items()]
        if "backend" in noted:
            facts.append(f"computed on {markdown(noted['backend'])}")
        parts = [f"Run {markdown(self.name)}:"] if self.name else []
        if self.command:
            parts.append(fenced(self.command))
        parts.append(", ".join(facts) + "." if facts else "The run has no provenance.")
        if self.left_out:
            parts.append(f"Left out, because gradlab writes it in another form: {', '.join(self.left_out)}.")
        return "\n\n".join(parts)


def origins(run: Run) -> list[Origin]:
    """Return the origin of a run, or of each of several."""
    if not isinstance(run.path, Mapping):
        return [Origin.of("", run.request, run.provenance)]
    names = dict.fromkeys((*run.path, *run.request))
    return [Origin.of(name, run.request.get(name), run.provenance.get(name)) for name in names]


def _shown(value: Any) -> str:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return str(value)
    listed = ", ".join(str(v) for v in value[:_MOST_VALUES])
    return listed if len(value) <= _MOST_VALUES else f"{listed}, … ({len(value)} values)"
