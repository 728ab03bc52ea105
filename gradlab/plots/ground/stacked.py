"""A figure of ours for a narrow screen: its panels one below another, as wide as a column."""

from __future__ import annotations

from typing import Any

from matplotlib.gridspec import GridSpec

from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import lay_out, preset_name
from gradlab.plots.ground.headers import header_of
from gradlab.plots.ground.legends import has_legend, legend
from gradlab.plots.ground.styles import preset_of, style

#: Inches of the lowest panel, and of the title and the numbers that each panel has above and below it.
_LOWEST, _BETWEEN = 1.25, 0.45


def stack(figure: Any) -> bool:
    """Put the panels of a figure of ours that stand side by side one below another, row by row.

    The figure is changed: draw and save it as it was made before.

    Parameters
    ----------
    figure : Figure
        One that a function of `gradlab.plots` made.

    Returns
    -------
    bool
        Whether there were panels side by side. If not, the figure is left as it is.
    """
    name = preset_name(figure)
    panels = [ax for ax in figure.axes if ax.get_visible() and ax.get_subplotspec() is not None]
    if name is None or len({ax.get_subplotspec().colspan.start for ax in panels}) < 2:
        return False
    panels.sort(key=lambda ax: (ax.get_subplotspec().rowspan.start, ax.get_subplotspec().colspan.start))
    wide, high = figure.get_size_inches()
    heights = [max(ax.get_position().height * high, _LOWEST) for ax in panels]
    titles = [words.math(header_of(ax)) for ax in panels]
    height = sum(heights) + _BETWEEN * (len(panels) + 1)
    with style(name):
        figure.set_layout_engine("constrained")
        figure.set_size_inches(preset_of(name).column, height)
        grid = GridSpec(len(panels), 1, figure=figure, height_ratios=heights)
        for place, (ax, title) in enumerate(zip(panels, titles, strict=True)):
            ax.set_subplotspec(grid[place])
            ax.tick_params(labelbottom=True, labelleft=True)
            for text in [text for text in ax.texts if text.get_gid() == "header"]:
                text.remove()
            if title:
                ax.set_title(title)
        for ax in figure.axes:
            if (made := getattr(ax, "_colorbar_info", None)) is not None:  # matplotlib's layout reads it there
                made["aspect"] *= height / high * wide / preset_of(name).column
        if has_legend(figure):
            legend(figure)
        lay_out(figure)
    return True
