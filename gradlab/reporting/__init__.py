"""Pages from runs: markdown, one self-contained HTML file, LaTeX tables and macros."""

from importlib import import_module

_HOMES = {
    "Finding": "findings",
    "Words": "experiment",
    "above": "findings",
    "below": "findings",
    "both": "findings",
    "either": "findings",
    "options": "experiment",
    "publish": "experiment",
    "report": "page",
    "to_html": "html",
}

__all__ = ["Finding", "Words", "above", "below", "both", "either", "options", "publish", "report", "to_html"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
