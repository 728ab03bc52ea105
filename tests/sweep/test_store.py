import dataclasses
import errno
import os
import subprocess
import sys
import textwrap

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import FakeData, FakeTask
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradlab._errors import GradlabError
from gradlab.config import Sweep
from gradlab.frames.rows import concat
from gradlab.sweep.parts import Damaged, decoded, write_part
from gradlab.sweep.plan import plan
from gradlab.sweep.run import run
from gradlab.sweep.store import FolderStore, MemoryStore

SMALL = Sweep(depth=(2, 3), activation="relu", init="he_normal", seeds=3)
TWO_UNITS = dataclasses.replace(SMALL, width=(4, 8))


def one_unit():
    task = FakeTask(SMALL, FakeData())
    [unit] = plan([SMALL], task, {})
    return unit, task.rows(unit.configs, unit.seeds)


@pytest.fixture(params=["memory", "folder"])
def store(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else FolderStore(tmp_path, print)
    (tmp_path / "parts").mkdir()
    return store


def test_a_part_comes_back_as_it_was(store):
    unit, (frame, other) = one_unit()
    frame.loc[0, "log10_delta_rms"], frame.loc[1, "log10_delta_rms"] = float("nan"), -0.0
    assert not store.has(unit)
    store.write(unit, [frame, other])
    assert store.has(unit)
    whole = concat([frame, other])
    pd.testing.assert_frame_equal(store.read(unit).to_pandas().astype(whole.dtypes), whole, check_exact=True)
    # depth 2 has two layers and a readout for each seed, depth 3 one more
    assert store.outline(unit).counts.tolist() == [[3, 3, 3], [4, 4, 4]]
    assert store.outline(unit).failed == 0


def test_seeds_stand_in_order_whatever_the_task_gives(store):
    unit, (frame, other) = one_unit()
    store.write(unit, [frame.iloc[::-1], other])
    frame = store.read(unit).to_pandas()
    assert frame["seed"].tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [0] * 4 + [1] * 4 + [2] * 4
    assert frame["layer"].tolist()[:3] == [3, 2, 1]  # within a seed as they were given


@pytest.mark.parametrize("wrong", ["a network less", "another order", "another seed", "no status"])
def test_rows_of_other_networks_or_seeds_are_refused(store, wrong):
    unit, (frame, other) = one_unit()
    frames = {
        "a network less": [frame],
        "another order": [frame.iloc[:3], other, frame.iloc[3:]],
        "another seed": [frame.replace({"seed": {2: 3}}), other],
        "no status": [concat([frame, other]).drop(columns="status")],
    }[wrong]
    with pytest.raises(GradlabError, match="rows"):
        store.write(unit, frames)
    assert not store.has(unit)


def test_a_part_under_the_name_of_another_is_damaged(tmp_path):
    unit, frames = one_unit()
    store = FolderStore(tmp_path, print)
    (tmp_path / "parts").mkdir()
    store.write(unit, frames)
    fewer = unit.cut(1)[0]
    os.rename(store.parts / unit.name, store.parts / fewer.name)
    for read in (store.read, store.outline):
        with pytest.raises(Damaged, match="it holds other networks or seeds"):
            read(fewer)


@pytest.fixture(scope="module")
def part_file(tmp_path_factory):
    store = FolderStore(tmp_path_factory.mktemp("damage"), print)
    store.parts.mkdir()
    unit, frames = one_unit()
    store.write(unit, frames)
    return store, unit, (store.parts / unit.name).read_bytes(), store.read(unit), store.outline(unit)


@settings(max_examples=300, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
@example(where=0.056692636434221295, mask=63)  # indices beyond the dictionary of a column
def test_a_flipped_byte_is_seen_or_changes_nothing(part_file, where, mask):
    store, unit, content, table, outline = part_file
    damaged = bytearray(content)
    damaged[int(where * len(content))] ^= mask
    (store.parts / unit.name).write_bytes(bytes(damaged))
    try:
        found, said = store.read(unit), store.outline(unit)
    except Damaged:
        return
    assert plain(found).equals(plain(table))
    assert (said.counts == outline.counts).all() and said.failed == outline.failed


def plain(table):
    """The table with its text as strings of one width: how wide their offsets are says nothing of them."""
    table = decoded(table)
    widths = [pa.string() if pa.types.is_large_string(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(zip(table.column_names, widths, strict=True)))


def test_wider_offsets_of_texts_are_the_same_part(part_file):
    """One bit of the footer makes ``large_string`` of ``string``, with the same texts."""
    store, unit, content, table, _ = part_file
    (store.parts / unit.name).write_bytes(content)
    with pq.ParquetFile(store.parts / unit.name) as file:
        written = file.read()
    wide = [pa.large_string() if pa.types.is_string(field.type) else field.type for field in written.schema]
    assert pa.large_string() in wide
    wider = written.cast(pa.schema(zip(written.column_names, wide, strict=True), written.schema.metadata))
    with open(store.parts / unit.name, "wb") as file:
        write_part(wider, file)
    assert plain(store.read(unit)).equals(plain(table))


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_a_part_cut_short_is_seen(part_file, where):
    store, unit, content, *_ = part_file
    (store.parts / unit.name).write_bytes(content[: int(where * len(content))])
    with pytest.raises(Damaged):
        store.read(unit)


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
    refused("to be free.*running there as process", tmp_path)
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
                run(TWO_UNITS, FakeData(), tmp_path / "out", task=FakeTask, progress=False)
        else:
            run(TWO_UNITS, FakeData(), tmp_path / "out", task=FakeTask, progress=False)
    assert not list((tmp_path / "out").rglob("*.tmp"))
    kept = len(list((tmp_path / "out" / "parts").glob("*.parquet")))
    assert kept == min(max(nth - 3, 0), 2)
    before = len(FakeTask.calls)
    frame = run(TWO_UNITS, FakeData(), tmp_path / "out", task=FakeTask, progress=False)
    assert len(FakeTask.calls) - before == 2 - kept
    pd.testing.assert_frame_equal(frame, run(TWO_UNITS, FakeData(), task=FakeTask, progress=False))


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
                run(Sweep(depth=1, width=(4, 8, 16), seeds=99), FakeData(), sys.argv[1], task=FakeTask, progress=False)
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
    assert len(names) >= 2
    assert not [name for name in names if name.endswith(".tmp")]
