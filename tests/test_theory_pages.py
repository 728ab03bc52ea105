"""Pages on theory, myths and papers: examples print what stands there, and each page has its parts."""

import doctest
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import gradlab
from gradlab import cli

ROOT = Path(gradlab.__file__).resolve().parents[1]
PAGES = sorted(p for p in (ROOT / "docs" / "theory").glob("*.md") if p.stem != "index")
DOCS = ROOT / "docs"
PARTS = ["Formula", "The call", "Figure", "Where it stops being valid", "Source"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_has_its_parts(page):
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.M) == PARTS
    assert "$$" in text and ".. plot::" in text and ":alt: " in text and len(re.findall(r"^>>> ", text, re.M)) >= 2
    listed = re.search(r"```\{toctree\}\n(.*?)```", (ROOT / "docs/theory/index.md").read_text(), re.S)[1].split()
    assert sorted(listed) == [p.stem for p in PAGES]


def test_each_myth_has_a_verdict_numbers_a_figure_and_a_command():
    _, *myths = re.split(r"^## ", (DOCS / "myths.md").read_text(encoding="utf-8"), flags=re.M)
    assert len(myths) >= 7
    for myth in myths:
        assert re.search(r"^\*\*(Held|Not held)\b.*\.\*\*$", myth, re.M), myth.splitlines()[0]
        assert ">>> " in myth and ".. plot::" in myth and ":alt: " in myth
        command = re.search(r"^```sh\n(.*?)\n```$", myth, re.M | re.S)[1].split()
        script = command[0] == "python" and (ROOT / command[1]).is_file() and "--quick" in command
        assert script or (command[0] == "gradlab" and command[1] in cli.COMMANDS)
    # a figure without a name of its own is numbered anew in each block: all would be the first one
    names = re.findall(r"^   :filename-prefix: (\S+)$", "".join(myths), re.M)
    assert len(set(names)) == len(myths)


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("page", [*PAGES, DOCS / "myths.md", DOCS / "papers.md"], ids=lambda p: p.stem)
def test_examples_print_what_stands_on_the_page(page):
    text = page.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S))
    example = doctest.DocTestParser().get_doctest(code, {}, page.stem, str(page), 0)
    runner = doctest.DocTestRunner()
    runner.run(example)
    plt.close("all")
    assert len(example.examples) >= 2 and runner.summarize(verbose=False).failed == 0
