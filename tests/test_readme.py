"""The README's five starts run as they stand there."""

import re
from pathlib import Path

import pytest

import gradlab
from tests.pages import run_python

ROOT = Path(gradlab.__file__).resolve().parents[1]
STARTS = re.findall(r"^\*\*(.+?)\*\*.*?^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def start(title, folder, monkeypatch):
    """What a start prints, run in `folder`, and the names that it leaves."""
    monkeypatch.chdir(folder)
    code = dict(STARTS)[title]
    assert len(code.splitlines()) <= 12
    names = {}
    return run_python(code, names, "README.md"), names


def test_there_are_five_starts_and_each_says_how_long_it_takes():
    titles = ["Measure an idea", "Make a slide", "Compose a figure"]
    titles += ["Look at gradients of your own", "Diagnose a model of your own"]
    assert [title for title, _ in STARTS] == titles
    text = (ROOT / "README.md").read_text()
    for title, _ in STARTS:
        assert re.search(rf"\*\*{title}\*\* \(about \d+ s\)", text)


@pytest.mark.slow
def test_measure_an_idea(tmp_path, monkeypatch, forget):
    told, names = start("Measure an idea", tmp_path, monkeypatch)
    assert "snake" in told
    table = gradlab.rates(names["frame"]).set_index(["activation", "depth"])
    # by its rate of 1.22 the snake explodes over 64 layers, and tanh is a power law that stays
    assert table.loc[("snake", 64), "verdict"] == "exploding"
    assert table.loc[("tanh", 4), "verdict"] == "steady"
    assert Path("runs/snake/frame.parquet").exists()


def test_make_a_slide(tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    try:
        told, names = start("Make a slide", tmp_path, monkeypatch)
        width, height = names["axes"][0].figure.get_size_inches()
    finally:
        plt.close("all")
    assert len(names["axes"]) == 3 and "seeds" in told
    assert abs(width / height - 16 / 9) < 0.01
    assert Path("slide.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_compose_a_figure(tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    try:
        _, names = start("Compose a figure", tmp_path, monkeypatch)
        board = names["board"]
        entries = [text.get_text() for text in board.figure.legends[0].get_texts()]
    finally:
        plt.close("all")
    assert entries[:3] == ["sigmoid", "tanh", "ReLU"] and board.figure.get_figwidth() == 7
    assert board.caption.startswith("The delta of sigmoid networks vanishes. (a) From the last")
    assert "(c) Decades of the delta over 32 layers." in board.caption
    assert {Path(f"figure.{kind}").exists() for kind in ("png", "pdf", "svg")} == {True}


@pytest.mark.slow
def test_look_at_gradients_of_your_own(tmp_path, monkeypatch):
    import jax

    told, names = start("Look at gradients of your own", tmp_path, monkeypatch)
    assert "log10_weight_grad_norm" in told
    assert jax.tree.structure(names["grads"]) == jax.tree.structure(names["params"])
    assert len(told.splitlines()) == 1 + 12 + 1


@pytest.mark.slow
def test_diagnose_a_model_of_your_own(tmp_path, monkeypatch):
    told, _ = start("Diagnose a model of your own", tmp_path, monkeypatch)
    assert "10 of 10 products seen" in told.splitlines()[0]
    assert "GL003 init_too_small" in told and "dense_0" in told and "multiply the weights by" in told


def test_the_readme_is_short_and_names_each_page_of_the_guide():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 150
    pages = {page.stem for page in (ROOT / "docs" / "guide").glob("*.md")} - {"index", "columns"}
    assert set(re.findall(r"docs/guide/(\w+)\.md", text)) == pages
