"""Residual blocks: the identity at the start, shapes, and the growth of the stream."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.core.activations import activation
from gradlab.core.dense import dense
from gradlab.core.gradient import materialise
from gradlab.core.initializers import default_dtype
from gradlab.core.layer import Part, repeat, serial
from gradlab.core.residual import residual
from gradlab.core.scaled import Scaled, plain, scaled

WIDTH = 6


def branch():
    return serial(dense(9, "he_normal", bias_std=0.1), activation("tanh"), dense(WIDTH))


def drawn(seed, batch=5, dtype=None, width=WIDTH):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(batch, width)), dtype or default_dtype())


@pytest.mark.parametrize("power", [-3000, -200, 0, 200, 3000])
def test_rezero_is_exactly_the_identity_at_the_start(power):
    """Bachlechner et al. 2020: to the bit, forward and backward, at any scale of stream and cotangent."""
    net = repeat(residual(branch(), "learned"), 3)
    params, _ = net.init(jax.random.key(0), (WIDTH,))
    away = lambda s: Scaled(s.mantissa, s.exponent + power)
    x, dy = away(scaled(drawn(1))), away(scaled(drawn(2)))
    y, saved = net.forward(params, x)
    dx, grads = net.backward(params, saved, dy, materialise)
    for got, want in ((y, x), (dx, dy)):
        assert np.array_equal(got.mantissa, want.mantissa)
        assert np.array_equal(got.exponent, want.exponent)
    own, inside = grads
    assert not any(np.any(v) for v in jax.tree.leaves(inside))
    if power == 0:
        assert np.all(own["scale"] != 0)


def test_gradient_of_the_scale(x64):
    """The inner product of cotangent and branch."""
    block = residual(branch(), "learned")
    params, _ = block.init(jax.random.key(0), (WIDTH,))
    x, dy = drawn(1, dtype=float), drawn(2, dtype=float)
    _, saved = block.forward(params, scaled(x))
    seen = []
    block.backward(params, saved, scaled(dy), lambda site: seen.append(site))
    found = {site.kind: site for site in seen}["residual"].gradient["scale"]
    f = np.asarray(branch().forward(params[1], plain(x))[0].value())
    own = np.sum(np.asarray(dy) * f, -1)
    assert found.materialise() == pytest.approx(own.sum(), rel=1e-13)
    size = found.norm()
    assert 2.0 ** (float(size.fraction) + float(size.exponent)) == pytest.approx(abs(own.sum()), rel=1e-13)
    cosines, sizes = found.examples()
    assert np.asarray(sizes.value()) == pytest.approx(abs(own), rel=1e-13)
    assert np.allclose(cosines, np.sign(np.outer(own, own)), rtol=0, atol=1e-13)


def test_the_site_shows_the_stream(x64):
    block = serial(Part("block", residual(dense(WIDTH), 0.3)))
    params, _ = block.init(jax.random.key(0), (WIDTH,))
    x, dy = drawn(1, dtype=float), drawn(2, dtype=float)
    y, saved = block.forward(params, scaled(x))
    seen = []
    block.backward(params, saved, scaled(dy), lambda site: seen.append(site))
    stream, inside = seen
    assert (stream.kind, stream.path) == ("residual", ("block",))
    assert (inside.kind, inside.path) == ("dense", ("block", "branch"))
    for got, want in ((stream.x.value(), x), (stream.y.value(), y.value()), (stream.dy.value(), dy)):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("gap", [-400, -30, 30, 400])
def test_stream_and_branch_of_different_scales(gap, x64):
    """A branch 2**gap beside its stream: sums in long doubles, which hold both."""
    weight = np.random.default_rng(0).normal(size=(WIDTH, WIDTH))
    x = drawn(1, dtype=float)
    s = scaled(x)
    far = Scaled(s.mantissa, s.exponent + 700)
    block = residual(dense(WIDTH, bias=False), np.ldexp(1.0, gap))
    params = ({}, {"weight": jnp.asarray(weight)})
    for signal, run in (
        (far, lambda: block.forward(params, far)[0]),
        (far, lambda: block.backward(params, block.forward(params, s)[1], far, materialise)[0]),
    ):
        w = weight if run.__code__.co_names[0] == "forward" else weight.T
        exact = np.asarray(x, np.longdouble)
        exact = exact + np.ldexp(np.longdouble(1), gap) * (exact @ w.astype(np.longdouble))
        y = run()
        got = np.ldexp(np.asarray(y.mantissa, np.longdouble), np.asarray(y.exponent)[:, None] - 700)
        assert signal.exponent.shape == y.exponent.shape
        assert np.max(np.abs(got - exact)) <= 1e-14 * np.max(np.abs(exact))


@pytest.mark.slow
def test_one_scale_for_each_group(x64):
    """Groups that share the product of the branch, each with a scale of its own, beside each alone."""
    scales = np.array([1.0, 0.1, 0.0])
    grouped = residual(dense(WIDTH), jnp.asarray(scales))
    params, _ = grouped.init(jax.random.key(0), (WIDTH,))
    x, dy = scaled(drawn(1, dtype=float)), scaled(drawn(2, dtype=float))
    many = lambda s: Scaled(
        jnp.broadcast_to(s.mantissa, (3, *s.mantissa.shape)), jnp.broadcast_to(s.exponent, (3, *s.exponent.shape))
    )
    y, saved = grouped.forward(params, many(x))
    dx, _ = grouped.backward(params, saved, many(dy), lambda site: None)
    for i, scale in enumerate(scales):
        alone = residual(dense(WIDTH), float(scale))
        want, kept = alone.forward(params, x)
        back, _ = alone.backward(params, kept, dy, lambda site: None)
        assert np.allclose(y.value()[i], want.value(), rtol=1e-14, atol=1e-15)
        assert np.allclose(dx.value()[i], back.value(), rtol=1e-14, atol=1e-15)


def test_bad_requests():
    with pytest.raises(GradlabError, match=r"keeps the shape \(6,\).*received \(9,\)"):
        residual(dense(9)).init(jax.random.key(0), (WIDTH,))
    with pytest.raises(GradlabError, match="'learned'"):
        residual(dense(WIDTH), "zero")
    with pytest.raises(GradlabError, match="keeps the shape"):
        gl.check(residual(dense(9)), np.ones((2, WIDTH)), quiet=True)


@pytest.mark.slow
def test_a_wrong_backward_pass_is_named():
    """The way around forgotten, and the scale forgotten on the way back."""
    right = residual(dense(WIDTH), 0.5)
    x = np.random.default_rng(3).normal(size=(4, WIDTH))
    for wrong in (residual(dense(WIDTH), 1.0), dense(WIDTH)):
        backward = wrong.backward if wrong.tangent else None
        if backward is None:  # dense alone: the stream does not come back

            def backward(params, saved, dy, read):
                dx, record = right.backward(params, saved, dy, read)
                return Scaled(dx.value() - dy.value(), jnp.zeros_like(dx.exponent)), record

        found = gl.check(right._replace(backward=backward), x, quiet=True)
        assert not found.ok
        assert {"input"} <= {row.parameter for row in found.failures}


def growth(net, depth, seeds, width, batch=32):
    """Each seed's mean over examples of |dx|^2 / |dy|^2, with random unit cotangents."""

    @jax.jit
    def one(key):
        keys = jax.random.split(key, 3)
        params, _ = net.init(keys[0], (width,))
        x, dy = (scaled(jax.random.normal(k, (batch, width))) for k in keys[1:])
        _, saved = net.forward(params, x)
        dx, _ = net.backward(params, saved, dy, lambda site: None)
        size = lambda s: jnp.sum(s.value() ** 2, -1)
        return jnp.mean(size(dx) / size(dy)), jnp.mean(size(net.forward(params, x)[0]) / size(x))

    return np.array([one(jax.random.key(s)) for s in range(seeds)])


