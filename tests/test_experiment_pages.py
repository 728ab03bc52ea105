"""No page types a number: what stands in a sentence comes from the script's constants or from its run."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gradlab as gl

ROOT = Path(__file__).parents[1]
SCRIPTS = {path.stem: path for path in (ROOT / "experiments").glob("*.py") if "Words(" in path.read_text()}
FOLDERS = {"autodiff": "readme"}
#: What is no number of ours: years, places in papers, the level of intervals, code, numbers in words like float32.
ELSEWHERE = [
    r"\{[^{}]*\}", r"`[^`]*`", r"\b(?:19|20)\d\d\b", r"\b95\s%",
    r"\b(?:figures?|sections?|equations?|table)\s+[\d.]+(?:(?:,\s*|\s+and\s+|–)[\d.]+)*",
]  # fmt: skip
#: Parts of formulas: a small integer beside an operator, or a logarithm of one.
FORMULA = [r"\b(?:\d\s)?ln\s10\b", r"\b\d\sΣ", r"[/^√(−+<>=]\s?(?:10|\d)(?![.\d])", r"(?<![\d.])(?:10|\d)\s?[/^χ]"]
NUMERAL = re.compile(r"(?<![\w.])\d[\d.,]*\d|(?<![\w.])\d")


def folder(name):
    """The folder of a script's page."""
    return ROOT / "reports" / FOLDERS.get(name, name)


def literals(node):
    """The typed part of each string in an expression, with braces where a value is put in."""
    if isinstance(node, ast.JoinedStr):
        return ["".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)]
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.Dict):  # its keys are names of figures and letters of panels
        return [text for value in node.values for text in literals(value)]
    return [text for child in ast.iter_child_nodes(node) for text in literals(child)]


def sentences(script):
    """The words of a page as they are typed in its script: all strings of the constants that `Words` is made from."""
    constants = {}
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            constants[node.targets[0].id] = node.value
    said = constants["SAID"]
    given = {name.id for name in ast.walk(said) if isinstance(name, ast.Name)} & set(constants)
    found = [("SAID", text) for text in literals(said)]
    found += [(name, text) for name in sorted(given) for text in literals(constants[name])]
    return {f"{name} {place}": text for place, (name, text) in enumerate(found) if text}


def typed(text):
    """Numbers that are typed in a sentence; 0 and 1 are words."""
    for pattern in (*ELSEWHERE, *FORMULA):
        text = re.sub(pattern, " ", text)
    return [found for found in NUMERAL.findall(text) if found not in ("0", "1")]


def page_text(name):
    """Title, claim, caption and text of a committed page, in one line."""
    page = (folder(name) / "README.md").read_text(encoding="utf-8")
    return " ".join(page[: page.index("## How to make it again")].split())


def test_every_experiment_has_its_words_in_one_place():
    listed = re.findall(r"^\| \[`(\w+)\.py`\]", (ROOT / "experiments" / "README.md").read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(SCRIPTS) and len(SCRIPTS) >= 17
    for name, script in SCRIPTS.items():
        assert {part.split()[0] for part in sentences(script)} >= {"SAID", "CLAIM", "TEXT"}, name
        assert sum(len(text) for text in sentences(script).values()) > 1000, name


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_number_is_typed_in_a_sentence(name):
    assert {part: typed(text) for part, text in sentences(SCRIPTS[name]).items() if typed(text)} == {}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_page_is_what_the_script_writes(name):
    """Every typed piece of the words stands on the committed page, in order, with a value in each pair of braces."""
    page = page_text(name)
    about = json.loads((folder(name) / "provenance.json").read_text(encoding="utf-8"))
    known = {**about["setting"], **about["numbers"]}
    for part, text in sentences(SCRIPTS[name]).items():
        names = set(re.findall(r"\{(\w+)[^{}]*\}", text.replace("{{", "{").replace("}}", "}"))) - {"drawn"}
        assert names <= set(known), (part, names - set(known))
        pieces = [" ".join(piece.split()) for piece in re.split(r"\{+[^{}]*\}+", text)]
        assert re.search(".{0,2000}?".join(re.escape(piece) for piece in pieces if piece), page), part


def test_the_tables_of_pages_name_them_as_they_are():
    listed = (ROOT / "reports" / "README.md").read_text(encoding="utf-8")
    for name in SCRIPTS:
        title = (folder(name) / "README.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert f"| [{title}]({folder(name).name}/README.md) | `python experiments/{name}.py` |" in listed, name


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_the_list_of_experiments_claims_stands_on_the_page(name):
    """Each number of a row of experiments/README.md is one that the page has."""
    rows = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8").splitlines()
    row = next(line for line in rows if line.startswith(f"| [`{name}.py`]"))
    claim = row.split(" | ")[2]
    page = set(NUMERAL.findall(page_text(name).replace("10,000", "10000").replace(",", " ")))
    for pattern in (*ELSEWHERE, *FORMULA):
        claim = re.sub(pattern, " ", claim)
    said = {found.replace(",", "") for found in NUMERAL.findall(claim) if found not in ("0", "1")}
    assert said <= page, said - page


def test_what_the_readme_says_of_autodiff_is_what_the_script_found():
    """Its section names sizes by their power of ten: each is one that the table holds; and depths are the page's."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## What autodiff prints\n")[1].split("\n## ")[0]
    sizes = pd.read_csv(folder("autodiff") / "autodiff.csv")["log10_weight_grad_norm"]
    powers = {round(size) for size in sizes if np.isfinite(size)}
    for power in re.findall(r"1e(-\d+)", section):
        assert int(power) in powers
    plain = re.sub(r"1e-\d+|!\[.*?\]|\(.*?\)", " ", section)
    page = set(NUMERAL.findall(page_text("autodiff")))
    assert set(NUMERAL.findall(plain)) - {"0", "1"} <= page


def test_what_the_readme_says_of_the_default_sweep_and_of_range():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    sweep = gl.Sweep()
    sizes = len(sweep.depth), len(sweep.activation), len(sweep.init), len(sweep.seed_numbers)
    depths, activations, inits, seeds = sizes
    said = f"({depths} depths × {activations} activations × {inits} initialisations × {seeds} seeds)"
    assert said in readme
    lowest = float(re.search(r"in float32 down to 1e(-\d+)", readme)[1])
    net = gl.MLP(depth=24, width=4, activation="tanh", init="gaussian", std=1e-30)
    trace = gl.measure(net, np.ones((2, 3), "float32"), loss="probe", seeds=1, columns=["log10_delta_rms"])
    assert -800 < trace.columns["log10_delta_rms"][0, 0] < lowest
