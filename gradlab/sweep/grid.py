"""Requests as values: their networks, their text in ``sweep.toml``, and what one adds to another."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gradlab.config import GRID, NetworkConfig, Sweep, TrainingConfig, content_hash
from gradlab.config.custom import CustomConfig

#: The word that stands for ``None`` inside a list, because TOML has none.
DEFAULT = "default"


def networks(sweep: Sweep) -> Sequence[NetworkConfig | CustomConfig | TrainingConfig]:
    """Return the networks of the grid, each once, in the grid's order."""
    if sweep.networks:  # what stands under their names may change
        return tuple(dict.fromkeys(sweep.configs()))
    return _grid_networks(sweep)


@functools.lru_cache(maxsize=2)
def _grid_networks(sweep: Sweep) -> Sequence[NetworkConfig | TrainingConfig]:
    return tuple(dict.fromkeys(sweep.configs()))


def stem(config: NetworkConfig) -> str:
    """Hash the network without its depth: networks of one stem are the first layers of the deepest."""
    fields = config.as_dict()
    fields.pop("depth", None)
    return content_hash(fields)


def as_values(sweep: Sweep) -> dict[str, Any]:
    """Return the request as plain values that TOML can hold; None is left out."""
    absent = GRID if sweep.networks else ("networks",)
    values = {f.name: getattr(sweep, f.name) for f in dataclasses.fields(sweep) if f.name not in absent}
    return {name: _written(value) for name, value in values.items() if value not in (None, (None,))}


def _written(value: Any) -> Any:
    return tuple(DEFAULT if v is None else v for v in value) if isinstance(value, tuple) else value


def plain(value: Any) -> Any:
    """Convert a value of TOML to one of an option: lists to tuples, and "default" in a list to None."""
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(None if v == DEFAULT else plain(v) for v in value)


def from_values(values: Mapping[str, Any], kind: type[Sweep] = Sweep) -> Sweep:
    """Make the request that `as_values` wrote, now or under schema 1; a list inside a list has one value per layer."""
    return kind(**{name: plain(value) for name, value in renamed(values).items()})


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request with today's names.

    Under schema 1 the place of a norm was the field `order` of a resnet and a value of `norm` of a transformer. All
    places that were asked for are asked for here; a grid of several architectures may so gain networks.
    """
    listed = lambda name: tuple(v) if isinstance(v := values.get(name, ()), (list, tuple)) else (v,)
    in_norm = {"pre", "post"} & set(listed("norm"))
    if "order" not in values and not in_norm:
        return dict(values)
    asked = {"resnet": listed("order"), "transformer": listed("norm") if in_norm else ("pre",)}
    places = [place for kind in listed("architecture") for place in asked.get(kind, listed("norm_position"))]
    kept = {name: value for name, value in values.items() if name != "order" and not (name == "norm" and in_norm)}
    return kept | {"norm_position": tuple("pre" if place == DEFAULT else place for place in places) or "before"}


def _several(sweep: Sweep, name: str) -> tuple:
    return sweep.seed_numbers if name == "seeds" else getattr(sweep, name)


def same(old: Sweep, new: Sweep) -> bool:
    """Say whether both requests are for the same rows, in whatever order they list them."""
    return not differences(old, new) and not differences(new, old)


def differences(old: Sweep, new: Sweep) -> list[str]:
    """List what `new` lacks or changes, so that it is neither `old` nor an extension of its grid."""
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


def to_toml(values: Mapping[str, Any], path: str = "") -> str:
    """Write plain values, tables and lists of tables as TOML, which `tomllib` reads back; numbers are finite."""
    tables = {name: value for name, value in values.items() if _is_table(value)}
    lines = [f"{_key(name)} = {_value(value)}" for name, value in values.items() if name not in tables]
    for name, value in tables.items():
        place, one = path + _key(name), isinstance(value, Mapping)
        for table in (value,) if one else value:
            lines += ["", f"[{place}]" if one else f"[[{place}]]", to_toml(table, f"{place}.").rstrip("\n")]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, (list, tuple)) and isinstance((*value, 0)[0], Mapping))


def _key(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else _value(name)


def _value(value: Any) -> str:
    """Write a value without tables: text, numbers and lists look the same in JSON and in TOML."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
