import re

import pandas as pd
import pytest

from gradlab.frames.summaries import rates
from gradlab.reporting import tables, tex, words
from gradlab.reporting.content import Content
from tests.reporting.report_frames import run_of


@pytest.fixture(scope="module")
def content(table_with_failures):
    return Content(run_of(table_with_failures))


def test_macro_names_are_letters_only_and_unique(content):
    lines = content.numbers_tex().splitlines()[1:]
    names = [re.fullmatch(r"\\newcommand\{\\([A-Za-z]+)\}\{.*\}", line).group(1) for line in lines]
    assert len(names) == len(set(names)) > 30
    assert "gradlabSigmoidXavierNormalDepthThreeTwoRate" in names


def test_names_that_differ_in_symbols_alone_stay_apart(table):
    some = rates(table).iloc[:2].assign(depth=4)
    found = [name for name, _ in tex.macros(some, ["a b", "a-b!"], [words.float32(table)] * 2)]
    assert len(found) == len(set(found))
    assert tex.macro_name("σ_w² = 2.25", "gain 0.5") == "gradlabSigmaWTwoPointTwoFiveGainZeroPointFive"


def test_a_macro_for_every_number_of_the_verdict(content):
    text = content.numbers_tex()
    row = rates(content.frame).to_dict("records")[4]
    assert row["depth"] == 32
    stem = "\\newcommand{\\gradlabSigmoidXavierNormalDepthThreeTwo"
    assert f"{stem}Verdict}}{{vanishing}}" in text
    assert f"{stem}Rate}}{{{words.paren(row['rate'], row['low'], row['high'])}}}" in text
    assert f"{stem}Ratio}}{{\\ensuremath{{4\\times10^{{-20}}}}}}" in text
    assert re.search(re.escape(stem) + r"NormZeroFromDepth\}\{\d+\}", text)


def test_tables_are_booktabs_with_every_network(content):
    text = content.tables_tex()
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 3
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 3
    assert "sigmoid, Xavier normal & " in text
    assert re.search(r"\d\.\d+\(\d+\)", text)
    assert "→" not in text


def test_table_columns_all_have_cells():
    text = tex.table(pd.DataFrame({"a_b": ["1.0(2)"]}, index=pd.Index(["x"], name="c")), "Cap", "tab:x")
    assert r"c & a\_b \\" in text
    assert r"x & 1.0(2) \\" in text


def test_rate_of_a_power_law_stands_in_brackets():
    row = {"rate": 0.9, "low": 0.89, "high": 0.91, "verdict": "algebraic"}
    assert tables.rate_cell(row) == "[0.900(10)]"
    assert tables.rate_cell({**row, "verdict": "steady"}) == "0.900(10)"
