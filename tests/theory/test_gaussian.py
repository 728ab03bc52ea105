"""Gaussian expectations against closed forms and against an independent quadrature of higher order."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf, ndtr

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.config import ACTIVATIONS
from gradlab.core.activations import TABLE
from gradlab.theory import expectation, moments, overlap
from gradlab.theory.gaussian import evaluate

QS = np.array([1e-12, 1e-4, 0.3, 1.0, 7.3, 1e4, 1e8])


def terms(z, u, phi, dphi):
    return np.stack([phi * phi, dphi * dphi, phi * dphi * u])


def by_parts(entry, q):
    """The same three by SciPy's adaptive Gauss-Kronrod, in pieces of the argument of phi: other nodes, other panels."""
    root = q**0.5
    inner = [0.05, 0.3, 1, 3, 10, 40, 200, 1e3, 1e4, 1e5]
    cuts = [c for c in (*inner, *entry.kinks) if c < 9 * root]
    cuts = sorted({-9 * root, *(-c for c in cuts), 0.0, *cuts, 9 * root, *np.linspace(-9 * root, 9 * root, 13)})

    def f(u, i):
        phi, dphi = (float(v) for v in evaluate(entry, np.asarray(u)))
        return (phi**2, dphi**2, phi * dphi * u)[i] * np.exp(-0.5 * u * u / q) / (2 * np.pi * q) ** 0.5

    pieces = list(itertools.pairwise(cuts))
    return [sum(quad(f, a, b, (i,), epsabs=0, epsrel=1e-12)[0] for a, b in pieces) for i in range(3)]


def legendre(entry, q):
    """The same three with 48 nodes on panels of equal ratio 2: a higher order on other panels."""
    x, w = np.polynomial.legendre.leggauss(48)
    root = q**0.5
    ends = np.concatenate([[0.0], np.geomspace(1e-3, 40 * root if root > 1e-3 else 1.0, 60)])
    ends = np.unique(np.concatenate([-ends, ends, np.asarray(entry.kinks, float), np.linspace(-40, 40, 81) * root]))
    half = 0.5 * np.diff(ends)
    u = (0.5 * (ends[1:] + ends[:-1]))[:, None] + half[:, None] * x
    weight = half[:, None] * w * np.exp(-0.5 * u * u / q) / (2 * np.pi * q) ** 0.5
    phi, dphi = evaluate(entry, u)
    return [float((f * weight).sum()) for f in (phi**2, dphi**2, phi * dphi * u)]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_one_variable_equals_a_quadrature_of_higher_order(name):
    """Within 1e-11 of each other, q from 1e-12 to 1e8; asked for are 1e-8 (smooth) and 1e-6 (kinked)."""
    ours = expectation(name, terms, QS)
    theirs = np.array([legendre(TABLE[name], q) for q in QS]).T
    assert ours == pytest.approx(theirs, rel=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "hard_tanh", "gelu", "sigmoid"])
def test_one_variable_equals_adaptive_quadrature(name):
    for q in (0.3, 1e4):
        assert expectation(name, terms, q) == pytest.approx(by_parts(TABLE[name], q), rel=1e-9)


#: E phi^2 and E phi'^2 in closed form.
CLOSED = {
    "identity": (lambda q: q, lambda q: 1 + 0 * q),
    "relu": (lambda q: q / 2, lambda q: 0.5 + 0 * q),  # Cho & Saul 2009
    "leaky_relu": (lambda q: q * (1 + 1e-4) / 2, lambda q: (1 + 1e-4) / 2 + 0 * q),
    "erf": (  # Williams 1997
        lambda q: 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)),
        lambda q: 4 / np.pi / np.sqrt(1 + 4 * q),
    ),
    "gelu": (  # Tsuchida et al. 2021
        lambda q: q / 4 + q / (2 * np.pi) * np.arcsin(q / (1 + q)) + q * q / (np.pi * (1 + q) * np.sqrt(1 + 2 * q)),
        lambda q: (
            1 / 4 + np.arcsin(q / (1 + q)) / (2 * np.pi) + q * (3 + 5 * q) / (2 * np.pi * (1 + q) * (1 + 2 * q) ** 1.5)
        ),
    ),
    "hard_tanh": (
        lambda q: (
            q * (erf(1 / np.sqrt(2 * q)) - np.sqrt(2 / (np.pi * q)) * np.exp(-0.5 / q)) + 2 * ndtr(-1 / np.sqrt(q))
        ),
        lambda q: erf(1 / np.sqrt(2 * q)),
    ),
}


