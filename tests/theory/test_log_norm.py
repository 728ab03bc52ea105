"""The exact law of ln|Ju|^2: against draws of the nets themselves, closed forms, and published numbers."""

import numpy as np
import pytest
from scipy.special import polygamma, psi
from scipy.stats import chi2, kstest

import gradlab as gl
from gradlab._errors import GradlabError


def squared_lengths(rng, widths, inputs, nets, activation="relu", orthogonal=False):
    """|Ju|^2 of `nets` plain networks, u the input itself: Jx = a_L where the activation is homogeneous."""
    a = np.zeros((nets, inputs))
    a[:, 0] = 1
    for n in widths:
        w = rng.normal(size=(nets, n, a.shape[1])) / np.sqrt(a.shape[1])
        if orthogonal:
            q, r = np.linalg.qr(w)
            w = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[:, None]
        z = np.einsum("rij,rj->ri", w, a)
        a = np.sqrt(2) * np.maximum(z, 0) if activation == "relu" else z
    return np.sum(a**2, -1)


@pytest.mark.parametrize(
    ("n", "mean", "variance"),
    [(100, -0.0254209, 0.0519400), (256, -0.00982866, 0.0198187), (1000, -0.00250410, 0.00501859)],
)
def test_one_layer_of_relu(n, mean, variance):
    """Sum over k of Binomial(n, 1/2) of psi(k/2) + ln(4/n), and its variance, to the digits given."""
    law = gl.theory.log_norm_law([n])
    assert law.mean == pytest.approx(mean, abs=0.6 * 10 ** -(7 if n < 256 else 8))
    assert law.variance == pytest.approx(variance, abs=0.6e-7)
    # the expansion: 5/n and -5/(2n), the next term is of order 1/n^2
    assert law.variance == pytest.approx(5 / n, abs=25 / n**2) and law.mean == pytest.approx(-2.5 / n, abs=25 / n**2)


@pytest.mark.parametrize(("activation", "excess"), [("relu", 5), ("identity", 2)])
def test_moments_of_the_length_are_closed(activation, excess):
    """E|Ju|^2 = 1 and E|Ju|^4 = prod (1 + 5/n_l), 2 instead of 5 without ReLU (Hanin 2018)."""
    widths = [7, 3, 20, 11]
    law = gl.theory.log_norm_law(widths, activation)
    assert law.log_moment(1) == pytest.approx(0, abs=1e-13)
    assert np.exp(law.log_moment(2)) == pytest.approx(np.prod([1 + excess / n for n in widths]), rel=1e-12)
    forward = gl.theory.log_norm_law(widths, activation, inputs=5)
    assert np.exp(forward.log_moment(1)) == pytest.approx(11 / 5, rel=1e-12)
    assert forward.variance == pytest.approx(law.variance, rel=1e-14)
    assert gl.theory.log_norm_law([32] * 8).variance == pytest.approx(1.4200, abs=5e-5)
    assert np.exp(gl.theory.log_norm_law([32] * 8).log_moment(2)) == pytest.approx(3.195, abs=5e-4)


def test_linear_layers_are_logarithms_of_chi_square():
    law = gl.theory.log_norm_law([9, 9], "identity", 3.0)
    assert law.mean == pytest.approx(2 * (psi(4.5) + np.log(2 * 3 / 9)), rel=1e-14)
    assert law.variance == pytest.approx(2 * polygamma(1, 4.5), rel=1e-14)
    one = gl.theory.log_norm_law([1], "identity")
    x = np.linspace(-20, 3, 60)
    np.testing.assert_allclose(one.cdf(x), chi2.cdf(np.exp(x), 1), atol=1e-10)
    np.testing.assert_allclose(one.density(x), chi2.pdf(np.exp(x), 1) * np.exp(x), atol=1e-10)


def moments(law, highest):
    """Central moments 0 ... `highest` by the density; 35 standard deviations below the mean nothing is left."""
    sd = law.variance**0.5
    y, step = np.linspace(-35 * sd, 12 * sd, 4001, retstep=True)
    density = law.density(law.mean + y)
    return [np.sum(density * y**k) * step for k in range(highest + 1)]


