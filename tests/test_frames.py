"""The frame: its schema, what its summaries count, its table of rates, and files that notice damage."""

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gradlab import frames
from gradlab._errors import GradlabError
from gradlab._types import COORDINATES, MEASURED, SCHEMA_VERSION
from gradlab.config import MLPConfig, ResNetConfig, RNNConfig, TransformerConfig
from gradlab.frames import files
from gradlab.measurement.jacobian import Spectrum
from gradlab.measurement.records import LayerInfo, Trace
from gradlab.measurement.slope import rate

COLUMNS = ("log10_delta_rms", "weight_norm")


def make(depth=4, seeds=3, columns=COLUMNS, loss="mse", kind=MLPConfig, **options):
    """A trace whose delta shrinks by 0.3 decades per layer toward the input, from 1e-630."""
    config = kind(depth=depth, **options)
    widths = (*config.widths, 10)
    layers = tuple(
        LayerInfo(i + 1, "readout" if i == depth else f"hidden {i + 1}", width, 7, width)
        for i, width in enumerate(widths)
    )
    rng = np.random.default_rng(depth)
    deltas = -630 + np.cumsum(rng.normal(0.3, 0.02, (seeds, depth + 1)), axis=1)
    values = {name: deltas if name.startswith("log10") else 2.0 + 0 * deltas for name in columns}
    return Trace(
        config, layers, values, tuple(range(seeds)), ("ok",) * seeds, 2.0, 0.0, loss, "digits", 16, "float32"
    )  # fmt: skip


@pytest.fixture
def mixed():
    """Three networks, one with an own gain, one that failed; a zero and an infinity among the measures."""
    table = frames.concat(
        [
            frames.frame([make(), make(6, gain=2.0)]),
            frames.failed_rows(
                MLPConfig(depth=3), [0, 1], ValueError("no\nroom"), loss="mse", data="digits", batch=16, dtype="float32"
            ),
        ]
    )
    table.loc[0, "log10_delta_rms"] = -np.inf
    table.loc[1, "weight_norm"] = np.inf
    table.loc[2, "weight_norm"] = -0.0
    return table


# --- frame -------------------------------------------------------------------------------


def test_a_row_per_seed_and_layer_with_the_coordinates_first():
    trace = make(depth=4, seeds=3)
    table = frames.frame(trace)
    assert list(table.columns) == [*COORDINATES, *COLUMNS]
    assert len(table) == 3 * 5
    row = table[(table["seed"] == 2) & (table["layer"] == 4)].iloc[0]
    assert row["log10_delta_rms"] == trace.columns["log10_delta_rms"][2, 3]
    assert row["layer_name"] == "hidden 4" and row["network"] == frames.network_hash(trace.config)
    assert (row["depth"], row["width"], row["batch"], row["fan_in"], row["step"]) == (4, 128, 16, 7, 0)
    assert table.attrs["schema"] == SCHEMA_VERSION


def test_names_are_categories_in_order_of_appearance_and_numbers_numbers():
    table = frames.frame([make(activation="tanh"), make(3, activation="relu"), make(2, activation="elu")])
    assert list(table["activation"].cat.categories) == ["tanh", "relu", "elu"]
    for name in ("network", "architecture", "init", "loss", "data", "dtype", "layer_name", "status"):
        assert isinstance(table[name].dtype, pd.CategoricalDtype), name
    for name in ("depth", "width", "batch", "seed", "step", "layer", "fan_in", "fan_out"):
        assert table[name].dtype == np.int64, name
    for name in ("sigma_w2", "sigma_b2", *COLUMNS):
        assert table[name].dtype == np.float64, name


def test_a_field_that_differs_from_its_default_anywhere_is_a_column_after_the_coordinates():
    table = frames.frame([make(), make(6, gain=2.0, bias=False), make(5, readout="xavier_normal")])
    assert list(table.columns) == [*COORDINATES, "gain", "bias", "readout", *COLUMNS]
    one = table.drop_duplicates("network")
    assert list(one["gain"]) == [1.0, 2.0, 1.0] and list(one["bias"]) == [True, False, True]
    assert one["readout"].isna().tolist() == [True, True, False]


