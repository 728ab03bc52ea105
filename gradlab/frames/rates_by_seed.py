"""Rates of single seeds as logarithms, with the columns that describe each network."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradlab._errors import unknown
from gradlab.frames.summaries import rates


def log10_rates(frame: pd.DataFrame, *also: str) -> pd.DataFrame:
    """Compute `gradlab.rates` by seed, with `log10_rate`: -inf where a delta is 0, NaN where one is not finite."""
    table = rates(frame, by="seed")
    with np.errstate(divide="ignore"):
        value = table["decades"] / (table["depth"] - 1).where(table["depth"] > 1)
    table["log10_rate"] = value.mask(table["n_zero"] > 0, -np.inf)
    for name in also:
        if name not in table:
            raise unknown("column", name, map(str, table.columns))
    return _constant_columns(frame, table)


def _constant_columns(frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Add the columns of the frame that are constant for a network at a step, such as a label that the user gave it."""
    lacking = [n for n in frame.columns if n not in table and not n.startswith("log10_")]
    keys = [n for n in ("network", "step") if n in frame and n in table]
    first = frame.drop_duplicates(keys).set_index(keys)
    constant = [n for n in lacking if (frame.groupby(keys, observed=True)[n].nunique(dropna=False) == 1).all()]
    return table.join(first[constant], on=keys)
