"""Densities of the singular values of Jacobians, on an axis of their log10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, name_panel
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import prepare
from gradlab.plots.ground.facets import panels
from gradlab.plots.ground.headers import share_labels
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import Looks, line_width, shaded
from gradlab.plots.ground.tables import checked, levels, lines, listed, matching, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Bins over the decades that the values span.
BINS = 60
#: Columns of a law.
_LAW = ("log10_singular_value", "density")


def spectrum(
    frame: pd.DataFrame,
    *,
    hue: str | None = None,
    col: str | Sequence[str] | None = None,
    theory: pd.DataFrame | None = None,
    bins: int = BINS,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw the density of log10 of the singular values, pooled over seeds and inputs, a line for each value of `hue`.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame`: ``log10_singular_value``, ``weight``, and ``resolved`` where there is one. Spectra along
        a training are those of the weights of each step, with a column ``step``, one table below another.
    hue : str, optional
        The column that gives colours. None: the first of activation, init, depth and step that differs and is not in
        `col`.
    col : str or sequence of str, optional
        Columns with a panel for each value, such as ``step``. All panels share their bins and axes.
    theory : DataFrame, optional
        ``log10_singular_value``, ``density`` per decade, and `hue` (and `col`, if it differs there): a thin darker
        line for each value of `hue`. A row without a density (NaN) is the largest singular value of theory, a thin
        vertical line.
    bins : int
        Of equal width in log10 over all lines.
    ax : Axes or sequence of Axes, optional
        One for each panel.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are several panels
        Exact zeros and values below the rounding of the largest are in no bin; the caption counts them.

    Examples
    --------
    >>> import gradlab as gl, pandas as pd
    >>> net, x, y = gl.MLP(depth=3, width=8, activation="tanh"), [[1.0, 0.5]] * 8, [0, 1] * 4
    >>> training = gl.train(net, x, y, steps=4, batch=4, seeds=1, progress=False)
    >>> weights = {0: net.init_params(0, x, y), 4: training.params[0]}
    >>> tables = [gl.frame(gl.jacobian_spectrum(net, x, params=w)).assign(step=s) for s, w in weights.items()]
    >>> axes = gl.plots.spectrum(pd.concat(tables), col="step")
    >>> [ax.get_title() for ax in axes]
    ['step 0', 'step 4']
    """
    checked(frame, "log10_singular_value", "weight")
    along = listed(col, frame)
    if hue is None:
        varying = [n for n in ("activation", "init", "depth", "step") if n in frame and frame[n].nunique() > 1]
        hue = next((n for n in varying if n not in along), None)
    require(frame, hue)
    laws = pd.DataFrame(columns=_LAW) if theory is None else theory
    for name in (*_LAW, *([hue] if hue else [])):
        if len(laws):
            require(laws, name)
    values_of = levels(frame, hue) if hue else [None]
    look = Looks(hue, None, values_of, [])
    keep = _resolved(frame)
    value = frame.loc[keep, "log10_singular_value"].to_numpy(float)
    low, high = (value.min(), value.max()) if len(value) else (-1.0, 0.0)
    room = max(0.02 * (high - low), 0.05)
    grid = np.linspace(low - room, high + room, bins + 1)
    parts = panels(frame, along)
    shared = {"sharey": True} if ax is None else {}
    with canvas(ax, preset, 1, len(parts), title=title, wide=len(parts) > 1, **shared) as sheet:
        shown: dict[str, Any] = {}
        for axes, (header, key) in zip(sheet.axes.flat, parts, strict=True):
            of_panel = matching(laws, {n: v for n, v in key.items() if n in laws}) if len(laws) else laws
            shown |= _panel(axes, matching(frame, key), of_panel, look, grid)
            name_panel(sheet, axes, words.math(header))
            axes.set_xlabel("singular value of the Jacobian")
        sheet.axes.flat[0].set_ylabel("density  [share per decade]")
        if sheet.ours and len(parts) > 1:
            share_labels(sheet, "singular value of the Jacobian")
        place_legend(sheet, shown if len(shown) > 1 else {}, legend)
        varying = list(dict.fromkeys([*([hue] if hue else []), *along]))
        sheet.describe(_caption(frame, keep, varying, laws))
    return sheet.result()


