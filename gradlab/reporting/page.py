"""Write one page from a run: verdicts in words, figures, tables, what was asked, how to make it again."""

from __future__ import annotations

import os
from pathlib import Path

from gradlab._errors import GradlabError
from gradlab._files import inside, path_from, writable, write_text
from gradlab.frames.files import Run, load
from gradlab.reporting import figures
from gradlab.reporting.content import Content
from gradlab.reporting.explorer import write_explorer
from gradlab.reporting.html import to_html
from gradlab.reporting.slides import write_slides

#: The explorer beside a page.
EXPLORER = "explore.html"


def report(
    run: str | os.PathLike[str] | Run,
    *,
    out: str | os.PathLike[str] | None = None,
    html: bool = False,
    tex: bool = False,
    explore: bool = False,
    slides: bool = False,
) -> Path:
    """Write the page of a run, its figures beside it.

    Parameters
    ----------
    run : path or Run
        The folder of a finished sweep, or what `gradlab.load` made of one or several.
    out : path, optional
        The page (``.md``), or a folder for ``report.md``. None: the run's own folder.
    html : bool
        Write the page as one self-contained ``.html`` file too, which can be sent as it is.
    tex : bool
        Write ``tables.tex`` (booktabs), ``figures.tex`` and ``numbers.tex`` (a macro for each number of each verdict)
        too.
    explore : bool
        Write ``explore.html`` too, in which a reader chooses what is drawn; see `gradlab.explore`.
    slides : bool
        Write ``slides.md`` too, a deck for Marp with one figure on each slide; the figures in ``slides`` are PNG, SVG,
        and PDF for Beamer.

    Returns
    -------
    Path
        The page; the other files lie beside it.

    Raises
    ------
    GradlabError
        Where there is no run, its frame is damaged, or the page cannot be written.
    """
    loaded = run if isinstance(run, Run) else load(run)
    page = _page_path(loaded, out)
    content = Content(loaded)
    with writable(page):
        page.parent.mkdir(parents=True, exist_ok=True)
        folder, origin = inside(page.parent, "figures"), (content.hash, content.command)
        drawn = figures.draw(content.figures, folder, *origin, html)
        text = content.markdown(drawn)
        write_text(page, text)
        if rates := content.rates_csv():
            write_text(page.with_name("rates.csv"), rates)
        if tex:
            write_text(page.with_name("tables.tex"), content.tables_tex())
            write_text(page.with_name("numbers.tex"), content.numbers_tex())
            write_text(page.with_name("figures.tex"), content.figures_tex(drawn))
        if html:
            made = {file: figure.width for figure in drawn for file in figure.files}
            narrow = {figure.path: figure.narrow for figure in drawn if isinstance(figure, figures.Drawn)}
            write_text(page.with_suffix(".html"), to_html(text, page.parent, made, narrow))
        if slides:
            write_slides(content, page)
        if explore:
            theory = content.predictions() or None
            write_explorer(content.whole, None, theory, None, content.command, page.with_name(EXPLORER))
    return page


def _page_path(run: Run, out: str | os.PathLike[str] | None) -> Path:
    if out is not None:
        out = path_from(out)
        return out if out.suffix == ".md" else out / "report.md"
    if not isinstance(run.path, (str, os.PathLike)):
        raise GradlabError("out= where the page goes", "none, and a run that has no single folder", 'out="report"')
    return Path(run.path) / "report.md"
