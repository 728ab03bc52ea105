"""Entries of one kind under their names: those that are built in, and those that a user registers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, Protocol, Self, TypeVar

from gradlab._errors import GradlabError, unknown
from gradlab._text import check_name

IMPORT_HINT = "register it first (from the command line: --import FILE.py)"


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
    """

    def __init__(self, kind: str, built_in: Sequence[str], aliases: dict[str, str]):
        self.kind, self.built_in, self._aliases = kind, tuple(built_in), aliases
        self._entries: dict[str, E] = {}

    def fill(self, entries: Iterable[E]) -> None:
        """Put in the built-in entries."""
        self._entries.update({entry.name: entry for entry in entries})

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
        if name in self.built_in or name in self._aliases:
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

    def resolve(self, name: str) -> str:
        """Return the canonical form of a name, or raise an error that lists the nearest right names."""
        canonical = self._aliases.get(name, name) if isinstance(name, str) else name
        if not isinstance(canonical, str) or (canonical not in self._entries and canonical not in self.built_in):
            raise unknown(self.kind, name, self.names, IMPORT_HINT)
        return canonical

    def __getitem__(self, name: str) -> E:
        """Return the entry of that name, as it was registered."""
        return self._entries[self.resolve(name)]

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
        if name not in self.built_in:
            self._entries[name] = self._entries[name].renewed()

    def fingerprint(self, name: str) -> str:
        """Return a hash of what a registered entry computes now; empty for a built-in name."""
        name = self.resolve(name)
        return "" if name in self.built_in else self.current(name).fingerprint
