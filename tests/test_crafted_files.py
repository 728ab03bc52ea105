"""Data and frames that somebody else made are data: nothing in them is unpickled, imported or run."""

import contextlib
import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab.data import load
from gradlab.frames.files import NOTE, read


class Dangerous:
    def __reduce__(self):
        return (open, ("pickled-and-run", "w"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to be in, in which nothing may have been run afterwards."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "pickled-and-run").exists()


def test_objects_in_an_npz_are_refused(here):
    np.savez("objects.npz", x=np.array([Dangerous()] * 2, dtype=object), y=np.arange(2))
    with zipfile.ZipFile("pickle.npz", "w") as file:
        file.writestr("x.npy", pickle.dumps(Dangerous()))
        file.writestr("y.npy", pickle.dumps(Dangerous()))
    (here / "plain.npz").write_bytes(pickle.dumps(Dangerous()))
    for name in ("objects.npz", "pickle.npz", "plain.npz"):
        with pytest.raises(GradlabError):
            load(name)


@pytest.mark.parametrize("name", ["data.parquet", "data.csv"])
def test_pickles_with_the_name_of_a_table_are_refused(here, name):
    (here / name).write_bytes(pickle.dumps(Dangerous()))
    with pytest.raises(GradlabError):
        load(name, target="y")
    with pytest.raises(GradlabError):
        read(name)


def extended(path, storage):
    """A Parquet file whose column says that it is of a Python type, which is pickled in its metadata."""
    bomb = pickle.dumps(Dangerous())
    told = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": bomb}
    schema = pa.schema([pa.field("y", pa.int64(), metadata=told), pa.field("x", pa.float64(), metadata=told)])
    notes = {
        b"pandas": json.dumps({
            "columns": [{"name": "x", "field_name": "x", "pandas_type": "object", "numpy_type": "os.system",
                         "metadata": {"class": "os.system"}}],
            "index_columns": ["__import__('os')"], "column_indexes": [{"name": None, "field_name": None,
            "pandas_type": "__import__('os').system('touch x')", "numpy_type": "object", "metadata": None}],
        }).encode(),
        NOTE: json.dumps({"schema_version": 1, "class": "os.system"}).encode(),
    }  # fmt: skip
    pq.write_table(pa.table({"y": [0, 1], "x": storage}, schema=schema.with_metadata(notes)), path)


@pytest.mark.filterwarnings("ignore")
def test_types_and_notes_of_a_parquet_file_run_nothing(here):
    extended("data.parquet", [1.0, 2.0])
    for reader in (lambda: load("data.parquet", target="y"), lambda: read("data.parquet")):
        with contextlib.suppress(GradlabError):
            reader()


def test_json_lines_are_data(here):
    (here / "rows.jsonl").write_text(
        json.dumps({"schema": 1, "py/object": "os.system", "__class__": "Dangerous"}) + "\n"
    )
    with pytest.raises(GradlabError, match="rows of a frame"):
        gl.from_jsonl(here / "rows.jsonl")


def test_nothing_that_gradlab_reads_is_unpickled():
    """No reader of pickles in the package, but for what is sent between processes of one sweep."""
    from pathlib import Path

    root = Path(gl.__file__).parent
    words = (
        "pickle.load",
        "allow_pickle=True",
        "read_pickle",
        "joblib",
        "cloudpickle",
        "marshal",
        " eval(",
        " exec(",
        "yaml",
    )
    found = [f"{p.name}: {w}" for p in root.rglob("*.py") for w in words if w in p.read_text()]
    assert not found


@pytest.mark.parametrize(
    "name", ["a:b.csv", "file:x.csv", "http:x.csv", "file:x.parquet", "a:b.parquet", "s3:x.parquet"]
)
def test_the_name_of_a_data_file_is_no_address(here, name):
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "y": [0, 1, 0]})
    table.to_csv("table.csv", index=False) if name.endswith("csv") else table.to_parquet("table.parquet")
    (here / f"table.{name.rpartition('.')[2]}").rename(here / name)
    assert load(name, target="y").x.shape == (3, 1)
