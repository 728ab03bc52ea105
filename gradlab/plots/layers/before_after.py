"""Two runs of the same seeds, before and after a change: their profiles, and the difference of each seed by layer."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, decade_axis, draw_lines, handles, name_panel
from gradlab.plots.ground.captions import Caption, averages, sentences
from gradlab.plots.ground.decades import counting_axis, prepare
from gradlab.plots.ground.findings import quantity
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.roles import role
from gradlab.plots.ground.styles import Looks
from gradlab.plots.ground.tables import checked, differing, hidden, levels, matching, of_networks, require, summaries

#: Height of the upper panel beside that of the lower one.
_HEIGHTS = (1.4, 1)


def before_after(
    frame: pd.DataFrame,
    *,
    value: str = "log10_delta_rms",
    hue: str | None = None,
    band: Literal["ci95", "sd", "range"] = "ci95",
    readout: bool = False,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> np.ndarray:
    """Draw two runs by layer, and below the difference of each seed with the interval of its mean.

    Seeds are paired: of seeds that share their draws, the difference varies less than either run does.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame`, `gradlab.run` or `gradlab.concat`, with two runs that have layers and seeds in common.
    value : str
        A measured column. The difference of log10 values is drawn as a factor.
    hue : str, optional
        The column that tells the two runs apart, such as ``init`` or ``run``; ``step`` compares two steps of a
        training. The first of its two values is the one before. None: the one that differs.
    band : {"ci95", "sd", "range"}
        About the mean of the differences, and about each run's mean.
    readout : bool
        Whether the readout stands behind the hidden layers.
    ax : two Axes, optional
        The upper for the runs, the lower for their difference.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    ndarray of two Axes
        Thin lines below are the seeds. The grey line is no difference.

    Raises
    ------
    GradlabError
        If `hue` has not two values, several networks remain for one of them, or no seed is in both.

    Examples
    --------
    >>> import gradlab as gl
    >>> sweep = gl.Sweep(depth=6, width=16, activation="sigmoid", init=("xavier_normal", "he_normal"), seeds=3)
    >>> above, below = gl.plots.before_after(gl.run(sweep, progress=False))
    >>> below.get_title()
    'He normal / Xavier normal'
    """
    checked(frame, "seed", "layer", value)
    if band not in ("ci95", "sd", "range"):
        raise unknown("band", band, ("ci95", "sd", "range"))
    frame = of_networks(frame)
    rows = hidden(frame, readout)
    hue = _two(rows, hue)
    values = levels(rows, hue)
    for one in values:
        part = matching(rows, {hue: one})
        if part.duplicated(["seed", "layer"]).any():
            rest = [n for n in differing(part) if n != "network"] or ["network"]
            received = f"several, which differ in {words.listed(rest)}"
            raise GradlabError(f"one network for {hue} = {one!r}", received, f"fewer rows: one value of {rest[0]!r}")
    pairs = _pairs(rows, value, hue, values)
    logs = value.startswith("log10_") or value == "delta_log10_mean"
    column = "log10_difference" if logs else "difference"
    renamed = pairs.rename(columns={"difference": column})
    gaps, _ = summaries(renamed, ["layer"], column, band)
    _, of_seeds = summaries(renamed, ["layer"], column, "seeds")
    look = Looks(hue, None, values)
    size = {"height": 3.4, "sharex": True, "gridspec_kw": {"height_ratios": _HEIGHTS}} if ax is None else {}
    with canvas(ax, preset, 2, 1, title=title, **size) as sheet:
        above, below = sheet.axes.flat
        means, _ = summaries(rows, [hue, "layer"], value, band)
        floor = draw_lines(sheet, above, means, None, [hue], "layer", look)
        alone = Looks(None, None)
        draw_lines(sheet, below, gaps, of_seeds, [], "layer", alone)
        if gaps["low"].notna().any():
            ordered = gaps.sort_values("layer")
            below.fill_between(
                ordered["layer"], ordered["low"], ordered["high"], **role("band", alone.of({})["color"]), gid="interval"
            )
        below.axhline(0, **role("reference"), gid="no difference")
        if logs:
            decade_axis(above, floor)
            prepare(below, "y", at_least=0.1)
        for axes in (above, below):
            counting_axis(axes, [1])
        if sheet.ours:
            above.tick_params(labelbottom=False)
        above.set_ylabel(words.axis(value, frame))
        first, second = (words.named(v) if isinstance(v, str) else words.entry(hue, v) for v in values)
        between = words.math(f"{second} {'/' if logs else '−'} {first}")
        if sheet.ours:
            name_panel(sheet, below, between)
            below.set_ylabel("ratio" if logs else "difference")
        else:  # their titles are their owner's, and they may stand side by side
            below.set_ylabel(between)
            above.set_xlabel(words.axis("layer"))
        below.set_xlabel(words.axis("layer"))
        place_legend(sheet, handles(look, sheet, band), legend)
        sheet.describe(_caption(rows, means, gaps, pairs, value, hue, values, band, logs, sheet.ours))
    return sheet.axes.ravel()


def _two(rows: pd.DataFrame, hue: str | None) -> str:
    """Return the column that tells the two runs apart."""
    require(rows, hue)
    names = [hue] if hue is not None else [n for n in differing(rows) if n != "network"]
    two = [n for n in names if rows[n].nunique(dropna=False) == 2]
    if not two:
        received = f"{rows[hue].nunique()} of {hue}" if hue else f"columns that differ: {names or 'none'}"
        raise GradlabError("a column with two values, before and after", received, 'hue="run", and rows of two runs')
    return two[0]


def _pairs(rows: pd.DataFrame, value: str, hue: str, values: list[Any]) -> pd.DataFrame:
    """Return the difference, after minus before, of each seed and layer that both have."""
    before, after = (matching(rows, {hue: v}).set_index(["layer", "seed"])[value].astype(float) for v in values)
    common = before.index.intersection(after.index)
    if not len(common):
        raise GradlabError("seeds that both runs have", "none in common", "the same seeds= for both")
    with np.errstate(invalid="ignore"):  # two zeros have no ratio
        pairs = (after[common] - before[common]).rename("difference").reset_index()
    return pairs.loc[pairs["difference"].notna()]


def _caption(
    rows: pd.DataFrame, means: pd.DataFrame, gaps: pd.DataFrame, pairs: pd.DataFrame, value: str, hue: str,
    values: list[Any], band: str, logs: bool, ours: bool,
) -> Caption:  # fmt: skip
    first, second = (words.entry(hue, v) for v in values)
    finite = gaps[np.isfinite(gaps["mean"])]
    parts = []
    if len(finite):
        most = finite.loc[finite["mean"].abs().idxmax()]
        factors = [f"{10**v:.3g}" if logs else f"{v:.3g}" for v in (most["mean"], most["low"], most["high"])]
        between = f" [{factors[1]}, {factors[2]}]" if np.isfinite(most["low"]) else ""
        does = f"{factors[0]} times that" if logs else f"{factors[0]} more than that"
        parts.append(
            f"With {second} the {quantity(value)} is {does}{between} with {first} at layer {int(most['layer'])}, where "
            "the two differ most."
        )
        if band == "ci95" and np.isfinite(finite["low"]).any():
            beyond = int(((finite["low"] > 0) | (finite["high"] < 0)).sum())
            parts.append(f"The interval of the difference excludes none in {beyond} of {len(finite)} layers.")
    seeds = pairs["seed"].nunique()
    upper, lower = ("Above", "Below") if ours else ("First axes", "Second axes")  # which may stand side by side
    parts += [
        f"{upper}: {words.described(value)}. {averages([value], means, band, rows['seed'].nunique())}",
        f"{lower}: the {'factor' if logs else 'difference'} between the two, seed by seed (thin lines) and its "
        f"{'geometric ' * logs}mean over n = {words.span([seeds], 'pair of seeds' if seeds == 1 else 'pair')}; band: "
        f"{words.BANDS[band]}.",
        f"Setting: {words.setting(rows)}.",
    ]
    return sentences(parts)
