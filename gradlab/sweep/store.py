"""Where the rows of a sweep are kept: a folder that survives being killed, or memory.

Under its own name a file is whole or absent. Damage that comes later is found by checksums when it is read, and
links in the folder are not followed out of it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from gradlab._errors import GradlabError
from gradlab._files import TEMPORARY, inside, path_from, read_text, replacing, writable, write_text
from gradlab._types import SCHEMA_VERSION
from gradlab.frames.files import RunFolder, noted, read
from gradlab.frames.selection import select
from gradlab.sweep.assembly import Assembly
from gradlab.sweep.lock import Lock
from gradlab.sweep.parts import Damaged, Outline, decoded, outline, part_table, read_outline, read_part, write_part
from gradlab.sweep.plan import Unit
from gradlab.sweep.request import Request
from gradlab.sweep.shard import Shard


class MemoryStore:
    """Keeps parts for as long as the process lives."""

    def __init__(self):
        self._tables: dict[str, pa.Table] = {}
        self.folder: Path | None = None

    def check(self) -> None:
        """Whether the place can be used at all."""

    def open(self) -> None:
        """Make ready to write."""

    def close(self) -> None:
        """Let others write."""

    def take_alone(self) -> bool:
        """Whether nobody else writes."""
        return True

    def recorded(self) -> Request | None:
        """The request that was recorded last."""
        return None

    def record(self, request: Request) -> None:
        """Keep the request."""

    def provenance(self) -> dict[str, Any]:
        """What was noted of earlier sessions."""
        return {}

    def note_provenance(self, provenance: dict[str, Any]) -> None:
        """Keep notes on how the rows came to be."""

    def has(self, unit: Unit) -> bool:
        """Whether there is something in the place of a unit's part."""
        return unit.name in self._tables

    def outline(self, unit: Unit) -> Outline:
        """What a part says of its rows; raises `Damaged` where it is not the part of this unit."""
        return outline(self._tables[unit.name], unit)

    def read(self, unit: Unit) -> pa.Table:
        """The rows of a part; raises `Damaged` where they are not what was written."""
        return self._tables[unit.name]

    def write(self, unit: Unit, frames: Sequence[pd.DataFrame]) -> None:
        """Keep the rows of a unit."""
        self._tables[unit.name] = part_table(frames, unit)

    def finish(self, assembly: Assembly, note: Mapping[str, Any]) -> None:
        """Put the frame of the whole sweep together."""
        self._frame = in_memory(assembly, note)

    def frame(self, columns: Sequence[str] | None) -> pd.DataFrame:
        """The frame of the whole sweep, or some columns of it."""
        return self._frame if columns is None else self._frame[list(columns)]


