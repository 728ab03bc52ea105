"""Entries of one kind under their names: those that are built in, and those that a user registers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from gradlab._errors import GradlabError, unknown
from gradlab._text import check_name

IMPORT_HINT = "register it first (from the command line: --import FILE.py)"


class Parameter(NamedTuple):
    """Say which number may stand behind a built-in name, as in ``leaky_relu:0.18``.

    Parameters
    ----------
    meaning : str
        What the number is, for messages.
    usual : float
        Its value where the name stands alone.
    low, high : float
        The range, with its ends.
    """

    meaning: str
    usual: float
    low: float
    high: float


class Entry(Protocol):
    """What a registry holds: compared by its content, so that caches can be keyed by it."""

    @property
    def name(self) -> str:
        """Return the name under which it is registered."""
        ...

    @property
    def fingerprint(self) -> str:
        """Return a hash of what its functions compute; empty for a built-in one."""
        ...

    def renewed(self) -> Self:
        """Return the entry as its functions are now: itself, if they compute what they did when it was made."""
        ...


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """The entries of one kind.

    Parameters
    ----------
    kind : str
        What messages call an entry.
    built_in : sequence of str
        Names that are built in. They are known before their entries are there, which need JAX.
    aliases : mapping of str to str
        Other spellings of built-in names.
    parameters : mapping of str to Parameter
        Built-in names behind which a number may stand.
    """

    def __init__(
        self, kind: str, built_in: Sequence[str], aliases: dict[str, str], parameters: Mapping[str, Parameter] = {}
    ):
        self.kind, self.built_in, self._aliases, self._parameters = kind, tuple(built_in), aliases, parameters
        self._entries: dict[str, E] = {}
        self._made: dict[str, E] = {}  # names with a number, as they are asked for
        self._makers: dict[str, Callable[[str, float], E]] = {}
        self._examine: Callable[[E], E] | None = None

    def fill(
        self,
        entries: Iterable[E],
        makers: Mapping[str, Callable[[str, float], E]] = {},
        examine: Callable[[E], E] | None = None,
    ) -> None:
        """Put in the built-in entries.

        Parameters
        ----------
        entries : iterable of Entry
            Those of the names without a number.
        makers : mapping of str to callable
            By name, a function of the whole name and its number that makes the entry.
        examine : callable, optional
            Checks an entry that stands in place of a name, and returns what to register. None: only names are taken.
        """
        self._entries.update({entry.name: entry for entry in entries})
        self._makers.update(makers)
        self._examine = examine or self._examine

    def add(self, *entries: E) -> None:
        """Register entries; an earlier one of the same name is replaced.

        Raises
        ------
        GradlabError
            A name that is built in, or that does not show what is in it.
        """
        for entry in entries:
            self.check_new(entry.name)
            self._entries[entry.name] = entry

    def check_new(self, name: str) -> None:
        """Raise if nothing can be registered under this name."""
        check_name(self.kind, name)
        first = name.partition(":")[0]
        if first in self.built_in or first in self._aliases:
            raise GradlabError("a name that is not built in", repr(name), "another name")

    def forget(self, name: str) -> None:
        """Remove a registered entry; a built-in one stays."""
        if name not in self.built_in:
            self._entries.pop(name, None)

    @property
    def registered(self) -> tuple[E, ...]:
        """Return the entries that a user registered, oldest first; `add` takes them in another process."""
        return tuple(entry for name, entry in self._entries.items() if name not in self.built_in)

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names, the built-in ones first."""
        return (*self.built_in, *(entry.name for entry in self.registered))

    def resolve(self, name: Any) -> str:
        """Return the canonical form of a name, or raise an error that lists the nearest right names.

        An entry may stand in place of a name: it is then registered under its own.
        """
        if self._examine is not None and hasattr(name, "fingerprint"):
            return self._adopted(name)
        canonical = self._aliases.get(name, name) if isinstance(name, str) else name
        if isinstance(canonical, str) and (canonical in self._entries or canonical in self.built_in):
            return canonical
        base, colon, number = name.partition(":") if isinstance(name, str) else ("", "", "")
        base = self._aliases.get(base, base)
        if colon and base in self.built_in:
            return self._numbered(base, number)
        raise unknown(self.kind, name, self.names, IMPORT_HINT)

    def split(self, name: str) -> tuple[str, float | None]:
        """Return a canonical name without its number, and the number; None where it has none.

        Examples
        --------
        >>> from gradlab.config import REGISTRIES
        >>> REGISTRIES["activation"].split("leaky_relu:0.18"), REGISTRIES["activation"].split("tanh")
        (('leaky_relu', 0.18), ('tanh', None))
        """
        base, colon, number = name.partition(":")
        return (base, float(number)) if colon and base in self._parameters else (name, None)

    def _numbered(self, base: str, number: str) -> str:
        """Return the canonical form of a name with a number behind it."""
        if base not in self._parameters:
            having = " and ".join(f"{name}:{one.usual:g}" for name, one in self._parameters.items())
            raise GradlabError(
                f"no number behind {self.kind} {base!r}", repr(f"{base}:{number}"),
                f"{base!r}{f'; with a number there are {having}' if having else ''}",
            )  # fmt: skip
        meaning, usual, low, high = self._parameters[base]
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise GradlabError(
                f"the {meaning} behind {base!r} to be a number from {low:g} to {high:g}",
                repr(number),
                f"{base}:{usual:g}",
            )
        # adding 0 makes one zero of two; the shortest text that is read as this number
        return base if value == usual else f"{base}:{repr(value + 0.0).removesuffix('.0')}"

    def _adopted(self, entry: E) -> str:
        """Register an entry that stands in place of its name, and return the name."""
        if not entry.fingerprint:  # a built-in one: its name says all
            return self.resolve(entry.name)
        known = self._entries.get(entry.name)
        if known is not None and known.fingerprint != entry.fingerprint:
            raise GradlabError(
                f"one {self.kind} under the name {entry.name!r}", "another one than is registered",
                "dataclasses.replace(..., name=...), which gives it a name of its own",
            )  # fmt: skip
        if known is None:
            self.check_new(entry.name)
            assert self._examine is not None
            self.add(self._examine(entry))
        return entry.name

    def __getitem__(self, name: Any) -> E:
        """Return the entry of that name, as it was registered."""
        name = self.resolve(name)
        if name in self._entries:
            return self._entries[name]
        if name not in self._made:
            base, number = self.split(name)
            assert number is not None
            self._made[name] = self._makers[base](name, number)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def current(self, name: str) -> E:
        """Return the entry of that name, as its functions are now. A cache whose key holds it is never stale.

        A registered function may read a global, or an object, that has changed since. It is then checked again as
        when it was registered.
        """
        self.renew(name)
        return self[name]

    def renew(self, name: str) -> None:
        """Look at what the functions of a registered entry compute now."""
        name = self.resolve(name)
        if name in self._entries and name not in self.built_in:
            self._entries[name] = self._entries[name].renewed()

    def fingerprint(self, name: str) -> str:
        """Return a hash of what a registered entry computes now; empty for a built-in name."""
        name = self.resolve(name)
        return self.current(name).fingerprint if name in self._entries and name not in self.built_in else ""
