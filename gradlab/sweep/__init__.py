"""Do it a thousand times: grids of networks, computed once, kept, resumed."""

from importlib import import_module

_HOMES = {"Cost": "plan", "MeasureTask": "task", "Task": "task"}

__all__ = ["Cost", "MeasureTask", "Task"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