WIDE = 48
BRANCHES = {
    "linear": lambda: dense(WIDE, "lecun_normal", bias=False),
    "two matrices": lambda: serial(
        dense(WIDE, "he_normal", bias=False), activation("relu"), dense(WIDE, "lecun_normal", bias=False)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize(("a2", "depth"), [(1.0, 4), (1 / 50, 50)], ids=["a = 1", "a2 = 1/L"])
def test_growth_by_one_plus_a_squared_in_each_block(name, a2, depth):
    """Exact in the mean at any width, forward and backward: (1 + a^2)^L, which is e at a^2 = 1/L.

    Five standard errors of the seeds' own scatter: a false alarm in 1 of 1.7 million (4 numbers here).
    """
    ratios = growth(repeat(residual(BRANCHES[name](), a2**0.5), depth), depth, 100, WIDE)
    error = ratios.std(0, ddof=1) / len(ratios) ** 0.5
    assert np.all(error < 0.1 * ratios.mean(0))
    assert np.all(np.abs(ratios.mean(0) - (1 + a2) ** depth) <= 5 * error)


@pytest.mark.slow
def test_tanh_residuals_grow_like_the_exponential_of_a_root(x64):
    """Yang & Schoenholz 2017: x + tanh(W x), against the recursion of variance and slope on a fine grid.

    Corrections of order 1/n to the mean logarithm of 50 blocks: 10/n, beside 4 standard errors.
    """
    width, depth = 400, 50
    grid = np.linspace(-10, 10, 20001)
    weights = np.exp(-(grid**2) / 2)
    expect = lambda f: np.sum(weights * f(grid)) / np.sum(weights)
    p, log = 1.0, 0.0
    for _ in range(depth):
        z = lambda t, p=p: np.sqrt(p) * t
        log += np.log1p(expect(lambda t: np.cosh(z(t)) ** -4.0))  # noqa: B023
        p += expect(lambda t: np.tanh(z(t)) ** 2)  # noqa: B023
    block = residual(serial(dense(width, "lecun_normal", bias=False), activation("tanh")))
    logs = np.log(growth(repeat(block, depth), depth, 24, width)[:, 0])
    assert abs(logs.mean() - log) <= 4 * logs.std(ddof=1) / len(logs) ** 0.5 + 10 / width
