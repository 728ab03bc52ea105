"""How fast each layer learns: the size of its gradient against the training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from gradlab.plots.ground.layer_lines import draw_layers
from gradlab.plots.ground.legends import Place

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes


def learning_speed(
    frame: pd.DataFrame,
    *,
    value: str = "log10_weight_grad_norm",
    x: str = "step",
    style: str | None = None,
    row: str | Sequence[str] | None = None,
    col: str | Sequence[str] | None = None,
    band: Literal["ci95", "sd", "range", "seeds"] | None = None,
    layers: Sequence[int] | None = None,
    readout: bool = False,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw how large each layer's gradient is along the training: a line for each layer, a panel for each network.

    Parameters
    ----------
    frame : DataFrame
        Of a training run, with several steps; from `gradlab.monitor_records` too.
    value : str
        A measured column, such as ``log10_delta_rms`` or ``log10_weight_update_norm``.
    x : str
        The column that counts training. Steps that are spaced logarithmically stand on such an axis, and step 0,
        the initialisation, at its left.
    style : str, optional
        Column that gives the kind of line. The colour is the layer's, from the input (dark) to the output (light).
    row, col : str or sequence of str, optional
        Coordinates that have a row, or a column, of panels for each of their values. None for both: all that differ.
    band : {"ci95", "sd", "range", "seeds"}, optional
        As in `gradlab.summarise`. None: "range" for up to 8 seeds, more are "ci95".
    layers : sequence of int, optional
        None: all hidden layers.
    readout : bool
        Whether the readout is one of them.
    ax : Axes or sequence of Axes, optional
        One for each panel.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are several panels

    Examples
    --------
    >>> import jax.numpy as jnp, optax
    >>> import gradlab as gl
    >>> params = {"first": {"kernel": jnp.ones((4, 4))}, "last": {"kernel": jnp.ones((4, 2))}}
    >>> tx = gl.monitored(optax.sgd(0.1))
    >>> state = tx.init(params)
    >>> for _ in range(3):
    ...     updates, state = tx.update(params, state, params)
    >>> axes = gl.plots.learning_speed(gl.frame(gl.monitor_records(state)))
    >>> axes.get_xlabel()
    'training step'
    """
    return draw_layers(
        frame, value, x, row=row, col=col, style=style, band=band, layers=layers, readout=readout, ax=ax,
        legend=legend, title=title, preset=preset,
    )  # fmt: skip
