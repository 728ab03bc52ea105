"""The frame's files: Parquet with checksums, runs of sweeps, examples; older schemas are brought up to date."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gradlab._errors import GradlabError, unknown
from gradlab._files import inside, path_from, read_text, replacing
from gradlab._types import SCHEMA_VERSION
from gradlab.config import content_hash
from gradlab.config.bounds import MOST_ROWS
from gradlab.frames.checks import check_run
from gradlab.frames.migrations import MIGRATIONS
from gradlab.frames.rows import concat

#: Key of our entry in the metadata of a Parquet file.
ABOUT = b"gradlab"


class RunFolder:
    """The names of what lies in a run's folder."""

    REQUEST = "sweep.toml"
    PROVENANCE = "provenance.json"
    FRAME = "frame.parquet"
    TABLE = "frame.csv"
    FILES = (REQUEST, PROVENANCE, FRAME, TABLE)
    PARTS = "parts"
    LOCK = ".lock"


@dataclass(frozen=True)
class Run:
    """A sweep's folder, loaded; or several, then each field but the frame is a mapping by the run's name.

    Parameters
    ----------
    frame : DataFrame
        ``frame.parquet``, in today's schema.
    request : mapping
        ``sweep.toml`` as it stands: what was asked.
    provenance : mapping
        ``provenance.json``: versions, platform, command.
    path : Path or mapping of str to Path
        The folder.
    """

    frame: pd.DataFrame
    request: Mapping[str, Any]
    provenance: Mapping[str, Any]
    path: Path | Mapping[str, Path]


