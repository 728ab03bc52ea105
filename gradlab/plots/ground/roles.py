"""One look for each role in a figure: a network, theory beside it, a reference, a zone that a claim forbids."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground.captions import figure_of
from gradlab.plots.ground.styles import FAINT, NEUTRAL, Looks, line_width, marker_size, shaded

#: What each role is drawn with; widths are shares of `lines.linewidth`, so that they stay so in every preset.
_ROLES: dict[str, dict[str, Any]] = {
    "theory": {"color": "black", "linestyle": "--", "linewidth": 0.7, "zorder": 2.2},
    "reference": {"color": FAINT, "linestyle": "-", "linewidth": 0.5, "zorder": 1},
    "threshold": {"color": NEUTRAL, "linestyle": (0, (4, 2)), "linewidth": 0.7, "zorder": 1.2},
    "seed": {"linewidth": 0.4, "alpha": 0.55, "zorder": 2},
    "band": {"alpha": 0.25, "linewidth": 0, "zorder": 1.5},
    "zone": {"color": "0.9", "linewidth": 0, "zorder": 0},
    "bars": {"linewidth": 0.7, "zorder": 2.5},
}


def role(name: str, colour: Any = None) -> dict[str, Any]:
    """Return matplotlib's keywords for what is drawn in a role, so that all figures say one thing in one way.

    Parameters
    ----------
    name : {"theory", "reference", "threshold", "seed", "band", "zone", "bars"}
        Theory is thin, dashed and black. A reference is a thin grey line, such as 1. A threshold is a dashed grey line
        that a claim or a rule draws. A seed is one of several thin lines, a band the spread about a mean. A zone is a
        light grey ground. Bars are error bars.
    colour : optional
        The colour of the line that it belongs to; theory takes a darker one, so that it is seen on its line.

    Returns
    -------
    dict
        For ``ax.plot``, ``ax.fill_between`` or ``ax.axhspan``. Widths are those of the preset in force.

    Examples
    --------
    >>> import gradlab as gl
    >>> with gl.plots.style("paper"):
    ...     gl.plots.role("theory")["linestyle"]
    '--'
    """
    if name not in _ROLES:
        raise unknown("role", name, _ROLES)
    look = dict(_ROLES[name])
    if colour is not None:
        look["color"] = shaded(colour) if name == "theory" else colour
    return {**look, "linewidth": line_width(look["linewidth"])}


def looks(values: Iterable[Hashable], *, line: bool = True) -> dict[Hashable, dict[str, Any]]:
    """Return colour, marker and kind of line for each value; a deuteranope and a grey print tell them apart.

    Parameters
    ----------
    values : iterable
        Up to seven names, or numbers, which stand on a scale from dark to light.
    line : bool
        Whether the kind of line differs too. Leave it out where the kind of line says something else.

    Returns
    -------
    dict
        For each value the keywords of ``ax.plot``.
    """
    values = list(dict.fromkeys(values))
    if not values:
        raise GradlabError("one value or more", "none", 'gl.plots.looks(["tanh", "relu"])')
    known = Looks("value", None, values)
    each = {value: known.of({"value": value}) for value in values}
    return each if line else {value: {**look, "linestyle": "-"} for value, look in each.items()}


def label_ends(ax: Any, *, side: str = "right", gap: float = 1.05) -> list[Any]:
    """Write the label of each line beside its last point, in the colour of the line, in place of a legend.

    Parameters
    ----------
    ax : Axes
        Its lines with a label are named. Call it when everything is drawn and the limits are set.
    side : {"right", "left"}
        At which end of the lines the labels stand.
    gap : float
        Least distance of two labels, in heights of their text: labels that would overlap are moved apart.

    Returns
    -------
    list of Annotation
        They stand outside the axes; a constrained layout makes room for them.
    """
    if side not in ("right", "left"):
        raise unknown("side", side, ("right", "left"))
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    ends = [(line, end) for line in lines if (end := _end(ax, line, side)) is not None]
    if not ends:
        raise GradlabError("lines with labels", "none", 'ax.plot(x, y, label="tanh")')
    figure = figure_of(ax)
    figure.draw_without_rendering()
    place = ax.transAxes.inverted().transform
    places = np.clip([place(ax.transData.transform(end)) for _, end in ends], 0, 1)
    size = _text_height(ax) * gap / ax.bbox.height
    at = _apart(places[:, 1], size)
    x = places[:, 0].max() if side == "right" else places[:, 0].min()
    made = []
    for (line, _), y in zip(ends, at, strict=True):
        made.append(
            ax.annotate(
                line.get_label(), (x, y), (4 if side == "right" else -4, 0), xycoords="axes fraction",
                textcoords="offset points", ha="left" if side == "right" else "right", va="center",
                color=line.get_color(), fontsize="small", annotation_clip=False, gid="end label",
            )
        )  # fmt: skip
        line.set_label(f"_{line.get_label()}")  # no legend names it once more
    return made


def _end(ax: Any, line: Any, side: str) -> tuple[float, float] | None:
    """Return the last finite point of a line on a side."""
    x, y = (np.asarray(v, dtype=float) for v in line.get_data())
    if line.get_transform() is not ax.transData or x.shape != y.shape:
        return None
    keep = np.isfinite(x) & np.isfinite(y)
    if not keep.any():
        return None
    x, y = x[keep], y[keep]
    i = int(np.argmax(x) if (side == "right") != ax.xaxis_inverted() else np.argmin(x))
    return float(x[i]), float(y[i])


def _text_height(ax: Any) -> float:
    """Return the height of a small text in pixels."""
    probe = ax.annotate("Xg", (0, 0), fontsize="small", annotation_clip=False)  # 0 may lie outside the axes
    height = probe.get_window_extent().height
    probe.remove()
    return float(height)


def _apart(at: np.ndarray, least: float) -> np.ndarray:
    """Return the places moved apart to a least distance, as little as their order allows, about where they were.

    This is the projection on ordered sequences: pool adjacent violators of place minus rank times distance.
    """
    order = np.argsort(at, kind="stable")
    shifted = at[order] - least * np.arange(len(at))
    blocks: list[list[float]] = []
    for value in shifted:
        blocks.append([value, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            value, n = blocks.pop()
            before, m = blocks.pop()
            blocks.append([(before * m + value * n) / (m + n), m + n])
    flat = np.concatenate([np.full(int(n), value) for value, n in blocks]) + least * np.arange(len(at))
    placed = np.empty(len(at))
    placed[order] = flat
    return placed


def dots(colour: Any = None, *, hollow: bool = False, share: float = 1.0) -> dict[str, Any]:
    """Return keywords of ``ax.plot`` or ``ax.errorbar`` for single marks: no line between them, filled or hollow.

    Parameters
    ----------
    colour : optional
        Of the marks. None: the next of the colours that the axes give out.
    hollow : bool
        White inside, for what is undecided or of another kind.
    share : float
        Of the size of the preset's markers.
    """
    look: dict[str, Any] = {"linestyle": "", "markersize": marker_size(share), "zorder": 3}
    if colour is not None:
        look["color"] = colour
    return {**look, "markerfacecolor": "white"} if hollow else look