class FolderStore:
    """Keeps parts in ``OUT/parts``: for one process at a time, or for the shards of a sweep together.

    Parameters
    ----------
    out : path
        The folder; it is made where it does not exist.
    note : callable
        Takes lines for the user.
    shard : Shard, optional
        Shares the folder with other shards, each of which writes parts and notes of its own.
    """

    def __init__(self, out: str | os.PathLike[str], note: Callable[[str], None], shard: Shard | None = None):
        self.out, self.note, self.shard = path_from(out), note, shard
        self.folder: Path | None = self.out
        self._read: tuple[str, Request] | None = None
        self.parts, self.request = self.out / RunFolder.PARTS, self.out / RunFolder.REQUEST
        self._locks: list[Lock] = []

    def check(self) -> None:
        """Refuse a folder that belongs to something else."""
        with writable(self.out):
            if not self.out.exists() or self.request.exists():
                return
            if not self.out.is_dir():
                raise GradlabError("out= to be a folder", f"{self.out}, which is a file", "another name")
            names = [p.name for p in self.out.iterdir() if not p.name.startswith(RunFolder.LOCK)]
            # a first moment that was killed leaves the beginning of a request
            foreign = sorted(n for n in names if not (n.startswith(f"{RunFolder.REQUEST}.") and n.endswith(TEMPORARY)))
        if foreign:
            raise GradlabError(
                "out= to be a new folder or that of a sweep",
                f"{self.out} without {RunFolder.REQUEST}, with {', '.join(foreign[:3])}", "out= another folder",
            )  # fmt: skip

    def open(self) -> None:
        """Take the folder for this process, or for this shard among others."""
        self.recorded()
        with writable(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            self._locks.append(Lock(inside(self.out, RunFolder.LOCK), self.note, shared=self.shard is not None))
            if self.shard is not None:
                name = RunFolder.SHARD_LOCK.format(self.shard.number, self.shard.count)
                self._locks.append(Lock(inside(self.out, name), self.note))

    def close(self) -> None:
        """Let other processes have the folder."""
        while self._locks:
            self._locks.pop().close()

    def take_alone(self, seconds: float = 10.0) -> bool:
        """Whether this shard has the folder for itself now, to put the run together; no other shard runs then."""
        end = time.monotonic() + seconds
        self.close()  # two shards that end at once would wait for each other
        while True:
            try:
                self._locks.append(Lock(inside(self.out, RunFolder.LOCK), self.note))
            except GradlabError:
                if time.monotonic() > end:
                    return False
                time.sleep(0.1)
            else:
                self.shard = None
                return True

    def recorded(self) -> Request | None:
        """The request in ``sweep.toml``, None in a new folder."""
        if not self.request.exists():
            return None
        try:
            text = read_text(self.out, RunFolder.REQUEST)
            if self._read is None or self._read[0] != text:  # a large grid takes seconds to be listed
                self._read = text, Request.from_toml(text)
            return self._read[1]
        except GradlabError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, OSError, RecursionError) as error:
            raise GradlabError(
                f"{self.request} as this version of gradlab writes it", f"{type(error).__name__}: {error}",
                "out= another folder",
            ) from error  # fmt: skip

    def record(self, request: Request) -> None:
        """Write ``sweep.toml``, where it changed, and sweep out what a killed process left half written."""
        text = request.to_toml()
        if not self.request.exists() or read_text(self.out, RunFolder.REQUEST) != text:
            write_text(self.request, text)
        with writable(self.parts):
            inside(self.out, self.parts.name).mkdir(exist_ok=True)
            if self.shard is not None:  # what is half written may be another shard's
                return
            left = [file for name in RunFolder.FILES for file in self.out.glob(f"{name}*{TEMPORARY}")]
            for file in (*left, *self.parts.glob(f"*.parquet*{TEMPORARY}")):
                file.unlink()

    def provenance(self) -> dict[str, Any]:
        """What ``provenance.json`` holds, or the note of this shard; nothing where it is absent or unreadable.

        The whole run's has the sessions of all shards, which have ended when it is read.
        """
        note = self._note(self._notes)
        if self.shard is None:
            shards = [self._note(path.name) for path in self._shard_notes()]
            sessions = [s for each in (note, *shards) for s in _sessions(each)]
            note = note | {"sessions": sessions} if shards else note
        return note

    def note_provenance(self, provenance: dict[str, Any]) -> None:
        """Write ``provenance.json``, or the note of this shard."""
        write_text(self.out / self._notes, json.dumps(provenance, indent=2) + "\n")
        if self.shard is None:
            for path in self._shard_notes():  # they are in it now
                path.unlink(missing_ok=True)

    @property
    def _notes(self) -> str:
        shard = self.shard
        return RunFolder.PROVENANCE if shard is None else RunFolder.SHARD.format(shard.number, shard.count)

    def _shard_notes(self) -> list[Path]:
        return sorted(self.out.glob(RunFolder.SHARD.format("*", "*")))

    def _note(self, name: str) -> dict[str, Any]:
        try:
            values = json.loads(read_text(self.out, name))
        except (OSError, ValueError, RecursionError):
            return {}
        return values if isinstance(values, dict) else {}

    def has(self, unit: Unit) -> bool:
        """Whether there is a file in the place of a unit's part."""
        return os.path.lexists(self.parts / unit.name)

    def outline(self, unit: Unit) -> Outline:
        """What a part says of its rows; raises `Damaged` where it is not the part of this unit."""
        return read_outline(self._part(unit), unit)

    def read(self, unit: Unit) -> pa.Table:
        """The rows of a part, checksums verified; raises `Damaged`."""
        return read_part(self._part(unit), unit)

    def _part(self, unit: Unit) -> Path:
        try:
            return inside(self.out, self.parts.name, unit.name)
        except GradlabError as error:
            raise Damaged(str(error)) from error

    def write(self, unit: Unit, frames: Sequence[pd.DataFrame]) -> None:
        """Write the part of a unit; it exists under its name only when it is whole and on the disk."""
        table = part_table(frames, unit)
        with replacing(self.parts / unit.name) as temporary, open(temporary, "wb") as file:
            write_part(table, file)

    def finish(self, assembly: Assembly, note: Mapping[str, Any]) -> None:
        """Write ``frame.parquet`` and ``frame.csv``, batch by batch."""
        schema = noted(assembly.schema, assembly.rows, {**note, "schema_version": SCHEMA_VERSION})
        with replacing(self.out / RunFolder.TABLE) as text, replacing(self.out / RunFolder.FRAME) as whole:
            write_batches(assembly, schema, whole, text)

    def frame(self, columns: Sequence[str] | None) -> pd.DataFrame:
        """The frame of the whole sweep, or some columns of it."""
        return read(self.out / RunFolder.FRAME) if columns is None else select(self.out, columns, None)


def write_batches(assembly: Assembly, schema: pa.Schema, whole: Path, text: Path) -> None:
    """Write the rows of a run to a file of Parquet and to one of CSV."""
    plain = pa.schema([(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in schema])
    with (
        open(whole, "wb") as file,
        open(text, "wb") as lines,
        pq.ParquetWriter(file, schema, write_page_checksum=True) as frame,
        pyarrow.csv.CSVWriter(lines, plain) as table,
    ):
        for batch in assembly.batches():
            one = pa.Table.from_batches([batch])
            frame.write_table(one.replace_schema_metadata(schema.metadata))
            table.write_table(decoded(one))


def in_memory(assembly: Assembly, note: Mapping[str, Any], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the rows of a run as a frame, or some columns of it."""
    schema = assembly.schema
    names = schema.names if columns is None else [name for name in columns if name in schema.names]
    batches = [batch.select(names) for batch in assembly.batches()]
    table = pa.Table.from_batches(batches, pa.schema([schema.field(name) for name in names]))
    frame = table.replace_schema_metadata(schema.metadata).to_pandas()
    frame.attrs = {**note, "schema": SCHEMA_VERSION}
    return frame


def _sessions(note: dict[str, Any]) -> list[Any]:
    """The sessions in a note of how rows came to be; none where it has another form."""
    sessions = note.get("sessions")
    return sessions if isinstance(sessions, list) else []
