"""Fixed points, slopes and depth scales against published numbers and against the maps iterated."""

import math
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.config import ACTIVATIONS
from gradlab.core.activations import TABLE
from gradlab.theory import mean_field, moments, phase_diagram, transients

INF, NAN = math.inf, math.nan
#: (q*, chi1, c*) at sigma_w2 = 1 (Glorot, LeCun, orthogonal), 2 (He) and 1/3 (torch.nn.Linear) without bias, from
#: inputs of mean square 1; by quadrature with Monte-Carlo checks, to the digits shown. NaN: every correlation stays.
TABLE_1A = {
    "identity": [(1, 1, NAN), (INF, 2, NAN), (0, 0.333333, NAN)],
    "relu": [(0, 0.5, 1), (2, 1, 1), (0, 0.166667, 1)],
    "sigmoid": [(0.26469, 0.0557207, 1), (0.55529, 0.100977, 1), (0.085034, 0.0200078, 1)],
    "tanh": [(0, 1, NAN), (0.617965, 1.10553, 0), (0, 0.333333, NAN)],
    "selu": [(1, 1.07157, 0), (INF, 1.10397, 1), (0, 0.699148, 1)],
    "gelu": [(0, 0.25, NAN), (0, 0.5, NAN), (0, 0.083333, NAN)],
    "erf": [(0.141924, 1.0169, 0), (0.880751, 1.19737, 0), (0, 0.424413, NAN)],
}
#: log10 of the product of chi over the first 30 and 100 layers, in the same order.
PRODUCTS = {
    "identity": [(0, 0), (9.03, 30.10), (-14.31, -47.71)],
    "relu": [(-9.03, -30.10), (0, 0), (-23.34, -77.82)],
    "sigmoid": [(-37.72, -125.50), (-30.02, -99.72), (-51.01, -169.92)],
    "tanh": [(-1.62, -2.15), (0.94, 3.99), (-14.57, -47.97)],
    "selu": [(0.90, 3.00), (3.49, 6.96), (-5.57, -16.45)],
    "gelu": [(-17.42, -59.57), (-5.42, -26.49), (-32.16, -107.70)],
    "erf": [(-0.46, 0.05), (2.11, 7.59), (-11.46, -37.51)],
}
SIGMAS = (1.0, 2.0, 1 / 3)


def same(value, shown):
    """Equal to every digit shown: half a unit of the last of six significant digits."""
    if not math.isfinite(shown) or shown == 0:
        return value == shown or (math.isnan(shown) and math.isnan(value)) or (shown == 0 and abs(value) < 1e-9)
    return abs(value - shown) <= 0.51 * 10.0 ** (math.floor(math.log10(abs(shown))) - len(digits(shown)) + 1)


def digits(shown):
    return f"{shown:.12g}".replace(".", "").lstrip("0") if shown < 1 else f"{shown:.12g}".replace(".", "")


@pytest.mark.parametrize("name", TABLE_1A)
def test_fixed_points_and_slopes(name):
    for sigma_w2, (q_star, chi1, c_star) in zip(SIGMAS, TABLE_1A[name], strict=True):
        found = mean_field(name, sigma_w2=sigma_w2)
        assert same(found.q_star, q_star), found
        assert same(found.chi1, chi1), found
        assert same(found.c_star, c_star), found


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_chi_over_layers(name):
    for sigma_w2, shown in zip(SIGMAS, PRODUCTS[name], strict=True):
        log10_chi = transients(name, sigma_w2=sigma_w2, depth=100).log_dphi2 / np.log(10) + np.log10(sigma_w2)
        sums = log10_chi[:30].sum(), log10_chi.sum()
        assert sums == pytest.approx(shown, abs=0.0051)


