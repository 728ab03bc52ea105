"""Convolution: by its definition, its factored gradient, delta-orthogonal kernels, fans, and bad requests."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.core.conv import conv
from gradlab.core.initializers import initializer
from gradlab.core.layer import repeat
from gradlab.core.pooling import flatten, global_mean
from gradlab.core.scaled import Scaled, plain, scaled


def by_definition(x, w, kernel, stride, padding):
    """Sums over taps, one output position at a time; positions are those of the image, padded as asked for."""
    space = x.shape[1:-1]
    out, low = [], []
    for n, k, s in zip(space, kernel, stride, strict=True):
        o = (n - k) // s + 1 if padding == "valid" else -(-n // s)
        out.append(o)
        low.append(0 if padding == "valid" else max((o - 1) * s + k - n, 0) // 2)
    z = np.zeros((len(x), *out, w.shape[-1]))
    for p in itertools.product(*map(range, out)):
        for t in itertools.product(*map(range, kernel)):
            q = [i * s + j - edge for i, s, j, edge in zip(p, stride, t, low, strict=True)]
            if padding == "periodic":
                q = [i % n for i, n in zip(q, space, strict=True)]
            if all(0 <= i < n for i, n in zip(q, space, strict=True)):
                z[(slice(None), *p)] += x[(slice(None), *q)] @ w[t]
    return z


CASES = [
    ((7,), (3,), (1,), "same"), ((7,), (4,), (3,), "periodic"), ((2,), (7,), (1,), "periodic"),
    ((5, 4), (3, 3), (1, 1), "same"), ((5, 4), (2, 3), (2, 3), "valid"), ((5, 4), (3, 2), (2, 1), "periodic"),
    ((5, 4), (1, 1), (2, 3), "same"), ((3, 4, 2), (2, 3, 1), (1, 2, 1), "same"),
]  # fmt: skip


@pytest.mark.parametrize(("space", "kernel", "stride", "padding"), CASES)
def test_forward_is_the_sum_over_taps(space, kernel, stride, padding, x64):
    layer = conv(3, kernel, stride=stride, padding=padding, bias=False)
    params, shape = layer.init(jax.random.key(0), (*space, 2))
    x = np.random.default_rng(0).normal(size=(2, *space, 2))
    z = layer.forward(params, plain(jnp.asarray(x)))[0].value()
    assert z.shape[1:] == shape
    want = by_definition(x, np.asarray(params["weight"]).reshape(*kernel, 2, 3), kernel, stride, padding)
    assert np.max(np.abs(z - want)) <= 1e-14 * np.max(np.abs(want)) * np.prod(kernel)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "channels"), [(6, 2), (2, 40)], ids=["multiplied out", "Gram"])
def test_norm_and_examples_of_the_factored_gradient(side, channels, x64):
    """Beside each example's own array by automatic differentiation; examples in powers of two of their own."""
    layer = conv(channels, 3, stride=2, bias=False)
    params, shape = layer.init(jax.random.key(0), (side, side, channels))
    rng = np.random.default_rng(0)
    x, dy = jnp.asarray(rng.normal(size=(3, side, side, channels))), jnp.asarray(rng.normal(size=(3, *shape)))
    powers = jnp.asarray([0, 7, -4], jnp.int32)

    @jax.jit
    def ours(x, dy):
        found = {}
        dy = scaled(dy, 3)
        _, saved = layer.forward(params, scaled(x, 3))
        shifted = Scaled(dy.mantissa, dy.exponent + powers - 3000)
        layer.backward(params, saved, shifted, lambda site: found.update(site.gradient))
        size, (cosines, sizes) = found["weight"].norm(), found["weight"].examples()
        return size.fraction + (size.exponent + 3000), cosines, Scaled(sizes.mantissa, sizes.exponent + 3000).value()

    with jax.numpy_dtype_promotion("standard"):
        log2, cosines, sizes = ours(x, dy)
    one = lambda w, x, dy: jnp.sum(layer.forward({"weight": w}, plain(x[None]))[0].value() * dy)
    own = jax.jit(jax.vmap(jax.grad(one), (None, 0, 0)))(params["weight"], x, dy)
    own = np.asarray(own).reshape(3, -1) * np.exp2(np.asarray(powers))[:, None]
    lengths = np.linalg.norm(own, axis=1)
    assert 2.0 ** float(log2) == pytest.approx(np.linalg.norm(own.sum(0)), rel=1e-12)
    assert np.asarray(sizes) == pytest.approx(lengths, rel=1e-12)
    assert np.max(np.abs(cosines - own @ own.T / np.outer(lengths, lengths))) <= 1e-12


