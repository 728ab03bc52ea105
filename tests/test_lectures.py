"""The lectures run as plain scripts without a warning, open as notebooks, and suit marimo."""

import ast
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gradlab

ROOT = Path(gradlab.__file__).resolve().parents[1]
LECTURES = sorted((ROOT / "docs" / "lectures").glob("*.py"))
SOLUTIONS = sorted((ROOT / "docs" / "lectures" / "solutions").glob("*.py"))
#: Seconds that a lecture may take on two cores.
LONGEST = 120


def cells(path):
    """The code cells of a notebook in the percent format."""
    parts = re.split(r"^# %%(.*)$", path.read_text(), flags=re.MULTILINE)
    return [code for head, code in zip(parts[1::2], parts[2::2], strict=True) if "[markdown]" not in head]


def defined(code):
    """Names that a cell gives at its top level; those of functions inside are their own."""
    names = set()

    def visit(node):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
            return
        if isinstance(node, (ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp, ast.Lambda)):
            return
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        for inner in ast.iter_child_nodes(node):
            visit(inner)

    visit(ast.parse(code))
    return {name for name in names if not name.startswith("_")}


def test_each_lecture_has_its_solutions_and_asks_before_it_answers():
    assert [path.name for path in LECTURES] == [path.name for path in SOLUTIONS] and len(LECTURES) == 4
    index = (ROOT / "docs" / "lectures" / "index.md").read_text()
    for path in LECTURES:
        text = path.read_text()
        assert text.count("**Question.**") >= 3 and "# ## Exercises" in text
        assert f"solutions/{path.name}" in text and f"<{path.name}>" in index


@pytest.mark.parametrize("path", [*LECTURES, *SOLUTIONS], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_no_cell_gives_a_name_of_another_cell_anew(path):
    seen = {}
    for number, code in enumerate(cells(path)):
        for name in defined(code):
            assert name not in seen, f"{name} in cells {seen.get(name)} and {number}"
            seen[name] = number


@pytest.mark.slow
@pytest.mark.parametrize("path", [*LECTURES, *SOLUTIONS], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_lecture_runs_as_a_script(path, tmp_path):
    env = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    # plt.show, which notebooks need, has no window in a script
    quiet = ["-W", "error", "-W", "ignore:FigureCanvasAgg is non-interactive:UserWarning"]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, *quiet, str(path)], cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert time.monotonic() - begun < LONGEST


@pytest.mark.slow
@pytest.mark.parametrize("path", LECTURES, ids=lambda p: p.stem)
def test_a_lecture_opens_as_a_notebook(path):
    jupytext = pytest.importorskip("jupytext")
    notebook = jupytext.read(path)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds[0] == "markdown" and kinds.count("code") == len(cells(path))
    assert not any(cell.get("outputs") for cell in notebook.cells)
