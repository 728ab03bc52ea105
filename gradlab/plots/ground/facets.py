"""Which coordinate has which role in a figure: colour, line, shade, row or column; and what must be held to fit."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradlab.frames.rows import extra_fields
from gradlab.plots.ground import words
from gradlab.plots.ground.tables import differing, levels, lines, matching, of_networks

#: More lines than this in one panel are not told apart.
MOST_LINES = 6
#: More panels than this below or beside one another are not read on a page of 7 inches.
MOST_ROWS, MOST_COLUMNS = 6, 4
#: Kinds of line that are told apart, beside colours.
_KINDS = 3


@dataclass(frozen=True)
class Arrangement:
    """The rows of a frame that fit into one figure, and the role of each coordinate that tells them apart.

    Parameters
    ----------
    frame : DataFrame
        What is drawn.
    hue, style, shade : str or None
        Coordinates of colour, of the kind of line, of light and dark.
    row, col : list of str
        Coordinates with a row, or a column, of panels for each of their values.
    note : str
        What is not drawn, how that was chosen, and what goes with what; empty where nothing needs saying.
    """

    frame: pd.DataFrame
    hue: str | None
    style: str | None
    shade: str | None
    row: list[str]
    col: list[str]
    note: str


def arrange(
    frame: pd.DataFrame,
    *,
    score: str | None = None,
    what: str = "what is drawn",
    most: tuple[int, int, int] = (MOST_LINES, MOST_ROWS, MOST_COLUMNS),
    without: Sequence[str] = (),
    first: Sequence[str] = (),
    shade: str | None = None,
    kinds: int = _KINDS,
) -> Arrangement:
    """Give each coordinate that tells networks apart a role, so that no panel has too many lines.

    Where they do not all fit, those that change the score least are held at one value: at the one at which the
    networks differ most, so that the interesting half of a grid is not the one that is missing. Of a coordinate with
    many values some are drawn, evenly spaced from the first to the last.

    Parameters
    ----------
    frame : DataFrame
        Of several networks.
    score : str, optional
        A column with one number for each network, which decides what is held.
    what : str
        The score in words, for the note.
    most : tuple of int
        Lines of a panel, rows and columns of panels.
    without : sequence of str
        Coordinates that need no role, such as the one on the x-axis.
    first : sequence of str
        Coordinates that get the colour before others do.
    shade : str, optional
        The coordinate of light and dark, if it differs.
    kinds : int
        Kinds of line.

    Returns
    -------
    Arrangement
    """
    frame = of_networks(frame)
    shade = shade if shade in frame and frame[shade].nunique() > 1 else None
    order = lambda names: sorted(names, key=lambda name: name not in first)
    names, followers = factors(frame, (*without, shade))
    before = _networks(frame)
    limits = most[0] // (frame[shade].nunique() if shade else 1), most[1], most[2]
    notes = []
    for name in names:
        frame, text = _thinned(frame, name, MOST_LINES)
        notes += [text] if text else []
    held: list[str] = []
    while (roles := _roles({n: len(levels(frame, n)) for n in order(names)}, limits, kinds)) is None:
        name = min(names, key=lambda n: _effect(frame, n, names, score))
        value = max(levels(frame, name), key=lambda v: _spread(matching(frame, {name: v}), names, score))
        others = [words.named(v) for v in levels(frame, name) if not _same(v, value)]
        held.append(f"{words.entry(name, value)} (not {words.listed(others)})")
        frame = matching(frame, {name: value})
        names, _ = factors(frame, (*without, shade))
    note = _note(_networks(frame), before, notes, held, what, score)
    note += "".join(f" {_goes_with(frame, a, b)}" for a, b in followers if a in names)
    return Arrangement(frame, roles["hue"], roles["style"], shade, roles["row"], roles["col"], note.strip())


def factors(frame: pd.DataFrame, without: Sequence[str | None] = ()) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the coordinates that tell the networks apart, and pairs of one of them and another that goes with it."""
    names = differing(frame, without)
    more = [n for n in extra_fields() if n in frame and n not in (*names, *without) and frame[n].nunique() > 1]
    table = frame[[*names, *more]].drop_duplicates()
    kept: list[str] = []
    followers = []
    for name in [*names, *more]:
        if kept and len(table[[*kept, name]].drop_duplicates()) == len(table[kept].drop_duplicates()):
            alone = [k for k in kept if len(table[[k, name]].drop_duplicates()) == table[k].nunique(dropna=False)]
            followers += [(alone[0], name)] if alone and name not in ("network", "sigma_w2", "sigma_b2") else []
        else:
            kept.append(name)
    return kept, followers


