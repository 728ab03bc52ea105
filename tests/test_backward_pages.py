"""The pages on the backward pass show the lines that run: each marker is in the source."""

import ast
import re
from pathlib import Path

import pytest

import gradlab

ROOT = Path(gradlab.__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "backward").glob("*.md"))
INCLUDE = re.compile(r"^```\{literalinclude\} (\S+)\n(.*?)^```$", re.M | re.S)
OPTION = re.compile(r"^:([a-z-]+): ?(.*)$", re.M)


def shown(page, path, options):
    """The lines that Sphinx takes: those of a function, from a line with one text to before a line with another."""
    source = (page.parent / path).resolve()
    lines = source.read_text(encoding="utf-8").splitlines()
    nodes = [n for n in ast.parse("\n".join(lines)).body if getattr(n, "name", "") == options["pyobject"]]
    assert len(nodes) == 1, f"{page.name}: {source.name} has no {options['pyobject']}"
    lines = lines[nodes[0].lineno - 1 : nodes[0].end_lineno]
    start, end = options.get("start-at"), options.get("end-before")
    if start:
        places = [i for i, line in enumerate(lines) if start in line]
        assert places, f"{page.name}: {source.name} has no line with {start!r}"
        lines = lines[places[0] :]
    if end:
        places = [i for i, line in enumerate(lines) if i and end in line]
        assert places, f"{page.name}: {source.name} has no line with {end!r}"
        lines = lines[: places[0]]
    return lines


def includes(page):
    return [
        (path, dict(OPTION.findall(options))) for path, options in INCLUDE.findall(page.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("page", [p for p in PAGES if p.stem != "index"], ids=lambda p: p.stem)
def test_the_lines_of_a_page_are_in_the_source(page):
    made = [shown(page, path, options) for path, options in includes(page)]
    text = page.read_text(encoding="utf-8")
    assert len(made) >= 2 and all(made) and "$$" in text and "\n## Shapes\n" in text
    code = "\n".join("\n".join(lines) for lines in made)
    # nothing of the code is copied into the page
    assert not re.search(r"^```python", text, re.M)
    assert "def backward" in code or page.stem in ("losses", "unroll")
    # neither a docstring nor half a function is shown
    assert all('"""' not in lines[0] for lines in made)


def test_every_kind_of_layer_has_its_page():
    cores = {(p.parent / path).resolve().stem for p in PAGES for path, _ in includes(p)}
    backward = {
        path.stem
        for path in (ROOT / "gradlab" / "core").glob("*.py")
        if "    def backward(" in path.read_text(encoding="utf-8")
    }
    # how layers are put together, shown to readers, and rounded on the way forward alone, is no layer
    assert backward - cores <= {"layer", "differences", "rounding"}
    listed = re.search(r"```\{toctree\}\n(.*?)```", (ROOT / "docs/backward/index.md").read_text(), re.S)[1].split()
    assert sorted(listed) == [p.stem for p in PAGES if p.stem != "index"]


def test_a_marker_that_is_gone_is_found(tmp_path):
    (tmp_path / "core.py").write_text("def dense():\n    def forward():\n        pass\n    return 1\n")
    page = tmp_path / "page.md"
    assert shown(page, "core.py", {"pyobject": "dense", "start-at": "def forward", "end-before": "return"})
    for wrong in ({"pyobject": "conv"}, {"pyobject": "dense", "start-at": "def backward"}):
        with pytest.raises(AssertionError):
            shown(page, "core.py", wrong)
