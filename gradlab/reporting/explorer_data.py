"""What an explorer holds of a frame: means, intervals and single seeds of each column, verdicts and lines of theory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab._types import MEASURED
from gradlab.frames.predictions import NOT_PREDICTED
from gradlab.frames.summaries import BACKWARD, is_share, summarise
from gradlab.frames.summaries import rates as rates_of
from gradlab.plots.ground import words as names
from gradlab.plots.ground.overlay import ABSOLUTE, Overlay, predicted_line
from gradlab.plots.ground.styles import COLOURS, LIGHTEST, LINES, MARKERS, SEQUENTIAL
from gradlab.plots.ground.tables import checked, differing, hidden, levels, of_networks, require
from gradlab.plots.layers.gradient_flow import SIGNALS, of_strangers
from gradlab.reporting import tables, words
from gradlab.reporting.pieces import label

#: Bytes of data beyond which single seeds, and then columns, are left out, so that a page stays under 1.5 MB.
LARGEST = 1_440_000
#: Decimals of a logarithm, and digits of any other number.
DECIMALS, DIGITS = 4, 5
#: Colours of the scale for numbers.
_SHADES = 33


def explorer_data(
    frame: pd.DataFrame, value: str | None, theory: Any, title: str | None, command: str
) -> tuple[str, str]:
    """Return the data of an explorer as JSON, and the page's title.

    Parameters
    ----------
    frame, value, theory, title
        As in `gradlab.explore`.
    command : str
        What made the frame; empty where that is not known.
    """
    frame = of_networks(checked(frame, "layer", "seed"))
    if value is not None:
        require(frame, value, "measured column")
    for name, default in (("step", 0), ("network", "")):
        if name not in frame:
            frame = frame.assign(**{name: default})
    rows = hidden(frame)
    if rows.empty:
        raise GradlabError("a frame in which something was measured", "only networks that failed", "another frame")
    keys = tables.keys(rows)
    groups = rows.groupby(keys, observed=True, sort=False, dropna=False)
    rows = rows.assign(place=groups.ngroup())
    first = rows.drop_duplicates("place").sort_values("place")
    measured = [c for c in (*SIGNALS, *MEASURED) if c in rows and pd.api.types.is_numeric_dtype(rows[c])]
    measured = [c for c in dict.fromkeys([*([value] if value else []), *measured]) if rows[c].notna().any()]
    if not measured:
        raise GradlabError("a frame with measured columns", "none", "gl.frame(gl.measure(net, x, y))")

    coordinates = [name for name in differing(rows) if name != "step"]
    if not coordinates and first["network"].nunique() > 1:
        coordinates = ["network"]
    known = {name: levels(rows, name) for name in coordinates}
    networks, which = _networks(first, keys, coordinates, known)
    steps = [int(step) for step in np.unique(first["step"])]
    over = None if theory is None else Overlay(theory, rows)
    judged = _judged(frame, first, keys, over)
    texts: dict[str, int] = {}
    number = lambda text: texts.setdefault(text, len(texts))
    places = []
    for place, row in enumerate(first.to_dict("records")):
        rows_of_place = {"network": which[place], "step": steps.index(int(row["step"])), **judged[place]}
        places.append(rows_of_place)
    for place, rows_of_place in rows.groupby("place", sort=True):
        places[place] |= {
            "layers": np.unique(rows_of_place["layer"]).tolist(),
            "seeds": np.unique(rows_of_place["seed"]).tolist(),
        }
    if over is not None:
        _add_theory(places, rows, measured, over, number)
    used = len(json.dumps([places, networks, list(texts)], separators=(",", ":"), ensure_ascii=False).encode())
    columns, left_out, without_seeds = _within(*_columns(rows, measured), LARGEST - used)
    strange = of_strangers(rows)
    title = title or _title(first)
    data = {
        "title": title,
        "command": command,
        "steps": steps,
        "coordinates": [_coordinate(rows, name, known[name]) for name in coordinates],
        "networks": networks,
        "places": places,
        "texts": list(texts),
        "names": _layer_names(rows) if strange else None,
        "x": label("layer") if not strange else [["layer of the model", ""]],
        "x_from_loss": label("from_loss"),
        "failed": int(frame["network"].nunique() - first["network"].nunique()),
        "left_out": [names.described(c) for c in left_out],
        "without_seeds": [names.described(c) for c in without_seeds],
        "decimals": DECIMALS,
        "digits": DIGITS,
        "level": judged[0].get("level", ""),
        "compared": _compared(rows) if over is not None else "",
        "looks": {
            "colours": COLOURS, "markers": MARKERS, "lines": [[] if d == "-" else list(d[1]) for d in LINES],
            "scale": _scale(),
        },
        "first": _first(known, value or _opening(columns), over is not None),
        "values": {},
    }  # fmt: skip
    described = {
        name: {
            "label": label(name, rows), "text": names.described(name),
            "log": name.startswith("log10_") or name == "delta_log10_mean", "share": is_share(name),
        }
        for name in columns
    }  # fmt: skip
    data["columns"] = described
    values = ",".join(f"{json.dumps(name)}:{text}" for name, text in columns.items())
    head = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return head.replace('"values":{}', f'"values":{{{values}}}', 1), title


def _title(first: pd.DataFrame) -> str:
    networks = words.counted(first["network"].nunique(), "network")
    steps = first["step"].nunique()
    return f"Gradients of {networks}" + (f" at {steps} steps of their training" if steps > 1 else "")


def _compared(rows: pd.DataFrame) -> str:
    """Say which mean the predicted rate is, because the measured rate beside it may be another one."""
    if BACKWARD[0] not in rows:
        return ""
    return "Measured over predicted is for each example by itself; the measured rate beside it pools all examples."


def _opening(columns: Mapping[str, str]) -> str:
    """Return the column that is drawn at first."""
    return next((name for name in (SIGNALS[1], SIGNALS[2], SIGNALS[0]) if name in columns), next(iter(columns)))


def _networks(
    first: pd.DataFrame, keys: Sequence[str], coordinates: Sequence[str], known: Mapping[str, Sequence[Any]]
) -> tuple[list[dict[str, Any]], list[int]]:
    """Return label and coordinates of each network, and for each place the network that it belongs to."""
    others = [name for name in keys if name != "step"]
    number = first.groupby(others, observed=True, sort=False, dropna=False).ngroup()
    networks = []
    for row in first[~number.duplicated().to_numpy()].to_dict("records"):
        parts = [names.labelled(name, row[name]) for name in coordinates]
        text = ", ".join(parts) or ("model" if of_strangers(first) else names.setting(first) or "network")
        networks.append({"label": text, "at": [_index(known[name], row[name]) for name in coordinates]})
    return networks, number.tolist()


def _index(values: Sequence[Any], value: Any) -> int:
    """Return where a value stands among those of its coordinate; NaN is one of them."""
    return next(i for i, v in enumerate(values) if v == value or (v != v and value != value))


def _coordinate(rows: pd.DataFrame, name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return name and values of a coordinate in words."""
    numeric = len(values) > 2 and pd.api.types.is_numeric_dtype(rows[name]) and rows[name].dtype != bool
    return {
        "name": name,
        "text": names.short(name),
        "values": [names.spoken(v) for v in values],
        "entries": [names.labelled(name, v) for v in values],
        "scale": bool(numeric),
    }


