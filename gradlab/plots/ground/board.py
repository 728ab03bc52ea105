"""A figure of several panels: letters, one shared legend, one caption, true widths."""

from __future__ import annotations

import os
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground.canvas import keep_preset
from gradlab.plots.ground.captions import attach, caption_of, in_parts, sentences
from gradlab.plots.ground.legends import leave_handles, legend, on_board
from gradlab.plots.ground.save import save
from gradlab.plots.ground.styles import preset_of, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches of a row of panels on paper.
_ROW = {"page": 2.1, "column": 1.9}


def board(
    layout: str,
    *,
    preset: Literal["paper", "slide"] = "paper",
    width: Literal["page", "column"] | None = None,
    height: float | None = None,
    widths: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
    letters: bool = True,
    title: str | None = None,
    **shared: Any,
) -> Board:
    """Make a figure of several panels, with a letter on each, to be filled by calls of `gl.plots` and your own.

    Parameters
    ----------
    layout : str
        Rows of panels, parted by ``;``, as in `matplotlib.pyplot.subplot_mosaic`: ``"aab;ccd"`` has a wide panel a
        above a wide panel c. A ``.`` leaves a place empty.
    preset : {"paper", "slide"}
        Fonts, lines and sizes: paper of 3.4 or 7.0 inches, or a slide of 13.3 × 7.5 inches.
    width : {"page", "column"}, optional
        Of paper. None: a page where panels stand side by side, else a column.
    height : float, optional
        Inches. None: about 2 for each row.
    widths, heights : sequence of float, optional
        Of the columns and rows of the layout, relative to one another.
    letters : bool
        Whether the panels are named (a), (b), … where there are several.
    title : str, optional
        Above all panels. On a slide say the claim here; in a paper the caption does.
    **shared : bool, str
        ``sharex``, ``sharey``, and other options of `matplotlib.pyplot.subplot_mosaic`.

    Returns
    -------
    Board
        ``board["a"]`` are the axes of panel a.

    Examples
    --------
    >>> import gradlab as gl
    >>> frame = gl.example("depth")
    >>> deep = frame[(frame["depth"] == 32) & (frame["init"] == "he_normal")]
    >>> board = gl.plots.board("ab")
    >>> axes = gl.plots.gradient_flow(deep, value="log10_delta_rms", ax=board["a"])
    >>> axes = gl.plots.rate_against_depth(frame[frame["init"] == "he_normal"], ax=board["b"])
    >>> names = [text.get_text() for text in board.legend("below").get_texts()]
    >>> board.caption[:3]
    '(a)'
    """
    import matplotlib.pyplot as plt

    rows = [line.strip() for line in layout.split(";")]
    if not all(rows) or len({len(line) for line in rows}) > 1:
        raise GradlabError("rows of equally many letters, parted by ;", repr(layout), 'gl.plots.board("aab;ccd")')
    names = [name for name in dict.fromkeys("".join(rows)) if name != "."]
    if not names:
        raise GradlabError("a letter for each panel", repr(layout), 'gl.plots.board("ab")')
    if width not in (None, "page", "column"):
        raise unknown("width", width, ("page", "column"))
    wide = len(rows[0]) > 1 if width is None else width == "page"
    look = preset_of(preset)
    size = look.size(wide, height or _ROW["page" if wide else "column"] * len(rows) + 0.5)
    with style(preset):
        figure, axes = plt.subplot_mosaic(
            [list(line) for line in rows], figsize=size, layout="constrained", empty_sentinel=".", width_ratios=widths,
            height_ratios=heights, **shared,
        )  # fmt: skip
        if title:
            figure.suptitle(title, fontweight="bold" if preset == "slide" else None)
        for name, letter in zip(names, string.ascii_lowercase, strict=False):
            on_board(axes[name])
            if letters and len(names) > 1:
                axes[name].set_title(f"({letter})", loc="left", fontweight="bold")
    keep_preset(figure, preset)
    return Board(figure, {name: axes[name] for name in names}, preset)


class Board(Mapping[str, Any]):
    """Panels by their letters in the layout, with one legend and one caption for all of them; made by `board`.

    Parameters
    ----------
    figure : Figure
        The figure of all panels.
    panels : dict of str to Axes
        In the order of the letters.
    preset : str
        The preset that it was made in.
    """

    def __init__(self, figure: Figure, panels: dict[str, Axes], preset: str):
        self.figure, self._panels, self._preset = figure, panels, preset

    def __getitem__(self, name: str) -> Any:
        if name not in self._panels:
            raise unknown("panel", name, self._panels)
        return self._panels[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._panels)

    def __len__(self) -> int:
        return len(self._panels)

    def drawing(self) -> Any:
        """Use the fonts and lines of the preset in a block: ``with board.drawing(): board["a"].plot(…)``."""
        return style(self._preset)

    def legend(self, where: Literal["above", "below", "right"] = "above", **more: Any) -> Any:
        """Draw one legend of all panels, in place of those of single ones.

        Parameters
        ----------
        where : {"above", "below", "right"}
            On which side of all panels it stands.
        **more : Artist
            Name and handle of what no call of `gl.plots` drew, a line or a patch; lines of your own with a label are
            in it anyway.

        Returns
        -------
        Legend
        """
        for ax in self._panels.values():
            handles, names = ax.get_legend_handles_labels()
            leave_handles(ax, dict(zip(names, handles, strict=True)))
        if more:
            leave_handles(next(iter(self._panels.values())), more)
        return legend(self.figure, where=where)

    def describe(self, lead: str = "", *, setting: str = "", **panels: str) -> str:
        """Write the caption: what to see in one sentence, what each panel shows, and the setting once.

        Parameters
        ----------
        lead : str
            One sentence that says what to see.
        setting : str
            What all panels share: n, mean, band, width, data.
        **panels : str
            What a panel shows, by its name; that of a panel drawn by `gl.plots` need not be given.

        Returns
        -------
        str
            The caption, which `gl.plots.caption` and `save` give too.
        """
        for name, text in panels.items():
            attach(self[name], sentences([text]))
        attach(self.figure, sentences([lead, self._panel_captions(), setting]))
        return self.caption

    @property
    def caption(self) -> str:
        """Return the caption of the whole figure."""
        return caption_of(self.figure).text or self._panel_captions()

    def _panel_captions(self) -> str:
        """Return what each panel shows, behind its letter; panels of one caption share it."""
        said: dict[str, list[str]] = {}
        for letter, ax in zip(string.ascii_lowercase, self._panels.values(), strict=False):
            if text := caption_of(ax).text:
                said.setdefault(text, []).append(letter)
        several = len(self._panels) > 1
        return " ".join(f"({', '.join(letters)}) {text}" if several else text for text, letters in said.items())

    def save(
        self, path: str | os.PathLike[str], formats: str | Sequence[str] | None = None, **origin: str | None
    ) -> list[Path]:
        """Write the figure as PNG, PDF and SVG, as `gl.plots.save` does."""
        attach(self.figure, in_parts(self.figure) if caption_of(self.figure).text else sentences([self.caption]))
        return save(self.figure, path, formats, **origin)
