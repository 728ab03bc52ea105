"""Keep the rows of a sweep: in memory, or in a folder whose files stay whole when the process is killed.

A file is written under a temporary name, so under its final name it is whole or absent. Damage that comes later is
found by checksums when the file is read. Links that lead out of the folder are not followed.
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
    """Keep parts in memory. The methods are those of `FolderStore`."""

    def __init__(self):
        self._tables: dict[str, pa.Table] = {}
        self.folder: Path | None = None

    def check(self) -> None:
        """Do nothing, since memory can always be used."""

    def open(self) -> None:
        """Do nothing, since memory is always ready."""

    def close(self) -> None:
        """Do nothing, since nobody waits for this memory."""

    def take_alone(self) -> bool:
        """Return True, since nobody else writes here."""
        return True

    def recorded(self) -> Request | None:
        """Return None, since nothing was recorded by an earlier process."""
        return None

    def record(self, request: Request) -> None:
        """Do nothing, since no later process will read the request."""

    def provenance(self) -> dict[str, Any]:
        """Return an empty note, since there were no earlier sessions."""
        return {}

    def note_provenance(self, provenance: dict[str, Any]) -> None:
        """Do nothing, since no later process will read the note."""

    def has(self, unit: Unit) -> bool:
        """Return whether the rows of a unit are kept."""
        return unit.name in self._tables

    def outline(self, unit: Unit) -> Outline:
        """Return what the part of a unit says of its rows; raise `Damaged` where it is not of this unit."""
        return outline(self._tables[unit.name], unit)

    def read(self, unit: Unit) -> pa.Table:
        """Return the rows of a unit."""
        return self._tables[unit.name]

    def write(self, unit: Unit, frames: Sequence[pd.DataFrame]) -> None:
        """Keep the rows of a unit."""
        self._tables[unit.name] = part_table(frames, unit)

    def finish(self, assembly: Assembly, note: Mapping[str, Any]) -> None:
        """Put the frame of the whole sweep together, with `note` in its ``attrs``."""
        self._frame = in_memory(assembly, note)

    def frame(self, columns: Sequence[str] | None) -> pd.DataFrame:
        """Return the frame of the whole sweep, or some columns of it."""
        return self._frame if columns is None else self._frame[list(columns)]


class FolderStore:
    """Keep parts in ``OUT/parts``: for one process at a time, or for the shards of a sweep together.

    Parameters
    ----------
    out : path
        The folder; it is made where it does not exist.
    note : callable
        Takes lines for the user.
    shard : Shard, optional
        The shard that this process computes. It shares the folder with other shards, each of which writes parts and
        notes of its own. None: the process has the folder for itself.
    """

    def __init__(self, out: str | os.PathLike[str], note: Callable[[str], None], shard: Shard | None = None):
        self.out, self.note, self.shard = path_from(out), note, shard
        self.folder: Path | None = self.out
        self._read: tuple[str, Request] | None = None
        self.parts, self.request = self.out / RunFolder.PARTS, self.out / RunFolder.REQUEST
        self._locks: list[Lock] = []

    def check(self) -> None:
        """Refuse a path that is a file, or a folder that holds files but no sweep."""
        with writable(self.out):
            if not self.out.exists() or self.request.exists():
                return
            if not self.out.is_dir():
                raise GradlabError("out= to be a folder", f"{self.out}, which is a file", "another name")
            names = [p.name for p in self.out.iterdir() if not p.name.startswith(RunFolder.LOCK)]
            # a process that was killed in its first moment leaves the beginning of a request
            foreign = sorted(n for n in names if not (n.startswith(f"{RunFolder.REQUEST}.") and n.endswith(TEMPORARY)))
        if foreign:
            raise GradlabError(
                "out= to be a new folder or that of a sweep",
                f"{self.out} without {RunFolder.REQUEST}, with {', '.join(foreign[:3])}", "out= another folder",
            )  # fmt: skip

    def open(self) -> None:
        """Lock the folder for this process, or for this shard among others; raise `GradlabError` where it is in use."""
        self.recorded()
        with writable(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            self._locks.append(Lock(inside(self.out, RunFolder.LOCK), self.note, shared=self.shard is not None))
            if self.shard is not None:
                name = RunFolder.SHARD_LOCK.format(self.shard.number, self.shard.count)
                self._locks.append(Lock(inside(self.out, name), self.note))

    def close(self) -> None:
        """Unlock the folder, so that other processes can have it."""
        while self._locks:
            self._locks.pop().close()

    def take_alone(self, seconds: float = 10.0) -> bool:
        """Try to lock the folder for this shard alone, to put the run together; return whether that succeeded.

        Parameters
        ----------
        seconds : float
            How long to wait for other shards to end.
        """
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
        """Read the request in ``sweep.toml``; return None in a new folder."""
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
        """Write ``sweep.toml`` if it changed, and remove files that a killed process left half written."""
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
        """Read ``provenance.json``, or the note of this shard; return an empty dict where it is absent or unreadable.

        Without a shard the sessions in the notes of all shards are added: they have ended by then.
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
            for path in self._shard_notes():  # `provenance` has added them to it
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
        """Return whether there is a file, whole or damaged, under the name of a unit's part."""
        return os.path.lexists(self.parts / unit.name)

    def outline(self, unit: Unit) -> Outline:
        """Read what the part of a unit says of its rows; raise `Damaged` where it is not of this unit."""
        return read_outline(self._part(unit), unit)

    def read(self, unit: Unit) -> pa.Table:
        """Read the rows of a unit and verify their checksums; raise `Damaged` where they are not what was written."""
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
        """Write ``frame.parquet``, with `note` in it, and ``frame.csv``, both batch by batch."""
        schema = noted(assembly.schema, assembly.rows, {**note, "schema_version": SCHEMA_VERSION})
        with replacing(self.out / RunFolder.TABLE) as text, replacing(self.out / RunFolder.FRAME) as whole:
            write_batches(assembly, schema, whole, text)

    def frame(self, columns: Sequence[str] | None) -> pd.DataFrame:
        """Read the frame of the whole sweep, or some columns of it."""
        return read(self.out / RunFolder.FRAME) if columns is None else select(self.out, columns, None)


def write_batches(assembly: Assembly, schema: pa.Schema, whole: Path, text: Path) -> None:
    """Write the rows of a run to a file of Parquet and to one of CSV.

    Parameters
    ----------
    assembly : Assembly
        The rows in their order.
    schema : pyarrow.Schema
        Names and types of the columns, with the note that the file of Parquet gets.
    whole : Path
        The file of Parquet.
    text : Path
        The file of CSV.
    """
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
    """Return the rows of a run as a frame.

    Parameters
    ----------
    assembly : Assembly
        The rows in their order.
    note : mapping
        What the ``attrs`` of the frame will hold, besides the version of the schema.
    columns : sequence of str, optional
        The columns to return; names that the run lacks are left out. None: all.
    """
    schema = assembly.schema
    names = schema.names if columns is None else [name for name in columns if name in schema.names]
    batches = [batch.select(names) for batch in assembly.batches()]
    table = pa.Table.from_batches(batches, pa.schema([schema.field(name) for name in names]))
    frame = table.replace_schema_metadata(schema.metadata).to_pandas()
    frame.attrs = {**note, "schema": SCHEMA_VERSION}
    return frame


def _sessions(note: dict[str, Any]) -> list[Any]:
    """Return the sessions in a note of how rows came to be; an empty list where the note has another form."""
    sessions = note.get("sessions")
    return sessions if isinstance(sessions, list) else []
