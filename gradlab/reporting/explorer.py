"""Write one HTML file in which a frame can be explored without a server and without a network."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from gradlab._errors import GradlabError
from gradlab._files import path_from, writable, write_text
from gradlab._text import script
from gradlab.reporting.html import environment

if TYPE_CHECKING:
    import pandas as pd


def explore(
    frame: pd.DataFrame,
    *,
    value: str | None = None,
    theory: Any = None,
    title: str | None = None,
    out: str | os.PathLike[str] = "explore.html",
) -> Path:
    """Write one self-contained HTML file in which a reader explores the frame.

    The reader chooses the column that is drawn, the networks by their coordinates, what colours and lines stand for,
    and the training step; a drag over the figure chooses layers. A point shows its exact value, which may lie far
    outside the range of a double, because columns are kept as log10. The address of the page holds all choices, so
    that a link shows what its sender saw. The file loads nothing and works without a network.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame`, `gradlab.run` or `gradlab.load`.
    value : str, optional
        The measured column that is drawn at first. None: the delta, if the frame has it.
    theory : Prediction, or mapping of Prediction or Refusal by network, optional
        From `gradlab.theory.predict` for one network, or `gradlab.predict_all`: lines of theory, and predicted rates
        beside the measured ones.
    title : str, optional
        Title of the page. None: how many networks it shows.
    out : path
        The file, which ends in ``.html``.

    Returns
    -------
    Path
        The file. Logarithms in it are rounded to 4 decimals, other numbers to 5 digits. Where a frame is too large for
        a file of 1.5 MB, single seeds and then columns are left out, and the page says which.

    Raises
    ------
    GradlabError
        If the frame holds no measured layer, has not the column, or is too large for one page.

    Examples
    --------
    >>> import gradlab as gl, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = gl.explore(gl.example("depth"), out=f"{folder}/depth.html")
    ...     page.stat().st_size < 1_500_000
    True
    """
    return write_explorer(frame, value, theory, title, "", path_from(out))


def write_explorer(
    frame: pd.DataFrame, value: str | None, theory: Any, title: str | None, command: str, path: Path
) -> Path:
    """Write the explorer of a frame; `command` is what made the frame, empty where that is not known."""
    from gradlab.reporting.explorer_data import explorer_data

    data, title = explorer_data(frame, value, theory, title, command)
    return write_page("explorer.html.j2", ("chart.js", "explorer.js"), {"data": data}, path, title=title)


def write_page(template: str, scripts: tuple[str, ...], data: dict[str, str], path: Path, **values: Any) -> Path:
    """Write a page with its style, its scripts and its data inside.

    Parameters
    ----------
    template : str
        Name of the template.
    scripts : tuple of str
        Files beside the template, in the order in which they run.
    data : dict of str to str
        JSON texts by the ids under which the scripts read them.
    path : Path
        The file.
    **values
        What else the template shows.
    """
    if path.suffix != ".html":
        raise GradlabError("a file that ends in .html", repr(str(path)), f"out={str(path.with_suffix('.html'))!r}")
    folder = resources.files("gradlab.reporting") / "templates"
    read = lambda name: Markup((folder / name).read_text(encoding="utf-8"))
    text = environment().get_template(template).render(
        style=read("explorer.css"), scripts=[read(name) for name in scripts],
        data={name: Markup(script(json)) for name, json in data.items()}, **values,
    )  # fmt: skip
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return path
