"""Watch it learn: gradient, optimiser, update, again, and what each layer does on the way."""

from importlib import import_module

_HOMES = {
    "Cliff": "cliff",
    "Failure": "records",
    "Training": "records",
    "TrainTask": "task",
    "clipping_cliff": "cliff",
    "sharpness": "curvature",
    "train": "loop",
    "train_sweep": "task",
}

__all__ = ["Cliff", "Failure", "TrainTask", "Training", "clipping_cliff", "sharpness", "train", "train_sweep"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
