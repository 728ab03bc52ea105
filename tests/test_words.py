"""One word for one thing: names follow the table of words in CONTRIBUTING.md, and docstrings are sentences."""

import ast
import functools
import re
from pathlib import Path
from typing import NamedTuple

import pytest

import gradlab
from gradlab._types import COORDINATES, MEASURED
from gradlab.config import OPTIONS

ROOT = Path(gradlab.__file__).resolve().parents[1]
PACKAGE = ROOT / "gradlab"
#: Rooms and files whose docstrings have been gone through.
SPOKEN = [
    PACKAGE / name
    for name in (
        "config", "core", "data", "diagnosis", "frames", "measurement", "monitoring", "networks", "plots", "reporting",
        "sweep", "theory", "training",
    )
]  # fmt: skip
SPOKEN += [PACKAGE / f"{name}.py" for name in ("cli", "model_commands", "options")]
SPOKEN += [
    PACKAGE / f"{name}.py"
    for name in ("_errors", "_files", "_progress", "_signals", "_status", "_text", "_tree", "_types")
]
#: A docstring of a function begins with a verb, so with none of these.
NO_VERB = {
    "the",
    "a",
    "an",
    "what",
    "how",
    "whether",
    "of",
    "that",
    "those",
    "where",
    "why",
    "which",
    "all",
    "one",
    "its",
}


class Word(NamedTuple):
    """A row of the table: the words that are used, what they mean, and names that are not."""

    words: tuple[str, ...]
    meaning: str
    banned: tuple[str, ...]


def table():
    text = (ROOT / "CONTRIBUTING.md").read_text().split("\n## Words\n")[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == ["word", "meaning", "not in names"]
    return [Word(tuple(word.split(", ")), meaning, tuple(re.findall("`(.+?)`", no))) for word, meaning, no in rows[2:]]


def parts(name):
    """``of_gradLab2`` as ``["of", "grad", "lab2"]``."""
    return [part.lower() for part in re.findall(r"[A-Z]*[a-z0-9]+|[A-Z]+", name)]


def broken(names, banned):
    """The names that hold a banned word, as where: name (word)."""
    found = []
    for where, name in names:
        for word in banned:
            wanted, held = parts(word), parts(name)
            if any(held[i : i + len(wanted)] == wanted for i in range(len(held))):
                found.append(f"{where}: {name} ({word})")
    return found


def arguments(function):
    a = function.args
    names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if x]
    return [name for name in names if name not in ("self", "cls")]


@functools.cache
def public():
    """Definitions behind the names of all stubs: file and node."""
    nodes = []
    for stub in PACKAGE.rglob("__init__.pyi"):
        for statement in ast.parse(stub.read_text()).body:
            if not isinstance(statement, ast.ImportFrom) or not statement.module:
                continue
            file = stub.parent / (statement.module.replace(".", "/") + ".py")
            body = ast.parse(file.read_text()).body if file.exists() else []
            wanted = {alias.name for alias in statement.names}
            nodes += [(file, node) for node in body if getattr(node, "name", None) in wanted]
    return nodes


def functions(node):
    """A function, or the public methods of a class."""
    if isinstance(node, ast.FunctionDef):
        return [node]
    return [inner for inner in node.body if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_")]


def all_names():
    """Public names, their arguments, fields and methods, names of files, and columns; each with where it stands."""
    names = [("column", name) for name in (*COORDINATES, *MEASURED, *OPTIONS)]
    names += [("file", path.stem) for path in PACKAGE.rglob("*.py")]
    for file, node in public():
        where = file.relative_to(ROOT).as_posix()
        names.append((where, node.name))
        if isinstance(node, ast.ClassDef):
            names += [(where, inner.target.id) for inner in node.body if isinstance(inner, ast.AnnAssign)]
        for function in functions(node):
            names += [(f"{where}: {function.name}", name) for name in (function.name, *arguments(function))]
    return names


def test_every_row_of_the_table_says_what_its_word_means():
    rows = table()
    words = [word for row in rows for word in row.words]
    banned = [word for row in rows for word in row.banned]
    assert len(rows) > 30 and all(len(row.meaning.split()) > 3 for row in rows)
    assert len(set(words)) == len(words) and len(set(banned)) == len(banned) and not set(words) & set(banned)
    assert len(banned) > 20


def test_no_name_holds_a_word_that_the_table_replaces():
    names = all_names()
    assert len(names) > 1000
    assert broken(names, [word for row in table() for word in row.banned]) == []


def test_a_banned_word_would_be_found():
    names = [("here", name) for name in ("told", "on_told", "ToldOnce", "untold", "n_layers", "layers")]
    assert broken(names, ["told", "n_layers"]) == [
        "here: told (told)", "here: on_told (told)", "here: ToldOnce (told)", "here: n_layers (n_layers)"
    ]  # fmt: skip


def described(docstring):
    """Arguments that the section Parameters has, and those of them without a description."""
    section = re.split(r"\n(?=[A-Z][a-z]+\n---)", docstring.partition("Parameters\n----------\n")[2])[0]
    entries = re.findall(r"^(\S.*?) : .*\n((?:    .*\n|\n)*)", f"{section}\n", re.MULTILINE)
    names = {name.lstrip("*"): text.strip() for group, text in entries for name in group.split(", ")}
    return set(names), sorted(name for name, text in names.items() if not text)


def sources(places):
    return [path for place in places for path in ([place] if place.suffix else sorted(place.rglob("*.py")))]


@pytest.mark.parametrize("path", sources(SPOKEN), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_docstrings_are_sentences_and_describe_each_argument(path):
    wrong = []
    ours = {node.name for file, node in public() if file == path}
    for node in ast.walk(ast.parse(path.read_text())):
        text = ast.get_docstring(node) if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else None
        if not text:
            continue
        if isinstance(node, ast.FunctionDef) and parts(text.split()[0])[:1] and parts(text.split()[0])[0] in NO_VERB:
            wrong.append(f"{node.name}: {text.splitlines()[0]}")
        names, empty = described(text)
        wrong += [f"{node.name}: {name} is not described" for name in empty]
        if isinstance(node, ast.FunctionDef) and node.name in ours and len(arguments(node)) > 1:
            missing = set(arguments(node)) - names
            wrong += [f"{node.name}: {name} is missing" for name in sorted(missing)]
    assert not wrong


#: Names that say nothing of what they hold. Methods may be called `of`, as a constructor is: `Batch.of(x)`.
EMPTY = {"found", "own", "of", "about", "told", "apart"}


def empty_names(source):
    """Line and name of variables, arguments, functions and classes that say nothing."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            names.append((node.lineno, node.id))
        elif isinstance(node, (ast.arg, ast.keyword)):
            names.append((node.lineno, node.arg))
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name != "of":
            names.append((node.lineno, node.name))
    return [(line, name) for line, name in names if name in EMPTY]


def test_names_say_what_they_hold():
    paths = sources([PACKAGE])
    assert len(paths) > 200
    wrong = {path.relative_to(ROOT).as_posix(): empty for path in paths if (empty := empty_names(path.read_text()))}
    assert wrong == {}


def test_an_empty_name_would_be_found():
    source = "class A:\n  def of(self, own): found = about = own\ndef told(): return f(apart=1)"
    assert {name for _, name in empty_names(source)} == {"own", "found", "about", "told", "apart"}