@pytest.mark.parametrize(
    ("sigma_w", "chi1", "q_star", "c_star", "growth"),
    [
        (1.3, 0.93981, 0.60705, 1, 0.9694), (2.5, 1.58522, 4.07912, 0.122104, 1.2591),
        (4.0, 2.36726, 12.60415, 0.0296959, 1.5386),
    ],
)  # fmt: skip
def test_the_networks_of_poole_2016(sigma_w, chi1, q_star, c_star, growth):
    """tanh with sigma_b = 0.3: Poole et al. 2016, figures 1 and 2; a curve's length grows by sqrt(chi1) (figure 3)."""
    found = mean_field("tanh", sigma_w2=sigma_w**2, sigma_b2=0.3**2)
    assert found.chi1 == pytest.approx(chi1, abs=0.51e-5)
    assert found.q_star == pytest.approx(q_star, abs=0.51e-5)
    assert found.c_star == pytest.approx(c_star, abs=0.51e-6)
    assert found.chi1**0.5 == pytest.approx(growth, abs=0.51e-4)
    assert found.phase == ("ordered" if chi1 < 1 else "chaotic")


@pytest.mark.parametrize(
    ("sigma_w2", "six"),
    [
        (1.0, "21.8"),
        (1.4, "64.4"),
        (1.6, "162"),
        (1.7, "450"),
        (1.8, "755"),
        (2.0, "151"),
        (2.5, "70.8"),
        (4.0, "41.9"),
    ],
)
def test_the_depth_scales_of_schoenholz_2017(sigma_w2, six):
    """tanh with sigma_b2 = 0.05: 6 xi_c, the depth to which networks train (Schoenholz et al. 2017, figure 5)."""
    assert f"{6 * mean_field('tanh', sigma_w2=sigma_w2, sigma_b2=0.05).xi_c:.3g}" == six


def test_the_depth_scale_has_no_end_on_the_critical_line():
    critical = gl.theory.critical_sigma_w2("tanh", 0.05)
    assert critical == pytest.approx(1.760955, abs=0.51e-6)
    found = mean_field("tanh", sigma_w2=critical, sigma_b2=0.05)
    assert found.xi_c == found.xi_grad == INF and found.phase == "critical"


@pytest.mark.parametrize(("channels", "factors"), [((64, 128, 128, 256, 256, 512, 512, 512, 512), 9)])
def test_a_fixed_standard_deviation_of_001_attenuates_vgg_b(channels, factors):
    """He et al. 2015, section 2.2: 1/(5.9 4.2^2 2.9^2 2.1^4) = 1/1.7e4 from conv10 back to conv2, sqrt(n Var / 2) each.

    n is 9 times the channels, and the rounded factors give 17023, the others 16729.
    """
    each = [mean_field("relu", sigma_w2=9 * d * 0.01**2).chi1 ** -0.5 for d in channels]
    assert len(each) == factors and np.prod(each) == pytest.approx(16729, abs=0.5)
    assert np.prod(np.round(each, 1)) == pytest.approx(17023, abs=0.5)


@pytest.mark.parametrize(("depth", "power"), [(22, 11), (30, 15)])
def test_xavier_lacks_a_factor_of_root_2_per_layer_of_relu(depth, power):
    """He et al. 2015, section 2.2: 2^-11 in 22 layers and 2^-15 in 30, of the amplitude."""
    layers = np.ones(depth) * mean_field("relu", sigma_w2=1.0).chi1
    assert np.prod(layers**0.5) == pytest.approx(2.0**-power, rel=1e-12)
    one, other = (
        gl.theory.predict(gl.MLP(depth=depth, width=64, activation="relu", init=i)).decades()
        for i in ("xavier_normal", "he_normal")
    )
    assert one - other == pytest.approx(-(depth - 1) * 0.5 * np.log10(2), rel=1e-12)


