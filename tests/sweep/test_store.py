import errno
import os
import subprocess
import sys
import textwrap

import pandas as pd
import pyarrow as pa
import pytest
from fakes import FakeData, FakeTask
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlab._errors import GradlabError
from gradlab.config import Sweep
from gradlab.sweep.plan import plan
from gradlab.sweep.run import run
from gradlab.sweep.store import Damaged, FolderStore, MemoryStore, checked

SMALL = Sweep(depth=(2, 3), activation="relu", init="he_normal", seeds=3)


def one_part():
    task = FakeTask(SMALL, FakeData())
    [unit] = plan([SMALL], task, {})
    return unit.parts[0], task.rows(unit.configs, unit.seeds)[0]


@pytest.fixture(params=["memory", "folder"])
def store(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else FolderStore(tmp_path, print)
    (tmp_path / "parts").mkdir()
    return store


def test_a_part_comes_back_as_it_was(store):
    part, frame = one_part()
    frame.loc[0, "log10_delta_rms"], frame.loc[1, "log10_delta_rms"] = float("nan"), -0.0
    assert not store.has(part)
    store.write(part, frame)
    assert store.has(part)
    pd.testing.assert_frame_equal(store.read(part).to_pandas().astype(frame.dtypes), frame, check_exact=True)


def test_a_part_under_the_name_of_another_is_damaged(tmp_path):
    task, store = FakeTask(SMALL, FakeData()), FolderStore(tmp_path, print)
    [unit] = plan([SMALL], task, {})
    (tmp_path / "parts").mkdir()
    store.write(unit.parts[0], task.rows(unit.configs, unit.seeds)[0])
    os.rename(store.parts / unit.parts[0].name, store.parts / unit.parts[1].name)
    with pytest.raises(Damaged, match="other networks or seeds"):
        store.read(unit.parts[1])


@pytest.fixture(scope="module")
def part_file(tmp_path_factory):
    store = FolderStore(tmp_path_factory.mktemp("damage"), print)
    store.parts.mkdir()
    part, frame = one_part()
    store.write(part, frame)
    return store, part, (store.parts / part.name).read_bytes(), store.read(part)


@settings(max_examples=300, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_a_flipped_byte_is_seen_or_changes_nothing(part_file, where, mask):
    store, part, content, table = part_file
    damaged = bytearray(content)
    damaged[int(where * len(content))] ^= mask
    (store.parts / part.name).write_bytes(bytes(damaged))
    try:
        found = store.read(part)
    except Damaged:
        return
    assert found.equals(table)


def test_wider_offsets_of_texts_are_the_same_part(part_file):
    """One bit of the footer makes ``large_string`` of ``string``, with the same texts."""
    _, part, _, table = part_file
    wide = [pa.large_string() if pa.types.is_string(field.type) else field.type for field in table.schema]
    assert pa.large_string() in wide
    wider = table.cast(pa.schema(zip(table.column_names, wide, strict=True), table.schema.metadata))
    assert checked(wider, part).equals(table)


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_a_part_cut_short_is_seen(part_file, where):
    store, part, content, _ = part_file
    (store.parts / part.name).write_bytes(content[: int(where * len(content))])
    with pytest.raises(Damaged):
        store.read(part)


# --- folders that cannot be used ------------------------------------------------------------


def refused(match, out, **options):
    FakeTask.calls.clear()
    with pytest.raises(GradlabError, match=match):
        run(options.pop("sweep", SMALL), FakeData(), out, task=FakeTask, progress=False, **options)
    assert not FakeTask.calls


@pytest.mark.parametrize("dry", [True, False])
def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path, dry):
    (tmp_path / "thesis.tex").write_text("mine")
    refused("new folder.*thesis.tex.*another folder", tmp_path, dry_run=dry)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_sweep_toml_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "sweep.toml").write_text("method = 'bayes'")
    (tmp_path / "a.parquet.tmp").write_text("mine")
    refused("sweep.toml as this version", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    refused("to be a folder", tmp_path / "out")
    refused("to be able to write", tmp_path / "out" / "below")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, where nobody can make a folder")
def test_a_folder_that_cannot_be_written_is_refused():
    refused("to be able to write /proc/gradlab.*another folder", "/proc/gradlab")


def test_a_killed_first_moment_leaves_a_folder_that_can_be_used(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / "sweep.toml.0123abcd.tmp").write_text("[requ")
    assert len(run(SMALL, FakeData(), tmp_path, task=FakeTask, progress=False))


def test_half_written_files_are_swept_out(tmp_path):
    run(SMALL, FakeData(), tmp_path, task=FakeTask, progress=False)
    (tmp_path / "parts" / "a.parquet.0123abcd.tmp").write_text("half")
    (tmp_path / "parts" / "notes.tmp").write_text("the user's")
    run(SMALL, FakeData(), tmp_path, task=FakeTask, progress=False)
    assert [p.name for p in (tmp_path / "parts").glob("*.tmp")] == ["notes.tmp"]


def test_two_processes_do_not_share_a_folder(tmp_path):
    holder = FolderStore(tmp_path, print)
    holder.check()
    holder.open()
    refused("to be free.*another process", tmp_path)
    holder.close()
    assert len(run(SMALL, FakeData(), tmp_path, task=FakeTask, progress=False))


def test_a_file_system_without_locks_is_told_and_used(tmp_path, monkeypatch, capsys):
    import fcntl

    def no_locks(descriptor, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    run(SMALL, FakeData(), tmp_path, task=FakeTask)
    assert "cannot be locked" in capsys.readouterr().err


# --- a full disk ----------------------------------------------------------------------------


@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_full_disk_is_one_message_and_loses_nothing(tmp_path, monkeypatch, nth):
    """The nth file does not fit: sweep.toml, provenance, two parts, provenance, frame, table, then nothing."""
    writes, replace = [], os.replace

    def full(source, target):
        writes.append(target)
        if len(writes) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    FakeTask.calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        if nth <= 7:
            with pytest.raises(GradlabError, match="No space left"):
                run(SMALL, FakeData(), tmp_path / "out", task=FakeTask, progress=False)
        else:
            run(SMALL, FakeData(), tmp_path / "out", task=FakeTask, progress=False)
    assert not list((tmp_path / "out").rglob("*.tmp"))
    kept = len(list((tmp_path / "out" / "parts").glob("*.parquet")))
    assert kept == min(max(nth - 3, 0), 2)
    before = len(FakeTask.calls)
    frame = run(SMALL, FakeData(), tmp_path / "out", task=FakeTask, progress=False)
    assert len(FakeTask.calls) - before == (kept < 2)
    pd.testing.assert_frame_equal(frame, run(SMALL, FakeData(), task=FakeTask, progress=False))


def test_a_disk_that_is_really_full(tmp_path):
    """A memory file system of 64 kB in a namespace of its own; skipped where that is not allowed."""
    script = tmp_path / "fill.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from fakes import FakeData, FakeTask
            from gradlab._errors import GradlabError
            from gradlab.config import Sweep
            from gradlab.sweep.run import run
            try:
                run(Sweep(seeds=25), FakeData(), sys.argv[1], task=FakeTask, progress=False)
            except GradlabError as error:
                sys.exit(str(error))
            """
        )
    )
    full = tmp_path / "full"
    full.mkdir()
    inside = (
        f"mount -t tmpfs -o size=64k tmpfs {full} || exit 77; "
        f'"$0" {script} {full}/out; code=$?; ls {full}/out/parts; exit $code'
    )
    path = os.pathsep.join([os.path.dirname(__file__), os.getcwd(), os.environ.get("PYTHONPATH", "")])
    try:
        done = subprocess.run(
            ["unshare", "-Urm", "sh", "-c", inside, sys.executable],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=60,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("no unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no namespaces here")
    assert done.returncode == 1, done.stderr
    assert "room to write" in done.stderr
    assert "Traceback" not in done.stderr
    names = done.stdout.split()
    assert len(names) > 3
    assert not [name for name in names if name.endswith(".tmp")]
