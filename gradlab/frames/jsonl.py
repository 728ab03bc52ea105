"""Frames as JSON lines, one object for each row. JSON has no NaN and no infinity, so these stand as strings."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import pandas as pd

from gradlab._errors import GradlabError
from gradlab._files import path_from, writable, write_text
from gradlab._types import SCHEMA_VERSION
from gradlab.frames.files import migrate
from gradlab.frames.rows import CATEGORIES, finished

#: Numbers that JSON lacks, and the strings that stand for them.
WORDS: dict[str, float] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_jsonl(frame: pd.DataFrame, path: str | os.PathLike[str], append: bool = False) -> None:
    """Write a frame as JSON lines, one object for each row.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`.
    path : path
        The file to write.
    append : bool
        True: add the rows to an existing file, for example while training. False: write the whole file at once, so
        that it is never half written.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> import gradlab as gl
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "gradients.jsonl"
    >>> gl.to_jsonl(gl.frame(gl.observe({"dense.weight": np.zeros((3, 3))})), path)
    >>> '"log10_weight_grad_norm": "-Infinity"' in path.read_text()
    True
    >>> print(gl.from_jsonl(path)["log10_weight_grad_norm"].tolist())
    [-inf]
    """
    version = int(frame.attrs.get("schema", SCHEMA_VERSION))
    rows = frame.astype({n: object for n, kind in frame.dtypes.items() if isinstance(kind, pd.CategoricalDtype)})
    text = "".join(
        json.dumps({"schema": version, **{name: _plain(value) for name, value in row.items()}}, allow_nan=False) + "\n"
        for row in rows.to_dict("records")
    )
    path = path_from(path, "path")
    if not append:
        return write_text(path, text)
    with writable(path), open(path, "a", encoding="utf-8") as file:
        file.write(text)


def from_jsonl(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a frame that `to_jsonl` wrote.

    Parameters
    ----------
    path : path
        The file of JSON lines.

    Returns
    -------
    DataFrame
        The frame as it was written, in the present schema.

    Raises
    ------
    GradlabError
        If the file is absent, a line is not a whole row, or a row stands twice.
    """
    try:
        lines = path_from(path, "path").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise GradlabError("a file of JSON lines", f"{path}: {reason}", "the name of a file") from error
    rows = [_row(line, f"line {number} of {path}") for number, line in enumerate(lines, 1)]
    if not rows:
        raise GradlabError("at least one row", f"{path}, which is empty", "another file")
    version = min(row.pop("schema") for row in rows)
    table = pd.DataFrame(rows)
    for name in table:
        values = table[name]
        texts = [value for value in values if isinstance(value, str)]
        if name not in CATEGORIES and all(text in WORDS for text in texts):
            numbers = [WORDS[value] if isinstance(value, str) else value for value in values]
            table[name] = pd.Series(numbers, dtype=None if not texts else float)
    table.attrs["schema"] = version
    return finished(migrate(table, str(path)))


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise GradlabError("a JSON object in each line", f"{where}: {error}", "the file without that line") from error
    if not isinstance(row, dict) or not isinstance(row.get("schema"), int):
        raise GradlabError("rows with the version of their schema", where, "a file that gl.to_jsonl wrote")
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value.item() if hasattr(value, "item") else value
