import contextlib
import dataclasses
import hashlib
import json
import tomllib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fakes import FakeData, FakeTask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradlab._errors import GradlabError
from gradlab.config import Sweep
from gradlab.sweep import provenance, request
from gradlab.sweep.run import run

SWEEP = Sweep(depth=(2, 4), activation=("relu", "tanh"), init="he_normal", width=(8, 16), seeds=12)
DATA = FakeData()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(FakeTask, "calls", [])


def go(sweep=SWEEP, out=None, data=DATA, task=FakeTask, **options):
    """Run it; the frame and what was computed for it."""
    before = len(FakeTask.calls)
    frame = run(sweep, data, out, task=task, **{"progress": False, **options})
    return frame, FakeTask.calls[before:]


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parts(out):
    return sorted((out / "parts").glob("*.parquet"))


def test_memory_and_folder_and_file_are_the_same_frame(tmp_path):
    frame, calls = go(out=tmp_path)
    assert len(calls) == 4  # two widths, two ranges of seeds
    pd.testing.assert_frame_equal(frame, go()[0], check_exact=True)
    pd.testing.assert_frame_equal(frame, pd.read_parquet(tmp_path / "frame.parquet"), check_exact=True)
    table = pd.read_csv(tmp_path / "frame.csv")
    np.testing.assert_array_equal(table["log10_delta_rms"], frame["log10_delta_rms"])
    assert np.isneginf(frame["log10_delta_rms"]).any()
    assert list(table.columns) == list(frame.columns)


def test_the_length_of_a_sequence_reaches_the_data():
    seen = []

    def task(sweep, data):
        seen.append(data.x.shape)
        return FakeTask(sweep, data)

    sweep = Sweep(depth=2, data="adding", length=20, loss="mse", batch=4, seeds=1, activation="tanh", init="he_normal")
    run(sweep, task=task, progress=False)
    assert seen == [(4, 20, 2)]


def test_the_order_is_that_of_the_grid_then_of_seeds_then_of_layers():
    frame, _ = go(Sweep(depth=(4, 2), activation="relu", init="he_normal", seeds=(30, 2, 11)))
    assert list(frame["depth"].unique()) == [4, 2]
    assert list(frame["seed"].unique()) == [2, 11, 30]
    assert frame.groupby(["depth", "seed"])["layer"].apply(lambda s: s.is_monotonic_increasing).all()
    assert not frame.duplicated(["network", "seed", "step", "layer"]).any()


def test_a_field_that_differs_anywhere_is_a_column_everywhere():
    frame, _ = go(Sweep(depth=2, init="he_normal", gain=(1.0, 2.0), sigma_b2=(None, 0.5), bias=True, seeds=1))
    assert set(frame["gain"]) == {1.0, 2.0}
    assert frame["gain"].dtype == float
    readout, _ = go(Sweep(depth=2, init="he_normal", readout=(None, "he_uniform"), seeds=1))
    assert readout["readout"].isna().mean() == 0.5


def test_a_restart_computes_nothing_and_changes_nothing(tmp_path):
    frame, _ = go(out=tmp_path)
    before = {path: sha(path) for path in tmp_path.rglob("*") if path.is_file()}
    again, calls = go(out=tmp_path)
    assert calls == []
    assert before == {path: sha(path) for path in tmp_path.rglob("*") if path.is_file()}
    pd.testing.assert_frame_equal(frame, again, check_exact=True)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_missing_the_frame_has_the_same_bits(tmp_path_factory, data):
    out = tmp_path_factory.mktemp("resume")
    _, whole = go(out=out)
    frame, files = sha(out / "frame.parquet"), parts(out)
    gone = data.draw(st.sets(st.sampled_from(files), min_size=1))
    kept = {path: path.stat().st_mtime_ns for path in files if path not in gone}
    for path in gone:
        path.unlink()
    (out / "frame.parquet").unlink()
    _, calls = go(out=out)
    assert set(calls) <= set(whole), "a unit is computed whole, in its own composition, or not at all"
    assert len(calls) <= len(gone)
    assert sha(out / "frame.parquet") == frame
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items()), "parts that were there are not written"


def test_a_damaged_part_is_named_and_computed_again(tmp_path, capsys):
    go(out=tmp_path)
    frame, victim = sha(tmp_path / "frame.parquet"), parts(tmp_path)[3]
    good = victim.read_bytes()
    victim.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    _, calls = go(out=tmp_path, progress=None)
    assert len(calls) == 1
    told = capsys.readouterr().err
    assert victim.name in told
    assert "damaged" in told
    assert "mlp depth=" in told
    assert victim.read_bytes() == good
    assert sha(tmp_path / "frame.parquet") == frame


def test_programs_are_kept_where_rows_are(tmp_path, monkeypatch):
    wanted = []

    def kept_programs(cache):
        wanted.append(cache)
        return contextlib.nullcontext()

    monkeypatch.setattr("gradlab.sweep.run.kept_programs", kept_programs)
    go()
    go(out=tmp_path / "a")
    go(out=tmp_path / "b", cache=False)
    assert wanted == [True, False]