@pytest.mark.slow
def test_a_group_of_networks_shares_the_product(x64):
    """Gains and biases of three configurations, beside each alone."""
    layer = conv(3, 3, padding="periodic")
    params, _ = layer.init(jax.random.key(0), (4, 5, 2))
    rng = np.random.default_rng(0)
    gains, biases = jnp.asarray([1.0, 0.5, 3.0]), jnp.asarray(rng.normal(size=(3, 3)))
    x, dy = jnp.asarray(rng.normal(size=(2, 4, 5, 2))), jnp.asarray(rng.normal(size=(3, 2, 4, 5, 3)))
    group = {"weight": params["weight"], "gain": gains, "bias": biases}
    read = lambda site: site.gradient["weight"].norm()

    def run(params, x, dy):
        y, saved = layer.forward(params, x)
        dx, size = layer.backward(params, saved, dy, read)
        return y.value(), dx.value(), size.fraction

    run = jax.jit(run)
    many = run(group, scaled(x[None], 3), scaled(dy, 3))
    for i in range(3):
        alone = run({"weight": params["weight"] * gains[i], "bias": biases[i]}, scaled(x, 3), scaled(dy[i], 3))
        for a, b in zip(many, alone, strict=True):
            assert np.allclose(a[i], b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kernel", [3, 4, (5, 2)])
def test_delta_orthogonal_kernels_keep_the_norm(kernel, x64):
    """Xiao et al. 2018: on a torus every position is an orthogonal map of its own, through 50 layers and back."""
    net = repeat(conv(6, kernel, "delta_orthogonal", padding="periodic", bias=False), 50)
    params, _ = net.init(jax.random.key(0), (5, 6, 6))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 6, 6)))

    @jax.jit
    def there_and_back(params, x):
        y, saved = net.forward(params, scaled(x, 3))
        return y.value(), net.backward(params, saved, y, lambda site: None)[0].value()

    y, back = there_and_back(params, x)
    size = lambda v: np.sum(np.asarray(v) ** 2, -1)
    assert np.max(np.abs(size(y) / size(x) - 1)) <= 1e-12
    assert np.max(np.abs(back - x)) <= 1e-12 * np.max(np.abs(x))


def test_the_receptive_field_counts_in_both_fans():
    """Variance of the weights by each rule, to five standard errors."""
    taps, n, m = (3, 5), 20, 30
    fan_in, fan_out = 15 * n, 15 * m
    rules = {"he_normal": 2 / fan_in, "xavier_uniform": 2 / (fan_in + fan_out), "lecun_truncated": 1 / fan_in}
    for name, variance in rules.items():
        w = np.asarray(initializer(name).kernel(jax.random.key(0), taps, (n, m)), float)
        assert w.shape == (fan_in, m)
        assert abs(np.mean(w**2) - variance) <= 5 * np.std(w**2) / w.size**0.5, name
    delta = np.array(initializer("delta_orthogonal").kernel(jax.random.key(0), taps, (n, m), 1.5)).reshape(3, 5, n, m)
    assert np.allclose(delta[1, 2] @ delta[1, 2].T, 2.25 * np.eye(n), rtol=0, atol=1e-5)
    delta[1, 2] = 0
    assert not np.any(delta)


def test_bad_requests():
    start = lambda layer, shape: layer.init(jax.random.key(0), shape)
    with pytest.raises(GradlabError, match=r"fits into the image of \(4, 3\).*received kernel \(4, 4\)"):
        start(conv(2, 4, padding="valid"), (4, 3, 1))
    with pytest.raises(GradlabError, match="padding"):
        conv(2, padding="full")
    with pytest.raises(GradlabError, match="each of 2 axes"):
        start(conv(2, (3, 3, 3)), (4, 4, 1))
    with pytest.raises(GradlabError, match="positive"):
        start(conv(2, stride=0), (4, 4, 1))
    with pytest.raises(GradlabError, match="single axis"):
        start(conv(2), (4,))
    with pytest.raises(GradlabError, match="positions"):
        start(global_mean(), (4,))


def test_a_kernel_that_is_not_turned_round_is_caught():
    right = conv(2, 3, bias=False)
    x = np.random.default_rng(0).normal(size=(2, 5, 2))
    turned = lambda params: {"weight": params["weight"].reshape(3, 2, 2)[::-1].reshape(6, 2)}
    wrong = lambda params, saved, dy, read: (
        right.backward(turned(params), saved, dy, read)[0], right.backward(params, saved, dy, read)[1],
    )  # fmt: skip
    assert gl.check(right, x, quiet=True).ok
    found = gl.check(right._replace(backward=wrong), x, quiet=True)
    assert {row.parameter for row in found.failures} >= {"input"}


def test_pooling():
    x = jnp.arange(24.0).reshape(2, 3, 4)
    y, saved = global_mean().forward({}, plain(x))
    assert np.allclose(y.mantissa, np.asarray(x).mean(1))
    dx, _ = global_mean().backward({}, saved, plain(jnp.ones((2, 4))), lambda site: None)
    assert np.allclose(dx.mantissa, 1 / 3)
    flat, saved = flatten().forward({}, plain(x))
    assert np.array_equal(flat.mantissa, np.asarray(x).reshape(2, 12))
    assert np.array_equal(flatten().backward({}, saved, flat, lambda site: None)[0].mantissa, x)
