"""Rate, decades and shape: known profiles come back, intervals cover, and nothing is left out in silence."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gradlab._errors import GradlabError
from gradlab.measurement.slope import Decades, interval_text, rate


def exponential(per_layer, depth, seeds=1, noise=0.0, rng=None):
    """Profiles whose steps from layer to layer are `per_layer` decades, with independent noise."""
    rng = np.random.default_rng(0) if rng is None else rng
    steps = per_layer + noise * rng.standard_normal((seeds, depth - 1))
    return np.concatenate([np.zeros((seeds, 1)), np.cumsum(steps, axis=1)], axis=1) - 300.0


def power_law(exponent, depth, seeds=1, noise=0.0, drift=0.0, rng=None):
    law = exponent * np.log10(np.arange(1, depth + 1))
    return law + exponential(drift, depth, seeds, noise, rng)


def with_interval(value, low, high, depth, seeds):
    """Profiles of which the rate has this value and, at 95 %, this interval."""
    spread = np.linspace(-1, 1, seeds)
    half = stats.t.ppf(0.975, seeds - 1) * spread.std(ddof=1) / math.sqrt(seeds)
    decades = (depth - 1) * (math.log10(value) + spread * math.log10(high / low) / 2 / half)
    return -decades[:, None] * np.linspace(0, 1, depth)


# --- rate and interval -------------------------------------------------------------------


@given(st.floats(-50, 50), st.integers(2, 200), st.floats(-6000, 6000))
@settings(max_examples=50, deadline=None)
def test_the_rate_of_an_exact_exponential_comes_back_at_any_scale(per_layer, depth, shift):
    r = rate(exponential(per_layer, depth) + shift)
    assert math.isclose(math.log10(r.value), -per_layer, abs_tol=1e-9)
    assert math.isclose(r.decades.value, -per_layer * (depth - 1), rel_tol=1e-12, abs_tol=1e-9)


def test_geometric_mean_and_t_interval_are_those_of_scipy():
    deltas = exponential(0.1, 30, seeds=7, noise=0.05)
    r = rate(deltas, level=0.9)
    logs = (deltas[:, 0] - deltas[:, -1]) / 29
    low, high = stats.t.interval(0.9, 6, loc=logs.mean(), scale=stats.sem(logs))
    assert np.allclose([r.value, r.low, r.high], 10.0 ** np.array([logs.mean(), low, high]), rtol=1e-12)
    assert np.allclose([r.decades.low, r.decades.high], [29 * low, 29 * high], rtol=1e-12)
    assert (r.layers, r.seeds, r.level) == ((1, 30), 7, 0.9)


@pytest.mark.parametrize("seeds", [2, 5, 16])
def test_the_interval_covers_the_truth_as_often_as_it_says(seeds):
    rng = np.random.default_rng(seeds)
    trials = 2000
    covered = 0
    for _ in range(trials):
        d = rate(exponential(0.02, 4, seeds, noise=0.05, rng=rng)).decades
        covered += d.low <= -0.06 <= d.high
    error = math.sqrt(0.95 * 0.05 / trials)
    assert abs(covered / trials - 0.95) < 4 * error


@pytest.mark.parametrize(("seeds", "drawn", "why"), [(1, True, "fewer than 2"), (5, False, "weights were given")])
def test_without_an_interval_it_says_why(seeds, drawn, why):
    r = rate(exponential(0.1, 10, seeds, noise=0.01), drawn=drawn)
    assert why in r.note and why in str(r)
    assert math.isnan(r.low) and math.isnan(r.decades.high) and not r.has_interval
    assert math.isclose(math.log10(r.value), -0.1, abs_tol=0.02)


def test_dead_and_failed_seeds_are_counted_and_leave_the_others_alone():
    deltas = exponential(0.1, 10, seeds=6, noise=0.01)
    alone = rate(deltas[:3])
    deltas[3, 0] = -np.inf
    deltas[4, 5] = np.nan
    deltas[5, :2] = (np.inf, -np.inf)
    r = rate(deltas)
    assert (r.seeds, r.n_dead, r.n_failed) == (3, 1, 2)
    assert r.value == alone.value and r.decades == alone.decades
    assert "(95 %, 3 seeds, 1 dead, 2 failed, layers 1–10)" in str(r)


def test_with_no_usable_seed_there_is_no_rate_and_no_warning():
    r = rate(np.full((4, 10), -np.inf))
    assert math.isnan(r.value) and r.n_dead == 4 and r.seeds == 0
    assert str(r) == "no rate (0 seeds, 4 dead: no seed whose deltas are all finite and not zero)"
    with pytest.raises(GradlabError, match="no seed"):
        r.extrapolate(3)


def test_a_single_layer_has_no_rate():
    r = rate(np.zeros((3, 1)))
    assert math.isnan(r.value) and r.decades.value == 0 and "single layer" in str(r)
    with pytest.raises(GradlabError, match="single layer"):
        r.extrapolate(3)


def test_a_rate_beyond_a_double_is_inf_or_0_while_its_decades_are_numbers():
    assert rate(np.array([[6290.0, 0.0]])).value == math.inf
    r = rate(np.array([[-6290.0, 0.0]]))
    assert r.value == 0 and r.decades.value == -6290
    assert str(r).startswith("0.00 per layer")


@pytest.mark.parametrize("bad", [np.zeros(4), np.zeros((0, 4)), np.zeros((2, 0)), np.zeros((2, 3, 4))])
def test_other_shapes_are_refused(bad):
    with pytest.raises(GradlabError, match="seeds, layers"):
        rate(bad)


@pytest.mark.parametrize("level", [0, 1, 95, math.nan])
def test_a_level_outside_0_to_1_is_refused(level):
    with pytest.raises(GradlabError, match="level"):
        rate(np.zeros((2, 3)), level=level)


# --- shape -------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [5, 20, 100])
@pytest.mark.parametrize("seeds", [1, 10])
def test_noisy_exponentials_and_power_laws_are_told_apart(depth, seeds):
    # 1.5 decades over the depth; 0.043 decades per layer is the noise of a He ReLU net of width 128.
    rng = np.random.default_rng(depth + seeds)
    exponentials = [rate(exponential(1.5 / (depth - 1), depth, seeds, 0.043, rng)).shape for _ in range(300)]
    laws = [rate(power_law(1.5 / math.log10(depth), depth, seeds, 0.043, rng=rng)).shape for _ in range(300)]
    assert exponentials.count("algebraic") <= 0.01 * 300 + 4 * (0.01 * 300) ** 0.5
    missed = 0.1 if (depth, seeds) == (5, 1) else 0.01  # four increments and their noise tell little
    assert laws.count("algebraic") >= (1 - missed) * 300 - 4 * (missed * 300) ** 0.5


@pytest.mark.parametrize("depth", [8, 20, 50, 100])
def test_one_noisy_exponential_beyond_a_decade_is_seldom_called_a_power_law(depth):
    """Of single networks of few units 1 % at most, and four standard errors of 1000 draws."""
    rng = np.random.default_rng(depth)
    found = [rate(exponential(1.5 / (depth - 1), depth, 1, 0.15, rng)) for _ in range(1000)]
    assert sum(r.shape == "algebraic" and abs(r.decades.value) > 1 for r in found) <= 10 + 4 * 10**0.5


@pytest.mark.parametrize("seeds", [1, 10, 1000])
def test_a_power_law_with_the_drift_of_finite_width_at_depth_1000_is_algebraic(seeds):
    # tanh, Xavier, width 128: exponent 1/2, 1.25 decades of drift, a random walk of 0.027 per layer.
    rng = np.random.default_rng(seeds)
    deltas = power_law(0.5, 1000, seeds, noise=0.027, drift=1.25e-3, rng=rng)
    r = rate(deltas)
    assert r.shape == "algebraic" and r.aicc > 2
    # The law's error under the walk is noise / |increments of log10 l|, the drift adds 0.004.
    error = 0.027 / math.sqrt(seeds) / np.linalg.norm(np.diff(np.log10(np.arange(1, 1001))))
    assert abs(r.exponent - 0.5) < 4 * error + 0.02
    with pytest.raises(GradlabError, match="power law"):
        r.extrapolate(2000)
    # What the increments are for: a straight line fits the levels better than the law does.
    if seeds == 1000:
        y, layers = deltas.mean(axis=0), np.arange(1, 1001)
        squares = [np.polyfit(x, y, 1, full=True)[1][0] for x in (layers, np.log10(layers))]
        assert squares[0] < 10 * squares[1]


def test_a_pure_walk_without_slope_has_no_shape_mostly():
    rng = np.random.default_rng(3)
    shapes = [rate(exponential(0.0, 50, 5, 0.043, rng)).shape for _ in range(300)]
    assert shapes.count("none") > 200  # AICc admits a parameter that is not there in 16 % of cases


def test_an_exactly_flat_profile_has_no_shape():
    assert rate(np.full((2, 50), -17.3)).shape == "none"


def test_a_transient_that_runs_against_the_decades_is_not_a_power_law():
    # tanh with sigma_w a little above 1: a fall toward the input near it, growth elsewhere.
    layers = np.arange(1, 401)
    profile = 0.4 * np.log10(layers) - 0.006 * layers
    r = rate(profile[None])
    assert r.exponent > 0 > profile[-1] - profile[0]
    assert r.shape != "algebraic"


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_too_few_layers_have_no_shape(depth):
    r = rate(exponential(1.0, depth, seeds=3))
    assert r.shape == "none" and "too few" in r.misfit
    with pytest.raises(GradlabError, match="too few"):
        r.extrapolate(10)


@given(st.floats(-6000, 6000), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_scale_of_the_loss_changes_neither_shape_nor_decades(shift, seed):
    deltas = exponential(0.03, 30, 4, 0.03, np.random.default_rng(seed))
    a, b = rate(deltas), rate(deltas + shift)
    assert a.shape == b.shape and bool(a.misfit) == bool(b.misfit)
    assert math.isclose(a.decades.low, b.decades.low, rel_tol=1e-7)


# --- extrapolation -----------------------------------------------------------------------


def test_an_exponential_is_extrapolated_with_its_interval():
    r = rate(exponential(0.5, 11, seeds=5, noise=0.01))
    far = r.extrapolate(101)
    assert isinstance(far, Decades)
    assert np.allclose([far.value, far.low, far.high], 10 * np.array([r.decades.value, r.decades.low, r.decades.high]))
    assert r.extrapolate(1).value == 0


def test_the_interval_at_another_depth_covers_the_truth():
    rng = np.random.default_rng(8)
    hits = [rate(exponential(0.5, 11, 5, 0.05, rng)).extrapolate(100) for _ in range(1000)]
    covered = np.mean([h.low <= -0.5 * 99 <= h.high for h in hits])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 1000)


def test_a_slope_that_changes_is_refused_and_named():
    steps = np.concatenate([np.full(20, 0.1), np.full(20, 0.2)])  # an exponential beats the power law
    profile = np.concatenate([[0.0], np.cumsum(steps)])
    r = rate(profile + 1e-3 * np.random.default_rng(0).standard_normal((4, 41)))
    assert r.shape == "exponential"
    with pytest.raises(GradlabError, match=r"slope that changes from 0\.1 .* to 0\.2"):
        r.extrapolate(80)


def test_noise_alone_is_seldom_taken_for_a_changing_slope():
    rng = np.random.default_rng(4)
    misfits = [bool(rate(exponential(0.15, 20, 3, 0.043, rng)).misfit) for _ in range(500)]
    assert np.mean(misfits) < 0.03  # 1 % by the level, plus the few that are called flat


@pytest.mark.parametrize("depth", [0, -3, 2.5, True])
def test_a_depth_that_is_none_is_refused(depth):
    with pytest.raises(GradlabError, match="depth"):
        rate(exponential(0.5, 11, seeds=2, noise=0.01)).extrapolate(depth)


# --- text --------------------------------------------------------------------------------


def test_the_text_of_the_design():
    r = rate(with_interval(0.236, 0.234, 0.238, depth=50, seeds=16))
    assert str(r) == "0.236 [0.234, 0.238] per layer (95 %, 16 seeds, layers 1–50)"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.236, 0.234, 0.238), "0.236 [0.234, 0.238]"),
        ((0.99630, 0.99480, 0.99780), "0.9963 [0.9948, 0.9978]"),
        ((1.2345, 0.9, 1.6), "1.2 [0.9, 1.6]"),
        ((4.0, 3.99999, 4.00001), "4.000000 [3.999990, 4.000010]"),
        ((31.27, 11.0, 51.0), "30 [10, 50]"),
        ((1.5e-9, 1.2e-9, 1.8e-9), "1.5e-09 [1.2e-09, 1.8e-09]"),
        ((0.5, 0.5, 0.5), "0.5000000 [0.5000000, 0.5000000]"),
        ((0.0, 0.0, 0.0), "0 [0, 0]"),
        ((1.0, 0.5, math.inf), "1 [0.5, inf]"),
        ((0.23456, math.nan, math.nan), "0.235"),
        ((1.0, math.nan, math.nan), "1.00"),
        ((235.0, math.nan, math.nan), "235"),
    ],
)
def test_digits_fit_the_interval(numbers, text):
    assert interval_text(*numbers) == text


@given(st.floats(1e-3, 1e3), st.floats(1e-5, 0.9))
@settings(max_examples=200, deadline=None)
def test_printed_numbers_are_within_a_third_of_the_half_width(value, share):
    half = value * share
    mean, rest = interval_text(value, value - half, value + half).split(" ", 1)
    low, high = rest.strip("[]").split(", ")
    for printed, number in ((mean, value), (low, value - half), (high, value + half)):
        assert abs(float(printed) - number) <= half / 3.9


@pytest.mark.parametrize(("d", "text"), [(-30.7, "31"), (0.0704, "0.07"), (-2.75, "2.8"), (9.96, "10"), (0.996, "1.0")])
def test_decades_in_words_precision(d, text):
    assert Decades(d, math.nan, math.nan).magnitude == text