# --- extensions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"depth": (2, 3, 4)}, {3: 12}),
        ({"seeds": 15}, {2: 3, 4: 3}),
        ({"seeds": 25}, {2: 13, 4: 13}),
        ({"depth": (2, 3, 4), "seeds": 13}, {2: 1, 3: 13, 4: 1}),
    ],
)
def test_an_extension_computes_what_it_adds_and_leaves_the_rest_byte_for_byte(tmp_path, change, expected):
    go(out=tmp_path)
    old = {path: sha(path) for path in parts(tmp_path)}
    wider = dataclasses.replace(SWEEP, **change)
    frame, calls = go(wider, tmp_path)
    seeds = {}
    for configs, some in calls:
        for config in configs:
            if (config.width, config.activation) == (8, "relu"):
                seeds[config.depth] = seeds.get(config.depth, 0) + len(some)
    assert seeds == expected
    assert old == {path: sha(path) for path in old}
    fresh, _ = go(wider)
    pd.testing.assert_frame_equal(frame, fresh, rtol=1e-9)
    assert go(wider, tmp_path)[1] == []


@pytest.mark.slow
def test_a_killed_extension_ends_with_the_bits_of_an_undisturbed_one(tmp_path):
    wider = dataclasses.replace(SWEEP, depth=(2, 4, 6), seeds=17)
    for name in ("undisturbed", "disturbed"):
        go(out=tmp_path / name)
        go(wider, tmp_path / name)
    out = tmp_path / "disturbed"
    for path in parts(out)[::3]:
        path.unlink()
    go(wider, out)
    assert [sha(p) for p in parts(out)] == [sha(p) for p in parts(tmp_path / "undisturbed")]
    assert sha(out / "frame.parquet") == sha(tmp_path / "undisturbed" / "frame.parquet")


@pytest.mark.parametrize("change", [{"depth": (2,)}, {"loss": "mse"}, {"seeds": 11}, {"dtype": "float64"}, {"key": 3}])
@pytest.mark.parametrize("dry", [True, False])
def test_another_request_is_refused_with_the_difference(tmp_path, change, dry):
    go(out=tmp_path)
    before = (tmp_path / "sweep.toml").read_text()
    with pytest.raises(GradlabError, match=f"only extends its grid; received.*{next(iter(change))}.*another folder"):
        go(dataclasses.replace(SWEEP, **change), tmp_path, dry_run=dry)
    assert (tmp_path / "sweep.toml").read_text() == before
    assert go(out=tmp_path)[1] == []


def test_other_data_under_the_same_name_are_refused(tmp_path):
    go(out=tmp_path)
    with pytest.raises(GradlabError, match="other content"):
        go(out=tmp_path, data=FakeData(content_hash="1" * 12))
    with pytest.raises(GradlabError, match="data='b' instead of 'fake'"):
        go(out=tmp_path, data=FakeData("b"))


def test_names_of_classes_are_kept_with_the_run(tmp_path):
    go(out=tmp_path, data=FakeData(labels=("bad", "good")))
    assert tomllib.loads((tmp_path / "sweep.toml").read_text())["data"]["labels"] == ["bad", "good"]
    assert json.loads((tmp_path / "provenance.json").read_text())["data"]["labels"] == ["bad", "good"]
    assert go(out=tmp_path, data=FakeData(labels=("bad", "good")))[1] == []
    with pytest.raises(GradlabError, match="other content"):
        go(out=tmp_path, data=FakeData(labels=("good", "bad")))


def test_a_function_that_changed_has_its_networks_recomputed_with_the_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(FakeTask, "prints", {"activation tanh": "aaa"})
    go(out=tmp_path)
    old = {path: sha(path) for path in parts(tmp_path)}
    monkeypatch.setattr(FakeTask, "prints", {"activation tanh": "bbb"})
    _frame, calls = go(out=tmp_path, progress=None)
    told = [line for line in capsys.readouterr().err.splitlines() if "tanh" in line]
    assert len(told) == 1
    assert "aaa is now bbb" in told[0]
    assert len(calls) == 4
    assert len(set(parts(tmp_path)) - set(old)) == len(old)
    assert old == {path: sha(path) for path in old}
    assert go(out=tmp_path)[1] == []


def test_another_results_version_recomputes_all_with_the_reason(tmp_path, monkeypatch, capsys):
    go(out=tmp_path)
    before = request.RESULTS_VERSION
    monkeypatch.setattr(request, "RESULTS_VERSION", before + 1)
    _, calls = go(out=tmp_path, progress=None)
    assert len(calls) == 4
    assert f"'results': {before}" in capsys.readouterr().err


# --- failures -------------------------------------------------------------------------------


