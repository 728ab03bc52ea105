"""Blocks of code in pages of Markdown, and how a test runs them."""

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from gradlab import cli

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block: its language and its text."""

    language: str
    text: str


def blocks(page):
    """The blocks of a page in their order; directives of the site have braces and are none."""
    return [Block(*fence) for fence in FENCE.findall(page.read_text(encoding="utf-8"))]


def run_python(text, names, page="a page"):
    """What a block prints; it sees and leaves `names`."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, str(page), "exec"), names)
    return printed.getvalue()


def run_lines(text, **values):
    """Run each line of a shell's block that is a command of gradlab, with the values of the shell's variables."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in lines:
        for name, value in values.items():
            line = line.replace(f"${name}", str(value))
        first, *words = shlex.split(line)
        assert first == "gradlab", line
        assert cli.main([*words, "--quiet", "--no-cache"] if words[0] in ("sweep", "train") else words) == 0, line


def run_page(page):
    """Run all blocks of a page in the present folder, one after another, as a reader does who copies them."""
    names = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python":
            run_python(block.text, names, page)
        elif block.language == "sh":
            run_lines(block.text, SLURM_ARRAY_TASK_ID=1)
        elif block.language == "toml":
            Path("request.toml").write_text(block.text)
        else:
            raise AssertionError(f"{page.name} has a block of {block.language}, which no test runs")
    return names
