"""Table in, figure out: what a measurement looks like, drawn on the axes that are given."""

# Note to the helper on plots: the rooms below are finished and committed by the lead. Please do not
# write other modules here; write tests/plots/* for these and mend what you find, in these files.

from importlib import import_module

_HOMES = {
    "autodiff": "autodiff_floor",
    "caption": "captions",
    "gradient_flow": "flow",
    "heatmap": "maps",
    "histograms": "distributions",
    "log10_axis": "axes",
    "rate_against_depth": "rate",
    "save": "saving",
}

__all__ = list(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
