"""First order in 1/n, Jacobian moments and Lyapunov exponents: published numbers, and plain networks."""

import numpy as np
import pytest
from scipy.special import polygamma, psi

import gradlab as gl
from gradlab._errors import GradlabError

#: ln chi_1, ln chi_1 + M/128, and the slope measured over 2000 networks of width 128 with its standard error.
SLOPES = {
    ("tanh", 2.0): (0.10032, 0.08724, 0.08741, 0.00066),
    ("selu", 1.0): (0.06913, 0.05766, 0.05815, 0.00067),
    ("sigmoid", 1.0): (-2.88740, -2.89707, -2.89657, 0.00047),
    ("erf", 2.0): (0.18012, 0.16414, 0.16275, 0.0007),
    ("hard_tanh", 2.0): (0.29322, 0.27750, 0.27835, 0.0007),
    ("softplus", 1.0): (-1.24229, -1.24684, -1.24984, 0.0007),
}


@pytest.mark.parametrize("case", SLOPES, ids=lambda c: c[0])
def test_slopes_at_width_128(case):
    """The corrected slope to every digit given, and within 2.5 standard errors and 0.4/n of the measured one."""
    infinite, corrected, measured, error = SLOPES[case]
    found = gl.theory.coefficients(*case)
    assert np.log(found.chi1) == pytest.approx(infinite, abs=0.6e-5)
    assert np.log(found.chi1) + found.M / 128 == pytest.approx(corrected, abs=0.6e-5)
    second_order = 0.4 / 128 if case[0] == "softplus" else 0
    assert abs(corrected - measured) < 2.5 * error + second_order


@pytest.mark.parametrize(
    ("activation", "sigma_w2", "A", "M"),
    [("relu", 2.0, 5, -2.5), ("identity", 1.0, 2, -1), ("tanh", 2.0, 4.4, -1.7), ("sigmoid", 1.0, 2.1, -1.2)],
)
def test_coefficients_to_two_digits(activation, sigma_w2, A, M):
    found = gl.theory.coefficients(activation, sigma_w2)
    assert round(found.A, 1) == A and round(found.M, 1) == M


@pytest.mark.parametrize("sigma_w2", [0.3, 2.0, 50.0])
def test_homogeneous_activations_agree_with_the_exact_law_at_any_scale(sigma_w2):
    n = 4000
    for activation in ("relu", "identity"):
        found = gl.theory.coefficients(activation, sigma_w2)
        law = gl.theory.log_norm_law([n], activation, sigma_w2)
        assert law.variance * n == pytest.approx(found.A, abs=25 / n)
        assert (law.mean - np.log(found.chi1)) * n == pytest.approx(found.M, abs=25 / n)


@pytest.mark.parametrize(
    ("activation", "sigma_w2", "sigma_b2"),
    [("tanh", 1.0, 0.0), ("gelu", 2.0, 0.0), ("elu", 2.0, 0.0), ("softplus", 2.0, 0.0), ("tanh", 1.01, 0.0)],
)
def test_without_a_stable_fixed_point_there_is_no_expansion(activation, sigma_w2, sigma_b2):
    with pytest.raises(GradlabError, match="stable fixed point"):
        gl.theory.coefficients(activation, sigma_w2, sigma_b2)


def test_variances_below_0_are_refused():
    for wrong in ((-1.0, 0.0), (1.0, -0.1), (float("nan"), 0.0)):
        with pytest.raises(GradlabError, match="sigma_"):
            gl.theory.coefficients("tanh", *wrong)
    with pytest.raises(GradlabError, match="sigma_w2"):
        gl.theory.lyapunov_exponents(4, 0.0)
    for wrong in ((0, 3), (3, -1)):
        with pytest.raises(GradlabError, match="width"):
            gl.theory.jacobian_moments(*wrong)
    with pytest.raises(GradlabError, match="relu"):
        gl.theory.jacobian_moments(3, 3, "tanh")


def jacobians(rng, nets, n, depth, activation):
    """Jacobians of networks without bias at one input: ReLU (He), or linear."""
    j, x = np.broadcast_to(np.eye(n), (nets, n, n)), np.broadcast_to(np.eye(n)[0], (nets, n))
    for _ in range(depth):
        w = rng.normal(size=(nets, n, n)) * ((2 if activation == "relu" else 1) / n) ** 0.5
        z = np.einsum("rij,rj->ri", w, x)
        gate = (z > 0) if activation == "relu" else np.ones_like(z)
        x, j = gate * z, gate[..., None] * (w @ j)
    return j