def by_quadrature(name):
    """An activation whose closed form is not known: the same functions under another name."""
    return replace(TABLE[name], name=f"{name} by quadrature", homogeneous=False)


@pytest.mark.parametrize("name", CLOSED)
def test_one_variable_equals_the_closed_form(name):
    """By the quadrature to 1e-11, and to rounding by what stands in its place."""
    q = np.array([1e-3, 0.1, 1.0, 30.0, 1e4])
    for entry, error in ((by_quadrature(name), 1e-11), (TABLE[name], 1e-11 if name == "hard_tanh" else 1e-13)):
        at = moments(entry, np.log(q))
        for ours, exact in zip((at.log_phi2, at.log_dphi2), CLOSED[name], strict=True):
            assert np.exp(ours) == pytest.approx(exact(q), rel=error)


@pytest.mark.parametrize("name", ["identity", "relu", "leaky_relu", "erf", "gelu"])
def test_closed_forms_equal_the_quadrature(name):
    """One input: 1e-12, also of the power laws that go on beyond 10^+-100, but for the rounding of their exponents.

    Two: the quadrature's own 1e-8, at equal and unequal variances.
    """
    log_q = np.array([-3e5, -40.0, -1.3, 0.0, 2.0, 25.0, 3e5])
    for ours, theirs in zip(moments(name, log_q), moments(by_quadrature(name), log_q), strict=True):
        assert np.all(np.abs(ours - theirs) <= 1e-12 + 1e-15 * np.abs(log_q))
    rng = np.random.default_rng(8)
    for q1, q2 in ((0.7, 0.7), (1e6, 1e6), *10.0 ** rng.uniform(-3, 3, (2, 2)), (4.0, 4.0 * (1 + 1e-6))):
        angle = np.append(rng.uniform(2e-4, np.pi, 3), [1.1e-4, np.pi])
        for ours, theirs in zip(overlap(name, q1, q2, angle), overlap(by_quadrature(name), q1, q2, angle), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-12)


def test_closed_forms_are_right_where_doubles_end():
    """ReLU-like functions that a user registers too; q of 1e-300 and 1e300; an error function that is all steps."""
    size = replace(TABLE["relu"], name="size", phi=jnp.abs, dphi=jnp.sign)
    assert overlap(size, 1e300, 1e300, np.pi / 2).slopes == pytest.approx(0, abs=1e-15)
    assert overlap(size, 1e-300, 1e300, 1.0).mean_slope == pytest.approx(0.25e300 / np.sin(0.5) ** 2, rel=1e-12)
    steps = overlap("erf", 1e300, 1e300, np.array([0.5, 2.0]))
    # sign functions: E (phi1 - phi2)^2 = 4 t / pi
    assert steps.mean_slope * 1e300 * 4 * np.sin([0.25, 1.0]) ** 2 == pytest.approx(np.array([2, 8]) / np.pi)
    assert overlap("erf", 1e-300, 1e-300, 1.0).slopes == pytest.approx(4 / np.pi, rel=1e-12)


ANGLES = np.array([3e-3, 0.2, 1.0, np.pi / 2, 2.5, np.pi])


def relu_overlap(q, t):
    """E phi(u1) phi(u2) and E phi'(u1) phi'(u2): Cho & Saul 2009, arc-cosine kernels of order 1 and 0."""
    return q / (2 * np.pi) * (np.sin(t) + (np.pi - t) * np.cos(t)), (np.pi - t) / (2 * np.pi)


def erf_overlap(q, t):
    """Williams 1997; its derivative by q c."""
    a = 2 * q * np.cos(t) / (1 + 2 * q)
    return 2 / np.pi * np.arcsin(a), 4 / (np.pi * (1 + 2 * q) * np.sqrt(1 - a * a))


@pytest.mark.parametrize("q", [0.01, 1.0, 50.0])
@pytest.mark.parametrize(("name", "closed"), [("relu", relu_overlap), ("erf", erf_overlap)])
def test_two_variables_equal_the_closed_form(name, closed, q):
    product, slopes = closed(q, ANGLES)
    square = closed(q, np.zeros(1))[0]
    linear = q * 2 * np.sin(ANGLES / 2) ** 2
    for entry, error in ((by_quadrature(name), 1e-8), (TABLE[name], 1e-13)):
        at = overlap(entry, q, q, ANGLES)
        # the closed form cancels: eps * square, and of the arc sine near 1, times sqrt(1 + q)
        errors = error * (square - product) / linear + 4e-16 * (1 + q) ** 0.5 * square / linear
        assert np.all(np.abs(at.mean_slope - (square - product) / linear) <= errors)
        assert at.slopes == pytest.approx(slopes, rel=error, abs=1e-12)