def _layer_names(rows: pd.DataFrame) -> dict[str, str]:
    named = rows.drop_duplicates("layer")
    return {str(n): str(text) for n, text in zip(named["layer"], named["layer_name"], strict=True)}


def _scale() -> list[str]:
    """Return the colours of a scale for numbers, from dark to light."""
    scale = matplotlib.colormaps[SEQUENTIAL]
    return [matplotlib.colors.to_hex(scale(LIGHTEST * i / (_SHADES - 1))) for i in range(_SHADES)]


def _first(known: Mapping[str, Sequence[Any]], value: str, theory: bool) -> dict[str, Any]:
    """Return what the page shows at first: two coordinates by colour and line, one value of each other coordinate."""
    looks = [name for name in known if name != "depth" and len(known[name]) <= len(COLOURS)]
    hue = next(iter(looks), next(iter(known), ""))
    style = next((name for name in looks if name != hue and len(known[name]) <= len(LINES)), "")
    place = lambda name: len(known[name]) - 1 if name == "depth" else 0
    shown = {name: [place(name)] for name in known if name not in (hue, style)}
    return {"y": value, "hue": hue, "style": style, "shown": shown, "theory": theory}


def _judged(
    frame: pd.DataFrame, first: pd.DataFrame, keys: Sequence[str], over: Overlay | None
) -> list[dict[str, Any]]:
    """Return verdict, rate and decades of each place in words, and the predicted rate or why there is none."""
    if not any(c in frame for c in BACKWARD[1:]):
        return [{} for _ in range(len(first))]
    of_place = {tuple(map(str, row)): i for i, row in enumerate(first[list(keys)].itertuples(index=False, name=None))}
    made: list[dict[str, Any]] = [{} for _ in of_place]
    table = rates_of(frame)
    beside = rates_of(frame, theory=over.theory).to_dict("records") if over is not None else [None] * len(table)
    for row, predicted in zip(table.to_dict("records"), beside, strict=True):
        place = of_place.get(tuple(str(row[name]) for name in keys))
        if place is None:  # a network of which nothing was measured
            continue
        facts = {
            "verdict": str(row["verdict"]), "rate": words.paren(row["rate"], row["low"], row["high"]),
            "decades": words.paren(row["decades"], row["decades_low"], row["decades_high"]),
            "level": f"{100 * row['level']:g} %",
        }  # fmt: skip
        if predicted is not None and np.isfinite(predicted["predicted"]):
            facts["predicted"] = f"{predicted['predicted']:.4g}"
            facts["ratio"] = words.paren(predicted["ratio"], predicted["ratio_low"], predicted["ratio_high"])
        elif predicted is not None:
            facts["refused"] = str(predicted["refused"])
        made[place] = facts
    return made


