"""What was recorded elsewhere: the recorder that users copy, the same rules, and files that are no recording."""

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import gradlab
from gradlab import cli
from gradlab._errors import GradlabError
from gradlab.diagnosis.recording import inspect

RECORDER = Path(gradlab.__file__).parent / "diagnosis" / "recorder.py"


@pytest.fixture(scope="module")
def record():
    """The function as it stands in the help of `gradlab inspect`, with nothing of gradlab in reach."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        cli.main(["inspect", "--help"])
    lines = told.getvalue().splitlines()
    first = next(i for i, line in enumerate(lines) if line.strip() == "import numpy as np")
    last = next(i for i, line in enumerate(lines) if "np.savez(path" in line)
    code = "\n".join(line[4:] for line in lines[first : last + 1])
    assert len([line for line in code.splitlines() if line.strip()]) <= 16
    names = {}
    exec(compile(code, "help", "exec"), names)
    return names["record"]


def layers(factor, depth=8, width=64, seed=0, relu=True):
    """A chain of products in NumPy whose weights are `factor` times He's, with its backward pass."""
    rng = np.random.default_rng(seed)
    weights = [factor * np.sqrt(2 / width) * rng.normal(size=(width, width)) for _ in range(depth)]
    x, values, activations, inputs = rng.normal(size=(32, width)), [], [], []
    for w in weights:
        inputs.append(x)
        values.append(x @ w)
        x = np.maximum(values[-1], 0)
        activations.append(x)
    delta = (x - rng.normal(size=x.shape)) / x.size
    deltas, grads = [], []
    for w, z, a in zip(weights[::-1], values[::-1], inputs[::-1], strict=True):
        delta = delta * (z > 0)
        deltas.append(delta)
        grads.append(a.T @ delta)
        delta = delta @ w.T
    named = lambda arrays: {f"layers.{i}": a.astype(np.float32) for i, a in enumerate(arrays)}
    return {
        "value": named(values), "activation": named(activations), "delta": named(deltas[::-1]),
        "weight": named(weights), "grad": named(grads[::-1]), "loss": {"loss": np.float32(0.7)},
    }  # fmt: skip


def test_the_numbers_are_those_of_the_arrays(record, tmp_path):
    signals = layers(0.08)
    record(tmp_path / "one.npz", **signals)
    frame = inspect(tmp_path / "one.npz").frame
    assert list(frame["layer_name"]) == list(signals["value"])
    rms = lambda a: np.log10(np.sqrt(np.mean(np.square(a, dtype=np.float64))))
    for column, signal in (
        ("log10_preactivation_rms", "value"), ("log10_activation_rms", "activation"), ("log10_delta_rms", "delta"),
    ):  # fmt: skip
        np.testing.assert_allclose(frame[column], [rms(a) for a in signals[signal].values()], atol=1e-9)
    norms = [np.log10(np.linalg.norm(a.astype(np.float64))) for a in signals["grad"].values()]
    np.testing.assert_allclose(frame["log10_weight_grad_norm"], norms, atol=1e-9)


def test_too_small_weights_are_found_by_the_same_rules_and_good_ones_are_not(record, tmp_path):
    record(tmp_path / "small.npz", **layers(0.08))
    record(tmp_path / "good.npz", **layers(1.0))
    small, good = inspect(tmp_path / "small.npz"), inspect(tmp_path / "good.npz")
    assert "init_too_small" in [f.kind for f in small.findings] and not small.healthy
    assert small.rate.value == pytest.approx(0.08, rel=0.15)
    assert good.healthy, good
    assert "small.npz: 8 of 8 products seen" in str(small)


def test_several_files_are_samples(record, tmp_path):
    paths = [tmp_path / f"{i}.npz" for i in range(3)]
    for i, path in enumerate(paths):
        record(path, **layers(0.3, seed=i))
    found = inspect(*paths)
    assert found.evidence.samples == 3 and found.rate.has_interval and found.frame["seed"].nunique() == 3
    record(paths[2], **layers(0.3, depth=5))
    with pytest.raises(GradlabError, match="files of one model"):
        inspect(*paths)


