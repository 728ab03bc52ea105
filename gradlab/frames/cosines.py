"""Cosines between the gradients of two inputs: means over seeds, and the autocorrelation along a line of inputs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError


def cosines(table: pd.DataFrame, x: str, hue: str | None = None) -> pd.DataFrame:
    """Average over pairs, then over seeds, at each `x`; with a 95 % t-interval over seeds."""
    from scipy.stats import t

    keys = [*([hue] if hue else []), x]
    known = table[table["cosine"].notna()]
    weighted = known.assign(total=known["cosine"] * known["pairs"])
    of_seed = weighted.groupby([*keys, "seed"], observed=True, sort=True)[["total", "pairs"]].sum()
    of_seed = (of_seed["total"] / of_seed["pairs"]).rename("cosine").reset_index()
    means = of_seed.groupby(keys, observed=True, sort=True)["cosine"].agg(["mean", "std", "count"]).reset_index()
    error = t.ppf(0.975, np.maximum(means["count"] - 1, 1)) * means["std"] / np.sqrt(means["count"])
    return means.assign(low=means["mean"] - error, high=means["mean"] + error).rename(columns={"count": "n"})


def autocorrelation(rows: pd.DataFrame, lag: int) -> float:
    """Compute the correlation of the gradient with itself `lag` inputs further along x."""
    values = rows.sort_values("x")["gradient"].to_numpy(float)
    if not 0 < lag < len(values):
        raise GradlabError(f"a lag from 1 to {len(values) - 1}", repr(lag))
    d = values - np.mean(values)
    return float(np.sum(d[lag:] * d[:-lag]) / np.sum(d * d))
