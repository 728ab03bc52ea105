import json
import math

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from PIL import Image

from gradlab._errors import GradlabError
from gradlab.config import content_hash
from gradlab.reporting.experiment import Finding, above, below, both, either, publish

ANSWERS = (True, False, None)


def test_an_interval_answers_yes_no_or_not_yet():
    assert below(0.1, 0.2, 0.3) is True
    assert below(0.1, 0.2, 0.15) is None
    assert below(0.1, 0.2, 0.05) is False
    assert above(0.1, 0.2, 0.05) is True
    assert above(0.1, 0.2, 0.15) is None
    assert above(0.1, 0.2, 0.3) is False
    assert below(math.nan, math.nan, 1.0) is None


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


def test_a_page_carries_its_hash_in_the_figure_and_beside_it(tmp_path):
    """The file itself says what was run and how to run it again."""
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    table = pd.DataFrame({"layer": [1], "rate": [0.25]})
    page = publish(
        tmp_path, name="line", title="A line", claim="It rises.", finding=Finding.of({"it rises": False}),
        figure=figure, caption="One line.", drawn={"line": table}, summary=table, text="As it is.",
        command="python line.py", setting={"depth": 3},
    )  # fmt: skip
    plt.close(figure)
    about = json.loads((tmp_path / "provenance.json").read_text())
    assert about["hash"] == content_hash({"depth": 3})
    with Image.open(tmp_path / "line.png") as image:
        assert image.text["gradlab:run"] == about["hash"]
        assert image.text["gradlab:command"] == "python line.py"
    # a claim that is false is called so on the page
    assert "**Not held**" in page.read_text()
