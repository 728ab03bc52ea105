"""One part of a run: the rows of all networks of a unit, as a table with a note of what it holds.

A part is one Parquet file under `parts`. The networks stand in the order of the unit, and each has its seeds ascending.
The note lists the content hashes of the networks, the seeds, and how many rows each network has for each seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gradlab._errors import GradlabError
from gradlab._types import COORDINATES
from gradlab.config.bounds import MOST_ROWS
from gradlab.frames.files import described, read_note, with_note
from gradlab.frames.rows import concat, network_hash
from gradlab.sweep.plan import Unit


class Damaged(Exception):
    """A part that is there but is not what was written."""


@dataclass(frozen=True)
class Outline:
    """Hold what a part says of its rows before they are read.

    Parameters
    ----------
    schema : pyarrow.Schema
        Names and types of its columns.
    counts : array of int, shape (networks, seeds)
        How many rows each network has for each seed.
    failed : int
        How many networks have a row whose status is not "ok".
    """

    schema: pa.Schema
    counts: np.ndarray
    failed: int


def part_table(frames: Sequence[pd.DataFrame], unit: Unit) -> pa.Table:
    """Make the table of a part from the rows that a task computed.

    Raises
    ------
    GradlabError
        If the rows are not those of the networks of the unit, one after the other, for its seeds.
    """
    frame = frames[0] if len(frames) == 1 else concat(frames)
    lacking = [name for name in COORDINATES if name not in frame]
    if lacking:
        raise GradlabError("rows with all coordinates", f"rows without {', '.join(lacking)}", "rows as of gl.frame")
    networks, names = pd.factorize(frame["network"].to_numpy(object))
    seeds = np.searchsorted(unit.seeds, frame["seed"])
    fits = np.asarray(unit.seeds)[np.minimum(seeds, len(unit.seeds) - 1)] == frame["seed"]
    if len(names) != len(unit.configs) or not np.isin(np.diff(networks), (0, 1)).all() or not fits.all():
        raise GradlabError(
            f"the rows of {len(unit.configs)} networks, one after the other, for seeds {_few(unit.seeds)}",
            f"rows of {len(names)} networks for seeds {_few(pd.unique(frame['seed']))}", "rows in the order of configs",
        )  # fmt: skip
    cells = networks * len(unit.seeds) + seeds
    if (np.diff(cells) < 0).any():
        frame = frame.iloc[np.argsort(cells, kind="stable")]
    failed = len(np.unique(networks[frame["status"].to_numpy(object) != "ok"])) if len(names) else 0
    counts = np.bincount(cells, minlength=len(unit.configs) * len(unit.seeds))
    note = _held(unit) | {"rows": counts.tolist(), "failed": failed}
    return with_note(decoded(pa.Table.from_pandas(frame, preserve_index=False)).combine_chunks(), note)


def write_part(table: pa.Table, file: Any) -> None:
    """Write the table of a part as Parquet with checksums."""
    text = [field.name for field in table.schema if not pa.types.is_primitive(field.type)]
    pq.write_table(
        table, file, write_page_checksum=True, write_statistics=False, use_dictionary=text, compression="zstd"
    )


def read_outline(path: Path, unit: Unit) -> Outline:
    """Read what a part says of its rows; raises `Damaged` where it is not the part of this unit."""
    try:
        with open(path, "rb") as source, pq.ParquetFile(source) as file:
            return outline(described(file), unit)
    except Damaged:
        raise
    except Exception as error:  # a flipped byte in the footer makes pyarrow raise almost anything
        raise Damaged(_one_line(error)) from error


def read_part(path: Path, unit: Unit) -> pa.Table:
    """Read the rows of a part, checksums verified, text as dictionaries; raises `Damaged`."""
    try:
        with open(path, "rb") as source:
            with pq.ParquetFile(source) as file:
                counts = outline(described(file), unit).counts
                text = [field.name for field in file.schema_arrow if _is_text(field.type)]
            source.seek(0)
            options = {"page_checksum_verification": True, "read_dictionary": text}
            with pq.ParquetFile(source, **options) as file:
                table = file.read()
        table.validate(full=True)  # a flipped byte can leave an index beyond its dictionary
        check_rows(table, unit, counts)
        return table
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(_one_line(error)) from error


def outline(table: Any, unit: Unit) -> Outline:
    """Check the note of a table, or of the description of one; raises `Damaged` where it is not that of the unit."""
    if table.num_rows > MOST_ROWS:
        raise Damaged(f"{table.num_rows:,} rows, above {MOST_ROWS:,}")
    try:
        note = read_note(table)
        rows, failed = note.pop("rows"), int(note.pop("failed"))
        if note != _held(unit):
            raise Damaged("it holds other networks or seeds than its name says")
        counts = np.array(rows, np.int64).reshape(len(unit.configs), len(unit.seeds))
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # a note of another form
        raise Damaged(_one_line(error)) from error
    if counts.sum() != table.num_rows or (counts < 0).any():
        raise Damaged("it has other rows than it says")
    return Outline(table.schema, counts, failed)


def check_rows(table: pa.Table, unit: Unit, counts: np.ndarray) -> None:
    """Raise `Damaged` where rows are not of the configurations and seeds of the unit, whatever the note says.

    The hash of a configuration stands in each of its rows, and the fields of it that are coordinates stand there too.
    """
    networks = [config.network for config in unit.configs]
    columns: dict[str, list[Any]] = {
        "network": [network_hash(config) for config in unit.configs],
        "architecture": [network.architecture for network in networks],
        "init": [network.init for network in networks],
        "activation": [network.activations[0] if len(network.activations) == 1 else None for network in networks],
        "depth": [network.depth or None for network in networks],
    }
    sizes = counts.sum(axis=1)
    starts = (np.cumsum(sizes) - sizes)[sizes > 0]
    for name, values in columns.items():
        column = table[name].combine_chunks()
        text = pa.types.is_dictionary(column.type)
        held = column.indices.to_numpy() if text else column.to_numpy(zero_copy_only=False)
        words = column.dictionary.to_pylist() if text else None
        firsts = held[starts]
        expected = [value for value, size in zip(values, sizes, strict=True) if size]
        read = [words[i] for i in firsts] if words is not None else list(firsts)
        known = np.array([value is not None for value in expected], bool)
        differs = np.repeat(known, sizes[sizes > 0]) & (held != np.repeat(firsts, sizes[sizes > 0]))
        if differs.any() or any(v is not None and v != r for v, r in zip(expected, read, strict=True)):
            raise Damaged(f"it has rows whose {name} is not that of its networks")
    seeds = np.repeat(np.tile(unit.seeds, len(unit.configs)), counts.ravel())
    if not np.array_equal(table["seed"].to_numpy(), seeds):
        raise Damaged("it has rows of other seeds than its name says")


def decoded(table: pa.Table) -> pa.Table:
    """Return the table with dictionary-encoded columns as plain ones."""
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(i, field.name, table[i].cast(field.type.value_type))
    return table


def _held(unit: Unit) -> dict[str, Any]:
    """Return what the note of a unit's part must say, from which its name follows."""
    return {"networks": list(unit.hashes), "seeds": list(unit.seeds)}


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _few(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