@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize(("widths", "inputs"), [([20] * 6, 20), ([4, 9, 6], 5)])
def test_plain_networks_follow_the_law(widths, inputs, orthogonal):
    """Mean, variance, third and fourth cumulant within 4.5 standard errors, and Kolmogorov's test at 1e-4."""
    if orthogonal and len({*widths, inputs}) > 1:
        pytest.skip("rectangular orthogonal weights have no law of their own here")
    rng = np.random.default_rng(7)
    nets = 4000
    law = gl.theory.log_norm_law(widths, inputs=inputs, weights="orthogonal" if orthogonal else "gaussian")
    with np.errstate(divide="ignore"):
        values = np.log(squared_lengths(rng, widths, inputs, nets, orthogonal=orthogonal))
    alive = np.isfinite(values)
    assert abs(np.mean(alive) - law.alive) < 4.5 * (law.alive * (1 - law.alive) / nets) ** 0.5 + 1e-12
    values = values[alive]
    sd, d = law.variance**0.5, values - np.mean(values)
    assert abs(np.mean(values) - law.mean) < 4.5 * sd / nets**0.5
    error = ((law.fourth + 2 * law.variance**2) / nets) ** 0.5
    assert abs(np.var(values) - law.variance) < 4.5 * error
    if min(widths) > 8:  # narrower ones are too nearly discrete for a density
        m = moments(law, 8)
        fourth_error = ((m[8] - m[4] ** 2 - 8 * m[3] * m[5] + 16 * m[2] * m[3] ** 2) / nets) ** 0.5
        assert abs(np.mean(d**4) - m[4]) < 4.5 * fourth_error
        assert kstest(values, law.cdf).pvalue > 1e-4


def test_orthogonal_weights_fluctuate_less_and_linear_ones_not_at_all():
    """E r^2 = (n+5)/(n+2) for ReLU layers whose weights are Haar orthogonal: 3/n instead of 5/n."""
    n = 50
    law = gl.theory.log_norm_law([n], weights="orthogonal")
    assert np.exp(law.log_moment(1)) == pytest.approx(1, rel=1e-12)
    assert np.exp(law.log_moment(2)) == pytest.approx((n + 5) / (n + 2), rel=1e-12)
    assert law.variance == pytest.approx(3 / n, abs=25 / n**2)
    still = gl.theory.log_norm_law([n] * 100, "identity", 1.21, weights="orthogonal")
    assert still.variance == pytest.approx(0, abs=1e-12) and still.mean == pytest.approx(100 * np.log(1.21), rel=1e-12)
    with pytest.raises(GradlabError, match="variance 0"):
        still.density(0.0)


@pytest.mark.parametrize(
    "law", [([1], {}), ([3, 2], {"inputs": 4}), ([100] * 50, {}), ([60] * 3, {"weights": "orthogonal"})]
)
def test_density_cdf_and_cumulants_belong_together(law):
    law = gl.theory.log_norm_law(law[0], **law[1])
    sd = law.variance**0.5
    wanted = [1, 0, law.variance, law.third, law.fourth + 3 * law.variance**2]
    np.testing.assert_allclose(moments(law, 4), wanted, rtol=1e-6, atol=1e-6 * sd**3)
    x, step = np.linspace(law.mean - 12 * sd, law.mean + 8 * sd, 4001, retstep=True)
    density = law.density(x)
    cumulative = np.cumsum((density[1:] + density[:-1]) / 2) * step  # trapezoids: an error of step^2 |density'| / 12
    np.testing.assert_allclose(law.cdf(x[1:]) - law.cdf(x[0]), cumulative, atol=step**2 / sd**2)


def test_what_cannot_be_is_refused():
    for wrong in ({"widths": []}, {"widths": [0]}, {"widths": [3], "sigma_w2": -1}, {"widths": [3], "inputs": 0}):
        with pytest.raises(GradlabError, match="expected"):
            gl.theory.log_norm_law(**wrong)
    with pytest.raises(GradlabError, match="relu"):
        gl.theory.log_norm_law([10], "tanh")
    with pytest.raises(GradlabError, match="gaussian, orthogonal"):
        gl.theory.log_norm_law([10], weights="orthogonl")
    with pytest.raises(GradlabError, match="one width"):
        gl.theory.log_norm_law([10, 12], weights="orthogonal")
    with pytest.raises(GradlabError, match="nearly discrete"):
        gl.theory.log_norm_law([4], weights="orthogonal").cdf(0.0)
