r"""Depth scales: the number of layers in which variance, correlation and gradient approach their limits by a factor e.

The distances are :math:`|q - q^*|` and :math:`|c - c^*|` of the means over seeds; where c* is 1 the distance is the
geometric mean of 1 - c, which has no floor. Poole et al. 2016; Schoenholz et al. 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from gradlab._errors import GradlabError, unknown
from gradlab._types import COORDINATES
from gradlab.frames.summaries import rates
from gradlab.theory.refusal import Refusal

if TYPE_CHECKING:
    from gradlab.theory.meanfield import MeanField
    from gradlab.theory.prediction import Prediction

#: Forward quantities: the column of the frame, the scale, and the field of the mean field that is its limit.
FORWARD: dict[str, tuple[str, str, str]] = {
    "q": ("log10_preactivation_rms", "xi_q", "q_star"),
    "c": ("log10_one_minus_c", "xi_c", "c_star"),
}
#: A fit uses the layers in which the slope of theory's curve is within this share of its final slope.
STRAIGHT = 0.1
#: It uses only distances of more than ABOVE standard errors, and needs at least LEAST layers.
ABOVE, LEAST = 3.0, 3


def distances(frame: pd.DataFrame, theory: Mapping[str, Prediction | Refusal]) -> pd.DataFrame:
    """Compute how far variance and correlation are from their limits, layer by layer, measured and predicted.

    Parameters
    ----------
    frame : DataFrame
        Rows of plain networks, with `log10_preactivation_rms`, `log10_one_minus_c`, or both.
    theory : mapping
        From `gradlab.predict_all`. Networks that theory refuses are left out.

    Returns
    -------
    DataFrame
        A row for each network, quantity (``q``, ``c``) and hidden layer: ``network activation sigma_w2 sigma_b2
        quantity limit layer log10_distance theory resolved n_seeds``. `theory` is log10 of the predicted distance;
        `resolved` says whether the measured one is more than three standard errors, by jackknife over seeds.
    """
    rows = []
    for network, prediction, cells in _networks(frame, theory):
        coordinates = {name: cells[name].iloc[0] for name in ("activation", "sigma_w2", "sigma_b2")}
        limits = _mean_field(prediction)
        for quantity, (column, _, limit) in FORWARD.items():
            goal = getattr(limits, limit)
            if column not in cells or column not in prediction.columns or not np.isfinite(goal):
                continue
            values = _by_seed(cells, column)
            middle, parts = _distance(quantity, values, goal)
            error = _jackknife_error(parts)
            curve, _ = _distance(quantity, prediction.columns[column][None, : values.shape[1]], goal)
            with np.errstate(divide="ignore", invalid="ignore"):
                measured, expects = np.log10(middle), np.log10(curve)
            for i in range(len(middle)):
                rows.append(
                    {"network": network, **coordinates, "quantity": quantity, "limit": goal, "layer": i + 1,
                     "log10_distance": measured[i], "theory": expects[i],
                     "resolved": bool(middle[i] > ABOVE * error[i]), "n_seeds": len(values)}
                )  # fmt: skip
    if not rows:
        raise GradlabError(
            "a network with a finite limit, its prediction, and log10_preactivation_rms or log10_one_minus_c", "none",
            "gl.depth_scales(frame, theory=gl.predict_all(sweep))",
        )  # fmt: skip
    return pd.DataFrame(rows)


def depth_scales(
    frame: pd.DataFrame, theory: Mapping[str, Prediction | Refusal], *, level: float = 0.95
) -> pd.DataFrame:
    r"""Fit the depth scales of each network, and put those that theory predicts beside them.

    A depth scale is the number of layers over which a distance from the fixed point, or the gradient, changes by a
    factor e: xi_q of the variance, xi_c of the correlation of two inputs, xi_grad of the squared gradient.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`, with two seeds or more.
    theory : mapping
        From `gradlab.predict_all`.
    level : float
        Level of the intervals over seeds: a jackknife for xi_q and xi_c, the t-interval of the rate for xi_grad.

    Returns
    -------
    DataFrame
        A row for each network and scale (``xi_q``, ``xi_c``, ``xi_grad``): coordinates, then ``scale value low high
        same_fit theory limit first_layer last_layer n_seeds note``. `theory` is -1/ln of the slope at the fixed point;
        `same_fit` is the scale of theory's own curve over the same layers, with its transient and, of xi_grad, the
        finite-width term: what the value is to be compared with. `xi_grad` is negative where gradients explode.
        `note` says why there is no value: the layers in which the approach is exponential and above noise are too few.
    """
    rows = []
    shared = [n for n in COORDINATES if n not in ("seed", "status", "layer", "layer_name")]
    far = distances(frame, theory)
    rate_table = rates(frame, level=level, theory=theory).set_index("network")
    for network, prediction, cells in _networks(frame, theory):
        coordinates = {name: cells[name].iloc[0] for name in shared if name in cells and cells[name].nunique() == 1}
        limits = _mean_field(prediction)
        for quantity, (column, scale, _) in FORWARD.items():
            cells_of_scale = far[(far["network"] == network) & (far["quantity"] == quantity)]
            if len(cells_of_scale):
                fit = _fitted(cells_of_scale, quantity, _by_seed(cells, column), getattr(limits, scale), level)
                rows.append(
                    {
                        **coordinates,
                        "scale": scale,
                        "theory": getattr(limits, scale),
                        "limit": cells_of_scale["limit"].iloc[0],
                        **fit,
                    }
                )
        rate = rate_table.loc[network]
        inverse = [-2 * np.log(rate[name]) for name in ("rate", "low", "high", "predicted")]
        counts = {name: rate[name] for name in ("first_layer", "last_layer", "n_seeds")}
        rows.append(
            {**coordinates, "scale": "xi_grad", "theory": limits.xi_grad, "limit": np.nan, **_scale(*inverse), **counts,
             "note": ""}
        )  # fmt: skip
    return pd.DataFrame(rows)


def trainable_depths(
    frame: pd.DataFrame, *, sigma_w2: Sequence[float] | None = None, scales: float | Sequence[float] = 6.0
) -> pd.DataFrame:
    r"""Compute the depths up to which theory expects networks to be trainable: multiples of the depth scale xi_c.

    In :math:`\xi_c` layers the correlation of two inputs approaches its limit by a factor e, so after some multiples
    of it a network no longer distinguishes its inputs. Schoenholz et al. 2017 found networks of up to about
    :math:`6\xi_c` trainable.

    Parameters
    ----------
    frame : DataFrame
        Rows of plain networks; their activations, initialisers and variances are used.
    sigma_w2 : sequence of float, optional
        Weight variances to use instead of those of the frame, for a smooth line. None: those of the frame.
    scales : float or sequence of float
        How many depth scales a signal survives; several give several lines.

    Returns
    -------
    DataFrame
        ``activation sigma_w2 sigma_b2 xi_c scales depth``, and ``init`` where the variances are the frame's. `depth`
        is infinite at the critical point, and NaN where the variance has no limit above 0: the signal dies out or
        grows for ever.

    Examples
    --------
    >>> import gradlab as gl
    >>> nets = {"depth": 2, "width": 8, "activation": "tanh", "init": "gaussian"}
    >>> frame = gl.run(gl.Sweep(**nets, sigma_w2=(1.0, 2.5), sigma_b2=0.05, seeds=1), progress=False)
    >>> gl.trainable_depths(frame)["depth"].round(1).tolist()
    [21.8, 70.8]
    """
    from gradlab.theory.meanfield import mean_field

    names = ["activation", *(["init"] if sigma_w2 is None else []), "sigma_w2", "sigma_b2"]
    for name in names:
        if name not in frame:
            raise unknown("column", name, map(str, frame.columns))
    networks = frame.loc[frame["layer"] >= 1, names].drop_duplicates(ignore_index=True)
    if sigma_w2 is not None:
        activations = networks[["activation", "sigma_b2"]].drop_duplicates()
        networks = activations.merge(pd.DataFrame({"sigma_w2": np.asarray(sigma_w2, float)}), how="cross")[names]
    if networks.empty or networks["sigma_w2"].isna().any():
        raise GradlabError("networks with a variance of weights", "none", "gl.run(gl.Sweep(sigma_w2=[1, 2], ...))")
    fields = [
        mean_field(str(row.activation), sigma_w2=float(row.sigma_w2), sigma_b2=float(row.sigma_b2))
        for row in networks.itertuples()
    ]
    networks = networks.assign(xi_c=[m.xi_c if 0 < m.q_star < np.inf else np.nan for m in fields])
    counts = np.atleast_1d(np.asarray(scales, float))
    return pd.concat([networks.assign(scales=k, depth=k * networks["xi_c"]) for k in counts], ignore_index=True)


def _networks(frame: pd.DataFrame, theory: Mapping[str, Any]) -> list[tuple[str, Any, pd.DataFrame]]:
    """Return name, prediction and hidden layers of each network that theory does not refuse."""
    hidden = frame.loc[(frame["layer"] >= 1) & (frame["layer"] <= frame["depth"])]
    groups = hidden.groupby("network", observed=True, sort=False)
    pairs = [(str(name), theory.get(str(name)), pd.DataFrame(cells)) for name, cells in groups]
    return [(name, one, cells) for name, one, cells in pairs if one is not None and not isinstance(one, Refusal)]


def _mean_field(prediction: Prediction) -> MeanField:
    """Compute the fixed points of the inner layers of a predicted network."""
    from gradlab.theory.meanfield import mean_field

    inner = min(1, len(prediction.layer) - 2)
    return mean_field(prediction.activation, sigma_w2=prediction.sigma_w2[inner], sigma_b2=prediction.sigma_b2[inner])


def _by_seed(cells: pd.DataFrame, column: str) -> np.ndarray:
    """Return the values of a column, shape (seeds, layers)."""
    return cells.pivot(index="seed", columns="layer", values=column).to_numpy(float)


def _distance(quantity: str, values: np.ndarray, goal: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance of the mean over seeds from its limit, and the same with each seed left out in turn."""
    if quantity == "c" and goal == 1:
        # A geometric mean, because 1 - c shrinks for ever.
        whole, without = values.mean(0), _without_each(values)
        return 10**whole, 10**without
    plain = 10 ** (2 * values) if quantity == "q" else 1 - 10**values
    side = np.sign(plain.mean(0) - goal)
    return np.abs(plain.mean(0) - goal), side * (_without_each(plain) - goal)


def _without_each(values: np.ndarray) -> np.ndarray:
    """Return means over all seeds but one, shape (seeds, layers)."""
    n = len(values)
    return (values.sum(0) - values) / (n - 1) if n > 1 else np.full_like(values, np.nan)


def _jackknife_error(parts: np.ndarray) -> np.ndarray:
    n = len(parts)
    return np.sqrt((n - 1) / n * np.sum((parts - parts.mean(0)) ** 2, 0))


def _fitted(rows: pd.DataFrame, quantity: str, values: np.ndarray, scale: float, level: float) -> dict[str, Any]:
    """Fit the slope of ln distance over the layers in which it is straight and above noise."""
    theory, layers = rows["theory"].to_numpy() * np.log(10), rows["layer"].to_numpy()
    middle, parts = _distance(quantity, values, rows["limit"].iloc[0])
    none = {"value": np.nan, "low": np.nan, "high": np.nan, "same_fit": np.nan, "n_seeds": len(values)}
    if not 0 < scale < np.inf:
        return {**none, "first_layer": 0, "last_layer": 0, "note": "theory gives no exponential approach"}
    bent = np.abs(np.diff(theory) + 1 / scale) > STRAIGHT / scale
    # Far down theory's own distance is rounding, and a bend there means nothing.
    bent &= theory[1:] > np.log(1e-10) if quantity == "q" or rows["limit"].iloc[0] < 1 else True
    first = int(np.flatnonzero(bent)[-1]) + 1 if bent.any() else 0
    quiet = np.flatnonzero(~rows["resolved"].to_numpy(bool)[first:])
    end = first + int(quiet[0]) if len(quiet) else len(layers)
    if len(values) < 2 or end - first < LEAST:
        why = "seeds" if len(values) < 2 else "layers in which the approach is exponential and above noise"
        return {**none, "first_layer": first + 1, "last_layer": end, "note": f"too few {why}"}
    window = slice(first, end)
    slope = lambda distance: float(np.polyfit(layers[window], np.log(np.maximum(distance[window], 1e-300)), 1)[0])
    inverse, each = -slope(middle), -np.array([slope(part) for part in parts])
    half = stdtrit(len(each) - 1, 0.5 + level / 2) * float(_jackknife_error(each[:, None])[0])
    same = -float(np.polyfit(layers[window], theory[window], 1)[0])
    fit = _scale(inverse, inverse - half, inverse + half, same)
    return {**fit, "first_layer": first + 1, "last_layer": end, "n_seeds": len(each), "note": ""}


def _scale(inverse: float, one: float, other: float, same: float) -> dict[str, float]:
    """Invert a value and its interval; an end is infinite where the inverse may be 0."""
    low, high = min(one, other), max(one, other)
    ends = (1 / high, 1 / low) if low * high > 0 else (1 / high, np.inf) if inverse > 0 else (-np.inf, 1 / low)
    return {"value": 1 / inverse, "low": ends[0], "high": ends[1], "same_fit": 1 / same if same else np.inf}
