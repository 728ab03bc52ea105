"""From the frame to the rows that are drawn: checks, lines, summaries. Nothing is drawn here."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab._status import Status, concerns, is_whole
from gradlab._types import MEASURED
from gradlab.config import one_after_another
from gradlab.frames.rows import extra_fields
from gradlab.frames.summaries import BANDS, summarise
from gradlab.plots.ground import words
from gradlab.plots.ground.styles import Looks

#: Up to this many seeds are drawn one by one.
FEW_SEEDS = 8
#: Coordinates that tell networks apart, as a reader would name them.
TELLING: tuple[str, ...] = (
    "activation", "init", "optimizer", "depth", "width", "gain", "std", "bias", "readout", "architecture",
    "run", "loss", "data", "dtype", "batch", "step",
)  # fmt: skip


def checked(frame: Any, *needed: str) -> pd.DataFrame:
    """Return the frame if it has rows and the columns needed; raise an error that lists the nearest names if not."""
    if not isinstance(frame, pd.DataFrame):
        raise GradlabError("a frame", type(frame).__name__, "gl.frame(trace), gl.run(sweep) or gl.load(folder).frame")
    if frame.empty:
        raise GradlabError("a frame with rows", "none", "fewer conditions on the rows")
    for name in needed:
        require(frame, name)
    return frame


def require(frame: pd.DataFrame, name: str | None, kind: str = "column") -> None:
    """Refuse a column that the frame has not got."""
    if name is not None and name not in frame.columns:
        raise unknown(kind, name, map(str, frame.columns))


def levels(frame: pd.DataFrame, name: str | None) -> list[Hashable]:
    """Return the values of a column: categories in their order, numbers sorted, the rest in order of appearance."""
    if name is None:
        return []
    column = frame[name]
    values_of = list(column.unique())
    if isinstance(column.dtype, pd.CategoricalDtype):
        order = {value: i for i, value in enumerate(column.cat.categories)}
        return sorted(values_of, key=lambda value: order.get(value, len(order)))
    if pd.api.types.is_numeric_dtype(column):
        return sorted(values_of)
    return values_of


def differing(frame: pd.DataFrame, without: Sequence[str | None] = ()) -> list[str]:
    """Return the coordinates that differ between networks, those that a reader would name first.

    Variances follow from the initialiser: they are named only where nothing else tells two networks apart. Neither is
    a learning rate that follows from the optimiser, or another field that is not in `TELLING`.
    """
    varying = [name for name in TELLING if name in frame and frame[name].nunique(dropna=False) > 1]
    for name in extra_fields():
        if name in frame and name not in TELLING and _adds(frame, varying, name):
            varying.append(name)
    if "width" in varying and "network" in frame:  # a coordinate of the network, if all its layers are alike
        hidden = frame[frame["layer_name"] != "readout"] if "layer_name" in frame else frame
        within = hidden.groupby("network", observed=True)["width"].nunique()
        if (within > 1).any() or hidden["width"].nunique() == 1:
            varying.remove("width")
    if "network" in frame:
        for name in ("sigma_w2", "sigma_b2", "network"):
            if name in frame and not _told_apart(frame, varying) and frame[name].nunique(dropna=False) > 1:
                varying.append(name)
    return [name for name in varying if name not in without]


def of_networks(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with what is the network's own in all its rows, where a row has its layer's.

    The width of its hidden layers, if they are alike (the readout's is no coordinate of the network); the activations
    of all of them, if they differ.
    """
    if {"activation", "network", "layer", "layer_name"} <= set(frame.columns):
        frame = _all_activations(frame)
    if not {"width", "network", "layer_name"} <= set(frame.columns):
        return frame
    hidden_width = frame["width"].where((frame["layer_name"] != "readout") & (frame["layer"] >= 1))
    groups = hidden_width.groupby(frame["network"], observed=True)
    alike = groups.transform("nunique") == 1
    return frame.assign(width=groups.transform("first").where(alike, frame["width"]).astype(frame["width"].dtype))