def test_width_is_that_of_the_layer():
    table = frames.frame(make(3, width=(5, 6, 7), seeds=1))
    assert table["width"].tolist() == [5, 6, 7, 10]


def test_a_column_that_one_trace_lacks_is_nan_there():
    table = frames.frame([make(), make(6, columns=("weight_norm",))])
    assert table.groupby("depth")["log10_delta_rms"].count().to_dict() == {4: 15, 6: 0}


def test_the_network_is_the_hash_of_the_configuration_alone():
    a, b = frames.frame(make(loss="mse")), frames.frame(make(loss="probe"))
    assert set(a["network"]) == set(b["network"])
    assert set(a["network"]) != set(frames.frame(make(gain=1.5))["network"])


@pytest.mark.parametrize("again", [{}, {"loss": "probe"}])
def test_rows_that_are_there_twice_are_refused(again):
    with pytest.raises(GradlabError, match=r"one row for each .*seed=0, step=0, layer=1"):
        frames.frame([make(), make(**again)])


@pytest.mark.parametrize(
    ("record", "match"),
    [
        ([], "at least one record"),
        (3, "a record, or several; received int"),
        ([3], "a record, or several; received int"),
    ],
)
def test_what_is_no_record_is_refused(record, match):
    with pytest.raises(GradlabError, match=match):
        frames.frame(record)


def test_a_wrong_column_or_shape_is_refused():
    with pytest.raises(GradlabError, match="'log10_delta_rms'"):
        frames.frame(make(columns=("log10_delta_rmx",)))
    trace = make()
    trace.columns["weight_norm"] = np.zeros((2, 5))
    with pytest.raises(GradlabError, match=r"weight_norm of shape \(seeds, layers\) = \(3, 5\)"):
        frames.frame(trace)


def test_a_network_that_failed_is_a_row_with_its_exception(mixed):
    failed = mixed[mixed["status"] != "ok"]
    assert failed["status"].tolist() == ["ValueError: no\nroom"] * 2
    assert failed["layer"].tolist() == [0, 0] and failed["seed"].tolist() == [0, 1]
    assert failed[list(COLUMNS)].isna().all(axis=None)


def test_appending_frames_gives_the_frame_of_all():
    traces = [make(activation="tanh"), make(6, gain=2.0), make(5, std=0.1, init="gaussian", columns=COLUMNS[:1])]
    whole = frames.concat([frames.frame(t) for t in traces])
    pd.testing.assert_frame_equal(whole, frames.frame(traces))
    with pytest.raises(GradlabError, match="at least one frame"):
        frames.concat([])


# --- summarise ---------------------------------------------------------------------------


def test_mean_and_interval_are_those_of_scipy():
    table = frames.frame(make(seeds=7))
    summary = frames.summarise(table, "layer", "log10_delta_rms").set_index("layer")
    for layer, rows in table.groupby("layer"):
        x = rows["log10_delta_rms"]
        low, high = stats.t.interval(0.95, 6, loc=x.mean(), scale=stats.sem(x))
        got = summary.loc[layer]
        assert np.allclose([got["mean"], got["low"], got["high"]], [x.mean(), low, high], rtol=1e-13)
        assert (got["n"], got["n_zero"], got["n_not_finite"]) == (7, 0, 0)


@pytest.mark.parametrize(
    ("band", "low", "high"), [("sd", lambda x: x.mean() - x.std(), lambda x: x.mean() + x.std()), ("range", min, max)]
)
def test_other_bands(band, low, high):
    table = frames.frame(make(seeds=5))
    x = table.loc[table["layer"] == 2, "log10_delta_rms"]
    row = frames.summarise(table, ["layer"], "log10_delta_rms", band=band).iloc[1]
    assert math.isclose(row["low"], low(x)) and math.isclose(row["high"], high(x))


def test_the_band_of_seeds_is_each_seed():
    table = frames.frame(make(seeds=3))
    summary = frames.summarise(table, ["layer"], "log10_delta_rms", band="seeds")
    assert len(summary) == 15 and set(summary["n"]) == {1}
    merged = summary.merge(table, on=["layer", "seed"])
    for name in ("mean", "low", "high"):
        assert (merged[name] == merged["log10_delta_rms"]).all()


