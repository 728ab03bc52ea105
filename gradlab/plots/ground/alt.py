"""What a figure shows, for those who do not see it: axes, lines, where they begin and end."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gradlab._text import plain
from gradlab.plots.ground.captions import figure_of

#: Of the lines of a panel, so many are told.
MOST = 8


def alt(figure: Any) -> str:
    """Describe a figure in words, from what is drawn in it, as the alternative text of a picture on a page.

    Parameters
    ----------
    figure : Figure, Axes, array of Axes or Board
        What is described.

    Returns
    -------
    str
        For each panel what is drawn against what, and for each line that the legend names its first and last value.

    Examples
    --------
    >>> import gradlab as gl
    >>> frame = gl.example("depth")
    >>> axes = gl.plots.rate_against_depth(frame[frame["init"] == "he_normal"])
    >>> gl.plots.alt(axes).split(":")[0]
    'Rate [factor of the rms delta per layer] against depth [hidden layers]'
    """
    figure = figure_of(figure)
    panels = [_panel(ax) for ax in figure.axes if ax.get_visible() and ax.axison]
    return plain(" ".join(text for text in panels if text))


def _panel(ax: Any) -> str:
    across = _plain(ax.get_xlabel() or _shared(ax, "_supxlabel"))
    up = _plain(ax.get_ylabel() or _shared(ax, "_supylabel"))
    if not (across or up):
        return ""
    letter = ax.get_title(loc="left")
    head = f"{letter} " if re.fullmatch(r"\([a-z]\)", letter) else ""
    what = f"{up[:1].upper()}{up[1:]} against {across}" if up and across else up or across
    named = _named(ax)
    told = [text for name, line in named[:MOST] if (text := _line(ax, name, line))]
    more = f", and {len(named) - MOST} more" if len(named) > MOST else ""
    filled = [c for c in ax.collections if hasattr(c, "get_coordinates") and c.get_array() is not None]
    values = np.concatenate([np.ma.compressed(np.ma.masked_invalid(c.get_array())) for c in filled]) if filled else []
    if len(values):
        told.append(f"colours from {_number(np.min(values))} to {_number(np.max(values))}")
    return f"{head}{what}{': ' if told else ''}{'; '.join(told)}{more}."


def _named(ax: Any) -> list[tuple[str, Any]]:
    """Lines, points and bars with a name, of the legend or written at their ends; and means that have none."""
    bars = [(each.get_label(), each.lines[0]) for each in ax.containers if getattr(each, "has_yerr", False)]
    found: list[tuple[str, Any]] = []
    for label, line in [*((line.get_label(), line) for line in ax.lines), *bars]:
        bare = str(label).startswith(("_child", "_nolegend", "_container"))
        name = "" if bare else _plain(str(label).removeprefix("_"))
        fresh = name not in {known for known, _ in found}
        if line is not None and (line.get_gid() == "mean" if bare else fresh):
            found.append((name, line))
    return found


def _line(ax: Any, name: str, line: Any) -> str:
    x, y = (np.asarray(v, dtype=float) for v in line.get_data())
    if x.shape != y.shape or line.get_transform() is not ax.transData:
        return ""
    keep = np.isfinite(x) & np.isfinite(y)
    if not keep.any():
        return ""
    x, y = x[keep], y[keep]
    first, last = (f"{_value(ax, v)} at {_number(u)}" for u, v in ((x[0], y[0]), (x[-1], y[-1])))
    span = f"from {first} to {last}" if len(x) > 1 else first
    return f"{name} {span}".strip()


def _value(ax: Any, value: float) -> str:
    """Return a value as its axis says it: a power of ten where the axis is one of log10 values."""
    if type(ax.yaxis.get_major_formatter()).__name__ == "Powers":
        return f"10^{value:.1f}".replace("-", "−") if abs(value) >= 4 else _number(10.0**value)
    return _number(value)


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _shared(ax: Any, name: str) -> str:
    label = getattr(ax.figure, name, None)
    return label.get_text() if label is not None else ""


def _plain(text: str) -> str:
    """Return a label without the marks of TeX."""
    text = re.sub(r"\\mathrm\{([^}]*)\}", r"\1", text).replace("$", "")
    return re.sub(r"\\([a-z]+)\b", r"\1", text).replace("\\", "").replace("{", "").replace("}", "").strip()
