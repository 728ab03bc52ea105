"""Data for measurements: named sets, arrays and users' files, checked before anything is computed."""

from importlib import import_module

_HOMES = {"Data": "loading", "balanced": "loading", "load": "loading"}

__all__ = list(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