def _columns(rows: pd.DataFrame, measured: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the numbers of each column as JSON, with single seeds and without them.

    For each place a column has ``m`` (mean by layer), ``l`` and ``h`` (its interval), and ``s`` (each seed by layer).
    """
    blocks = []
    for _, rows_of_place in rows.groupby("place", sort=True):
        layers, at = np.unique(rows_of_place["layer"].to_numpy(), return_inverse=True)
        seeds, seed_places = np.unique(rows_of_place["seed"].to_numpy(), return_inverse=True)
        blocks.append((len(layers), len(seeds), at, seed_places, rows_of_place))
    with_seeds, means = {}, {}
    for column in measured:
        table = summarise(rows, ["place", "layer"], column).sort_values(["place", "layer"])
        summary = dict(tuple(table.groupby("place", sort=True)))
        parts, short = [], []
        for place, (layers, seeds, at, seed_places, rows_of_place) in enumerate(blocks):
            part = summary[place]
            zero = (part["n"] == 0) & (part["n_zero"] > 0)
            entry = {"m": _numbers(column, part["mean"].mask(zero, -np.inf))}
            if seeds > 1:
                entry |= {"l": _numbers(column, part["low"]), "h": _numbers(column, part["high"])}
            short.append(entry)
            values = np.full((seeds, layers), np.nan)
            values[seed_places, at] = rows_of_place[column].to_numpy(float)
            parts.append({**entry, "s": [_numbers(column, line) for line in values]} if seeds > 1 else entry)
        with_seeds[column], means[column] = (json.dumps(p, separators=(",", ":")) for p in (parts, short))
    return with_seeds, means


def _within(
    with_seeds: Mapping[str, str], means: Mapping[str, str], room: int
) -> tuple[dict[str, str], list[str], list[str]]:
    """Choose what fits into so many bytes: means of as many columns as possible in their order, then their seeds."""
    columns, left_out, bare = {}, [], []
    for name, text in means.items():
        if len(text) <= room:
            columns[name] = text
            room -= len(text)
        else:
            left_out.append(name)
    if not columns:
        needed = min(map(len, means.values()))
        raise GradlabError(
            "a frame whose means fit into one page", f"{needed / 1e6:.1f} MB of them",
            'fewer networks or steps, as gl.explore(frame[frame["step"] == 0])',
        )  # fmt: skip
    for name in columns:
        more = len(with_seeds[name]) - len(means[name])
        if more <= room:
            columns[name] = with_seeds[name]
            room -= more
        else:
            bare.append(name)
    return columns, left_out, bare


def _numbers(column: str, values: Any) -> list[float | str | None]:
    """Return rounded numbers as JSON has them: absent ones as null, infinite ones as "-" and "+"."""
    log = column.startswith("log10_") or column == "delta_log10_mean"
    made: list[float | str | None] = []
    for value in np.asarray(values, float).tolist():
        if value != value:
            made.append(None)
        elif value in (np.inf, -np.inf):
            made.append("+" if value > 0 else "-")
        else:
            short = round(value, DECIMALS) if log else float(f"{value:.{DIGITS - 1}e}")
            made.append(int(short) if short == int(short) and abs(short) < 1e15 else short)
    return made


def _add_theory(
    places: list[dict[str, Any]], rows: pd.DataFrame, columns: Sequence[str], over: Overlay, number
) -> None:
    """Add to each place theory's line of each column, or the number of the text that says why there is none."""
    for place, rows_of_place in rows.groupby("place", sort=True):
        predicted = over.theory.get(str(rows_of_place["network"].iloc[0]), NOT_PREDICTED)
        lines: dict[str, Any] = {}
        for column in columns:
            values, text = predicted_line(predicted, rows_of_place, column)
            if values is None:
                lines[column] = {"why": number(text)}
                continue
            if column not in ABSOLUTE:
                last = rows_of_place.loc[rows_of_place["layer"] == rows_of_place["layer"].max(), column].to_numpy(float)
                last = last[np.isfinite(last)]
                values = values + (last.mean() if len(last) else np.nan)
                text = f"{text}, set to the measured value there"
            lines[column] = {"v": _numbers(column, values), "what": number(text)}
        places[place]["theory"] = lines
