"""A request that somebody else made is data: other forms are one message, and a terminal gets nothing to obey."""

import datetime
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import FakeData, FakeTask

from gradlab import GradlabError
from gradlab._progress import Lines
from gradlab.config import Sweep
from gradlab.frames.files import described, read_note, with_note
from gradlab.sweep.parts import write_part
from gradlab.sweep.plan import plan
from gradlab.sweep.run import run
from gradlab.sweep.store import FolderStore

SMALL = Sweep(depth=(1, 2), seeds=2, activation="relu", init="he_normal", width=4)


def again(folder, **options):
    return run(SMALL, FakeData(), folder, task=FakeTask, progress=False, **options)


@pytest.fixture
def folder(tmp_path):
    again(tmp_path / "run")
    return tmp_path / "run"


def table(text, name, entry):
    """The text of sweep.toml with another content of a table."""
    return re.sub(rf"(?ms)^\[{name}\]\n.*?(?=^\[|\Z)", lambda _: f"[{name}]\n{entry}\n\n", text)


CASES = {
    "data without a hash": lambda t: table(t, "data", 'name = "x"'),
    "data of numbers": lambda t: table(t, "data", "name = 1\ncontent_hash = 2"),
    "versions of text": lambda t: table(t, "versions", 'results = "1"\nschema = "1"'),
    "a task without a name": lambda t: table(t, "task", "a = 1"),
    "a task of a number": lambda t: table(t, "task", "name = 1"),
    "fingerprints of numbers": lambda t: table(t, "fingerprints", "a = 1"),
    "no request": lambda t: table(t, "request", ""),
    "a request of other fields": lambda t: table(t, "request", "odd = 1"),
    "a request of other types": lambda t: table(t, "request", 'depth = "deep"'),
    "data that are a list": lambda t: t.replace('data = "', 'data = ["a"]\ntarget = "'),
    "earlier requests without end": lambda t: t + "\n[[earlier]]\ndepth = [1]\n" * 1001,
    "nests": lambda t: t + f"\n[x]\ny = {'[' * 5000}\n",
    "no tables": lambda t: "versions = 1\ntask = 2\ndata = 3\nfingerprints = 4\nrequest = 5\nearlier = 6\n",
}


@pytest.mark.parametrize("case", CASES)
def test_a_request_of_another_form_is_one_message(folder, case):
    path = folder / "sweep.toml"
    text = path.read_text()
    changed = CASES[case](text)
    assert changed != text
    path.write_text(changed)
    with pytest.raises(GradlabError):
        again(folder)
    assert path.read_text() == changed


def test_rows_of_another_form_are_one_message(folder):
    store = FolderStore(folder, print)
    [unit] = plan(store.recorded().history, FakeTask(SMALL, FakeData()), store.recorded().context)
    with pq.ParquetFile(store.parts / unit.name) as file:
        note, frame = read_note(described(file)), file.read().to_pandas()
    for changed in (
        frame.assign(log10_delta_rms="x"),
        frame.drop(columns="status"),
        frame.assign(layer=1),
        frame.assign(seed=datetime.date(2000, 1, 1)),
    ):
        with open(store.parts / unit.name, "wb") as file:
            write_part(with_note(pa.Table.from_pandas(changed, preserve_index=False), note), file)
        with pytest.raises(GradlabError):
            again(folder)


def test_what_a_folder_says_reaches_a_terminal_as_text(folder, capsys):
    path = folder / "sweep.toml"
    path.write_text(table(path.read_text(), "fingerprints", '"activation \\u001b]0;x\\u0007" = "ab\\u001b[2J"'))
    run(SMALL, FakeData(), folder, task=FakeTask)
    told = capsys.readouterr().err
    assert "is not the function it was" in told and not re.search("[\x1b\x07]", told)
    Lines().note("a\x1b[2Jb\nc")
    assert capsys.readouterr().err == "gradlab: a\N{REPLACEMENT CHARACTER}[2Jb c\n"
