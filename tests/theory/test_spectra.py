"""Spectra of Jacobians: the papers' numbers, the Fuss-Catalan law, and random matrices."""

import math

import numpy as np
import pytest

import gradlab as gl
from gradlab.theory import spectra


@pytest.mark.parametrize(
    ("activation", "weights", "wanted"),
    [
        ("identity", "gaussian", (4, 6.75, 12.21, 23.09, 44.84)),
        ("relu", "orthogonal", (2, 4, 9.48, 20.37, 42.13)),
        ("relu", "gaussian", (5.83, 11.09, 21.86, 43.55, 87.01)),
        ("identity", "orthogonal", (1, 1, 1, 1, 1)),
    ],
)
def test_largest_eigenvalues(activation, weights, wanted):
    found = [spectra.largest_eigenvalue(activation, depth, weights) for depth in (1, 2, 4, 8, 16)]
    assert found == pytest.approx(wanted, abs=0.005)
    for depth in (2, 30):
        if (activation, weights) == ("identity", "gaussian"):
            law = (depth + 1) ** (depth + 1) / depth**depth
        elif (activation, weights) == ("relu", "orthogonal"):
            law = depth**depth / (depth - 1) ** (depth - 1)
        else:
            continue
        assert spectra.largest_eigenvalue(activation, depth, weights) == pytest.approx(law, rel=1e-12)


def test_ratios_of_moments():
    assert spectra.moment_ratio("identity", 7, sigma_w2=1.0) == 8
    assert spectra.moment_ratio("identity", 7, sigma_w2=1.0, weights="orthogonal") == 1
    assert spectra.moment_ratio("relu", 7, sigma_w2=2.0) == pytest.approx(15, rel=1e-12)
    assert spectra.moment_ratio("relu", 7, sigma_w2=2.0, weights="orthogonal") == pytest.approx(8, rel=1e-12)


@pytest.mark.parametrize(
    ("q", "excess", "error"),  # at the critical point of sigma_b2 = 2.01e-5, 0.01, 0.05, 0.1, 0.3
    [(0.025919, 0.00427, 0.51e-5), (0.273301, 0.1525, 0.51e-4), (0.570048, 0.3423, 0.51e-4),
     (0.805799, 0.479, 0.51e-3), (1.461169, 0.808, 0.51e-3)],
)  # fmt: skip
def test_what_critical_tanh_adds_per_layer(q, excess, error):
    assert spectra.slope_moments("tanh", q).excess == pytest.approx(excess, abs=error)


def test_isometry_is_reached_by_smooth_activations_and_orthogonal_weights_alone():
    for q in (1e-2, 1e-3):
        assert spectra.isometric_depth("tanh", q) * 8 * q**2 == pytest.approx(1, rel=15 * q)  # the next order in q
        assert spectra.isometric_depth("tanh", q, weights="gaussian") < 1
    assert spectra.isometric_depth("relu", 1e-6) == pytest.approx(1, rel=1e-12)
    assert spectra.isometric_depth("identity", 1.0) == math.inf


@pytest.mark.parametrize("depth", [1, 2, 5, 16])
def test_the_density_of_linear_networks_is_the_fuss_catalan_law(depth):
    """By its parametric form: Haagerup & Möller 2013, Neuschel 2014."""
    log10_s, found = spectra.spectral_density("identity", depth)
    angle = np.linspace(1e-4, np.pi / (depth + 1) - 1e-4, 20001)
    x = np.sin((depth + 1) * angle) ** (depth + 1) / (np.sin(angle) * np.sin(depth * angle) ** depth)
    rho = np.sin(angle) ** 2 * np.sin(depth * angle) ** (depth - 1) / (np.pi * np.sin((depth + 1) * angle) ** depth)
    order = np.argsort(x)
    wanted = np.interp(log10_s, 0.5 * np.log10(x[order]), (2 * np.log(10) * x * rho)[order])
    inside = (log10_s > 0.5 * np.log10(x.min())) & (log10_s < 0.5 * np.log10(x.max()))
    # linear interpolation in 20000 points, at an end with a vertical slope
    assert found[inside] == pytest.approx(wanted[inside], abs=2e-3 * found.max())


@pytest.mark.parametrize(
    ("activation", "weights", "depth", "mass"),
    [("identity", "gaussian", 3, 1), ("relu", "gaussian", 1, 0.5), ("relu", "gaussian", 6, 0.5),
     ("relu", "orthogonal", 4, 0.5)],
)  # fmt: skip
def test_densities_have_the_mass_and_the_moments(activation, weights, depth, mass):
    log10_s, rho = spectra.spectral_density(activation, depth, weights, points=2000)
    integral = lambda power: np.trapezoid(rho * 10 ** (power * log10_s), log10_s)
    # below the grid lies e^-6 of the mass
    assert integral(0) == pytest.approx(mass, abs=0.01)
    assert integral(2) == pytest.approx(1, abs=1e-3)
    wanted = (
        1
        + depth * {("identity", "gaussian"): 1, ("relu", "gaussian"): 2, ("relu", "orthogonal"): 1}[activation, weights]
    )
    assert integral(4) == pytest.approx(wanted, rel=1e-3)


def test_effective_depth():
    assert spectra.effective_depth([50, 100]) == pytest.approx(0.03)


