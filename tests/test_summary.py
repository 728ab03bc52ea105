"""Records say what they are in 80 columns, and escape what others have written."""

import numpy as np
import pytest

import gradlab as gl
from gradlab._summary import Summary

HOSTILE = 'a|b <script>x</script> ![z](p.png) `c` \x1b[31m"'


def fits(text):
    return max(map(len, text.splitlines())) <= 80


def test_a_wide_table_stands_in_parts_and_a_long_one_loses_its_middle():
    columns = ["layer", *(f"column_{i}_{'x' * 15}" for i in range(7))]
    rows = [[str(i), *(f"{i}.{j}" for j in range(7))] for i in range(40)]
    text = Summary("t" * 100, [("fact", "word " * 40), ("empty", "")], columns, rows).to_text()
    assert fits(text) and "empty" not in text
    assert all(f"39.{j}" in text and f"0.{j}" in text and f"20.{j}" not in text for j in range(7))
    assert text.count("layer") == 4  # 5 + 26 n characters: two columns fit beside the layer, three do not


def test_markdown_and_html_obey_nothing():
    summary = Summary(HOSTILE, [(HOSTILE, HOSTILE)], [HOSTILE], [[HOSTILE]])
    html, text = summary.to_html(), summary.to_markdown()
    assert "<script>" not in html and "&lt;script&gt;" in html and html.count("<td>") == 1
    assert "\x1b" not in html + text + summary.to_text()
    assert "<script>" not in text and "![" not in text.replace(r"!\[", "")
    cells = text.splitlines()[-1]
    assert cells.replace(r"\|", "").count("|") == 2


def test_a_grid_and_a_prediction_say_what_they_are():
    sweep = gl.Sweep(depth=[2, 4], activation="tanh", init="he_normal", seeds=3)
    assert "Sweep: 2 networks, 3 seeds" in sweep._repr_html_()
    assert "- depth: 2, 4" in sweep._repr_markdown_() and fits(sweep.summary().to_text())
    assert repr(sweep).startswith("Sweep(")


@pytest.mark.slow
def test_records_fit_eighty_columns_and_show_their_verdict(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(16, 8)).astype("float32"), np.arange(16) % 3
    net = gl.MLP(depth=20, width=16, activation="sigmoid", init="xavier_normal")
    trace, training = gl.measure(net, x, y, seeds=3), gl.train(net, x, y, steps=4, seeds=2, batch=8)
    prediction = gl.theory.predict(net, x)
    for record in (trace, training, trace.rate, trace.verdict, prediction):
        text = record.summary().to_text()
        assert fits(text)
        assert record._repr_markdown_() == record.summary().to_markdown()
        assert record._repr_html_() == record.summary().to_html()
    assert fits(repr(trace)) and fits(repr(training)) and fits(str(prediction))
    assert "vanishing" in repr(trace) and "vanishing" in repr(training)
    # the delta of layer 1 is the mean over seeds
    shown = next(line for line in repr(trace).splitlines() if " hidden_1 " in line).split()
    assert float(shown[3]) == pytest.approx(trace.columns["log10_delta_rms"][:, 0].mean(), rel=5e-4)
    only = gl.measure(net, x, y, seeds=2, columns=["log10_activation_rms"])
    assert "Trace of MLP" in repr(only)
    sweep = gl.Sweep(depth=2, width=4, activation="tanh", init="he_normal", seeds=2, batch=8)
    gl.run(sweep, out=tmp_path / "run", progress=False)
    run = gl.load(tmp_path / "run")
    assert "tanh" in repr(run) and fits(repr(run)) and "network: 1" in run._repr_markdown_()
