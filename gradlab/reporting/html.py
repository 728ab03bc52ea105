"""Turn a Markdown page into one self-contained HTML file: pictures inside, no script, no network."""

from __future__ import annotations

import base64
import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import unquote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gradlab._errors import GradlabError
from gradlab._files import inside
from gradlab._text import markdown

_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
#: A vector picture above this many bytes is larger than its pixels are worth.
_LARGEST_SVG = 400_000
#: Width on the screen of an inch of a figure, so that its type is as large as that of the page; on a phone less.
_REM, _REM_ON_A_PHONE = 9, 6
#: Width of the screen, in rem, up to which it is a phone's.
_PHONE = 40
#: Inches of a figure that a phone shows whole.
_COLUMN_ON_A_PHONE = 3.6
#: Characters of a cell that is broken into lines.
_LONG = 50
#: Width of a character of a table and of the space after a cell, and of a cell that is broken into lines.
_REM_A_CHARACTER, _REM_A_SPACE, _REM_OF_LONG = 0.5, 0.8, 18.0
#: Widths of the screen at which the rows of a table become lines: each table takes the next one up from its own width.
_WIDTHS = (24, 30, 36, 42, 48, 54, 60, 66, 72, 78, 84)


@functools.cache
def environment() -> Environment:
    """Return the templates of gradlab; a name that the code does not give is an error."""
    made = Environment(
        loader=PackageLoader("gradlab.reporting"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=lambda name: bool(name) and ".html" in name,
    )  # fmt: skip
    made.filters["markdown"] = markdown
    return made


def to_html(page: str, folder: Path, files: Mapping[str, float], narrow: Mapping[str, str] | None = None) -> str:
    """Turn a Markdown page into one HTML file that holds its pictures and needs no network.

    Parameters
    ----------
    page : str
        Markdown. HTML in it is shown, not obeyed.
    folder : Path
        Where the page lies.
    files : mapping of str to float
        Path beside the page of each file of each figure that was made for it -> the figure's width in inches. No other
        is embedded, and no other is linked to, whatever the page says.
    narrow : mapping of str to str, optional
        Path of a picture of the page -> that of the same figure for a phone, an SVG with its panels below one another.

    Returns
    -------
    str
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    rules = parser.renderer.rules
    rules["image"] = lambda tokens, i, options, env: _picture(tokens[i], folder, files, narrow or {})
    rules["link_open"] = lambda tokens, i, *_: _link(str(tokens[i].attrs["href"]), files)
    rules["text"] = lambda tokens, i, *_: _unbroken(escape(tokens[i].content, quote=False))
    rules["table_open"] = lambda tokens, i, *_: f'<div class="table w{tokens[i].meta["width"]}"><table>\n'
    rules["table_close"] = lambda *_: "</table></div>\n"
    tokens = parser.parse(page)
    _mark_tables(tokens)
    body = parser.renderer.render(tokens, parser.options, {})
    title = re.search(r"^# +(.+)$", page, flags=re.MULTILINE)
    text = re.sub(r"\\([^\w\s])", r"\1", title.group(1)) if title else "gradlab"
    return environment().get_template("page.html.j2").render(title=text, body=body, widths=_WIDTHS, phone=_PHONE)


def _link(target: str, files: Mapping[str, float]) -> str:
    """Write the beginning of a link; a link to anything but the page's files leads nowhere."""
    return f'<a href="{escape(target)}">' if unquote(target) in files else "<a>"


def _picture(token: Token, folder: Path, files: Mapping[str, float], narrow: Mapping[str, str]) -> str:
    source, alt = unquote(str(token.attrs["src"])), escape(token.content, quote=True)
    if source not in files:
        return f"[a picture that is not of this page: {alt}]"
    path = inside(folder, *source.split("/"))
    vector = path.with_suffix(".svg")
    if vector.is_file() and vector.stat().st_size <= _LARGEST_SVG:
        path = inside(folder, *source.split("/")[:-1], vector.name)
    image, small = _embedded(path), narrow.get(source, "")
    # a box that is ticked by a click, which the page's style makes large: no script is needed
    inches = files[source]
    sizes = f"max-width: {_REM * inches:.0f}rem; --small: {_REM_ON_A_PHONE * inches:.0f}rem"
    kind = "figure stacked" if small else "figure wide" if inches > _COLUMN_ON_A_PHONE else "figure"
    picture = f'<img alt="{alt}" src="{image}">'
    if small:
        other = _embedded(inside(folder, *small.split("/")))
        picture = f'<picture><source media="(max-width: {_PHONE}rem)" srcset="{other}">{picture}</picture>'
    enlarge = '<input type="checkbox" aria-label="enlarge the figure">'
    return f'<label class="{kind}" style="{sizes}">{enlarge}{picture}</label>'


def _embedded(path: Path) -> str:
    """Return the bytes of a picture as an address that holds them."""
    try:
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise GradlabError("the page's pictures beside it", path.name, "the report again") from error
    return f"data:{_TYPES[path.suffix]};base64,{data}"


def _unbroken(text: str) -> str:
    """Return the text with numbers that no line break divides: 3e-40, 95 %."""
    return re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", re.sub(r"(?<=\d)e-(?=\d)", "e\N{NON-BREAKING HYPHEN}", text))


def _mark_tables(tokens: Sequence[Token]) -> None:
    """Note the width that each table needs, and in each cell its column's title and whether it is long."""
    table, column, titles, sizes = None, -1, [], {}
    for token, inner in itertools.pairwise(tokens):
        if token.type == "table_open":
            table, titles, sizes = token, [], {}
        elif token.type == "tr_open":
            column = -1
        elif token.type == "th_open":
            titles.append(inner.content)
            sizes[len(titles) - 1] = max(map(len, inner.content.split()), default=0)
        elif token.type == "td_open":
            column += 1
            sizes[column] = max(sizes[column], len(inner.content))
            if len(inner.content) > _LONG:
                token.attrSet("class", "long")
            if column:
                token.attrSet("data-label", titles[column])
        if inner.type == "table_close" and table is not None:
            needed = sum(_REM_OF_LONG if n > _LONG else _REM_A_CHARACTER * n + _REM_A_SPACE for n in sizes.values())
            table.meta["width"] = next((width for width in _WIDTHS if width >= needed), _WIDTHS[-1])
