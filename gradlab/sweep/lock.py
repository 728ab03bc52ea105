"""One writer for the folder of a run: a lock of the system, and in its file who holds it.

The system lets go of a lock when its process ends, however it ends. On NFS ``flock`` is a lock of the server, which all
machines see. Some file systems that machines share lock for each machine alone, or not at all; there the file decides,
which says on which machine the holder runs.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradlab._errors import GradlabError

#: File systems that machines share, on which ``flock`` is for one machine alone.
_FOR_ONE_MACHINE = frozenset(("9p", "virtiofs", "vboxsf", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone"))
#: Options by which NFS and Lustre are set to the same.
_LOCAL_OPTIONS = frozenset(("nolock", "local_lock=flock", "local_lock=all", "localflock"))
#: Where Linux says what is mounted.
MOUNTS = Path("/proc/self/mountinfo")


class Lock:
    """Hold a file for this process, or with others that share it, until `close` or the end of the process.

    Parameters
    ----------
    path : Path
        The file; it is made where it does not exist, and stays.
    note : callable
        Takes a line for the user where the file system has no locks.
    shared : bool
        Whether others may hold it at the same time, if they share it too.

    Raises
    ------
    GradlabError
        If another process holds it; the message names its machine and number. Where locks do not reach other machines,
        also if the file names one on another machine that has not let go.
    """

    def __init__(self, path: Path, note: Callable[[str], None], *, shared: bool = False):
        self.path, self.shared = path, shared
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            reaches = self._take(note)
            others = [] if reaches else [path, *(() if shared else sorted(path.parent.glob(f"{path.name}.*")))]
            for other in others:
                holder = read_holder(other)
                if holder is not None and may_run(holder):
                    raise self._refusal(other, holder, certain=False)
            if not shared:
                self._sign({"machine": socket.gethostname(), "process": os.getpid()})
        except BaseException:
            os.close(self._file)
            raise

    def _take(self, note: Callable[[str], None]) -> bool:
        """Take the lock of the system; return whether it keeps out other machines too."""
        try:
            import fcntl

            fcntl.flock(self._file, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except (ImportError, OSError) as error:
            if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.EACCES):  # EACCES is what CIFS says
                raise self._refusal(self.path, read_holder(self.path), certain=True) from None
            note(f"{self.path.parent} cannot be locked here ({error}): see to it that no other sweep writes to it")
            return False
        return reaches_other_machines(self.path)

    def _refusal(self, path: Path, holder: dict[str, Any] | None, *, certain: bool) -> GradlabError:
        where = "in another process" if holder is None else f"as process {holder['process']} on {holder['machine']}"
        if certain:
            received, hint = f"a sweep that is running there {where}", "waiting until it ends"
        else:
            received = (
                f"a sweep that began there {where}, and locks of this file system do not say whether it has ended"
            )
            hint = f"waiting until it ends, or removing {path} if it was killed"
        return GradlabError(f"{path.parent} to be free", received, f"{hint}, or out= another folder")

    def _sign(self, holder: dict[str, Any] | None) -> None:
        """Write who holds the lock, or nobody. A disk that is full is told by what is written next."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, b"" if holder is None else json.dumps(holder).encode())
            os.fsync(self._file)

    def close(self) -> None:
        """Let others have it."""
        if not self.shared:
            self._sign(None)
        os.close(self._file)


def read_holder(path: Path) -> dict[str, Any] | None:
    """Return machine and process in the file of a lock; None where it names nobody."""
    try:
        with open(path, "rb") as file:
            holder = json.loads(file.read(1000))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(holder, dict):
        return None
    machine, process = holder.get("machine"), holder.get("process")
    known = isinstance(machine, str) and isinstance(process, int) and 0 < process < 2**31
    return {"machine": machine, "process": process} if known else None


def may_run(holder: dict[str, Any]) -> bool:
    """Return whether the process may still run: one on another machine may, of this one's the system knows."""
    if holder["machine"] != socket.gethostname():
        return True
    if holder["process"] == os.getpid():
        return False
    if os.name != "posix":  # elsewhere there is no signal that only asks
        return True
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def reaches_other_machines(path: Path) -> bool:
    """Return whether a lock that was taken on this file keeps out all machines that have its file system."""
    kind, options = file_system(path)
    return kind not in _FOR_ONE_MACHINE and not options & _LOCAL_OPTIONS


def file_system(path: Path) -> tuple[str, frozenset[str]]:
    """Return the kind and the options of the file system of a file, as Linux says them; empty on other systems."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return "", frozenset()
    place, longest = path.resolve(), 0
    kind, options = "", frozenset[str]()
    for line in lines:
        before, _, after = (f"{line} ").partition(" - ")
        words, tail = before.split(), after.split()
        if len(words) < 6 or len(tail) < 2:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), words[4]))
        if place.is_relative_to(point) and len(point.parts) >= longest:  # of several on one place the last is seen
            kind, options, longest = tail[0], frozenset(",".join((words[5], *tail[2:])).split(",")), len(point.parts)
    return kind, options
