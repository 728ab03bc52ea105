"""One writer for a folder, on this machine and on others, with locks of the system and without."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradlab._errors import GradlabError
from gradlab.sweep import lock as locks
from gradlab.sweep.lock import Lock, file_system, reaches_other_machines

HERE = Path(__file__).parent
ENDED = 2**22 + 5  # above the largest number of a process

#: Holds a lock, and says so, until its standard input is closed.
HOLDER = (
    "import sys; from pathlib import Path; from gradlab.sweep.lock import Lock\n"
    "lock = Lock(Path(sys.argv[1]), print)\nprint('held', flush=True); sys.stdin.read()\n"
    "if len(sys.argv) < 3: lock.close()"
)


def holder(path, *rest, machine=None):
    words = [sys.executable, "-c", HOLDER, str(path), *rest]
    if machine is not None:  # a machine of another name on the same folder
        words = ["unshare", "-Uru", "sh", "-c", f'hostname {machine} && exec "$@"', "sh", *words]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HERE.parents[1]
    )
    if process.stdout.readline() != "held\n":
        said = process.communicate()[1]
        if machine is not None and ("unshare" in said or "hostname" in said):
            pytest.skip("no names of machines of one's own here")
        raise AssertionError(said)
    return process


def test_two_machines_on_one_folder_the_second_is_told_where_the_first_runs(tmp_path):
    """Two names of machines on one kernel: the lock is that of the file, as on NFS it is that of the server."""
    path = tmp_path / ".lock"
    first = holder(path, machine="node17")
    with pytest.raises(GradlabError, match=r"free; received a sweep that is running there as process \d+ on node17"):
        Lock(path, print)
    with pytest.raises(GradlabError, match="node17"):
        Lock(path, print, shared=True)
    first.communicate("")
    assert path.read_bytes() == b""
    Lock(path, print).close()


def test_a_killed_holder_lets_go(tmp_path):
    path = tmp_path / ".lock"
    first = holder(path)
    assert json.loads(path.read_text())["process"] == first.pid
    with pytest.raises(GradlabError, match=f"as process {first.pid} on "):
        Lock(path, print)
    first.kill()
    first.communicate()
    Lock(path, print).close()


def no_locks(monkeypatch):
    import fcntl

    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)


def for_one_machine(monkeypatch):
    monkeypatch.setattr(locks, "reaches_other_machines", lambda path: False)


@pytest.mark.parametrize("without", [no_locks, for_one_machine])
@pytest.mark.parametrize(("machine", "process", "refused"), [
    ("elsewhere", 7, True), (None, os.getppid(), True), (None, ENDED, False), ("elsewhere", "7", False),
])  # fmt: skip
def test_where_locks_do_not_reach_the_file_says_who_holds_it(tmp_path, monkeypatch, without, machine, process, refused):
    import socket

    said = []
    without(monkeypatch)
    path, shard = tmp_path / ".lock", tmp_path / ".lock.1-of-2"
    for file in (path, shard):  # a whole sweep looks at the locks of its shards too
        file.write_text(json.dumps({"machine": machine or socket.gethostname(), "process": process}))
        if refused:
            with pytest.raises(GradlabError, match=f"do not say whether it has ended; try .* removing {file} if"):
                Lock(path, said.append)
        else:
            Lock(path, said.append).close()
        file.unlink()
    Lock(path, said.append).close()
    assert all("cannot be locked here" in line for line in said) and bool(said) == (without is no_locks)


def test_a_conflict_that_cifs_calls_no_permission_is_a_conflict(tmp_path, monkeypatch):
    import fcntl

    def flock(descriptor, operation):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(GradlabError, match="running there in another process"):
        Lock(tmp_path / ".lock", print)


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /shared rw,relatime shared:5 - nfs4 server:/shared rw,vers=4.2,local_lock=none,addr=10.0.0.1
31 22 0:41 / /scratch rw - lustre fs@tcp:/scratch rw,flock
32 22 0:42 / /old rw - nfs server:/old rw,vers=3,nolock,local_lock=all
33 22 0:43 / /fast rw - lustre fs@tcp:/fast rw,localflock
34 22 0:44 / /my\\040disk rw - fuse.sshfs me@host:/ rw,user_id=0
a line of another form
"""


@pytest.mark.parametrize(("place", "kind", "reaches"), [
    ("/data/x", "ext4", True), ("/shared/run", "nfs4", True), ("/scratch/run", "lustre", True),
    ("/old/run", "nfs", False), ("/fast/run", "lustre", False), ("/my disk/run", "fuse.sshfs", False),
    ("/shareds/run", "ext4", True),
])  # fmt: skip
def test_which_locks_reach_other_machines(tmp_path, monkeypatch, place, kind, reaches):
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(locks, "MOUNTS", tmp_path / "mounts")
    assert file_system(Path(place))[0] == kind and reaches_other_machines(Path(place)) is reaches
    monkeypatch.setattr(locks, "MOUNTS", tmp_path / "none")
    assert reaches_other_machines(Path(place))
