"""Where the formats of numbers end: smallest numbers of float16, bfloat16 and float32, as lines across a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradlab._formats import FORMATS
from gradlab.plots.ground import words
from gradlab.plots.ground.styles import FAINT, NEUTRAL, line_width

_OCTAVE = math.log10(2)
#: How far beyond the data a line is still drawn, in decades.
_NEAR = 1.5


@dataclass(frozen=True)
class Floor:
    """An end of a format: log10 of the number, what a figure and what a caption call it, kind of line."""

    at: float
    name: str
    meaning: str
    line: Any
    colour: str


#: Accelerators flush numbers of float32 and bfloat16 below the smallest normal one; those of float16 they keep.
FLOORS: tuple[Floor, ...] = (
    Floor(FORMATS["float16"].normal * _OCTAVE, "float16", "float16 loses digits below", (0, (6, 3)), NEUTRAL),
    Floor(FORMATS["float16"].smallest * _OCTAVE, "float16: 0", "float16 has 0 below", (0, (1, 2)), NEUTRAL),
    Floor(
        FORMATS["float32"].normal * _OCTAVE,
        "bfloat16, float32",
        "bfloat16 and float32 have 0 below",
        (0, (6, 3)),
        FAINT,
    ),
)

#: Adam divides by the root of the mean square plus this: a gradient below it moves its weight the less.
ADAM = Floor(-8.0, "Adam's ε", "Adam's epsilon is", (0, (3, 1, 1, 1)), NEUTRAL)


def draw_floors(ax: Any, low: float, high: float, floors: Sequence[Floor] = FLOORS, zorder: float = 0.5) -> list[Floor]:
    """Draw an upright line where a format ends within the data or just beside.

    Parameters
    ----------
    ax : Axes
        Whose x-axis is log10 of sizes.
    low, high : float
        What the data span.
    floors : sequence of Floor
        Those of the formats, or others.
    zorder : float
        Over or under what else is drawn.

    Returns
    -------
    list of Floor
        Those that are drawn.
    """
    drawn = [floor for floor in floors if low - _NEAR <= floor.at <= high + _NEAR]
    for floor in drawn:
        look = {"color": floor.colour, "linestyle": floor.line, "linewidth": line_width(0.7)}
        ax.axvline(floor.at, zorder=zorder, gid=floor.name, **look)
    return drawn


def name_floors(ax: Any, floors: list[Floor]) -> None:
    """Write the names along the upper end of each line; called when the limits are those of the figure."""
    taken: list[Any] = []
    for floor in floors:
        text = ax.annotate(
            floor.name, (floor.at, 1), (-1.5, -2), xycoords=ax.get_xaxis_transform(), textcoords="offset points",
            rotation=90, ha="right", va="top", color=NEUTRAL, fontsize=0.85 * _points(), gid="floor name", zorder=0.6,
        )  # fmt: skip
        box = text.get_window_extent()
        if box.x0 < ax.bbox.x0 or any(box.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(box)


def _points() -> float:
    import matplotlib
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=matplotlib.rcParams["xtick.labelsize"]).get_size_in_points()


def floors_text(floors: list[Floor]) -> str:
    """Say what the lines are, for a caption; return an empty text where there are none."""
    parts = [f"{floor.meaning} {10**floor.at:.2g}" for floor in floors]
    return f"Upright lines: {words.listed(parts)}." if parts else ""
