"""Reading some columns and rows of a run: equal to what the whole frame has there, also before it is finished."""

import pandas as pd
import pytest
from fakes import FakeData, FakeTask

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.config import Sweep
from gradlab.sweep.run import run

SWEEP = Sweep(depth=(2, 3), width=(4, 8), activation=("relu", "tanh"), init="he_normal", seeds=12)
COLUMNS = ["activation", "layer", "seed", "log10_delta_rms"]
WHERE = {"activation": "tanh", "layer": [1, 2], "depth": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    run(SWEEP, FakeData(), out, task=FakeTask, progress=False)
    return out


def expected(frame):
    chosen = frame[(frame["activation"] == "tanh") & frame["layer"].isin([1, 2]) & (frame["depth"] == 3)]
    return chosen[COLUMNS].reset_index(drop=True)


def test_what_is_read_is_what_the_frame_has_there(folder):
    whole = gl.load(folder).frame
    some = gl.load(folder, columns=COLUMNS, where=WHERE).frame
    plain = {"activation": str}
    pd.testing.assert_frame_equal(some.astype(plain), expected(whole).astype(plain), check_exact=True)
    assert some["activation"].cat.categories.tolist() == ["tanh"]
    assert some.attrs["hash"] == whole.attrs["hash"]
    assert gl.load(folder, where={"seed": range(3)}).frame["seed"].max() == 2
    assert len(gl.load(folder, columns=["seed"]).frame) == len(whole)
    two = gl.load([folder], columns=["seed"], where={"layer": 1}).frame
    assert list(two.columns) == ["seed", "run"]


def test_a_run_that_is_not_finished_is_read_as_far_as_it_is_there(tmp_path):
    run(SWEEP, FakeData(), tmp_path, task=FakeTask, progress=False, shard="1/2")
    with pytest.raises(GradlabError, match="a finished run"):
        gl.load(tmp_path)
    some = gl.load(tmp_path, columns=[*COLUMNS, "network"], where=WHERE).frame
    run(SWEEP, FakeData(), tmp_path, task=FakeTask, progress=False)
    whole = gl.load(tmp_path).frame
    keys = ["network", "seed", "layer"]
    both = some.astype({"network": str}).merge(whole.astype({"network": str}), on=keys, suffixes=("", "_whole"))
    assert 0 < len(some) == len(both) < len(expected(whole))
    assert (both["log10_delta_rms"] == both["log10_delta_rms_whole"]).all()


def test_wrong_names_and_damage_are_told(folder, tmp_path):
    with pytest.raises(GradlabError, match="'activation'"):
        gl.load(folder, columns=["activations"])
    with pytest.raises(GradlabError, match="'layer'"):
        gl.load(folder, where={"layers": 1})
    run(SWEEP, FakeData(), tmp_path, task=FakeTask, progress=False)
    frame = tmp_path / "frame.parquet"
    data = bytearray(frame.read_bytes())
    for place in range(len(data) // 3, len(data) // 3 + 200):  # one byte may be one that says nothing
        data[place] ^= 1
    frame.write_bytes(data)
    with pytest.raises(GradlabError, match="as it was written"):
        gl.load(tmp_path, where={"layer": 1})
    frame.unlink()
    first, second, *_ = sorted((tmp_path / "parts").iterdir())
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(GradlabError, match="other networks or seeds than its name says"):
        gl.load(tmp_path, columns=["seed"])
    first.write_bytes(content)
    part = first
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(GradlabError, match="as they were written"):
        gl.load(tmp_path, columns=["seed"])
