"""What a diagnosis hands back: a verdict, pages that say it, a frame that every plot reads, JSON that holds it."""

import json
import math

import numpy as np
import pytest

import gradlab as gl
from gradlab import plots
from gradlab._errors import GradlabError
from gradlab._types import SCHEMA_VERSION
from gradlab.diagnosis import words
from gradlab.diagnosis.baseline import Baseline
from gradlab.diagnosis.diagnosis import Diagnosis, Unhealthy
from gradlab.diagnosis.evidence import Suspects
from gradlab.diagnosis.findings import Finding, Margin, Outcome, Remedy, Rule
from gradlab.diagnosis.sites import Coverage, Unseen

from .hand_made import dense

REMEDIES = (
    Remedy("multiply the weights by 4.3", 4.3, (Outcome("factor per layer", 0.234, 1.0, 0.99),)),
    Remedy("add residual branches", not_tried="that changes the code"),
)
VANISHING = Finding(Rule.GL001, "error", ("dense_1", "dense_2"), "0.234 per layer.", -3.8, -1.0, REMEDIES)
FROZEN = Finding(Rule.GL012, "info", ("dense_3/kernel",), "It stands behind stop_gradient.")
NEAR = Margin(Rule.GL002, 0.3, 1.0, "dense_2", "decades")
BLIND = Margin(Rule.GL005, silent="no activation has limits")


@pytest.fixture(scope="module")
def sick():
    return Diagnosis(dense(6, backward=-0.63), (VANISHING, FROZEN), (NEAR, BLIND), "my_loss", seconds={"look": 1.25})


@pytest.fixture(scope="module")
def well():
    suspects = Suspects(
        (-0.5, -0.5001), 1e-3, ((1e-6, -3.0), (1e-3, 0.99), (0.1, 0.4), (1.0, -2.0)), ("the batch has one example",)
    )
    return Diagnosis(dense(6, samples=4, noise=0.02, suspects=suspects), (FROZEN,), (NEAR, BLIND))


def test_healthy_is_nothing_of_warning_or_above(sick, well):
    assert well.healthy and not sick.healthy
    assert [f.kind for f in sick.at_least("warning")] == ["vanishing"] and well.at_least("info") == (FROZEN,)
    well.raise_if("warning")
    with pytest.raises(Unhealthy, match="GL001 vanishing, error") as told:
        sick.raise_if("error")
    assert isinstance(told.value, AssertionError) and str(told.value) == str(sick)
    blind = Diagnosis(dense(3), (), (), no_verdict="the interpreted loss is 2.1, the model's own 2.3")
    assert not blind.healthy and "Healthy" not in str(blind)
    for text in (str(blind), blind.to_markdown()):
        assert "No verdict: the interpreted loss is 2.1" in text
    with pytest.raises(Unhealthy, match="No verdict"):
        blind.raise_if("error")


def test_the_rate_is_that_of_the_main_chain_with_an_interval_where_there_are_samples(sick):
    assert sick.rate.value == pytest.approx(10**-0.63) and not sick.rate.has_interval
    several = Diagnosis(dense(8, backward=-0.63, forward=0.1, samples=5, noise=0.01), (), ())
    assert several.rate.low < 10**-0.63 < several.rate.high
    assert "dense_*, 8 layers: each multiplies the delta by 0.23" in str(several)
    assert several.chain.value.value == pytest.approx(10**0.1, rel=0.02)


def test_the_first_line_of_the_terminal_page_is_the_coverage(sick):
    unseen = Unseen("custom_vjp", "flash_attention", "model.py:31", 3)
    partly = Diagnosis(dense(3, coverage=Coverage(41, 44, (unseen,))), (), ())
    assert str(partly).splitlines()[0] == "loss_fn: 41 of 44 products seen; 3 inside custom_vjp flash_attention"
    assert "Not looked into: 3 products inside custom_vjp flash_attention (model.py:31)." in partly.to_markdown()
    assert str(sick).splitlines()[1] == "1 error, and 1 note."
    assert "One sample: no number has an interval" in str(sick) and "One sample" in sick.to_markdown()


