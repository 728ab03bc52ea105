"""Any JAX model, not only gradlab's: what its gradients, its updates and its weights do, layer by layer."""

from importlib import import_module

_HOMES = {
    "Monitored": "monitor",
    "MonitorState": "monitor",
    "Observation": "observation",
    "monitor_frame": "records",
    "monitor_histograms": "records",
    "monitored": "monitor",
    "observe": "observation",
    "scalars": "trackers",
}

__all__ = [
    "MonitorState",
    "Monitored",
    "Observation",
    "monitor_frame",
    "monitor_histograms",
    "monitored",
    "observe",
    "scalars",
]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
