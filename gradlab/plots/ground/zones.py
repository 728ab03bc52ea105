"""Colours of decades: light between the lines of the verdict, blue where a delta vanishes, red where it explodes."""

from __future__ import annotations

import functools
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import FuncNorm

from gradlab.measurement.verdict import LINE as DECADE

#: Blue is small, red is large, the middle is light; of the ends what no deuteranope tells apart is left out. The two
#: sides are nearly alike in grey, so signs or dots stand beside them.
_MAP, _ENDS = "RdBu_r", (0.06, 0.9)
#: Share of the scale that lies between the verdict's two lines.
_STEADY = 0.3
#: Dots on what explodes, where no number says its sign.
EXPLODING = "..."


@functools.cache
def colours() -> Any:
    """Return the map of colours."""
    shown = matplotlib.colormaps[_MAP](
        np.concatenate([np.linspace(_ENDS[0], 0.5, 256), np.linspace(0.5, _ENDS[1], 256)])
    )
    return matplotlib.colors.ListedColormap(shown, "decades")


def scale(top: float) -> Any:
    """Return the scale of colours from -top to top decades: linear between the verdict's lines, logarithmic beyond.

    The lines have the same two tones whatever `top` is, so that two figures can be compared.
    """
    top = max(float(top), 2 * DECADE)
    span = np.log(top / DECADE)

    def forward(v: Any) -> Any:
        v = np.asarray(v, float)
        size = np.abs(v) / DECADE
        inner = _STEADY * size
        outer = _STEADY + (1 - _STEADY) * np.log(np.maximum(size, 1)) / span
        return np.sign(v) * np.where(size <= 1, inner, outer)

    def inverse(v: Any) -> Any:
        v = np.asarray(v, float)
        size = np.abs(v)
        outer = np.exp((np.maximum(size, _STEADY) - _STEADY) / (1 - _STEADY) * span)
        return np.sign(v) * DECADE * np.where(size <= _STEADY, size / _STEADY, outer)

    return FuncNorm((forward, inverse), vmin=-top, vmax=top)


def colour(value: float, norm: Any) -> tuple[float, ...]:
    """Return the colour of a number of decades."""
    return colours()(float(norm(value)))


def tone(sign: int, share: float = 0.85) -> str:
    """Return the colour of what vanishes (-1) or explodes (1), so far from the light middle; white for 0."""
    if sign == 0:
        return "#ffffff"
    return matplotlib.colors.to_hex(colours()(0.5 + 0.5 * sign * share))


def is_dark(rgba: Any) -> bool:
    """Return whether white is read on it better than black."""
    r, g, b, _ = rgba
    return 0.299 * r + 0.587 * g + 0.114 * b < 0.5


def bar(figure: Any, image: Any, axes: Any, label: str, *, beyond: bool = False, steady: str = "steady") -> Any:
    """Draw the bar of colours, with ticks and lines at the verdict's two lines and a name for what lies between."""
    made = figure.colorbar(image, ax=axes, extend="both" if beyond else "neither", aspect=18, pad=0.02)
    top = image.norm.vmax
    outer = [v for v in (10.0, 100.0, 1000.0) if v < 0.7 * top]
    far = [*outer, top] if top > 1.6 * DECADE else outer
    ticks = [*(-v for v in reversed(far)), -DECADE, 0.0, DECADE, *far]
    made.set_ticks(ticks, labels=[f"{v:+.3g}".replace("-", "−") if v else f"0 {steady}".strip() for v in ticks])
    made.minorticks_off()
    for line in (-DECADE, DECADE):
        made.ax.axhline(line, color="black", linewidth=matplotlib.rcParams["axes.linewidth"], gid="verdict")
    made.set_label(label)
    made.outline.set_visible(False)
    return made


def outline(ax: Any, values: np.ndarray, right: np.ndarray, top: np.ndarray) -> None:
    """Draw a line between neighbouring cells that lie on two sides of a line of the verdict.

    Parameters
    ----------
    ax : Axes
        Where the line is drawn.
    values : ndarray
        Decades, (rows, columns), NaN where there is no cell.
    right, top : ndarray
        Edges of the columns and of the rows.
    """
    from matplotlib.collections import LineCollection

    zone = np.where(np.isfinite(values), np.sign(values) * (np.abs(values) > DECADE), np.nan)
    differ = lambda a, b: np.isfinite(a) & np.isfinite(b) & (a != b)
    beside = zip(*np.nonzero(differ(zone[:, :-1], zone[:, 1:])), strict=True)
    above = zip(*np.nonzero(differ(zone[:-1], zone[1:])), strict=True)
    edges = [[(right[c + 1], top[r]), (right[c + 1], top[r + 1])] for r, c in beside]
    edges += [[(right[c], top[r + 1]), (right[c + 1], top[r + 1])] for r, c in above]
    width = 1.6 * matplotlib.rcParams["axes.linewidth"]
    ax.add_collection(LineCollection(edges, colors="black", linewidths=width, zorder=3, gid="verdict"), autolim=False)
