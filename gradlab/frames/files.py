"""Files of frames: Parquet with checksums, folders of runs, examples; frames of older schemas are updated."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gradlab._errors import GradlabError, unknown
from gradlab._files import inside, path_from, read_text, replacing
from gradlab._summary import Shown, Summary, listed
from gradlab._types import SCHEMA_VERSION
from gradlab.config import content_hash
from gradlab.config.bounds import MOST_ROWS
from gradlab.frames.checks import check_run
from gradlab.frames.migrations import MIGRATIONS
from gradlab.frames.rows import concat

#: Key of gradlab's note in the metadata of a Parquet file.
NOTE = b"gradlab"


class RunFolder:
    """Name the files in the folder of a run."""

    REQUEST = "sweep.toml"
    PROVENANCE = "provenance.json"
    FRAME = "frame.parquet"
    TABLE = "frame.csv"
    FILES = (REQUEST, PROVENANCE, FRAME, TABLE)
    PARTS = "parts"
    LOCK = ".lock"
    #: Notes of single shards, until the whole run is put together; and the locks that they hold.
    SHARD, SHARD_LOCK = "provenance.{}-of-{}.json", ".lock.{}-of-{}"


@dataclass(frozen=True, repr=False)
class Run(Shown):
    """Hold what the folder of a run contains. For several runs each field but `frame` is a mapping by the run's name.

    Parameters
    ----------
    frame : DataFrame
        The rows of ``frame.parquet``, in the present schema.
    request : mapping
        The request in ``sweep.toml``, as it stands there.
    provenance : mapping
        Versions, platform and command, from ``provenance.json``.
    path : Path or mapping of str to Path
        The folder of the run.
    """

    frame: pd.DataFrame
    request: Mapping[str, Any]
    provenance: Mapping[str, Any]
    path: Path | Mapping[str, Path]

    def __repr__(self) -> str:
        return self.summary().to_text()

    def summary(self) -> Summary:
        """Return what the run holds, as a terminal and a notebook show it."""
        frame = self.frame
        folders = list(self.path) if isinstance(self.path, Mapping) else [str(self.path)]
        kinds = [name for name in ("activation", "init", "depth", "step") if name in frame]
        facts = [("folder" if len(folders) == 1 else "runs", ", ".join(folders))]
        facts += [(name, str(frame[name].nunique())) for name in ("network", "seed") if name in frame]
        facts += [(name, listed(frame[name].drop_duplicates().tolist())) for name in kinds]
        facts += [("columns", str(frame.shape[1]))]
        if not isinstance(self.path, Mapping):
            facts.append(("command", str(self.provenance.get("command") or "")))
        return Summary(f"Run of {len(frame)} rows", facts)


def load(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    columns: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Run:
    """Load a run from its folder, or several runs into one frame with the column `run`.

    Parameters
    ----------
    path : path or sequence of path
        The folder that was given as ``out=`` or ``--out``. Give several to compare runs.
    columns : sequence of str, optional
        Read these columns alone: of a large run the rest stays on the disk. None: all.
    where : mapping of str to value or list of values, optional
        Read the rows alone in which each column has the value, or one of the values, as
        ``{"activation": ["relu", "tanh"], "layer": 1}``. With `columns` or `where` a run that is not finished can be
        read too, as far as it is there.

    Returns
    -------
    Run
        The frame, the request and the provenance.

    Raises
    ------
    GradlabError
        If a folder is not that of a finished run, or a file in it is damaged.
    """
    if isinstance(path, (str, bytes, os.PathLike)) or not isinstance(path, Iterable):
        return _load_one(path_from(path, "path"), columns, where)
    paths = [path_from(p, "path") for p in path]
    if not paths:
        raise GradlabError("at least one folder", "none", 'gl.load("runs/demo")')
    # Runs are named after their folders where these names differ, otherwise by their whole paths.
    short = [p.resolve().name for p in paths]
    names = short if len(set(short)) == len(short) else [str(p) for p in paths]
    if len(set(names)) < len(names):
        raise GradlabError("different folders", ", ".join(names), "each folder once")
    from gradlab.frames.selection import join_columns

    runs = {name: _load_one(one, columns, where) for name, one in zip(names, paths, strict=True)}
    return Run(
        frame=(concat if columns is None else join_columns)([run.frame.assign(run=name) for name, run in runs.items()]),
        request={name: run.request for name, run in runs.items()},
        provenance={name: run.provenance for name, run in runs.items()},
        path={name: Path(str(run.path)) for name, run in runs.items()},
    )


def _load_one(folder: Path, columns: Sequence[str] | None, where: Mapping[str, Any] | None) -> Run:
    if not os.path.isdir(folder):
        raise GradlabError("the folder of a run", f"{folder}, which is no folder", "the folder given as out=")
    some = columns is not None or where is not None
    needed = [(RunFolder.REQUEST, "the folder of a run", "the folder given as out=")]
    if not some:
        hint = "the same sweep again: it continues where it stopped; or gl.load(folder, columns=...)"
        needed.append((RunFolder.FRAME, "a finished run", hint))
    for name, expected, hint in needed:
        if not os.path.lexists(folder / name):
            raise GradlabError(expected, f"{folder} without {name}", hint)
    request = _parsed(folder, RunFolder.REQUEST, tomllib.loads)
    unfinished = some and not os.path.lexists(folder / RunFolder.PROVENANCE)  # of shards none has ended last yet
    provenance = {} if unfinished else _parsed(folder, RunFolder.PROVENANCE, json.loads)
    if some:
        from gradlab.frames.selection import select

        return Run(select(folder, columns, where), request, provenance, folder)
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
    """Return a small frame that comes with gradlab, to try every plot without computing.

    Parameters
    ----------
    name : str
        One of

        - ``depth``: depths 2, 8 and 32, three activations, two initialisers; for most figures of layers
        - ``time_steps``: recurrent cells over a sequence, whose layers are time steps
        - ``training``: eight sigmoid and eight ReLU layers along their training
        - ``sharpness``: full-batch gradient descent at three learning rates, for `gradlab.plots.sharpness`
        - ``divergence``: a training whose loss does not stay finite
        - ``trainability``: the end of trainings of tanh networks, by depth and weight variance
        - ``order_to_chaos``: tanh networks whose weights are too small, critical and too large
        - ``circle``: lengths of a circle of inputs, for `gradlab.plots.circle`
        - ``histograms``: counts of activations and deltas, for `gradlab.plots.histograms`
        - ``sizes``, ``sizes_in_training``: counts of log10 of entries, for `gradlab.plots.ridges`,
          `gradlab.plots.scales` and `gradlab.plots.gradient_quantiles`
        - ``singular_values``: of Jacobians, for `gradlab.plots.spectrum`
        - ``shattering``, ``input_gradients``: cosines of two inputs' gradients, and gradients along a line of inputs
        - ``norms``: ln of squared gradients over 300 seeds, for `gradlab.plots.fluctuations`
        - ``autodiff``: weight gradients of 100 sigmoid layers by gradlab and by ``jax.grad``
        - ``model``: gradients of five layers with names of their own, for `gradlab.plots.layer_gradients`

    Returns
    -------
    DataFrame
        The rows of a small run or measurement.

    Raises
    ------
    GradlabError
        If there is no example of this name.

    Examples
    --------
    >>> import gradlab as gl
    >>> sorted(int(depth) for depth in gl.example("depth")["depth"].unique())
    [2, 8, 32]
    """
    folder = resources.files("gradlab") / "examples"
    files = {f.name.removesuffix(".parquet"): f for f in folder.iterdir()} if folder.is_dir() else {}
    names = sorted(n for n, f in files.items() if f.name.endswith(".parquet"))
    if name not in names:
        raise unknown("example", name, names)
    with resources.as_file(files[name]) as path:
        return read(path)


def write(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a frame as Parquet with checksums. The file appears whole, or not at all.

    Parameters
    ----------
    frame : DataFrame
        The frame; its ``attrs`` are written too.
    path : path
        The file to write.
    """
    attrs = {name: value for name, value in frame.attrs.items() if name != "schema"}
    # pandas would write `attrs` a second time, beside the note of gradlab.
    bare = frame.copy(deep=False)
    bare.attrs = {}
    table = pa.Table.from_pandas(bare, preserve_index=False)
    table = with_note(table, {**attrs, "schema_version": frame.attrs.get("schema", SCHEMA_VERSION)})
    with replacing(path_from(path, "path")) as temporary, open(temporary, "wb") as file:
        # Without checksums a flipped byte goes unseen in 295 of 300 trials.
        pq.write_table(table, file, write_page_checksum=True)


