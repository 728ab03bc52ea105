"""The claims on norms in transformers hold of made tables that are as they say, and not of others."""

import numpy as np
import pandas as pd
import pytest

from experiments import dyt

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
