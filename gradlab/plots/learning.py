"""How fast each layer learns: a line a layer, against the training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from matplotlib.lines import Line2D

from gradlab.plots import words
from gradlab.plots.canvas import Canvas, canvas, decade_axis, draw_lines, handles, name_panel
from gradlab.plots.captions import attach
from gradlab.plots.decades import step_axis
from gradlab.plots.findings import last_step
from gradlab.plots.headers import share_labels, write_headers
from gradlab.plots.legends import Place, place_legend
from gradlab.plots.profiles import averages, mark_failures, roles
from gradlab.plots.steps import (
    apart,
    band_of_layers,
    grid_of,
    initial,
    layer_looks,
    mark_ends,
    of_layers,
    some_named,
    trained,
)
from gradlab.plots.styles import NEUTRAL, Looks, line_width
from gradlab.plots.tables import summaries

#: A rule of thumb of practice: updates of about a thousandth of the weight (Karpathy 2015, lecture notes of CS231n).
RULE = -3.0
#: Up to so many layers have bands; more have bars, which can be told apart.
BANDS = 4


def learning_speed(
    frame: pd.DataFrame,
    *,
    value: str = "log10_weight_grad_norm",
    x: str = "step",
    rows: str | Sequence[str] | None = None,
    cols: str | Sequence[str] | None = None,
    style: str | None = None,
    band: Literal["ci95", "sd", "range", "seeds"] | None = None,
    layers: Sequence[int] | None = None,
    readout: bool = False,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Any:
    """How large each layer's gradient is along the training: a line a layer, a panel a configuration.

    Parameters
    ----------
    frame : DataFrame
        Of a training run, with several steps; from `gradlab.monitor_records` too.
    value : str
        A measured column, such as ``log10_delta_rms`` or ``log10_weight_update_norm``.
    x : str
        The column that counts training. Steps that are spaced logarithmically stand on such an axis, and step 0,
        the initialisation, at its left.
    rows, cols : str or sequence of str, optional
        Coordinates that have a row, or a column, of panels for each of their values. None for both: all that differ.
    style : str, optional
        Column that gives the kind of line. The colour is the layer's, from the input (dark) to the output (light).
    band : {"ci95", "sd", "range", "seeds"}, optional
        As in `gradlab.summarise`. None: "range" for up to 8 seeds, more are "ci95".
    layers : sequence of int, optional
        None: all hidden layers.
    readout : bool
        Whether the readout is one of them.
    ax : Axes or sequence of Axes, optional
        One for each panel.
    legend, title, preset
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
    return _by_layer(frame, value, x, rows, cols, style, band, layers, readout, ax, legend, title, preset)