def test_torch_gains():
    tanh = mean_field("tanh", sigma_w2=25 / 9)
    assert (tanh.q_star, tanh.chi1) == (pytest.approx(1.17848, abs=5.1e-6), pytest.approx(1.20983, abs=5.1e-6))
    chi = transients("tanh", sigma_w2=25 / 9, depth=100).log_dphi2 / np.log(10) + np.log10(25 / 9)
    assert chi.sum() == pytest.approx(8.0, abs=0.051)
    selu = mean_field("selu", sigma_w2=9 / 16)
    assert (selu.q_star, selu.chi1) == (pytest.approx(0.0230338, abs=5.1e-8), pytest.approx(1.00367, abs=5.1e-6))
    for name, chi1 in (("elu", 0.32757), ("selu", 0.67389)):  # with torch.nn.Linear's biases at 1000 inputs
        assert mean_field(name, sigma_w2=1 / 3, sigma_b2=1 / 3000).chi1 == pytest.approx(chi1, abs=5.1e-6)


@pytest.mark.parametrize("name", ["identity", "relu", "sigmoid", "gelu", "erf", "tanh"])
def test_biases_of_torch_hardly_change_its_networks(name):
    """torch.nn.Linear at 1000 inputs, sigma_b2 = 1/3000: chi1 within 0.12 %, q* small where it was 0, and c* = 1."""
    bare, biased = (mean_field(name, sigma_w2=1 / 3, sigma_b2=b) for b in (0.0, 1 / 3000))
    assert biased.chi1 == pytest.approx(bare.chi1, rel=1.2e-3)
    assert biased.c_star == 1 and 0 <= biased.q_star - bare.q_star < 6e-4


@pytest.mark.parametrize(("sigma_w2", "share"), [(1.0, 0.94), (2.0, 0.90)])
def test_most_of_a_sigmoid_s_mean_square_is_its_mean(sigma_w2, share):
    q = mean_field("sigmoid", sigma_w2=sigma_w2).q_star
    mean, square = gl.theory.expectation("sigmoid", lambda z, u, p, d: np.stack([p, p * p]), q)
    assert mean == pytest.approx(0.5, rel=1e-12)
    assert round(float(mean**2 / square), 2) == share


def test_selu_is_normalised():
    """Klambauer et al. 2017: E phi = 0, E phi^2 = 1; the Jacobian of the map of mean and variance has norm 0.7877."""
    mean, square, by_mean, by_variance = gl.theory.expectation(
        "selu", lambda z, u, p, d: np.stack([p, p * p, p * (z * z - 1) / 2, p * p * (z * z - 1) / 2]), 1.0
    )
    assert (mean, square) == (pytest.approx(0, abs=1e-12), pytest.approx(1, rel=1e-12))
    assert (by_mean, by_variance) == (pytest.approx(0.088835, abs=5.1e-7), pytest.approx(0.782648, abs=5.1e-7))
    assert math.hypot(by_mean, by_variance) == pytest.approx(0.78767, abs=5.1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "exponent", "slope"), [("softplus", 2 / 3, -2.0), ("elu", 1.0, 1.0)])
def test_variances_without_a_limit_under_he(activation, exponent, slope):
    """q ~ l^(2/3) and chi = 1 - 2/sqrt(2 pi q) for softplus, q ~ l and chi = 1 + 1/sqrt(2 pi q) for ELU.

    From E phi'^2 and E phi^2 expanded at large q; what is left out is of relative order 1/sqrt(q).
    """
    found = transients(activation, sigma_w2=2.0, q0=2.0, depth=4000)
    log_q, chi = np.asarray(found.log_q), 2 * np.exp(np.asarray(found.log_dphi2))
    q = np.exp(log_q[-1])
    assert abs((log_q[-1] - log_q[1999]) / math.log(2) - exponent) < 2 / math.sqrt(q)
    assert abs(chi[-1] - 1 - slope / math.sqrt(2 * math.pi * q)) < 1 / q


