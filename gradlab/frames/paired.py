"""Two runs beside each other: the networks that both have, and their difference seed by seed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from gradlab._errors import GradlabError
from gradlab._types import COORDINATES
from gradlab.frames.rates_by_seed import log10_rates
from gradlab.frames.rows import extra_fields
from gradlab.frames.summaries import OF_A_LAYER

#: Coordinates that identify neither the configuration nor the setting of a network.
_NO_SETTING = ("network", "seed", *OF_A_LAYER)


class Pairs(NamedTuple):
    """Hold two runs beside each other, from `pairs`.

    Parameters
    ----------
    table : DataFrame
        A row for each network that both runs have.
    between : tuple of str
        Columns in which the two runs have no value in common: what was changed.
    alone : tuple of int
        How many networks only the first run has, and how many only the second.
    """

    table: pd.DataFrame
    between: tuple[str, ...]
    alone: tuple[int, int]


def pairs(before: pd.DataFrame, after: pd.DataFrame, *, level: float = 0.95, shared: bool = True) -> Pairs:
    """Compare rates and decades of the networks of two runs, seed by seed.

    Networks belong together where they agree in all coordinates, but for those in which the two runs have no value in
    common.

    Parameters
    ----------
    before, after : DataFrame
        Frames from `gradlab.frame`, `gradlab.run` or `gradlab.load`.
    level : float
        Level of the intervals.
    shared : bool
        Whether seeds of the same number share their random draws. False: nothing is paired.

    Returns
    -------
    Pairs
        Its table has the common coordinates, then ``rate_before rate_after ratio ratio_low ratio_high decades_before
        decades_after difference difference_low difference_high n paired``. `ratio` is the rate after over the rate
        before (geometric means), `difference` the decades after minus before. Where both runs have seeds in common,
        `n` counts them and each interval is a t-interval over their differences; elsewhere `paired` is False, `n` is
        the smaller number of seeds, and the interval is Welch's.

    Raises
    ------
    GradlabError
        If no network is in both runs, or several of one run belong to one of the other.
    """
    tables = [_by_seed(frame) for frame in (before, after)]
    known = [n for n in (*COORDINATES, *extra_fields()) if n not in _NO_SETTING and all(n in t for t in tables)]
    values = [{n: set(table[n].map(_comparable)) for n in known} for table in tables]
    between = [n for n in known if not values[0][n] & values[1][n]]
    key = [n for n in known if n not in between]
    for table, values_of in zip(tables, values, strict=True):
        if table.duplicated([*key, "seed"]).any():
            differing = [n for n in between if len(values_of[n]) > 1] or ["network"]
            raise GradlabError(
                "one network for each of the other run", f"several, which differ in {', '.join(differing)}",
                f"rows with one value of {differing[0]!r}",
            )  # fmt: skip
    groups = [dict(iter(table.groupby(key, dropna=False, sort=False, observed=True))) for table in tables]
    groups = [{tuple(map(_comparable, k)): g for k, g in one.items()} for one in groups]
    common = [k for k in groups[0] if k in groups[1]]
    if not common:
        raise GradlabError("networks that both runs have", "none in common", "runs that differ in few options")
    rows = [
        {**dict(zip(key, k, strict=True)), **_difference(groups[0][k], groups[1][k], level, shared)} for k in common
    ]
    return Pairs(pd.DataFrame(rows), tuple(between), (len(groups[0]) - len(common), len(groups[1]) - len(common)))


def _by_seed(frame: pd.DataFrame) -> pd.DataFrame:
    table = log10_rates(frame.drop(columns="run", errors="ignore"))
    return table.astype({n: object for n in table if isinstance(table[n].dtype, pd.CategoricalDtype)})


def _comparable(value: Any) -> Any:
    """Return one value for every way to say that there is none."""
    return None if value is None or value != value else value


def _difference(before: pd.DataFrame, after: pd.DataFrame, level: float, shared: bool) -> dict[str, Any]:
    """Compare one network of two runs."""
    both = [table.set_index("seed")[["log10_rate", "decades"]].astype(float) for table in (before, after)]
    common = both[0].index.intersection(both[1].index) if shared else both[0].index[:0]
    together = len(common) > 0
    if together:
        both = [table.loc[common] for table in both]
    row: dict[str, Any] = {}
    for column, name in (("log10_rate", "ratio"), ("decades", "difference")):
        one, two = (table[column].to_numpy() for table in both)
        with np.errstate(invalid="ignore"):  # two zeros have no ratio
            middle, half = _paired(two - one, level) if together else _welch(one, two, level)
        means = [_mean(one), _mean(two)]
        ends = (middle, middle - half, middle + half)
        if name == "ratio":
            means, ends = [10**m for m in means], tuple(10**e for e in ends)
        what = "rate" if name == "ratio" else "decades"
        row |= {f"{what}_before": means[0], f"{what}_after": means[1]}
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    return {**row, "n": len(common) if together else min(map(len, both)), "paired": together}


def _mean(values: np.ndarray) -> float:
    """Average values; NaN where one of them is not finite, because then the other ones alone would mislead."""
    return float(np.mean(values)) if len(values) and np.isfinite(values).all() else float("nan")


def _paired(differences: np.ndarray, level: float) -> tuple[float, float]:
    """Compute mean and half-width of the t-interval of differences; no half-width for one of them."""
    n = len(differences)
    mean = _mean(differences)
    if n < 2 or not np.isfinite(mean):
        return mean, float("nan")
    return mean, float(stdtrit(n - 1, (1 + level) / 2) * np.std(differences, ddof=1) / np.sqrt(n))


def _welch(one: np.ndarray, two: np.ndarray, level: float) -> tuple[float, float]:
    """Compute the difference of two means and the half-width of its interval, with Welch's degrees of freedom."""
    middle = _mean(two) - _mean(one)
    if min(len(one), len(two)) < 2 or not np.isfinite(middle):
        return middle, float("nan")
    parts = [np.var(values, ddof=1) / len(values) for values in (one, two)]
    total = sum(parts)
    if not total:
        return middle, 0.0
    freedom = total**2 / sum(p**2 / (len(v) - 1) for p, v in zip(parts, (one, two), strict=True))
    return middle, float(stdtrit(freedom, (1 + level) / 2) * np.sqrt(total))
