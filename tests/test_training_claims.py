"""The claims of the experiments on training, on tables made by hand: held of what they say, not of what they deny."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from experiments import linear_depth, normalised_init, thirty_layers, trainability, without_skips
from gradlab.reporting import Finding

SEEDS = 5
#: Accuracy, and loss over ln 10, of each network of `thirty_layers`.
THIRTY = {
    ("he_normal", 0.01): (0.97, 0.05),
    ("xavier_normal", 0.01): (0.1, 1.0),
    ("xavier_normal", 0.1): (0.1, 1.0),
}


def thirty(results, spread=1e-3):
    """Frames of the last step, as `gl.run` gives them."""
    rows = [
        (init, rate, seed, 100, 1, accuracy + spread * seed, accuracy, math.log10(loss * math.log(10)) + spread * seed)
        for (init, rate), (accuracy, loss) in results.items()
        for seed in range(SEEDS)
    ]
    names = ["init", "learning_rate", "seed", "step", "layer", "train_accuracy", "test_accuracy", "log10_train_loss"]
    return pd.DataFrame(rows, columns=names)


def judged_thirty(frame):
    return Finding.of({f"{r.init} {r.learning_rate:g}": r.claim for r in thirty_layers.judge(frame).itertuples()})


def test_thirty_layers_holds_of_what_it_says():
    assert judged_thirty(thirty(THIRTY)).outcome == "held"
    assert judged_thirty(thirty(THIRTY, spread=0.04)).outcome == "undecided"


@pytest.mark.parametrize(
    ("network", "result"),
    [
        (("he_normal", 0.01), (0.8, 0.3)),
        (("xavier_normal", 0.1), (0.97, 0.05)),
        (("xavier_normal", 0.1), (0.1, 0.95)),  # the loss moved
        (("xavier_normal", 0.01), (0.2, 1.0)),
    ],
)
def test_thirty_layers_is_not_held_of_what_it_denies(network, result):
    finding = judged_thirty(thirty(THIRTY | {network: result}))
    assert finding.outcome == "not held" and finding.against == ("{} {:g}".format(*network).replace(
        "he_normal", "He").replace("xavier_normal", "Xavier"),)  # fmt: skip


def test_thirty_layers_is_judged_when_he_has_learnt():
    before = thirty(THIRTY | {("he_normal", 0.01): (0.5, 0.6)}).assign(step=10)
    early = thirty(THIRTY).assign(step=50)
    late = thirty(THIRTY | {("xavier_normal", 0.01): (0.6, 0.5)})
    assert thirty_layers.learnt(pd.concat([before, early, late])) == 50
    assert judged_thirty(pd.concat([before, early, late])).outcome == "held"
    assert judged_thirty(pd.concat([before, late])).against == ("Xavier 0.01",)


def test_a_seed_that_diverged_has_not_learned():
    frame = thirty(THIRTY)
    lost = (frame["init"] == "he_normal") & (frame["seed"] == 2)
    frame.loc[lost, "step"] = 50
    assert judged_thirty(frame).against == ("He 0.01",)


def trained(accuracies, diverged=None):
    """Frames of tanh networks by (depth, σ_w²), σ_b² = 0.05; 3 ξ_c is 10.9 and 12 ξ_c 43.6 layers at σ_w² = 1."""
    rows = [
        (depth, "tanh", "gaussian", scale, 0.05, seed, 50 if (depth, seed) == diverged else 100, 1, value + 1e-3 * seed)
        for (depth, scale), value in accuracies.items()
        for seed in range(3)
    ]
    names = ["depth", "activation", "init", "sigma_w2", "sigma_b2", "seed", "step", "layer", "train_accuracy"]
    return pd.DataFrame(rows, columns=names)


MAP = {(5, 1.0): 0.95, (20, 1.0): 0.5, (80, 1.0): 0.1, (80, 1.76): 0.95, (20, 4.0): 0.95, (160, 4.0): 0.15}


def judged_map(accuracies, **options):
    return Finding.of(trainability.answers(trainability.judge(trained(accuracies, **options))))


def test_trainability_holds_of_what_it_says():
    finding = judged_map(MAP)
    assert finding.outcome == "held" and finding.cases == 5  # of 20 layers at σ_w² = 1 it says nothing


@pytest.mark.parametrize(
    ("cell", "accuracy"), [((5, 1.0), 0.6), ((80, 1.0), 0.5), ((80, 1.76), 0.1), ((160, 4.0), 0.9)]
)
def test_trainability_is_not_held_of_what_it_denies(cell, accuracy):
    finding = judged_map(MAP | {cell: accuracy})
    assert finding.against == ("depth {} at σ_w² = {:g}".format(*cell),)


def test_a_network_that_diverged_on_one_seed_has_not_trained():
    assert judged_map(MAP, diverged=(5, 1)).against == ("depth 5 at σ_w² = 1",)


def learning(times, steps=200):
    """Losses that fall below the line at a step, of each weights and depth; inf: never."""
    rows = []
    for (init, depth), time in times.items():
        for seed in range(SEEDS):
            rows.append((depth, init, 0.8, seed, np.where(np.arange(steps) < time + seed % 2, 1.0, 1e-6)))
    return linear_depth.times(pd.DataFrame(rows, columns=["depth", "init", "c", "seed", "losses"]))


LINEAR = {("orthogonal", 4): 20, ("orthogonal", 32): 26, ("lecun_normal", 4): 25, ("lecun_normal", 32): np.inf}


def judged_linear(times):
    return linear_depth.judge(learning(times))


def test_linear_depth_holds_of_what_it_says():
    table, finding = judged_linear(LINEAR)
    assert finding.outcome == "held"
    deepest = table[(table["weights"] == "Gaussian") & (table["depth"] == 32)].iloc[0]
    assert deepest["late"] == SEEDS and deepest["time"] == deepest["low"] == np.inf
    assert judged_linear(LINEAR | {("lecun_normal", 32): 90})[1].outcome == "held"


@pytest.mark.parametrize(
    ("network", "time", "case"),
    [
        (("orthogonal", 32), 50, "orthogonal weights"),
        (("orthogonal", 32), np.inf, "orthogonal weights"),
        (("lecun_normal", 32), 30, "Gaussian weights"),
    ],
)
def test_linear_depth_is_not_held_of_what_it_denies(network, time, case):
    assert judged_linear(LINEAR | {network: time})[1].against == (case,)


def test_linear_depth_is_open_where_the_interval_has_its_line():
    assert judged_linear(LINEAR | {("orthogonal", 32): 40.5})[1].open == ("orthogonal weights",)


def test_a_learning_time_lies_between_steps_and_nowhere_for_a_loss_that_stays():
    falls = np.array([1.0, 1e-1, 1e-2, 1e-2 * 10**-0.5, 10**-3.5])
    assert linear_depth.learning_time(falls) == pytest.approx(3.5)
    assert linear_depth.learning_time(np.array([1.0, np.nan, np.inf])) == np.inf


def test_the_rate_is_the_fastest_of_those_with_which_most_seeds_learn():
    times = {0.2: (30, 30, 30), 0.4: (20, 21, 22), 0.8: (5, 5, np.inf)}
    rows = [("orthogonal", 4, c, seed, time) for c, own in times.items() for seed, time in enumerate(own)]
    tried = pd.DataFrame(rows, columns=["init", "depth", "c", "seed", "time"])
    assert linear_depth.best(tried) == {("orthogonal", 4): 0.4}


def initial(ratio=1.0, layer=2, column="log10_delta_rms"):
    """Measured networks whose variances are theory's, but for one layer's by a factor; and that theory."""
    law = {"log10_activation_rms": -0.1 * np.arange(6), "log10_delta_rms": 0.2 * np.arange(6) - 3}
    rows = []
    for init in normalised_init.NAMES:
        for seed in range(SEEDS):
            for at in range(1, 7):
                own = {name: values[at - 1] + 1e-4 * seed for name, values in law.items()}
                own[column] += 0.5 * math.log10(ratio) * (at == layer)
                rows.append({"network": init, "init": init, "depth": 5, "seed": seed, "layer": at, **own})
    return pd.DataFrame(rows), {init: SimpleNamespace(columns=law) for init in normalised_init.NAMES}


def judged_initial(**options):
    return Finding.of(normalised_init.answers(normalised_init.judge(*initial(**options))))


def test_normalised_init_holds_of_what_it_says():
    finding = judged_initial()
    assert finding.outcome == "held" and finding.cases == 2 * (5 + 4)


@pytest.mark.parametrize(("column", "quantity"), [(c, q) for c, q in normalised_init.COLUMNS.items()])
@pytest.mark.parametrize("ratio", [1.06, 0.94])
def test_normalised_init_is_not_held_of_what_it_denies(column, quantity, ratio):
    finding = judged_initial(ratio=ratio, column=column)
    assert finding.against == tuple(f"{name}, {quantity}, layer 2" for name in ("standard", "normalised"))


#: Training accuracy of each network of `without_skips`.
PLAIN = {"relu": 0.7, "leaky": 0.97, "shaped": 0.96, "tanh": 0.5}


def judged_plain(accuracies, ours=without_skips.THEIRS, spread=1e-3, diverged=None):
    rows = [
        (key, key, 0.01, seed, 50 if (key, seed) == diverged else 100, 1, value + spread * seed, value)
        for key, value in accuracies.items() for seed in range(SEEDS)
    ]  # fmt: skip
    names = ["kind", "activation", "learning_rate", "seed", "step", "layer", "train_accuracy", "test_accuracy"]
    return without_skips.judge(pd.DataFrame(rows, columns=names), ours)[1]


def test_without_skips_holds_of_what_it_says_and_of_nothing_else():
    finding = judged_plain(PLAIN)
    assert finding.outcome == "held" and finding.cases == 4  # tanh as it is is no case
    assert judged_plain(PLAIN, ours=without_skips.THEIRS + 1e-4).against == ("the authors' slope",)
    assert judged_plain(PLAIN | {"relu": 0.95}).against == ("ReLU, He",)
    assert judged_plain(PLAIN | {"leaky": 0.85}).against == ("leaky ReLU, tailored",)
    assert judged_plain(PLAIN, diverged=("shaped", 2)).against == ("tanh, shaped",)
    assert judged_plain(PLAIN | {"relu": 0.88}, spread=0.01).outcome == "undecided"


def test_our_slope_for_the_authors_network_is_theirs():
    assert abs(without_skips.their_slope() - without_skips.THEIRS) < without_skips.NEAR
