"""What theory expects of the networks of a frame, by their names in it, and how near the measured rates come."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.config import Sweep
from gradlab.frames.rows import network_hash
from gradlab.frames.summaries import BACKWARD, by_layer
from gradlab.theory.refusal import Reason, Refusal

if TYPE_CHECKING:
    from gradlab.theory.prediction import Prediction

#: Refusals whose sentence is always the same.
OTHER_MEAN = Refusal(
    Reason.OTHER_MEAN,
    "over seeds the rate of log10_delta_rms is a geometric mean, theory's is a root mean square; delta_log10_mean is "
    "the same mean in both",
)
NOT_PREDICTED = Refusal(Reason.NOT_PREDICTED, "no prediction was made of this network")
TRAINED = Refusal(Reason.TRAINED, "theory is about random weights, and these are trained")
#: The column that the variance of the preactivations above follows from.
SIGNAL = "log10_activation_rms"
#: Examples whose mean squares stand for those of the batch, where each has its own curve for every seed.
EXAMPLES = 8


def predict_all(
    networks: Sweep | Any | Iterable[Any],
    x: Any = None,
    *,
    frame: pd.DataFrame | None = None,
    q0: float | None = None,
    c0: float | None = None,
    columns: Sequence[str] | None = None,
) -> dict[str, Prediction | Refusal]:
    """What theory expects of each network, by the network's name in the frame; or why it expects nothing.

    Parameters
    ----------
    networks : Sweep, network, configuration, or iterable of these
    x : array, optional
        The inputs. None: those of the sweep where it names a data set and no `q0` or `c0` is given.
    frame : DataFrame, optional
        Measured rows of the networks. Where theory has no finite-width term, as in marginal networks whose variance
        has no stable fixed point, the backward columns then follow from the variances that each seed had there
        (``log10_activation_rms``), and their text says so.
    q0, c0 : float, optional
        Instead of `x`: mean square of an input, correlation of two inputs.
    columns : sequence of str, optional
        Which to predict. None: all that can be.

    Returns
    -------
    dict
        What `gradlab.plots.gradient_flow`, `gradlab.rates` and `gradlab.depth_scales` take as ``theory=``.

    Examples
    --------
    >>> import gradlab as gl
    >>> found = gl.predict_all([gl.MLP(depth=3, activation="tanh"), gl.MLP(depth=3, norm="layer")], q0=1.0)
    >>> [type(f).__name__ for f in found.values()]
    ['Prediction', 'Refusal']
    """
    from gradlab.theory.prediction import predict

    if isinstance(networks, Sweep):
        if x is None and q0 is None and c0 is None:
            x = _inputs(networks)
        nets: list[Any] = list(networks.configs())
    else:
        nets = list(networks) if isinstance(networks, Iterable) else [networks]
    found: dict[str, Prediction | Refusal] = {}
    for net in nets:
        if not hasattr(net, "as_dict"):
            raise GradlabError("networks, or a sweep", type(net).__name__, "gl.predict_all(sweep)")
        try:
            plain = predict(net, x, q0=q0, c0=c0, columns=columns)
            found[network_hash(net)] = plain if frame is None else _with_measured(plain, net, x, frame, q0)
        except GradlabError as error:
            text = f"mean field asks for {error.expected}, this is {error.received}"
            found[network_hash(net)] = Refusal(Reason.OTHER_NETWORK, text)
    return found


def _with_measured(plain: Prediction, config: Any, x: Any, frame: pd.DataFrame, q0: float | None) -> Any:
    """The prediction with backward columns from each seed's variances, where it has no term M/n."""
    from gradlab.theory.prediction import predict
    from gradlab.theory.trajectories import transients

    wanted = [name for name in BACKWARD if name in plain.columns]
    if plain.no_finite_width is None or not wanted:
        return plain
    signal = _signal(frame, network_hash(config), config.depth)
    if signal is None:
        return plain
    starts = np.array([q0 or 1.0]) if x is None else quantiles(np.mean(np.asarray(x, float) ** 2, axis=1))
    sigma_w2, sigma_b2 = plain.sigma_w2[:-1], plain.sigma_b2[:-1]
    own = transients(plain.activation, sigma_w2=sigma_w2, sigma_b2=sigma_b2, q0=starts, depth=config.depth).log_q
    with np.errstate(divide="ignore"):
        above = np.logaddexp(np.log(sigma_w2[1:]) + signal[:, :-1], np.log(sigma_b2[1:]))
    # what is measured is the mean over a batch: each example departs from its own curve by as much as that does
    shift = np.pad(above - (np.logaddexp.reduce(own[1:], axis=1) - np.log(len(starts))), ((0, 0), (1, 0)))
    found = predict(config, x, q=np.exp(own.T[:, None] + shift), columns=wanted)
    texts = {name: f"{found.functional[name]} ({plain.no_finite_width})" for name in wanted}
    return dataclasses.replace(
        plain, columns={**plain.columns, **found.columns}, functional={**plain.functional, **texts}, measured=True
    )


