"""Pages beside the guide: the table of faults names tests that exist, and each block of code runs as it stands."""

import re
from pathlib import Path

import pytest

import gradlab
from tests.pages import FENCE, blocks, run_page, run_python

ROOT = Path(gradlab.__file__).resolve().parents[1]


def faults():
    """The rows of the table of faults, as lists of cells."""
    lines = (ROOT / "docs" / "faults.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_the_table_of_faults_names_tests_that_exist():
    header, _, *rows = faults()
    assert header == ["fault", "what gradlab does", "what stays", "how to go on", "test"] and len(rows) >= 20
    for fault, *rest, named in rows:
        assert fault and all(rest) and len(rest) == 3
        place, name = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", named).groups()
        assert re.search(rf"^def {name}\(", (ROOT / place).read_text(), re.MULTILINE), named


def test_each_fault_that_is_done_for_real_stands_in_the_table():
    named = "\n".join(row[-1] for row in faults())
    tests = re.findall(r"^def (test_\w+)\(", (ROOT / "tests" / "sweep" / "test_faults.py").read_text(), re.MULTILINE)
    assert len(tests) > 8 and [test for test in tests if test not in named] == []


@pytest.mark.slow
def test_reading_back_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_page(ROOT / "docs" / "reading_back.md")
    whole = gradlab.load("runs/demo").frame
    assert names["table"].num_rows == len(whole)
    some = whole[(whole["activation"] == "relu") & whole["layer"].isin([1, 2])]
    assert names["some"]["log10_delta_rms"].tolist() == some["log10_delta_rms"].tolist()


@pytest.mark.slow
def test_the_page_of_the_explorer_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gradlab.run(gradlab.Sweep(depth=(2, 3), width=8, data="gaussian", batch=8, seeds=2), out="runs/demo")
    run_page(ROOT / "docs" / "explorer.md")
    for name in ("explore.html", "deep.html", "theory.html", "runs/demo/explore.html"):
        assert "<script" in Path(name).read_text(encoding="utf-8"), name


@pytest.mark.slow
def test_the_blackboard_on_the_page_of_lectures_is_one_page():
    (block,) = [b for b in blocks(ROOT / "docs" / "lectures" / "index.md") if b.language == "python"]
    assert 20 < len(run_python(block.text, {}).splitlines()) < 60


def test_every_page_with_code_is_run_by_a_test():
    """Those of guide and theory are walked through by their own tests; the others are named in one."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "lectures").glob("*.md"), ROOT / "CONTRIBUTING.md"]
    coded = [p for p in pages if any(language == "python" for language, _ in FENCE.findall(p.read_text("utf-8")))]
    assert len(coded) >= 5
    assert [p.name for p in coded if f'"{p.name}"' not in tests] == []
