"""Every function of `gradlab.plots` that makes a figure, on small tables of known numbers."""

import functools

import numpy as np
import pandas as pd

from gradlab import frames, plots, theory
from gradlab.frames.rows import network_hash

from . import test_diagnosis, test_fluctuations, test_shattering, test_spectrum, test_theory, test_walls
from .synthetic import bins, healthy, learnt, printed, sick

TWO = ({"activation": "tanh"}, {"activation": "relu"})


@functools.cache
def gaussian():
    """Networks on both sides of the transition, and what theory expects of them."""
    configs = [test_theory.gaussian(w) for w in test_theory.SIGMA_W2]
    found = {network_hash(c): test_theory.prediction(c) for c in configs}
    return frames.frame([test_theory.measured(c, p) for c, p in zip(configs, found.values(), strict=True)]), found


def phases():
    grid = {"sigma_w2": np.linspace(0.5, 4, 9), "sigma_b2": np.linspace(0, 0.3, 7)}
    return {"theory": theory.phase_diagram("tanh", **grid)}


def signals():
    x = np.linspace(0, 1, 64)
    made = [pd.DataFrame({"network": n, "x": x, "gradient": np.sin(k * x)}) for n, k in (("calm", 3), ("wild", 40))]
    return pd.concat(made)


def shattered():
    table = test_shattering.table()
    law = pd.DataFrame({"net": "plain", "from_loss": [1, 2, 3], "cosine": [0.5, 0.25, 0.1]})
    return {"frame": table, "theory": law}


NORMS, LAW = test_fluctuations.tables()
SHAPES = {0: np.eye(3)[:, :2], 4: np.eye(4)[:, :2]}

DRAWN = {
    "gradient_flow": lambda **o: plots.gradient_flow(healthy(depths=(16,)), **o),
    "gradient_flow sick": lambda **o: plots.gradient_flow(sick(), hue="activation", **o),
    "rate_against_depth": lambda **o: plots.rate_against_depth(healthy(depths=(4, 8, 16)), **o),
    "heatmap": lambda **o: plots.heatmap(healthy(), **o),
    "histograms": lambda **o: plots.histograms(bins(), **o),
    "histograms overlay": lambda **o: plots.histograms(bins(("a",)), signal="delta", overlay=True, **o),
    "autodiff": lambda **o: plots.autodiff(printed(), **o),
    "learning_speed": lambda **o: plots.learning_speed(learnt(TWO, depth=6), **o),
    "update_ratio": lambda **o: plots.update_ratio(learnt(), **o),
    "activation_bands": lambda **o: plots.activation_bands(learnt(), **o),
    "training_curves": lambda **o: plots.training_curves(learnt(TWO), **o),
    "trainability": lambda **o: plots.trainability(learnt(TWO), x="activation", y="init", **o),
    "transition": lambda **o: plots.transition(gaussian()[0], theory=gaussian()[1], **o),
    "depth_scales": lambda **o: plots.depth_scales(gaussian()[0], theory=gaussian()[1], **o),
    "phase_diagram": lambda **o: plots.phase_diagram(frames.rates(gaussian()[0]), theory=phases(), **o),
    "phase_diagram xi": lambda **o: plots.phase_diagram(
        frames.rates(gaussian()[0]), theory=phases(), field="xi_grad", **o
    ),
    "maps": lambda **o: plots.maps(theory.mean_field_maps("tanh", sigma_w2=2.0), **o),
    "maps at 0": lambda **o: plots.maps(theory.mean_field_maps("tanh", sigma_w2=1.0), **o),
    "maps relu": lambda **o: plots.maps(theory.mean_field_maps("relu", sigma_w2=2.0), **o),
    "circle": lambda **o: plots.circle(test_spectrum.lengths(), theory={1.0: 1.1, 4.0: 2.0}, **o),
    "circle shapes": lambda **o: plots.circle(test_spectrum.lengths(), shapes=SHAPES, **o),
    "spectrum": lambda **o: plots.spectrum(test_spectrum.table(), theory=test_spectrum.law(), **o),
    "input_gradients": lambda **o: plots.input_gradients(signals(), **o),
    "shattering": lambda **o: plots.shattering(**shattered(), hue="net", **o),
    "cliff": lambda **o: plots.cliff(test_walls.found(), **o),
    "diagnosis": lambda **o: plots.diagnosis(test_diagnosis.found(6, [(1, "GL001", "vanishing", "error")], 2), **o),
    "fluctuations": lambda **o: plots.fluctuations(NORMS, theory=LAW, **o),
}
