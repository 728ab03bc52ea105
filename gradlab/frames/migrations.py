"""Convert frames of older schemas to the present one, one function for each version."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from gradlab.frames.rows import concat, default_of


def place_of_norms(table: pd.DataFrame) -> pd.DataFrame:
    """Bring schema 1 to schema 2: the place of a norm stands in `norm_position`, whatever the architecture.

    It was `order` ("pre" or "post") of a resnet, `norm` of a transformer, whose norm is a layer norm, and
    `norm_position` of the others. A column whose rows all hold the default of their architecture is left out.
    """
    if "architecture" not in table or not {"order", "norm"} & {*table}:
        return table
    kinds = table["architecture"].astype(object)
    transformer, resnet = kinds == "transformer", kinds == "resnet"
    column = lambda name: table[name].astype(object) if name in table else kinds.map(lambda k: default_of(k, name))
    norm, place = column("norm"), column("norm_position")
    for rows, name in ((resnet, "order"), (transformer, "norm")):
        if name in table:
            place = place.mask(rows, table[name].astype(object).map({"pre": "before", "post": "after"}))
    new = {"norm": norm.mask(transformer, "layer"), "norm_position": place}
    usual = {name: kinds.map(lambda k, name=name: default_of(k, name)) for name in new}
    differs = {
        name: not (values.eq(usual[name]) | values.isna() & usual[name].isna()).all() for name, values in new.items()
    }
    kept = table.drop(columns=[name for name in ("order", *new) if name in table])
    return concat([kept.assign(**{name: values for name, values in new.items() if differs[name]})])


#: The function that converts each older version of the schema to the next one.
MIGRATIONS: dict[int, Callable[[pd.DataFrame], pd.DataFrame]] = {1: place_of_norms}
