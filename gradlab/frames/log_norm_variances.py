"""Variances of ln|Ju|^2 over initialisations, with their intervals, and the predicted ones."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError


def log_norm_variances(samples: pd.DataFrame, law: pd.DataFrame, hue: str = "network") -> pd.DataFrame:
    """Compare mean and variance over seeds, with a 95 % interval, with the exact law: one row for each network."""
    predicted = law.groupby("network", observed=True, sort=False)["variance"].first()
    rows = []
    for name, group in samples.groupby("network", observed=True, sort=False):
        values = group["ln_norm2"].to_numpy(float)
        alive = values[np.isfinite(values)]
        if len(alive) < 2:
            raise GradlabError(f"two seeds or more of {name!r} that are not dead", str(len(alive)), "seeds=100")
        spread = np.var(alive, ddof=1)
        fourth = np.mean((alive - np.mean(alive)) ** 4)
        error = 1.96 * (max(fourth - spread**2, 0) / len(alive)) ** 0.5
        first = group.iloc[0]
        rows.append(
            {
                "network": name, hue: first[hue], "inverse_width_sum": first["inverse_width_sum"],
                "n": len(alive), "n_dead": len(values) - len(alive), "mean": np.mean(alive), "variance": spread,
                "low": spread - error, "high": spread + error, "law": predicted.get(name, np.nan),
            }
        )  # fmt: skip
    return pd.DataFrame(rows).sort_values("inverse_width_sum", ignore_index=True)
