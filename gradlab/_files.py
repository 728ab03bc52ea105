"""Files: check paths and names, and write a file whole or not at all.

A folder may come from somebody else. No name and no link in it leads out of it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradlab._errors import GradlabError

#: Ending of the names of files that are being written.
TEMPORARY = ".tmp"
#: Largest number of bytes of a text that is read whole: a request, a provenance, a note.
LARGEST_TEXT = 64 * 2**20
#: Largest number of characters of a file's name that is made from a text, before its hash.
LONGEST_NAME = 60
#: Names that Windows takes for devices, whatever their ending.
_DEVICES = frozenset(("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))))


def path_from(value: Any, option: str = "out") -> Path:
    """Return the path that a user gave, or raise an error that names the option.

    Parameters
    ----------
    value : str or path
        Text that every file system can hold: not bytes, not empty, without control characters.
    option : str
        What to call the path in an error.
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(text, str):
        raise GradlabError(
            f"{option} to be a path", f"{value!r} of type {type(value).__name__}", f'{option}="runs/demo"'
        )
    whole = not any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in text)
    if not text or not whole:
        received = ascii(text) if whole else f"{text!a}, which is no plain text"
        raise GradlabError(f"{option} to be a path", received, f'{option}="runs/demo"')
    return Path(text)


def file_name(text: Any) -> str:
    """Make the name of a file, without its ending, from any text: small letters, digits, ``-`` and ``_``.

    Every other character becomes ``-``, and then a hash of the text follows, so that two texts have two names, even
    on a file system that ignores the case of letters.

    Examples
    --------
    >>> file_name("gradient_flow"), file_name("ReLU"), file_name("../../thesis")
    ('gradient_flow', 'relu-a08413c4', 'thesis-4e0c6291')
    """
    text = str(text)
    plain = re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:LONGEST_NAME].strip("-")
    if plain and plain == text and plain not in _DEVICES and not re.search(r"(^|-)[0-9a-f]{8}$", plain):
        return plain
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{plain}-{digest}" if plain else digest


def inside(folder: str | os.PathLike[str], *names: str) -> Path:
    """Return the path of something in a folder; refuse one that leads outside, by a name or by a link.

    Parameters
    ----------
    folder : path
        The folder. It may itself be reached by links, which the user chose.
    *names : str
        Names of the folders on the way, then of the file.
    """
    path = Path(folder, *names)
    try:
        root, target = Path(folder).resolve(), path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, or an impossible name
        raise GradlabError(f"a file in {folder}", f"{'/'.join(names)!a}: {error}", "removing it") from error
    if target == root or not target.is_relative_to(root):
        received = f"{'/'.join(names)!a}, which leads to {target}"
        raise GradlabError(f"a file inside {folder}", received, "the folder without links that lead out of it")
    return path


def check_links(folder: Path) -> None:
    """Refuse a folder in which some link, at any depth, leads out of it."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if os.path.islink(os.path.join(place, name)):
                inside(folder, *Path(place, name).relative_to(folder).parts)


def read_text(folder: str | os.PathLike[str], name: str) -> str:
    """Read the text of a regular file inside a folder.

    Raises
    ------
    GradlabError
        If the name leads outside, or the file is too large.
    OSError, UnicodeDecodeError
        If the file cannot be read.
    """
    path = inside(folder, name)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    if not path.is_file() or path.stat().st_size > LARGEST_TEXT:
        received = f"{path.stat().st_size:,} bytes" if path.is_file() else "something else"
        raise GradlabError(f"{path} to be a file of at most {LARGEST_TEXT:,} bytes", received, "the folder as it was")
    return path.read_text(encoding="utf-8")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a new file beside `path` to write to; once it is on the disk it becomes `path` in one step.

    A link under the name is replaced, not followed. The folder is made where it does not exist.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name[:200]}.{secrets.token_hex(4)}{TEMPORARY}")
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # never through a link that somebody left under this name
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield temporary
            synchronise(temporary)
            os.replace(temporary, path)
            synchronise(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text whole under its name, or leave what was there before."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def synchronise(path: Path) -> None:
    """Have the system put a file, or the names in a folder, on the disk."""
    if path.is_dir() and os.name != "posix":  # elsewhere folders cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn what the system says when something cannot be written into one clear message."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise GradlabError(
            f"{'room' if full else 'to be able'} to write {path}",
            error.strerror or str(error) or type(error).__name__,
            "freeing space and the same command again: what was computed is kept" if full else "another folder",
        ) from error
