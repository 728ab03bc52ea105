"""A checkpoint that somebody else made is data: it runs nothing, leads nowhere, is refused where it does not fit."""

import json
import pickle
import shutil

import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError

pytest.importorskip("orbax.checkpoint")
X, Y = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32), np.arange(12) % 2


def train(folder, **how):
    net = gl.MLP(depth=1, width=3, activation="tanh", init="xavier_normal")
    how = {"steps": 4, "batch": 4, "records": 2, "columns": ["log10_delta_rms"], "progress": False, **how}
    return gl.train(net, X, Y, checkpoint=folder, **how)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "run"
    train(folder)
    return folder


@pytest.fixture
def run(kept, tmp_path):
    shutil.copytree(kept, tmp_path / "run")
    return tmp_path / "run"


class Dangerous:
    def __reduce__(self):
        return (open, ("pickled-and-run", "w"))


def test_nothing_in_a_checkpoint_is_unpickled(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bomb = pickle.dumps(Dangerous())
    for path in [p for p in run.rglob("*") if p.is_file() and p.name != "training.json"]:
        path.write_bytes(bomb)
    with pytest.raises(GradlabError, match="as this training left it"):
        train(run)
    (run / "training.json").write_bytes(bomb)
    with pytest.raises(GradlabError, match="as this training left it"):
        train(run)
    assert not (tmp_path / "pickled-and-run").exists()


@pytest.mark.parametrize("text", ["[1]", "3", "null", "{", "[" * 5000, "\xff"])
def test_a_note_of_other_types_is_one_message(run, text):
    (run / "training.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(GradlabError, match="as this training left it"):
        train(run)


@pytest.mark.parametrize("name", ["seed_0", "training.json", "state"])
def test_links_in_a_checkpoint_lead_nowhere(run, tmp_path, name):
    found = next(run.rglob(name)) if name != "state" else next(p for p in (run / "seed_0").rglob("*") if p.is_file())
    elsewhere = tmp_path / "elsewhere"
    found.rename(elsewhere)
    found.symlink_to(elsewhere, target_is_directory=elsewhere.is_dir())
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(GradlabError, match="leads to"):
        train(run)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_arrays_of_other_shapes_are_refused(run, tmp_path):
    said = json.loads((run / "training.json").read_text())
    other = tmp_path / "other"
    net = gl.MLP(depth=1, width=5, activation="tanh", init="xavier_normal")
    gl.train(net, X, Y, checkpoint=other, steps=4, batch=4, records=2, columns=["log10_delta_rms"], progress=False)
    (other / "training.json").write_text(json.dumps(said))  # says that it is the first one's
    with pytest.raises(GradlabError, match="other shapes"):
        train(other)


def test_it_goes_on_where_it_stopped(run):
    before = gl.frame(train(run))
    assert before["log10_delta_rms"].notna().any()
