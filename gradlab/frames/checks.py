"""Check that a table is the frame of a run: its columns, their values, and that no layer is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab._types import COORDINATES, MEASURED
from gradlab.config.bounds import LARGEST_INTEGER, largest
from gradlab.frames.rows import CATEGORIES, KEY

#: Coordinates that hold whole numbers of at least 0, and the largest of each.
WHOLE: dict[str, int] = {
    "depth": largest("depth"), "layer": 2 * largest("depth"), "width": LARGEST_INTEGER, "batch": LARGEST_INTEGER,
    "seed": largest("seed"), "step": LARGEST_INTEGER, "fan_in": 2**53, "fan_out": 2**53,
}  # fmt: skip


def check_run(frame: pd.DataFrame, name: str = "the frame") -> None:
    """Refuse a table that is not the frame of a run, in one message that names the column.

    Parameters
    ----------
    frame : DataFrame
        The table to check.
    name : str
        What to call the table in the message.

    Raises
    ------
    GradlabError
        If the table is empty, a column is missing or holds values of another kind, a row stands twice, or a network
        lacks a hidden layer.
    """
    if frame.empty:
        raise GradlabError("a frame with rows", f"{name}, which is empty", "the sweep again")
    names = list(frame.columns)
    if not all(isinstance(column, str) for column in names) or len(set(names)) < len(names):
        raise GradlabError(
            "columns with a name each", f"{name} with {', '.join(map(repr, names))[:200]}", "the sweep again"
        )
    for column in COORDINATES:
        if column not in names:
            raise GradlabError(
                f"the column {column!r} in {name}", ", ".join(names)[:200] or "none", "the frame of a run"
            )
    for column in names:
        _check_column(column, frame[column], name)
    if (frame.loc[frame["layer"] >= 1, "depth"] < 1).any():
        raise GradlabError(f"depth of at least 1 in {name}", "0", "the sweep again")
    key = [column for column in ("run", *KEY, "batch", "loss", "data", "dtype") if column in frame]
    _check_layers(frame, key, name)


def _check_column(column: str, values: pd.Series, name: str) -> None:
    """Refuse a column whose values are not of the kind that its name stands for."""
    if column in CATEGORIES:
        held = values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else values.dropna().unique()
        missing = column in COORDINATES and values.isna().any()
        wrong = next((v for v in held if not isinstance(v, str)), None)
        if wrong is not None or missing:
            raise _other("text", column, name, "a missing value" if wrong is None else _repr(wrong))
    elif column in WHOLE or column in MEASURED or column in ("sigma_w2", "sigma_b2"):
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            raise _other("numbers", column, name, _repr(values.iloc[0]))
        if column in WHOLE:
            numbers, most = values.to_numpy(float, na_value=np.nan), WHOLE[column]
            wrong = ~((numbers >= 0) & (numbers <= most) & (numbers == np.floor(numbers)))
            if wrong.any():
                raise _other(f"whole numbers from 0 to {most:,}", column, name, f"{numbers[wrong][0]:g}")


def _check_layers(frame: pd.DataFrame, key: Sequence[str], name: str) -> None:
    """Refuse rows that stand twice, and networks that lack hidden layers."""
    twice = frame.duplicated(key)
    if twice.any():
        received = f"two of {_in_words(frame[twice].iloc[0], key)}"
        raise GradlabError(f"each row of {name} once", received, "the sweep again")
    hidden = frame[(frame["layer"] >= 1) & (frame["layer"] <= frame["depth"])]
    one = [column for column in key if column != "layer"]
    groups = hidden.groupby(one, observed=True, sort=False, dropna=False)["depth"]
    lacking = hidden[groups.transform("size") != hidden["depth"]]
    if len(lacking):
        row = lacking.iloc[0]
        rows = int(groups.get_group(tuple(row[one])).size)
        raise GradlabError(
            f"all {row['depth']:.0f} hidden layers of each network in {name}", f"{rows} of {_in_words(row, one)}",
            "the rows of whole networks",
        )  # fmt: skip


def _repr(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)[:80]


def _in_words(row: pd.Series, columns: Sequence[str]) -> str:
    return ", ".join(f"{column} {row[column]}" for column in columns)


def _other(kind: str, column: str, name: str, received: Any) -> GradlabError:
    return GradlabError(f"{kind} in the column {column!r} of {name}", str(received), "the frame as it was measured")