def test_algebraic_cases_have_their_exponents():
    """tanh at sigma_w2 = 1, erf at pi/4: q ~ 1/(2l) for both, and the product of chi over L layers falls like 1/L.

    Times L it is C (1 + (a ln L + b)/L ...): three depths give C, a fourth is met to 1e-5.
    """
    depths = np.array([125, 250, 500, 1000])
    for name, sigma_w2, limit in (("tanh", 1.0, 0.70607), ("erf", math.pi / 4, None)):
        found = transients(name, sigma_w2=sigma_w2, depth=1000)
        assert np.exp(found.log_q[-1]) * 2000 == pytest.approx(1, rel=0.01)
        product = np.exp(np.cumsum(found.log_dphi2 + np.log(sigma_w2))[depths - 1]) * depths
        terms = np.stack([np.ones(4), np.log(depths) / depths, 1 / depths], 1)
        fit = np.linalg.solve(terms[1:], product[1:])
        assert terms[0] @ fit == pytest.approx(product[0], abs=1e-5)
        if limit:
            assert fit[0] == pytest.approx(limit, abs=1e-5)
    hard = transients("hard_tanh", sigma_w2=1.0, depth=100).log_dphi2.sum()
    assert hard / np.log(10) == pytest.approx(-0.58, abs=0.0051)


@pytest.mark.slow
def test_the_product_of_4000_layers_of_tanh():
    """0.7065/L, measured slope -1.001: not yet the limit, 0.70607/L, whose approach is (0.29 ln L - 0.6)/L."""
    log_chi = transients("tanh", sigma_w2=1.0, depth=4000).log_dphi2
    assert round(float(np.exp(log_chi.sum()) * 4000), 4) == 0.7065
    slope = np.polyfit(np.log(np.arange(301, 4001)), np.cumsum(log_chi)[300:], 1)[0]
    assert slope == pytest.approx(-1.001, abs=5.1e-4)


@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_he_takes_smooth_relus_to_a_half(name):
    """q -> 0 and chi -> 1/2, after a transient of about 10 (SiLU) and 20 (GELU) layers."""
    found = transients(name, sigma_w2=2.0, depth=40)
    chi = 2 * np.exp(found.log_dphi2)
    assert 8 <= np.argmax(chi < 0.51) <= 20 and chi[-1] == pytest.approx(0.5, abs=1e-6)
    assert found.log_q[-1] < -10 and mean_field(name, sigma_w2=2.0).q_star == 0


@pytest.mark.slow
def test_exponents_of_kinked_slopes():
    """ELU and softsign at sigma_w2 = 1: q ~ 2 pi/l^2 and (pi/8)/l^2, the product of chi like 1/l^2."""
    layer = np.arange(1, 1001)
    for name, constant in (("elu", 2 * np.pi), ("softsign", np.pi / 8)):
        found = transients(name, sigma_w2=1.0, depth=1000)
        assert np.exp(found.log_q[-1]) * 1e6 == pytest.approx(constant, rel=0.05)
        assert np.polyfit(np.log(layer[300:]), np.cumsum(found.log_dphi2)[300:], 1)[0] == pytest.approx(-2, abs=0.1)


