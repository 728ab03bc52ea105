"""JSON lines: strict JSON, and back to the same frame."""

import json

import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab._errors import GradlabError


def mixed():
    """Zeros, what is not finite, and layers that have no bias, in two steps."""
    grads = {"a": {"weight": np.zeros((3, 2)), "bias": np.ones(2)}, "b": {"weight": np.full((2, 2), np.nan)}}
    later = {"a": {"weight": np.full((3, 2), np.inf), "bias": np.full(2, 1e-200)}, "b": {"weight": np.eye(2)}}
    return gl.frame([gl.observe(grads), gl.observe(later, params=grads)])


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


@pytest.mark.parametrize("make", [mixed, lambda: gl.example("depth").head(300)], ids=["observed", "sweep"])
def test_what_is_written_is_strict_json_and_reads_back_as_it_was(make, tmp_path):
    frame = make()
    gl.to_jsonl(frame, tmp_path / "a.jsonl")
    strict((tmp_path / "a.jsonl").read_text())
    back = gl.from_jsonl(tmp_path / "a.jsonl")
    # categories that no row of a part of a frame has are gone
    used = {n: frame[n].cat.remove_unused_categories() for n in frame if frame[n].dtype == "category"}
    pd.testing.assert_frame_equal(back, frame.assign(**used).reset_index(drop=True), check_categorical=True)
    assert back.attrs["schema"] == frame.attrs["schema"]


def test_zeros_and_what_is_not_finite_are_words(tmp_path):
    gl.to_jsonl(mixed(), tmp_path / "a.jsonl")
    rows = strict((tmp_path / "a.jsonl").read_text())
    assert [row["log10_weight_grad_norm"] for row in rows[:3]] == ["-Infinity", "NaN", "Infinity"]
    assert rows[2]["log10_bias_grad_norm"] == pytest.approx(-200 + np.log10(2) / 2)


def test_rows_are_added_while_training(tmp_path):
    frame = mixed()
    for step in (0, 1):
        gl.to_jsonl(frame[frame["step"] == step], tmp_path / "a.jsonl", append=True)
    np.testing.assert_array_equal(gl.from_jsonl(tmp_path / "a.jsonl")["layer"], frame["layer"])
    gl.to_jsonl(frame[frame["step"] == 0], tmp_path / "a.jsonl", append=True)
    with pytest.raises(GradlabError, match="one row for each"):
        gl.from_jsonl(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one row"),
        ('{"schema": 1, "lay', "a JSON object in each line; received line 1 of"),
        ("[1, 2]\n", "rows with the version"),
        ('{"layer": 1}\n', "rows with the version"),
        ('{"schema": 99, "layer": 1}\n', "a schema of version"),
    ],
)
def test_what_is_no_frame_is_refused(text, message, tmp_path):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(GradlabError, match=message):
        gl.from_jsonl(tmp_path / "a.jsonl")
    with pytest.raises(GradlabError, match="a file of JSON lines"):
        gl.from_jsonl(tmp_path / "b.jsonl")
