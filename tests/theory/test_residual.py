"""Residual laws: exact factors at any width, recursions with published values, and plain simulations."""

import math

import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError

from .nets import PHI, back, gaussian, normalised, within


@pytest.mark.parametrize("branch", ["linear", "two layers"])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_factor_is_exact_at_width_6(branch, scale):
    """1 + a^2 per block, forward and backward, through x + a x W and x + a relu(x W) V; 4.5 standard errors."""
    rng = np.random.default_rng(0)
    n, depth, nets = 6, 3, 40_000
    x, d = np.broadcast_to(np.eye(n)[:1], (nets, 1, n)), np.broadcast_to(np.eye(n)[1:2], (nets, 1, n))
    steps = []
    for _ in range(depth):
        w, v = gaussian(rng, nets, n, 2.0 if branch == "two layers" else 1.0), gaussian(rng, nets, n)
        z = x @ w
        steps.append((w, v, z > 0))
        x = x + scale * (np.maximum(z, 0) @ v if branch == "two layers" else z)
    for w, v, gate in reversed(steps):
        d = d + scale * back(back(d, v) * gate if branch == "two layers" else d, w)
    law = gl.theory.residual_factor(scale) ** depth
    assert within(np.sum(x * x, (-1, -2)), law)
    assert within(np.sum(d * d, (-1, -2)), law)


def test_scales_of_one_over_root_depth_stay_below_e():
    assert gl.theory.residual_factor(50**-0.5) ** 50 == pytest.approx(2.6916, abs=5e-5)
    assert gl.theory.residual_factor(10**-2.5) ** 10**5 == pytest.approx(math.e, rel=1e-5)
    assert gl.theory.residual_factor(1.0) == 2 and gl.theory.residual_factor(0.0) == 1
    assert gl.theory.residual_factor(1 / 50) ** 50 == pytest.approx(1.0202, abs=5e-5)
    np.testing.assert_allclose(gl.theory.residual_factor(np.array([1.0, 2.0]), 0.5), [1.5, 3.0])


@pytest.mark.parametrize("kind", ["linear", "one matrix"])
def test_fifty_blocks_of_one_over_root_depth(kind):
    """2.6916 for the linear branch, and for x + a relu(x) W up to O(1/n): 2.61 and 2.66 were published with +-.05."""
    rng = np.random.default_rng(1)
    n, depth, nets = 64, 50, 60
    x, steps = rng.normal(size=(nets, 4, n)), []
    for _ in range(depth):
        w = gaussian(rng, nets, n, 1.0 if kind == "linear" else 2.0)
        gate = np.ones_like(x) if kind == "linear" else x > 0
        steps.append((w, gate))
        x = x + depth**-0.5 * ((gate * x) @ w)
    d = rng.normal(size=x.shape)
    start = np.mean(d * d, (-1, -2))
    for w, gate in reversed(steps):
        d = d + depth**-0.5 * gate * back(d, w)
    law = gl.theory.residual_factor(depth**-0.5) ** depth
    assert within(np.mean(d * d, (-1, -2)) / start, law, 0 if kind == "linear" else 5 * law / n)


def test_fluctuations_stay_bounded_with_the_sum_of_squared_scales():
    """Var ln|Jx|^2 of linear blocks: 4/n sum a^2 within 4.5 standard errors and the next order, a^2 of itself."""
    rng = np.random.default_rng(2)
    n, depth, nets, scale = 24, 25, 1500, 0.1
    x = np.broadcast_to(np.eye(n)[:1], (nets, 1, n))
    for _ in range(depth):
        x = x + scale * x @ gaussian(rng, nets, n)
    logs = np.log(np.sum(x * x, (-1, -2)))
    law = gl.theory.residual_log_variance([scale] * depth, n)
    assert abs(np.var(logs) - law) < 4.5 * law * (2 / nets) ** 0.5 + 2 * scale**2 * law


