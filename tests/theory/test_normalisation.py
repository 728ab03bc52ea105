"""Normalised layers: published and exact factors, and plain simulations."""

import math

import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError

from .nets import PHI, back, gaussian, normalised, within

#: E phi'^2 / Var phi (Yang et al. 2019) and E phi'^2 / E phi^2.
FACTORS = {
    "relu": (math.pi / (math.pi - 1), 1.0), "tanh": (1.17781, 1.17781), "sigmoid": (1.03359, 0.152827),
    "gelu": (1.31884, 1.07203), "silu": (1.21208, 1.06663), "selu": (1.07157, 1.07157), "erf": (1.22570, 1.2257),
    "hard_tanh": (1.32289, 1.32289), "elu": (1.07901, 1.03590), "softplus": (1.08053, 0.318459),
    "identity": (1.0, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("activation", FACTORS)
def test_factors(activation):
    batch, layer = FACTORS[activation]
    assert gl.theory.batch_norm_factor(activation) == pytest.approx(batch, abs=0.6e-5)
    assert gl.theory.layer_norm_factor(activation) == pytest.approx(layer, abs=0.6e-5)
    assert gl.theory.batch_norm_factor(activation) >= 1 - 1e-12  # Poincaré
    if activation == "relu":
        assert gl.theory.batch_norm_factor(activation) == pytest.approx(batch, rel=1e-12)
        assert batch == pytest.approx(1.46694, abs=5e-6) and batch**0.5 == pytest.approx(1.2112, abs=5e-5)


@pytest.mark.parametrize(("batch", "factor"), [(8, 1.2), (16, 1.0769), (64, 1.0164)])
def test_linear_batch_norm_at_a_finite_batch(batch, factor):
    assert gl.theory.batch_norm_factor("identity", batch) == pytest.approx(factor, abs=0.51e-4)


def factors(rng, kind, activation, n, batch, depth, skipped, nets, sigma_w2):
    """Mean over middle layers of the factor of the mean squared delta, one number for each net."""
    phi, slope = PHI[activation]
    axis, centred = {"batch": (-2, True), "layer": (-1, True), "rms": (-1, False)}[kind]
    z, steps = rng.normal(size=(nets, batch, n)), []
    for _ in range(depth):
        y, pull = normalised(z, axis, centred)
        w = gaussian(rng, nets, n, sigma_w2)
        steps.append((pull, slope(y), w))
        z = phi(y) @ w
    d, sizes = rng.normal(size=z.shape), []
    for pull, s, w in reversed(steps):
        d = pull(back(d, w) * s)
        sizes.append(np.mean(d * d, (-1, -2)))
    ratios = np.array(sizes[1:]) / np.array(sizes[:-1])
    return np.mean(ratios[skipped : len(ratios) - skipped], 0)


@pytest.mark.parametrize("batch", [8, 16])
def test_batch_norm_of_linear_layers_at_a_finite_batch(batch):
    """(B-2)/(B-3): 1.2 and 1.0769, measured 1.197 and 1.0765. Finite width adds less than 2/n."""
    n = 100
    found = factors(np.random.default_rng(0), "batch", "identity", n, batch, 8, 1, 60, 3.0)
    assert within(found, gl.theory.batch_norm_factor("identity", batch), 2 / n)


@pytest.mark.parametrize(("batch", "measured"), [(8, 1.783), (32, 1.534)])
def test_batch_norm_of_relu_at_a_finite_batch_lies_above_its_limit(batch, measured):
    """Published simulations at width 1000, and the limit pi/(pi-1) from above."""
    n = 120
    found = factors(np.random.default_rng(1), "batch", "relu", n, batch, 14, 3, 8, 1.0)
    assert within(found, measured, 0.005 + 5 / n)
    assert np.mean(found) > gl.theory.batch_norm_factor("relu")


def test_batch_norm_of_relu_at_a_large_batch():
    """1.470 measured at B = 256: within 2/B + 10/n of the limit, at any scale of the weights."""
    n, batch = 200, 128
    for sigma_w2 in (0.5, 8.0):
        found = factors(np.random.default_rng(2), "batch", "relu", n, batch, 12, 3, 2, sigma_w2)
        assert abs(np.mean(found) - gl.theory.batch_norm_factor("relu")) < 2 / batch + 10 / n


@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_layer_norm_and_rms_norm(kind, activation):
    """Within 4.5 standard errors and 5/n, at a scale of the weights far from any critical one."""
    n = 100
    found = factors(np.random.default_rng(3), kind, activation, n, 8, 8, 1, 12, 5.0)
    assert within(found, gl.theory.layer_norm_factor(activation), 5 / n)


@pytest.mark.parametrize(("activation", "value"), [("relu", 4.174), ("tanh", 4.833), ("gelu", 4.444)])
def test_a_norm_before_the_branch_and_a_skip_grow_as_a_power(activation, value):
    """ln of the product over 64 layers, prod (1 + zeta/l) (Doshi, He & Gromov 2023)."""
    product = gl.theory.normalised_skip_factors(activation, 64)
    assert np.sum(np.log(product)) == pytest.approx(value, abs=6e-4)
    zeta = gl.theory.layer_norm_factor(activation)
    np.testing.assert_allclose(product, 1 + zeta / np.arange(1, 65), rtol=1e-13)
    late = gl.theory.normalised_skip_factors(activation, 4000, 0.8)[-1]
    assert late == pytest.approx(0.64 + 0.36 * zeta, rel=1e-12)


@pytest.mark.parametrize("skip", [1.0, 0.7])
def test_plain_networks_with_a_norm_before_the_branch(skip):
    """h' = LN(h) -> tanh -> W, plus skip h: averaged squared Jacobian over 12 layers, 4.5 standard errors and 5 L/n."""
    rng = np.random.default_rng(4)
    n, depth, nets = 64, 12, 40
    phi, slope = PHI["tanh"]
    h, steps = gaussian(rng, nets, n)[:, :16], []  # 16 inputs; the first layer has no skip
    h = phi(normalised(h, -1)[0]) @ gaussian(rng, nets, n)
    for _ in range(depth):
        y, pull = normalised(h, -1)
        w = gaussian(rng, nets, n)
        steps.append((pull, slope(y), w))
        h = phi(y) @ w + skip * h
    d = rng.normal(size=h.shape)
    start = np.mean(d * d, (-1, -2))
    for pull, s, w in reversed(steps):
        d = skip * d + pull(back(d, w) * s)
    law = np.prod(gl.theory.normalised_skip_factors("tanh", depth, skip))
    assert within(np.mean(d * d, (-1, -2)) / start / law, 1, 5 / n)


def test_what_cannot_be_is_refused():
    for activation, batch in (("relu", 8), ("identity", 3)):
        with pytest.raises(GradlabError, match="identity, of 4 examples"):
            gl.theory.batch_norm_factor(activation, batch)
    for depth, skip in ((0, 1.0), (3, 1.1), (3, -0.1)):
        with pytest.raises(GradlabError, match="skip from 0 to 1"):
            gl.theory.normalised_skip_factors("relu", depth, skip)
    with pytest.raises(GradlabError, match="activation"):
        gl.theory.layer_norm_factor("reluu")
