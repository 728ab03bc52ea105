"""How far each update moves each layer's weight, against the training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from gradlab.plots.ground.layer_lines import draw_layers
from gradlab.plots.ground.legends import Place

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

#: A rule of thumb of practice: updates of about a thousandth of the weight (Karpathy 2015, lecture notes of CS231n).
RULE = -3.0


def update_ratio(
    frame: pd.DataFrame,
    *,
    x: str = "step",
    style: str | None = None,
    row: str | Sequence[str] | None = None,
    col: str | Sequence[str] | None = None,
    band: Literal["ci95", "sd", "range", "seeds"] | None = None,
    layers: Sequence[int] | None = None,
    readout: bool = False,
    rule: float | None = RULE,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw the norm of each layer's update over its weight's along the training, beside the rule of thumb of 1e-3.

    Parameters
    ----------
    frame : DataFrame
        Of a training run, with `log10_update_ratio`; from `gradlab.monitor_records` too.
    rule : float, optional
        log10 of the ratio that a labelled line marks: practice asks for about a thousandth (Karpathy 2015). None: no
        line.
    x, row, col, style, band, layers, readout, ax, legend, title, preset : optional
        As in `learning_speed`.

    Returns
    -------
    Axes, or array of Axes where there are several panels

    Examples
    --------
    >>> import jax.numpy as jnp, optax
    >>> import gradlab as gl
    >>> params = {"first": {"kernel": jnp.ones((4, 4))}, "last": {"kernel": jnp.ones((4, 2))}}
    >>> tx = gl.monitored(optax.adam(1e-3))
    >>> state = tx.init(params)
    >>> for _ in range(3):
    ...     updates, state = tx.update(params, state, params)
    >>> "thumb" in gl.plots.caption(gl.plots.update_ratio(gl.frame(gl.monitor_records(state))))
    True
    """
    return draw_layers(
        frame, "log10_update_ratio", x, row=row, col=col, style=style, band=band, layers=layers, readout=readout, ax=ax,
        legend=legend, title=title, preset=preset, rule=rule,
    )  # fmt: skip
