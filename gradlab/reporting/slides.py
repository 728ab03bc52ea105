"""Write a deck of slides from a run: Markdown for Marp, one figure on each slide, its claim as the title."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gradlab._files import inside, write_text
from gradlab._text import markdown, plain, shortened
from gradlab.frames.files import Run
from gradlab.plots.ground.styles import usually
from gradlab.reporting import figures

if TYPE_CHECKING:
    from gradlab.reporting.content import Content

#: Most characters of a title, which then has two lines.
_LONGEST_TITLE = 150
#: The deck's head. A slide of Marp is 1280 x 720 pixels.
_HEAD = """\
---
marp: true
size: 16:9
paginate: true
style: |
  section { padding: 24px 40px; display: flex; flex-flow: column nowrap; align-items: stretch;
    justify-content: flex-start; font-family: "DejaVu Sans", sans-serif; font-size: 26px; }
  section h1 { font-size: 30px; line-height: 1.2; margin: 0 0 10px; color: #000; }
  section p:has(> img) { flex: 1 1 0; min-height: 0; margin: 0; }
  section p > img { width: 100%; height: 100%; object-fit: contain; }
---
"""


def write_slides(content: Content, page: Path) -> Path:
    """Write ``slides.md`` beside a page, and its figures at the size of a slide.

    Parameters
    ----------
    content : Content
        What the page shows.
    page : Path
        The page, which may itself not be written.
    """
    with usually("slide"):
        drawn = figures.draw(content.figures, inside(page.parent, "slides"), content.hash, content.command)
    path = page.with_name("slides.md")
    write_text(path, deck(content.title, content.summary, drawn, content.command, _again(content.run)))
    return path


def deck(
    title: str, summary: str, drawn: Sequence[figures.Drawn | figures.NotDrawn], command: str, again: str
) -> str:  # fmt: skip
    """Return the deck as Markdown: a title slide, then a slide for each figure.

    Parameters
    ----------
    title, summary : str
        Markdown of the first slide.
    drawn : sequence of Drawn or NotDrawn
        Figures; those that could not be drawn have no slide.
    command : str
        What computed the run; empty where that is not known.
    again : str
        The command that makes the slides.
    """
    slides = [f"# {title}\n\n{summary}\n\n{_notes('The run was computed by', command)}"]
    for figure in drawn:
        if isinstance(figure, figures.Drawn):
            claim = shortened(figure.caption.lead or figure.title, _LONGEST_TITLE)
            says = "\n".join(part for part in (figure.caption.rest, f"For Beamer: {figure.files[-1]}") if part)
            picture = f"![{markdown(figure.alt)}]({figure.path})"
            slides.append(f"# {markdown(claim)}\n\n{picture}\n\n{_notes(says, again)}")
    return _HEAD + "\n" + "\n\n---\n\n".join(slides) + "\n"


def _again(run: Run) -> str:
    """Return the command that makes the slides of a run again."""
    single = not isinstance(run.path, Mapping)
    return f"gradlab report {shlex.quote(str(run.path))} --slides" if single else "gl.report(run, slides=True)"


def _notes(says: str, command: str) -> str:
    """Write a speaker's notes: an HTML comment, which nothing in it can end."""
    lines = [plain(line) for line in says.split("\n")] + ([plain(command)] if command else [])
    text = "\n".join(f"  {line}" for line in lines)
    return "<!-- Notes\n" + re.sub(r"--(!?)>", r"-- \1>", text) + "\n-->"
