"""The judging functions of experiments, fed what their claims deny."""

import math

import numpy as np
import pandas as pd
import pytest

from experiments import layer_norm_place, spectral_radius
from gradlab.reporting import Finding

SEEDS, STEPS = 4, 12
#: Factor per step of each network that the claim of `spectral_radius` speaks of; all as it says.
RATES = {
    "linear": {0.5: 0.5, 1.0: 1.0, 1.5: 1.5},
    "tanh": {0.5: 0.4, 1.0: 0.7, 1.1: 0.75, 1.5: 1.05},
    "LSTM, b_f = 1": {0.5: 0.8},
    "LSTM, b_f = ln(T−1)": {1.0: 0.99},
    "GRU": {1.5: 0.6},
}


def recurrent(rates):
    """Frames as `gl.run` gives them, of deltas that change by a factor each step."""
    own = {
        "linear": ("rnn", {"activation": "identity"}),
        "tanh": ("rnn", {"activation": "tanh"}),
        "LSTM, b_f = 1": ("lstm", {"activation": "tanh", "forget_bias": 1.0}),
        "LSTM, b_f = ln(T−1)": ("lstm", {"activation": "tanh", "forget_bias": math.log(STEPS - 1)}),
        "GRU": ("gru", {"activation": "tanh"}),
    }
    rows = {"rnn": [], "lstm": [], "gru": []}
    for kind, factors in rates.items():
        cell, fields = own[kind]
        for gain, factor in factors.items():
            for seed in range(SEEDS):
                noise = 0.0 if kind == "linear" else 1e-3 * seed
                rows[cell] += [
                    {
                        "network": f"{kind} {gain}", "depth": STEPS, "width": 3, "seed": seed, "step": 0,
                        "layer": layer, "status": "ok", "gain": gain, **({} if cell == "rnn" else {"cell": cell}),
                        "log10_delta_rms": (STEPS - layer) * (math.log10(factor) + noise), **fields,
                    }
                    for layer in range(STEPS + 2)
                ]  # fmt: skip
    return [pd.DataFrame(r) for r in rows.values()]


def judged_recurrent(rates):
    table = spectral_radius.judge(recurrent(rates))
    return Finding.of({f"{r.kind} {r.radius:g}": r.claim for r in table.itertuples()})


def test_the_claim_on_recurrent_networks_holds_of_what_it_says():
    assert judged_recurrent(RATES).outcome == "held"


@pytest.mark.parametrize(
    ("kind", "radius", "factor"),
    [
        ("linear", 1.5, 1.5 * (1 + 3e-5)),
        ("linear", 0.5, 0.5 * (1 - 3e-5)),
        ("tanh", 0.5, 0.55),  # more than the bound
        ("tanh", 1.1, 0.95),  # half a decade
        ("tanh", 1.5, 1.4),  # explodes
        ("LSTM, b_f = 1", 0.5, 0.7),
        ("LSTM, b_f = ln(T−1)", 1.0, 0.9),
        ("GRU", 1.5, 0.45),
    ],
)
def test_a_false_claim_on_recurrent_networks_is_not_held(kind, radius, factor):
    finding = judged_recurrent({**RATES, kind: {**RATES[kind], radius: factor}})
    assert finding.outcome == "not held"
    assert finding.against == (f"{kind} {radius:g}",)


PLACES = {"pre": "before", "post": "after"}