def test_remedies_are_a_table_of_before_predicted_and_after(sick):
    assert "multiply the weights by 4.3 (factor per layer: 0.234 before, 1 predicted, 0.99 after)" in str(sick)
    assert "add residual branches (not tried: that changes the code)" in str(sick)
    page = sick.to_markdown()
    assert "| multiply the weights by 4.3 | factor per layer | 0.234 | 1 | 0.99 |" in page
    assert "| add residual branches | – | – | – | not tried: that changes the code |" in page
    assert "It took: look 1.2 s." in page or "It took: look 1.3 s." in page


def test_healthy_is_an_answer(well):
    """Every rule with its margin, what was not examined, and what to look at next with what was tried."""
    page, screen = well.to_markdown(), str(well)
    for text in (page, screen):
        assert "Healthy: 1 rule looked and found nothing wrong, and 1 note." in text
        assert all(rule.name in text for rule in Rule)
        assert "0.3 decades at dense_2; the line is 1" in text and "no activation has limits" in text
        assert "the loss falls as the gradient promises up to a rate of 0.001" in text
        assert "by less than half of that from 0.1 on, and rises from 1 on" in text
        assert "-0.5 by a finite difference, -0.5 by the gradient; they agree" in text
        assert "The batch has one example." in text and "not tried: look at inputs beside their labels" in text
    assert "4 samples, of different batches" in screen


def test_the_terminal_page_draws_three_bars_a_layer_and_keeps_to_a_screen(sick):
    lines = str(sick).splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("layer "))
    assert "signal" in lines[head] and "delta" in lines[head] and "weight gradient" in lines[head]
    rows = lines[head + 1 :]
    assert [row.split()[0] for row in rows] == [*(f"dense_{i}" for i in range(1, 7)), "head"]
    assert rows[0].endswith("GL001") and rows[2].endswith("GL012") and not rows[3].endswith(("GL001", "GL012"))
    delta = [row.split()[3] + row.split()[4] for row in rows]
    assert rows[0].count("█") < rows[5].count("█") and "2e-5" in delta[0]
    long = str(Diagnosis(dense(200, stacked=True), (), ()))
    assert len([line for line in long.splitlines() if line.startswith("blocks/up[")]) <= 40
    assert "Of 201 layers these are shown" in long


def test_what_is_not_finite_is_said_in_its_place(sick):
    signals = {name: values.copy() for name, values in sick.evidence.signals.items()}
    signals["delta_not_finite"][0, 2] = 5
    signals["log10_delta_rms"][0, 2] = -np.inf  # of what is left
    d = Diagnosis(sick.evidence.replace(signals=signals), (), ())
    (line,) = [line for line in str(d).splitlines() if line.startswith("dense_2")]
    assert line.split()[3] == "NaN" and np.isnan(d.frame["log10_delta_rms"].iloc[1])
    assert d.frame["status"].iloc[1] == "not finite: delta"


def test_the_frame_is_the_houses_own(sick, well):
    frame = well.frame
    assert list(frame["layer_name"][:7]) == [*(f"dense_{i}" for i in range(1, 7)), "head"]
    assert frame["seed"].nunique() == 4 and (frame["step"] == 0).all() and frame.attrs["schema"] == SCHEMA_VERSION
    means = gl.summarise(frame, ["layer"], "log10_delta_rms")
    assert (means["n"] == 4).all()
    assert sick.frame["log10_weight_grad_norm"].iloc[0] == pytest.approx(-1 - 6 * 0.63)
    for draw in (plots.gradient_flow, plots.layer_gradients):
        assert "dense_1" in plots.caption(draw(sick.frame))


def test_html_is_one_file_with_the_figure_inside(sick):
    page = sick.to_html()
    assert page.startswith("<!doctype html>") and "data:image/" in page and "<script" not in page
    assert "GL001 vanishing" in page and 'src="layers' not in page
    part = sick._repr_html_()
    assert "data:image/png;base64," in part and "<table>" in part and "<html" not in part


def test_a_strangers_names_are_shown_and_not_obeyed():
    bad = "<script>alert(1)</script>|[x](http://y)\x1b[31m$x$"
    finding = Finding(Rule.GL001, "error", (bad,), f"it is {bad}")
    d = Diagnosis(dense(6, names=[bad, *"abcde"]), (finding,), (), name=bad)
    page = d.to_html()
    assert "<script" not in page and "<a href" not in page and "&lt;script&gt;" in page
    assert "<script" not in d._repr_html_()
    assert "\x1b" not in str(d) and "\x1b" not in d.to_markdown()
    assert "\\<script\\>" in d.to_markdown()


