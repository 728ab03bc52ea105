"""Read back what made a figure, from the file that `save` wrote."""

from __future__ import annotations

import html
import json
import os
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradlab._errors import GradlabError
from gradlab._files import path_from, read_text
from gradlab._text import is_hash, plain

#: Files larger than this many bytes are no figures.
_LARGEST = 200_000_000
#: Names of what `save` writes, and of the fields of `Provenance`.
_NAMES = ("run", "command", "version")
_FOLDER_RECORD = "provenance.json"


@dataclass(frozen=True)
class Provenance:
    """Hold what a figure's file says of itself. `str` gives it in words, with how to make the figure again.

    Parameters
    ----------
    path : Path
        The file.
    run : str
        Hash of the run that it shows; empty where it shows none.
    command : str
        The command that makes the run or the figure again; empty where it is not known.
    version : str
        The version of gradlab that drew it; empty where it is not known.
    caption : str
        What the figure shows.
    noted : mapping
        The record of the run, ``provenance.json``, where it lies beside the figure or one folder above.
    """

    path: Path
    run: str = ""
    command: str = ""
    version: str = ""
    caption: str = ""
    noted: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.path}: drawn by gradlab {self.version}".rstrip()]
        lines += [f"run: {self.run}"] if self.run else []
        for name in ("commit", "backend"):
            if isinstance(self.noted.get(name), str):
                lines.append(f"{name}: {plain(self.noted[name])}")
        if isinstance(versions := self.noted.get("versions"), Mapping):
            lines.append("versions: " + plain(", ".join(f"{name} {version}" for name, version in versions.items())))
        lines += [f"shows: {self.caption}"] if self.caption else []
        if not self.command:
            return "\n".join([*lines, "make it again: no command is recorded; plots.save(..., command=) records one"])
        again = "make it again" + (", in a folder of its own or where its run lies" if self.run else "")
        return "\n".join([*lines, f"{again}:", f"    {self.command}"])


def provenance(path: str | os.PathLike[str]) -> Provenance:
    """Read what made a figure, from a PNG, PDF or SVG that `save`, a report or an experiment wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    Provenance

    Raises
    ------
    GradlabError
        If the file is not there, is none of the three, or gradlab did not write it.

    Examples
    --------
    >>> import gradlab as gl
    >>> (path,) = gl.plots.save(gl.plots.forest(gl.example("depth")), "rates.png", command="python rates.py")
    >>> gl.plots.provenance(path).command
    'python rates.py'
    """
    path = path_from(path, "path")
    readers = {".png": _from_png, ".pdf": _from_pdf, ".svg": _from_svg}
    if not path.is_file():
        raise GradlabError("the file of a figure", f"{path}, which is not there", "the path that plots.save returned")
    reader = readers.get(path.suffix.lower())
    if reader is None or path.stat().st_size > _LARGEST:
        raise GradlabError("a PNG, PDF or SVG", f"{path}", "a file that plots.save wrote")
    try:
        texts, caption = reader(path.read_bytes())
    except (ValueError, struct.error, zlib.error, IndexError):
        texts, caption = {}, ""
    given = {name: plain(texts[f"gradlab:{name}"]) for name in _NAMES if texts.get(f"gradlab:{name}")}
    if not given:
        raise GradlabError("a figure that gradlab wrote", f"{path} without its notes", "a file that plots.save wrote")
    return Provenance(path, **given, caption=plain(caption), noted=_record_beside(path, given.get("run", "")))


def _from_png(data: bytes) -> tuple[dict[str, str], str]:
    texts = dict(_chunks(data))
    return texts, texts.get("Description", "")


def _chunks(data: bytes) -> Iterator[tuple[str, str]]:
    """List the texts of a PNG: Latin-1 in tEXt, UTF-8 in iTXt, which may be compressed."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG")
    place = 8
    while place + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + size]
        place += size + 12
        if kind == b"tEXt":
            name, _, text = body.partition(b"\0")
            yield name.decode("latin-1"), text.decode("latin-1")
        elif kind == b"iTXt":
            name, _, rest = body.partition(b"\0")
            text = rest[2:].split(b"\0", 2)[2]
            text = zlib.decompressobj().decompress(text, _LARGEST) if rest[0] else text
            yield name.decode("latin-1"), text.decode("utf-8")
        elif kind == b"IEND":
            return


def _from_pdf(data: bytes) -> tuple[dict[str, str], str]:
    keywords, subject = (_pdf_string(data, name) for name in (b"/Keywords", b"/Subject"))
    parts = re.split(r"(?:^|; )(?=gradlab:)", keywords)
    return dict(part.split("=", 1) for part in parts if "=" in part), subject


def _pdf_string(data: bytes, name: bytes) -> str:
    """Return a text of the notes of a PDF: in parentheses, with backslashes before what would end it."""
    start = data.find(name + b" (")
    if start < 0:
        return ""
    match = re.compile(rb"((?:[^\\()]|\\.)*)\)", re.DOTALL).match(data, start + len(name) + 2)
    if match is None:
        return ""
    escaped = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
    raw = re.sub(rb"\\(.)", lambda m: escaped.get(m[1], m[1]), match[1], flags=re.DOTALL)
    return raw[2:].decode("utf-16-be") if raw.startswith(b"\xfe\xff") else raw.decode("latin-1")


def _from_svg(data: bytes) -> tuple[dict[str, str], str]:
    # by its text, not by a parser of XML: entities of a stranger's file are not expanded
    head = data.decode("utf-8").partition("</metadata>")[0]
    lines = re.findall(r"<rdf:li>(gradlab:.*?)</rdf:li>", head, re.DOTALL)
    shows = re.search(r"<dc:description>(.*?)</dc:description>", head, re.DOTALL)
    return dict(html.unescape(line).split("=", 1) for line in lines), html.unescape(shows[1]) if shows else ""


def _record_beside(path: Path, run: str) -> Mapping[str, Any]:
    """Return the record of the run that lies beside a figure, if it is that of the same run."""
    for folder in (path.parent, path.parent.parent) if is_hash(run) else ():
        try:
            record = json.loads(read_text(folder, _FOLDER_RECORD))
        except (OSError, ValueError, GradlabError, RecursionError):
            continue
        if isinstance(record, dict) and record.get("hash") == run:
            return record
    return {}
