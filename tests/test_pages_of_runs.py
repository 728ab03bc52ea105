"""Pages on the folder of a run: each test that the table of faults names exists, reading back runs as it stands."""

import re
from pathlib import Path

import pytest

import gradlab
from tests.pages import run_page

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
