"""A markdown page as one self-contained HTML file: pictures inside, no script, no network."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Collection
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


@functools.cache
def environment() -> Environment:
    """The templates that come with gradlab; a name that a template lacks is an error."""
    made = Environment(
        loader=PackageLoader("gradlab.reporting"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=lambda name: bool(name) and ".html" in name,
    )  # fmt: skip
    made.filters["markdown"] = markdown
    return made


def to_html(page: str, folder: Path, files: Collection[str] = ()) -> str:
    """The page as one HTML file.

    Parameters
    ----------
    page : str
        Markdown. HTML in it is shown, not obeyed.
    folder : Path
        Where the page lies.
    files : collection of str
        Paths beside the page of the figures that were made for it. No other is embedded, and no other is linked to,
        whatever the page says.

    Returns
    -------
    str
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    rules = parser.renderer.rules
    rules["image"] = lambda tokens, i, options, env: _picture(tokens[i], folder, files)
    rules["link_open"] = lambda tokens, i, *_: _link(str(tokens[i].attrs["href"]), files)
    rules["table_open"] = lambda *_: '<div class="table"><table>\n'
    rules["table_close"] = lambda *_: "</table></div>\n"
    body = parser.render(page)
    title = re.search(r"^# +(.+)$", page, flags=re.MULTILINE)
    text = re.sub(r"\\([^\w\s])", r"\1", title.group(1)) if title else "gradlab"
    return environment().get_template("page.html.j2").render(title=text, body=body)


def _link(target: str, files: Collection[str]) -> str:
    """The beginning of a link; one that leads anywhere else leads nowhere."""
    return f'<a href="{escape(target)}">' if unquote(target) in files else "<a>"


def _picture(token, folder: Path, files: Collection[str]) -> str:
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
    return f'<img alt="{alt}" src="data:{_TYPES[path.suffix]};base64,{data}">'