def test_errors():
    for call, message in (
        (lambda: spectra.largest_eigenvalue("tanh", 3), "closed form"),
        (lambda: spectra.largest_eigenvalue("relu", 0), "depth to be an integer of at least 1"),
        (lambda: spectra.largest_eigenvalue("relu", 3, "uniform"), "'uniform'"),
        (lambda: spectra.spectral_density("identity", 3, "orthogonal"), "a spectrum with a density"),
        (lambda: spectra.moment_ratio("gelu", 3, sigma_w2=0.5), "a fixed point of the variance"),
        (lambda: spectra.slope_moments("tanh", -1.0), "q"),
        (lambda: spectra.isometric_depth("tanh", 1.0, ratio=1.0), "ratio above 1"),
    ):
        with pytest.raises(gl.GradlabError, match=message):
            call()


@pytest.mark.parametrize(("weights", "ratio"), [("gaussian", 27.85), ("orthogonal", 7.845)])
def test_ratio_of_moments_of_critical_tanh(weights, ratio):
    """20 layers at sigma_b2 = 0.05 (Pennington, Schoenholz & Ganguli 2017)."""
    found = spectra.moment_ratio("tanh", 20, sigma_w2=1.760955, sigma_b2=0.05, weights=weights)
    assert found == pytest.approx(ratio, abs=0.51 * 10.0 ** -(len(str(ratio).split(".")[1])))


def test_ten_thousand_layers_are_not_isometric():
    """Xiao et al. 2018, (sigma_w2, sigma_b2) = (1.05, 2.01e-5): chi1 = 1.0000002, and 0.00427 a layer add up to 43."""
    point = {"sigma_w2": 1.05, "sigma_b2": 2.01e-5}
    assert gl.theory.mean_field("tanh", **point).chi1 == pytest.approx(1.0000002, abs=0.51e-7)
    found = spectra.moment_ratio("tanh", 10_000, **point, weights="orthogonal")
    assert found == pytest.approx(44, abs=0.51) and (found - 1) / 1e4 == pytest.approx(0.00427, abs=0.51e-5)


@pytest.mark.parametrize(("sigma_w2", "mean"), [(1 / 3, 0.490), (1.0, 0.849)])
def test_mean_singular_value_of_one_layer(sigma_w2, mean):
    """8/(3 pi) sigma_w, by the quarter circle: the layer Jacobians of Glorot & Bengio 2010 where tanh is linear."""
    log10_s, rho = spectra.spectral_density("identity", 1, points=4000)
    found = sigma_w2**0.5 * np.trapezoid(rho * 10**log10_s, log10_s)
    assert found == pytest.approx(8 / (3 * np.pi) * sigma_w2**0.5, rel=1e-4) == pytest.approx(mean, abs=0.51e-3)


@pytest.mark.slow
def test_the_mean_singular_value_is_measured():
    """Of 200 units to 1 %, for fluctuations of linear statistics are of order 1/n."""
    net = gl.MLP(depth=2, width=200, activation="identity", init="gaussian", sigma_w2=1 / 3)
    values = gl.jacobian_spectrum(net, np.ones((1, 5)), from_layer=1, to_layer=2, seeds=2).log10_singular_values
    assert np.mean(10**values) == pytest.approx(0.490, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "share"), [(1, 0.0), (10, 0.27), (50, 0.75)])
def test_gaussian_weights_lose_isometry_with_depth(depth, share):
    """Saxe et al. 2013: singular values below 1e-3 of products of 100 x 100 matrices; 20 draws scatter by 0.01."""
    net = gl.MLP(depth=depth + 1, width=100, activation="identity", init="lecun_normal")
    found = gl.jacobian_spectrum(net, np.ones((1, 5)), from_layer=1, to_layer=depth + 1, seeds=20)
    assert np.mean(found.log10_singular_values < -3) == pytest.approx(share, abs=0.015)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize(
    ("activation", "init", "weights"),
    [("identity", "lecun_normal", "gaussian"), ("relu", "orthogonal", "orthogonal"), ("relu", "he_normal", "gaussian")],
)
def test_largest_eigenvalues_are_measured(activation, init, weights, depth):
    """Width 400 and up to 4 layers, where the edge at infinite width is known to be 4 to 11 % too high: to 15 %."""
    gain = 2**0.5 if weights == "orthogonal" else 1.0
    net = gl.MLP(depth=depth + 1, width=400, activation=activation, init=init, gain=gain, bias=False)
    x = np.random.default_rng(0).normal(size=(1, 30))
    found = gl.jacobian_spectrum(net, x, from_layer=1, to_layer=depth + 1, seeds=4, k=1).log10_singular_values
    assert np.mean(10 ** (2 * found)) == pytest.approx(spectra.largest_eigenvalue(activation, depth, weights), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("init", "weights"), [("gaussian", "gaussian"), ("orthogonal", "orthogonal")])
def test_the_moments_of_critical_tanh_networks_are_measured(init, weights):
    """sigma_b2 = 0.05 at width 400 and 20 layers; deviations of order L/n, here 5 %."""
    sigma_w2, layers, width = 1.760955, 20, 400
    scale = {"sigma_w2": sigma_w2} if init == "gaussian" else {"gain": sigma_w2**0.5}
    net = gl.MLP(depth=layers + 1, width=width, activation="tanh", init=init, sigma_b2=0.05, **scale)
    q = 0.570048
    x = np.random.default_rng(0).normal(size=(1, width))
    x *= ((q - 0.05) / sigma_w2 * width) ** 0.5 / np.linalg.norm(x)
    found = gl.jacobian_spectrum(net, x, from_layer=1, to_layer=layers + 1, seeds=6).moment_ratio.mean()
    wanted = spectra.moment_ratio("tanh", layers, sigma_w2=sigma_w2, sigma_b2=0.05, weights=weights)
    assert wanted == pytest.approx({"gaussian": 27.85, "orthogonal": 7.845}[weights], abs=0.01)
    assert found == pytest.approx(wanted, rel=0.1 if weights == "gaussian" else 0.05)