def test_the_gain_of_fixup():
    """L^(-1/(2m-2)), Zhang, Dauphin & Ma 2019: L^-1/2 for branches of two layers."""
    assert gl.theory.fixup_gain(10_000) == pytest.approx(0.01, rel=1e-14)
    assert gl.theory.fixup_gain(81, layers=3) == pytest.approx(1 / 3, rel=1e-14)
    # the sum of L squared gradients, each with the gain to the power m - 1
    for layers in (2, 3, 5):
        assert 7 * gl.theory.fixup_gain(7, layers) ** (2 * (layers - 1)) == pytest.approx(1, rel=1e-14)


def test_tanh_without_a_second_matrix_follows_its_recursion():
    """ln growth 7.216 at L = 50, measured 7.23 +- .08; slopes against the root of L tend to 4/3 sqrt(2/pi)."""
    law = gl.theory.reduced_residual("tanh", 50)
    assert law.log_growth == pytest.approx(7.216, abs=5e-4)
    assert 4 / 3 * (2 / math.pi) ** 0.5 == pytest.approx(1.06385, abs=5e-6)
    # a smooth branch of scale 1/sqrt(L) gives e^chi
    assert gl.theory.residual_factor(1e-2, 0.7) ** 10_000 == pytest.approx(math.exp(0.7), rel=1e-4)
    relu = gl.theory.reduced_residual("relu", 12, 3.0, scale=0.5)
    np.testing.assert_allclose(relu.factor, 1 + 0.25 * 1.5, rtol=1e-12)  # exponential: alpha = 1
    np.testing.assert_allclose(relu.variance[1:] / relu.variance[:-1], 1 + 0.25 * 1.5, rtol=1e-12)


@pytest.mark.parametrize(
    ("depth", "slopes"),
    [
        (400, {(25, 100): 1.147, (100, 400): 1.107}),
        pytest.param(20_000, {(400, 1600): 1.085, (1600, 6400): 1.074, (6400, 20_000): 1.069}, marks=pytest.mark.slow),
    ],
)
def test_slopes_of_tanh_against_the_root_of_the_depth(depth, slopes):
    """They tend to 1.06385 so slowly that 400 layers are still 4 % off."""
    logs = np.concatenate([[0], np.cumsum(np.log(gl.theory.reduced_residual("tanh", depth).factor))])
    for (low, high), slope in slopes.items():
        assert (logs[high] - logs[low]) / (high**0.5 - low**0.5) == pytest.approx(slope, abs=5.1e-4)
        assert slope > 4 / 3 * (2 / math.pi) ** 0.5


def test_plain_tanh_networks_follow_the_recursion():
    """x + tanh(x W), L = 50: stream and delta of 12 nets of width 150 within 4.5 standard errors and 10/n."""
    rng = np.random.default_rng(3)
    n, depth, nets = 150, 50, 12
    law = gl.theory.reduced_residual("tanh", depth)
    x, steps = rng.normal(size=(nets, 4, n)), []
    for _ in range(depth):
        w = gaussian(rng, nets, n)
        y = np.tanh(x @ w)
        steps.append((w, 1 - y * y))
        x = x + y
    assert within(np.mean(x * x, (-1, -2)) / law.variance[-1], 1, 10 / n)
    d = rng.normal(size=x.shape)
    start = np.mean(d * d, (-1, -2))
    for w, slope in reversed(steps):
        d = d + back(d * slope, w)
    assert within(np.log(np.mean(d * d, (-1, -2)) / start), law.log_growth, 10 / n)