def with_note(table: pa.Table, note: Mapping[str, Any]) -> pa.Table:
    """Return the table with a note in its metadata, which also describes the columns and rows."""
    return table.replace_schema_metadata(noted(table.schema, table.num_rows, note).metadata)


def noted(schema: pa.Schema, rows: int, note: Mapping[str, Any]) -> pa.Schema:
    """Return the schema of a table of so many rows with a note, which also describes the columns and rows."""
    note = {**note, "holds": _holds(schema, rows)}
    note["digest"] = content_hash(note)
    return schema.with_metadata({**schema.metadata, NOTE: json.dumps(note)})


def described(file: pq.ParquetFile) -> Any:
    """Return the schema and the number of rows of a Parquet file: what `read_note` needs, without the rows."""
    return SimpleNamespace(schema=file.schema_arrow, num_rows=file.metadata.num_rows)


def part_name(networks: Sequence[str], seeds: Sequence[int]) -> str:
    """Return the name of the file that holds the rows of some networks.

    Parameters
    ----------
    networks : sequence of str
        The content hash of each network, in the order of the rows.
    seeds : sequence of int
        The seeds.
    """
    return content_hash({"networks": list(networks), "seeds": list(seeds)}, 24) + ".parquet"


def read_note(table: Any, early: bool = False) -> dict[str, Any]:
    """Return the note that `with_note` wrote, empty where there is none; ValueError where it does not fit the table.

    The table may be what `described` returns. With ``early=True`` notes of the first versions, which do not describe
    the table, are accepted unchecked.
    """
    note = json.loads((table.schema.metadata or {}).get(NOTE, b"{}"))
    digest = content_hash({name: value for name, value in note.items() if name != "digest"})
    checked = "holds" in note or "digest" in note or not early
    if note and checked and (note.get("holds") != _holds(table.schema, table.num_rows) or note.get("digest") != digest):
        raise ValueError("its columns, rows or notes are not those that were written")
    return {name: value for name, value in note.items() if name not in ("holds", "digest")}


