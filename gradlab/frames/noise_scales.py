"""The simple noise scale of each layer: how many examples it takes until a gradient is more signal than noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab._types import COORDINATES
from gradlab.frames.rows import extra_fields
from gradlab.frames.summaries import summarise

#: The column that is averaged: it has a mean, which its inverse has not, because that may be infinite.
COLUMN = "inverse_noise_scale"


def noise_scales(frame: pd.DataFrame, by: str | Sequence[str] | None = None) -> pd.DataFrame:
    r"""Compute the simple noise scale of each layer, with its interval over seeds.

    .. math:: B_{simple} = \frac{\mathrm{tr}\,\Sigma}{|G|^2},

    with the covariance :math:`\Sigma` of the gradients of single examples and the gradient G of all of them (McCandlish
    et al. 2018). A step with a batch far below it follows the noise; a batch far above it wastes examples.

    Parameters
    ----------
    frame : DataFrame
        With the column ``inverse_noise_scale``, which is measured on request: ``gl.measure(...,
        columns=["inverse_noise_scale"])``, the same in a sweep or a training, or the frame of a monitor that was given
        gradients of parts of the batch.
    by : str or sequence of str, optional
        Columns whose values make a group. None: all coordinates but the seed, so each layer of each network at each
        step. Without ``"step"`` steps are averaged too.

    Returns
    -------
    DataFrame
        One row for each group: the columns of `by`, then ``noise_scale low high n``, in examples. The inverse is
        averaged over `n` seeds with its 95 % t-interval, then mean and ends are inverted. `noise_scale` is
        infinite where the mean is not above 0, and `high` where the lower end is not: no signal was seen, and only
        `low` is known.

    Raises
    ------
    GradlabError
        If the frame has no such column.

    Examples
    --------
    >>> import gradlab as gl, numpy as np
    >>> x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
    >>> net = gl.MLP(depth=2, width=8, activation="tanh", init="xavier_normal")
    >>> trace = gl.measure(net, x, x[:, :2] @ np.ones((2, 1), "float32"), seeds=4, columns=["inverse_noise_scale"])
    >>> gl.noise_scales(gl.frame(trace), by="layer").round(1)["layer"].tolist()
    [1, 2, 3]
    """
    if COLUMN not in frame:
        raise GradlabError(
            f"a frame with the column {COLUMN}", ", ".join(map(str, frame.columns[-3:])), f"columns=[{COLUMN!r}]"
        )
    if by is None:
        known = (*COORDINATES, *extra_fields())
        by = [name for name in known if name in frame and name not in ("seed", "status")]
    table = summarise(frame, by, COLUMN)
    inverted = {"noise_scale": "mean", "low": "high", "high": "low"}
    values = {name: _inverse(table[end].to_numpy(np.float64)) for name, end in inverted.items()}
    return table.drop(columns=["column", "mean", "low", "high", "n", "n_zero", "n_not_finite"]).assign(
        **values, n=table["n"]
    )


def _inverse(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(np.isnan(values), np.nan, np.where(values > 0, 1 / np.abs(values), np.inf))
