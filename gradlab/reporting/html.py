"""A markdown page as one self-contained HTML file: pictures inside, no script, no network."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from urllib.parse import unquote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt

from gradlab._errors import GradlabError
from gradlab._files import inside
from gradlab._text import markdown

_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
#: A vector picture above this many bytes is larger than its pixels are worth.
_LARGEST_SVG = 400_000
#: Width on the screen of an inch of a figure, so that its type is as large as that of the page.
_REM = 9
#: Characters of a cell that is broken into lines.
_LONG = 50


@functools.cache
def environment() -> Environment:
    """The templates that come with gradlab; a name that a template lacks is an error."""
    made = Environment(
        loader=PackageLoader("gradlab.reporting"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=lambda name: bool(name) and ".html" in name,
    )  # fmt: skip
    made.filters["markdown"] = markdown
    return made


def to_html(page: str, folder: Path, files: Mapping[str, float]) -> str:
    """The page as one HTML file.

    Parameters
    ----------
    page : str
        Markdown. HTML in it is shown, not obeyed.
    folder : Path
        Where the page lies.
    files : mapping of str to float
        Path beside the page of each file of each figure that was made for it -> the figure's width in inches. No other
        is embedded, and no other is linked to, whatever the page says.

    Returns
    -------
    str
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    rules = parser.renderer.rules
    rules["image"] = lambda tokens, i, options, env: _picture(tokens[i], folder, files)
    rules["link_open"] = lambda tokens, i, *_: _link(str(tokens[i].attrs["href"]), files)
    rules["td_open"] = lambda tokens, i, *_: _cell(tokens, i)
    rules["table_open"] = lambda *_: '<div class="table"><table>\n'
    rules["table_close"] = lambda *_: "</table></div>\n"
    body = parser.render(page)
    title = re.search(r"^# +(.+)$", page, flags=re.MULTILINE)
    text = re.sub(r"\\([^\w\s])", r"\1", title.group(1)) if title else "gradlab"
    return environment().get_template("page.html.j2").render(title=text, body=body)


def _link(target: str, files: Mapping[str, float]) -> str:
    """The beginning of a link; one that leads anywhere else leads nowhere."""
    return f'<a href="{escape(target)}">' if unquote(target) in files else "<a>"


def _picture(token, folder: Path, files: Mapping[str, float]) -> str:
    source, alt = unquote(str(token.attrs["src"])), escape(token.content, quote=True)
    if source not in files:
        return f"[a picture that is not of this page: {alt}]"
    path = inside(folder, *source.split("/"))
    vector = path.with_suffix(".svg")
    if vector.is_file() and vector.stat().st_size <= _LARGEST_SVG:
        path = inside(folder, *source.split("/")[:-1], vector.name)
    try:
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise GradlabError("the page's pictures beside it", str(source), "the report again") from error
    # a box that is ticked by a click, which the page's style makes large: no script is needed
    return (
        f'<label class="figure" style="max-width: {_REM * files[source]:.0f}rem"><input type="checkbox" '
        f'aria-label="enlarge the figure"><img alt="{alt}" src="data:{_TYPES[path.suffix]};base64,{data}"></label>'
    )


def _cell(tokens, i: int) -> str:
    """The beginning of a cell; one with many words is broken into lines."""
    aligned = f' style="{style}"' if (style := tokens[i].attrs.get("style")) else ""
    long = ' class="long"' if len(tokens[i + 1].content) > _LONG else ""
    return f"<{tokens[i].tag}{long}{aligned}>"