def _all_activations(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the activations of a network whose layers differ in them as one text in all its rows."""
    counts = frame.groupby("network", observed=True)["activation"].nunique()
    several = counts.index[counts > 1]
    if not len(several):
        return frame
    column = frame["activation"].astype(object)
    for network in several:
        rows = (frame["network"] == network).to_numpy(bool)
        hidden = frame[rows & (frame["layer_name"] != "readout").to_numpy(bool) & (frame["layer"] >= 1).to_numpy(bool)]
        in_order = hidden.drop_duplicates("layer").sort_values("layer")["activation"]
        column = column.mask(rows, one_after_another(in_order.astype(str)))
    return frame.assign(activation=pd.Categorical(column, categories=column.unique()))


def _adds(frame: pd.DataFrame, names: Sequence[str], name: str) -> bool:
    """Return whether a coordinate tells networks apart that the others do not."""
    table = frame[[*names, name]].drop_duplicates()
    return len(table) > (len(table[list(names)].drop_duplicates()) if names else 1)


def _told_apart(frame: pd.DataFrame, names: Sequence[str]) -> bool:
    if not names:
        return bool(frame["network"].nunique() == 1)
    groups = frame.groupby(list(names), observed=True, sort=False, dropna=False)
    counts: Any = groups["network"].nunique()
    return bool((counts == 1).all())


def looks(
    frame: pd.DataFrame, hue: str | None, style: str | None, without: Sequence[str] = (), shade: str | None = None
) -> Looks:
    """Return colours and lines by the columns asked for; by the first that differ where none was."""
    for name in (hue, style, shade):
        require(frame, name)
    without = (*without, shade) if shade is not None else without
    if hue is None and style is None:
        chosen = [n for n in differing(frame, without) if len(levels(frame, n)) <= 12 and n != "network"]
        hue, style = (*chosen, None, None)[:2]
        if style is not None and len(levels(frame, style)) > 4:
            style = None
    if style is not None and style == hue:
        style = None
    values = [levels(frame, name) for name in (hue, style, shade)]
    return Looks(hue, style, values[0], values[1], shade=shade, shades=values[2])


def listed(names: str | Sequence[str] | None, frame: pd.DataFrame) -> list[str]:
    """Return the columns asked for, one or several or none; refuse what the frame lacks."""
    names = [] if names is None else [names] if isinstance(names, str) else list(names)
    for name in names:
        require(frame, name)
    return names


def chosen_band(frame: pd.DataFrame, band: str | None) -> Any:
    """Return the band asked for; else each seed where they are few, the interval of the mean where they are many."""
    if band is None:
        return "seeds" if frame["seed"].nunique() <= FEW_SEEDS else "ci95"
    if band not in BANDS:
        raise unknown("band", band, BANDS)
    return band


def summaries(
    frame: pd.DataFrame, by: Sequence[str], column: str, band: str
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return what is drawn of a column: the means with their band, and each seed where `band` is "seeds"."""
    if column not in frame.columns:
        raise unknown("column", column, [c for c in frame.columns if c in MEASURED] or list(MEASURED))
    rows = frame
    if "status" in frame:  # a measure that does not apply, such as the saturation of ReLU, is no failure
        rows = frame[~(frame[column].isna() & whole(frame))]
    if rows.empty:
        name = words.described(column)
        raise GradlabError(f"{name} to be measured in some row", f"only missing values of {column}", "another column")
    means = summarise(rows, by, column, "ci95" if band == "seeds" else band)
    return means, summarise(rows, by, column, "seeds") if band == "seeds" else None


def whole(frame: pd.DataFrame) -> pd.Series:
    """Return which rows were measured as they should be, though their status may say what to know of them."""
    return frame["status"].map(is_whole).astype(bool)


def without_gradient(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return rows that have nothing in a column because their layer has no gradient, as a frozen one."""
    if "status" not in frame:
        return frame.iloc[:0]
    frozen = frame["status"].map(lambda text: concerns(text, Status.NO_GRADIENT)).astype(bool)
    return frame.loc[frame[column].isna() & frozen]


def lines(table: pd.DataFrame, keys: Sequence[str]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Return the rows of each line, with the coordinates that all of them share."""
    if not keys:
        return [({}, table)]
    groups = table.groupby(list(keys), observed=True, sort=False, dropna=False)
    return [(dict(zip(keys, key, strict=True)), rows) for key, rows in groups]


def matching(table: pd.DataFrame, key: dict[str, Any]) -> pd.DataFrame:
    """Return the rows that have these coordinates; NaN is one of them."""
    keep = np.ones(len(table), dtype=bool)
    for name, value in key.items():
        column = table[name]
        keep &= (column.isna() if value != value else column == value).to_numpy(dtype=bool)
    return table.loc[keep]


def hidden(frame: pd.DataFrame, readout: bool = False) -> pd.DataFrame:
    """Return the rows that stand at a layer; those of a cell's failure, or of shared weights, have layer 0."""
    keep = frame["layer"] >= 1
    if not readout and "layer_name" in frame:
        keep &= frame["layer_name"] != "readout"
    return frame.loc[keep]


def some_layers(table: pd.DataFrame, layers: Sequence[int] | None, most: int | None = None) -> list[int]:
    """Return the layers asked for, if the table has them; else all of them, or `most` from the first to the last."""
    known = sorted(int(v) for v in table["layer"].unique())
    if layers is None:
        places = np.linspace(0, len(known) - 1, min(most or len(known), len(known))).round().astype(int)
        return [known[i] for i in places]
    for layer in layers:
        if layer not in known:
            some = f"layers=[{known[0]}, {known[-1]}]"
            raise GradlabError(f"layers among {known[0]} … {known[-1]}", repr(layer), some)
    return [int(layer) for layer in layers]


def failures(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows of cells of which nothing was measured."""
    if "status" not in frame:
        return frame.iloc[:0]
    return frame.loc[(frame["layer"] < 1) & (frame["status"] != "ok")]