def update_ratio(
    frame: pd.DataFrame,
    *,
    x: str = "step",
    rows: str | Sequence[str] | None = None,
    cols: str | Sequence[str] | None = None,
    style: str | None = None,
    band: Literal["ci95", "sd", "range", "seeds"] | None = None,
    layers: Sequence[int] | None = None,
    readout: bool = False,
    rule: float | None = RULE,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Any:
    """Norm of each layer's update over that of its weight along the training, beside the rule of thumb of 1e-3.

    Parameters
    ----------
    frame : DataFrame
        Of a training run, with `log10_update_ratio`; from `gradlab.monitor_records` too.
    rule : float, optional
        log10 of the ratio that a labelled line marks: practice asks for about a thousandth (Karpathy 2015). None: no
        line.
    x, rows, cols, style, band, layers, readout, ax, legend, title, preset
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
    column = "log10_update_ratio"
    return _by_layer(frame, column, x, rows, cols, style, band, layers, readout, ax, legend, title, preset, rule)


def _by_layer(
    frame: pd.DataFrame, value: str, x: str, down: Any, along: Any, style: str | None, band: Any, layers: Any,
    readout: bool, ax: Any, legend: Any, title: Any, preset: Any, rule: float | None = None,
) -> Any:  # fmt: skip
    rows = of_layers(trained(frame, x, value), value, readout)
    band = band_of_layers(frame, band)
    look = layer_looks(rows, layers, style)
    grid = grid_of(frame, down, along, x, ax is not None)
    shown, size = grid.panels, grid.shape
    logs = value.startswith("log10_") or value == "delta_log10_mean"
    own = {"sharey": True, "sharex": True} if ax is None else {}
    counts, failed, ended, several = [], [], [], len(shown) > 1
    height = 2.6 if size[0] == 1 else 0.7 + (1.75 if size[0] < 4 else 1.35) * size[0]
    with canvas(ax, preset, *size, title=title, wide=several, height=height, **own) as board:
        used = board.axes.ravel()[: len(shown)]
        for axes, (name, whole) in zip(used, shown, strict=True):
            part = of_layers(whole, value, readout)
            part = part[part["layer"].isin(look.hues)]
            floor = 0
            if len(part):
                keys = list(dict.fromkeys(n for n in ("layer", style, *apart(part, x)) if n is not None))
                means, seeds = summaries(part, [*keys, x], value, band)
                counts.append(means.assign(panel=name) if several else means)
                bars = band != "seeds" and len(look.hues) > BANDS
                floor = draw_lines(board, axes, means, seeds, keys, x, look, bars=bars)
                where = f" ({name})" if several else ""
                ended += [note + where for note in mark_ends(board, axes, part, x, [], look)]
            if rule is not None:
                _mark_rule(board, axes, rule)
            if logs:
                decade_axis(axes, floor)
            step_axis(axes, rows[x].unique())
            name_panel(board, axes, name if several and not (grid.rows and board.own) else "")
            if not len(part):
                axes.text(0.5, 0.5, "no such network", transform=axes.transAxes, ha="center", color=NEUTRAL, gid="none")
            axes.set_xlabel(words.axis(x))
            failed += mark_failures(board, axes, whole, [], look)
        label = words.axis(value, frame)
        if board.own and several:
            _share_labels(board, used, words.axis(x), label)
            write_headers(board, grid.rows, grid.cols)
        else:
            for axes in used:
                axes.set_ylabel(label)
        place_legend(board, some_named(handles(look, board, band), look), legend)
        text = _caption(rows, pd.concat(counts), value, x, look, band, failed, ended, grid.names, rule)
        for axes in used:
            attach(axes, text)
    return used if several else used[0]


def _mark_rule(board: Canvas, ax: Any, at: float) -> None:
    """A line at the rule of thumb, which the legend names: there is no place in the axes that no line may cross."""
    look = {"color": NEUTRAL, "linestyle": (0, (4, 2)), "linewidth": line_width(0.7)}
    ax.axhline(at, **look, zorder=1.2, gid="rule")
    board.notes[f"rule of thumb $10^{{{at:g}}}$"] = Line2D([], [], **look)


def _share_labels(board: Canvas, used: Any, x: str, y: str) -> None:
    """One label for all panels of a figure of ours, and no axes where there is no panel."""
    share_labels(board, x, y)
    for axes in board.axes.ravel()[len(used) :]:
        axes.set_visible(False)
    below = board.axes.shape[1]
    for i, axes in enumerate(used):
        axes.tick_params(labelbottom=i + below >= len(used))


def _panels(rows: list[str], cols: list[str]) -> str:
    """What the panels stand for; those that follow one another have a title each."""
    if rows and not cols:
        return f"A panel for each {' and '.join(map(words.short, rows))}."
    return roles(Looks(None, None), rows, cols)


def _caption(
    rows: pd.DataFrame, counts: pd.DataFrame, value: str, x: str, look: Any, band: str, failed: list[str],
    ended: list[str], facets: tuple[list[str], list[str]], rule: float | None,
) -> str:  # fmt: skip
    what, bars = words.described(value), len(look.hues) > BANDS
    low, high = look.hues[0], look.hues[-1]
    keys = [n for n in ("layer", look.style, "network", "panel") if n in counts]
    parts = [
        last_step(rows, counts, value, keys, x),
        f"{what[:1].upper()}{what[1:]}, against the {words.axis(x)}{initial(rows[x])}.",
        f"Colour: layer, from {low}, next to the input (dark), to {high} (light)." if len(look.hues) > 1 else "",
        f"Kind of line: {words.short(look.style)}." if look.style else "",
        "Layer 0: the weights that all time steps share." if low == 0 else "",
        _panels(*facets),
        f"Dashed: the rule of thumb, {10**rule:g}." if rule is not None else "",
        averages([value], counts, band, rows["seed"].nunique()).replace("bands:", "bars:" if bars else "bands:"),
        f"Setting: {setting}." if (setting := words.setting(rows)) else "",
        f"× on the upper edge: {'; '.join(ended)}." if ended else "",
        f"Failed, and marked × in the upper left corner: {'; '.join(failed)}." if failed else "",
    ]  # fmt: skip
    return " ".join(part for part in parts if part)