def _holds(schema: pa.Schema, rows: int) -> dict[str, Any]:
    """Describe the columns and rows of a table, and the note that pandas made of them.

    Checksums guard the pages of a Parquet file but not its footer, where columns and rows are described. Without this
    note 2 % of all flipped bits of a small file gave another frame, with it none.
    """
    columns = [[field.name, _kind(field.type)] for field in schema]
    return {"columns": columns, "rows": rows, "pandas": content_hash(schema.metadata[b"pandas"].decode())}


def _kind(kind: pa.DataType) -> str:
    """Name an Arrow type, without the widths of indices and offsets, which Parquet does not keep."""
    if pa.types.is_dictionary(kind):
        return f"category of {_kind(kind.value_type)}, ordered={kind.ordered}"
    return str(kind).removeprefix("large_")


def read(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a frame, verify its checksums, and convert it to the present schema.

    Parameters
    ----------
    path : path
        A file that `write` or a sweep wrote.

    Returns
    -------
    DataFrame
        The frame with its ``attrs``.

    Raises
    ------
    GradlabError
        If the file is absent, damaged, of a newer schema, or not a frame of gradlab.
    """
    path = path_from(path, "path")
    if not os.path.isfile(path):
        raise GradlabError("a frame's file", f"{path}, which is not there", "the name of a file that exists")
    try:
        arrow = read_table(path)
        note = read_note(arrow, early=True)
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
    """Read the table of a Parquet file and verify its checksums; pyarrow may raise any error where it is damaged."""
    # An open file, because Arrow takes a path with a colon for an address.
    with open(path, "rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
        if file.metadata.num_rows > MOST_ROWS:
            raise ValueError(f"{file.metadata.num_rows:,} rows, above {MOST_ROWS:,}")
        return file.read()


def migrate(frame: pd.DataFrame, name: str = "the frame") -> pd.DataFrame:
    """Convert a frame to the present schema, one version at a time.

    Parameters
    ----------
    frame : DataFrame
        A frame with the version of its schema in ``attrs["schema"]``.
    name : str
        What to call the frame in an error.

    Raises
    ------
    GradlabError
        If the schema is newer than this gradlab, or no step leads on from it.
    """
    attrs = dict(frame.attrs)
    version = attrs["schema"]
    if version > SCHEMA_VERSION:
        raise GradlabError(
            f"a schema of version {SCHEMA_VERSION} or older", f"{name} of version {version}", "a newer gradlab"
        )
    for old in range(version, SCHEMA_VERSION):
        if old not in MIGRATIONS:
            expected = f"a schema of version {old + 1} or newer"
            raise GradlabError(expected, f"{name} of version {version}", "the sweep again")
        frame = MIGRATIONS[old](frame)
    frame.attrs = {**attrs, "schema": SCHEMA_VERSION}
    return frame


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
