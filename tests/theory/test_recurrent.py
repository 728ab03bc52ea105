"""Recurrent laws: closed forms of powers, the bound on draws of saturating networks, the cell of an LSTM."""

import math

import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError


def test_powers_of_a_multiple_of_an_orthogonal_matrix_are_rho_to_the_t():
    q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))
    law = gl.theory.recurrent_powers(0.9 * q, 3000)
    for found in (law.log10_norm, law.log10_radius, law.log10_bound):
        # the factor is wrong by a rounding at most, and every step repeats it
        np.testing.assert_allclose(found, law.time_steps * math.log10(0.9), rtol=1e-12)


def test_a_jordan_block_grows_first():
    """W^t = a^t [[1, bt/a], [0, 1]]: radius 0.9, but the norm is 7.77 after 9 steps and above 1 until step 43."""
    a, b = 0.9, 2.0
    law = gl.theory.recurrent_powers([[a, b], [0, a]], 60)
    exact = [np.log10(np.linalg.norm(a**t * np.array([[1, b * t / a], [0, 1]]), 2)) for t in law.time_steps]
    np.testing.assert_allclose(law.log10_norm, exact, atol=1e-12)
    assert 10 ** law.log10_norm.max() == pytest.approx(7.77, abs=5e-3)
    assert law.time_steps[law.log10_norm.argmax()] == 9 and -1 / math.log(a) == pytest.approx(9.5, abs=0.05)
    assert law.time_steps[law.log10_norm > 0].max() == 43
    assert np.all(law.log10_radius <= law.log10_norm + 1e-12) and np.all(law.log10_norm <= law.log10_bound + 1e-12)


def test_powers_far_outside_the_range_of_a_double_and_a_nilpotent_matrix():
    far = gl.theory.recurrent_powers(np.diag([1e-30, 1e-31]), 100)
    assert far.log10_norm[-1] == pytest.approx(-3000, rel=1e-12)
    gone = gl.theory.recurrent_powers([[0, 5.0], [0, 0]], 3)
    assert gone.log10_norm.tolist() == [pytest.approx(math.log10(5)), -np.inf, -np.inf]
    assert np.all(gone.log10_radius == -np.inf)


SLOPES = {
    "tanh": 1.0, "sigmoid": 0.25, "relu": 1.0, "softplus": 1.0, "identity": 1.0, "hard_tanh": 1.0, "softsign": 1.0,
    "erf": 2 / math.sqrt(math.pi), "selu": 1.0507009873554805 * 1.6732632423543772, "elu": 1.0, "leaky_relu": 1.0,
    # at z = sqrt(2): Phi(z) + z phi(z)
    "gelu": 0.5 * (1 + math.erf(1)) + math.sqrt(2) * math.exp(-1) / math.sqrt(2 * math.pi),
}  # fmt: skip


@pytest.mark.parametrize("activation", SLOPES)
def test_largest_slopes(activation):
    assert gl.theory.slope_bound(activation) == pytest.approx(SLOPES[activation], abs=2e-9)


def test_largest_slope_of_silu_is_where_its_second_derivative_is_0():
    s = lambda z: 1 / (1 + math.exp(-z))
    low, high = 2.0, 3.0
    for _ in range(60):  # d/dz [s + z s (1-s)] = s (1-s) (2 + z (1-2s))
        middle = (low + high) / 2
        low, high = (middle, high) if 2 + middle * (1 - 2 * s(middle)) > 0 else (low, middle)
    assert gl.theory.slope_bound("silu") == pytest.approx(s(low) + low * s(low) * (1 - s(low)), abs=1e-12)


@pytest.mark.parametrize(("activation", "scale"), [("tanh", 1.5), ("sigmoid", 6.0)])
def test_no_recurrent_network_exceeds_the_bound(activation, scale):
    """|dh_T/dh_0| of h = phi(W h + x_t) for random W, states and inputs: never above (gamma |W|_2)^t."""
    rng = np.random.default_rng(2)
    phi = np.tanh if activation == "tanh" else lambda z: 1 / (1 + np.exp(-z))
    slope = (lambda a: 1 - a * a) if activation == "tanh" else (lambda a: a * (1 - a))
    for _ in range(20):
        w = rng.normal(size=(10, 10)) * scale / 10**0.5
        law = gl.theory.recurrent_powers(w, 30, activation)
        h, j, sizes = rng.normal(size=10), np.eye(10), []
        for _ in law.time_steps:
            h = phi(w @ h + 0.1 * rng.normal(size=10))
            j = slope(h)[:, None] * (w @ j)
            sizes.append(np.log10(np.linalg.norm(j, 2)))
        assert np.all(np.array(sizes) <= law.log10_bound + 1e-12)
    # and it is attained, for tanh at a state of zero and W a multiple of an orthogonal matrix
    assert gl.theory.recurrent_powers(np.eye(3), 5, "sigmoid").log10_bound[-1] == pytest.approx(5 * math.log10(0.25))


