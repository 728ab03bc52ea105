"""A markdown page as one self-contained HTML file: pictures inside, no script, no network."""

from __future__ import annotations

import base64
import functools
import re
from pathlib import Path
from urllib.parse import unquote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt

from gradlab._errors import GradlabError

_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
#: A vector picture above this many bytes is larger than its pixels are worth.
_LARGEST_SVG = 400_000


@functools.cache
def environment() -> Environment:
    """The templates that come with gradlab; a name that a template lacks is an error."""
    return Environment(
        loader=PackageLoader("gradlab.reporting"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=lambda name: bool(name) and ".html" in name,
    )  # fmt: skip


def to_html(page: str, folder: Path) -> str:
    """The page as one HTML file.

    Parameters
    ----------
    page : str
        Markdown. HTML in it is shown, not obeyed.
    folder : Path
        Where the page's pictures are relative to.

    Returns
    -------
    str
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    rules = parser.renderer.rules
    rules["image"] = lambda tokens, i, options, env: _picture(tokens[i], folder)
    rules["table_open"] = lambda *_: '<div class="table"><table>\n'
    rules["table_close"] = lambda *_: "</table></div>\n"
    body = parser.render(page)
    title = re.search(r"^# +(.+)$", page, flags=re.MULTILINE)
    text = title.group(1).replace("\\", "") if title else "gradlab"
    return environment().get_template("page.html.j2").render(title=text, body=body)


def _picture(token, folder: Path) -> str:
    from html import escape

    source = unquote(str(token.attrs["src"]))
    alt = escape(token.content, quote=True)
    if re.match(r"[a-z]+:", source):
        raise GradlabError("pictures that lie beside the page", source, "a path relative to the page")
    path = folder / source
    vector = path.with_suffix(".svg")
    if vector.is_file() and vector.stat().st_size <= _LARGEST_SVG:
        path = vector
    try:
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise GradlabError("the page's pictures beside it", str(source), "the report again") from error
    return f'<img alt="{alt}" src="data:{_TYPES[path.suffix]};base64,{data}">'
