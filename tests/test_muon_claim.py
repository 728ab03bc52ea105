"""The claim on Muon and vanishing gradients, on tables made by hand: held of what it says, not of what it denies."""

import numpy as np
import pandas as pd
import pytest

from experiments import muon_depth

FAR = muon_depth.FAR
SEEDS, STEPS, DEPTH = 5, 7, 4
#: Span of the first update in powers of ten, and accuracy far from the input, of what the claim says.
SAYS = {"sgd": (2.5, 0.1), "adam": (0.1, 0.3), "sign": (0.0, 0.2), "muon": (0.5, 0.6)}


def results(says=SAYS, noise=0.01):
    rows = [
        (name, multiple, DEPTH, 0.1, seed, step, layer, "hidden", accuracy + noise * seed,
         span * (layer - 1) / (DEPTH - 1) * (1 + noise * seed), -5.0)
        for name, (span, far) in says.items() for multiple, accuracy in ((1, 0.9), (FAR, far))
        for seed in range(SEEDS) for step in (0, STEPS) for layer in range(1, DEPTH + 1)
    ]  # fmt: skip
    names = ["optimizer", "multiple", "depth", "rate", "seed", "step", "layer", "layer_name", *muon_depth.COLUMNS]
    return pd.DataFrame(rows, columns=names)


def test_it_holds_of_what_it_says():
    table, lines, spans, finding = muon_depth.judge(results())
    assert finding.outcome == "held"
    assert table["claim"].notna().sum() == len(SAYS) and len(lines) == len(SAYS) * DEPTH
    np.testing.assert_allclose(spans.set_index("optimizer").loc["sgd", "mean"], 2.5 * 1.02)


@pytest.mark.parametrize(
    ("name", "result", "case"),
    [
        ("muon", (0.5, 0.95), f"Muon at {FAR} ξ_c"),
        ("adam", (1.5, 0.3), f"Adam: updates over {FAR} ξ_c"),
        ("sgd", (0.5, 0.1), f"SGD: updates over {FAR} ξ_c"),
    ],
)
def test_it_is_not_held_of_what_it_denies(name, result, case):
    finding = muon_depth.judge(results(SAYS | {name: result}))[-1]
    assert finding.outcome == "not held" and finding.against == (case,)


def test_it_is_open_where_the_interval_has_its_line():
    finding = muon_depth.judge(results(SAYS | {"muon": (0.5, 0.77)}, noise=0.02))[-1]
    assert finding.outcome == "undecided"
