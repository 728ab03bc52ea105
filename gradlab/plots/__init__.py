"""Tables in, figures out: each function draws on the axes it is given, or makes its own.

They draw what `gradlab.summarise` returns, leave `matplotlib.rcParams` as they were and write no file but by `save`.
"""

from importlib import import_module

_HOMES = {
    "PRESETS": "styles",
    "activation_bands": "bands",
    "animate": "animation",
    "autodiff": "printed",
    "caption": "captions",
    "circle": "carried",
    "cliff": "walls",
    "depth_scales": "depthscales",
    "fluctuations": "spread",
    "forest": "intervals",
    "gradient_flow": "profiles",
    "heatmap": "grids",
    "histograms": "bins",
    "input_gradients": "cosines",
    "layer_gradients": "named",
    "layer_map": "layer_maps",
    "learning_speed": "learning",
    "legend": "legends",
    "log10_axis": "decades",
    "maps": "meanfield",
    "phase_diagram": "phase",
    "rate_against_depth": "depths",
    "ridges": "ridgelines",
    "save": "files",
    "shattering": "cosines",
    "spectrum": "densities",
    "style": "styles",
    "trainability": "trainable",
    "training_curves": "curves",
    "transition": "transitions",
    "update_ratio": "learning",
}

__all__ = [
    "PRESETS",
    "activation_bands",
    "animate",
    "autodiff",
    "caption",
    "circle",
    "cliff",
    "depth_scales",
    "fluctuations",
    "forest",
    "gradient_flow",
    "heatmap",
    "histograms",
    "input_gradients",
    "layer_gradients",
    "layer_map",
    "learning_speed",
    "legend",
    "log10_axis",
    "maps",
    "phase_diagram",
    "rate_against_depth",
    "ridges",
    "save",
    "shattering",
    "spectrum",
    "style",
    "trainability",
    "training_curves",
    "transition",
    "update_ratio",
]


def __getattr__(name: str):
    if name in _HOMES:
        # importing the file `style` would bind its name here: what it holds must win
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
