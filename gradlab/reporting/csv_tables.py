"""Tables of an experiment as CSV files from which they come back with nothing lost."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab._files import file_name, inside, read_text, write_text

_WHOLE = re.compile(r"-?\d+")
#: How an answer that may be undecided stands in a file.
ANSWERS: dict[str, bool | None] = {"true": True, "false": False, "open": None}


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write each table as ``NAME.csv``, with as many digits as each number has.

    Parameters
    ----------
    folder : Path
        Where the files are written; it must exist.
    tables : mapping of str to DataFrame
        Of numbers, texts, and answers (`True`, `False`, or `None` where undecided). Numbers and texts that are missing,
        empty texts too, come back as NaN. The index is not written.

    Raises
    ------
    GradlabError
        Where a name cannot be that of a file, or a table would come back as another one: its index has a name, a text
        reads as a number, a cell holds something else.
    """
    texts = {}
    for name, table in tables.items():
        if name != file_name(name):
            raise GradlabError("the name of a file", repr(name), repr(file_name(name)))
        if any(level is not None for level in table.index.names):
            named = ", ".join(str(level) for level in table.index.names)
            raise GradlabError(f"all of the table {name!r} in its columns", f"an index {named}", "table.reset_index()")
        written = pd.DataFrame({column: _answers(table[column]) for column in table})
        texts[name] = written.to_csv(index=False, lineterminator="\n")
        back = _read(texts[name])
        for column in table if len(table) else ():
            if not _same(table[column], back[column]):
                received = f"the column {column!r} of {name!r}, which comes back as {back[column].dtype}"
                raise GradlabError("numbers, texts or answers, which a CSV file keeps", received, "astype(str)")
    for name, text in texts.items():
        write_text(inside(folder, f"{name}.csv"), text)


def read_tables(folder: Path, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Read the tables that `write_tables` wrote.

    Parameters
    ----------
    folder : Path
        Where the files lie.
    names : iterable of str
        Of the tables, which are those of the files without their ending.

    Returns
    -------
    dict of str to DataFrame
        Numbers are those that were written, to the last bit; categories are plain text.
    """
    return {name: _read(read_text(folder, f"{name}.csv")) for name in names}


def _read(text: str) -> pd.DataFrame:
    # texts are turned into numbers here: how exact pandas does it depends on its version
    cells = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    return pd.DataFrame({column: _column(cells[column].tolist()) for column in cells})


def _column(cells: list[str]) -> Any:
    """Return a column of answers, whole numbers, numbers or texts, the first kind that all cells are."""
    known = [cell for cell in cells if cell]
    if known and set(known) <= set(ANSWERS):
        return pd.Series([ANSWERS.get(cell, np.nan) for cell in cells], dtype=object)
    if cells and all(_WHOLE.fullmatch(cell) for cell in cells):
        return np.array([int(cell) for cell in cells])
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return pd.Series([cell or np.nan for cell in cells], dtype=object)


def _answers(column: pd.Series) -> pd.Series:
    """Write answers in words; return any other column as it is."""
    word = {answer: text for text, answer in ANSWERS.items()}
    if all(value is None or isinstance(value, (bool, np.bool_)) for value in column):
        return pd.Series([word[value if value is None else bool(value)] for value in column], column.index, object)
    return column


def _same(one: pd.Series, other: pd.Series) -> bool:
    """Return whether two columns hold the same, whatever types pandas keeps it in."""
    if pd.api.types.is_numeric_dtype(one) and not pd.api.types.is_bool_dtype(one):
        # single precision is written as short as it can be
        return pd.api.types.is_numeric_dtype(other) and np.array_equal(
            one.to_numpy(), other.to_numpy().astype(one.to_numpy().dtype), equal_nan=True
        )
    answers = any(isinstance(value, bool) for value in other)
    absent = lambda value: isinstance(value, float) and math.isnan(value)
    missing = lambda value: absent(value) or (isinstance(value, str) and not value) or (value is None and not answers)
    alike = lambda a, b: (missing(a) and missing(b)) or (type(_plain(a)) is type(_plain(b)) and a == b)
    return all(alike(a, b) for a, b in zip(one.astype(object), other.astype(object), strict=True))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
