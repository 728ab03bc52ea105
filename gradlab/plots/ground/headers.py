"""Headers and labels of rows and columns of panels: each says only what differs in its direction, and none is cut."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, lay_out

#: Share of a panel's side that a header may take before it is broken into lines.
_ROOM = 0.98
#: Letters of the shortest line that a header is broken into, so that no formula is; and its smallest font.
_SHORTEST, _SMALLEST = 12, 5


def write_headers(sheet: Canvas, rows: Sequence[str], columns: Sequence[str] = ()) -> None:
    """Write a header above each column of panels, and one at the right of each row.

    Parameters
    ----------
    sheet : Canvas
        A figure of ours, with as many rows and columns of axes.
    rows, columns : sequence of str
        Empty texts are left out.
    """
    import matplotlib

    if not sheet.ours:
        return
    size = matplotlib.rcParams["legend.fontsize"]
    lay_out(sheet.figure)  # the panels have their sizes before headers could press them
    for axes, text in zip(sheet.axes[0], columns, strict=False):
        if text:
            _fit(axes.set_title("", fontsize=size), words.math(text), axes.bbox.width, beside=False)
    for axes, text in zip(sheet.axes[:, -1], rows, strict=False):
        if text:
            written = axes.annotate(
                "", (1, 0.5), (4, 0), xycoords="axes fraction", textcoords="offset points", rotation=270,
                rotation_mode="anchor", ha="center", va="bottom", fontsize=size, linespacing=1.0, gid="header",
            )  # fmt: skip
            _fit(written, words.math(text), axes.bbox.height, beside=True)


def broken(text: str, letters: int, lines: int = 3) -> str:
    """Break a name into lines of so many letters, behind a comma where there is one; a longer one is cut."""
    piece = letters - 2  # of a word that is longer than a line
    text = " ".join(word[i : i + piece] for word in text.split(" ") for i in range(0, max(len(word), 1), piece))
    parts = text.split(", ")
    if max(map(len, parts)) < letters:  # each fits a line: blanks that no line is broken at
        text = ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)
    return textwrap.fill(text, letters, max_lines=lines, placeholder=" …").replace("\N{NO-BREAK SPACE}", " ")


def share_labels(sheet: Canvas, x: str, y: str = "") -> None:
    """Write one label for all x-axes of a figure of ours, and one for all y-axes where they show the same."""
    import matplotlib

    if not sheet.ours:
        return
    for axes in sheet.axes.flat:
        axes.set_xlabel("")
        if y:
            axes.set_ylabel("")
    sheet.figure.supxlabel(x, fontsize=matplotlib.rcParams["axes.labelsize"])
    if y:
        sheet.figure.supylabel(y, fontsize=matplotlib.rcParams["axes.labelsize"])


def label_columns(sheet: Canvas) -> list[str]:
    """Take the labels off the y-axes of a figure of ours, and return those of its first row, to stand above columns.

    Where all panels of a column show one quantity, its name needs to be said once.
    """
    if not sheet.ours:
        return []
    labels = [axes.get_ylabel() for axes in sheet.axes[0]]
    for axes in sheet.axes.flat:
        axes.set_ylabel("")
    return labels


def header_of(ax: Any) -> str:
    """Return what stands beside the row of a panel, and over it or over its column."""
    place, over, beside = ax.get_subplotspec(), [ax], [ax]
    if place is not None:
        others = [(other, there) for other in ax.figure.axes if (there := other.get_subplotspec()) is not None]
        same = [(other, there) for other, there in others if there.get_gridspec() is place.get_gridspec()]
        over += [other for other, there in same if there.colspan == place.colspan]
        beside += [other for other, there in same if there.rowspan == place.rowspan]
    titles = [other.get_title() for other in over if other.get_title()]
    rows = [text.get_text() for other in beside for text in other.texts if text.get_gid() == "header"]
    return ", ".join([*rows[:1], *titles[:1]]).replace("\n", " ")


def _fit(written: Any, text: str, side: float, beside: bool) -> None:
    """Write a header, broken into lines that stay within its panel's side; the last resort is a smaller font."""

    def length() -> float:
        box = written.get_window_extent()
        return box.height if beside else box.width

    written.set_text(text)
    letters = len(text)
    while length() > _ROOM * side and letters > _SHORTEST:
        letters -= 1
        written.set_text(broken(text, letters))
    while length() > _ROOM * side and written.get_fontsize() > _SMALLEST:
        written.set_fontsize(written.get_fontsize() - 0.5)
