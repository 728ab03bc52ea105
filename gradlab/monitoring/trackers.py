"""From the frame to the flat dict that experiment trackers take."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab._status import is_whole
from gradlab._tree import matching
from gradlab._types import MEASURED


def scalars(
    frame: pd.DataFrame,
    include: str | Sequence[str] = "*",
    columns: str | Sequence[str] | None = None,
    step: int | None = None,
) -> dict[str, float]:
    """Return one step of one model as ``{"blocks/0/log10_weight_grad_norm": -3.2, ...}``.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame`; of several monitors, one for each group of parameters, too.
    include : str or sequence of str
        Names or patterns of layers.
    columns : str or sequence of str, optional
        Measured columns. None: all.
    step : int, optional
        The step. None: the last.

    Returns
    -------
    dict of str to float
        For ``wandb.log(…)``, ``mlflow.log_metrics(…)``, or TensorBoard one by one. A true zero is ``-inf``, what is
        not finite is NaN or inf; what a layer has not got (a norm of biases, a gradient) has no entry.

    Examples
    --------
    >>> import numpy as np
    >>> import gradlab as gl
    >>> grads = {"blocks.0.weight": np.full((3, 3), 1e-3), "head.weight": np.zeros((3, 2))}
    >>> gl.scalars(gl.frame(gl.observe(grads)), include="blocks/*", columns="log10_weight_grad_norm")
    {'blocks/0/log10_weight_grad_norm': -2.5228787452803374}
    """
    patterns = [include] if isinstance(include, str) else list(include)
    chosen = [columns] if isinstance(columns, str) else columns
    measured = [name for name in MEASURED if name in frame]
    for name in chosen or ():
        if name not in measured:
            raise unknown("column", name, measured)
    steps = sorted(frame["step"].unique())
    step = steps[-1] if step is None else step
    if step not in steps:
        raise unknown("step", step, map(str, steps))
    rows = frame[frame["step"] == step]
    layers = list(rows["layer_name"].astype(str))
    if len(set(layers)) < len(layers):
        name = "seed" if rows["seed"].nunique() > 1 else "network"
        received = f"several {name}s with the layer {next(n for n in layers if layers.count(n) > 1)}"
        raise GradlabError("one row for each layer", received, f'frame[frame["{name}"] == {rows[name].iloc[0]!r}]')
    kept = {name for pattern in patterns for name in matching(layers, pattern)}
    for pattern in patterns:
        if not matching(layers, pattern):
            raise unknown("include", pattern, layers)
    return {
        f"{row['layer_name']}/{name}": float(row[name])
        for row in rows.sort_values("layer").to_dict("records")
        if row["layer_name"] in kept
        for name in (chosen or measured)
        if row[name] == row[name] or not is_whole(row["status"])
    }