def test_missing_signals_are_told(record, tmp_path):
    signals = layers(1.0)
    record(tmp_path / "grads.npz", grad=signals["grad"])
    found = inspect(tmp_path / "grads.npz")
    text = str(found)
    for words in (
        "No value= was recorded",
        "No delta= was recorded, so how the gradient travels is not known",
        "no loss",
    ):
        assert words in text
    assert text.startswith("grads.npz: 0 of 8 products seen")
    assert "data:image" in found.to_html()
    del signals["delta"]["layers.3"]
    record(tmp_path / "one.npz", **signals)
    assert "Of some layers delta= is missing: layers.3." in str(inspect(tmp_path / "one.npz"))


def test_zeros_and_what_is_not_finite_are_recorded_as_such(record, tmp_path):
    signals = layers(1.0)
    signals["grad"]["layers.2"] = np.zeros((64, 64))
    signals["grad"]["layers.5"] = np.full((64, 64), np.nan)
    signals["delta"]["layers.0"] = np.full((32, 64), 1e-300)
    record(tmp_path / "x.npz", **signals)
    found = inspect(tmp_path / "x.npz")
    assert "nonfinite" in [f.kind for f in found.findings]
    status = list(found.frame["status"])
    assert status[2] == "gradient exactly 0" and status[5] == "not finite: gradient"
    assert found.frame["log10_delta_rms"].iloc[0] == pytest.approx(-300)


def npy(array, **options):
    data = io.BytesIO()
    np.lib.format.write_array(data, np.asarray(array), **options)
    return data.getvalue()


HUGE = (
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (10, 100000000000), }".ljust(127) + b"\n"
)
CRAFTED = {
    "pickle": {"value/a": npy(np.array([print] * 9, object), allow_pickle=True)},
    "huge shape": {"value/a": HUGE}, "long": {"value/a": npy(np.zeros(10_000))}, "short": {"value/a": npy(np.zeros(2))},
    "text": {"value/a": npy(np.array(["x"] * 10))}, "other name": {"evil": npy(np.zeros(9))},
    "no layer": {"value/": npy(np.zeros(9))}, "no array": {"value/a": b"hello"}, "empty": {},
    "negative axes": {"value/a": npy([0, 0, 0, 0, 0, 0, 0, 0, -3.0, 2])},
    "not a number": {"value/a": npy([0, 0, 0, 0, 0, 0, 0, 0, np.nan])},
    "too many entries": {"value/a": npy([0.0] * 8 + [2.0**40] * 3)},
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_one_message_and_exit_code_2(name, tmp_path, capsys):
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in CRAFTED[name].items():
            archive.writestr(f"{member}.npy", data)
    assert cli.main(["inspect", str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and told.err.startswith("gradlab: expected")


def test_an_array_that_unpacks_to_far_more_than_one_of_the_recorder_is_not_unpacked(tmp_path, capsys):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("value/a.npy", npy(np.zeros(9)) + bytes(50_000_000))
    assert cli.main(["inspect", str(path)]) == 2
    assert "50,000,200 bytes" in capsys.readouterr().err


def test_files_that_are_none(tmp_path, capsys):
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04" + b"\x00" * 50)
    for path, words in (("text.npz", "to be a file of the recorder"), ("none.npz", "which is not there"), (".", "")):
        assert cli.main(["inspect", str(tmp_path / path)]) == 2
        assert words in capsys.readouterr().err
    assert cli.main(["inspect", str(tmp_path / "cut.npz")]) == 2
    assert cli.main(["inspect"]) == 2


def test_names_of_layers_are_shown_and_not_obeyed(record, tmp_path, capsys):
    signals = layers(1.0)
    bad = "<script>\x1b[31m|x"
    renamed = {s: {(bad if k == "layers.0" else k): v for k, v in d.items()} for s, d in signals.items()}
    record(tmp_path / "x.npz", **renamed)
    assert cli.main(["inspect", str(tmp_path / "x.npz"), "--out", str(tmp_path / "o")]) in (0, 1)
    assert "\x1b" not in capsys.readouterr().out
    assert "<script>" not in (tmp_path / "o" / "diagnosis.md").read_text().replace("\\<script\\>", "")
