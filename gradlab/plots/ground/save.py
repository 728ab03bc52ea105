"""Figures to files: the same bytes each time, each with the hash of its run and the command that makes it again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

import gradlab
from gradlab._errors import unknown
from gradlab._files import path_from, replacing
from gradlab._text import plain
from gradlab.plots.ground.canvas import preset_name
from gradlab.plots.ground.captions import caption, figure_of
from gradlab.plots.ground.styles import style

FORMATS: tuple[str, ...] = ("png", "pdf", "svg")


def save(
    fig: Any,
    path: str | os.PathLike[str],
    formats: str | Sequence[str] | None = None,
    run_hash: str | None = None,
    command: str | None = None,
) -> list[Path]:
    """Write a figure, whole or not at all.

    Parameters
    ----------
    fig : Figure, Axes or array of Axes
        What is written: always the whole figure.
    path : path
        Without an ending, which the format gives; one of the three may stand there.
    formats : str or sequence of {"png", "pdf", "svg"}, optional
        None: that of the ending of `path`, else all three.
    run_hash, command : str, optional
        Hash of the run, and the command that makes the figure again. They stand in the text of a PNG
        (``gradlab:run``, ``gradlab:command``), the keywords of a PDF, the metadata of an SVG; the caption and the
        version of gradlab too. `provenance` reads them back.

    Returns
    -------
    list of Path
    """
    fig = figure_of(fig)
    path = path_from(path, "path")
    ending = path.suffix[1:].lower()
    if ending in FORMATS:
        path = path.with_name(path.name[: -len(ending) - 1])
    formats = ((ending,) if ending in FORMATS else FORMATS) if formats is None else formats
    formats = [formats] if isinstance(formats, str) else list(formats)
    for kind in formats:
        if kind not in FORMATS:
            raise unknown("format", kind, FORMATS)
    made = []
    # ids of an SVG come from its salt, fonts of a PDF are embedded whole
    fixed = {"svg.hashsalt": "gradlab", "svg.fonttype": "path", "pdf.fonttype": 42, "ps.fonttype": 42}
    # then None is no layout engine: with any, one that does nothing too, matplotlib draws everything twice
    fixed |= {"figure.autolayout": False, "figure.constrained_layout.use": False}
    engine = fig.get_layout_engine()
    try:
        with style(preset_name(fig)), matplotlib.rc_context(fixed):
            for kind in dict.fromkeys(formats):
                made.append(_write(fig, path.with_name(f"{path.name}.{kind}"), kind, run_hash, command))
                fig.set_layout_engine(None)  # the first format has laid it out; measuring all texts again is slow
    finally:
        with matplotlib.rc_context(fixed):
            fig.set_layout_engine(engine)
    return made


def _write(fig: Any, path: Path, kind: str, run_hash: str | None, command: str | None) -> Path:
    with replacing(path) as temporary:
        fig.savefig(temporary, format=kind, metadata=metadata(kind, run_hash, command, caption(fig)))
    return path


def metadata(kind: str, run_hash: str | None, command: str | None, text: str) -> dict[str, Any]:
    """Return what a file of this format carries; nothing that changes from one time to the next."""
    # what no XML and no text of a PNG can hold may stand in the command of somebody else's run
    run_hash, command = (None if value is None else plain(value) for value in (run_hash, command))
    text = plain(text)
    origin = {"gradlab:version": gradlab.__version__, "gradlab:run": run_hash, "gradlab:command": command}
    origin = {name: value for name, value in origin.items() if value}
    if kind == "png":
        return {"Software": None, **origin, **({"Description": text} if text else {})}
    words = "; ".join(f"{name}={value}" for name, value in origin.items())
    if kind == "pdf":
        return {"CreationDate": None, "Creator": "gradlab", "Keywords": words or None, "Subject": text or None}
    keywords = [f"{name}={value}" for name, value in origin.items()]
    given = {"Identifier": run_hash, "Source": command, "Description": text, "Keywords": keywords}
    return {"Date": None, "Creator": "gradlab", **{name: value for name, value in given.items() if value}}
