import re

import pandas as pd
import pytest

from gradlab.frames.summaries import rates
from gradlab.reporting import tables, tex, words
from gradlab.reporting.content import Content
from gradlab.reporting.figures import Drawn, NotDrawn
from tests.reporting.report_frames import grid, run_of


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
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 4
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
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


def test_words_stand_left_numbers_right_and_depths_have_a_head(content):
    text = content.tables_tex()
    verdict, rate = text.split(r"\begin{table}")[1:3]
    assert r"\begin{tabular}{llll}" in verdict and r"\begin{tabular}{lrrr}" in rate
    assert r" & \multicolumn{3}{c}{depth} \\" in verdict and "configuration & 4 & 9 & 32" in verdict
    assert r"\setlength{\belowcaptionskip}{\abovecaptionskip}" in rate


def test_theory_has_a_table_with_letters_for_its_notes(table):
    text = Content(run_of(table)).tables_tex().split(r"\begin{table}")[4]
    assert r"\label{tab:gradlab-theory}" in text and "a: " in text
    assert r"configuration & depth & measured & predicted & ratio & interval & note \\" in text


def test_figures_have_caption_and_label():
    drawn = [
        Drawn("Rate & depth", "", "figures/rate_against_depth.png", "50 % of a_b", "", 3.4),
        Drawn("Wide", "", "figures/wide.png", "c", "", 7.0), NotDrawn("Lost", "no reason"),
    ]  # fmt: skip
    text = Content(run_of(grid(depths=(4,)))).figures_tex(drawn)
    assert r"\includegraphics{figures/rate_against_depth.pdf}" in text
    assert r"\includegraphics[width=\linewidth]{figures/wide.pdf}" in text
    assert r"\caption[{Rate \& depth}]{50 \% of a\_b}" in text and r"\label{fig:gradlab-rate_against_depth}" in text
    assert text.count(r"\begin{figure}") == 2