def load(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Run:
    """A run from its folder; several at once have one frame, with a column `run`.

    Parameters
    ----------
    path : path or sequence of path
        What was given as ``out=`` or ``--out``.

    Returns
    -------
    Run
    """
    if isinstance(path, (str, bytes, os.PathLike)) or not isinstance(path, Iterable):
        return _load_one(path_from(path, "path"))
    paths = [path_from(p, "path") for p in path]
    if not paths:
        raise GradlabError("at least one folder", "none", 'gl.load("runs/demo")')
    # The folder's own name where that tells the runs apart.
    short = [p.resolve().name for p in paths]
    names = short if len(set(short)) == len(short) else [str(p) for p in paths]
    if len(set(names)) < len(names):
        raise GradlabError("different folders", ", ".join(names), "each folder once")
    runs = dict(zip(names, map(_load_one, paths), strict=True))
    return Run(
        frame=concat([run.frame.assign(run=name) for name, run in runs.items()]),
        request={name: run.request for name, run in runs.items()},
        provenance={name: run.provenance for name, run in runs.items()},
        path={name: Path(str(run.path)) for name, run in runs.items()},
    )


def _load_one(folder: Path) -> Run:
    if not os.path.isdir(folder):
        raise GradlabError("the folder of a run", f"{folder}, which is no folder", "the folder given as out=")
    for name, expected, hint in (
        (RunFolder.REQUEST, "the folder of a run", "the folder given as out="),
        (RunFolder.FRAME, "a finished run", "the same sweep again: it continues where it stopped"),
    ):
        if not os.path.lexists(folder / name):
            raise GradlabError(expected, f"{folder} without {name}", hint)
    request = _parsed(folder, RunFolder.REQUEST, tomllib.loads)
    provenance = _parsed(folder, RunFolder.PROVENANCE, json.loads)
    frame = read(inside(folder, RunFolder.FRAME))
    check_run(frame, str(folder / RunFolder.FRAME))
    return Run(frame, request, provenance, folder)


def _parsed(folder: Path, name: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        values = parse(read_text(folder, name))
        if not isinstance(values, dict):
            raise TypeError(f"a {type(values).__name__} instead of names with values")
        return values
    except GradlabError:
        raise
    except (OSError, ValueError, TypeError, RecursionError) as error:
        expected = f"{folder / name} as the sweep wrote it"
        raise GradlabError(expected, _one_line(error), "the same sweep again") from error


def example(name: str) -> pd.DataFrame:
    """A small frame that comes with gradlab, so that every plot can be tried without computing.

    Parameters
    ----------
    name : str
        A wrong name is answered with the list of names.

    Returns
    -------
    DataFrame
    """
    folder = resources.files("gradlab") / "examples"
    files = {f.name.removesuffix(".parquet"): f for f in folder.iterdir()} if folder.is_dir() else {}
    names = sorted(n for n, f in files.items() if f.name.endswith(".parquet"))
    if name not in names:
        raise unknown("example", name, names)
    with resources.as_file(files[name]) as path:
        return read(path)


def write(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a frame as Parquet with checksums: whole under its name, or not at all.

    Parameters
    ----------
    frame : DataFrame
        Its ``attrs`` travel with it.
    path : path
        The file.
    """
    attrs = {name: value for name, value in frame.attrs.items() if name != "schema"}
    # pandas would write attrs a second time, beside ours.
    bare = frame.copy(deep=False)
    bare.attrs = {}
    table = pa.Table.from_pandas(bare, preserve_index=False)
    table = noted(table, {**attrs, "schema_version": frame.attrs.get("schema", SCHEMA_VERSION)})
    with replacing(path_from(path, "path")) as temporary, open(temporary, "wb") as file:
        # Without checksums a flipped byte goes unseen in 295 of 300 trials (DECISIONS 25).
        pq.write_table(table, file, write_page_checksum=True)


def noted(table: pa.Table, note: Mapping[str, Any]) -> pa.Table:
    """The table with a note of ours, and of what it holds, in its metadata."""
    note = {**note, "holds": _holds(table)}
    note["digest"] = content_hash(note)
    return table.replace_schema_metadata({**table.schema.metadata, ABOUT: json.dumps(note)})


def note_of(table: pa.Table, early: bool = False) -> dict[str, Any]:
    """The note that `noted` left, empty where it left none; ValueError where note and table are not those.

    With ``early=True`` the notes of the first versions, which do not say what the table holds, are taken as they stand.
    """
    note = json.loads((table.schema.metadata or {}).get(ABOUT, b"{}"))
    digest = content_hash({name: value for name, value in note.items() if name != "digest"})
    checked = "holds" in note or "digest" in note or not early
    if note and checked and (note.get("holds") != _holds(table) or note.get("digest") != digest):
        raise ValueError("its columns, rows or notes are not those that were written")
    return {name: value for name, value in note.items() if name not in ("holds", "digest")}


def _holds(table: pa.Table) -> dict[str, Any]:
    """Columns, rows and what pandas noted of them.

    Checksums guard the pages of a Parquet file but not its footer, where these stand: without this note 2 % of
    all flipped bits of a small file gave another frame, with it none.
    """
    kinds = [field.type for field in table.schema]
    columns = [[name, _kind(kind)] for name, kind in zip(table.column_names, kinds, strict=True)]
    pandas_note = table.schema.metadata[b"pandas"].decode()
    return {"columns": columns, "rows": table.num_rows, "pandas": content_hash(pandas_note)}


def _kind(kind: pa.DataType) -> str:
    """An Arrow type in words; without the widths of indices and offsets, which Parquet does not keep."""
    if pa.types.is_dictionary(kind):
        return f"category of {_kind(kind.value_type)}, ordered={kind.ordered}"
    return str(kind).removeprefix("large_")


def read(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a frame, checksums verified, and bring it to today's schema.

    Parameters
    ----------
    path : path
        A file that `write` or a sweep wrote.

    Returns
    -------
    DataFrame

    Raises
    ------
    GradlabError
        Where the file is absent, damaged, of a newer schema, or not a frame of gradlab.
    """
    path = path_from(path, "path")
    if not os.path.isfile(path):
        raise GradlabError("a frame's file", f"{path}, which is not there", "the name of a file that exists")
    try:
        arrow = read_table(path)
        note = note_of(arrow, early=True)
        table = arrow.to_pandas()
    # A flipped byte in the footer makes pyarrow raise almost anything.
    except Exception as error:
        raise GradlabError(f"{path} as it was written", _one_line(error), "a copy, or the sweep again") from error
    if not isinstance(note.get("schema_version"), int):
        raise GradlabError("a frame that gradlab wrote", f"{path} without the version of its schema", "another file")
    table.attrs = {
        **{name: v for name, v in note.items() if name != "schema_version"},
        "schema": note["schema_version"],
    }
    return migrate(table, str(path))


def read_table(path: Path) -> pa.Table:
    """The table of a Parquet file, checksums verified; pyarrow raises almost anything where it is damaged."""
    # a file that is open: of a path with a colon, Arrow would make an address
    with open(path, "rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
        if file.metadata.num_rows > MOST_ROWS:
            raise ValueError(f"{file.metadata.num_rows:,} rows, above {MOST_ROWS:,}")
        return file.read()


def migrate(table: pd.DataFrame, name: str = "the frame") -> pd.DataFrame:
    """The frame in today's schema, one version at a time.

    Parameters
    ----------
    table : DataFrame
        With its version in ``attrs["schema"]``.
    name : str
        What to call it in an error.
    """
    attrs = dict(table.attrs)
    version = attrs["schema"]
    if version > SCHEMA_VERSION:
        raise GradlabError(
            f"a schema of version {SCHEMA_VERSION} or older", f"{name} of version {version}", "a newer gradlab"
        )
    for step in range(version, SCHEMA_VERSION):
        if step not in MIGRATIONS:
            expected = f"a schema of version {step + 1} or newer"
            raise GradlabError(expected, f"{name} of version {version}", "the sweep again")
        table = MIGRATIONS[step](table)
    table.attrs = {**attrs, "schema": SCHEMA_VERSION}
    return table


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
