"""A request as a value: its networks, its text in ``sweep.toml``, and what it adds to another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from gradlab.config import GRID, NetworkConfig, Sweep, TrainingConfig

#: How ``None`` stands inside a list, because TOML has no word for it.
DEFAULT = "default"


def _optional(kind: type[Sweep]) -> set[str]:
    """The coordinates that may be None."""
    return {field.name for field in dataclasses.fields(kind) if field.default == (None,)}


def networks(sweep: Sweep) -> list[NetworkConfig | TrainingConfig]:
    """The networks of the grid, each once, in the grid's order."""
    return list(dict.fromkeys(sweep.configs()))


def as_values(sweep: Sweep) -> dict[str, Any]:
    """The request as plain values that TOML can hold; what is None is left out."""
    absent = GRID if sweep.networks else ("networks",)
    values = {f.name: getattr(sweep, f.name) for f in dataclasses.fields(sweep) if f.name not in absent}
    for name in values.keys() & _optional(type(sweep)):
        if values[name] == (None,):
            del values[name]
        else:
            values[name] = tuple(DEFAULT if v is None else v for v in values[name])
    return {name: value for name, value in values.items() if value is not None}


def from_values(values: Mapping[str, Any], kind: type[Sweep] = Sweep) -> Sweep:
    """The request of a kind that `as_values` wrote; lists inside lists go layer by layer."""

    optional = _optional(kind)

    def plain(name: str, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(plain(name, v) for v in value)
        return None if name in optional and value == DEFAULT else value

    return kind(**{name: plain(name, value) for name, value in values.items()})


def _several(sweep: Sweep, name: str) -> tuple:
    return sweep.seed_numbers if name == "seeds" else getattr(sweep, name)


def same(old: Sweep, new: Sweep) -> bool:
    """Whether both ask for the same rows, whatever the order in which they list them."""
    return not differences(old, new) and not differences(new, old)


def differences(old: Sweep, new: Sweep) -> list[str]:
    """What keeps `new` from being `old` or an extension of its grid, one line each."""
    if type(old) is not type(new):
        return [f"a {type(new).__name__} instead of a {type(old).__name__}"]
    lines = []
    for name in (field.name for field in dataclasses.fields(old)):
        if name in old.COORDINATES or name in ("seeds", "networks"):
            there = set(_several(new, name))
            lost = [value for value in _several(old, name) if value not in there]
            if lost:
                lines.append(f"{name} without {', '.join(map(str, lost))}")
        elif getattr(old, name) != getattr(new, name):
            lines.append(f"{name}={getattr(new, name)!r} instead of {getattr(old, name)!r}")
    return lines


def to_toml(tables: Mapping[str, Any]) -> str:
    """TOML text of plain values, tables and lists of tables (what `tomllib` reads back)."""
    lines = [f"{_key(k)} = {_value(v)}" for k, v in tables.items() if not _is_table(v)]
    for name, value in tables.items():
        if _is_table(value):
            one = isinstance(value, Mapping)
            for table in [value] if one else value:
                lines += ["", f"[{_key(name)}]" if one else f"[[{_key(name)}]]"]
                lines += [f"{_key(k)} = {_value(v)}" for k, v in table.items()]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], Mapping)


def _key(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
