"""Options of the command line: the fields of configurations and more, from arguments or a TOML file."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tomllib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from gradlab._errors import GradlabError, unknown
from gradlab.config import Sweep, shown

#: Options whose value is a path.
PATHS = ("out", "config", "import_", "run")


def parse_options(
    command: str,
    about: str,
    argv: list[str],
    config: type | None,
    options: Sequence[tuple],
    defaults: Mapping[str, Any],
) -> tuple[dict[str, Any], set[str]]:
    """The options of a command by name, and the names of those that were not given.

    The fields are those of `config`, unchecked: it checks them itself when it is made.
    """
    import tyro
    from tyro.conf import Positional, arg

    fields = []
    for field, kind, help in fields_of(config) if config else ():
        default = defaults.get(field.name, field.default)
        fields.append((field.name, Annotated[kind, arg(help=help, metavar=_shown(kind))], default))
    for name, kind, default, help in options:
        more = {"name": "import"} if name == "import_" else {}
        shape = Positional[kind] if default is dataclasses.MISSING else kind
        word = "PATH" if name in PATHS else "NAME"
        fields.append((name, Annotated[shape, arg(help=help, metavar=_shown(kind, word), **more)], default))
    kind = dataclasses.make_dataclass(
        command.capitalize(), [(n, k, dataclasses.field(default=d)) for n, k, d in fields]
    )
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            parsed, rest = tyro.cli(
                kind, args=argv, prog=f"gradlab {command}", description=about, return_unknown_args=True
            )  # fmt: skip
    except SystemExit as end:
        if end.code == 0:  # --help
            raise
        raise _as_error(told.getvalue(), command) from None
    names = ["--" + name.rstrip("_").replace("_", "-") for name, *_ in fields]
    for word in rest:
        if word.startswith("--"):
            raise unknown("option", word.partition("=")[0], names, f"gradlab {command} --help")
        raise GradlabError(f"options of gradlab {command}", repr(word), f"gradlab {command} --help")
    words = {word.partition("=")[0].replace("_", "-") for word in argv if word.startswith("--")}
    spelled = zip((name for name, *_ in fields), names, strict=True)
    unset = {name for name, option in spelled if not words & {option, f"--no-{option[2:]}"}}
    return {field.name: getattr(parsed, field.name) for field in dataclasses.fields(kind)}, unset


def fields_of(config: type) -> list[tuple[dataclasses.Field, Any, str]]:
    """Field, type and description of what a configuration holds."""
    kinds = typing.get_type_hints(config)
    return [
        (field, kinds[field.name], field.metadata["about"].replace("`", ""))
        for field in dataclasses.fields(config)
        if field.metadata.get("option", True)
    ]


def _shown(kind: Any, text: str = "NAME") -> str | None:
    """How the value of an option is shown: ``INT``, ``INT [INT ...]``; None for flags."""
    if kind is bool:
        return None
    several = any(typing.get_origin(k) is tuple for k in (kind, *typing.get_args(kind)))
    plain = {int: "INT", float: "NUMBER", str: text, bool: "{True,False}"}
    name = next(shown for k, shown in plain.items() if k in _leaves(kind))
    return f"{name} [{name} ...]" if several else name


def _leaves(kind: Any) -> set[Any]:
    inside = [k for k in typing.get_args(kind) if k is not Ellipsis]
    return set().union(*map(_leaves, inside)) if inside else {kind}


def _as_error(box: str, command: str) -> GradlabError:
    """What tyro drew as a box, in one line."""
    parts: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip().strip("│╭╮╰╯").strip()
        if set(text) <= {"─"}:
            parts.append([])
        elif not line.startswith(("╭", "╰")):
            parts[-1].append(text)
    said = [" ".join(part) for part in parts if part]
    received = said[0].removeprefix("Error parsing ") if said else "something else"
    expected = f"options of gradlab {command}"
    for part in said[1:]:
        if part.startswith("Argument helptext:"):
            expected = part.removeprefix("Argument helptext:").strip()
    return GradlabError(expected.replace(";", ","), received, f"gradlab {command} --help")


def made(kind: type, given: Mapping[str, Any], file: str | None = None) -> Any:
    """The configuration, which checks itself."""
    try:
        return kind(**{field.name: given[field.name] for field in dataclasses.fields(kind) if field.name in given})
    except GradlabError as error:
        if file is None:
            raise
        raise GradlabError(error.expected, error.received, f"{error.hint}, here or in {file}") from error


def from_file(path: str, options: Sequence[tuple], config: type = Sweep) -> dict[str, Any]:
    """The options of a TOML file: those of the command line, or the ``sweep.toml`` of a run."""
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        why = "which is not there" if isinstance(error, FileNotFoundError) else str(error.strerror)
        raise GradlabError("a TOML file for --config", f"{path!r}, {why}", "checking the path") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, integers or nests that Python does not read
        raise GradlabError(f"{path} to be TOML", str(error), "lines like  depth = [2, 4, 8]") from error
    if isinstance(values.get("request"), dict):
        values = values["request"]
    kinds = {name: kind for name, kind, *_ in options}
    names = {field.name for field, *_ in fields_of(config)}
    found: dict[str, Any] = {}
    for written, value in values.items():
        name = written.replace("-", "_")
        if name in ("import", "import_"):
            raise GradlabError(
                "--import on the command line, because it runs code",
                f"{written} in {path}",
                "gradlab ... --import FILE.py",
            )
        if name not in names | kinds.keys() or name == "config":
            raise unknown(f"option in {path}", written, sorted((names | kinds.keys()) - {"config", "import_"}))
        wanted = {bool: bool, int: int}.get(kinds.get(name, str), str)
        if name in kinds and type(value) is not wanted:
            raise GradlabError(
                f"{written} in {path} to be a {wanted.__name__}", shown(value), f"gradlab sweep --{written}"
            )
        found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    """A value of TOML as options have it: TOML has no word for None, ``sweep.toml`` says "default"."""
    from gradlab.sweep.grid import DEFAULT

    return tuple(map(_plain, value)) if isinstance(value, list) else None if value == DEFAULT else value
