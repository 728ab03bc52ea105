"""Put the rows of all parts into the order of the grid, without holding them all in memory.

Each part is read once, and its rows go to their final places in a scratch file of rows of equal size. Read from its
beginning, the file gives the frame, batch by batch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gradlab._errors import GradlabError
from gradlab._files import writable
from gradlab.config import NetworkConfig
from gradlab.frames.checks import check_run
from gradlab.frames.rows import CATEGORIES, default_fill, is_measure, ordered_columns
from gradlab.sweep.parts import Damaged, Outline
from gradlab.sweep.plan import Unit

#: Rows of one batch: about 40 MB.
BATCH_ROWS = 2**17


class DamagedParts(Exception):
    """Parts that are there but are not what was written.

    Parameters
    ----------
    units : mapping of Unit to str
        The units whose parts they are, with the reason.
    """

    def __init__(self, units: Mapping[Unit, str]):
        self.units = units
        super().__init__(f"{len(units)} damaged parts")


@dataclass(frozen=True)
class Column:
    """Say how a column is kept in the scratch file: `kind` is text, category, integer, boolean or number."""

    name: str
    kind: str

    @property
    def dtype(self) -> str:
        """Return the dtype of its entries: text as the number of the text, -1 for a missing one."""
        return {"text": "<i4", "category": "<i4", "integer": "<i8"}.get(self.kind, "<f8")


class Assembly:
    """The rows of a run in their final order: networks in that of the grid, seeds ascending.

    Parameters
    ----------
    networks : sequence of NetworkConfig
        The networks of the grid, in its order.
    units : sequence of Unit
        The units whose rows are wanted.
    store : MemoryStore or FolderStore
        Where their parts are.

    Raises
    ------
    DamagedParts
        If parts are not what was written; all of them are named.
    GradlabError
        If the parts have columns that no frame has.
    """

    def __init__(self, networks: Sequence[NetworkConfig], units: Sequence[Unit], store: Any):
        outlines, damaged = {}, {}
        for unit in units:
            try:
                outlines[unit] = store.outline(unit)
            except Damaged as error:
                damaged[unit] = str(error)
        if damaged:
            raise DamagedParts(damaged)
        self.columns = _columns(outlines)
        self._texts: dict[str, dict[str | None, int]] = {
            c.name: {} for c in self.columns if c.kind in ("text", "category")
        }
        starts, self._ends = _places(networks, outlines)
        self.rows = int(self._ends[-1]) if len(self._ends) else 0
        self._scratch = _Scratch([(c.name, c.dtype) for c in self.columns], self.rows, store.folder)
        for unit, begin in zip(units, starts, strict=True):
            try:
                self._scratch.put(begin, outlines[unit].counts.ravel(), self._records(store.read(unit), unit))
            except Damaged as error:
                damaged[unit] = str(error)
        if damaged:
            self._scratch.close()
            raise DamagedParts(damaged)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in their order, whole networks at a time, and close the scratch file.

        Raises
        ------
        GradlabError
            If they are not the rows of a run.
        """
        begin = 0
        try:
            while begin < self.rows:
                # the last network that ends inside a batch, or else one network
                i = np.searchsorted(self._ends, begin + BATCH_ROWS, side="right")
                j = np.searchsorted(self._ends, begin, side="right")
                end = int(self._ends[max(i - 1, j)])
                batch = self._batch(self._scratch.get(begin, end))
                check_run(batch.to_pandas(), "the rows of the sweep")
                yield batch
                begin = end
        finally:
            self._scratch.close()

    @property
    def schema(self) -> pa.Schema:
        """Return the schema of the batches, with what pandas needs to make the frame of it."""
        empty = self._batch(np.empty(0, [(c.name, c.dtype) for c in self.columns]))
        frame = empty.to_pandas()
        frame.attrs = {}
        return empty.schema.with_metadata(pa.Schema.from_pandas(frame, preserve_index=False).metadata)

    def _records(self, table: pa.Table, unit: Unit) -> np.ndarray:
        """Return the rows of a part as records."""
        records = np.empty(table.num_rows, [(c.name, c.dtype) for c in self.columns])
        kinds = None
        for column in self.columns:
            if column.name in table.column_names:
                records[column.name] = self._values(column, table[column.name])
                continue
            fill = default_fill(column.name, table.column_names)
            if fill is None:
                records[column.name] = self._code(column, None)
                continue
            if kinds is None:
                kinds = table["architecture"].cast(pa.string()).dictionary_encode().combine_chunks()
            each = np.array([self._code(column, fill(a)) for a in kinds.dictionary.to_pylist()])
            records[column.name] = each[kinds.indices.to_numpy(zero_copy_only=False)]
        return records

    def _values(self, column: Column, values: pa.ChunkedArray) -> np.ndarray:
        """Return the entries of a column of a part."""
        if column.name not in self._texts:
            if values.null_count and column.kind == "integer":
                raise GradlabError("whole numbers", f"a missing value in the column {column.name!r}", "NaN of a double")
            values = values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values
            return values.to_numpy().astype(column.dtype)
        if not pa.types.is_dictionary(values.type):
            values = values.cast(pa.string()).dictionary_encode()
        one = values.unify_dictionaries().combine_chunks()
        one = one.chunk(0) if isinstance(one, pa.ChunkedArray) else one
        known = [self._code(column, text) for text in one.dictionary.to_pylist()]
        codes = np.array([*known, -1], np.int32)
        return codes[one.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)]

    def _code(self, column: Column, value: Any) -> Any:
        """Return what stands for a value in the scratch file."""
        if column.name in self._texts:
            known = self._texts[column.name]
            return -1 if value is None else known.setdefault(str(value), len(known))
        return np.nan if value is None else value

    def _batch(self, records: np.ndarray) -> pa.RecordBatch:
        """Return records as columns of Arrow; the categories of text in the order of their appearance."""
        arrays = []
        for column in self.columns:
            values = np.ascontiguousarray(records[column.name])
            if column.name in self._texts:
                codes, distinct = pd.factorize(values[values >= 0])
                indices = np.zeros(len(values), np.int32)
                indices[values >= 0] = codes
                texts = self._listed[column.name]
                dictionary = pa.array([texts[i] for i in distinct], pa.string())
                array = pa.DictionaryArray.from_arrays(pa.array(indices, mask=values < 0), dictionary)
                arrays.append(array if column.kind == "category" else array.cast(pa.string()))
            elif column.kind == "boolean":
                arrays.append(pa.array(values == 1, mask=np.isnan(values)))
            else:
                arrays.append(pa.array(values, from_pandas=True))
        return pa.RecordBatch.from_arrays(arrays, [column.name for column in self.columns])

    @property
    def _listed(self) -> dict[str, list[str | None]]:
        return {name: list(known) for name, known in self._texts.items()}