def _signal(frame: pd.DataFrame, network: str, depth: int) -> np.ndarray | None:
    """ln of the mean squared activation of the hidden layers at initialisation, a row for each seed; None without."""
    if SIGNAL not in frame:
        return None
    rows = frame[(frame["network"].astype(str) == network) & (frame["layer"] >= 1) & (frame["layer"] <= depth)]
    rows = rows[rows["step"] == 0] if "step" in rows else rows
    table, _ = by_layer(rows, SIGNAL, depth)
    table = 2 * np.log(10) * table[np.isfinite(table).all(1)]
    return table if len(table) else None


def quantiles(square: np.ndarray, count: int = EXAMPLES) -> np.ndarray:
    """The middle of each of `count` equal parts of the sorted mean squares; all of them where there are no more."""
    square = np.sort(square)
    count = min(count, len(square))
    return square[((np.arange(count) + 0.5) * len(square) / count).astype(int)]


def _inputs(sweep: Sweep) -> Any:
    from gradlab.data import load

    names = ("batch", "loss", "target", "length", "q0", "c0", "key", "dtype")
    return load(sweep.data, **{name: getattr(sweep, name) for name in names}).x


def counterpart(column: str, batch: int) -> str:
    """The column of a prediction of which the mean over seeds of a measured `column` is an estimate; empty without.

    Means over seeds of logarithms are geometric means. Theory has that of one example's delta alone: with a batch of
    one, ``log10_delta_rms`` is it too.
    """
    return BACKWARD[0] if column == BACKWARD[0] or (column in BACKWARD and batch == 1) else ""


def beside_theory(table: pd.DataFrame, theory: Mapping[str, Prediction | Refusal], column: str) -> pd.DataFrame:
    """The table of measured rates of a column, with the predicted ones of the same functional; see `gradlab.rates`."""
    told = [_told(row, theory, column) for row in table.to_dict("records")]
    table["column"] = column
    for i, name in enumerate(("predicted", "basis", "functional", "refused")):
        table[name] = [t[i] for t in told]
    for name, value in (("ratio", "rate"), ("ratio_low", "low"), ("ratio_high", "high")):
        table[name] = table[value] / table["predicted"]
    return table


def _told(row: Mapping[str, Any], theory: Mapping[str, Any], column: str) -> tuple[float, str, str, str]:
    """The predicted rate, what stands for the finite width in it, what it is, and why there is none."""
    found = TRAINED if row["step"] else theory.get(str(row["network"]), NOT_PREDICTED)
    if isinstance(found, Refusal):
        return np.nan, "", "", found.text
    same = counterpart(column, row.get("batch", 0))
    if not same:
        return np.nan, "", "", OTHER_MEAN.text
    if same not in found.columns:
        return np.nan, "", "", str(found.refused.get(same, f"no {same} was asked of it"))
    value = found.rate_of(same)
    return value, found.basis, found.functional[same], "" if np.isfinite(value) else "a single hidden layer has no rate"
