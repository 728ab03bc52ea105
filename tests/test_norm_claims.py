"""The claims on norms in transformers hold of made tables that are as they say, and not of others."""

import numpy as np
import pandas as pd
import pytest

from experiments import dyt, norm_today
from experiments.networks.norm_today import FIELDS

BLOCKS, SEEDS = np.array([8, 16, 32, 64, 128, 256, 512]), 8


def growths(**changes):
    """Growth of each network as the claim has it, with noise that differs between seeds."""
    forms = {"layer": lambda b, s: s * np.log(b), "dyt": lambda b, s: s * np.sqrt(b)}
    slopes = {"layer": 1.0, "dyt": 0.75} | {k: v for k, v in changes.items() if k in forms}
    rng, rows = np.random.default_rng(0), []
    for positions in (1, 8):
        for norm, form in forms.items():
            made = forms[changes.get(f"form_{norm}", norm)] if positions == 8 else form
            for seed in range(SEEDS):
                noise = 0.02 * rng.normal(size=len(BLOCKS))
                found = made(BLOCKS, slopes[norm]) + noise
                law = form(BLOCKS, {"layer": 1.0, "dyt": 0.75}[norm])
                each = {"blocks": BLOCKS, "ln_growth": found, "theory": law}
                rows.append(pd.DataFrame(each).assign(positions=positions, norm=norm, seed=seed))
    return pd.concat(rows, ignore_index=True)


def answers(**changes):
    cases = dyt.judge(dyt.fits(growths(**changes)))
    return {(r.what, r.norm, r.positions): r.claim for r in cases.itertuples()}


def test_the_claim_on_dyt_holds_of_what_it_says():
    found = answers()
    assert len(found) == 6 and all(found.values())


@pytest.mark.parametrize(
    ("change", "case"),
    [
        ({"form_dyt": "layer"}, ("variance of the other form", "dyt", 8)),
        ({"form_layer": "dyt"}, ("variance of the other form", "layer", 8)),
        ({"dyt": 0.5}, ("slope over theory's", "dyt", 1)),
        ({"layer": 1.3}, ("slope over theory's", "layer", 1)),
    ],
)
def test_a_false_claim_on_dyt_is_not_held(change, case):
    assert [place for place, claim in answers(**change).items() if claim is not True] == [case]


def streams(**changes):
    """Profiles at the start and after a training, as the claim has them."""
    per_block = {
        ("pre", 1): 1.5,
        ("pre", 8): 1.2,
        ("peri", 1): 2.0,
        ("peri", 8): 2.0,
        ("scaled", 1): 1.5,
        ("scaled", 8): 1.2,
    }
    per_block |= changes.get("per_block", {})
    blocks, rng, rows = np.arange(1, 17), np.random.default_rng(0), []
    harmonic = np.cumsum(1 / blocks)
    for (kind, positions), slope in per_block.items():
        for seed in range(4):
            variance = 1 + slope * (harmonic if kind == "scaled" else blocks)
            if changes.get("start") == kind:
                variance = np.exp(np.log(variance[-1]) * (blocks - 1) / 15)
            noise = 1e-3 * rng.normal(size=len(blocks))
            law = np.log(variance[-1] / variance)
            gradient = changes.get("gradient", 1.0) * law + 1e-3 * seed
            for signal, value, theory in (
                ("variance", np.log(variance) + noise, np.log(variance)),
                ("gradient", gradient, law),
            ):
                grid = {"seed": seed, "block": blocks, "value": value, "theory": theory}
                rows.append(pd.DataFrame(grid).assign(positions=positions, kind=kind, signal=signal))
    end = [pd.DataFrame({
        "kind": "pre", "seed": seed, "step": 9, "block": blocks,
        "value": (np.log(1 + blocks) if changes.get("trained") else 0.1 * blocks) + 1e-3 * rng.normal(size=len(blocks)),
    }) for seed in range(4)]  # fmt: skip
    return pd.concat(rows, ignore_index=True), pd.concat(end, ignore_index=True)


def judged(**changes):
    cases = norm_today.judge(norm_today.by_seed(*streams(**changes), 16))
    return {(r.what, r.kind, r.positions): r.claim for r in cases.itertuples()}


def test_the_claim_on_streams_holds_of_what_it_says():
    found = judged()
    assert len(found) == 12 and all(found.values())


GRADIENT, EXPONENTIAL = "ln growth of the gradient over theory's", "exponential leaves, over line"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "cases"),
    [
        ({"per_block": {("pre", 8): 2.0}}, {("growth per block", "pre", 8)}),
        ({"per_block": {("peri", 8): 1.6}}, {("growth per block", "peri", 8)}),
        ({"per_block": {("scaled", 1): 1.2}}, {("growth per block", "scaled", 1)}),
        ({"start": "pre"}, {(EXPONENTIAL, "pre", 1), (EXPONENTIAL, "pre", 8)}),
        ({"gradient": 1.3}, {(GRADIENT, kind, 1) for kind in FIELDS}),
        ({"trained": "a line"}, {("line leaves, over exponential, trained", "pre", 8)}),
    ],
)
def test_a_false_claim_on_streams_is_not_held(change, cases):
    assert {place for place, claim in judged(**change).items() if claim is not True} == cases
