"""Every function of `gradlab.plots` that makes a figure, on small tables of known numbers.

Two are missing: `animate` and `network_film` make files, and are tested beside them.
"""

import functools

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab import frames, plots, theory
from gradlab.frames.rows import network_hash

from . import (
    test_coordinate_check,
    test_diagnosis,
    test_fluctuations,
    test_ridges,
    test_scales,
    test_shattering,
    test_spectrum,
    test_theory,
    test_walls,
)
from .synthetic import bins, counted, curved, healthy, learnt, printed, sick

TWO = ({"activation": "tanh"}, {"activation": "relu"})


@functools.cache
def gaussian():
    """Networks on both sides of the transition, and what theory expects of them."""
    configs = [test_theory.gaussian(w) for w in test_theory.SIGMA_W2]
    found = {network_hash(c): test_theory.prediction(c) for c in configs}
    return frames.frame([test_theory.measured(c, p) for c, p in zip(configs, found.values(), strict=True)]), found


@functools.cache
def compared():
    """Measured rates beside predicted ones, 2 % below to 3 % above them."""
    table = frames.rates(gaussian()[0])
    table["predicted"] = table["rate"] * np.linspace(0.98, 1.03, len(table))
    for end, of in (("ratio_low", "low"), ("ratio", "rate"), ("ratio_high", "high")):
        table[end] = table[of] / table["predicted"]
    return table


@functools.cache
def stranger():
    """Gradients of another's model, whose layers have names."""
    rng = np.random.default_rng(0)
    grads = {name: {"kernel": (size * rng.normal(size=(4, 4))).astype("f"), "bias": np.full(4, size, "f")}
             for name, size in (("embed", 1e-5), ("block", 1e-2), ("head", 1.0))}  # fmt: skip
    return gl.frame(gl.observe(grads, order=list(grads)))


def phases():
    grid = {"sigma_w2": np.linspace(0.5, 4, 9), "sigma_b2": np.linspace(0, 0.3, 7)}
    return theory.phase_diagram("tanh", **grid)


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
    "forest": lambda **o: plots.forest(healthy(depths=(16,)), **o),
    "ridges": lambda **o: plots.ridges(test_ridges.table(), **o),
    "scales": lambda **o: plots.scales(test_scales.table(), **o),
    "layer_map": lambda **o: plots.layer_map(learnt(TWO), **o),
    "layer_gradients": lambda **o: plots.layer_gradients(stranger(), **o),
    "before_after": lambda **o: plots.before_after(healthy(depths=(16,)).query("activation == 'sigmoid'"), **o),
    "local_factors": lambda **o: plots.local_factors(healthy(depths=(8,)).query("init == 'he_normal'"), **o),
    "network": lambda **o: plots.network(healthy(depths=(8,)).query("init == 'he_normal'"), **o),
    "gradient_quantiles": lambda **o: plots.gradient_quantiles(counted(zeros={(1, 100): 0.6})[1], **o),
    "predicted_against_measured": lambda **o: plots.predicted_against_measured(compared(), **o),
    "autodiff": lambda **o: plots.autodiff(printed(), **o),
    "learning_speed": lambda **o: plots.learning_speed(learnt(TWO, depth=6), **o),
    "update_ratio": lambda **o: plots.update_ratio(learnt(), **o),
    "activation_bands": lambda **o: plots.activation_bands(learnt(), **o),
    "training_curves": lambda **o: plots.training_curves(learnt(TWO), **o),
    "sharpness": lambda **o: plots.sharpness(curved(), **o),
    "trainability": lambda **o: plots.trainability(learnt(TWO), x="activation", y="init", **o),
    "trainability steps": lambda **o: plots.trainability(learnt(TWO), x="activation", y="init", step=[0, 16, 256], **o),
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
    "spectrum steps": lambda **o: plots.spectrum(
        pd.concat([test_spectrum.table().assign(step=s) for s in (0, 100)]), col="step", **o
    ),
    "input_gradients": lambda **o: plots.input_gradients(signals(), **o),
    "shattering": lambda **o: plots.shattering(**shattered(), hue="net", **o),
    "cliff": lambda **o: plots.cliff(test_walls.found(), **o),
    "diagnosis": lambda **o: plots.diagnosis(test_diagnosis.found(6, [(1, "GL001", "vanishing", "error")], 2), **o),
    "coordinate_check": lambda **o: plots.coordinate_check(test_coordinate_check.frame(), **o),
    "fluctuations": lambda **o: plots.fluctuations(NORMS, theory=LAW, **o),
}
