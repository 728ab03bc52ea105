"""Cosines between deltas of two inputs: closed forms, the published exponents, and plain wide networks."""

import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.theory.shattering import kappa0, kappa1

LAW = gl.theory.gradient_correlation


def test_kernels_are_expectations_over_two_gaussians():
    rng = np.random.default_rng(0)
    for c in (-0.7, 0.0, 0.4, 0.95):
        u, v = rng.normal(size=(2, 200_000))
        v = c * u + (1 - c * c) ** 0.5 * v
        for kernel, samples in (
            (kappa0, 2.0 * ((u > 0) & (v > 0))), (kappa1, 2 * np.maximum(u, 0) * np.maximum(v, 0)),
        ):  # fmt: skip
            assert abs(np.mean(samples) - kernel(c)) < 4.5 * np.std(samples) / len(u) ** 0.5
    assert (kappa0(1.0), kappa1(1.0), kappa1(-1.0)) == (1, 1, 0) and kappa1(0.0) == pytest.approx(1 / np.pi)


@pytest.mark.parametrize(("depth", "value", "digits"), [(10, 0.0337, 4), (20, 0.00824, 5), (100, 1.4e-4, 5)])
def test_plain_networks_decay_as_a_power(depth, value, digits):
    """Not 2^-L: prod kappa_0(c_l) from inputs at a right angle falls as L^-3."""
    assert round(float(LAW(0.0, depth)[0]), digits) == value
    far = LAW(0.0, 4000)[0] / LAW(0.0, 2000)[0]
    # 1 - c_l ~ 9 pi^2 / (2 l^2), so arccos(c_l)/pi ~ 3/l: exponent -3, and a correction of order ln l / l
    assert np.log2(far) == pytest.approx(-3, abs=0.03)


def test_the_three_laws_of_balduzzi():
    """2^-L, (3/4)^L and about L^-1/2 (Balduzzi et al. 2017), each for a correlation of 0 in every layer."""
    depth = np.arange(1, 41)
    np.testing.assert_allclose(LAW(0.0, 40, centred=True)[::-1], 0.5**depth, rtol=1e-12)
    np.testing.assert_allclose(LAW(0.0, 40, centred=True, share=0.5)[::-1], 0.75**depth, rtol=1e-12)
    shares = lambda n: 1 / (np.arange(1, n + 1) + 1)
    ratio = LAW(0.0, 4000, centred=True, share=shares(4000))[0] / LAW(0.0, 1000, centred=True, share=shares(1000))[0]
    assert ratio == pytest.approx(0.5, abs=1e-3)


def test_a_skip_keeps_the_inputs_apart_for_longer():
    """c' = c/2 + kappa_1(c)/2 from a right angle: 1/(2 pi) after a block, and by hand after two."""
    after = 0.5 / np.pi
    wanted = [0.75 * (0.5 + 0.5 * kappa0(after)), 0.5 + 0.5 * kappa0(after)]
    np.testing.assert_allclose(LAW(0.0, 2, share=0.5), wanted, rtol=1e-14)
    third = 0.5 + 0.5 * kappa0(0.5 * after + 0.5 * kappa1(after))
    np.testing.assert_allclose(LAW(np.zeros(3), 3, share=0.5)[2], third, rtol=1e-14)


def test_a_normalised_branch_whose_mean_is_centred_away():
    """Shares 1/(K_l + 1), K_l = 1 + (l-1)(1-1/pi): a power of -pi/(2 pi - 2) instead of -1/2."""
    share = lambda n: 1 / (2 + (1 - 1 / np.pi) * np.arange(n))
    long, short = (LAW(0.0, n, centred=True, share=share(n))[0] for n in (8000, 4000))
    assert np.log2(long / short) == pytest.approx(-np.pi / (2 * np.pi - 2), abs=1e-3)


def test_a_batch_of_64_that_is_centred():
    """kappa_0(-1/63) = 0.495: published and measured .488, .241, .1224, .0311, .0039 within 5 % a layer."""
    ours = LAW(-1 / 63, 10, centred=True)[::-1]
    measured = {1: 0.488, 2: 0.241, 3: 0.1224, 5: 0.0311, 8: 0.0039, 10: 0.0011}
    for below, value in measured.items():
        assert abs(np.log(value / ours[below - 1])) < 0.05 * below


@pytest.mark.parametrize("skip", [False, True])
def test_plain_networks_of_width_200(skip):
    """z' = (z +) relu(z) W: mean cosine over 60 nets within 4.5 standard errors and 5/n, what finite width may add."""
    rng = np.random.default_rng(5)
    nets, width, depth = 60, 200, 8
    z = rng.normal(size=(nets, 2, width))  # the preactivations of two inputs at a right angle, in each of the nets
    gates, weights = [], []
    for _ in range(depth):
        gates.append(z > 0)
        weights.append(rng.normal(size=(nets, width, width)) * (2 / width) ** 0.5)
        z = skip * z + np.maximum(z, 0) @ weights[-1]
    delta = rng.normal(size=(nets, 1, width)) * np.ones((1, 2, 1))
    cosines = []
    for gate, w in zip(reversed(gates), reversed(weights), strict=True):
        delta = skip * delta + gate * (delta @ np.swapaxes(w, -1, -2))
        unit = delta / np.linalg.norm(delta, axis=-1, keepdims=True)
        cosines.insert(0, np.sum(unit[:, 0] * unit[:, 1], -1))
    law = LAW(0.0, depth, share=0.5 if skip else 1.0)
    error = np.std(cosines, 1) / nets**0.5
    assert np.all(np.abs(np.mean(cosines, 1) - law) < 4.5 * error + 5 / width)


def test_what_cannot_be_is_refused():
    for wrong in ((1.5, 3, 1.0), (0.0, 0, 1.0), (0.0, 3, 1.2), (0.0, 3, -0.1)):
        with pytest.raises(GradlabError, match="correlations within"):
            LAW(wrong[0], wrong[1], share=wrong[2])