def test_rows_of_one_seed_are_averaged_first():
    table = frames.frame([make(4), make(6), make(8)])
    row = frames.summarise(table, "loss", "log10_delta_rms").iloc[0]
    per_seed = table.groupby("seed")["log10_delta_rms"].mean()
    low, high = stats.t.interval(0.95, 2, loc=per_seed.mean(), scale=stats.sem(per_seed))
    assert row["n"] == 3
    assert np.allclose([row["mean"], row["low"], row["high"]], [per_seed.mean(), low, high])


def test_the_interval_over_seeds_covers_when_networks_share_their_draws():
    # Rows of a seed agree but for a little: rows taken for independent would cover in a third of the cases.
    rng = np.random.default_rng(0)
    sets, seeds, rows = 1500, 5, 20
    effect = rng.standard_normal((sets, seeds, 1)) + 0.1 * rng.standard_normal((sets, seeds, rows))
    index = np.indices(effect.shape).reshape(3, -1)
    table = pd.DataFrame({"set": index[0], "seed": index[1], "log10_delta_rms": effect.ravel()})
    summary = frames.summarise(table, "set")
    covered = ((summary["low"] <= 0) & (summary["high"] >= 0)).mean()
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / sets)


def test_what_is_not_finite_is_counted_and_nothing_dropped(mixed):
    summary = frames.summarise(mixed, ["layer"])
    by = summary.set_index(["column", "layer"])
    first = by.loc[("log10_delta_rms", 1)]
    assert (first["n_zero"], first["n_not_finite"]) == (1, 0)
    assert by.loc[("weight_norm", 2), "n_not_finite"] == 1
    failed = by.loc[("weight_norm", 0)]
    assert (failed["n"], failed["n_zero"], failed["n_not_finite"]) == (0, 0, 2) and np.isnan(failed["mean"])
    assert np.isfinite(by.loc[[("log10_delta_rms", i) for i in range(1, 8)], "mean"]).all()


@given(st.lists(st.sampled_from([-math.inf, math.inf, math.nan, -1.0, 0.0, 3.5]), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_every_row_is_counted_once(values):
    table = pd.DataFrame({"group": 0, "seed": np.arange(len(values)), "weight_norm": values})
    row = frames.summarise(table, "group").iloc[0]
    assert row["n"] + row["n_zero"] + row["n_not_finite"] == len(values)
    finite = [v for v in values if math.isfinite(v)]
    assert np.isnan(row["mean"]) if not finite else math.isclose(row["mean"], np.mean(finite), abs_tol=1e-12)
    assert np.isnan(row["low"]) == (len(finite) < 2)


def test_groups_without_a_value_are_groups_and_categories_stay():
    table = frames.frame([make(), make(5, readout="he_normal")])
    summary = frames.summarise(table, ["readout", "activation"], "weight_norm")
    assert len(summary) == 2 and summary["n"].tolist() == [3, 3]
    assert isinstance(summary["activation"].dtype, pd.CategoricalDtype)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"by": "actvation"}, "'activation'"),
        ({"by": []}, "at least one column"),
        ({"by": "layer", "columns": "log10_delta"}, "'log10_delta_rms'"),
        ({"by": "layer", "columns": "loss"}, "column of numbers"),
        ({"by": "layer", "band": "ci"}, "'ci95'"),
    ],
)
def test_wrong_requests_are_answered_with_the_right_names(options, match):
    with pytest.raises(GradlabError, match=match):
        frames.summarise(frames.frame(make()), **options)


# --- rates -------------------------------------------------------------------------------


def test_a_row_per_network_equals_the_rate_of_its_record():
    traces = [make(12, seeds=5), make(6, gain=2.0)]
    table = frames.rates(frames.frame(traces))
    assert len(table) == 2 and table["gain"].tolist() == [1.0, 2.0]
    for trace, (_, row) in zip(traces, table.iterrows(), strict=True):
        r = trace.rate
        assert (row["rate"], row["low"], row["high"], row["level"]) == (r.value, r.low, r.high, 0.95)
        d = r.decades
        assert (row["decades"], row["decades_low"], row["decades_high"]) == (d.value, d.low, d.high)
        assert (row["shape"], row["exponent"], row["verdict"]) == (r.shape, r.exponent, trace.verdict.name)
        assert (row["n_seeds"], row["first_layer"], row["last_layer"]) == (r.seeds, 1, trace.config.depth)
        assert row["sentence"] == trace.verdict.sentence and row["numbers"].startswith(str(r))
        assert row["depth"] == trace.config.depth and row["width"] == 128


