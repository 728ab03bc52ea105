"""Names of files, paths and links: what comes from a stranger's folder or a user's typing leads nowhere else."""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab._files import check_links, file_name, inside, path_from, read_text, replacing, write_text
from gradlab.cli import main
from gradlab.config import Sweep
from gradlab.sweep.store import FolderStore

NAMES = [
    "relu", "ReLU", "RELU", "relu-a08413c4", "c6d29771", "../../thesis", "x/../../victim/thesis", "a\\b", "c:d", "con",
    "nul", ".", "..", "", " ", "a b", "a.b", "漢字", "字漢", "🎉", "e\N{COMBINING ACUTE ACCENT}", "é", "a\0b", "a\nb",
    "\udcff", "x" * 300, "x" * 301, "-", "--html", "a\N{RIGHT-TO-LEFT OVERRIDE}gnp",
]  # fmt: skip


def test_a_name_of_a_file_is_made_of_few_characters_and_each_text_has_its_own():
    made = [file_name(name) for name in NAMES]
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") and 0 < len(name) <= 70 for name in made)
    assert not any(name.startswith("-") for name in made)
    assert len({name.lower() for name in made}) == len(NAMES)
    assert file_name("gradient_flow") == "gradient_flow"


@pytest.mark.parametrize("name", ["..", "../x", "/etc/passwd", ".", "a/../../x", "a\0b"])
def test_a_path_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    with pytest.raises(GradlabError, match="a file in"):
        inside(tmp_path, name)


def test_links_in_a_folder_are_not_followed_out_of_it(tmp_path):
    run, victim = tmp_path / "run", tmp_path / "victim"
    run.mkdir(), victim.mkdir()
    (victim / "secret.json").write_text("{}")
    (run / "figures").symlink_to(victim, target_is_directory=True)
    (run / "provenance.json").symlink_to(victim / "secret.json")
    (run / "circle").symlink_to(run / "circle")
    (run / "mine.json").write_text("{}")
    (run / "near.json").symlink_to(run / "mine.json")
    for name in ("figures", "provenance.json", "circle"):
        with pytest.raises(GradlabError, match="a file in"):
            inside(run, name)
    with pytest.raises(GradlabError, match="leads to"):
        read_text(run, "provenance.json")
    assert read_text(run, "near.json") == "{}"
    with pytest.raises(GradlabError):
        check_links(run)
    (tmp_path / "way").symlink_to(run)  # a folder that the user reaches by a link is the user's choice
    assert read_text(tmp_path / "way", "mine.json") == "{}"


def test_writing_replaces_a_link_and_never_writes_through_it(tmp_path):
    victim = tmp_path / "thesis.tex"
    victim.write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.md").symlink_to(victim)
    write_text(tmp_path / "run" / "report.md", "page")
    assert victim.read_text() == "mine" and (tmp_path / "run" / "report.md").read_text() == "page"
    assert not (tmp_path / "run" / "report.md").is_symlink()


