"""Compiled programs kept on the disk, so that a later process does not wait for the compiler again.

JAX knows a program by what it computes, the options of its compiler, its version and the processor.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from jax._src import compilation_cache

from gradlab._errors import GradlabError, note
from gradlab._files import replacing

#: Bytes of all programs that are kept; beyond it those that were not used for the longest time are removed.
LARGEST = 2**30
#: End of the names of our files: those that JAX itself may keep in the same folder are not whole after a kill.
ENDING = ".program"
_DIGEST = hashlib.sha256().digest_size


def cache_folder() -> Path:
    """Return where this user's programs are kept: in the folder for caches that is usual on the system."""
    home = Path.home()
    usual = {"win32": os.environ.get("LOCALAPPDATA") or home / "AppData/Local", "darwin": home / "Library/Caches"}
    base = os.environ.get("XDG_CACHE_HOME") or usual.get(sys.platform, home / ".cache")
    return Path(base, "gradlab", "programs")


@contextlib.contextmanager
def kept_programs(wanted: bool = True, on_progress: Callable[[str], None] = note) -> Iterator[None]:
    """Take compiled programs from the disk, and put new ones there, as long as this lasts.

    Parameters
    ----------
    wanted : bool
        False: compile everything, whatever JAX is set to.
    on_progress : callable
        Takes a line for the user, once, where programs cannot be kept.

    Notes
    -----
    The folder is the one that JAX is set to (``JAX_COMPILATION_CACHE_DIR``), else `cache_folder`. All settings are
    afterwards what they were.
    """
    changed: dict[str, object] = {"jax_enable_compilation_cache": wanted and jax.config.jax_enable_compilation_cache}
    programs = None
    if changed["jax_enable_compilation_cache"]:
        programs = Programs(Path(jax.config.jax_compilation_cache_dir or cache_folder()), on_progress)
        changed["jax_compilation_cache_dir"] = str(programs.folder)
        # on GPUs XLA would keep files of its own there, and stop where it cannot
        changed["jax_persistent_cache_enable_xla_caches"] = "none"
        if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
            changed["jax_persistent_cache_min_compile_time_secs"] = 0.0
    before = {name: getattr(jax.config, name) for name in changed}
    try:
        for name, value in changed.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        compilation_cache._cache = programs  # in the place of JAX's own, which is made at the first compilation
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        if programs is not None:
            programs.shrink()


class Programs:
    """The programs in a folder, as JAX asks for them: each file is whole, or it is not read.

    Parameters
    ----------
    folder : path
        It is made when there is something to keep.
    on_progress : callable
        Takes a line for the user.
    """

    def __init__(self, folder: Path, on_progress: Callable[[str], None]):
        self.folder = self._path = folder
        self._on_progress, self._new = on_progress, False

    def get(self, key: str) -> bytes | None:
        """Return the program of that key; None where there is none, or another one than was written."""
        path = self.folder / (key + ENDING)
        try:
            content = path.read_bytes()
            os.utime(path)  # it was used
        except OSError:
            return None
        value = content[_DIGEST:]
        return value if hashlib.sha256(value).digest() == content[:_DIGEST] else None

    def put(self, key: str, value: bytes) -> None:
        """Keep a program; where that cannot be, the user is told once."""
        try:
            with replacing(self.folder / (key + ENDING)) as temporary:
                temporary.write_bytes(hashlib.sha256(value).digest() + value)
            self._new = True
        except GradlabError as error:
            on_progress, self._on_progress = self._on_progress, lambda text: None
            on_progress(
                f"compiled programs cannot be kept in {self.folder} ({error.received}): they are compiled again"
            )

    def shrink(self) -> None:
        """Remove what was not used for the longest time, where something was added and all take too much room."""
        if not self._new:
            return
        with contextlib.suppress(OSError):  # another process removes the same ones
            files = [(file.stat(), file.path) for file in os.scandir(self.folder) if ENDING in file.name]
            room = sum(stat.st_size for stat, _ in files)
            for stat, path in sorted(files, key=lambda file: file[0].st_mtime):
                if room <= LARGEST:
                    break
                os.unlink(path)
                room -= stat.st_size
