"""Loss and sharpness along a training, with the line above which steps are unstable."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas, decade_axis, draw_lines, handles, mark_failures
from gradlab.plots.ground.captions import Caption, averages, roles, sentences
from gradlab.plots.ground.decades import step_axis
from gradlab.plots.ground.findings import last_step
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.steps import configured, initial, mark_ends, never_averaged, trained
from gradlab.plots.ground.styles import NEUTRAL, Looks, line_width
from gradlab.plots.ground.tables import chosen_band, hidden, levels, lines, of_networks, require, summaries

#: What can be drawn below: the plain sharpness, and that of what the optimiser's steps see.
VALUES = ("sharpness", "preconditioned_sharpness")
#: Where the largest value is this many times the highest threshold, a linear axis would press all else to its floor.
_FAR = 5.0


def sharpness(
    frame: pd.DataFrame,
    *,
    value: Literal["sharpness", "preconditioned_sharpness"] | None = None,
    x: str = "step",
    hue: str | None = None,
    relative: bool = False,
    band: Literal["ci95", "sd", "range", "seeds"] | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> np.ndarray:
    r"""Draw the training loss, and below it the sharpness with the threshold above which steps are unstable.

    Parameters
    ----------
    frame : DataFrame
        Of a training run with ``sharpness=True``, best with ``batch="all"``: the sharpness is that of the measured
        batch. It needs `log10_train_loss`, `sharpness_threshold` and one of the two columns of `value`.
    value : {"sharpness", "preconditioned_sharpness"}, optional
        Which eigenvalue is drawn. None: of each network the one that its threshold is for, which is the preconditioned
        one of Adam, AdamW and RMSProp.
    hue : str, optional
        The column that gives colours, such as ``"learning_rate"``. None: the configuration.
    relative : bool
        Whether the sharpness is divided by the threshold, so that all networks have theirs at 1.
    band : {"ci95", "sd", "range", "seeds"}, optional
        As in `gradlab.summarise`. None: up to 8 seeds are thin lines with their mean, more are "ci95".
    ax : array of two Axes, optional
        For the loss and for the sharpness.
    x, legend, title, preset : optional
        As in `learning_speed`.

    Returns
    -------
    array of two Axes
        The loss in powers of ten, with its geometric mean over seeds. The sharpness with its mean; where it rises far
        above all thresholds, in powers of ten with its geometric mean. The threshold has long dashes.

    Notes
    -----
    Gradient descent on a parabola of curvature :math:`\lambda` with the learning rate :math:`\eta` grows where
    :math:`\lambda > 2/\eta`. On the full batch the sharpness of many networks rises to this line and stays there, the
    edge of stability (Cohen et al. 2021); the preconditioned sharpness of Adam rises to :math:`38/\eta` (Cohen et al.
    2022).

    Examples
    --------
    >>> import gradlab as gl
    >>> loss, curvature = gl.plots.sharpness(gl.example("sharpness"), hue="learning_rate")
    >>> curvature.get_ylabel()
    'sharpness'
    """
    trained(frame, x, "log10_train_loss", "sharpness_threshold")
    require(frame, hue)
    frame, name = _drawn(of_networks(frame), value, relative)
    band = chosen_band(frame, band)
    if hue is None:
        frame, hue = configured(frame, x)
    rows = frame[frame["layer"] >= 1]
    look = Looks(hue, None, levels(frame, hue), [])
    keys = list(dict.fromkeys([*([hue] if hue else []), *never_averaged(rows, x)]))
    logs = _is_far(rows)
    curved = rows.assign(log10_curvature=_log10(rows["curvature"]))
    below = "log10_curvature" if logs else "curvature"
    counts = []
    size = {"height": 3.6, "sharex": True} if ax is None else {}
    with canvas(ax, preset, 2, 1, title=title, **size) as sheet:
        for axes, column in zip(sheet.axes[:, 0], ("log10_train_loss", below), strict=True):
            once = _once(curved, column, [*keys, "seed", x])
            means, seeds = summaries(once, [*keys, x], column, band)
            counts.append(means)
            floor = draw_lines(sheet, axes, means, seeds, keys, x, look, sparse=True)
            ended = mark_ends(sheet, axes, rows, x, [hue] if hue else [], look)
            if column.startswith("log10_"):
                decade_axis(axes, floor)
            step_axis(axes, rows[x].unique())
            failed = mark_failures(sheet, axes, frame, [hue] if hue else [], look)
        top, bottom = sheet.axes[:, 0]
        _mark_thresholds(sheet, bottom, rows, keys, x, look, relative, logs)
        top.set_ylabel(words.axis("log10_train_loss", frame))
        bottom.set_ylabel(name)
        if not logs:
            bottom.set_ylim(bottom=min(0.0, bottom.get_ylim()[0]))
        bottom.set_xlabel(words.axis(x))
        place_legend(sheet, handles(look, sheet, band), legend)
        sheet.describe(_caption(rows, counts, keys, x, look, band, name, ended, failed))
    return sheet.result()


def _drawn(frame: pd.DataFrame, value: str | None, relative: bool) -> tuple[pd.DataFrame, str]:
    """Return the frame with what is drawn in the column `curvature`, and the name of that."""
    if value is not None and value not in VALUES:
        raise unknown("value", value, VALUES)
    known = [name for name in VALUES if name in frame and frame[name].notna().any()]
    if not known or (value is not None and value not in known):
        wanted = value or " or ".join(VALUES)
        raise GradlabError(f"a frame with {wanted}", "none of it", "sharpness=True, and the column among columns=")
    plain, scaled = (frame[n] if n in known else pd.Series(np.nan, frame.index) for n in VALUES)
    if value is None:
        drawn = scaled.fillna(plain)
        name = VALUES[1] if drawn.notna().equals(scaled.notna()) else VALUES[0]
    else:
        name, drawn = value, frame[value]
    if relative:
        drawn = drawn / frame["sharpness_threshold"]
    return frame.assign(curvature=drawn), name.replace("_", " ") + " / threshold" * relative


def _is_far(rows: pd.DataFrame) -> bool:
    """Return whether the sharpness rises so far above all thresholds that a linear axis would hide the rest."""
    of_line = rows["curvature"] / rows["sharpness_threshold"] if rows["sharpness_threshold"].notna().any() else None
    largest = rows["curvature"].max() / rows["curvature"].median() if of_line is None else of_line.max()
    return bool(largest > _FAR)


def _log10(values: pd.Series) -> pd.Series:
    """Return log10 of a sharpness; NaN where it is not positive."""
    return np.log10(values.where(values > 0))


def _once(rows: pd.DataFrame, column: str, by: list[str]) -> pd.DataFrame:
    """Return a row for each network, seed and step: all layers of a network say the same."""
    by = list(dict.fromkeys(by))
    keep = [name for name in ("network", "status", column) if name in rows and name not in by]
    return rows.drop_duplicates(by)[[*by, *keep]]


def _mark_thresholds(
    sheet: Canvas, ax: Any, rows: pd.DataFrame, keys: list[str], x: str, look: Looks, relative: bool, logs: bool
) -> None:
    """Draw each threshold as a dashed line in the colour of its network; where it is 1 for all, one grey line."""
    from matplotlib.lines import Line2D

    kind = {"linestyle": (0, (9, 3)), "linewidth": line_width(0.7), "zorder": 2.5}  # longer than dashes of a network
    if relative:
        ax.axhline(0.0 if logs else 1.0, color=NEUTRAL, **kind, gid="threshold")
        sheet.notes["threshold"] = Line2D([], [], color=NEUTRAL, **kind)
        return
    finite = rows[np.isfinite(rows["sharpness_threshold"])]
    for key, part in lines(finite, keys) if len(finite) else []:
        steps = part.groupby(x)["sharpness_threshold"].mean()
        at = steps.to_numpy(float)
        colour = look.of(key)["color"] if look.hue else NEUTRAL
        ax.plot(steps.index.to_numpy(float), np.log10(at) if logs else at, color=colour, **kind, gid="threshold")
        sheet.notes["threshold"] = Line2D([], [], color=NEUTRAL, **kind)


def _caption(
    rows: pd.DataFrame, counts: list[pd.DataFrame], keys: list[str], x: str, look: Looks, band: str, name: str,
    ended: list[str], failed: list[str],
) -> Caption:  # fmt: skip
    parts = [
        last_step(rows, counts[0], "log10_train_loss", keys, x),
        f"Training loss and {name} against the {words.axis(x)}{initial(rows[x])}.",
        "Long dashes: the threshold, above which steps on a parabola grow.",
        roles(look, []),
        averages([means["column"].iloc[0] for means in counts], pd.concat(counts), band, rows["seed"].nunique()),
        f"Setting: {words.setting(hidden(rows))}.",
        f"× on the upper edge: {'; '.join(ended)}." if ended else "",
        f"Failed, and marked × in the upper left corner: {'; '.join(failed)}." if failed else "",
    ]  # fmt: skip
    return sentences(parts)
