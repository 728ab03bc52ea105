"""Heat maps of what the network does over its own depth."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlab._errors import GradlabError, unknown
from gradlab.frames.summaries import rates
from gradlab.plots.captions import count, describe
from gradlab.plots.style import looks, panels, pretty

#: Cells beyond this many carry no number.
ANNOTATED = 120


def heatmap(frame: Any, *, x: str = "init", y: str = "depth", ax: Any = None, preset: str | None = None) -> Any:
    """log10 of the first layer's over the last layer's rms delta, over two coordinates.

    Parameters
    ----------
    frame : DataFrame
        One network for each pair of coordinates.
    x, y : str
        Coordinates of the network.
    ax : Axes, optional
    preset : {"paper", "slide"}, optional

    Returns
    -------
    Axes

    Raises
    ------
    GradlabError
        If several networks share a cell.
    """
    import matplotlib.pyplot as plt

    for name in (x, y):
        if name not in frame:
            raise unknown("coordinate", name, frame.columns)
    table = rates(frame)
    cells = table.groupby([x, y], observed=True).size()
    if (cells > 1).any():
        other = [
            n for n in ("activation", "init", "depth", "width", "gain", "sigma_w2")
            if n not in (x, y) and n in table and table[n].nunique() > 1
        ]  # fmt: skip
        raise GradlabError(
            "one network in each cell", f"up to {int(cells.max())}", f"one value of {' and '.join(other) or 'the rest'}"
        )
    values = lambda n: sorted(set(table[n])) if np.issubdtype(np.asarray(list(table[n])).dtype, np.number) else list(dict.fromkeys(table[n]))
    xs, ys = values(x), values(y)
    grid = np.full((len(ys), len(xs)), np.nan)
    zero = np.zeros(grid.shape, bool)
    for row in table.itertuples():
        place = ys.index(getattr(row, y)), xs.index(getattr(row, x))
        grid[place] = row.decades
        zero[place] = row.n_zero > 0
    with looks(preset):
        axes = panels(ax, 1, preset)[0, 0]
        reach = np.nanmax(np.abs(grid)) if np.isfinite(grid).any() else 1.0
        names = plt.colormaps()
        cmap = plt.get_cmap("berlin" if "berlin" in names else "RdBu_r").with_extremes(bad="#bdbdbd")
        image = axes.pcolormesh(np.ma.masked_invalid(grid), cmap=cmap, vmin=-max(reach, 1e-9), vmax=max(reach, 1e-9), edgecolors="white", linewidth=0.5)
        for (i, j), value in np.ndenumerate(grid):
            if not np.isfinite(value) or zero[i, j]:
                axes.fill([j, j + 1, j + 1, j], [i, i, i + 1, i + 1], fill=False, hatch="////", edgecolor="0.35", linewidth=0)
            if grid.size <= ANNOTATED:
                text = "0" if zero[i, j] and not np.isfinite(value) else ("–" if not np.isfinite(value) else _number(value))
                # berlin is dark in the middle, light at its ends
                pale = abs(value) > 0.6 * reach if np.isfinite(value) else True
                axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", color="black" if pale else "white", fontsize="small")
        axes.set_xticks(np.arange(len(xs)) + 0.5, [pretty(v) for v in xs])
        axes.set_yticks(np.arange(len(ys)) + 0.5, [pretty(v) for v in ys])
        axes.tick_params(length=0)
        axes.grid(False)
        axes.set_xlabel(_label(x))
        axes.set_ylabel(_label(y))
        bar = axes.figure.colorbar(image, ax=axes)
        bar.set_label("decades, log10 of first over last delta (rms)")
        bar.outline.set_visible(False)
        n = table["n_seeds"][table["n_seeds"] > 0]
        missing = int((~np.isfinite(grid)).sum())
        text = f"Cells: decades D = log10 of the rms delta of layer 1 over that of layer L, geometric mean over {count(n) if len(n) else 'no finite seed'}."
        if zero.any():
            text += f" {int(zero.sum())} cells with a delta that is exactly zero are hatched."
        if missing:
            text += f" {missing} cells hold no finite value and are hatched."
        describe(axes, text)
    return axes


def _label(name: str) -> str:
    return {"depth": "depth (hidden layers)", "init": "initialiser", "sigma_w2": r"$\sigma_w^2$"}.get(name, name.replace("_", " "))


def _number(value: float) -> str:
    text = f"{value:.1f}" if abs(value) < 10 else f"{value:.0f}"
    return text.replace("-0.0", "0.0").replace("-", "−")