def finite(value):
    """All numbers of a stored diagnosis."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def test_the_dict_is_json_without_bare_infinities(sick):
    evidence = sick.evidence
    signals = {name: values.copy() for name, values in evidence.signals.items()}
    signals["log10_delta_rms"][0, 0] = -np.inf
    d = Diagnosis(evidence.replace(signals=signals), sick.findings, sick.margins)
    stored = json.loads(json.dumps(d.to_dict(), allow_nan=False))
    assert finite(stored) and stored["layers"][0]["log10_delta_rms"] == "-inf"
    assert stored["layers"][0]["findings"] == ["GL001"] and not stored["healthy"]
    assert stored["findings"][0]["remedies"][0]["outcomes"][0] == {
        "what": "factor per layer", "before": 0.234, "predicted": 1.0, "after": 0.99,
    }  # fmt: skip
    assert stored["findings"][1]["value"] is None and {m["rule"] for m in stored["margins"]} >= {"GL002", "GL021"}


def change(finding, **fields):
    import dataclasses

    return dataclasses.replace(finding, **fields)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (VANISHING, []),
        (change(VANISHING, value=-3.9), []),
        (change(VANISHING, value=-4.5), []),
        (change(VANISHING, value=-9.0), ["GL001 vanishing is at -9, far beyond what it was"]),
        (change(VANISHING, layers=("dense_2", "dense_3")), ["GL001 vanishing has reached dense_3"]),
        (change(VANISHING, severity="warning"), []),
        (Finding(Rule.GL006, "warning", ("dense_1",), "dead"), ["GL006 dead is new"]),
        (Finding(Rule.GL012, "info", ("dense_1",), "frozen"), []),
    ],
)
def test_only_what_is_worse_than_the_baseline_is_news(sick, now, told, tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps(sick.to_dict()))
    assert Baseline.of(path).worse(Diagnosis(sick.evidence, (now,), ())) == told


def test_seeing_less_than_the_baseline_is_worse(sick):
    old = Baseline.of(sick.to_dict())
    fewer = sick.evidence.replace(coverage=Coverage(5, 7))
    assert old.worse(Diagnosis(fewer, (), ())) == ["2 products cannot be seen any more"]
    assert old.worse(Diagnosis(sick.evidence, (), (), no_verdict="x")) == ["there is no verdict any more"]
    graver = Baseline.of(Diagnosis(sick.evidence, (change(VANISHING, severity="warning"),), ()).to_dict())
    assert graver.worse(sick) == ["GL001 vanishing is an error now"]


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", '{"findings": [{"rule": "GL999"}]}', '{"findings": 3}', "[" * 100_000, "\x00",
             '{"findings": [], "coverage": {"products": 1e999, "seen": 0}, "no_verdict": ""}'],
)  # fmt: skip
def test_a_crafted_baseline_is_one_message(text, tmp_path):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(GradlabError, match="expected"):
        Baseline.of(path)
    with pytest.raises(GradlabError, match="which is not there"):
        Baseline.of(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([f"blocks/key/bias[{i}]" for i in range(200)] + ["head/w"], "blocks/key/bias[0…199], head/w"),
        ([f"block_{i}/bias" for i in (7, 0, 1, 2, 4, 8)], "block_{0…2, 4, 7, 8}/bias"),
        ([f"s{j}/b{i}/w" for j in range(2) for i in range(4)], "s0/b{0…3}/w, s1/b{0…3}/w"),
        ([f"layer{i:02d}" for i in (8, 9, 10, 11, 12, 14)], "layer{08…12, 14}"),
        (["a1", "b2", "c3", "d4", "e5", "f6", "g7"], "a1, b2, c3, d4, e5 and 2 more"),
        (["w[2]", "w[1]", "w[0]"], "w[2], w[1], w[0]"),
    ],
)
def test_long_lists_of_layers_are_shown_in_groups(names, shown):
    assert words.layers(names) == shown
