"""Rates that were measured against those that theory predicts, with their ratio below."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, handles
from gradlab.plots.ground.captions import Caption, roles, sentences
from gradlab.plots.ground.decades import prepare
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.roles import dots, role
from gradlab.plots.ground.styles import line_width
from gradlab.plots.ground.tables import checked, lines, looks

#: Height of the upper panel beside that of the lower one.
_HEIGHTS = (2.4, 1)


def predicted_against_measured(
    frame: pd.DataFrame,
    *,
    hue: str | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> np.ndarray:
    """Draw measured rates with their intervals against predicted ones, and below what lies between them in per cent.

    Parameters
    ----------
    frame : DataFrame
        From ``gradlab.rates(frame, theory=gradlab.predict_all(sweep))``: a row for each network. Networks that theory
        refuses are left out; the caption counts them.
    hue : str, optional
        Column that gives colour and marker. None: the first that differs.
    ax : two Axes, optional
        The upper for the rates, the lower for the residuals. They should share their x-axis.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    ndarray of two Axes
        Above, the dashed line is where theory and measurement agree. Below, 0 is agreement.

    Raises
    ------
    GradlabError
        If the frame has no predicted rate, or theory refuses all networks.

    Examples
    --------
    >>> import gradlab as gl
    >>> nets = {"depth": 12, "width": 32, "activation": "tanh", "init": "gaussian", "sigma_b2": 0.05}
    >>> sweep = gl.Sweep(**nets, sigma_w2=(1.0, 2.0), batch=1, seeds=3)
    >>> table = gl.rates(gl.run(sweep, progress=False), theory=gl.predict_all(sweep))
    >>> above, below = gl.plots.predicted_against_measured(table)
    >>> below.get_ylabel()
    'residual  [%]'
    """
    checked(frame, "rate", "low", "high", "predicted", "ratio", "ratio_low", "ratio_high")
    numbers = frame[["rate", "predicted", "ratio"]].to_numpy(float)
    rows = frame[np.isfinite(numbers).all(axis=1) & (numbers[:, 0] > 0)]
    if rows.empty:
        reasons = frame["refused"].astype(str) if "refused" in frame else []
        why = "; ".join(dict.fromkeys(text for text in reasons if text))
        raise GradlabError("a network with a measured and a predicted rate", why or "none", "gl.predict_all(sweep)")
    look = looks(rows, hue, None)
    look = looks(rows, look.hue, None) if look.style is not None else look  # no line has a kind here
    keys = [look.hue] if look.hue is not None else []
    size = {"height": 3.4, "sharex": True, "gridspec_kw": {"height_ratios": _HEIGHTS}} if ax is None else {}
    with canvas(ax, preset, 2, 1, title=title, **size) as sheet:
        above, below = sheet.axes.flat
        for key, shared in lines(rows, keys):
            mark = {**dots(look.of(key)["color"]), "marker": look.of(key)["marker"], "elinewidth": line_width(0.7)}
            at = np.log10(shared["predicted"].to_numpy(float))
            bars = np.log10(shared[["low", "rate", "high"]].to_numpy(float).clip(min=1e-300))
            above.errorbar(at, bars[:, 1], _sides(bars), **mark, gid="measured")
            ratios = 100 * (shared[["ratio_low", "ratio", "ratio_high"]].to_numpy(float) - 1)
            below.errorbar(at, ratios[:, 1], _sides(ratios), **mark, gid="residual")
        ends = np.log10([*rows["predicted"], *rows["rate"]])
        room = 0.05 * max(np.ptp(ends), 0.02)
        span = np.array([ends.min() - room, ends.max() + room])
        above.plot(span, span, **role("theory"), gid="identity")
        below.axhline(0, **role("theory"), gid="identity")
        for axes in (above, below):
            prepare(axes, "x", at_least=0.1)
        prepare(above, "y", at_least=0.1)
        if sheet.ours:
            above.tick_params(labelbottom=False)
        below.set_xlabel("rate by theory [factor of the delta per layer]")
        above.set_ylabel("measured rate")
        below.set_ylabel("measured / predicted − 1  [%]" if not sheet.ours else "residual  [%]")
        shown = handles(look, sheet)
        place_legend(sheet, {**shown, "theory = measurement": above.lines[-1]} if shown else {}, legend)
        sheet.describe(_caption(frame, rows, look))
    return sheet.axes.ravel()


def _sides(table: np.ndarray) -> np.ndarray:
    """Return the lengths of error bars from (low, middle, high); 0 where there is no interval."""
    return np.nan_to_num(np.array([table[:, 1] - table[:, 0], table[:, 2] - table[:, 1]])).clip(min=0)


def _caption(frame: pd.DataFrame, rows: pd.DataFrame, look: Any) -> Caption:
    away = (rows["ratio"] - 1).abs()
    worst = rows.loc[away.idxmax()]
    inside = int(((rows["ratio_low"] <= 1) & (rows["ratio_high"] >= 1)).sum())
    where = f" ({words.entry(look.hue, worst[look.hue])})" if look.hue is not None else ""
    lacking = len(frame) - len(rows)
    level = f"{100 * frame['level'].iloc[0]:g} %" if "level" in frame else "their"
    parts = [
        f"Measured rates differ from theory by at most {100 * away.max():.2g} %{where}; the interval of {inside} of "
        f"{words.span([len(rows)], 'network')} holds the prediction.",
        f"Points: the rate of a network over n = {words.span([int(v) for v in rows['n_seeds']], 'seed')}, with "
        f"{level} interval, against theory's; dashed: equality. Below: measured over predicted, minus 1.",
        roles(look),
        f"{lacking} of {len(frame)} networks lack a predicted or a measured rate and are left out." if lacking else "",
    ]
    return sentences(parts)
