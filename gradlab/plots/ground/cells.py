"""What maps of cells share: what fits into a cell, how a lost one is hatched, and that each holds one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots.ground import words
from gradlab.plots.ground.tables import differing

#: Up to this many cells in a panel are annotated.
SMALL = 64
HATCHES = {"zero": "////", "failed": "xxxx"}


def third(table: pd.DataFrame, x: str, y: str) -> str | None:
    """Return the coordinate that differs within a cell, if it is one."""
    if (_networks(table, [y, x]) <= 1).all():
        return None
    rest = [name for name in differing(table, (x, y)) if name not in ("network", "sigma_w2", "sigma_b2")]
    return rest[0] if len(rest) == 1 else None


def one_network_a_cell(table: pd.DataFrame, by: Sequence[str]) -> None:
    """Refuse to average networks that are not the same, or steps of one."""
    several = _networks(table, by)
    if (several > 1).any():
        rest = [n for n in differing(table, by) if n != "network"] or ["network"]
        name = rest[0]
        value = getattr(table[name].iloc[0], "item", lambda first=table[name].iloc[0]: first)()
        raise GradlabError(
            f"one network in each cell of {' × '.join(by)}",
            f"up to {several.max()}, which differ in {words.listed(rest)}",
            f"frame[frame[{name!r}] == {value!r}], or col={name!r}",
        )


def _networks(table: pd.DataFrame, by: Sequence[str]) -> pd.Series:
    """Return how many networks there are in each cell; at another step a network is another one."""
    keys = [name for name in ("network", "step") if name in table]
    networks = table[[*dict.fromkeys([*by, *keys])]].drop_duplicates().assign(networks=1)
    counts: Any = networks.groupby(list(by), observed=True, dropna=False)["networks"].sum()
    return counts


def number(value: float) -> str:
    """Write decades for a cell: ``−19``, ``−1.9``, ``+0.07``; the sign says in a grey print what the colour is."""
    size = abs(value)
    digits = 0 if size >= 9.95 else 1 if size >= 0.095 else 2
    text = f"{value:+.{digits}f}"
    return (text.lstrip("+-") if float(text) == 0 else text).replace("-", "−")