def _resolved(frame: pd.DataFrame) -> np.ndarray:
    """Return which rows stand in a bin: finite ones, above the rounding of the largest."""
    keep = np.isfinite(frame["log10_singular_value"].to_numpy(float))
    return keep & frame["resolved"].to_numpy(bool) if "resolved" in frame else keep


def _panel(ax: Any, part: pd.DataFrame, laws: pd.DataFrame, look: Looks, grid: np.ndarray) -> dict[str, Any]:
    """Draw the densities of one panel with theory's; return the handles of the legend."""
    import seaborn

    hue = look.hue
    shown = {}
    for level in look.hues:
        subset = part if hue is None else part[part[hue] == level]
        if subset.empty:
            continue
        keep, weight = _resolved(subset), subset["weight"].to_numpy(float)
        colour = look.colour(level)
        kind = {"color": colour, "linestyle": look.line(level, None)}
        per_decade = weight[keep] / weight.sum() / (grid[1] - grid[0])  # of all values, not of the resolved ones
        seaborn.histplot(
            x=subset["log10_singular_value"].to_numpy(float)[keep], weights=per_decade, bins=grid.tolist(),
            element="step", stat="count", fill=False, ax=ax, gid="density", linewidth=line_width(), **kind,
        )  # fmt: skip
        shown[words.math(words.entry(hue, level)) if hue else "measured"] = ax.lines[-1]
        of_level = laws[laws[hue] == level] if hue and len(laws) else laws
        curve = of_level[of_level["density"].notna()]
        if len(curve):
            at = curve["log10_singular_value"], curve["density"]
            ax.plot(*at, color=shaded(colour), linewidth=line_width(0.7), gid="theory", zorder=3)
        for edge in of_level.loc[of_level["density"].isna(), "log10_singular_value"]:
            ax.axvline(edge, linewidth=line_width(0.7), gid="edge", **kind)
    ax.set_xlim(grid[0], grid[-1])
    prepare(ax, "x")
    ax.set_ylim(0, None)
    ax.set(xlabel="", ylabel="")
    return shown


def _middle_half(rows: pd.DataFrame) -> tuple[float, float]:
    """Return log10 of the values below which a quarter, and three quarters, of the weight lie."""
    rows = rows.sort_values("log10_singular_value")
    share = np.cumsum(rows["weight"].to_numpy(float))
    at = np.searchsorted(share, np.array([0.25, 0.75]) * share[-1])
    low, high = rows["log10_singular_value"].to_numpy(float)[at]
    return low, high


def _caption(table: pd.DataFrame, keep: np.ndarray, names: Sequence[str], laws: pd.DataFrame) -> Caption:
    n = [table[name].nunique() for name in ("seed", "input") if name in table]
    pooled = " and ".join(words.span([v], unit) for v, unit in zip(n, ("seed", "input"), strict=False))
    halves = []
    for key, subset in lines(table[keep], names) if keep.any() else []:
        low, high = _middle_half(subset)
        where = ", ".join(words.entry(name, value) for name, value in key.items())
        halves.append(f"{10**low:.3g} and {10**high:.3g}{f' ({where})' if where else ''}")
    parts = (
        [f"The middle half of the Jacobian's singular values lies between {words.listed(halves)}."] if halves else []
    )
    parts.append(f"Density of their log10, pooled over n = {pooled or len(table)}; no band.")
    if laws["density"].isna().any():
        parts.append("Upright lines, thin: the largest by theory.")
    if laws["density"].notna().any():
        parts.append("Thin, darker: the density by theory.")
    zeros = int(np.isneginf(table["log10_singular_value"]).sum())
    below = int((~keep).sum()) - zeros
    if zeros:
        parts.append(f"{zeros} exact zeros are in no bin.")
    if below:
        parts.append(f"{below} values below the rounding of the largest are in no bin.")
    return sentences(parts)