def test_a_network_that_fails_is_a_row_and_the_others_are_not_touched(tmp_path, monkeypatch, capsys):
    culprit = "mlp depth=4 tanh he_normal width=8"
    monkeypatch.setattr(FakeTask, "broken", frozenset({culprit}))
    frame, _ = go(out=tmp_path, progress=None)
    failed = frame[frame["status"] != "ok"]
    assert set(failed["status"]) == {"FloatingPointError: cannot do 4"}
    assert len(failed) == 12
    assert failed["log10_delta_rms"].isna().all()
    assert set(failed["network"]) == set(
        frame[(frame.depth == 4) & (frame.activation == "tanh") & (frame.width == 8)]["network"]
    )
    assert "1 of 8 networks failed" in capsys.readouterr().err
    kept = {path: sha(path) for path in parts(tmp_path)}

    monkeypatch.setattr(FakeTask, "broken", frozenset())
    assert go(out=tmp_path)[1] == [], "only retry_failed computes it again"
    frame, calls = go(out=tmp_path, retry_failed=True)
    assert len(calls) == 2
    assert (frame["status"] == "ok").all()
    assert sum(sha(path) != before for path, before in kept.items()) == 2


def test_ctrl_c_leaves_a_folder_that_resumes(tmp_path, monkeypatch, capsys):
    go(out=tmp_path / "undisturbed")

    class Interrupted(FakeTask):
        def rows(self, configs, seeds):
            if len(FakeTask.calls) == 6:  # four of the undisturbed run, then two
                raise KeyboardInterrupt
            return super().rows(configs, seeds)

    with pytest.raises(KeyboardInterrupt):
        go(out=tmp_path / "out", task=Interrupted, progress=None)
    assert "stopped with 2 of 4 missing parts computed" in capsys.readouterr().err
    assert len(parts(tmp_path / "out")) == 2
    _, calls = go(out=tmp_path / "out")
    assert len(calls) == 2
    assert sha(tmp_path / "out" / "frame.parquet") == sha(tmp_path / "undisturbed" / "frame.parquet")
    sessions = json.loads((tmp_path / "out" / "provenance.json").read_text())["sessions"]
    assert [s["parts_computed"] for s in sessions] == [2, 2]


# --- what is said ---------------------------------------------------------------------------


def test_a_dry_run_computes_and_writes_nothing(tmp_path, capsys):
    table, calls = go(out=tmp_path / "out", dry_run=True, progress=None)
    assert calls == []
    assert not (tmp_path / "out").exists()
    assert "8 networks, 96 runs in 4 units, of which 4 to compute: 2 programs" in capsys.readouterr().out
    go(out=tmp_path / "out")
    before = {path: sha(path) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    table, _ = go(dataclasses.replace(SWEEP, depth=(2, 4, 8)), tmp_path / "out", dry_run=True)
    assert list(table["missing"]) == [False] * 4 + [True] * 4
    assert before == {path: sha(path) for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_provenance_says_how_the_rows_came_to_be(tmp_path):
    go(out=tmp_path, command="gradlab sweep --out there")
    about = json.loads((tmp_path / "provenance.json").read_text())
    assert about["command"] == "gradlab sweep --out there"
    assert {"python", "numpy", "pyarrow"} <= set(about["versions"])
    assert about["dtype"] == "float32"
    assert about["wall_time_s"] >= 0
    assert about["platform"]["cpus"]
    assert len(about["hash"]) == 12


def test_without_a_command_provenance_has_the_call(tmp_path):
    given = {"gl": SimpleNamespace(Sweep=Sweep, run=lambda *args, **options: (*args, options)), "x": 1, "y": 2}
    go(out=tmp_path)
    call = json.loads((tmp_path / "provenance.json").read_text())["command"]
    assert eval(call, given) == (SWEEP, {"data": (1, 2), "out": str(tmp_path)})
    assert eval(provenance.call(dataclasses.replace(SWEEP, data="circle"), None, True), given)[0].data == "circle"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"executor": "ray"}, "local, dask"),
        ({"workers": 2}, "executor='dask'"),
        ({"executor": "dask", "workers": 0}, "at least 1"),
    ],
)
def test_a_wrong_executor_is_refused(options, match):
    with pytest.raises(GradlabError, match=match):
        go(**options)


def test_dask_missing_is_said(monkeypatch):
    monkeypatch.setattr("gradlab.sweep.cluster.find_spec", lambda name: None)
    with pytest.raises(GradlabError, match=r"pip install 'gradlab-jax\[scale-out\]'"):
        go(executor="dask", workers=2)


@pytest.mark.slow
def test_seeds_in_one_call_as_on_an_accelerator_give_the_same_rows(monkeypatch):
    sweep = Sweep(depth=(2, 5), width=16, activation=("tanh", "relu"), init="xavier_normal", dtype="float64", seeds=3)
    apart = run(sweep, progress=False)
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    together = run(sweep, progress=False)
    numbers = [name for name, dtype in apart.dtypes.items() if dtype == "float64"]
    assert len(numbers) > 10
    np.testing.assert_allclose(together[numbers], apart[numbers], rtol=1e-9, atol=1e-9)
    others = apart.columns.drop(numbers)
    pd.testing.assert_frame_equal(together[others], apart[others])