def test_the_order_of_rows_does_not_matter():
    table = frames.frame(make(12, seeds=5))
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(frames.rates(shuffled), frames.rates(table))


def test_a_row_per_network_and_seed():
    trace = make(12, seeds=5)
    table = frames.rates(frames.frame(trace), by="seed")
    assert table["seed"].tolist() == [0, 1, 2, 3, 4] and table["low"].isna().all()
    expected = [rate(d[None, :12]).value for d in trace.columns["log10_delta_rms"]]
    assert table["rate"].tolist() == expected
    assert table["sentence"].str.contains("fewer than 2 usable seeds").all()


def test_zeros_and_failures_are_counted(mixed):
    table = frames.rates(mixed).set_index("depth")
    assert table["n_zero"].to_dict() == {4: 1, 6: 0, 3: 0}
    assert table["n_failed"].to_dict() == {4: 0, 6: 0, 3: 2}
    assert table.loc[3, "verdict"] == "undetermined" and np.isnan(table.loc[3, "rate"])


def test_a_missing_layer_is_a_failure_not_a_shorter_net():
    table = frames.frame(make(6, seeds=3))
    table = table[~((table["seed"] == 1) & (table["layer"] == 3))]
    row = frames.rates(table).iloc[0]
    assert (row["n_seeds"], row["n_failed"], row["last_layer"]) == (2, 1, 6)


def test_widths_that_differ_have_no_one_width():
    assert np.isnan(frames.rates(frames.frame(make(3, width=(5, 6, 7))))["width"].iloc[0])


def test_wrong_requests_for_rates():
    table = frames.frame(make())
    with pytest.raises(GradlabError, match="'seed'"):
        frames.rates(table, by="seeds")
    with pytest.raises(GradlabError, match="log10_delta_rms"):
        frames.rates(table.drop(columns="log10_delta_rms"))


# --- files -------------------------------------------------------------------------------


def test_a_frame_comes_back_from_its_file(mixed, tmp_path):
    mixed.attrs["hash"] = "abc"
    frames.write(frames.frame(make()), tmp_path / "f.parquet")
    frames.write(mixed, tmp_path / "f.parquet")  # over what was there
    back = frames.read(tmp_path / "f.parquet")
    pd.testing.assert_frame_equal(back, mixed)
    assert back.attrs == {"schema": SCHEMA_VERSION, "hash": "abc"}
    assert back.loc[0, "log10_delta_rms"] == -np.inf and back.loc[1, "weight_norm"] == np.inf
    assert math.copysign(1, back.loc[2, "weight_norm"]) == -1
    assert [p.name for p in tmp_path.iterdir()] == ["f.parquet"]


