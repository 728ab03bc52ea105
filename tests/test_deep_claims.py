"""The claims of the experiments on residual, normalised and convolutional networks, on tables made by hand.

Each is held by a table that follows its law, and *not* held by one whose numbers are swapped: a page cannot say
"held" whatever was measured.
"""

import numpy as np
import pandas as pd
import pytest

from experiments import deep_conv, normalisation, residual_scaling
from gradlab.reporting import Finding


def outcome(claims):
    return Finding.of({str(case): claim for case, claim in enumerate(claims)}).outcome


def residual_frame(factors, seeds=6, depth=16, spread=0.01):
    """Networks whose mean squared delta grows by these factors per block, one for each scale of the branches."""
    rng, rows = np.random.default_rng(0), []
    for scale, factor in factors.items():
        for seed in range(seeds):
            slope = 0.5 * np.log10(factor) * (1 + spread * rng.normal())
            rows += [(scale, 2, depth, seed, layer, slope * (depth - layer)) for layer in (1, depth, depth + 1)]
    return pd.DataFrame(rows, columns=["branch_scale", "branch_layers", "depth", "seed", "layer", "log10_delta_rms"])


LAWS = {"1": 2.0, "1/sqrt(L)": 1 + 1 / 16, "1/L": 1 + 1 / 256, "learned": 1.0}


def test_residual_scaling():
    judge = residual_scaling.judge
    held = judge(residual_frame(LAWS))
    assert outcome(held["claim"]) == "held"
    # Cox: 5 % level, and exp(mean + variance/2) itself; ln 2^15 is within the interval
    row = held[held["branch_scale"] == "1"].iloc[0]
    assert row["low"] < 15 * np.log(2) < row["high"] and row["law"] == pytest.approx(15 * np.log(2))
    swapped = judge(residual_frame(LAWS | {"1": LAWS["1/sqrt(L)"], "1/sqrt(L)": LAWS["1"]}))
    assert outcome(swapped["claim"]) == "not held"
    assert [c is False for c in swapped["claim"]] == [True, True, False, False]
    # one seed of one network in which a block is not the identity
    frame = residual_frame(LAWS)
    first = frame.index[(frame["branch_scale"] == "learned") & (frame["layer"] == 1)][0]
    frame.loc[first, "log10_delta_rms"] = 1e-6
    assert outcome(judge(frame)["claim"]) == "not held"
    assert outcome(judge(residual_frame(LAWS, spread=0.2))["claim"]) == "undecided"


def test_the_mean_of_a_lognormal_and_its_interval():
    """Cox's interval covers ln E X in 95 % of samples: 2000 of them, 4.5 standard errors of that share."""
    growth, rng = residual_scaling.growth, np.random.default_rng(1)
    intervals = [growth(rng.normal(1.0, 0.5, size=20))[1:] for _ in range(2000)]
    covered = np.mean([low < 1 + 0.5**2 / 2 < high for low, high in intervals])
    assert abs(covered - 0.95) < 4.5 * (0.95 * 0.05 / 2000) ** 0.5


def normed_frame(factors, spread=0.002):
    """Networks whose mean squared delta changes by these factors per layer."""
    rng, rows = np.random.default_rng(2), []
    for (activation, norm), factor in factors.items():
        for scale in (0.5, 4.0):
            for seed in range(4):
                slope = 0.5 * np.log10(factor) + spread * rng.normal() / 10
                rows += [(activation, norm, scale, seed, layer, -slope * layer) for layer in range(1, 21)]
    return pd.DataFrame(rows, columns=["activation", "norm", "sigma_w2", "seed", "layer", "log10_delta_rms"])


def test_normalisation():
    batch, layer, tanh = np.pi / (np.pi - 1), 1.0, 1.17781
    laws = {("relu", "batch"): batch, ("relu", "layer"): layer, ("tanh", "batch"): tanh, ("tanh", "layer"): tanh}
    judged = lambda factors: Finding.of(normalisation.answers(normalisation.judge(normed_frame(factors), 0.03)))
    assert judged(laws).outcome == "held"
    swapped = judged(laws | {("relu", "batch"): layer, ("relu", "layer"): batch})
    assert swapped.outcome == "not held" and len(swapped.against) == 4
    # a network without a norm is shown, and is no case
    shown = normalisation.judge(normed_frame({("relu", "none"): 9.0}), 0.03)
    assert shown["law"].tolist() == pytest.approx([0.25, 2.0])
    assert judged(laws | {("relu", "none"): 9.0}).cases == 8


def conv_frame(spans, depth=50, spread=0.05):
    """Deltas that go down by so many decades and up again."""
    rng, rows = np.random.default_rng(3), []
    for kind, span in spans.items():
        for seed in range(4):
            own = span * 10 ** (spread * rng.normal())
            valley = -own * (1 - np.abs(np.linspace(-1, 1, depth)))
            rows += [(kind, seed, layer, value) for layer, value in enumerate(valley, 1)]
    return pd.DataFrame(rows, columns=["init", "seed", "layer", "log10_delta_rms"])


def test_deep_conv():
    judged = lambda **spans: outcome(deep_conv.judge(deep_conv.spans(conv_frame(spans)))["claim"])
    # both ends are alike, and the span is seen all the same
    assert judged(delta_orthogonal=1.0, lecun_normal=8.0) == "held"
    assert judged(delta_orthogonal=8.0, lecun_normal=1.0) == "not held"
    assert judged(delta_orthogonal=1.0, lecun_normal=1.0) == "not held"
    assert judged(delta_orthogonal=1.0, lecun_normal=2.05) == "undecided"
