"""Headers of rows and columns of panels: each says only what differs in its direction, and none is cut."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from gradlab.plots.canvas import Canvas

#: Share of a panel's side that a header may take before it is broken into lines.
_ROOM = 0.98


def write_headers(board: Canvas, rows: Sequence[str], columns: Sequence[str] = ()) -> None:
    """Write a header above each column of panels, and one at the right of each row.

    Parameters
    ----------
    board : Canvas
        A figure of ours, with as many rows and columns of axes.
    rows, columns : sequence of str
        Empty texts are left out.
    """
    import matplotlib

    size = matplotlib.rcParams["legend.fontsize"]
    made = []
    for axes, text in zip(board.axes[0], columns, strict=False):
        if text:
            made.append((axes.set_title(text, fontsize=size), axes, text, False))
    for axes, text in zip(board.axes[:, -1], rows, strict=False):
        if text:
            written = axes.annotate(
                text, (1, 0.5), (4, 0), xycoords="axes fraction", textcoords="offset points", rotation=270,
                rotation_mode="anchor", ha="center", va="bottom", fontsize=size, gid="header",
            )  # fmt: skip
            made.append((written, axes, text, True))
    board.figure.draw_without_rendering()
    for written, axes, text, beside in made:
        _break(written, axes, text, beside)


def _break(written: Any, axes: Any, text: str, beside: bool) -> None:
    """Break a header into lines that stay within its panel; a last resort is a smaller font."""
    side = axes.bbox.height if beside else axes.bbox.width
    long = lambda: written.get_window_extent().height if beside else written.get_window_extent().width
    room = _ROOM * side
    length, letters = long(), len(text)
    while length > room and letters > 8:
        letters = min(letters - 1, max(8, int(len(text) * room / length)))
        written.set_text(textwrap.fill(text, letters, break_long_words=False))
        if long() >= length and letters <= 8:
            break
        length = long()
        text = written.get_text().replace("\n", " ")
        if length > room:
            letters = int(0.9 * letters)
    while long() > room and written.get_fontsize() > 5:
        written.set_fontsize(written.get_fontsize() - 0.5)