@pytest.mark.parametrize("depth", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_relu_correlations_follow_their_power_law(depth):
    """(1 - c_l) l^2 from c_0 = 0 at l = 10, 100, 1000, 10^4, tending to 9 pi^2 / 2 = 44.413 (Hayou et al. 2019)."""
    found = transients("relu", sigma_w2=2.0, c0=0.0, depth=depth + 1).log_one_minus_c
    # layer 1 of the list is the input's correlation itself: the first map is linear
    for layer, shown in ((10, 12.85), (100, 35.77), (1000, 43.13), (10_000, 44.25)):
        if layer <= depth:
            assert np.exp(found[layer]) * layer**2 == pytest.approx(shown, abs=0.0051)
    assert np.exp(found[-1]) * depth**2 < 9 * math.pi**2 / 2 == pytest.approx(44.413, abs=5.1e-4)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("sigma_w2", [1.3, *(pytest.param(w, marks=pytest.mark.slow) for w in (0.7, 3.1))])
def test_the_fixed_point_is_where_iteration_ends(name, sigma_w2):
    """Whatever finds it: 200 layers one after another come to the same place, or move on towards the same end."""
    found = mean_field(name, sigma_w2=sigma_w2, sigma_b2=0.01)
    log_q = transients(name, sigma_w2=sigma_w2, sigma_b2=0.01, depth=200).log_q
    if math.isinf(found.q_star):
        assert log_q[-1] > log_q[-2] > log_q[0]
    else:
        assert log_q[-1] == pytest.approx(np.log(found.q_star), abs=1e-9 + 20 * abs(log_q[-1] - log_q[-2]))
        squares = sigma_w2 * np.exp(moments(name, np.log(found.q_star)).log_phi2) + 0.01
        assert squares == pytest.approx(found.q_star, rel=1e-12)


@pytest.mark.parametrize(("sigma_w2", "sigma_b2"), [(1.4, 0.05), (2.5, 0.05)])
def test_correlations_approach_c_star_at_xi_c(sigma_w2, sigma_b2):
    found = mean_field("tanh", sigma_w2=sigma_w2, sigma_b2=sigma_b2)
    log_gap = transients("tanh", sigma_w2=sigma_w2, sigma_b2=sigma_b2, c0=0.6, depth=70).log_one_minus_c
    if found.c_star == 1:
        assert log_gap[-1] - log_gap[-2] == pytest.approx(-1 / found.xi_c, rel=0.01)
    else:
        gap = np.log(np.abs(np.exp(log_gap) - (1 - found.c_star)))
        assert np.diff(gap)[45:55] == pytest.approx(-1 / found.xi_c, rel=0.01)


def test_far_out():
    """Depth 10,000 and sigma_w2 = 100: no overflow, no NaN, and 1 - c far below what c itself can show."""
    sigmoid = transients("sigmoid", sigma_w2=1.0, c0=0.3, depth=10_000)
    assert sigmoid.log_one_minus_c[-1] == pytest.approx(1e4 * np.log(0.0557207), rel=1e-3)
    relu = transients("relu", sigma_w2=100.0, depth=500)
    assert relu.log_q[-1] == pytest.approx(np.log(100) + 499 * np.log(50), rel=1e-12)
    for found in (sigmoid, relu):
        assert np.all(np.isfinite(found.log_q)) and np.all(np.isfinite(found.log_dphi2))
    assert mean_field("relu", sigma_w2=100.0).chi1 == pytest.approx(50)


def test_a_bistable_map_goes_where_it_starts():
    """GELU with sigma_w2 = 2.2: from small inputs to 0, from large ones without end."""
    assert mean_field("gelu", sigma_w2=2.2, q0=0.1).q_star == 0
    assert mean_field("gelu", sigma_w2=2.2, q0=1e4).q_star == INF


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sigma_w2": -1.0}, "sigma_w2 to be finite and positive"),
        ({"sigma_w2": 0.0}, "sigma_w2 to be finite and positive"),
        ({"sigma_w2": 1.0, "sigma_b2": -0.1}, "sigma_b2 to be finite and at least 0"),
        ({"sigma_w2": NAN}, "sigma_w2"),
        ({"sigma_w2": 1.0, "q0": 0.0}, "inputs that are not all zero"),
    ],
)
def test_wrong_numbers_are_refused(fields, words):
    with pytest.raises(GradlabError, match=words):
        mean_field("tanh", **fields)


def test_no_fixed_point_and_no_such_name():
    for sigma_w2, end, words in ((3.0, INF, "grows for ever"), (0.5, 0, "shrinks for ever")):
        found = mean_field("relu", sigma_w2=sigma_w2)
        assert found.q_star == end and words in found.note and found.c_star == found.chi_c == 1
    with pytest.raises(GradlabError, match="tanh"):
        mean_field("tanhh", sigma_w2=1.0)


