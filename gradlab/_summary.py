"""What a record says of itself in a terminal, in Markdown and in HTML: a title, facts, and at most one small table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from gradlab._text import markdown, plain

#: Longest line of the plain text.
WIDTH = 80
#: Rows of a table that are shown; the middle of a longer one is left out.
MOST_ROWS = 12
_GAP = "  "


class Summary(NamedTuple):
    """Hold what is said of a record.

    Parameters
    ----------
    title : str
        What it is.
    facts : sequence of (str, str)
        Names and values. An empty value is left out.
    columns : sequence of str
        Heads of the table; empty where there is none.
    rows : sequence of sequence of str
        Its cells.
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()

    def to_text(self) -> str:
        """Return it in lines of at most 80 characters; a wide table stands in several parts."""
        lines = textwrap.wrap(plain(self.title), WIDTH)
        for name, value in self._known():
            lines += textwrap.wrap(
                f"{plain(name)}: {plain(value)}", WIDTH, initial_indent="  ", subsequent_indent=" " * 4
            )
        for places in self._blocks():
            lines += ["", *self._table(places)]
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """Return it as Markdown; names and values are shown as they are, whatever is in them."""
        parts = [f"**{markdown(self.title)}**"]
        if facts := self._known():
            parts.append("\n".join(f"- {markdown(name)}: {markdown(value)}" for name, value in facts))
        if self.columns:
            head = [self.columns, ["---:"] * len(self.columns)]
            cells = [[markdown(cell) for cell in row] for row in (head[0], *self._shown())]
            lines = [cells[0], head[1], *cells[1:]]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        return "\n\n".join(parts) + "\n"

    def to_html(self) -> str:
        """Return it as HTML without a style of its own, so that it looks as its page does."""
        show = lambda text: escape(plain(text))
        parts = [f"<p><strong>{show(self.title)}</strong></p>"]
        if facts := self._known():
            parts.append("<ul>" + "".join(f"<li>{show(n)}: {show(v)}</li>" for n, v in facts) + "</ul>")
        if self.columns:
            line = lambda cells, tag: "<tr>" + "".join(f"<{tag}>{show(cell)}</{tag}>" for cell in cells) + "</tr>"
            body = "".join(line(row, "td") for row in self._shown())
            parts.append(f"<table><thead>{line(self.columns, 'th')}</thead><tbody>{body}</tbody></table>")
        return "<div>" + "".join(parts) + "</div>"

    def _known(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.facts if value]

    def _shown(self) -> list[Sequence[str]]:
        """Return the rows, of very many the first and the last."""
        rows = list(self.rows)
        if len(rows) <= MOST_ROWS:
            return rows
        half = MOST_ROWS // 2
        return [*rows[:half], ["…"] * len(self.columns), *rows[-half:]]

    def _widths(self) -> list[int]:
        return [max(map(len, column)) for column in zip(self.columns, *self._shown(), strict=True)]

    def _blocks(self) -> Iterator[list[int]]:
        """Yield the columns that stand side by side; the first column begins each part of a wide table."""
        if not self.columns:
            return
        widths, block = self._widths(), [0]
        for place in range(1, len(self.columns)):
            needed = sum(widths[i] + len(_GAP) for i in (*block, place)) - len(_GAP)
            if len(block) > 1 and needed > WIDTH:
                yield block
                block = [0]
            block.append(place)
        yield block

    def _table(self, places: Sequence[int]) -> list[str]:
        widths = self._widths()
        rows = [self.columns, *self._shown()]
        return [_GAP.join(plain(row[i]).rjust(widths[i]) for i in places) for row in rows]


class Shown:
    """Show a record by its `summary` in notebooks."""

    def summary(self) -> Summary:
        """Return what is said of the record."""
        raise NotImplementedError

    def _repr_markdown_(self) -> str:
        return self.summary().to_markdown()

    def _repr_html_(self) -> str:
        return self.summary().to_html()


def number(value: float) -> str:
    """Write a number of a table with four digits; a dash where there is none."""
    return "–" if value != value else f"{value:.4g}"


def listed(values: Sequence[object], most: int = 8) -> str:
    """List values on a line, and how many there are more."""
    text = ", ".join(map(str, values[:most]))
    return text if len(values) <= most else f"{text} and {len(values) - most} more"
