"""Weight variances on both sides of a critical one: their colours and markers, and where theory has that value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots.ground.styles import MARKERS
from gradlab.theory.critical import critical_sigma_w2

#: Blue below, red above, dark between: lines on white. Of these colours, the parts that are not lost on it.
_COLOURS, _DARK = "berlin", 0.38


class Centred:
    """Diverging colours of weight variances, dark at the critical one, each with a marker of its own.

    Parameters
    ----------
    values : sequence of float
        The variances.
    centre : float
        The critical one, which is dark.
    """

    def __init__(self, values: Sequence[float], centre: float):
        self.centre = centre
        self.values = sorted(set(map(float, values)))
        self.reach = max(float(np.abs(np.log(np.asarray(self.values) / centre)).max()), 1e-9)

    def colour(self, value: float) -> str:
        """Return the colour of a variance."""
        place = np.log(value / self.centre) / self.reach
        return matplotlib.colors.to_hex(matplotlib.colormaps[_COLOURS](0.5 + _DARK * place))

    def marker(self, value: float) -> str:
        """Return its marker, which tells it apart in grey."""
        return MARKERS[self.values.index(float(value)) % len(MARKERS)]

    def look(self, value: float) -> dict[str, Any]:
        """Return colour and marker as keywords of matplotlib, without a line."""
        return {"color": self.colour(value), "marker": self.marker(value), "linestyle": ""}


def critical(table: pd.DataFrame) -> float:
    """Return the critical variance of a table's networks: theory's for one activation and bias variance, if it has one.

    Else where the predicted rate passes 1 between two networks, and the nearest network where it does not.
    """
    if "activation" in table and "sigma_b2" in table:
        kinds = table[["activation", "sigma_b2"]].drop_duplicates()
        if len(kinds) == 1:
            try:
                return critical_sigma_w2(str(kinds["activation"].iloc[0]), float(kinds["sigma_b2"].iloc[0]))
            except GradlabError:
                pass  # no such point, or an activation that is not registered here
    table = table.sort_values("sigma_w2")
    w, rate = table["sigma_w2"].to_numpy(float), np.log(table["predicted"].to_numpy(float))
    for i in np.flatnonzero(rate[:-1] * rate[1:] < 0):
        return float(w[i] - rate[i] * (w[i + 1] - w[i]) / (rate[i + 1] - rate[i]))
    return float(w[np.argmin(np.abs(rate))])
