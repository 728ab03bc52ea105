import math

import pytest

from gradlab._errors import GradlabError
from gradlab.reporting.findings import Finding, above, answered, below, both, either, margin

ANSWERS = (True, False, None)


def test_an_interval_answers_yes_no_or_not_yet():
    assert below(0.1, 0.2, 0.3) is True
    assert below(0.1, 0.2, 0.15) is None
    assert below(0.1, 0.2, 0.05) is False
    assert above(0.1, 0.2, 0.05) is True
    assert above(0.1, 0.2, 0.15) is None
    assert above(0.1, 0.2, 0.3) is False
    assert below(math.nan, math.nan, 1.0) is None
    assert [answered(answer) for answer in ANSWERS] == ["true", "false", "open"]


def test_a_margin_counts_half_widths_beyond_the_nearer_end():
    assert margin(1.0, 3.0, 5.0) == margin(1.0, 3.0, -1.0) == 2.0
    assert margin(1.0, 3.0, 3.0) == 0.0
    assert margin(1.0, 3.0, 2.0) == -1.0
    assert margin(1.0, 3.0, 9.0, 5.0, -math.inf) == 2.0
    assert margin(2.0, 2.0, 3.0) == margin(1.0, 3.0) == math.inf
    assert math.isnan(margin(math.nan, math.nan, 1.0))


@pytest.mark.parametrize("a", ANSWERS)
@pytest.mark.parametrize("b", ANSWERS)
def test_three_valued_logic(a, b):
    rank = {False: 0, None: 1, True: 2}
    assert rank[either(a, b)] == max(rank[a], rank[b])
    assert rank[both(a, b)] == min(rank[a], rank[b])


def test_a_claim_holds_where_no_case_speaks_against_it():
    assert Finding.of({"a": True, "b": True}).outcome == "held"
    assert Finding.of({"a": True, "b": None}).outcome == "undecided"
    finding = Finding.of({"a": True, "b": None, "c": False})
    assert finding.outcome == "not held"
    assert str(finding) == "not held, in 3 cases; false for c; the interval leaves open b"
    with pytest.raises(GradlabError, match="at least one case"):
        Finding.of({})
