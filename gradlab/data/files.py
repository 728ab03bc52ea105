"""Users' files as arrays: .npz, .csv, .parquet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gradlab._errors import GradlabError, unknown

if TYPE_CHECKING:
    import pandas as pd

#: Endings of files that are read.
SUFFIXES = (".npz", ".csv", ".parquet")


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
    told = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}" if str(error) else type(error).__name__
    raise GradlabError(
        f"{path.name} to be a {path.suffix} file", f"something else ({told})", "the right ending for what is in it"
    ) from error


def _no_target(target: str, names: Iterable[Any]) -> GradlabError:
    return unknown("target", target, map(str, names))


def _from_table(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    try:
        table = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except Exception as error:  # each reader has its own
        _not_what_it_says(path, error)
    columns = [str(name) for name in table.columns]
    if target is None:
        raise GradlabError(
            "the column that holds the target", f"none of {', '.join(columns)}", f"target={columns[-1]!r}"
        )
    if target not in columns:
        raise _no_target(target, columns)
    table.columns = columns
    if not columns[1:] or not len(table):
        raise GradlabError(
            "rows with a target and features", f"a table of {len(table)} x {len(columns)}", "another file"
        )
    x = np.stack([_column(path, name, table[name]) for name in columns if name != target], 1)
    return x, _column(path, target, table[target])


def _column(path: Path, name: str, column: pd.Series) -> np.ndarray:
    """A column as plain numbers; what is missing becomes NaN, which is found later."""
    import pandas as pd

    kinds = pd.api.types
    if not (kinds.is_numeric_dtype(column) or kinds.is_bool_dtype(column)) or kinds.is_complex_dtype(column):
        held = f"{column.dtype}" + (f", such as {column.iloc[0]!r}" if len(column) else "")
        raise GradlabError(f"numbers in column {name!r} of {path.name}", held, "encoding them as numbers first")
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
