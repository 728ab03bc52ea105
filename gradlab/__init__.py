"""gradlab: how gradients travel through deep networks, why they vanish or explode, and what to change.

Importing it imports nothing else; every public name is loaded when it is first used.
"""

from importlib import import_module

__version__ = "0.1.0"

#: Public name -> module that holds it. Modules stand under their own name.
_HOMES = {
    "GradlabError": "_errors",
    "MLP": "networks.mlp",
    "ResNet": "networks.resnet",
    "ConvNet": "networks.convnet",
    "RNN": "networks.rnn",
    "Transformer": "networks.transformer",
    "CustomNetwork": "networks.custom",
    "Sweep": "config",
    "TrainingSweep": "config",
    "Layer": "core.layer",
    "Part": "core.layer",
    "lift": "core.layer",
    "serial": "core.layer",
    "repeat": "core.layer",
    "hand_written": "core.layer",
    "dense": "core.dense",
    "activation": "core.activations",
    "attention": "core.attention",
    "positions": "core.attention",
    "unroll": "core.unroll",
    "rnn_cell": "core.recurrent",
    "lstm_cell": "core.recurrent",
    "gru_cell": "core.recurrent",
    "conv": "core.conv",
    "Dropout": "core.dropout",
    "dropout": "core.dropout",
    "residual": "core.residual",
    "batch_norm": "core.norm",
    "layer_norm": "core.norm",
    "rms_norm": "core.norm",
    "Scaled": "core.scaled",
    "Site": "core.gradient",
    "materialise": "core.gradient",
    "backprop": "core.backprop",
    "check": "core.check",
    "register_activation": "core.activations",
    "register_initializer": "core.initializers",
    "measure": "measurement.measure",
    "jacobian_spectrum": "measurement.jacobian",
    "jacobian_density": "measurement.jacobian",
    "lyapunov": "measurement.lyapunov",
    "lyapunov_of": "measurement.lyapunov",
    "carry_circle": "measurement.manifold",
    "statistics": "measurement.stats",
    "per_example": "measurement.stats",
    "shattering": "measurement.shattering",
    "histograms": "frames.histograms",
    "frame": "frames.rows",
    "spectra": "frames.spectra",
    "curves": "frames.spectra",
    "summarise": "frames.summaries",
    "rates": "frames.summaries",
    "predictions": "frames.predictions",
    "against_theory": "frames.predictions",
    "depth_scales": "frames.scales",
    "trainable_depths": "frames.scales",
    "load": "frames.files",
    "example": "frames.files",
    "to_jsonl": "frames.jsonl",
    "from_jsonl": "frames.jsonl",
    "observe": "diagnosis.observation",
    "monitored": "diagnosis.monitor",
    "monitor_frame": "diagnosis.records",
    "monitor_histograms": "diagnosis.records",
    "scalars": "diagnosis.trackers",
    "run": "sweep.run",
    "train": "training.loop",
    "train_sweep": "training.task",
    "sharpness": "training.curvature",
    "clipping_cliff": "training.cliff",
    "report": "reporting.page",
}
_MODULES = ("plots", "theory")

__all__ = [*_HOMES, *_MODULES, "__version__"]


def __getattr__(name: str):
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    # importing a module binds its own name here: a function of the same name must win
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
