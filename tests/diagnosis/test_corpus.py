"""The corpus of models whose faults are known: each is what it claims to be, and is judged as it should be."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from experiments import diagnosis
from experiments.corpus import published, tried
from experiments.corpus.case import Look, within
from gradlab.diagnosis.findings import KINDS

for package in ("flax", "equinox", "haiku"):
    pytest.importorskip(package)

CASES = tried.cases()
COMMITTED = Path(__file__).parents[2] / "reports" / "diagnosis" / "cases.csv"


def test_there_are_enough_models_of_each_sort():
    healthy = Counter(case.healthy for case in CASES.values())
    assert healthy[True] >= 40 and healthy[False] >= 60
    families = Counter(case.family for case in CASES.values())
    wanted = {"dict", "list", "linen", "nnx", "nnx module", "equinox", "equinox module", "haiku", "gradlab"}
    assert set(families) == wanted
    kinds = {kind for case in CASES.values() for kind in case.kinds}
    # an update needs an optimiser, which a loss does not name
    assert set(KINDS.values()) - kinds == {"update_ratio"} and kinds <= set(KINDS.values())
    assert set(tried.FEW) <= set(CASES)


@pytest.mark.parametrize("name", tried.FEW)
def test_a_model_is_judged_as_it_should_be(name):
    (found,) = tried.tried([name], trials=False, exact=False)
    assert found["right"] and found["layer_right"], found


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_model_is_what_it_claims_to_be(name):
    """By plain `jax.value_and_grad` and its own forward pass: no diagnosis is asked."""
    with tried.as_users_have_it():
        model = CASES[name].build()
        facts = [fact(Look(model)) for fact in model.facts]
    assert facts and all(fact.holds for fact in facts), facts


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_table_is_as_good_as_the_committed_one():
    table, found = diagnosis.judged(tried.tried_in_processes(list(CASES)))
    ours = diagnosis.summarised(table, found).set_index("tool").loc["gradlab"]
    assert ours["recall"] >= diagnosis.RECALL and ours["false_alarms"] <= diagnosis.ALARMS
    before = pd.read_csv(COMMITTED).set_index("case")["layer_right"]
    now = table.set_index("case")["layer_right"]
    assert set(before.index) <= set(now.index)
    assert [name for name in now.index if before[name] and not now[name]] == []


def finding(kind, severity="warning", layers=("hidden_1/w",)):
    return SimpleNamespace(kind=kind, severity=severity, layers=layers)


def test_a_finding_counts_by_kind_severity_and_the_layer_that_stands_first():
    case = replace(CASES["relu_bias_minus_50"], kinds=("dead",), layers=("hidden_1",))
    assert case.found_in([finding("dead")]) == (True, True)
    assert case.found_in([finding("dead", layers=("hidden_10", "hidden_1"))]) == (True, False)
    assert case.found_in([finding("dead", "info"), finding("vanishing")]) == (False, False)
    assert replace(case, severity="info").found_in([finding("dead", "info")]) == (True, True)
    assert replace(case, layers=()).found_in([finding("dead", layers=())]) == (True, True)


def test_a_layer_is_named_by_whole_words():
    assert within("hidden_1", "body/hidden_1/w") and within("up[7]", "blocks/up[7]")
    assert not within("hidden_1", "hidden_10/w") and not within("up[7]", "blocks/up[17]")


def test_of_a_healthy_model_a_warning_is_a_false_alarm_and_an_info_is_none():
    case = CASES["relu_he_5"]
    assert tried.row(case, [finding("frozen", "info")])["right"]
    assert not tried.row(case, [finding("vanishing")])["right"]


def signals(deltas, gradients, **others):
    """Of a plain ReLU network, width 128."""
    gradients, n = np.asarray(gradients, float), len(gradients)
    given = {
        "gradient_rms": gradients, "gradient_norm": 128 * gradients, "gradient_zeros": np.zeros(n),
        "gradient_finite": np.isfinite(gradients), "weight_variance": np.full(n, 2 / 128), "zeros": np.full(n - 1, 0.5),
        "dead": np.zeros(n - 1), "saturated": np.zeros(n - 1), "size": np.full(n - 1, 0.7),
        "limited": np.zeros(n - 1, bool), "deltas": np.asarray(deltas, float),
    }  # fmt: skip
    return published.Signals(**{**given, **others})


def test_published_rules_say_what_their_sources_say():
    healthy = signals(np.full(10, 1e-3), np.full(10, 1e-3))
    assert not any(rule(healthy) for rule in published.RULES.values())
    # sigmoid, depth 20: 0.236 per layer, all see it; depth 5: only the one that judges the ratio of deltas does
    deep = 0.236 ** np.arange(19, -1, -1.0)
    assert all("vanishing" in rule(signals(deep, 1e-3 * deep)) for rule in published.RULES.values())
    shallow = 0.236 ** np.arange(4, -1, -1.0)
    assert [tool for tool, rule in published.RULES.items() if rule(signals(shallow, 1e-2 * shallow))] == ["torchmortem"]
    # the same network with its loss times 1e-4: absolute rules speak of a healthy one
    scaled = signals(np.full(10, 1e-7), np.full(10, 5e-8))
    said = [tool for tool, rule in published.RULES.items() if "vanishing" in rule(scaled)]
    assert said == ["SageMaker Debugger", "DeepDiagnosis", "TheDeepChecker"]
    lost = signals(np.full(10, 1e-3), [np.nan, *np.full(9, 1e-3)])
    assert all("exploding" in rule(lost) for tool, rule in published.RULES.items() if tool != "torchmortem")


def test_an_alarm_counts_as_right_if_its_kind_may_mean_the_fault():
    assert published.right({"vanishing"}, ("init_too_small",)) and not published.right({"dead"}, ("exploding",))
    assert published.right(set(), ()) and not published.right({"dead"}, ())
    assert set().union(*published.MEANS.values()) <= set(KINDS.values())


def test_the_claim_is_denied_where_recall_falls_or_a_tool_is_as_good():
    summary = pd.DataFrame(
        [("gradlab", 96, 0.96, 1, 0.99), ("other", 40, 0.4, 9, 0.8)],
        columns=["tool", "found", "recall", "false_alarms", "precision"],
    )
    assert diagnosis.judge(summary).outcome == "held"
    for tool, column, value in (
        ("gradlab", "recall", 0.94),
        ("gradlab", "false_alarms", 2),
        ("other", "recall", 0.97),
        ("other", "false_alarms", 0),
    ):
        worse = summary.copy()
        worse.loc[worse["tool"] == tool, column] = value
        assert diagnosis.judge(worse).outcome == "not held", (tool, column)
