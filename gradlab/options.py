"""Options of the command line: the fields of configurations and more, from arguments or a TOML file."""

from __future__ import annotations

import argparse
import dataclasses
import tomllib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn

from gradlab._errors import GradlabError, unknown
from gradlab.config import Sweep, shown

#: Options whose value is a path.
PATHS = ("out", "config", "import_", "run", "json", "html", "baseline", "before", "after", "figure", "explore")
#: Arguments that stand in a command without a name before them.
_PLACES: dict[str, str] = {
    "run": "PATH", "model": "FILE.py:FACTORY", "recorded": "FILE.npz", "before": "BEFORE", "after": "AFTER",
    "drawn": "FIGURE",
}  # fmt: skip
#: Options that let others run code here: a file does not give them.
_TRUSTED: dict[str, tuple[str, str]] = {
    "import": ("--import FILE.py", "it runs code"),
    "import_": ("--import FILE.py", "it runs code"),
    "scheduler": ("--scheduler tcp://HOST:PORT", "what a scheduler sends is run"),
}
#: How values of each type are named in the help.
_METAVARS = {int: "INT", float: "NUMBER", str: "NAME", bool: "{True,False}"}


class _Parser(argparse.ArgumentParser):
    """Raise errors instead of printing them."""

    def error(self, message: str) -> NoReturn:
        raise GradlabError(f"options of {self.prog}", message, f"{self.prog} --help")


def parse_options(
    command: str,
    description: str,
    argv: list[str],
    config: type | None,
    options: Sequence[tuple],
    defaults: Mapping[str, Any],
) -> tuple[dict[str, Any], set[str]]:
    """Parse a command; return its options by name, and the names of those that were not given.

    Options that are fields of `config` are not checked here: the configuration checks itself when it is made.
    """
    table = {f.name: (kind, defaults.get(f.name, f.default), meaning) for f, kind, meaning in fields_of(config)}
    table |= {name: (kind, default, meaning) for name, kind, default, meaning in options}
    parser = _Parser(
        prog=f"gradlab {command}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"gradlab {command} [options]" + "".join(f" {_PLACES[name]}" for name in table if name in _PLACES),
        allow_abbrev=False, argument_default=argparse.SUPPRESS,
    )  # fmt: skip
    for name, (kind, default, meaning) in table.items():
        meaning = meaning.replace("%", "%%")
        if default is dataclasses.MISSING:
            several = {"nargs": "+"} if _several(kind) else {}
            parser.add_argument(name, metavar=_PLACES[name], help=meaning, **several)
            continue
        meaning = f"{meaning.replace('None: ', 'By default ')}{_default(default)}"
        if kind is bool:
            parser.add_argument(_option(name), dest=name, action=argparse.BooleanOptionalAction, help=meaning)
        else:
            several = {"nargs": "*"} if _several(kind) else {}
            parser.add_argument(_option(name), dest=name, metavar=_metavar(name, kind), help=meaning, **several)
    words = [word.partition("=") for word in argv]
    parsed, rest = parser.parse_known_args(
        [(a.replace("_", "-") if a.startswith("--") else a) + b + c for a, b, c in words]
    )
    for word in rest:
        if word.startswith("--"):
            names = [_option(name) for name in table if name not in _PLACES]
            raise unknown("option", word.partition("=")[0], names, f"gradlab {command} --help")
        raise GradlabError(f"options of gradlab {command}", repr(word), f"gradlab {command} --help")
    given = {name: _read(command, name, table[name][0], value) for name, value in vars(parsed).items()}
    return {name: default for name, (_, default, _) in table.items()} | given, table.keys() - given.keys()


def _default(default: Any) -> str:
    """Say in the help what an option is where it is not given; empty where that is nothing, or stands in the text."""
    values = default if isinstance(default, tuple) else (default,)
    if all(value is None for value in values):
        return ""
    words = {True: "on", False: "off"}
    return f" (default: {' '.join(words[v] if isinstance(v, bool) else str(v) for v in values)})"


def _option(name: str) -> str:
    return "--" + name.rstrip("_").replace("_", "-")


