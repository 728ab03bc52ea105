"""Users' files as arrays: .npz, .csv, .parquet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gradlab._errors import GradlabError, note, unknown
from gradlab.data.labels import decimal_comma, is_text

if TYPE_CHECKING:
    import pandas as pd

#: Endings of files that are read.
SUFFIXES = (".npz", ".csv", ".parquet")
#: What a table may be separated by where it is not by commas.
SEPARATORS = (";", "\t", "|")
#: Fewer numbers than these may be 1, 2, 3 by chance.
_FEW = 5


def from_file(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a file, whose column or array `target` holds the targets."""
    if not path.is_file():
        received = f"{str(path)!r}, which is {'a folder' if path.is_dir() else 'not there'}"
        raise GradlabError("a data file", received, "checking the path")
    try:
        path.open("rb").close()
    except OSError as error:
        raise GradlabError(f"to read {path}", error.strerror or type(error).__name__, "another file") from error
    return _from_npz(path, target) if path.suffix.lower() == ".npz" else _from_table(path, target)


def _not_what_it_says(path: Path, error: Exception) -> NoReturn:
    reason = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}" if str(error) else type(error).__name__
    raise GradlabError(
        f"{path.name} to be a {path.suffix} file", f"something else ({reason})", "the right ending for what is in it"
    ) from error


def _no_target(target: str, names: Iterable[Any]) -> GradlabError:
    return unknown("target", target, map(str, names))


def _from_table(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    if not path.stat().st_size:
        raise GradlabError(f"rows in {path.name}", "an empty file", "writing it again")
    csv = path.suffix.lower() == ".csv"
    try:
        with path.open("rb") as source:  # of a name like file:x.csv, pandas would make an address
            table = pd.read_csv(source) if csv else pd.read_parquet(source)
        names = [str(name) for name in table.columns]
        if csv:  # pandas renames columns that have no name, or that of another
            with path.open("rb") as source:
                names = pd.read_csv(source, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0].tolist()
    except Exception as error:  # each reader has its own
        _not_what_it_says(path, error)
    table = _named(path, table, names)
    columns = list(table.columns)
    if target is None:
        raise GradlabError(
            "the column that holds the target", f"none of {', '.join(columns)}", f"target={columns[-1]!r}"
        )
    if target not in columns:
        raise _no_target(target, columns)
    if not columns[1:] or not len(table):
        raise GradlabError(
            "rows with a target and features", f"a table of {len(table)} x {len(columns)}", "another file"
        )
    features = [name for name in columns if name != target]
    x = np.stack([_column(path, name, table[name]) for name in features], 1)
    for name, values in zip(features, x.T, strict=True):
        if _counts(values):
            note(f"column {name!r} of {path.name} counts the rows, and is read as a feature like the others")
    y = table[target]
    return x, np.asarray(y.to_numpy(object)) if is_text(y) else _column(path, target, y)


def _named(path: Path, table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the table with the names of its header, each once, and without a column that is its index."""
    import pandas as pd

    mark = next((mark for mark in SEPARATORS if mark in names[0]), None) if len(names) == 1 else None
    if mark is not None:
        hint = f"pandas.read_csv(path, sep={mark!r}), and a file with commas"
        raise GradlabError(f"columns of {path.name} separated by commas", f"{names[0]!r} as one column", hint)
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        count = f"{twice!r} {names.count(twice)} times"
        raise GradlabError(f"each name once in the header of {path.name}", count, "renaming or dropping a column")
    example = next((name for name in names if re.fullmatch(r"[+-]?\d*\.\d+(e[+-]?\d+)?", name)), None)
    if example is not None:
        received = f"the number {example}"
        raise GradlabError(f"names in the first line of {path.name}", received, "a header above the data")
    if path.suffix.lower() == ".csv" and not isinstance(table.index, pd.RangeIndex):
        note(f"the rows of {path.name} have a value more than its header: the first one is taken as a row's name")
    table.columns = names
    if names[0] in ("", "Unnamed: 0") and _counts(table.iloc[:, 0].to_numpy()):
        note(f"the first column of {path.name} has no name and counts the rows: it is left out")
        table = table.iloc[:, 1:]
    if "" in table.columns:
        received = f"none for column {list(table.columns).index('') + 1}"
        raise GradlabError(f"a name for each column of {path.name}", received, "naming or dropping it")
    return table


def _counts(values: np.ndarray) -> bool:
    """Return whether these are the numbers of the rows: 0, 1, 2, ... or 1, 2, 3, ..."""
    if len(values) < _FEW or values.dtype.kind not in "fiu" or values[0] not in (0, 1):
        return False
    return bool(np.array_equal(values, np.arange(len(values)) + values[0]))


def _column(path: Path, name: str, column: pd.Series) -> np.ndarray:
    """Return a column as plain numbers; what is missing becomes NaN, which is refused later."""
    import pandas as pd

    kinds = pd.api.types
    if not (kinds.is_numeric_dtype(column) or kinds.is_bool_dtype(column)) or kinds.is_complex_dtype(column):
        numbers = pd.to_numeric(column.astype(str), errors="coerce")
        odd = column[numbers.isna().to_numpy() & column.notna().to_numpy()]  # what keeps the others from being numbers
        example = odd if len(odd) else column
        held = f"{column.dtype}" + (f", such as {example.iloc[0]!r}" if len(example) else "")
        hint = decimal_comma(column) or "encoding them as numbers first"
        raise GradlabError(f"numbers in column {name!r} of {path.name}", held, hint)
    if column.isna().any():
        return column.to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", None)))


def _from_npz(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # text, a single array, pickled objects: each has its own
        _not_what_it_says(path, error)
    target = target or "y"
    if target not in arrays:
        raise _no_target(target, arrays)
    rest = [name for name in arrays if name != target]
    if "x" not in rest and len(rest) != 1:
        raise GradlabError("an .npz with arrays x and y", f"arrays {', '.join(arrays)}", "np.savez(path, x=x, y=y)")
    return arrays["x" if "x" in rest else rest[0]], arrays[target]