@pytest.mark.parametrize("sigma_b2", [0.0, 0.5])
@pytest.mark.parametrize(
    ("name", "sigma_w2"), [("relu", 7.0), ("relu", 0.3), ("selu", 2.3), ("gelu", 7.0), ("elu", 7.0)]
)
def test_correlations_where_the_variance_has_no_limit(name, sigma_w2, sigma_b2):
    """ReLU and what is like it far out: 1 - c falls like 9 pi^2 / 2 l^2 from anywhere, so c* is 1, xi_c infinite."""
    if (name, sigma_b2) == ("relu", 0.5) and sigma_w2 < 2:
        sigma_w2 = 2.0  # with biases the variance of a smaller one has a limit
    found = mean_field(name, sigma_w2=sigma_w2, sigma_b2=sigma_b2)
    assert found.c_star == 1 and found.chi_c == pytest.approx(1, abs=1e-9) and found.xi_c == INF
    if name == "relu":  # in closed form
        gap = transients(name, sigma_w2=sigma_w2, sigma_b2=sigma_b2, c0=0.2, depth=400).log_one_minus_c
        assert np.exp(gap[-1]) < 1e-3 and gap[-1] < gap[200]


def test_correlations_that_stay_have_no_limit():
    for name, sigma_w2, sigma_b2 in (("tanh", 0.5, 0.0), ("gelu", 0.3, 0.0), ("identity", 2.0, 0.5)):
        found = mean_field(name, sigma_w2=sigma_w2, sigma_b2=sigma_b2)
        assert math.isnan(found.c_star) and "every correlation stays" in found.note
        gap = transients(name, sigma_w2=sigma_w2, sigma_b2=sigma_b2, c0=0.2, depth=16).log_one_minus_c
        assert gap[-1] == pytest.approx(gap[12], abs=1e-3) and gap[-1] > -3
    # where biases alone let the variance grow they become all there is: c_l = (c_1 + b (l - 1)) / (1 + b (l - 1))
    found = mean_field("identity", sigma_w2=1.0, sigma_b2=0.5)
    assert found.c_star == 1 and found.q_star == INF


def test_a_map_that_falls():
    """phi = exp(-z^2): V = sigma_w2 / sqrt(1 + 4q), whose fixed point the iteration reaches from both sides in turn."""
    bump = lambda z: jnp.exp(-z * z)
    entry = replace(TABLE["tanh"], name="bump", phi=bump, dphi=lambda z: -2 * z * bump(z))
    found = mean_field(entry, sigma_w2=50.0)
    assert found.q_star * (1 + 4 * found.q_star) ** 0.5 == pytest.approx(50)
    assert -0.5 < found.chi_q < -0.4


def test_it_prints_its_numbers_with_their_meaning():
    text = str(mean_field("tanh", sigma_w2=1.0))
    assert "tanh, infinite width" in text and "critical" in text and "note:" in text
    assert all(len(line) < 100 for line in text.splitlines()[:-1])


def test_a_phase_diagram_equals_its_points():
    """Fixed points to 1e-9, c* and its scale to the interpolation's 1e-4."""
    w, b = np.linspace(0.6, 4.0, 9), np.array([0.0, 0.05, 0.3])
    for name in ("tanh", "gelu", "relu"):
        found = phase_diagram(name, sigma_w2=w, sigma_b2=b)
        for i, j in ((0, 4), (1, 0), (1, 3), (2, 8), (2, 1)):
            point = mean_field(name, sigma_w2=w[j], sigma_b2=b[i])
            for field, tolerance in (("q_star", 1e-9), ("chi1", 1e-9), ("c_star", 1e-4), ("xi_c", 1e-3)):
                ours, one = getattr(found, field)[i, j], getattr(point, field)
                assert ours == pytest.approx(one, rel=tolerance, abs=1e-6, nan_ok=True), (name, field, i, j)
        assert np.all((found.chi1 > 1) == (found.xi_grad < 0))
    with pytest.raises(GradlabError, match="one axis"):
        phase_diagram("tanh", sigma_w2=1.0, sigma_b2=b)
