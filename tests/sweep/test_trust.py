"""Who is trusted: a scheduler that was given and nobody else; what a folder or a file says is read and never run."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import FakeData, FakeTask

from gradlab import cli
from gradlab.config import Sweep
from gradlab.frames.files import read_note, with_note
from gradlab.sweep.run import run

HERE = Path(__file__).parent
SWEEP = Sweep(depth=(1, 2), width=4, activation=("relu", "tanh"), init="he_normal", seeds=2)

DASK = """
import sys
from fakes import FakeData, FakeTask
from gradlab.config import Sweep
from gradlab.sweep.run import run

if __name__ == "__main__":
    sweep = Sweep(depth=1, width=4, activation="relu", init="he_normal", seeds=2)
    print(len(run(sweep, FakeData(), task=FakeTask, executor="dask", workers=1, progress=False)))
"""


@pytest.mark.slow
def test_no_variable_and_no_file_gives_the_address_of_a_scheduler(tmp_path):
    """An address stands wherever dask looks for one, and in the folder; nobody calls there."""
    pytest.importorskip("distributed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        for name in ("dask.yaml", "settings/dask.yaml"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(f"scheduler-address: {address}\nscheduler_address: {address}\n")
        (tmp_path / "program.py").write_text(DASK)
        done = subprocess.run(
            [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100,
            env={
                **os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[1]))),
                "DASK_SCHEDULER_ADDRESS": address, "DASK_CONFIG": str(tmp_path / "settings"),
            },
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr  # two seeds of two layers
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("text", ["{scheduler}", "[request]\ndepth = [1, 2]\n{scheduler}"])
def test_a_file_that_names_a_scheduler_is_refused(tmp_path, capsys, text):
    """A file of options, and the request of a run."""
    (tmp_path / "sweep.toml").write_text(text.format(scheduler='scheduler = "tcp://127.0.0.1:8786"\n'))
    options = ["--config", str(tmp_path / "sweep.toml"), "--out", str(tmp_path / "out"), "--executor", "dask"]
    assert cli.main(["sweep", *options]) == 2
    assert "--scheduler on the command line, because what a scheduler sends is run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["activation", "init", "data", "loss", "optimizer", "executor", "norm", "depth"])
def test_code_in_a_file_of_options_is_a_text(tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    for code in ("__import__('pathlib').Path('run').touch()", "$(touch run)", "!!python/object/apply:os.mkdir [run]"):
        Path("options.toml").write_text(f'{option} = "{code}"\n')
        assert cli.main(["train", "--config", "options.toml", "--out", "out"]) == 2
        assert capsys.readouterr().err.startswith("gradlab: expected ")
    assert [path.name for path in tmp_path.iterdir()] == ["options.toml"]


def forge(path, column, value):
    """Write a part anew with other rows, and with checksums and a note that fit them."""
    table = pq.ParquetFile(path).read()
    note = read_note(table)
    i = table.column_names.index(column)
    values = table[column].to_pylist()
    changed = pa.array([value] * len(values) if value is not None else values[::-1])
    pq.write_table(with_note(table.set_column(i, column, changed), note), path, write_page_checksum=True)


@pytest.mark.parametrize(("column", "value"), [
    ("network", "0123456789ab"), ("network", None), ("seed", 7), ("seed", None),
    ("depth", 3), ("depth", "deep"),
    ("activation", "gelu"), ("init", "zeros"), ("architecture", "resnet"),
])  # fmt: skip
def test_a_part_whose_rows_are_of_another_configuration_than_its_name_is_refused(tmp_path, capsys, column, value):
    expected = run(SWEEP, FakeData(), tmp_path, task=FakeTask, progress=False)
    (tmp_path / "frame.parquet").unlink()
    part = sorted((tmp_path / "parts").glob("*.parquet"))[0]
    good = part.read_bytes()
    forge(part, column, value)
    frame = run(SWEEP, FakeData(), tmp_path, task=FakeTask)
    assert f"part {part.name}" in (said := capsys.readouterr().err) and "damaged, it is computed again" in said
    assert part.read_bytes() == good and frame.equals(expected)
