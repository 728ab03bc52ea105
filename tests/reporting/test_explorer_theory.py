"""The page of theory: its script computes what gradlab.theory computes, and a slider moves the numbers."""

import json
import math
import re

import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.cli import main
from gradlab.config import ACTIVATIONS
from tests.browser import Browser, needs_browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("theory") / "theory.html"
    assert main(["theory", "--sigma-w2", "1.76", "--sigma-b2", "0.05", "--explore", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def browser(page):
    with Browser() as one:
        one.open(page)
        yield one


def test_the_page_holds_the_example_frame(page):
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text())[1])
    assert data["first"] == {"activation": "tanh", "w": 1.76, "b": 0.05, "depth": 32}
    assert list(data["activations"]) == list(ACTIVATIONS)
    rows = gl.example("depth")
    (one,) = [m for m in data["measured"] if m["label"] == "tanh, He normal, depth 8"]
    own = rows[(rows["activation"] == "tanh") & (rows["init"] == "he_normal") & (rows["depth"] == 8)]
    means = gl.summarise(own[own["layer"] <= 8], "layer", "log10_delta_rms")["mean"]
    # the page has four decimals
    np.testing.assert_allclose(one["delta"], means, rtol=0, atol=0.5e-4 * (1 + 1e-9))
    assert (one["w"], one["b"], one["seeds"]) == (2.0, 0.0, 3)
    assert len(data["measured"]) == rows["network"].nunique()


@pytest.mark.parametrize("wrong", [{"activation": "tangh"}, {"sigma_w2": -1.0}, {"q0": 0.0}, {"out": "page.pdf"}])
def test_a_request_that_cannot_be_met_is_named(wrong, tmp_path):
    with pytest.raises(GradlabError):
        gl.explore_theory(**{"out": tmp_path / "a.html", **wrong})


def from_page(browser, expression):
    """The value of an expression, whose infinite numbers are kept as text."""
    kept = f"JSON.stringify({expression}, (_, v) => typeof v === 'number' && !Number.isFinite(v) ? String(v) : v)"
    return json.loads(browser(kept))


def number(value):
    return float(str(value).replace("Infinity", "inf"))


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_script_computes_what_python_computes(browser, activation):
    table = "Gaussian.activations(JSON.parse(document.getElementById('data').textContent).constants)"
    for sigma_w2, sigma_b2 in ((0.9, 0.0), (1.76, 0.05), (2.5, 0.3), (4.1, 0.02)):
        ours = gl.theory.mean_field(activation, sigma_w2=sigma_w2, sigma_b2=sigma_b2)
        theirs = from_page(browser, f"MeanField.meanField({table}.{activation}, {sigma_w2}, {sigma_b2})")
        assert theirs["phase"] == ours.phase
        for name in ("q_star", "chi1", "chi_q", "c_star", "chi_c"):
            expected = getattr(ours, name)
            if not 0 < abs(expected) < math.inf or math.isnan(expected):
                np.testing.assert_equal(number(theirs[name]), expected, err_msg=name)
                continue
            # the quadratures of one variable hold to 1e-10, those of two to 1e-8; c* is where a map of slope
            # chi_c meets the diagonal, which divides its error by 1 - chi_c
            room = 1e-10 if name in ("q_star", "chi1", "chi_q") else 1e-8 / max(abs(1 - ours.chi_c), 1e-3)
            assert number(theirs[name]) == pytest.approx(expected, rel=max(room, 1e-10)), name
        path = gl.theory.transients(activation, sigma_w2=sigma_w2, sigma_b2=sigma_b2, depth=8)
        drawn = from_page(browser, f"MeanField.profile({table}.{activation}, {sigma_w2}, {sigma_b2}, 8)")
        np.testing.assert_allclose(drawn["logq"], path.log_q, rtol=1e-9, atol=1e-9)
        net = gl.MLP(depth=8, activation=activation, init="gaussian", sigma_w2=sigma_w2, sigma_b2=sigma_b2)
        delta = gl.theory.predict(net, q0=1.0).columns["log10_delta_rms"][:8]
        np.testing.assert_allclose(drawn["delta"], delta, rtol=1e-9, atol=1e-9)


@needs_browser
@pytest.mark.slow
def test_correlations_are_those_of_the_maps(browser):
    maps = gl.theory.mean_field_maps("tanh", sigma_w2=1.76, sigma_b2=0.05)
    table = "Gaussian.activations(JSON.parse(document.getElementById('data').textContent).constants)"
    some = maps.c[::20].tolist()
    drawn = from_page(browser, f"MeanField.correlationMap({table}.tanh, 1.76, 0.05, {maps.q_of_map!r}, {some})")
    np.testing.assert_allclose(drawn, maps.correlation[::20], rtol=0, atol=1e-8)


@needs_browser
@pytest.mark.slow
def test_the_critical_tanh_network_shows_one_and_a_slider_moves_it(browser, page):
    browser.open(page)
    assert browser.text("#chi1") == "1.00"
    browser.focus("#w")
    browser.press("ArrowRight", 24)
    assert browser("document.getElementById('w').value") == "2"
    expected = gl.theory.mean_field("tanh", sigma_w2=2.0, sigma_b2=0.05).chi1
    assert browser.text("#chi1") == f"{expected:.3g}" and float(browser.text("#chi1-exact")) == float(f"{expected:.5g}")
    assert "explode" in browser.text("#headline") and browser("location.hash") == "#w=2"
    fragment = browser("location.hash")[1:]
    browser.open(page, fragment)
    assert browser("document.getElementById('w-number').value") == "2"
    assert browser.troubles() == []


@needs_browser
@pytest.mark.slow
def test_measured_points_stand_beside_theory_and_formats_end(browser, page):
    browser.open(page)
    assert "measured" not in browser.text("#legend")
    browser("(() => { const list = document.getElementById('measured'); const wanted = [...list.options]"
            ".find((o) => o.text === 'sigmoid, Xavier normal, depth 32'); list.value = wanted.value; "
            "list.dispatchEvent(new Event('change')); })()")  # fmt: skip
    assert browser("document.getElementById('activation').value") == "sigmoid"
    assert "delta, measured" in browser.text("#legend") and browser("document.querySelectorAll('.floor').length") == 2
    first = gl.theory.predict(gl.MLP(depth=32, width=64, activation="sigmoid", init="xavier_normal"), q0=1.0).decades()
    shown = browser.text("#first-over-last").removeprefix("10").replace("−", "-")
    assert float(shown) == pytest.approx(first, abs=0.0051)  # two decimals
    assert browser.troubles() == []


@needs_browser
@pytest.mark.slow
def test_a_phone_scrolls_in_one_direction(browser, page):
    browser.resize(390, 844)
    browser.open(page, "activation=gelu&w=2&b=0.1")
    assert browser("document.documentElement.scrollWidth") <= 390
    browser.resize(1280, 900)
    assert browser.troubles() == []
