"""Records to the tidy frame, its summaries, and its files."""

from importlib import import_module

_HOMES = {
    "BANDS": "summaries",
    "Run": "files",
    "concat": "rows",
    "example": "files",
    "failed_rows": "rows",
    "frame": "rows",
    "from_jsonl": "jsonl",
    "load": "files",
    "migrate": "files",
    "network_hash": "rows",
    "rates": "summaries",
    "read": "files",
    "summarise": "summaries",
    "to_jsonl": "jsonl",
    "write": "files",
}

__all__ = [
    "BANDS",
    "Run",
    "concat",
    "example",
    "failed_rows",
    "frame",
    "from_jsonl",
    "load",
    "migrate",
    "network_hash",
    "rates",
    "read",
    "summarise",
    "to_jsonl",
    "write",
]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
