"""The gallery of the site: it has every figure function, its scripts run, and their frames are small."""

import ast
import re
import runpy
from pathlib import Path

import pytest

import gradlab as gl

ROOT = Path(gl.__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "docs" / "gallery").rglob("plot_*.py"))
FILES = sorted((ROOT / "gradlab" / "examples").glob("*.parquet"))


def figure_functions():
    """The public names of `gradlab.plots` that draw a figure: all but those of its ground."""
    body = ast.parse((ROOT / "gradlab" / "plots" / "__init__.pyi").read_text()).body
    lines = [line for line in body if isinstance(line, ast.ImportFrom)]
    return {line.names[0].asname for line in lines if not line.module.startswith("ground.")}


def called(text, room):
    """Names that are called as `room.NAME(...)` in a text of Python."""
    return set(re.findall(rf"\b{re.escape(room)}\.(\w+)\(", text))


def test_every_figure_function_stands_in_the_gallery():
    texts = [script.read_text() for script in SCRIPTS]
    functions = figure_functions()
    assert len(functions) > 25 and functions <= set().union(*(called(text, "gl.plots") for text in texts))
    # a title, a sentence, the paper, and one call
    for script, text in zip(SCRIPTS, texts, strict=True):
        title, sentence, paper = ast.get_docstring(ast.parse(text)).split("\n\n")
        assert len(set(map(len, title.split("\n")))) == 1 and sentence.endswith("."), script.name
        assert re.match(r"After .* (19|20)\d\d\b", paper.replace("\n", " ")), script.name
        assert len(called(text, "gl.plots")) == 1, script.name


def test_examples_are_small_and_described():
    assert sum(file.stat().st_size for file in FILES) < 600_000
    described = set(re.findall(r"``(\w+)``", gl.example.__doc__.partition("One of")[2].partition("Returns")[0]))
    assert {file.stem for file in FILES} == described
    assert all(len(gl.example(file.stem)) for file in FILES)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_of_the_gallery_draws(script, forget):
    import matplotlib.pyplot as plt

    plt.close("all")
    try:
        runpy.run_path(str(script))
        assert plt.get_fignums()
    finally:
        plt.close("all")
