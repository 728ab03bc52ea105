"""The request of a folder in ``sweep.toml``, and whether a new request may continue it."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradlab._errors import GradlabError
from gradlab._types import SCHEMA_VERSION
from gradlab.config import SWEEPS, Sweep, content_hash
from gradlab.sweep.grid import as_values, differences, from_values, networks, same, to_toml
from gradlab.sweep.task import Task

#: Increased when the same request gives other numbers than before, or is cut into other units; parts of earlier
#: versions are recomputed.
RESULTS_VERSION = 5

#: Largest number of earlier requests in one folder.
MOST_EARLIER = 1000

HEADER = """\
# What was asked of this folder. gradlab wrote it and reads it back when the sweep is started again;
# [[earlier]] are the requests that [request] extended, oldest first.
"""


@dataclass(frozen=True)
class Request:
    """Hold a sweep together with everything else that its rows depend on.

    Parameters
    ----------
    sweep : Sweep
        The grid.
    data : mapping
        ``name`` and ``content_hash`` of the data; where the targets were text, also ``labels``, the names of classes
        0, 1, 2, ...
    settings : mapping
        Settings of the task.
    fingerprints : mapping
        Fingerprints from ``Task.key`` of all networks.
    earlier : tuple of Sweep
        The requests that `sweep` extended, oldest first.
    versions : mapping
        Versions of ``results`` and ``schema``.
    """

    sweep: Sweep
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    fingerprints: Mapping[str, str]
    earlier: tuple[Sweep, ...] = ()
    versions: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: {"results": RESULTS_VERSION, "schema": SCHEMA_VERSION}
    )

    @classmethod
    def of(cls, sweep: Sweep, data: Any, task: Task) -> Request:
        """Make the request for `sweep`, on loaded data, by a task."""
        prints: dict[str, str] = {}
        for config in networks(sweep):
            prints.update(task.key(config))
        described = {"name": data.name, "content_hash": data.content_hash}
        if data.labels:
            described["labels"] = list(data.labels)
        return cls(sweep, described, dict(task.settings), prints)

    @property
    def history(self) -> tuple[Sweep, ...]:
        """Return all requests, the present one last."""
        return (*self.earlier, self.sweep)

    @property
    def context(self) -> dict[str, Any]:
        """Return what enters every content hash, besides the network and its own fingerprints."""
        same_for_all = {name: getattr(self.sweep, name) for name in ("batch", "loss", "dtype", "key", "columns")}
        return {"task": dict(self.settings), "data": dict(self.data), "versions": dict(self.versions), **same_for_all}

    @property
    def hash(self) -> str:
        """Return the hash of the run: of the request, the content of the data, registered functions and versions."""
        return content_hash({"request": as_values(self.sweep), "fingerprints": dict(self.fingerprints), **self.context})

    def to_toml(self) -> str:
        """Write the text of ``sweep.toml``."""
        return HEADER + to_toml(
            {
                "versions": self.versions,
                "task": self.settings,
                "data": self.data,
                "fingerprints": self.fingerprints,
                "request": as_values(self.sweep),
                "earlier": [as_values(sweep) for sweep in self.earlier],
            }
        )

    @classmethod
    def from_toml(cls, text: str) -> Request:
        """Read the request that `to_toml` wrote; KeyError, TypeError or ValueError for any other text."""
        tables = tomllib.loads(text)
        _check_tables(tables)
        kind = SWEEPS.get(tables["task"]["name"], Sweep)  # a task of one's own runs on a plain grid
        return cls(
            sweep=from_values(tables["request"], kind), data=tables["data"], settings=tables["task"],
            fingerprints=tables["fingerprints"], versions=tables["versions"],
            earlier=tuple(from_values(values, kind) for values in tables["earlier"]),
        )  # fmt: skip

    def after(self, old: Request, folder: str) -> tuple[Request, list[str]]:
        """Return this request as the continuation of the one that `folder` holds.

        Returns
        -------
        request : Request
            This request, with the history of the folder.
        reasons : list of str
            Why parts that exist cannot be used any more.

        Raises
        ------
        GradlabError
            If this request is not the old one or an extension of its grid.
        """
        lines = differences(old.sweep, self.sweep)
        if self.settings != old.settings:
            lines.append(f"task {dict(self.settings)} instead of {dict(old.settings)}")
        if not lines and self.data != old.data:
            hashes = f"{self.data['content_hash']} instead of {old.data['content_hash']}"
            lines.append(f"data {self.data['name']} with other content ({hashes})")
        if lines:
            raise GradlabError(
                f"the request of {folder}/sweep.toml, or one that only extends its grid", "; ".join(lines),
                "out= another folder",
            )  # fmt: skip
        reasons = [
            f"{name} is not the function it was ({before} is now {self.fingerprints.get(name, 'built in')}): "
            "its networks are computed again"
            for name, before in old.fingerprints.items()
            if self.fingerprints.get(name) != before
        ]
        if self.versions != old.versions:
            reasons.append(f"versions {dict(old.versions)} are now {dict(self.versions)}: all is computed again")
        if same(old.sweep, self.sweep):
            return dataclasses.replace(self, sweep=old.sweep, earlier=old.earlier), reasons
        return dataclasses.replace(self, earlier=old.history), reasons


def _check_tables(tables: Mapping[str, Any]) -> None:
    """Raise `TypeError` where a table of ``sweep.toml`` has another form than `Request.to_toml` gives it."""
    kinds = {"versions": int, "data": (str, list), "fingerprints": str, "task": object, "request": object}
    for name, kind in kinds.items():
        table = tables[name]
        if not isinstance(table, dict) or not all(isinstance(value, kind) for value in table.values()):
            raise TypeError(f"[{name}] of another form")
    if not {"name", "content_hash"} <= tables["data"].keys():
        raise TypeError("[data] without name and content_hash")
    earlier = tables["earlier"]
    if not isinstance(earlier, list) or len(earlier) > MOST_EARLIER or not all(isinstance(e, dict) for e in earlier):
        raise TypeError(f"[[earlier]] of another form, or more than {MOST_EARLIER}")
    for values in (tables["request"], *earlier):
        if not all(isinstance(values.get(name, ""), str) for name in ("data", "target")):
            raise TypeError("[request] with data of another form")
