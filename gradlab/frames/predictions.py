"""What theory expects of the networks of a frame, by their names in it, and how near the measured rates come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.config import Sweep
from gradlab.frames.rows import network_hash
from gradlab.frames.summaries import rates

if TYPE_CHECKING:
    from gradlab.theory.prediction import Prediction

#: Columns that have a rate, the one that finite-width laws hold for first.
BACKWARD: tuple[str, ...] = ("delta_log10_mean", "log10_delta_rms")


def predictions(networks: Sweep | Any | Iterable[Any], x: Any = None, **options: Any) -> dict[str, Prediction | str]:
    """What theory expects of each network, by the network's name in the frame; or, as text, why it expects nothing.

    Parameters
    ----------
    networks : Sweep, network, configuration, or iterable of these
    x : array, optional
        The inputs. None: those of the sweep where it names a data set; else `options` say how they begin.
    **options
        Of `gradlab.theory.predict`: `q0`, `c0`, `columns`.

    Returns
    -------
    dict
        For ``gl.plots.gradient_flow(frame, theory=...)``, `against_theory` and `depth_scales`.

    Examples
    --------
    >>> import gradlab as gl
    >>> found = gl.predictions([gl.MLP(depth=3, activation="tanh"), gl.MLP(depth=3, norm="layer")], q0=1.0)
    >>> [type(f).__name__ for f in found.values()]
    ['Prediction', 'str']
    """
    from gradlab.theory.prediction import predict

    if isinstance(networks, Sweep):
        if x is None and not {"q0", "c0"} & set(options):
            x = _inputs(networks)
        nets: list[Any] = list(networks.configs())
    else:
        nets = list(networks) if isinstance(networks, Iterable) else [networks]
    found: dict[str, Prediction | str] = {}
    for net in nets:
        config = getattr(net, "config", net)
        if not hasattr(config, "as_dict"):
            raise GradlabError("networks, or a sweep", type(net).__name__, "gl.predictions(sweep)")
        try:
            found[network_hash(config)] = predict(config, x, **options)
        except GradlabError as error:
            found[network_hash(config)] = f"mean field asks for {error.expected}, this is {error.received}"
    return found


def _inputs(sweep: Sweep) -> Any:
    from gradlab.data import load

    names = ("batch", "loss", "target", "length", "q0", "c0", "key", "dtype")
    return load(sweep.data, **{name: getattr(sweep, name) for name in names}).x


def against_theory(
    frame: pd.DataFrame, expected: Mapping[str, Prediction | str], *, column: str | None = None, level: float = 0.95
) -> pd.DataFrame:
    """The measured rate of each network beside the predicted one, of the same functional.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`.
    expected : mapping
        From `predictions`.
    column : str, optional
        ``delta_log10_mean`` (the geometric mean over initialisations and examples, to which finite width adds M/n)
        or ``log10_delta_rms`` (the root of the mean square). None: the first of them that the frame has.
    level : float
        Level of the interval over seeds.

    Returns
    -------
    DataFrame
        `gradlab.rates` of that column, with ``column predicted ratio ratio_low ratio_high functional refused``:
        `ratio` is measured over predicted; `refused` says why there is no prediction, and is empty where there is one.
    """
    column = column or next((name for name in BACKWARD if name in frame), BACKWARD[0])
    if column not in BACKWARD:
        raise unknown("column", column, BACKWARD)
    if column not in frame:
        raise unknown("column", column, map(str, frame.columns))
    table = rates(frame.assign(log10_delta_rms=frame[column]), level=level)
    told = [_told(row, expected, column) for row in table.to_dict("records")]
    table["column"] = column
    table["predicted"], table["functional"], table["refused"] = ([t[i] for t in told] for i in range(3))
    for name, value in (("ratio", "rate"), ("ratio_low", "low"), ("ratio_high", "high")):
        table[name] = table[value] / table["predicted"]
    return table


def _told(row: Mapping[str, Any], expected: Mapping[str, Any], column: str) -> tuple[float, str, str]:
    """The predicted rate, what it is, and why there is none."""
    found = expected.get(str(row["network"]), "no prediction was made of this network")
    if row["step"] != 0:
        found = "theory is one of random weights, these are trained"
    if isinstance(found, str):
        return np.nan, "", found
    if column not in found.columns:
        return np.nan, "", found.refused.get(column, f"no {column} was asked of it")
    value = found.rate_of(column)
    return value, found.functional[column], "" if np.isfinite(value) else "a single hidden layer has no rate"
