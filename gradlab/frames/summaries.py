"""Summaries of the frame: means over seeds with a band, and the table of rates and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit, logit, stdtrit

from gradlab._errors import GradlabError, unknown
from gradlab._types import COORDINATES, MEASURED
from gradlab.config import one_after_another
from gradlab.frames.rows import KEY, extra_fields
from gradlab.measurement.slope import rate
from gradlab.measurement.verdict import NAMES, judge, numbers

if TYPE_CHECKING:
    from gradlab.theory.prediction import Prediction
    from gradlab.theory.refusal import Refusal

Band = Literal["ci95", "sd", "range", "seeds"]
#: Kinds of band about a mean: a 95 % interval, the standard deviation, the range, or every seed.
BANDS: tuple[str, ...] = ("ci95", "sd", "range", "seeds")
#: Columns that have a rate. Finite-width laws hold for the first one.
BACKWARD: tuple[str, ...] = ("delta_log10_mean", "log10_delta_rms")
#: Coordinates that differ from layer to layer of one network.
OF_A_LAYER: tuple[str, ...] = ("layer", "layer_name", "fan_in", "fan_out", "status")


def summarise(
    frame: pd.DataFrame,
    by: str | Sequence[str],
    columns: str | Sequence[str] | None = None,
    band: Band = "ci95",
) -> pd.DataFrame:
    """Average columns over seeds, with a band, and count the rows that could not enter the mean.

    A ``log10_`` column is averaged as it stands, which is the geometric mean of the quantity. Rows of
    one seed in one group are averaged first: networks of one seed share their random draws, so only
    seeds are independent, and the band is over seeds.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`.
    by : str or sequence of str
        Columns whose values make a group.
    columns : str or sequence of str, optional
        Columns to average. None: all measured ones.
    band : {"ci95", "sd", "range", "seeds"}
        The 95 % t-interval of the mean; mean ± standard deviation; smallest and largest value; or every seed by itself
        (one row for each, with its number in `seed`, and `low` = `mean` = `high`). The interval of a share, such as an
        accuracy, is a t-interval of its logit, and mean ± standard deviation is cut at 0 and 1, so that no end lies
        outside. Where all seeds have 0, or all have 1, both ends are that value.

    Returns
    -------
    DataFrame
        One row per group and column: the columns of `by`, then ``column mean low high n n_zero n_not_finite``.
        `n` counts seeds in the mean; `n_zero` (``-inf``, a true zero) and `n_not_finite` (NaN, ``+inf``)
        count rows left out of it. `mean` is NaN where no row is finite; `low` and `high` are NaN without a band.

    Raises
    ------
    GradlabError
        If a column is not in the frame or does not hold numbers.
    """
    groups = _listed(frame, "column to group by", by)
    if not groups:
        raise GradlabError("at least one column to group by", "none", 'by=["layer"]')
    if band not in BANDS:
        raise unknown("band", band, BANDS)
    if columns is None:
        columns = [name for name in MEASURED if name in frame]
    names = _listed(frame, "column to summarise", columns)
    for name in names:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise GradlabError("a column of numbers to summarise", name, 'columns="log10_delta_rms"')
    if band == "seeds":
        groups = list(dict.fromkeys([*groups, "seed"]))
    seeds = list(dict.fromkeys([*groups, "seed"]))
    return pd.concat([_column_summary(frame, groups, seeds, name, band) for name in names], ignore_index=True)


def _listed(frame: pd.DataFrame, kind: str, names: str | Sequence[str]) -> list[str]:
    """Return `names` as a list, and refuse names that are no columns of the frame."""
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in frame.columns:
            raise unknown(kind, name, map(str, frame.columns))
    return list(dict.fromkeys(names))


def _column_summary(frame: pd.DataFrame, groups: list[str], seeds: list[str], column: str, band: str) -> pd.DataFrame:
    value = frame[column].astype(np.float64)
    finite = np.isfinite(value)
    zero = np.isneginf(value)
    cells = frame[seeds].assign(value=value.where(finite), zero=zero, other=~finite & ~zero)
    options: dict[str, Any] = {"observed": True, "sort": False, "dropna": False}
    counts: Any = cells.groupby(groups, **options)[["zero", "other"]].sum()
    per_seed = cells.groupby(seeds, **options)["value"].mean().reset_index()
    stats = per_seed.groupby(groups, **options)["value"].agg(["mean", "std", "count", "min", "max"])
    low, high = _band(stats, band, is_share(column))
    table = pd.DataFrame(
        {
            "column": column,
            "mean": stats["mean"],
            "low": low,
            "high": high,
            "n": stats["count"].astype(np.int64),
            "n_zero": counts["zero"].astype(np.int64),
            "n_not_finite": counts["other"].astype(np.int64),
        },
        index=stats.index,
    )
    return table.reset_index()


def is_share(column: str) -> bool:
    """Say whether a column holds shares of a whole, which lie from 0 to 1."""
    return column == "accuracy" or column.endswith(("_fraction", "_accuracy"))


def _band(stats: Any, band: str, share: bool) -> tuple[pd.Series, pd.Series]:
    if band in ("range", "seeds"):
        return stats["min"], stats["max"]
    mean, half = stats["mean"], stats["std"]  # NaN for a single seed, and so is the band
    if band == "ci95":
        n = stats["count"].where(stats["count"] > 1)
        half = half * stdtrit(n - 1, 0.975) / np.sqrt(n)
        if share:
            return _within(mean, half, -1), _within(mean, half, 1)
    low, high = mean - half, mean + half
    return (low.clip(lower=0), high.clip(upper=1)) if share else (low, high)


def _within(mean: pd.Series, half: pd.Series, side: int) -> pd.Series:
    """Compute one end of a share's interval: the half-width becomes one of the logit, and the end is mapped back.

    The logit of m is log(m / (1 - m)) with slope 1 / (m (1 - m)). At 0 and 1, where it has none, all seeds are equal.
    """
    inner = (mean > 0) & (mean < 1)
    m = mean.where(inner, 0.5)
    with np.errstate(over="ignore"):
        end = expit(logit(m) + side * half / (m * (1 - m)))
    return pd.Series(end, index=mean.index).where(inner, mean).where(half.notna())


def rates(
    frame: pd.DataFrame, by: Literal["network", "seed"] = "network", level: float = 0.95, *, column: str | None = None,
    theory: Mapping[str, Prediction | Refusal] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Compute rate, decades and verdict of each network, or of each network and seed.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`.
    by : {"network", "seed"}
        One row per network, with an interval over seeds; or one row per network and seed, without.
    level : float
        Level of the interval.
    column : str, optional
        ``log10_delta_rms`` (the rms over a batch) or ``delta_log10_mean`` (the mean over examples of the log of one).
        None: the first; with `theory` the second, where the frame has it, because theory predicts that mean.
    theory : mapping, optional
        From `gradlab.predict_all`. Then each network's predicted rate stands beside the measured one.

    Returns
    -------
    DataFrame
        The coordinates of the network (`width` is NaN where hidden layers differ in it, `activation` names all of
        them), then
        ``rate low high level decades decades_low decades_high shape exponent verdict n_seeds n_zero n_failed n_beyond
        first_layer last_layer from_depth judged numbers sentence``. `n_seeds` seeds entered the rate; `n_zero` had a
        delta that is exactly 0; `n_failed` had one that is absent or not finite; `n_beyond` of the `n_seeds` change by
        more than a decade by themselves. `judged` says what the verdict is about. `from_depth` is the depth at which
        the change passes one decade at this rate, NaN where the rate does not hold beyond this depth.

        With `theory` also ``column predicted ratio ratio_low ratio_high basis functional refused``: `ratio` is measured
        over predicted; `basis` names what accounts for finite width, "M/n", "measured q" or "none"; `refused` says why
        there is no prediction, and is empty where there is one. Finite width adds M/n to ``delta_log10_mean``,
        the geometric mean over initialisations and examples; with a batch of one ``log10_delta_rms`` is the same. With
        larger batches the ratio of ``log10_delta_rms`` is refused: the measured one is a geometric mean over seeds of
        a root mean square over examples, theory's is a root mean square over both, which a few rare networks decide.

    Raises
    ------
    GradlabError
        If the frame lacks the column, or is that of a monitor, which sees no deltas.
    """
    if column is None:
        column = BACKWARD[0] if theory is not None and BACKWARD[0] in frame else BACKWARD[1]
    if column not in BACKWARD:
        raise unknown("column", column, BACKWARD)
    if by not in ("network", "seed"):
        raise unknown("by", by, ("network", "seed"))
    if column not in frame and "gradient_zero_fraction" in frame:
        received = "the frame of a monitor, which sees no deltas, only gradients by the weights"
        raise GradlabError(column, received, 'gl.summarise(frame, by=["step", "layer_name"])')
    _listed(frame, "column", [column, *KEY, "depth"])
    fields = [name for name in extra_fields() if name in frame]
    coordinates = [n for n in ("run", *COORDINATES) if n in frame and n not in (*OF_A_LAYER, "seed")] + fields
    names = ("run", "network", "batch", "loss", "data", "dtype", "step")
    keys = [name for name in names if name in frame]
    needed = [n for n in ("layer", "depth", "seed", column, "width", "activation") if n in frame]
    arrays = {name: frame[name].to_numpy() for name in needed}  # slices of a frame take a hundred times as long
    places, rows = [], []
    for indices in frame.groupby(keys, observed=True, sort=False, dropna=False).indices.values():
        network = {name: values[indices] for name, values in arrays.items()}
        first, coordinates_of = _network_coordinates(network)
        deltas, seeds = by_layer(network, column, int(network["depth"][first]))
        if by == "network":
            made = [_rate_row(deltas, level)]
        else:
            made = [{"seed": s, **_rate_row(d[None], level)} for s, d in zip(seeds, deltas, strict=True)]
        rows += [{**coordinates_of, **row} for row in made]
        places += [indices[first]] * len(made)
    judged = pd.DataFrame(rows)
    names = dict.fromkeys([*coordinates, *judged])
    table = pd.DataFrame({n: judged[n] if n in judged else frame[n].array.take(places) for n in names})
    if "activation" in table and isinstance(frame["activation"].dtype, pd.CategoricalDtype):
        known = frame["activation"].cat.categories.union(table["activation"].dropna().unique(), sort=False)
        table["activation"] = pd.Categorical(table["activation"], categories=known)
    table["verdict"] = pd.Categorical(table["verdict"], categories=NAMES)
    table["shape"] = pd.Categorical(table["shape"], categories=("exponential", "algebraic", "none"))
    if theory is None:
        return table
    from gradlab.frames.predictions import beside_theory

    return beside_theory(table, theory, column)


def _network_coordinates(network: Mapping[str, np.ndarray]) -> tuple[int, dict[str, Any]]:
    """Return the position of a row with a network's coordinates, and the width and activations of its hidden layers.

    The row is one that was measured, if there is one.
    """
    layers, coordinates = network["layer"], {}
    measured = layers >= 1
    first = int(measured.argmax())
    hidden = (measured | ~measured.any()) & (layers <= network["depth"][first])
    if "width" in network:
        widths = pd.unique(network["width"][hidden])
        coordinates["width"] = widths[0] if len(widths) == 1 else np.nan
    if "activation" in network:
        _, one_of_each = np.unique(layers[hidden], return_index=True)
        names = network["activation"][hidden][one_of_each]
        alike = len(pd.unique(names)) < 2
        coordinates["activation"] = network["activation"][first] if alike else one_after_another(map(str, names))
    return first, coordinates


def by_layer(network: Mapping[str, Any], column: str, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a column of one network's hidden layers, shape (seeds, depth), NaN without a row; and the seeds."""
    seeds, codes = np.unique(np.asarray(network["seed"]), return_inverse=True)
    layers = np.asarray(network["layer"])
    hidden = (layers >= 1) & (layers <= depth)
    values = np.full((len(seeds), depth), np.nan)
    values[codes[hidden], layers[hidden] - 1] = np.asarray(network[column])[hidden]
    return values, seeds


def _rate_row(deltas: np.ndarray, level: float) -> dict[str, Any]:
    r = rate(deltas, level=level)
    verdict = judge(r)
    return {
        "rate": r.value, "low": r.low, "high": r.high, "level": r.level,
        "decades": r.decades.value, "decades_low": r.decades.low, "decades_high": r.decades.high,
        "shape": r.shape, "exponent": r.exponent, "verdict": verdict.name,
        "n_seeds": r.seeds, "n_zero": r.n_dead, "n_failed": r.n_failed, "n_beyond": r.n_beyond,
        "first_layer": r.layers[0], "last_layer": r.layers[1],
        "from_depth": np.nan if verdict.from_depth is None else float(verdict.from_depth),
        "judged": verdict.judged, "numbers": numbers(r), "sentence": verdict.sentence,
    }  # fmt: skip