def test_the_same_frame_is_the_same_bytes(mixed, tmp_path):
    for name in "ab":
        frames.write(mixed, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_flipped_bit_never_gives_another_frame(mixed, tmp_path):
    path, damaged = tmp_path / "f.parquet", tmp_path / "damaged.parquet"
    frames.write(mixed, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    messages = []
    for position in rng.choice(len(whole), 600, replace=False):
        content = bytearray(whole)
        content[position] ^= 1 << rng.integers(8)
        damaged.write_bytes(content)
        try:
            back = frames.read(damaged)
        except GradlabError as error:
            messages.append(str(error))
        else:
            pd.testing.assert_frame_equal(back, mixed)
    assert len(messages) > 200
    assert all(str(damaged) in message for message in messages)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n"])
def test_what_is_no_parquet_is_named(content, tmp_path):
    (tmp_path / "f.parquet").write_bytes(content)
    with pytest.raises(GradlabError, match=r"f\.parquet as it was written"):
        frames.read(tmp_path / "f.parquet")


def test_a_foreign_or_absent_file_is_named(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "foreign.parquet")
    with pytest.raises(GradlabError, match="that gradlab wrote"):
        frames.read(tmp_path / "foreign.parquet")
    with pytest.raises(GradlabError, match="not there"):
        frames.read(tmp_path / "absent.parquet")


def test_a_file_without_our_note_of_its_columns_is_read(mixed, tmp_path):
    table = pa.Table.from_pandas(mixed, preserve_index=False)
    note = json.dumps({"schema_version": SCHEMA_VERSION, "hash": "abc"})
    table = table.replace_schema_metadata({**table.schema.metadata, "gradlab": note})
    pq.write_table(table, tmp_path / "f.parquet", write_page_checksum=True)
    back = frames.read(tmp_path / "f.parquet")
    pd.testing.assert_frame_equal(back, mixed)
    assert back.attrs == {"schema": SCHEMA_VERSION, "hash": "abc"}


def test_a_place_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GradlabError, match="to be able to write"):
        frames.write(frames.frame(make()), tmp_path / "file" / "f.parquet")
    (tmp_path / "taken").mkdir()
    with pytest.raises(GradlabError, match="to be able to write"):
        frames.write(frames.frame(make()), tmp_path / "taken")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken"]


def test_older_schemas_come_up_one_version_at_a_time(mixed, tmp_path, monkeypatch):
    frames.write(mixed, tmp_path / "old.parquet")
    monkeypatch.setattr(files, "SCHEMA_VERSION", SCHEMA_VERSION + 2)
    with pytest.raises(GradlabError, match=f"version {SCHEMA_VERSION + 1} or newer"):
        frames.read(tmp_path / "old.parquet")
    steps = {SCHEMA_VERSION: lambda t: t.assign(new=1), SCHEMA_VERSION + 1: lambda t: t.assign(new=t["new"] + 1)}
    monkeypatch.setattr(files, "MIGRATIONS", steps)
    new = frames.read(tmp_path / "old.parquet")
    assert set(new["new"]) == {2} and new.attrs["schema"] == SCHEMA_VERSION + 2


def test_in_schema_1_the_place_of_a_norm_had_other_names(tmp_path):
    after = {"depth": 2, "norm_position": "after"}
    traces = [make(**after, norm="layer"), make(**after, kind=ResNetConfig), make(3, kind=ResNetConfig),
              make(**after, kind=TransformerConfig), make(3, kind=TransformerConfig)]  # fmt: skip
    new = frames.frame(traces)
    assert new["norm_position"].nunique() == 2
    kinds = new["architecture"].astype(str)
    words = new["norm_position"].astype(object).map({"before": "pre", "after": "post"})
    old = new.assign(
        order=words.where(kinds == "resnet"), norm=new["norm"].astype(object).mask(kinds == "transformer", words),
        norm_position=new["norm_position"].astype(object).where(kinds == "mlp"),
    )  # fmt: skip
    old.attrs["schema"] = 1
    frames.write(old, tmp_path / "old.parquet")
    pd.testing.assert_frame_equal(frames.read(tmp_path / "old.parquet"), new)
    # without a norm nor a place that differs from the default there is no column of it
    plain = frames.frame([make(3, kind=TransformerConfig), make(3, kind=ResNetConfig)])
    assert not {"norm", "norm_position"} & {*plain}
    old = plain.assign(norm=["pre"] * 12 + [None] * 12, order=[None] * 12 + ["pre"] * 12)
    old.attrs["schema"] = 1
    frames.write(old, tmp_path / "old.parquet")
    pd.testing.assert_frame_equal(frames.read(tmp_path / "old.parquet"), plain)


def test_a_newer_schema_is_refused(mixed, tmp_path):
    mixed.attrs["schema"] = SCHEMA_VERSION + 1
    frames.write(mixed, tmp_path / "new.parquet")
    with pytest.raises(GradlabError, match="a newer gradlab"):
        frames.read(tmp_path / "new.parquet")


def run_folder(folder, table):
    folder.mkdir(parents=True)
    frames.write(table, folder / "frame.parquet")
    (folder / "sweep.toml").write_text("[request]\ndepth = [4]\n", encoding="utf-8")
    (folder / "provenance.json").write_text(json.dumps({"dtype": "float32"}), encoding="utf-8")
    return folder


def test_a_run_is_loaded_with_its_request_and_provenance(mixed, tmp_path):
    run = frames.load(run_folder(tmp_path / "demo", mixed))
    pd.testing.assert_frame_equal(run.frame, mixed)
    assert run.request == {"request": {"depth": [4]}} and run.provenance == {"dtype": "float32"}
    assert run.path == tmp_path / "demo"


def test_several_runs_have_one_frame_with_a_column_run(tmp_path):
    a = run_folder(tmp_path / "a", frames.frame(make(loss="mse")))
    b = run_folder(tmp_path / "b", frames.frame([make(loss="probe"), make(6, gain=2.0, loss="probe")]))
    run = frames.load([a, str(b)])
    assert run.frame.columns[0] == "run"
    assert run.frame.groupby("run", observed=True)["gain"].max().to_dict() == {"a": 1.0, "b": 2.0}
    assert run.request["b"] == {"request": {"depth": [4]}} and run.path == {"a": a, "b": b}
    assert len(frames.rates(run.frame)) == 3
    with pytest.raises(GradlabError, match="different folders"):
        frames.load([a, a])


def test_runs_of_the_same_folder_name_are_named_by_their_path(tmp_path):
    folders = [run_folder(tmp_path / x / "demo", frames.frame(make())) for x in "ab"]
    assert list(frames.load(folders).request) == [str(f) for f in folders]


@pytest.mark.parametrize(
    ("remove", "match"),
    [("sweep.toml", "without sweep.toml"), ("frame.parquet", "continues"), ("provenance.json", "provenance.json as")],
)
def test_a_folder_that_is_no_run_or_unfinished_is_named(remove, match, tmp_path):
    folder = run_folder(tmp_path / "demo", frames.frame(make()))
    (folder / remove).unlink()
    with pytest.raises(GradlabError, match=match):
        frames.load(folder)
    with pytest.raises(GradlabError, match="no folder"):
        frames.load(tmp_path / "absent")


def test_an_example_is_loaded_by_name_and_a_wrong_name_lists_them(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr(files.resources, "files", lambda package: tmp_path)
    with pytest.raises(GradlabError, match="example"):
        frames.example("depth")
    (tmp_path / "examples").mkdir()
    frames.write(mixed, tmp_path / "examples" / "depth.parquet")
    pd.testing.assert_frame_equal(frames.example("depth"), mixed)
    with pytest.raises(GradlabError, match="one of depth; received 'dept'; try 'depth'"):
        frames.example("dept")


def test_the_measured_columns_are_all_accepted():
    assert list(frames.frame(make(columns=tuple(MEASURED))).columns[len(COORDINATES) :]) == list(MEASURED)


class Sizes:
    """A record with columns of its own."""

    def __init__(self, config=None, name="size"):
        self.config, self.name = config, name

    def rows(self):
        return {"seed": np.arange(2), self.name: np.array([1.0, 2.0])}


def test_a_record_with_columns_of_its_own_stands_behind_its_network():
    net = MLPConfig(depth=2, width=(4, 5), activation=("tanh", "relu"))
    table = frames.frame([Sizes(net), Sizes(RNNConfig(width=3, activation="tanh"))])
    assert table["size"].tolist() == [1, 2, 1, 2] and table["seed"].tolist() == [0, 1, 0, 1]
    assert table["width"].tolist() == [4, 4, 3, 3] and table["architecture"].tolist() == ["mlp"] * 2 + ["rnn"] * 2
    assert list(frames.frame(Sizes())) == ["seed", "size"]
    for mixed in ([Sizes(), Sizes(name="other")], [Sizes(), make()], 3, []):
        with pytest.raises(GradlabError, match="record"):
            frames.frame(mixed)


def test_rows_of_singular_values_are_one_for_each_seed_input_and_value():
    values = np.arange(12.0).reshape(2, 2, 3)[..., ::-1]
    record = Spectrum(values, np.full((2, 2), 4.5), (3, 3), 1, 2, "all", "full", (7, 9), "float32")
    table = frames.frame(record)
    assert table["log10_singular_value"].tolist() == values.ravel().tolist()
    assert table[["seed", "input", "index"]].values.tolist()[4] == [7, 1, 1]
    assert table["resolved"].tolist() == (values > 4.5).ravel().tolist() and set(table["weight"]) == {1 / 3}
