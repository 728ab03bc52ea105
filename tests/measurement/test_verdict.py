"""The lines of the verdict, one by one, and that only ratios matter."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import gradlab as gl
from gradlab.measurement.slope import rate
from gradlab.measurement.verdict import NAMES, describe, judge


def profiles(decades, depth=50):
    """A profile for each seed, straight, with these decades from layer L to layer 1."""
    return np.asarray(decades, float)[:, None] * np.linspace(1, 0, depth)


def interval(low, high):
    """Three seeds whose decades have this 95 % interval."""
    mean, half = (low + high) / 2, (high - low) / 2
    return mean + half / (stats.t.ppf(0.975, 2) / math.sqrt(3)) * np.array([-1.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (-31, -30, "vanishing"),
        (-1.5, -1.01, "vanishing"),
        (-1.5, -0.99, "undetermined"),
        (-0.99, -0.5, "steady"),
        (-0.9, 0.9, "steady"),
        (0.01, 0.03, "steady"),  # leaves out 0, and is steady all the same
        (0.5, 1.01, "undetermined"),
        (-2, 2, "undetermined"),
        (1.01, 1.2, "exploding"),
        (600, 700, "exploding"),
    ],
)
def test_the_interval_of_the_decades_decides(low, high, name):
    r = rate(profiles(interval(low, high)))
    assert math.isclose(r.decades.low, low, rel_tol=1e-9) and math.isclose(r.decades.high, high, rel_tol=1e-9)
    assert judge(r).name == str(judge(r)) == name


@pytest.mark.parametrize(
    ("decades", "name"), [(-1.1, "vanishing"), (-0.9, "steady"), (0.9, "steady"), (1.1, "exploding")]
)
def test_without_an_interval_the_point_decides_and_it_says_so(decades, name):
    verdict = judge(rate(profiles([decades])))
    assert verdict.name == name
    assert "the point decides" in verdict.evidence and "the point decides" in verdict.sentence


def test_a_power_law_beyond_a_decade_is_algebraic_and_within_it_steady():
    law = np.log10(np.arange(1, 1001))
    noise = 1e-3 * np.random.default_rng(0).standard_normal((5, 1000))
    deep = rate(0.5 * law + noise)
    verdict = judge(deep)
    assert verdict.name == "algebraic"
    assert "layer^0.50" in verdict.sentence and verdict.from_depth is None
    shallow = rate((0.5 * law + noise)[:, :50])
    assert shallow.shape == "algebraic" and judge(shallow).name == "steady"


def test_a_flat_noisy_profile_is_never_algebraic():
    rng = np.random.default_rng(1)
    for _ in range(200):
        r = rate(np.cumsum(0.043 * rng.standard_normal((10, 50)), axis=1))
        assert judge(r).name == "steady"


def test_dead_failed_and_single():
    dead = rate(np.full((3, 10), -np.inf))
    assert judge(dead).name == "dead" and describe(dead, judge(dead)).endswith(": dead")
    assert judge(rate(np.full((3, 1), -np.inf))).name == "dead"
    failed = judge(rate(np.full((3, 10), np.nan)))
    assert failed.name == "undetermined" and "3 of 3 seeds left out: 0 dead, 3 failed" in failed.evidence
    single = rate(np.zeros((3, 1)))
    assert judge(single).name == "single layer" and describe(single, judge(single)).endswith(": single layer")


def test_seeds_left_out_are_in_the_evidence():
    deltas = profiles([-5.0, -5.1, -5.2, 0.0])
    deltas[3, 0] = -np.inf
    verdict = judge(rate(deltas))
    assert verdict.name == "partly dead" and "1 of 4 seeds left out: 1 dead" in verdict.evidence
    assert (
        "in some seeds no gradient passes" in verdict.sentence and "(1 of 4); the others: vanishing" in verdict.sentence
    )
    assert describe(rate(deltas), verdict).endswith(": partly dead (1 of 4 seeds, the others vanishing)")


def test_a_verdict_is_not_one_of_the_survivors_alone():
    """ReLU, two units wide: in 10 of 16 seeds a layer is dead, and the other 6 are steady."""
    alive = rate(profiles([0.1, 0.2, 0.0, -0.1, 0.1, 0.0]))
    deltas = np.concatenate([profiles([0.1, 0.2, 0.0, -0.1, 0.1, 0.0]), np.full((10, 50), -np.inf)])
    assert judge(alive).name == "steady" and judge(rate(deltas)).name == "partly dead"
    assert "10 of 16" in judge(rate(deltas)).sentence
    deltas[6:] = np.nan
    verdict = judge(rate(deltas))
    assert verdict.name == "undetermined" and "half of the seeds or more" in verdict.evidence
    deltas[9:] = 0.0
    assert judge(rate(deltas)).name == "steady"  # 3 of 16 failed


def test_a_network_of_two_units_is_not_steady():
    net = gl.MLP(depth=4, width=2, activation="relu", init="he_normal")
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    trace = gl.measure(net, x, loss="probe", seeds=16, columns=["log10_delta_rms"])
    dead = int((trace.columns["log10_delta_rms"][:, :4] == -np.inf).any(1).sum())
    assert 0 < dead < 16 and trace.verdict.name == "partly dead" and f"({dead} of 16)" in trace.verdict.sentence
    row = gl.rates(gl.frame(trace)).iloc[0]
    assert row["verdict"] == "partly dead" and row["n_zero"] == dead


def test_what_is_judged_stands_beside_the_verdict():
    several = rate(profiles([-2.0, -0.2, 0.3, -0.3, 0.2, 0.1, 0.0, -0.1, 0.1]))
    verdict = judge(several)
    assert verdict.name == "steady" and several.n_beyond == 1
    assert "geometric mean of 9 networks, 1 of them beyond one decade" in verdict.sentence
    assert describe(several, verdict).endswith(": steady (1 of 9 networks beyond one decade)")
    one = rate(profiles([-1.3]))
    assert "this one network" in judge(one).sentence and describe(one, judge(one)).endswith(
        "vanishing (this one network)"
    )
    given = rate(profiles([-1.3]), drawn=False)
    assert judge(given).judged == "judged are these weights" and describe(given, judge(given)).endswith(": vanishing")


@given(st.floats(-6000, 6000))
@settings(max_examples=30, deadline=None)
def test_scaling_the_loss_changes_no_verdict(shift):
    rng = np.random.default_rng(5)
    for per_layer in (0.0, 0.03, 0.5, -0.1):
        deltas = np.cumsum(per_layer + 0.02 * rng.standard_normal((4, 40)), axis=1)
        before, after = judge(rate(deltas)), judge(rate(deltas + shift))
        assert (before.name, before.from_depth) == (after.name, after.from_depth)


def test_the_phrase_of_the_design():
    mid = 49 * math.log10(0.236)
    half = 49 * math.log10(0.238 / 0.234) / 2
    spread = np.linspace(-1, 1, 16)
    scale = half / (stats.t.ppf(0.975, 15) * spread.std(ddof=1) / 4)
    r = rate(profiles(mid + scale * spread))
    assert describe(r, judge(r)) == (
        "0.236 [0.234, 0.238] per layer (95 %, 16 seeds, layers 1–50), 31 decades over 50: vanishing"
    )
    assert judge(r).sentence.startswith(describe(r, judge(r)))


@pytest.mark.parametrize("per_layer", [-0.63, 0.3, 0.0151, -0.5])
def test_from_depth_is_the_first_depth_beyond_a_decade(per_layer):
    r = rate(profiles(9 * per_layer * np.array([0.999, 1.0, 1.001]), depth=10))
    k = judge(r).from_depth
    assert abs(r.extrapolate(k).value) > 1 >= abs(r.extrapolate(k - 1).value) - 1e-9
    assert f"from depth {k}" in judge(r).sentence


def test_no_depth_is_named_where_the_rate_is_not_resolved_or_changes():
    assert judge(rate(profiles([-0.2, 0.3, 0.0]))).from_depth is None
    bent = np.concatenate([np.zeros(20), np.linspace(0, -5, 30)])
    assert judge(rate(bent + 1e-3 * np.random.default_rng(0).standard_normal((3, 50)))).from_depth is None


def test_short_nets_are_judged_and_the_depth_of_trouble_named():
    # ReLU with 1.5 x He weights: steady over 3 layers, exploding over 10.
    r = rate(profiles(2 * math.log10(1.5) * np.array([0.98, 1.0, 1.02]), depth=3))
    assert judge(r).name == "steady" and judge(r).from_depth == 7


def test_the_names_are_those_of_the_contract():
    assert set(NAMES) == {
        "vanishing", "exploding", "steady", "algebraic", "undetermined", "single layer", "dead", "partly dead",
    }  # fmt: skip
