"""The page's table of theory: measured and predicted rate of one functional, their ratio, and refusals by name."""

import pytest

from gradlab.config import MLPConfig
from gradlab.data import load
from gradlab.frames.files import Run
from gradlab.frames.rows import frame
from gradlab.networks.mlp import MLP
from gradlab.reporting import theory
from gradlab.reporting.content import Content
from gradlab.reporting.origin import Origin
from gradlab.reporting.page import report
from gradlab.reporting.words import paren
from gradlab.theory.prediction import predict
from tests.reporting.report_frames import grid, run_of, trace

pytestmark = pytest.mark.usefixtures("without_figures")


def cells(page, start, table=0):
    section = page.split("### Theory beside measurement\n")[1].split("\n### ")[0]
    lines = [line for line in section.splitlines() if line.startswith(start)]
    return [cell.strip() for cell in lines[table].strip("|").split("|")]


def whole(table):
    """The table with the geometric mean over examples: of them the deltas are equally large."""
    return table.assign(delta_log10_mean=table["log10_delta_rms"])


def run(configs, request, per_layer=-0.1):
    return Run(frame([trace(c, per_layer) for c in configs]), {"request": request}, {}, "runs/x")


def test_measured_predicted_ratio_and_interval(table, tmp_path):
    page = report(run_of(whole(table)), out=tmp_path).read_text()
    label, depth, measured, predicted, ratio, interval, basis, _ = cells(page, "| ReLU, He normal |")
    assert (label, depth, basis) == ("ReLU, He normal", "32", "M/n")
    law = 1 - 2.5 / 128 / 2  # E ln r = -5/(2n), Hanin & Nica 2020
    assert float(predicted) == pytest.approx(law, abs=1e-4)
    assert float(ratio) == pytest.approx(10**0.0005 / law, abs=1e-3)
    low, high = map(float, interval.strip("\\[]").split(", "))
    assert low < float(ratio) < high and measured.startswith("1.00")
    _, _, _, predicted, *_ = cells(page, "| sigmoid, Xavier normal |")
    net = MLP(depth=32, activation="sigmoid", init="xavier_normal")
    found = predict(net, load("digits", batch=128).x, columns=["delta_log10_mean"])
    # four digits, and eight examples for 128
    assert float(predicted) == pytest.approx(found.rate_of("delta_log10_mean"), rel=3e-4)
    text = page.split("### Theory beside measurement")[1].split("###")[0]
    assert "each example by itself (delta_log10_mean): geometric mean over init" in text and "95 % interval" in text
    assert "8 quantiles of their mean squares" in text


def test_every_network_has_its_ratio(table, tmp_path):
    page = report(run_of(whole(table)), out=tmp_path).read_text()
    assert "Measured over predicted at every depth" in page
    for label in ("| ReLU, He normal |", "| sigmoid, Xavier normal |", "| tanh, He normal |"):
        deepest, (_, *ratios) = cells(page, label), cells(page, label, 1)
        low, high = map(float, deepest[5].strip("\\[]").split(", "))
        assert len(ratios) == 2 and ratios[1] == paren(float(deepest[4]), low, high)
    assert cells(page, "| ReLU, He normal |", 1)[1].startswith("1.01")
    single = report(run_of(whole(grid(depths=(8,)))), out=tmp_path / "single").read_text()
    assert "at every depth" not in single


def test_the_row_says_where_variances_are_measured_ones():
    """tanh with Xavier normal weights has no stable fixed point, so no M/n."""
    config = MLPConfig(depth=8, activation="tanh", init="xavier_normal")
    table = frame([trace(config, -0.05)]).assign(delta_log10_mean=lambda t: t["log10_delta_rms"])
    about = Content(run_of(table))
    page = theory.beside(
        about.frames, about.rates, about.labels, [Origin("", {"depth": [8], "activation": ["tanh"]})]
    ).markdown()
    assert cells("### Theory beside measurement\n" + page, "| tanh, Xavier normal |")[6] == "measured variances"
    assert "from measured variances" in page and "(a variance that shrinks for ever)" in page


def test_a_rate_of_another_mean_is_not_compared(table, tmp_path):
    page = report(run_of(table), out=tmp_path).read_text()
    assert cells(page, "| ReLU, He normal |")[3:7] == ["–"] * 4
    assert "theory's is a root mean square; delta" in page


def test_the_functional_of_finite_width_where_it_was_measured():
    table = grid(depths=(8,))
    table["delta_log10_mean"] = table["log10_delta_rms"] + 0.01
    about = Content(run_of(table))
    request = {"depth": [8], "activation": ["sigmoid", "relu", "tanh"], "seeds": 4}
    page = theory.beside(about.frames, about.rates, about.labels, [Origin("", request)]).markdown()
    assert "each example by itself (delta_log10_mean)" in page and "with the finite-width term M/n" in page
    _, _, _, predicted, _, _, basis, _ = cells("### Theory beside measurement\n" + page, "| ReLU, He normal |")
    assert float(predicted) == pytest.approx(1 - 2.5 / 128 / 2, abs=3e-4)  # E ln r = -5/(2n), Hanin & Nica 2020
    assert basis == "M/n"


def test_refusals_are_named(tmp_path):
    configs = [MLPConfig(depth=4, activation="tanh", norm="layer"), MLPConfig(depth=4, activation="tanh")]
    request = {"depth": [4], "activation": ["tanh"], "init": ["he_normal"], "seeds": 4}
    request["norm"] = [None, "layer"]
    page = report(run(configs, request), out=tmp_path).read_text()
    assert cells(page, "| tanh, He normal, norm layer |")[3:7] == ["–"] * 4
    letter = cells(page, "| tanh, He normal, norm layer |")[7]
    assert f"- *{letter}*: no prediction: mean field asks for a network without normalisation" in page


def test_no_table_where_the_networks_are_not_known(tmp_path):
    configs = [MLPConfig(depth=4, activation="tanh")]
    for request in ({"depth": [5], "activation": ["relu"]}, {"depth": "deep"}, {"unknown": 3}, {}):
        page = report(run(configs, request), out=tmp_path).read_text()
        assert "Theory beside measurement" not in page
    arrays = {"depth": [4], "activation": ["tanh"], "init": ["he_normal"], "data": "arrays"}
    assert "mean square 1" in report(run(configs, arrays), out=tmp_path).read_text()
