"""Figures on the disk: the same bytes for the same figure, with the run and the command inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from gradlab._errors import unknown
from gradlab.plots.captions import caption

FORMATS: tuple[str, ...] = ("png", "pdf", "svg")


def save(
    figure: Any,
    path: Any,
    *,
    formats: Sequence[str] = FORMATS,
    run_hash: str | None = None,
    command: str | None = None,
) -> list[Path]:
    """Write a figure in several formats.

    Parameters
    ----------
    figure : Figure, Axes or array of Axes
    path : path
        Without an ending; an ending among the formats is taken off.
    formats : sequence of {"png", "pdf", "svg"}
    run_hash, command : str, optional
        Written into the file's metadata: which run it shows, and what remakes it.

    Returns
    -------
    list of Path
    """
    for kind in formats:
        if kind not in FORMATS:
            raise unknown("format", kind, FORMATS)
    if isinstance(figure, np.ndarray | list | tuple):
        figure = np.ravel(np.asarray(figure, object))[0]
    figure = getattr(figure, "figure", figure)
    path = Path(path)
    path = path.with_suffix("") if path.suffix[1:] in FORMATS else path
    path.parent.mkdir(parents=True, exist_ok=True)
    about = "; ".join(t for t in (f"run {run_hash}" if run_hash else "", f"made by: {command}" if command else "") if t)
    words = caption(figure)
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None, "Description": words, "Comment": about},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None, "Subject": words, "Keywords": about},
        "svg": {"Date": None, "Creator": None, "Description": words, "Keywords": [about]},
    }
    made = []
    with mpl.rc_context({"svg.hashsalt": "gradlab", "pdf.fonttype": 42, "svg.fonttype": "path"}):
        for kind in formats:
            file = path.with_name(f"{path.name}.{kind}")
            figure.savefig(file, format=kind, metadata=metadata[kind], dpi=200)
            made.append(file)
    return made