def test_a_scalar_sigmoid_unit_with_a_weight_below_4_vanishes():
    """|w| < 4 makes every factor w sigma'(z) less than 1 (Hochreiter & Schmidhuber 1997, section 3.1)."""
    rng = np.random.default_rng(3)
    for w in (-3.9, 0.5, 3.9):
        z = rng.normal(size=200)
        law = gl.theory.recurrent_powers([[w]], 200, "sigmoid")
        product = np.cumsum(np.log10(np.abs(w) / (2 + np.exp(z) + np.exp(-z))))
        assert np.all(product <= law.log10_bound + 1e-12) and law.log10_bound[-1] < 0


@pytest.mark.parametrize(("bias", "value"), [(1.0, 2.48e-14), (0.0, 7.9e-31)])
def test_cell_path_of_an_lstm_over_100_steps(bias, value):
    """sigma(b_f)^100 for the forget bias of Jozefowicz et al. 2015, and without one."""
    assert 10 ** gl.theory.log10_cell_path(100, bias) == pytest.approx(value, rel=6e-3)


def test_chrono_bias_forgets_once_in_t_steps():
    """b = ln(T - 1) gives (1 - 1/T)^T, 0.366 for T = 100 (Tallec & Ollivier 2018)."""
    kept = 10 ** gl.theory.log10_cell_path(100, gl.theory.chrono_bias(100))
    assert kept == pytest.approx((1 - 1 / 100) ** 100, rel=1e-12) and round(kept, 3) == 0.366
    far = gl.theory.log10_cell_path(10_000, np.array([-800.0, 800.0]))
    np.testing.assert_allclose(far, [-8e6 / math.log(10), 0], rtol=1e-12)


def test_what_cannot_be_is_refused():
    for wrong in (np.ones((2, 3)), np.ones(3), [[np.nan]]):
        with pytest.raises(GradlabError, match="square matrix"):
            gl.theory.recurrent_powers(wrong, 3)
    with pytest.raises(GradlabError, match="at least one time step"):
        gl.theory.recurrent_powers(np.eye(2), 0)
    with pytest.raises(GradlabError, match="more than one time step"):
        gl.theory.chrono_bias(1)
    with pytest.raises(GradlabError, match="activation"):
        gl.theory.slope_bound("tan")


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("parameter", ["eigenvalue", "nu", "theta"])
def test_memory_sensitivity_is_the_sum_of_squared_derivatives_of_the_powers(parameter, normalised):
    """By differences of gamma lambda^k in complex numbers, and by the closed form after many time steps."""
    r, angle, steps = 0.8, 0.6, 7
    nu = math.log(-math.log(r))
    at = {"eigenvalue": r, "nu": nu, "theta": angle}[parameter]

    def powers(value):
        radius = {"eigenvalue": value, "nu": math.exp(-math.exp(value)), "theta": r}[parameter]
        turned = radius * np.exp(1j * (value if parameter == "theta" else angle))
        return (math.sqrt(1 - radius**2) if normalised else 1) * turned ** np.arange(steps)

    # central differences in float64: an error of h^2 from the third derivatives, and of 1e-16/h from rounding
    h = 1e-5
    expected = np.sum(np.abs((powers(at + h) - powers(at - h)) / (2 * h)) ** 2)
    options = {"parameter": parameter, "normalised": normalised}
    assert gl.theory.memory_sensitivity(r, time_steps=steps, **options) == pytest.approx(expected, rel=1e-8)
    radii = np.array([0.0, 0.5, 0.99])  # r^2T is 0 in float64 from 0.99^4000 on
    long = gl.theory.memory_sensitivity(radii, time_steps=4000, **options)
    np.testing.assert_allclose(gl.theory.memory_sensitivity(radii, **options), long, rtol=1e-12)


def test_the_curse_of_memory_in_numbers_and_what_bounds_it():
    radii = np.array([0.9, 0.99, 0.999])
    cursed = gl.theory.memory_sensitivity(radii)
    assert [f"{value:.3g}" for value in cursed] == ["264", "2.51e+05", "2.5e+08"]
    both = gl.theory.memory_sensitivity(radii, parameter="nu", normalised=True)
    assert np.all(both < 0.25) and both[-1] == pytest.approx(0.25, abs=1e-6)
    for wrong in ({"radius": 1.0}, {"radius": 0.5, "parameter": "lambda"}, {"radius": 0.5, "time_steps": 0}):
        with pytest.raises(GradlabError):
            gl.theory.memory_sensitivity(**wrong)
