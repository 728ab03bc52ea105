"""A network as boxes and arrows: its signal on the way forward, its delta on the way back, as colours."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots.ground import words
from gradlab.plots.ground.cells import HATCHES, number
from gradlab.plots.ground.styles import NEUTRAL, line_width
from gradlab.plots.ground.tables import hidden, summaries
from gradlab.plots.ground.zones import DECADE, EXPLODING, bar, colour, colours, is_dark, scale

#: The columns that are drawn: of the way forward, of the way back.
FORWARD, BACKWARD = "log10_activation_rms", "log10_delta_rms"
#: Of the distance between two layers, the width of a box.
_WIDTH = 0.62
#: Boxes up to which each holds its number; layers that have a tick.
NUMBERED = 12
_TICKS = 16
_BAR = r"$\log_{10}$ of the signal, and of $\delta_l/\delta_L$"


def box_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each hidden layer: decades of the signal beside 1, of the delta beside the last layer's.

    Columns end in ``_forward`` and ``_backward``: ``mean`` (geometric, over seeds), ``n``, ``n_zero``,
    ``n_not_finite``.
    """
    rows = hidden(rows)
    if rows.duplicated(["seed", "layer"]).any():
        some = "frame[frame['step'] == 0]"
        raise GradlabError("one network at one step", "several rows for a layer and a seed", some)
    table: Any = None
    for name, way in ((FORWARD, "_forward"), (BACKWARD, "_backward")):
        means, _ = summaries(rows, ["layer"], name, "range")
        means_of_way = means[["layer", "mean", "n", "n_zero", "n_not_finite"]].set_index("layer").add_suffix(way)
        table = means_of_way if table is None else table.join(means_of_way, how="outer")
    table = table.reset_index().sort_values("layer", ignore_index=True)
    finite = table["mean_backward"][np.isfinite(table["mean_backward"])]
    table["mean_backward"] -= finite.iloc[-1] if len(finite) else 0.0
    return table


def box_scale(tables: list[pd.DataFrame], limit: float | None) -> Any:
    """Return one scale of colours for all tables, up to `limit` decades or the largest that is finite."""
    return scale(limit or largest(tables))


def largest(tables: list[pd.DataFrame]) -> float:
    """Return the largest number of decades in the tables that is finite; 0 where none is."""
    values = np.abs(np.concatenate([t[["mean_forward", "mean_backward"]].to_numpy(float).ravel() for t in tables]))
    return float(values[np.isfinite(values)].max(initial=0.0))


def draw_boxes(
    ax: Any, table: pd.DataFrame, norm: Any, annotate: bool, until: float = np.inf, back_to: float = -np.inf
) -> None:
    """Draw a box for each layer, its upper half for the signal, its lower half for the delta, and arrows between.

    Halves of layers beyond `until` (forward) or before `back_to` (backward) stay empty: a film has not yet come there.
    """
    layers = table["layer"].to_numpy(float)
    ax.set(xlim=(layers[0] - 1.1, layers[-1] + 1.1), ylim=(-0.08, 1.08))
    # points from one layer to the next; of its width a layout takes some for labels and the bar of colours
    points = 0.9 * 72 * ax.figure.get_figwidth() * ax.get_position().width / (np.ptp(layers) + 2.2)
    for way, low, seen in (
        ("forward", 0.5, lambda at: at <= until),
        ("backward", 0.0, lambda at: at >= back_to),
    ):
        rows = table[["layer", *(f"{name}_{way}" for name in ("mean", "n", "n_zero", "n_not_finite"))]]
        faces = {}
        for row in rows.itertuples(index=False):
            if seen(row.layer):
                faces[row.layer] = _half(ax, *row, low, way, norm, annotate, points)
            else:
                _draw_empty(ax, row.layer, low)
        _arrows(ax, layers, faces, low + 0.25, way, seen, points)
    ax.set_yticks([0.75, 0.25], ["signal →", "← delta"])
    ax.tick_params(length=0)
    few = np.unique(np.linspace(0, len(layers) - 1, min(_TICKS, len(layers))).round().astype(int))
    ax.set_xticks(layers[few])
    for x, text in ((layers[0] - 0.85, "input"), (layers[-1] + 0.85, "loss")):
        ax.text(x, 0.5, text, rotation=90, ha="center", va="center", fontsize="small", gid="end")