def panels(frame: pd.DataFrame, names: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return header and coordinates of each row or column of panels."""
    if not names:
        return [("", {})]
    ordered = frame[list(names)].drop_duplicates()
    place = {n: {v: i for i, v in enumerate(levels(frame, n))} for n in names}
    keys = [key for key, _ in lines(ordered, names)]
    keys.sort(key=lambda key: [place[n].get(v, len(place[n])) for n, v in key.items()])
    return [(", ".join(words.entry(n, v) for n, v in key.items()), key) for key in keys]


def _roles(counts: dict[str, int], limits: tuple[int, int, int], kinds: int) -> dict[str, Any] | None:
    """Return a role for each coordinate with its number of values; None where there is no room."""
    rest = dict(counts)
    roles: dict[str, Any] = {"hue": None, "style": None, "row": [], "col": []}
    room = limits[0]
    for role, most in (("hue", limits[0]), ("style", min(kinds, limits[0]))):
        fitting = [name for name, n in rest.items() if n <= min(most, room)]
        if fitting:
            roles[role] = fitting[0]
            room //= rest.pop(fitting[0])
    size = {"row": 1, "col": 1}
    limit = {"row": limits[1], "col": limits[2]}
    for name, n in sorted(rest.items(), key=lambda item: -item[1]):
        free = [side for side in size if size[side] * n <= limit[side]]
        if not free:
            return None
        side = min(free, key=lambda s: (size[s] * n / limit[s], s))
        size[side] *= n
        roles[side].append(name)
    for side in size:
        roles[side].sort(key=list(counts).index)
    return roles


def _thinned(frame: pd.DataFrame, name: str, most: int) -> tuple[pd.DataFrame, str]:
    """Return at most so many values of a coordinate, evenly spaced from the first to the last."""
    values = levels(frame, name)
    if len(values) <= most:
        return frame, ""
    places = np.linspace(0, len(values) - 1, most).round().astype(int)
    kept = [values[i] for i in places]
    mask = np.logical_or.reduce([frame[name].isna() if v != v else frame[name] == v for v in kept])
    return frame.loc[mask], f"{most} of {len(values)} values of {words.short(name)}, from first to last"


def _effect(frame: pd.DataFrame, name: str, names: Sequence[str], score: str | None) -> float:
    """Return by how much a coordinate changes the score while the others stay, on average."""
    if score is None:
        return -list(names).index(name)
    cells = _cells(frame, names, score)
    rest = [n for n in names if n != name]
    spans = cells.groupby(rest, observed=True, dropna=False)[score].agg(np.ptp) if rest else cells[score].agg([np.ptp])
    return float(spans.mean()) if spans.notna().any() else 0.0


def _spread(frame: pd.DataFrame, names: Sequence[str], score: str | None) -> float:
    """Return how far apart the networks lie."""
    if score is None:
        return 0.0
    values = _cells(frame, names, score)[score]
    return float(values.max() - values.min()) if values.notna().any() else 0.0


def _cells(frame: pd.DataFrame, names: Sequence[str], score: str) -> pd.DataFrame:
    finite = frame[np.isfinite(frame[score].to_numpy(float))]
    return finite.groupby(list(names), observed=True, dropna=False)[score].mean().reset_index()


def _networks(frame: pd.DataFrame) -> int:
    names = [n for n in ("run", "network", "batch", "loss", "data", "dtype") if n in frame]
    return len(frame[names].drop_duplicates())


def _note(
    drawn: int, known: int, thinned: Sequence[str], held: Sequence[str], what: str, score: str | None
) -> str:  # fmt: skip
    if not thinned and not held:
        return ""
    parts = [f"Drawn are {drawn} of {known} networks: {'; '.join([*held, *thinned])}."]
    if held and score is not None:
        parts.append(f"Held at one value is what changes {what} least.")
    return " ".join(parts)


def _goes_with(frame: pd.DataFrame, name: str, follower: str) -> str:
    """Say what goes with what: ``Learning rate: 0.1 with SGD and 0.001 with Adam.``"""
    pairs = frame[[name, follower]].drop_duplicates()
    if pairs[follower].nunique(dropna=False) < 2:
        return ""
    pairs_named = [
        f"{words.named(value)} with {words.entry(name, key)}" for key, value in pairs.itertuples(index=False)
    ]
    title = words.short(follower)
    return f"{title[:1].upper()}{title[1:]}: {words.listed(pairs_named)}."


def _same(a: Hashable, b: Hashable) -> bool:
    return a == b or (a != a and b != b)