def transformers(**changes):
    """A frame of deltas, streams and weights by block, as the claim on transformers says; `changes` are factors."""
    factor = {"post_delta": 1.0, "pre_delta": 1.0, "pre_weights": 1.0, "post_weights": 1.0, "pre_first": 1.0}
    factor = {**factor, "post_first": 1.0, **changes}
    rows = []
    for norm in PLACES:
        for depth in (2, 8, 32):
            for seed in range(SEEDS):
                for layer in range(1, depth + 1):
                    stream = (1 + 1.5 * layer) ** 0.5 if norm == "pre" else 1.0
                    delta, weights = 1 / stream, 1 / stream
                    if layer == 1:
                        delta = factor[f"{norm}_first"] if norm == "post" else 2 * factor["pre_first"]
                    elif layer == depth == 32:
                        delta, weights = delta * factor[f"{norm}_delta"], weights * factor[f"{norm}_weights"]
                    rows.append((PLACES[norm], depth, seed, layer, delta, weights, stream))
    names = ["norm_position", "depth", "seed", "layer", layer_norm_place.DELTA, layer_norm_place.WEIGHTS]
    frame = pd.DataFrame(rows, columns=[*names, layer_norm_place.STREAM])
    noise = 1 + 1e-3 * np.random.default_rng(0).normal(size=(len(frame), 3))
    return frame.assign(**np.log10(frame.iloc[:, 4:] * noise))


def by_block(**changes):
    """The gradient of each weight by block, and deltas of a readout that sees each position, as the claim says."""
    factor = {"post_lost": 1e-8, "pre_lost": 0.05, "post_kept": 1.0, "post_each": 0.6, **changes}
    single, each = [], []
    for norm in PLACES:
        for seed in range(SEEDS):
            for block in range(1, 33):
                done, noise = (block - 1) / 31, 1e-3 * seed
                each.append((norm, seed, block, (1 - done) * (math.log10(factor["post_each"]) + noise)))
                for kind in layer_norm_place.KINDS:
                    lost = f"{norm}_lost" if kind in ("queries", "keys") else "post_kept"
                    single.append((norm, seed, block, kind, done * (math.log10(factor[lost]) + noise)))
    single = pd.DataFrame(single, columns=["norm", "seed", "block", "kind", "log10_norm"])
    return single, pd.DataFrame(each, columns=["norm", "seed", "layer", layer_norm_place.DELTA])


def judged_transformers(**changes):
    blocks = {name: changes.pop(name) for name in tuple(changes) if name.endswith(("lost", "kept", "each"))}
    table = pd.concat([
        layer_norm_place.ratios(transformers(**changes)), layer_norm_place.deepest(*by_block(**blocks))
    ])  # fmt: skip
    cases = layer_norm_place.judge(table)
    return Finding.of({f"{r.what}, {r.norm} {r.depth}": r.claim for r in cases.itertuples()})


def test_the_claim_on_transformers_holds_of_what_it_says():
    assert judged_transformers().outcome == "held"


OTHERS = [kind for kind in layer_norm_place.KINDS if kind not in ("queries", "keys")]


@pytest.mark.parametrize(
    ("change", "cases"),
    [
        ({"post_delta": 0.7}, ["gradient on the stream, last block, post 32"]),
        ({"post_delta": 1.3}, ["gradient on the stream, last block, post 32"]),
        ({"pre_delta": 1.3}, ["gradient × rms of the stream, last block, pre 32"]),
        ({"pre_weights": 3.0}, ["all weights, last block, pre 32"]),
        ({"post_weights": 0.5}, ["all weights, last block, post 32"]),
        ({"pre_first": 0.2}, ["gradient on the stream, first block over last, pre 32"]),
        ({"post_first": 0.3}, ["gradient on the stream, first block over last, post 32"]),
        ({"post_lost": 1e-5}, [f"{kind}, last block over first, post 32" for kind in ("keys", "queries")]),
        ({"pre_lost": 1e-4}, [f"{kind}, last block over first, pre 32" for kind in ("keys", "queries")]),
        ({"post_kept": 0.05}, [f"{kind}, last block over first, post 32" for kind in OTHERS]),
        ({"post_each": 0.05}, ["the same, readout of each position, post 32"]),
    ],
)
def test_a_false_claim_on_transformers_is_not_held(change, cases):
    finding = judged_transformers(**change)
    assert finding.outcome == "not held"
    assert sorted(finding.against) == sorted(cases)