@pytest.mark.parametrize(("activation", "n", "depth"), [("relu", 12, 3), ("identity", 9, 4)])
def test_moments_of_the_jacobian(activation, n, depth):
    """Each within 4.5 standard errors of 10000 draws."""
    j = jacobians(np.random.default_rng(4), 10_000, n, depth, activation)
    gram = np.swapaxes(j, -1, -2) @ j
    lengths = np.diagonal(gram, axis1=-2, axis2=-1)
    across = lambda g: (np.sum(g, (-1, -2)) - np.trace(g, axis1=-2, axis2=-1)) / (n * (n - 1))
    samples = {
        "aligned": np.mean(lengths**2, -1),
        "lengths": across(lengths[:, :, None] * lengths[:, None, :]),
        "products": across(gram**2),
        "frobenius2": np.sum(lengths, -1),
        "frobenius4": np.sum(lengths, -1) ** 2,
        "trace2": np.sum(gram**2, (-1, -2)),
    }
    law = gl.theory.jacobian_moments(n, depth, activation)
    for name, values in samples.items():
        error = np.std(values) / len(values) ** 0.5
        assert abs(np.mean(values) - getattr(law, name)) < 4.5 * error, name


def test_second_moment_of_the_spectrum_far_above_the_depth():
    """tr (J J^T)^2 / n is 1 + 2L (ReLU) and 1 + L (linear) where L is far below n (Pennington et al. 2017)."""
    for activation, excess in (("relu", 2), ("identity", 1)):
        found = gl.theory.jacobian_moments(10**6, 7, activation)
        assert found.trace2 / found.frobenius2 == pytest.approx(1 + 7 * excess, abs=1e-3)


def test_lyapunov_exponents_of_products_of_gaussian_matrices():
    """20 exponents by repeated QR over 4000 layers: each within 4.5 of its own standard errors (Newman 1986)."""
    rng = np.random.default_rng(6)
    n, steps, sigma_w2 = 20, 4000, 1.7
    q, total = np.eye(n), np.zeros(n)
    for _ in range(steps):
        q, r = np.linalg.qr(rng.normal(size=(n, n)) * (sigma_w2 / n) ** 0.5 @ q)
        total += np.log(np.abs(np.diagonal(r)))
    exponents, variances = gl.theory.lyapunov_exponents(n, sigma_w2)
    assert np.all(np.abs(total / steps - exponents) < 4.5 * (variances / steps) ** 0.5)
    assert exponents[0] == pytest.approx(0.5 * (np.log(2 * sigma_w2 / n) + psi(n / 2)), rel=1e-14)
    assert variances[-1] == pytest.approx(polygamma(1, 0.5) / 4, rel=1e-14)
    assert np.all(np.diff(exponents) < 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "init", "sigma_w2"), [("tanh", "he_normal", 2.0), ("sigmoid", "lecun_normal", 1.0)]
)
def test_networks_of_width_64_follow_the_first_order(activation, init, sigma_w2):
    """Slope within 4 standard errors and 6/n^2; variance within 4 of its own and 15 %, what the second order leaves."""
    n, depth, seeds = 64, 21, 600
    x = np.random.default_rng(8).normal(size=(1, n)).astype("float32")
    x *= n**0.5 / np.linalg.norm(x)
    net = gl.MLP(depth=depth, width=n, activation=activation, init=init, bias=False)
    trace = gl.measure(net, x, loss="probe", seeds=seeds, columns=["delta_log10_mean"])
    logs = 2 * np.log(10) * trace.columns["delta_log10_mean"]
    first, last = 6, depth  # q has settled from layer 6 on
    ratio = logs[:, first - 1] - logs[:, last - 1]
    layers = last - first
    found = gl.theory.coefficients(activation, sigma_w2)
    error = (found.A / (n * layers * seeds)) ** 0.5
    assert abs(np.mean(ratio) / layers - np.log(found.chi1) - found.M / n) < 4 * error + 6 / n**2
    variance = found.A * layers / n
    assert abs(np.var(ratio) - variance) < 4 * variance * (2 / seeds) ** 0.5 + 0.15 * variance