def _several(kind: Any) -> bool:
    """Say whether an option takes several values."""
    return any(typing.get_origin(k) is tuple for k in (kind, *typing.get_args(kind)))


def _leaves(kind: Any) -> set[Any]:
    """Return the types of a single value: int, float, str or bool, and None where that is allowed."""
    inside = [str if isinstance(k, str) else k for k in typing.get_args(kind) if k is not Ellipsis]
    return set().union(*map(_leaves, inside)) if inside else {kind}


def _metavar(name: str, kind: Any) -> str:
    return "PATH" if name in PATHS else "|".join(word for one, word in _METAVARS.items() if one in _leaves(kind))


def _read(command: str, name: str, kind: Any, given: Any) -> Any:
    """Convert the text that was given for an option to the type of the option."""
    if isinstance(given, bool):
        return given
    leaves = _leaves(kind)
    # Where both a number and a name are allowed, the configuration reads the text.
    one = str if str in leaves else next(k for k in _METAVARS if k in leaves)

    def value(word: str) -> Any:
        if word == "None" and NoneType in leaves:
            return None
        try:
            return {"True": True, "False": False}[word] if one is bool else one(word)
        except (KeyError, ValueError):
            metavar = _metavar(name, kind)
            wanted = f"{_option(name)} {metavar}" + (f" [{metavar} ...]" if _several(kind) else "")
            raise GradlabError(wanted, repr(word), f"gradlab {command} --help") from None

    if not _several(kind):
        return value(given)
    values = tuple(map(value, given))
    # A single value is no tuple where the option allows both.
    single = typing.get_origin(kind) is not tuple and {int, float, str} & set(typing.get_args(kind))
    return values[0] if single and len(values) == 1 else values


def fields_of(config: type | None) -> list[tuple[dataclasses.Field, Any, str]]:
    """Return field, type and description of everything that a configuration holds."""
    kinds = typing.get_type_hints(config) if config else {}
    return [
        (field, kinds[field.name], field.metadata["meaning"].replace("`", ""))
        for field in (dataclasses.fields(config) if config else ())
        if field.metadata.get("option", True)
    ]


def made(kind: type, given: Mapping[str, Any], file: str | None = None) -> Any:
    """Make the configuration, which checks itself."""
    try:
        return kind(**{field.name: given[field.name] for field in dataclasses.fields(kind) if field.name in given})
    except GradlabError as error:
        if file is None:
            raise
        raise GradlabError(error.expected, error.received, f"{error.hint}, here or in {file}") from error


def from_file(path: str, options: Sequence[tuple], config: type = Sweep) -> dict[str, Any]:
    """Read the options of a TOML file: names of the command line, or the ``sweep.toml`` of a run."""
    from gradlab.sweep.grid import plain, renamed

    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        why = "which is not there" if isinstance(error, FileNotFoundError) else str(error.strerror)
        raise GradlabError("a TOML file for --config", f"{path!r}, {why}", "checking the path") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, integers or nests that Python does not read
        raise GradlabError(f"{path} to be TOML", str(error), "lines like  depth = [2, 4, 8]") from error
    if isinstance(values.get("request"), dict):
        values = renamed(values["request"])
    kinds = {name: kind for name, kind, *_ in options}
    names = {field.name for field, *_ in fields_of(config)}
    values_read: dict[str, Any] = {}
    for written, value in values.items():
        name = written.replace("-", "_")
        if name in _TRUSTED:
            option, why = _TRUSTED[name]
            raise GradlabError(
                f"{option.split()[0]} on the command line, because {why}",
                f"{written} in {path}",
                f"gradlab ... {option}",
            )
        if name not in names | kinds.keys() or name == "config":
            raise unknown(f"option in {path}", written, sorted((names | kinds.keys()) - {"config", *_TRUSTED}))
        wanted = {bool: bool, int: int}.get(kinds.get(name, str), str)
        if name in kinds and type(value) is not wanted:
            raise GradlabError(
                f"{written} in {path} to be a {wanted.__name__}", shown(value), f"gradlab sweep --{written}"
            )
        values_read[name] = plain(value)
    return values_read