def test_a_failure_leaves_what_was_there_and_files_have_the_users_rights(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "before")
    with pytest.raises(KeyError), replacing(path) as temporary:
        {}[temporary.write_text("half")]
    assert path.read_text() == "before" and [p.name for p in path.parent.iterdir()] == ["a.txt"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    (tmp_path / "file").write_text("")
    with pytest.raises(GradlabError, match="to be able to write"):
        write_text(tmp_path / "file" / "below", "x")


def test_a_large_or_odd_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("gradlab._files.LARGEST_TEXT", 10)
    (tmp_path / "large").write_text("x" * 11)
    with pytest.raises(GradlabError, match="at most 10 bytes; received 11 bytes"):
        read_text(tmp_path, "large")
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    with pytest.raises(GradlabError, match="something else"):
        read_text(tmp_path, "pipe")


ODD = [b"x", 3, True, ["a"], "", "a\0b", "a\nb", "\udcff"]


@pytest.mark.parametrize("out", ODD, ids=ascii)
def test_odd_paths_are_one_message_at_every_door(out):
    frame = gl.example("depth")
    doors = [
        lambda: path_from(out), lambda: gl.load([b"a"] if isinstance(out, list) else out),
        lambda: gl.to_jsonl(frame, out), lambda: gl.from_jsonl(out), lambda: FolderStore(out, print),
        lambda: gl.run(Sweep(depth=2, batch=4), (np.zeros((4, 2)), np.arange(4) % 2), out=out, progress=False),
    ]  # fmt: skip
    for door in doors:
        with pytest.raises(GradlabError, match="to be a path"):
            door()


@pytest.mark.parametrize("out", ["a:b", "file:x", "s3:bucket", "a b", "#x", "%41", "漢字"])
def test_a_path_is_a_path_and_no_address(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    sweep = Sweep(depth=2, width=4, activation="tanh", init="he_normal", seeds=1, batch=4, columns=["log10_delta_rms"])
    frame = gl.run(sweep, (np.eye(4), np.arange(4) % 2), out=out, progress=False)
    assert {p.name for p in (tmp_path / out).iterdir()} >= {"frame.parquet", "frame.csv", "sweep.toml"}
    assert len(gl.load(out).frame) == len(frame)
    gl.run(sweep, (np.eye(4), np.arange(4) % 2), out=out, progress=False)


@pytest.mark.parametrize("option", [["--out", "a\0b"], ["--out", "\udcff"], ["--out", "a\nb"]])
def test_the_command_line_says_it_in_one_line(option, capsys):
    assert main(["sweep", "--depth", "2", "--seeds", "1", *option]) == 2
    told = capsys.readouterr().err
    assert told.startswith("gradlab: expected --out to be a path") and told.count("\n") == 1


def test_the_folder_of_a_data_file_is_named_by_few_characters(tmp_path):
    from gradlab.cli import _folder_name

    name = _folder_name(Sweep(data=str(tmp_path / "a:b c.csv")))
    assert ":" not in name and " " not in name and "/" not in name


# --- the folder of a sweep ------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    sweep = Sweep(depth=2, width=4, activation="tanh", init="he_normal", seeds=1, batch=4, columns=["log10_delta_rms"])
    out = tmp_path / "run"
    call = lambda: gl.run(sweep, (np.eye(4), np.arange(4) % 2), out=out, progress=False)
    call()
    return out, call


def outside(path, target):
    """Put what stands at `path` outside its folder, and a link to it in its place."""
    path.rename(target)
    path.symlink_to(target, target_is_directory=target.is_dir())


@pytest.mark.parametrize("name", ["sweep.toml", "provenance.json", "frame.parquet"])
def test_a_run_whose_files_are_links_to_elsewhere_is_not_loaded(run, tmp_path, name):
    outside(run[0] / name, tmp_path / "elsewhere")
    with pytest.raises(GradlabError, match="leads to"):
        gl.load(run[0])


@pytest.mark.parametrize("name", ["parts", ".lock", "sweep.toml"])
def test_a_sweep_does_not_write_through_links(run, tmp_path, name):
    out, call = run
    before = sorted(p.name for p in (out / "parts").iterdir())
    outside(out / name, tmp_path / "elsewhere")
    with pytest.raises(GradlabError, match="leads to"):
        call()
    if name == "parts":
        assert sorted(p.name for p in (tmp_path / "elsewhere").iterdir()) == before


def test_a_part_that_is_a_link_is_computed_again_in_its_place(run, tmp_path):
    out, call = run
    (part,) = (out / "parts").iterdir()
    outside(part, tmp_path / "elsewhere.parquet")
    there = (tmp_path / "elsewhere.parquet").read_bytes()
    call()
    assert not part.is_symlink() and (tmp_path / "elsewhere.parquet").read_bytes() == there


@pytest.mark.parametrize(
    "text", ["[1, 2]", '"abc"', "3", "[" * 5000, '{"sessions": 3}', '{"sessions": [{"wall_time_s": "x"}, 4]}']
)
def test_a_provenance_of_other_types_does_not_stop_a_sweep(run, text):
    out, call = run
    (out / "provenance.json").write_text(text)
    next((out / "parts").iterdir()).unlink()
    call()
    assert json.loads((out / "provenance.json").read_text())["hash"]


def test_files_are_written_and_text_is_escaped_in_one_place_each():
    root = Path(gl.__file__).parent
    sources = {p.relative_to(root).as_posix(): p.read_text() for p in root.rglob("*.py")}
    having = lambda *words: {name for name, text in sources.items() if any(word in text for word in words)}
    assert having("os.replace(", "os.rename(") == {"_files.py"}
    assert having(".write_text(") == {"_files.py"}
    assert having("textbackslash", "def escape") == {"_text.py"}
