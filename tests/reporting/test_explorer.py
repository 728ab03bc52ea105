"""The explorer: a file of its own that holds the frame's numbers; in a browser it shows them as they were asked for."""

import json
import re

import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab._text import script
from gradlab.config import MLPConfig
from gradlab.frames.rows import concat, frame
from gradlab.reporting import explorer_data
from gradlab.reporting.pieces import pieces
from tests.browser import Browser, needs_browser
from tests.reporting.report_frames import trace

NAME = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>\u2028"


def page_data(path):
    """The data that lie in a page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())[1])


def deep():
    """A network whose delta falls to 10^-630, and one with a delta that is exactly 0."""
    fallen = trace(MLPConfig(depth=8, activation="sigmoid"), -90.0)
    dead = trace(MLPConfig(depth=8, activation="tanh"), 0.0)
    dead.columns["log10_delta_rms"][:, 0] = -np.inf
    return concat([frame(fallen), frame(dead)])


def test_the_page_holds_the_means_and_seeds_of_the_frame(table, tmp_path):
    data = page_data(gl.explore(table, out=tmp_path / "page.html"))
    assert len(data["networks"]) == table["network"].nunique() == len(data["places"])
    labels = {n["label"]: i for i, n in enumerate(data["networks"])}
    assert len(labels) == len(data["networks"])
    rows = table[(table["network"] == table["network"].iloc[-1]) & (table["layer_name"] != "readout")]
    (at,) = {labels[text] for text in labels if text.startswith("tanh") and text.endswith("depth 32")}
    held = data["values"]["log10_delta_rms"][at]
    wide = rows.pivot(index="seed", columns="layer", values="log10_delta_rms")
    # each number is rounded to four decimals
    np.testing.assert_allclose(held["s"], wide, rtol=0, atol=0.5e-4 * (1 + 1e-9))
    means = gl.summarise(rows, "layer", "log10_delta_rms")
    for name, column in (("m", "mean"), ("l", "low"), ("h", "high")):
        np.testing.assert_allclose(held[name], means[column], rtol=0, atol=0.5e-4 * (1 + 1e-9))
    table_of_rates = gl.rates(rows)
    assert data["places"][at]["verdict"] == str(table_of_rates["verdict"].iloc[0])


def test_what_is_absent_infinite_or_far_is_told_apart(tmp_path):
    data = page_data(gl.explore(deep(), out=tmp_path / "page.html"))
    fallen, dead = data["values"]["log10_delta_rms"]
    assert fallen["m"][0] == pytest.approx(-721, abs=0.1) and dead["m"][0] == "-"
    assert explorer_data._numbers("weight_norm", [np.nan, np.inf, 123.456789]) == [None, "+", 123.46]


def test_networks_that_failed_are_counted(table_with_failures, tmp_path):
    data = page_data(gl.explore(table_with_failures, out=tmp_path / "page.html"))
    assert data["failed"] == 1 and len(data["networks"]) == table_with_failures["network"].nunique() - 1


def test_no_name_leaves_the_data(table, tmp_path):
    names = table.assign(data=NAME, run=[NAME if i % 2 else "plain" for i in range(len(table))])
    path = gl.explore(names, title=NAME, out=tmp_path / "page.html")
    text = path.read_text()
    assert NAME not in text and text.count("</script>") == 3 and "onerror=alert(1)>" not in text
    assert any(NAME.strip() in entry for c in page_data(path)["coordinates"] for entry in c["values"])
    assert json.loads(script(json.dumps(NAME, ensure_ascii=False))) == NAME
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg|http-equiv", "", text)


def test_a_page_that_would_be_too_large_says_what_it_lacks(table, tmp_path, monkeypatch):
    whole = page_data(gl.explore(table, out=tmp_path / "whole.html"))
    assert not whole["left_out"] and not whole["without_seeds"]
    size = len(json.dumps([whole["values"]["log10_delta_rms"]], separators=(",", ":")))
    used = len(json.dumps([whole["places"], whole["networks"], whole["texts"]], separators=(",", ":")))
    monkeypatch.setattr(explorer_data, "LARGEST", used + size)
    small = page_data(gl.explore(table, value="log10_delta_rms", out=tmp_path / "small.html"))
    assert small["left_out"] and "log10_delta_rms" in small["columns"]
    assert set(small["values"]) == set(small["columns"]) < set(whole["columns"])
    monkeypatch.setattr(explorer_data, "LARGEST", used + 10)
    with pytest.raises(GradlabError, match="fit into one page"):
        gl.explore(table, out=tmp_path / "none.html")


def test_theory_is_the_line_that_figures_draw(tmp_path):
    rows = gl.example("depth")
    net = gl.MLP(depth=32, width=64, activation="tanh", init="he_normal")
    rows = rows[(rows["depth"] == 32) & (rows["activation"] == "tanh")]
    theory = gl.predict_all(net, q0=1.0)
    data = page_data(gl.explore(rows, theory=theory, out=tmp_path / "page.html"))
    (place,) = [p for p in data["places"] if data["networks"][p["network"]]["label"] == "He normal"]
    own = rows[rows["init"] == "he_normal"]
    axes = gl.plots.gradient_flow(own, value="log10_delta_rms", theory=theory)
    (drawn,) = [line for line in axes.lines if line.get_gid() == "theory"]
    np.testing.assert_allclose(place["theory"]["log10_delta_rms"]["v"], drawn.get_ydata(), rtol=0, atol=1e-4)
    other = next(p for p in data["places"] if p is not place)
    assert data["texts"][other["theory"]["log10_delta_rms"]["why"]] and "predicted" not in other


@pytest.mark.parametrize(
    ("value", "out", "told"), [("log10_delta", "page.html", "log10_delta_rms"), (None, "page.htm", "ends in .html")]
)
def test_a_request_that_cannot_be_met_is_named(table, tmp_path, value, out, told):
    with pytest.raises(GradlabError, match=told):
        gl.explore(table, value=value, out=tmp_path / out)


@pytest.mark.slow
def test_a_report_writes_the_explorer_beside_its_page(tmp_path, without_figures):
    folder = tmp_path / "run"
    net = {"depth": [3], "width": 8, "activation": "tanh", "init": "he_normal"}
    gl.run(gl.Sweep(**net, batch=8, seeds=2), out=folder, progress=False)
    page = gl.report(folder, explore=True)
    data = page_data(page.with_name("explore.html"))
    assert data["places"][0]["predicted"] and data["places"][0]["theory"]["delta_log10_mean"]["v"]


def test_labels_in_pieces():
    assert pieces(r"rms $\partial L\,/\,\partial W_{ij}$  [1]") == [
        ["rms ∂L\u2009/\u2009∂W", ""],
        ["ij", "sub"],
        ["  [1]", ""],
    ]


@pytest.fixture(scope="module")
def browser():
    with Browser() as one:
        yield one


@needs_browser
@pytest.mark.slow
def test_the_slider_steps_through_training_and_the_address_keeps_it(browser, table, tmp_path):
    later = concat([table, table.assign(step=10, log10_delta_rms=table["log10_delta_rms"] - 2)])
    page = gl.explore(later, out=tmp_path / "page.html")
    browser.open(page)
    browser.focus("#chart")
    browser.press("ArrowRight")
    first = browser.text("#value")
    browser.focus("#step")
    browser.press("ArrowRight")
    assert browser.text("#step-value") == "10" and browser("location.hash").startswith("#step=10")
    second = browser.text("#value")
    power = lambda text: float(re.search(r"10([−\d.]+)", text)[1].replace("−", "-"))
    # each is a mean that was rounded to four decimals
    assert power(second) - power(first) == pytest.approx(-2, abs=1.01e-4)
    fragment = browser("location.hash")[1:]
    browser.open(page, fragment)
    assert browser.text("#value") == second and browser.text("#step-value") == "10"
    assert browser.troubles() == []


@needs_browser
@pytest.mark.slow
def test_a_point_shows_its_value_far_outside_the_range_of_a_double(browser, tmp_path):
    rows = deep()
    page = gl.explore(rows, out=tmp_path / "page.html")
    browser.open(page)
    browser.focus("#chart")
    browser.press("Home")
    mean = gl.summarise(rows[rows["activation"] == "sigmoid"], "layer", "log10_delta_rms")["mean"].iloc[0]
    assert mean < -600
    assert browser.text("#value").startswith(f"10−{-mean:.4f}"), browser.text("#value")
    browser("document.querySelectorAll('#table button')[1].click()")
    assert browser.text("#value") == "exactly 0"
    # the pointer finds the same point that the keyboard found
    x, y = browser("(() => { const box = document.querySelector('circle').getBoundingClientRect(); "
                   "return [box.x + box.width / 2, box.y + box.height / 2]; })()")  # fmt: skip
    browser.press("Escape")
    browser("document.activeElement.blur()")
    browser.mouse("mouseMoved", x + 3, y - 3)
    browser.frame()
    assert browser.text("#value") == "exactly 0"
    assert browser.troubles() == []


@needs_browser
@pytest.mark.slow
def test_filters_columns_and_a_drag_over_the_layers(browser, table, tmp_path):
    browser.open(gl.explore(table, out=tmp_path / "page.html"))
    lines = lambda: browser("document.querySelectorAll('path.mean').length")
    before = lines()
    browser("document.querySelector('#filters input[data-coordinate=activation]:checked').click()")
    assert 0 < lines() < before and "f.activation=" in browser("location.hash")
    browser("(() => { const y = document.getElementById('y'); y.value = 'log10_weight_grad_norm'; "
            "y.dispatchEvent(new Event('change')); })()")  # fmt: skip
    assert "weight grad" in browser("document.getElementById('chart').textContent")
    left, top, width, height = browser("(() => { const b = document.getElementById('chart').getBoundingClientRect(); "
                                       "return [b.x, b.y, b.width, b.height]; })()")  # fmt: skip
    browser.mouse("mousePressed", left + 0.4 * width, top + 0.5 * height)
    for share in (0.5, 0.6, 0.7):
        browser.mouse("mouseMoved", left + share * width, top + 0.5 * height, pressed=True)
    browser.mouse("mouseReleased", left + 0.7 * width, top + 0.5 * height)
    browser.frame()
    shown = browser("[Number(document.getElementById('from').value), Number(document.getElementById('to').value)]")
    assert 1 < shown[0] < shown[1] and "factor per layer" in browser.text("#table")
    browser("document.getElementById('reset').click()")
    assert browser("location.hash") == "" and lines() == before
    assert browser.troubles() == []


@needs_browser
@pytest.mark.slow
def test_names_from_the_data_are_text_and_a_phone_scrolls_in_one_direction(browser, table, tmp_path):
    names = table.assign(run=[NAME if i % 2 else "plain" for i in range(len(table))])
    page = gl.explore(names, title=NAME, out=tmp_path / "page.html")
    browser.open(page)
    assert browser("document.title") != "taken" and browser("document.images.length") == 0
    browser.resize(390, 844)
    browser.open(page)
    assert browser("document.documentElement.scrollWidth") <= 390
    browser.resize(1280, 900)
    assert browser.troubles() == []
