"""Lyapunov exponents against Newman's exact values, and where they are known in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import polygamma, psi

import gradlab as gl
from gradlab.measurement.lyapunov import Lyapunov


def newman(n, sigma_w2=1.0):
    """Newman 1986: exponents of products of Gaussian matrices, and the variance of one step."""
    half = (n - np.arange(1, n + 1) + 1) / 2
    return 0.5 * (np.log(2 * sigma_w2 / n) + psi(half)), polygamma(1, half) / 4


@pytest.mark.parametrize(
    ("n", "depth", "sigma_w2"), [pytest.param(20, 400, 1.0, marks=pytest.mark.slow), (5, 2000, 0.01)]
)
def test_gaussian_products_have_newmans_exponents(n, depth, sigma_w2):
    """The second one shrinks by 1e-2000 and more, in float32."""
    net = gl.MLP(depth=depth, width=n, activation="identity", init="gaussian", sigma_w2=sigma_w2, bias=False)
    found = gl.lyapunov(net, np.ones((1, n)))
    exact, variance = newman(n, sigma_w2)
    assert found.increments.shape == (1, 1, depth - 1, n)
    # steps of a Gaussian product are independent; 5 standard errors are passed by one run in 30,000
    assert np.max(np.abs(found.exponents[0, 0] - exact) / np.sqrt(variance / (depth - 1))) < 5
    # the spread of a sample of nearly normal values is right to 1 / sqrt(2 steps)
    assert found.standard_error[0, 0] / np.sqrt(variance / (depth - 1)) == pytest.approx(1, abs=6 / (2 * depth) ** 0.5)


@pytest.mark.slow
def test_the_sum_of_the_increments_is_the_volume(x64):
    net = gl.MLP(depth=5, width=6, activation="tanh", init="he_normal")
    x = np.random.default_rng(0).normal(size=(2, 4))
    params = net.init_params(0, jnp.asarray(x), outputs=1)
    found = gl.lyapunov(net, x, params=params)
    values = gl.jacobian_spectrum(net, x, params=params, from_layer=1, to_layer=5).log10_singular_values
    assert found.increments.sum((2, 3)) == pytest.approx(np.log(10) * values.sum(-1), rel=1e-10)


@pytest.mark.slow
def test_a_narrow_layer_bounds_the_number():
    net = gl.MLP(depth=3, width=(8, 3, 8), activation="tanh", init="xavier_normal")
    x = np.ones((2, 6))
    assert gl.lyapunov(net, x, from_layer="input", to_layer="output", seeds=2).exponents.shape == (2, 2, 1)
    assert gl.lyapunov(net, x).exponents.shape == (1, 2, 3)
    with pytest.raises(gl.GradlabError, match="k of at most 3"):
        gl.lyapunov(net, x, k=4)


def test_products_of_matrices_in_time(x64):
    """Triangular steps: the diagonal; a rotation: 0; dead directions: minus infinity."""
    steps = 3000
    triangular = np.broadcast_to([[0.9, 2.0], [0.0, 0.5]], (steps, 2, 2))
    found = gl.matrix_lyapunov(triangular)
    # the start's share along the first direction is forgotten, and enters as ln of it over the steps
    assert np.exp(found.exponents[0, 0]) == pytest.approx([0.9, 0.5], rel=10 / steps)
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    assert gl.matrix_lyapunov(np.broadcast_to(turn, (50, 2, 2))).exponents == pytest.approx(0, abs=1e-14)
    dead = gl.matrix_lyapunov(np.zeros((3, 2, 2)), k=1)
    assert np.all(np.isneginf(dead.exponents))


def test_exponents_are_sorted_and_their_errors_with_them(x64):
    """From axes that the layers stretch by 1 and by 3: the decomposition keeps that order, the exponents do not."""
    increments = np.log([[1.0, 3.0, 2.0]] * 4) + 0.1 * np.arange(4)[:, None] * np.array([0.0, 1.0, 2.0])
    found = Lyapunov(increments[None, None], (0,), 0, 4)
    mean = increments.mean(0)
    assert found.exponents[0, 0] == pytest.approx([mean[1], mean[2], mean[0]])
    spread = increments.std(0, ddof=1) / 2
    assert found.standard_error[0, 0] == pytest.approx([spread[1], spread[2], spread[0]])
    net = gl.MLP(depth=80, width=16, activation="tanh", init="he_normal", bias=False)
    drawn = gl.lyapunov(net, np.ones((1, 16)), seeds=3)
    assert np.all(np.diff(drawn.exponents, axis=-1) <= 0)
    assert np.any(np.diff(drawn.increments.mean(2), axis=-1) > 0)


def test_errors():
    with pytest.raises(gl.GradlabError, match="an MLP"):
        gl.lyapunov(gl.dense(3), np.ones((1, 3)))
    with pytest.raises(gl.GradlabError, match="shape"):
        gl.matrix_lyapunov(np.ones((3, 2)))
    with pytest.raises(gl.GradlabError, match="finite real"):
        gl.matrix_lyapunov(np.full((3, 2, 2), np.nan))
    with pytest.raises(gl.GradlabError, match="k of at most 2"):
        gl.matrix_lyapunov(np.ones((3, 2, 2)), k=3)