def _half(
    ax: Any, layer: float, mean: float, n: float, zeros: float, failed: float, low: float, way: str, norm: Any,
    annotate: bool, points: float,
) -> Any:  # fmt: skip
    """Draw the half of a box in the colour of its value; hatched where all seeds are 0 or not finite."""
    from matplotlib.patches import Rectangle

    face = colour(mean, norm) if n > 0 and np.isfinite(mean) else (1.0, 1.0, 1.0, 1.0)
    lost = "" if n > 0 else "zero" if zeros > 0 else "failed" if failed > 0 else ""
    dotted = n > 0 and not annotate and mean > DECADE  # without a number, dots tell red from blue in a grey print
    ax.add_patch(Rectangle(
        (layer - _WIDTH / 2, low), _WIDTH, 0.5, facecolor=face, edgecolor=NEUTRAL, linewidth=line_width(0.5), zorder=2,
        hatch=HATCHES.get(lost, EXPLODING if dotted else ""), gid=lost or way,
    ))  # fmt: skip
    if annotate and not lost and np.isfinite(mean):
        ink = "white" if is_dark(face) else "black"
        size = min(0.85 * matplotlib.rcParams["font.size"], _WIDTH * points / 3.2)  # five characters in a box
        ax.text(layer, low + 0.25, number(mean), ha="center", va="center", color=ink, fontsize=size, gid="number")
    return face


def _draw_empty(ax: Any, layer: float, low: float) -> None:
    """Draw the half of a box that a film has not reached."""
    from matplotlib.patches import Rectangle

    look = {"facecolor": "white", "edgecolor": NEUTRAL, "linewidth": line_width(0.5), "zorder": 2, "gid": "not yet"}
    ax.add_patch(Rectangle((layer - _WIDTH / 2, low), _WIDTH, 0.5, **look))


def _arrows(ax: Any, layers: np.ndarray, faces: dict[float, Any], y: float, way: str, seen: Any, points: float) -> None:
    """Draw an arrow out of each box in the colour of what leaves it, and a grey one from the input or the loss."""
    from matplotlib.patches import FancyArrowPatch

    sign = 1 if way == "forward" else -1
    order = layers if sign > 0 else layers[::-1]
    for start in (order[0] - sign, *order[:-1]):
        if not seen(start if start in layers else order[0]):
            continue
        from_x, to_x = start + sign * _WIDTH / 2, start + sign * (1 - _WIDTH / 2)
        ax.add_patch(FancyArrowPatch(
            (from_x, y), (to_x, y), arrowstyle="simple,head_length=0.5,head_width=0.7,tail_width=0.25", shrinkA=0,
            shrinkB=0, mutation_scale=min(1.6 * (1 - _WIDTH) * points, 6 * matplotlib.rcParams["lines.markersize"]),
            facecolor=faces.get(start, "0.85"), edgecolor=NEUTRAL, linewidth=line_width(0.3), zorder=3,
            gid=f"{way} arrow",
        ))  # fmt: skip


def box_bar(figure: Any, axes: Any, norm: Any, beyond: bool) -> Any:
    """Draw the bar of colours for boxes."""
    image = matplotlib.cm.ScalarMappable(norm, colours())
    return bar(figure, image, axes, _BAR, beyond=beyond, steady="")


def what_happens(table: pd.DataFrame) -> str:
    """Say what the signal and the delta do over the layers of a network."""
    said = []
    for name, way in (("signal", "forward"), ("delta", "backward")):
        ends = table[f"mean_{way}"].to_numpy(float)
        dead = (table[f"n_{way}"] == 0) & (table[f"n_zero_{way}"] > 0)
        ends = np.where(dead, -np.inf, ends)
        change = ends[-1] - ends[0] if way == "forward" else ends[0] - ends[-1]
        said.append(f"the {name} {words.change(change)} {'forward' if way == 'forward' else 'on the way back'}")
    return " and ".join(said)