def test_two_variables_of_unequal_variance():
    """ReLU: sqrt(q1 q2) times the kernel of unit variances."""
    q1, q2, t = 2.0, 0.3, 1.1
    product, slopes = relu_overlap(1.0, t)
    distance = (q1 + q2) / 2 - 2 * (q1 * q2) ** 0.5 * product
    for entry in ("relu", by_quadrature("relu")):
        at = overlap(entry, q1, q2, t)
        assert at.mean_slope * 4 * (q1 * q2) ** 0.5 * np.sin(t / 2) ** 2 == pytest.approx(distance, rel=1e-9)
        assert at.slopes == pytest.approx(slopes, rel=1e-9)


@pytest.mark.parametrize("name", ["tanh", "relu", "hard_tanh", "elu"])
def test_a_vanishing_angle_gives_one_slope(name):
    at, (squared,) = overlap(name, 0.7, 0.7, 1e-160), expectation(name, lambda z, u, p, d: (d * d)[None], 0.7)
    assert float(at.mean_slope) == pytest.approx(squared, rel=1e-12) == pytest.approx(float(at.slopes), rel=1e-12)


def test_far_out_of_the_range_of_doubles():
    at = moments("relu", np.array([-1e5, 1e5]))
    assert at.log_phi2 == pytest.approx([-1e5 - np.log(2), 1e5 - np.log(2)])
    at = moments("sigmoid", np.array([-1e5, 1e5]))  # phi(0)^2; and half a step
    assert np.exp(at.log_phi2) == pytest.approx([0.25, 0.5], rel=1e-12)
    at = moments("softplus", np.array([1e5]))
    assert float(at.log_phi2[0]) == pytest.approx(1e5 - np.log(2))


@pytest.mark.parametrize(
    ("phi", "dphi"), [(jnp.exp, jnp.exp), (lambda z: 1 / z, lambda z: -1 / (z * z)), (jnp.log, lambda z: 1 / z)]
)
def test_an_activation_that_is_not_finite_is_refused(phi, dphi):
    entry = replace(TABLE["tanh"], name="wild", phi=phi, dphi=dphi)
    with pytest.raises(GradlabError, match="finite on the whole real line"):
        moments(entry, 0.0)


def test_a_kink_that_was_not_declared_is_found(forget):
    kinked = lambda z: jnp.where(z > 0.3771, z, 0.0 * z)
    entry = replace(
        TABLE["relu"],
        name="shifted",
        phi=kinked,
        dphi=lambda z: (z > 0.3771).astype(z.dtype),
        kinks=(),
        homogeneous=False,
    )
    with pytest.raises(GradlabError, match="kinks"):
        expectation(entry, terms, 1.0)
    declared = expectation(replace(entry, kinks=(0.3771,)), terms, 1.0)
    assert declared[1] == pytest.approx(ndtr(-0.3771), rel=1e-12)


def test_a_registered_activation_that_oscillates(forget):
    """E cos^2(sqrt(q) z) = (1 + exp(-2q)) / 2: panels are halved until they resolve it."""
    gl.register_activation("cosine", jnp.cos, lambda z: -jnp.sin(z), limits=(-1.0, 1.0))
    for q in (1.0, 40.0, 400.0):
        phi2 = float(np.exp(moments("cosine", np.log(q)).log_phi2))
        assert phi2 == pytest.approx((1 + np.exp(-2 * q)) / 2, rel=1e-12)


@pytest.mark.parametrize("q", [-1.0, 0.0, np.nan, np.inf])
def test_a_wrong_variance_is_refused(q):
    with pytest.raises(GradlabError, match="q to be finite and positive"):
        expectation("tanh", terms, q)


def test_it_leaves_the_precision_of_jax_alone():
    before = jax.config.jax_enable_x64
    moments("tanh", 0.1)
    assert jax.config.jax_enable_x64 == before


def test_the_answer_has_the_shape_of_q_after_that_of_the_functions():
    one = lambda z, u, p, d: p * p
    assert expectation("relu", one, 3.0) == pytest.approx(1.5, rel=1e-12)
    assert expectation("relu", one, np.ones((2, 3))).shape == (2, 3)
    assert expectation("relu", terms, np.ones((2, 3))).shape == (3, 2, 3)
    assert expectation("relu", terms, 1.0).shape == (3,)
