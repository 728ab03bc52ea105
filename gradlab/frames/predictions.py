"""Predict the networks of a frame by theory, and compare measured rates with the predicted ones."""

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
#: The column from which the variance of the next layer's preactivations follows.
SIGNAL = "log10_activation_rms"
#: How many examples stand for a batch where each of them has a curve of its own for every seed.
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
    """Predict each network by theory, for the argument ``theory=`` of tables and figures.

    Parameters
    ----------
    networks : Sweep, network, configuration, or iterable of these
        The networks to predict.
    x : array, shape (batch, features), optional
        The inputs. None: those of the sweep, if it names a data set and neither `q0` nor `c0` is given.
    frame : DataFrame, optional
        Measured rows of the networks. Give them for marginal networks, whose variance has no stable fixed point and
        whose finite-width term theory therefore lacks: then their backward columns follow from the variances that
        each seed had (``log10_activation_rms``), and their text says so.
    q0, c0 : float, optional
        Mean square of an input and correlation of two inputs; give them instead of `x` where there are no data.
    columns : sequence of str, optional
        Names of the columns to predict. None: all that theory can predict.

    Returns
    -------
    dict of str to Prediction or Refusal
        By the network's name in the frame. A `Refusal` says why theory predicts nothing, and what to try.
        `gradlab.plots.gradient_flow`, `gradlab.rates` and `gradlab.depth_scales` take it as ``theory=``.

    Raises
    ------
    GradlabError
        If `networks` holds something that is no network.

    Examples
    --------
    >>> import gradlab as gl
    >>> theory = gl.predict_all([gl.MLP(depth=3, activation="tanh"), gl.MLP(depth=3, norm="layer")], q0=1.0)
    >>> [type(one).__name__ for one in theory.values()]
    ['Prediction', 'Refusal']
    """
    from gradlab.theory.prediction import predict

    if isinstance(networks, Sweep):
        if x is None and q0 is None and c0 is None:
            x = _inputs(networks)
        nets: list[Any] = list(networks.configs())
    else:
        nets = list(networks) if isinstance(networks, Iterable) else [networks]
    predictions: dict[str, Prediction | Refusal] = {}
    for net in nets:
        if not hasattr(net, "network"):
            raise GradlabError("networks, or a sweep", type(net).__name__, "gl.predict_all(sweep)")
        try:
            plain = predict(net.network, x, q0=q0, c0=c0, columns=columns)
            predictions[network_hash(net)] = plain if frame is None else _with_measured(plain, net, x, frame, q0)
        except GradlabError as error:
            text = f"mean field asks for {error.expected}, this is {error.received}"
            predictions[network_hash(net)] = Refusal(Reason.OTHER_NETWORK, text)
    return predictions


def _with_measured(plain: Prediction, config: Any, x: Any, frame: pd.DataFrame, q0: float | None) -> Any:
    """Return the prediction with backward columns from each seed's variances, where it has no term M/n."""
    from gradlab.theory.prediction import predict
    from gradlab.theory.trajectories import transients

    wanted = [name for name in BACKWARD if name in plain.columns]
    if plain.no_finite_width is None or not wanted or config.network.architecture != "mlp":
        return plain
    signal = _signal(frame, network_hash(config), config.network.depth)
    if signal is None:
        return plain
    starts = np.array([q0 or 1.0]) if x is None else quantiles(np.mean(np.asarray(x, float) ** 2, axis=1))
    sigma_w2, sigma_b2 = plain.sigma_w2[:-1], plain.sigma_b2[:-1]
    curves = transients(
        plain.activation, sigma_w2=sigma_w2, sigma_b2=sigma_b2, q0=starts, depth=config.network.depth
    ).log_q
    with np.errstate(divide="ignore"):
        above = np.logaddexp(np.log(sigma_w2[1:]) + signal[:, :-1], np.log(sigma_b2[1:]))
    # The frame has the mean over a batch only, so each example is shifted from its own curve by as much as the mean.
    shift = np.pad(above - (np.logaddexp.reduce(curves[1:], axis=1) - np.log(len(starts))), ((0, 0), (1, 0)))
    measured = predict(config.network, x, q=np.exp(curves.T[:, None] + shift), columns=wanted)
    texts = {name: f"{measured.functional[name]} ({plain.no_finite_width})" for name in wanted}
    return dataclasses.replace(
        plain, columns={**plain.columns, **measured.columns}, functional={**plain.functional, **texts}, measured=True
    )


def _signal(frame: pd.DataFrame, network: str, depth: int) -> np.ndarray | None:
    """Return ln of the mean squared activation of hidden layers at initialisation, (seeds, layers); None without it."""
    if SIGNAL not in frame:
        return None
    rows = frame[(frame["network"].astype(str) == network) & (frame["layer"] >= 1) & (frame["layer"] <= depth)]
    rows = rows[rows["step"] == 0] if "step" in rows else rows
    table, _ = by_layer(rows, SIGNAL, depth)
    table = 2 * np.log(10) * table[np.isfinite(table).all(1)]
    return table if len(table) else None


def quantiles(square: np.ndarray, count: int = EXAMPLES) -> np.ndarray:
    """Return the middle of each of `count` equal parts of the sorted mean squares, or all where there are fewer."""
    square = np.sort(square)
    count = min(count, len(square))
    return square[((np.arange(count) + 0.5) * len(square) / count).astype(int)]


def _inputs(sweep: Sweep) -> Any:
    from gradlab.data import load

    names = ("batch", "loss", "target", "length", "q0", "c0", "key", "dtype")
    return load(sweep.data, **{name: getattr(sweep, name) for name in names}).x


def counterpart(column: str, batch: int) -> str:
    """Return the predicted column that the mean over seeds of a measured `column` estimates; empty if there is none.

    The mean over seeds of a logarithm is a geometric mean. Theory predicts the geometric mean of the delta of one
    example, so ``delta_log10_mean`` has a counterpart always, and ``log10_delta_rms`` with a batch of one.
    """
    return BACKWARD[0] if column == BACKWARD[0] or (column in BACKWARD and batch == 1) else ""


def beside_theory(table: pd.DataFrame, theory: Mapping[str, Prediction | Refusal], column: str) -> pd.DataFrame:
    """Add the predicted rates to a table of measured rates of `column`; see `gradlab.rates`."""
    predictions = [_predicted_rate(row, theory, column) for row in table.to_dict("records")]
    table["column"] = column
    for i, name in enumerate(("predicted", "basis", "functional", "refused")):
        table[name] = [t[i] for t in predictions]
    for name, value in (("ratio", "rate"), ("ratio_low", "low"), ("ratio_high", "high")):
        table[name] = table[value] / table["predicted"]
    return table


def _predicted_rate(row: Mapping[str, Any], theory: Mapping[str, Any], column: str) -> tuple[float, str, str, str]:
    """Return the predicted rate, what accounts for finite width in it, which mean it is, and why there is none."""
    prediction = TRAINED if row["step"] else theory.get(str(row["network"]), NOT_PREDICTED)
    if isinstance(prediction, Refusal):
        return np.nan, "", "", prediction.text
    same = counterpart(column, row.get("batch", 0))
    if not same:
        return np.nan, "", "", OTHER_MEAN.text
    if same not in prediction.columns:
        not_asked = Refusal(Reason.NOT_ASKED, f"{same} was not predicted")
        return np.nan, "", "", prediction.refused.get(same, not_asked).text
    value = prediction.rate_of(same)
    return (
        value,
        prediction.basis,
        prediction.functional[same],
        "" if np.isfinite(value) else "a single hidden layer has no rate",
    )
