"""What all configurations are: frozen dataclasses whose fields say what they take and what they affect."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal, TypeVar, dataclass_transform

from gradlab._errors import unknown
from gradlab.config.fields import Check

T = TypeVar("T")
#: What a field changes: the weights that are drawn, numbers that a compiled program takes as arguments, or the
#: program itself.
Affects = Literal["draw", "number", "program"]
#: A field and the values that another needs of it.
Need = tuple[str, tuple[Any, ...]]


def option(
    default: Any, meaning: str, check: Check, affects: Affects, *, needs: Need | None = None, later: bool = False
) -> Any:
    """Declare an option of a network or a training: a field that says what it takes and what it changes.

    Parameters
    ----------
    default : Any
        What it is where nothing is given.
    meaning : str
        What help and documentation say.
    check : callable
        From its name and what a user wrote to its canonical form, or an error.
    affects : {"draw", "number", "program"}
        Two configurations that differ in nothing but draws and numbers share a compiled program.
    needs : (str, tuple), optional
        Another field, and its values with which alone there is this one.
    later : bool
        Whether it came after the first results: at its default it is no part of a network's hash.
    """
    judged = {"meaning": meaning, "check": check, "affects": affects, "needs": needs, "later": later}
    return field(default=default, metadata=judged)


def like(kind: type, name: str, default: Any, **more: Any) -> Any:
    """Declare the field of another configuration anew, with its own default and what else differs."""
    return field(default=default, metadata={**kind.__dataclass_fields__[name].metadata, **more})


def setting(default: Any, meaning: str, check: Check | None = None, **more: Any) -> Any:
    """Declare a field that is no option of a network or a training; `more` is metadata."""
    return field(default=default, metadata={"meaning": meaning, "check": check, **more})


def coordinate(kind: type, name: str) -> Any:
    """Declare a coordinate of a grid: an option of a configuration, of which a grid takes several values."""
    one = kind.__dataclass_fields__[name]
    return setting((one.default,), one.metadata["meaning"])


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(option, like, setting, coordinate, field)
)
def configuration(kind: type[T]) -> type[T]:
    """Make a class a frozen dataclass that takes keywords alone and whose docstring lists its fields.

    Raises
    ------
    TypeError
        A field that does not say what it is.
    """
    made = dataclass(frozen=True, kw_only=True, repr=False)(kind)
    for one in fields(made):
        if "meaning" not in one.metadata:
            raise TypeError(f"{kind.__name__}.{one.name} = option(default, meaning, check, affects), which judges it")
    if made.__doc__ is not None:  # Python may run without docstrings
        before, *behind = re.split(r"\n\n(?=(?:Notes|Examples)\n-)", inspect.cleandoc(made.__doc__), maxsplit=1)
        made.__doc__ = "\n\n".join([before, "Parameters\n----------\n" + "\n".join(map(_entry, fields(made))), *behind])
    return made


def _entry(one: Field) -> str:
    """Return the entry of a field for a docstring."""
    text = textwrap.fill(one.metadata["meaning"], 110, initial_indent="    ", subsequent_indent="    ")
    return f"{one.name} : {one.type}\n{text}"


@functools.cache  # of a grid of 100,000 networks each asks
def fields_of(kind: type) -> tuple[Field, ...]:
    """Return the fields of a kind of configuration."""
    return fields(kind)


@functools.cache
def _names(kind: type, affects: tuple[Affects, ...]) -> tuple[str, ...]:
    return tuple(f.name for f in fields_of(kind) if f.metadata.get("affects") in affects)


@functools.cache
def _needs(kind: type) -> dict[str, Need]:
    return {f.name: f.metadata["needs"] for f in fields_of(kind) if f.metadata.get("needs")}


class Configuration:
    """What configurations of networks and trainings and grids of them have in common."""

    def __new__(cls, *_: Any, **given: Any):
        """Refuse a misspelt field with the nearest right one; the dataclass would refuse it without a hint."""
        known = [f.name for f in fields_of(cls)]
        for name in given:
            if name not in known:
                raise unknown(f"option of {cls.__name__}", name, known)
        return super().__new__(cls)

    def __repr__(self) -> str:
        given = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if self._differs(f))
        return f"{type(self).__name__}({given})"

    def _differs(self, one: Field) -> bool:
        return getattr(self, one.name) != one.default

    @classmethod
    def names(cls, *affects: Affects) -> tuple[str, ...]:
        """Return the names of all options, or only of those that affect one of these."""
        return _names(cls, affects or ("draw", "number", "program"))

    @classmethod
    def needs(cls) -> dict[str, Need]:
        """Return the options that exist only for some values of another field, with that field and its values."""
        return _needs(cls)

    def has(self, name: str) -> bool:
        """Return whether the option exists for the present values of the others."""
        other, known = self.needs().get(name, (name, None))
        return name in self.names() and (known is None or getattr(self, other) in known)

    def changed(self) -> dict[str, Any]:
        """Return the options that differ from their defaults."""
        return {
            f.name: getattr(self, f.name) for f in fields_of(type(self)) if "affects" in f.metadata and self._differs(f)
        }

    def _check(self, *but: str) -> None:
        """Bring the fields into their canonical form."""
        for one in fields_of(type(self)):
            if one.metadata.get("check") and one.name not in but:
                object.__setattr__(self, one.name, one.metadata["check"](one.name, getattr(self, one.name)))
