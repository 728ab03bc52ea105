import json
import math

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from PIL import Image

from gradlab._errors import GradlabError
from gradlab.config import content_hash
from gradlab.reporting.experiment import Words, publish, reword
from gradlab.reporting.findings import Finding, above, below, both, either

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


SAID = Words("A line", "It rises by {rise:g} over {depth} layers.", "As it is.", "One line, {depth} layers.")


@pytest.fixture
def page(tmp_path):
    """A page of a claim that is false."""
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    table = pd.DataFrame({"layer": [1], "rate": [0.25]})
    made = publish(
        tmp_path, SAID, name="line", finding=Finding.of({"it rises": False}), figure=figure, drawn={"line": table},
        summary=table, setting={"depth": 3}, numbers={"rise": 0.5},
    )  # fmt: skip
    plt.close(figure)
    return made


def test_a_page_carries_its_hash_in_the_figure_and_beside_it(page):
    """The file itself says what was run and how to run it again."""
    about = json.loads((page.parent / "provenance.json").read_text())
    assert about["hash"] == content_hash({"depth": 3})
    with Image.open(page.parent / "line.png") as image:
        assert image.text["gradlab:run"] == about["hash"]
        assert image.text["gradlab:command"] == "python experiments/line.py"
    # a claim that is false is called so on the page, and its numbers are those of the run
    assert "**Not held**" in page.read_text()
    assert "It rises by 0.5 over 3 layers." in page.read_text()


def test_sentences_are_written_anew_around_the_numbers_of_the_run(page):
    before, others = page.read_text(), {p: p.read_bytes() for p in page.parent.iterdir() if p != page}
    assert reword(page.parent, SAID) == page
    assert page.read_text() == before
    reword(page.parent, Words("A line", "It falls by {rise:.2f}.", "As it is.", "Of {depth}."))
    assert page.read_text() == before.replace("It rises by 0.5 over 3 layers.", "It falls by 0.50.").replace(
        "One line, 3 layers.", "Of 3."
    )
    assert {p: p.read_bytes() for p in page.parent.iterdir() if p != page} == others
    with pytest.raises(GradlabError, match="fall"):
        reword(page.parent, Words("A line", "It falls by {fall}.", "", ""))


def test_a_folder_without_a_page_is_told(tmp_path):
    with pytest.raises(GradlabError, match="the page of an experiment"):
        reword(tmp_path, SAID)