class _Scratch:
    """Rows of equal size that are written in any order: in a file that has no name, or in memory where they are few."""

    def __init__(self, dtype: Any, rows: int, folder: Path | None):
        self._dtype, self._folder = np.dtype(dtype), folder
        small = folder is None or rows <= BATCH_ROWS
        self._rows = np.empty(rows, self._dtype) if small else None
        self._file: Any = None
        if not small:
            with writable(folder):
                self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def put(self, starts: np.ndarray, counts: np.ndarray, records: np.ndarray) -> None:
        """Put runs of `counts` rows at `starts`."""
        ends = np.cumsum(counts)
        breaks = np.flatnonzero(starts[1:] != starts[:-1] + counts[:-1]) + 1  # where the next run goes elsewhere
        for first, last in zip([0, *breaks], [*breaks, len(starts)], strict=True):
            begin, end = int(ends[first] - counts[first]), int(ends[last - 1])
            self._put_one(int(starts[first]), records[begin:end])

    def _put_one(self, start: int, records: np.ndarray) -> None:
        if self._file is None:
            self._rows[start : start + len(records)] = records
            return
        with writable(self._folder):
            self._file.seek(start * self._dtype.itemsize)
            left = memoryview(records.view(np.uint8))
            while left:
                left = left[self._file.write(left) :]

    def get(self, start: int, end: int) -> np.ndarray:
        """Return the rows from `start` to `end`."""
        if self._file is None:
            return self._rows[start:end]
        self._file.seek(start * self._dtype.itemsize)
        return np.fromfile(self._file, self._dtype, end - start)

    def close(self) -> None:
        """Give the room back."""
        self._rows = np.empty(0, self._dtype)
        if self._file is not None:
            self._file.close()


def _places(networks: Sequence[NetworkConfig], outlines: Mapping[Unit, Outline]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return for each unit where the rows of each network and seed begin, and where each network of the run ends."""
    place = {config: i for i, config in enumerate(networks)}
    ranks = [np.repeat([place[c] for c in unit.configs], len(unit.seeds)) for unit in outlines]
    seeds = [np.tile(unit.seeds, len(unit.configs)) for unit in outlines]
    counts = [outline.counts.ravel() for outline in outlines.values()]
    if not ranks:
        return [], np.empty(0, np.int64)
    rank, seed, count = np.concatenate(ranks), np.concatenate(seeds), np.concatenate(counts)
    order = np.lexsort((seed, rank))
    starts = np.empty(len(count), np.int64)
    starts[order] = np.cumsum(count[order]) - count[order]
    per_network = np.bincount(rank, count, minlength=len(place)).astype(np.int64)
    ends = np.cumsum(per_network)[per_network > 0]
    return np.split(starts, np.cumsum([len(c) for c in counts])[:-1]), ends


def _columns(outlines: Mapping[Unit, Outline]) -> list[Column]:
    """Return the columns of all parts together, in the order of the frame, and what each of them holds."""
    kinds: dict[str, set[str]] = {}
    for outline in outlines.values():
        for field in outline.schema:
            kinds.setdefault(field.name, set()).add(_kind(field))
    filled = {name: set(some) for name, some in kinds.items()}
    for unit, outline in outlines.items():
        architectures = {config.network.architecture for config in unit.configs}
        for name in kinds.keys() - set(outline.schema.names):
            fill = default_fill(name, outline.schema.names)
            filled[name] |= {_kind_of(None if fill is None else fill(a)) for a in architectures}
    columns = []
    for name in ordered_columns(kinds):
        if name in CATEGORIES:
            kind = "category"
        elif "text" in kinds[name]:
            kind = "text"
        elif filled[name] == {"integer"} and not is_measure(name):
            kind = "integer"
        else:
            kind = "boolean" if kinds[name] == {"boolean"} else "number"
        columns.append(Column(name, kind))
    return columns


def _kind(field: pa.Field) -> str:
    """Return what a column of a part holds."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    for name, holds in (("integer", pa.types.is_integer), ("boolean", pa.types.is_boolean)):
        if holds(kind):
            return name
    if pa.types.is_floating(kind) or pa.types.is_null(kind):
        return "number"
    raise GradlabError(
        "columns of numbers, of truth values or of text", f"{field.name} of {kind}", "the same without it"
    )


def _kind_of(value: Any) -> str:
    """Return what a value is that stands in for a column."""
    return "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else "number"