def transformer_blocks(rng, kind, depth, n, nets):
    """|dL/dW_2|^2 in each block and net, ReLU and LeCun weights, in units of the cotangent and of E phi^2."""
    phi, slope = PHI["relu"]
    x, steps = normalised(rng.normal(size=(nets, 1, n)), -1)[0], []
    for _ in range(depth):
        inside, pull = normalised(x, -1) if kind == "pre" else (x, None)
        w1, w2 = gaussian(rng, nets, n), gaussian(rng, nets, n)
        z = inside @ w1
        x = x + phi(z) @ w2
        outside = None
        if kind == "post":
            x, outside = normalised(x, -1)
        steps.append((pull, w1, slope(z), phi(z), w2, outside))
    last = normalised(x, -1)[1] if kind == "pre" else (lambda d: d)
    d, found = last(rng.normal(size=x.shape)), []
    for pull, w1, s, a, w2, outside in reversed(steps):
        d = d if outside is None else outside(d)
        # |a^T d| of one example, over its size for an input of mean square 1 and a delta of 1
        found.append(np.mean(a * a, (-1, -2)) / 0.5 * np.mean(d * d, (-1, -2)))
        branch = back(back(d, w2) * s, w1)
        d = d + (branch if pull is None else pull(branch))
    return np.array(found[::-1])


def test_pre_norm_blocks_fall_with_their_own_index():
    """(1 + l/2)^-1/2: stream 1 + L/2, last blocks' ratio .522 for L = 16 and 64; the depth above is of no matter."""
    for depth in (4, 16, 64):
        law = gl.theory.pre_norm("relu", depth)
        np.testing.assert_allclose(law.variance, 1 + np.arange(depth + 1) / 2, rtol=1e-13)
        np.testing.assert_allclose(
            gl.theory.pre_norm_gradients(law), (1 + np.arange(1, depth + 1) / 2) ** -0.5, rtol=1e-12
        )
    last = [gl.theory.pre_norm_gradients(gl.theory.pre_norm("relu", d))[-1] for d in (16, 64)]
    assert last[1] / last[0] == pytest.approx(0.522, abs=5e-4)
    # so "the same scale in all layers" is not what pre-norm gives
    all_blocks = gl.theory.pre_norm_gradients(gl.theory.pre_norm("relu", 64))
    assert all_blocks[0] / all_blocks[-1] == pytest.approx(4.7, abs=0.051)
    assert gl.theory.post_norm_factor("relu") == pytest.approx(1, rel=1e-13)
    # other activations: the gradient's share of the branch is not the signal's
    assert gl.theory.post_norm_factor("tanh") > 1 > gl.theory.post_norm_factor("sigmoid")


def test_a_branch_of_unit_variance_is_downscaled_by_the_root_of_the_depth():
    """Var x_l = 1 + l, a share of 1/(l+1) (De & Smith 2020): what a branch that ends in a norm adds to the stream."""
    law = gl.theory.pre_norm("relu", 30, sigma_1=2**0.5)
    np.testing.assert_allclose(np.diff(law.variance) / law.variance[1:], 1 / (np.arange(1, 31) + 1), rtol=1e-12)


@pytest.mark.parametrize("kind", ["pre", "post"])
def test_plain_feed_forward_blocks(kind):
    """Squared weight gradients of 12 blocks over 300 nets of width 48: 4.5 standard errors and 6/n of the law."""
    n, depth = 48, 12
    found = transformer_blocks(np.random.default_rng(5), kind, depth, n, 300)
    if kind == "pre":
        law = gl.theory.pre_norm_gradients(gl.theory.pre_norm("relu", depth)) ** 2
    else:  # the cotangent passes the norm of its own block: 1/(1+v) with v = 1/2
        law = gl.theory.post_norm_factor("relu") ** np.arange(depth)[::-1] / 1.5
    assert within(found.T / law, 1, 6 / n)


def test_what_cannot_be_is_refused():
    for call in (
        lambda: gl.theory.residual_log_variance([1.0], 0),
        lambda: gl.theory.fixup_gain(0),
        lambda: gl.theory.fixup_gain(3, layers=1),
        lambda: gl.theory.reduced_residual("tanh", 0),
        lambda: gl.theory.pre_norm("relu", 0),
        lambda: gl.theory.residual_factor(1.0, -1.0),
        lambda: gl.theory.reduced_residual("tanh", 3, -1.0),
        lambda: gl.theory.reduced_residual("tanh", 3, variance=0.0),
        lambda: gl.theory.pre_norm("relu", 3, sigma_1=0.0),
    ):
        with pytest.raises(GradlabError, match="expected"):
            call()
