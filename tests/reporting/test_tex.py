import re
import shutil
import subprocess

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from gradlab.frames.summaries import rates
from gradlab.plots.ground.captions import Caption
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
    verdict, rate = text.split(r"\begin{table*}")[1:3]
    assert r"\begin{tabular}{llll}" in verdict and r"\begin{tabular}{lrrr}" in rate
    assert r" & \multicolumn{3}{c}{depth} \\" in verdict and "configuration & 4 & 9 & 32" in verdict
    assert r"\setlength{\belowcaptionskip}{\abovecaptionskip}" in rate


def test_theory_has_a_table_with_letters_for_its_notes(table):
    text = Content(run_of(table)).tables_tex().split(r"\begin{table*}")[4]
    assert r"\label{tab:gradlab-theory}" in text and "a: " in text
    assert r"configuration & depth & measured & predicted & ratio & interval & note \\" in text


def test_figures_have_caption_and_label():
    drawn = [
        Drawn("Rate & depth", "", "figures/rate_against_depth.png", Caption("50 % of a_b.", "n = 3."), "", 3.4),
        Drawn("Wide", "", "figures/wide.png", Caption("c"), "", 7.0), NotDrawn("Lost", "no reason"),
    ]  # fmt: skip
    text = Content(run_of(grid(depths=(4,)))).figures_tex(drawn)
    for inches, name in (("3.4in", "rate_against_depth"), ("7in", "wide")):
        size = rf"\ifdim\linewidth<{inches}\linewidth\else{inches}\fi"
        assert rf"\includegraphics[width={size}]{{figures/{name}.pdf}}" in text
    assert r"\caption[{Rate \& depth}]{\textbf{50 \% of a\_b.} n = 3.}" in text
    assert r"\label{fig:gradlab-rate_against_depth}" in text
    assert text.count(r"\begin{figure}") == 1 and text.count(r"\begin{figure*}") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX")
@pytest.mark.slow
@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
def test_all_of_it_compiles(columns, table_with_failures, tmp_path):
    """With names that LaTeX reads otherwise; nothing stands over the edge of the page."""
    hostile = r"50 % of $a_b^2$ & {c} #1 ~ \textbf σ_w² → ≤ ∂ <b>"
    about = Content(run_of(table_with_failures))
    (tmp_path / "figures").mkdir()
    drawn = []
    for name, inches in (("narrow", 3.4), ("wide", 7.0)):
        figure, _ = plt.subplots(figsize=(inches, 2))
        figure.savefig(tmp_path / "figures" / f"{name}.pdf")
        plt.close(figure)
        drawn.append(Drawn(hostile, "", f"figures/{name}.png", Caption(f"{hostile}.", hostile), "", inches))
    own = tex.table(pd.DataFrame({hostile: ["[x", "*"]}, index=pd.Index([hostile, ""], name="c")), hostile, "tab:x")
    head = rf"\documentclass[{columns}]{{article}}\usepackage{{booktabs,graphicx}}\usepackage[margin=2cm]{{geometry}}"
    body = "\n".join([about.numbers_tex(), about.tables_tex(), about.figures_tex(drawn), own])
    (tmp_path / "page.tex").write_text(f"{head}\\begin{{document}}\n{body}\\end{{document}}\n", encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page"], cwd=tmp_path, capture_output=True
    )
    log = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, log[-2000:]
    over = [float(points) for points in re.findall(r"Overfull .hbox \((\d+\.\d+)pt", log)]
    assert max(over, default=0) < 2, log
