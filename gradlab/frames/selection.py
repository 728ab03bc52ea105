"""Read some columns and rows of a run without the rest: from its frame, or from the parts that exist so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from gradlab._errors import GradlabError, unknown
from gradlab._files import inside
from gradlab._types import SCHEMA_VERSION
from gradlab.frames.files import RunFolder, described, part_name, read, read_note

#: Columns by which rows of parts are sorted, because the order of the request is not known here.
_ORDER = ("network", "seed", "step", "layer")


def select(folder: Path, columns: Sequence[str] | None, where: Mapping[str, Any] | None) -> pd.DataFrame:
    """Read some columns and rows of a run.

    Parameters
    ----------
    folder : Path
        Folder of the run. If the run is not finished, the parts that exist are read.
    columns : sequence of str, optional
        Names of the columns to read. None: all.
    where : mapping of str to value or list of values, optional
        Values of columns: a row is read if each of these columns has its value, or one of its values. None: all rows.

    Returns
    -------
    DataFrame
        Rows in the order of the frame; those of an unfinished run are sorted by network, seed, step and layer.
    """
    frame = folder / RunFolder.FRAME
    if frame.exists():
        whole = inside(folder, RunFolder.FRAME)
        table = _of_frame(whole, columns, where)
        if table is None:  # columns of an earlier schema have other names or kinds
            return _chosen(read(whole), columns, where)
        return table
    return _of_parts(folder, columns, where)


def join_columns(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join frames of some columns; names stay categories."""
    names = {name for frame in frames for name in frame.columns[frame.dtypes == "category"]}
    joined = pd.concat([f.astype({n: str for n in names if n in f}) for f in frames], ignore_index=True)
    return joined.astype(dict.fromkeys(names, "category"))


def _of_frame(path: Path, columns: Sequence[str] | None, where: Mapping[str, Any] | None) -> pd.DataFrame | None:
    """Read the frame of a finished run; None where its schema is an earlier one."""
    try:
        with open(path, "rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            note = read_note(described(file), early=True)
        if note.get("schema_version") != SCHEMA_VERSION:
            return None
        names = _names(schema.names, columns, where)
        filters = _expression(where)
        with open(path, "rb") as source:
            table = pq.read_table(source, columns=names, filters=filters, page_checksum_verification=True)
    except GradlabError:
        raise
    except Exception as error:  # a flipped byte in the footer makes pyarrow raise almost anything
        raise GradlabError(
            f"{path} as it was written", " ".join(str(error).split())[:300], "the sweep again"
        ) from error
    frame = table.to_pandas()
    for name in frame.columns[frame.dtypes == "category"]:
        frame[name] = frame[name].cat.remove_unused_categories()
    frame.attrs = {name: value for name, value in note.items() if name != "schema_version"}
    frame.attrs["schema"] = SCHEMA_VERSION
    return frame if columns is None else frame[list(columns)]


def _of_parts(folder: Path, columns: Sequence[str] | None, where: Mapping[str, Any] | None) -> pd.DataFrame:
    """Read the parts of a run that is not finished."""
    parts = sorted(inside(folder, RunFolder.PARTS).glob("*.parquet")) if (folder / RunFolder.PARTS).is_dir() else []
    if not parts:
        raise GradlabError("a run of which something is finished", f"{folder} without parts", "the same sweep again")
    paths = [str(inside(folder, RunFolder.PARTS, part.name)) for part in parts]
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    try:
        schema = pa.unify_schemas([_checked_schema(path) for path in paths], promote_options="permissive")
        names = _names(schema.names, columns, where)
        names += [name for name in _ORDER if name in schema.names and name not in names]
        form = ds.ParquetFileFormat(default_fragment_scan_options=options)
        table = ds.dataset(paths, schema=schema, format=form).to_table(columns=names, filter=_expression(where))
    except GradlabError:
        raise
    except Exception as error:
        raise GradlabError(
            f"the parts in {folder} as they were written", " ".join(str(error).split())[:300],
            "the same sweep again: it computes damaged ones anew",
        ) from error  # fmt: skip
    frame = table.to_pandas()
    order = [name for name in _ORDER if name in frame]
    frame = frame.sort_values(order, kind="stable", ignore_index=True)
    texts = {name: "category" for name in frame.columns if pd.api.types.is_string_dtype(frame[name])}
    frame = frame.astype(texts)
    return frame if columns is None else frame[list(columns)]


def _checked_schema(path: str) -> pa.Schema:
    """Return the schema of a part; ValueError where its note does not describe it, or does not hash to its name."""
    with open(path, "rb") as source, pq.ParquetFile(source) as file:
        note, schema = read_note(described(file)), file.schema_arrow
    # parts of earlier versions hold one network, and begin with its hash
    name = part_name(note["networks"], note["seeds"]) if "networks" in note else f"{note['hash']}."
    if not Path(path).name.startswith(name):
        raise ValueError(f"{Path(path).name} holds other networks or seeds than its name says")
    return schema


def _names(known: Sequence[str], columns: Sequence[str] | None, where: Mapping[str, Any] | None) -> list[str]:
    """Return the columns to read."""
    asked = list(known) if columns is None else list(columns)
    for name in (*asked, *(where or {})):
        if name not in known:
            raise unknown("column", name, known)
    return list(dict.fromkeys([*asked, *(where or {})]))


def _values(value: Any) -> list[Any]:
    """Return one value or several as a list."""
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    return [v.item() if isinstance(v, np.generic) else v for v in (value if several else [value])]


def _expression(where: Mapping[str, Any] | None) -> Any:
    """Make a filter of Arrow for the rows that were asked for."""
    if not where:
        return None
    expression = None
    for name, value in where.items():
        field = ds.field(name).cast(pa.string()) if all(isinstance(v, str) for v in _values(value)) else ds.field(name)
        test = field.isin(_values(value))
        expression = test if expression is None else expression & test
    return expression


def _chosen(frame: pd.DataFrame, columns: Sequence[str] | None, where: Mapping[str, Any] | None) -> pd.DataFrame:
    """Select the columns and rows of a frame that was read whole."""
    names = _names(list(frame.columns), columns, where)
    keep = np.ones(len(frame), bool)
    for name, value in (where or {}).items():
        keep &= frame[name].isin(_values(value)).to_numpy()
    chosen = frame.loc[keep, names].reset_index(drop=True)
    return chosen if columns is None else chosen[list(columns)]
