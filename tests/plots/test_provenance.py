"""What made a figure is read back from its file, whatever stands in the command."""

import json
import zlib

import matplotlib.pyplot as plt
import pytest

import gradlab as gl
from gradlab import GradlabError, cli

COMMAND = r"gradlab theory --activation 'é (y)' \ & <z>; gradlab:run=wrong"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    figure = gl.plots.forest(gl.example("depth").query("depth == 32 and activation == 'tanh'"))
    try:
        gl.plots.save(figure, folder / "one", run_hash="abc123", command=COMMAND)
        gl.plots.save(figure, folder / "bare")
        return folder, gl.plots.caption(figure)
    finally:
        plt.close("all")


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_the_file_says_what_made_it(files, kind):
    folder, caption = files
    made = gl.plots.provenance(folder / f"one.{kind}")
    assert made.run == ("wrong" if kind == "pdf" else "abc123")
    assert made.version == gl.__version__ and made.caption == caption != ""
    assert made.command == (COMMAND.partition(";")[0] if kind == "pdf" else COMMAND)
    bare = gl.plots.provenance(folder / f"bare.{kind}")
    assert (bare.run, bare.command) == ("", "") and "no command is recorded" in str(bare)


def test_the_record_of_the_run_beside_it_is_read(files, capsys):
    folder, _ = files
    record = folder / "provenance.json"
    record.write_text(json.dumps({"hash": "abc123", "commit": "0" * 40, "versions": {"jax": "0.10"}}))
    assert cli.main(["provenance", str(folder / "one.png")]) == 0
    printed = capsys.readouterr().out
    assert "versions: jax 0.10" in printed and f"    {COMMAND}\n" in printed
    record.write_text(json.dumps({"hash": "of another run", "commit": "0" * 40}))
    assert not gl.plots.provenance(folder / "one.png").noted


@pytest.mark.parametrize("name", ["absent.png", "foreign.png", "foreign.pdf", "foreign.svg", "cut.png", "text.txt"])
def test_other_files_are_refused_in_one_line(files, tmp_path, name, capsys):
    folder, _ = files
    figure, _ = plt.subplots()
    for kind in ("png", "pdf", "svg"):
        figure.savefig(tmp_path / f"foreign.{kind}")
    plt.close(figure)
    (tmp_path / "cut.png").write_bytes((folder / "one.png").read_bytes()[:40])
    (tmp_path / "text.txt").write_text("gradlab:run=1")
    assert cli.main(["provenance", str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_compressed_notes_are_not_blown_up(tmp_path):
    """A note that unpacks to more than any figure has is cut, not held in memory."""
    body = b"gradlab:run\0\1\0\0\0" + zlib.compress(b"a" * 10_000)
    chunk = len(body).to_bytes(4, "big") + b"iTXt" + body + zlib.crc32(b"iTXt" + body).to_bytes(4, "big")
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    assert gl.plots.provenance(tmp_path / "x.png").run == "a" * 10_000
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk[:30])
    with pytest.raises(GradlabError, match="without its notes"):
        gl.plots.provenance(tmp_path / "x.png")
