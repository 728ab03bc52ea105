"""The C map against closed forms, shapes against published numbers and their own conditions by another quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import gradlab as gl
from gradlab.theory.shaping import local_shape

theory = gl.theory
CS = np.array([-1.0, -0.6, 0.0, 0.3, 0.9, 0.9999, 1.0])


def test_c_maps_are_their_closed_forms():
    """Arc-cosine kernels of ReLU and leaky ReLU (Cho & Saul 2009), arc sines of erf (Williams 1997)."""
    assert theory.c_map("identity", CS) == pytest.approx(CS, abs=1e-14)
    bent = (np.sqrt(1 - CS**2) - CS * np.arccos(CS)) / np.pi
    for name, slope in (("relu", 0.0), ("leaky_relu:0.3", 0.3), ("leaky_relu:-1", -1.0)):
        expected = CS + (1 - slope) ** 2 / (1 + slope**2) * bent
        assert theory.c_map(name, CS) == pytest.approx(expected, abs=1e-13)
    sine = lambda c: np.arcsin(2 * 0.7 * c / (1 + 2 * 0.7))
    assert theory.c_map("erf", CS, q=0.7) == pytest.approx(sine(CS) / sine(1.0), abs=1e-12)
    assert theory.c_map_path("erf", 3, 0.5, q=0.7)[2] == pytest.approx(
        theory.c_map("erf", theory.c_map("erf", 0.5, q=0.7), q=0.7)
    )


def test_tailored_slopes_solve_the_condition_on_the_c_map():
    """The condition is that of Zhang et al. 2022; it is checked with the C map of the activation of that name."""
    slopes = [theory.tailored_slope(depth) for depth in (20, 50, 100)]
    assert np.round(slopes, 3).tolist() == [0.181, 0.431, 0.570]
    for depth, slope in zip((20, 50), slopes, strict=False):
        assert theory.c_map_path(f"leaky_relu:{slope}", depth)[-1] == pytest.approx(0.9, abs=1e-10)
    assert theory.c_map_path("relu", 12)[-1] < 0.9 < theory.c_map_path("relu", 13)[-1]
    assert theory.tailored_slope(12) == 0 < theory.tailored_slope(13)
    phi = theory.shaped("leaky_relu", 50, target=0.5)
    assert theory.c_map_path(phi, 50)[-1] == pytest.approx(0.5, abs=1e-8)  # the slope keeps 10 digits
    assert (phi.name, phi.homogeneous) == ("TAT leaky_relu 50 0.5", True)


def subnet(x, layer, skip=0.6):
    """The largest value of a residual network without norms, of blocks 3, 4, 23 and 3 of three layers."""
    branch = layer(layer(layer(x)))
    for blocks in (3, 4, 23, 3):
        for block in range(blocks):
            kept = layer(x) if block == 0 else x
            x = skip**2 * kept + (1 - skip**2) * layer(layer(layer(x)))
    return max(layer(x), branch)


#: The authors' own numbers for that network with zeta = 1.2, tau = 0.2 and eta = 0.75 (google-deepmind/dks, tests).
PUBLISHED = {
    ("tanh", "DKS"): (0.07461073057540868, 0.5566915199964182, -0.5034378768692127, 18.002635964442558),
    ("softplus", "DKS"): (0.18761008168267976, 0.40688063442262007, -0.9213466151411376, 8.878672543665223),
    ("gelu", "DKS"): (0.07043253126531114, 0.259489297927707, -0.15815378961903598, 20.21158902315857),
    ("tanh", "TAT"): (0.0580205218578313, 0.5218639804099805, -0.4796430704354356, 22.36066261763117),
    ("softplus", "TAT"): (0.15011489794748328, 0.5374599901127068, -0.996481014465811, 10.54880187880574),
}
SLOW = [pytest.param(*case, marks=() if case == ("tanh", "DKS") else pytest.mark.slow) for case in PUBLISHED]


@pytest.mark.parametrize(("name", "method"), SLOW)
def test_shapes_are_those_of_the_authors_code(name, method):
    """Their target of a layer is met to 1e-8, which is 4e-6 of C'(1) - 1 and half as much of the input's factor."""
    if method == "DKS":
        shape = local_shape(name, slope=brentq(lambda s: subnet(1.0, lambda y: s * y) - 1.2, 1, 1.5, xtol=1e-15))
    else:
        shape = local_shape(name, curvature=brentq(lambda s: subnet(0.0, lambda y: s + y) - 0.2, 0, 1, xtol=1e-15))
    assert tuple(shape) == pytest.approx(PUBLISHED[name, method], rel=4e-6)


def test_the_slope_of_a_residual_network_is_that_of_the_authors_code():
    """With the C map of leaky ReLU; theirs ends its bisection at 1e-8."""

    def excess(slope):
        bend = (1 - slope) ** 2 / (1 + slope**2) / np.pi
        return subnet(0.0, lambda c: c + bend * (np.sqrt(1 - c * c) - c * np.arccos(c))) - 0.75

    slope = brentq(excess, 0, 1)
    assert slope == pytest.approx(0.6291800290346146, abs=1e-7)
    at = np.array([0.0, 0.4, 0.8])
    assert theory.c_map(f"leaky_relu:{slope}", at) == pytest.approx(
        at + (1 - slope) ** 2 / (1 + slope**2) / np.pi * (np.sqrt(1 - at**2) - at * np.arccos(at)), abs=1e-13
    )


CASES = [
    (name, method)
    for name in ("tanh", "sigmoid", "gelu", "silu", "softplus", "erf", "elu") for method in ("TAT", "DKS")
]  # fmt: skip


@pytest.mark.parametrize(("name", "method"), CASES)
@pytest.mark.slow
def test_a_shaped_activation_meets_its_conditions(name, method, x64):
    """By Gauss-Hermite quadrature of autodiff's derivatives; ELU's second one jumps, which this resolves worse."""
    phi, depth = theory.shaped(name, 30, method), 30
    assert phi.name == f"{method} {name} 30"
    z, weights = np.polynomial.hermite_e.hermegauss(180)
    weights = weights / weights.sum()
    z = jnp.asarray(z)
    slope = jax.vmap(jax.grad(phi.phi))
    values, slopes, bends = (np.asarray(f(z)) for f in (phi.phi, slope, jax.vmap(jax.grad(jax.grad(phi.phi)))))
    near = 1e-3 if name == "elu" else 1e-7
    mean = lambda f: float(weights @ f)
    assert np.asarray(phi.dphi(z)) == pytest.approx(slopes, abs=1e-12)
    assert (mean(values**2), mean(values * slopes * np.asarray(z))) == pytest.approx((1, 1), abs=near)
    if method == "DKS":
        assert mean(values) == pytest.approx(0, abs=near)
        assert mean(slopes**2) ** depth == pytest.approx(1.5, abs=depth * near)
    else:
        assert mean(slopes**2) == pytest.approx(1, abs=near)
        assert depth * mean(bends**2) == pytest.approx(0.3, abs=depth * near)


def test_what_cannot_be_shaped_is_refused():
    for asked, words in [
        (("relu", 50), "can be shaped.*'leaky_relu'"),
        (("identity", 50, "DKS"), "can be shaped"),
        (("selu", 50), "second derivative.*slope jumps"),
        (("leaky_relu", 50, "DKS"), "method='TAT'"),
        (("tanh", 50, "tat"), "TAT"),
        (("tanh", 0), "depth to be an integer"),
        (("tanh", 50, "DKS", 0.9), "zeta.*above 1"),
        (("tanh", 50, "TAT", -1.0), "tau.*positive"),
        (("leaky_relu", 50, "TAT", 1.0), "eta.*above 0 and below 1"),
    ]:
        with pytest.raises(gl.GradlabError, match=words):
            theory.shaped(*asked)
    with pytest.raises(gl.GradlabError, match="from -1 to 1"):
        theory.c_map("relu", [0.0, 1.2])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "depth"), [("leaky_relu", 30), ("tanh", 10)])
def test_a_network_of_shaped_activations_carries_correlations_as_the_map_says(name, depth, forget):
    """From the mean over pairs of 32 inputs in layer 1; what a finite width adds is of the order depth / width."""
    phi = theory.shaped(name, depth)
    sweep = gl.Sweep(
        depth=depth, width=500, activation=phi, init="lecun_normal", data="gaussian", c0=0.2, batch=32, seeds=10,
        loss="probe", columns=("log10_one_minus_c",),
    )  # fmt: skip
    frame = gl.run(sweep, progress=False)
    first, last = (1 - 10 ** frame[frame["layer"] == layer]["log10_one_minus_c"] for layer in (1, depth))
    expected = theory.c_map_path(phi, depth - 1, first.mean())[-1]
    assert abs(last.mean() - expected) < 3 * last.std() / len(last) ** 0.5 + depth / 500
    assert expected - first.mean() > 0.05
