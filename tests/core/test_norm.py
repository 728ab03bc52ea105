"""Norms at any scale, their gains' gradients, and what they do to gradients at depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.core.activations import activation, activation_named
from gradlab.core.dense import dense
from gradlab.core.layer import repeat, serial
from gradlab.core.norm import batch_norm, layer_norm, rms_norm
from gradlab.core.scaled import Scaled, plain, scaled, to_numpy
from gradlab.measurement.kept import Rows

NORMS = {"batch": batch_norm, "layer": layer_norm, "rms": rms_norm}


def by_definition(name, x, g, b, dy, eps):
    """Output and cotangent of the input, in the dtype of the arguments: the textbook's two lines."""
    axes = (0,) if name == "batch" else (-1,)
    mean = lambda v: np.mean(v, axes, keepdims=True)
    c = x if name == "rms" else x - mean(x)
    sigma = np.sqrt(mean(c * c) + eps)
    xhat, gy = c / sigma, g * dy
    inner = gy - xhat * mean(gy * xhat)
    return g * xhat + b, (inner if name == "rms" else inner - mean(gy)) / sigma


def exact(s):
    return np.ldexp(np.asarray(s.mantissa, np.longdouble), np.asarray(s.exponent)[..., None])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NORMS)
def test_eps_is_added_to_the_signal_itself_at_any_scale(name, dtype):
    """From 2**-3000 (where the norm only divides by sqrt(eps)) to 2**3000, beside long doubles, which hold both."""
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 4, 8)).astype(dtype)
    g = rng.normal(size=8).astype(dtype)
    wide = lambda v: np.asarray(v, np.longdouble)
    with jax.enable_x64(dtype == "float64"):
        layer = NORMS[name](bias=False, eps=1e-5)

        @jax.jit
        def both(x, dy):
            y, saved = layer.forward({"gain": jnp.asarray(g)}, x)
            return y, layer.backward({"gain": jnp.asarray(g)}, saved, dy, lambda site: None)[0]

        for power in (-3000, -8, 0, 3000):
            away = lambda v, k: Scaled(scaled(jnp.asarray(v)).mantissa, scaled(jnp.asarray(v)).exponent + k)
            y, dx = both(away(x, power), away(dy, 1000))
            shift = lambda v, k: np.ldexp(wide(v), k)
            found = by_definition(name, shift(x, power), wide(g), 0, shift(dy, 1000), np.longdouble(1e-5))
            for got, want in zip((y, dx), found, strict=True):
                assert np.max(np.abs(exact(got) - want)) <= 100 * np.finfo(dtype).eps * np.max(np.abs(want)), power


def test_a_bias_beside_a_signal_far_below_it():
    layer = layer_norm()
    params = {"gain": jnp.ones(3), "bias": jnp.asarray([0.5, -1.0, 2.0])}
    x = scaled(jnp.asarray([[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]]))
    y, _ = layer.forward(params, Scaled(x.mantissa, x.exponent - 3000))
    assert np.array_equal(y.value(), np.broadcast_to(params["bias"], (2, 3)))


@pytest.mark.parametrize("name", ["batch", "layer"])
def test_what_is_constant_becomes_zero_and_stays_finite(name):
    """A unit that is dead on the whole batch, an example of equal features: at any scale."""
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    x[(slice(None), 2) if name == "batch" else 2] = 1.0
    s = scaled(jnp.asarray(x))
    layer = NORMS[name]()
    params, _ = layer.init(jax.random.key(0), (5,))
    params = jax.tree.map(lambda v: v.astype("float32"), params)
    for power in (0, 2000):
        y, saved = layer.forward(params, Scaled(s.mantissa, s.exponent + power))
        dx, _ = layer.backward(params, saved, s, lambda site: None)
        assert np.all(np.isfinite(dx.mantissa))
        flat = np.asarray(y.value())[(slice(None), 2) if name == "batch" else 2]
        assert not np.any(flat)


@pytest.mark.slow
def test_gradient_of_the_gain_by_example(x64):
    """Norm and cosines, beside the arrays of automatic differentiation, for examples at positions."""
    layer = layer_norm()
    params, _ = layer.init(jax.random.key(0), (4, 6))
    x, dy = np.random.default_rng(0).normal(size=(2, 3, 4, 6))
    found = {}
    _, saved = layer.forward(params, scaled(jnp.asarray(x), 2))
    layer.backward(params, saved, scaled(jnp.asarray(dy), 2), lambda site: found.update(site.gradient))
    one = lambda g, x, dy: jnp.sum(layer.forward({**params, "gain": g}, plain(x[None]))[0].value() * dy)
    own = np.asarray(jax.vmap(jax.grad(one), (None, 0, 0))(params["gain"], jnp.asarray(x), jnp.asarray(dy)))
    size = found["gain"].norm()
    assert 2.0 ** (float(size.fraction) + int(size.exponent)) == pytest.approx(np.linalg.norm(own.sum(0)), rel=1e-13)
    cosines, sizes = found["gain"].examples()
    lengths = np.linalg.norm(own, axis=-1)
    assert np.asarray(sizes.value()) == pytest.approx(lengths, rel=1e-13)
    assert np.max(np.abs(cosines - (own @ own.T) / np.outer(lengths, lengths))) <= 1e-13


def test_bad_requests():
    for norm in NORMS.values():
        with pytest.raises(GradlabError, match="positive"):
            norm(eps=0.0)
    for x in (plain(jnp.ones((1, 3))), scaled(jnp.ones((1, 3)))):
        with pytest.raises(GradlabError, match=r"at least 2 examples.*received 1.*layer_norm"):
            batch_norm(gain=False, bias=False).forward({}, x)


@pytest.mark.slow
def test_a_forgotten_variance_is_caught():
    """The usual mistake: mean and variance held fixed on the way back."""
    right = batch_norm(gain=False, bias=False)
    fixed = lambda params, saved, dy, read: (
        Scaled(dy.value() * saved.inverse * 2.0 ** -saved.power.astype(float), jnp.zeros_like(dy.exponent)), {},
    )  # fmt: skip
    x = np.random.default_rng(1).normal(size=(5, 3))
    assert gl.check(right, x, quiet=True).ok
    found = gl.check(right._replace(backward=fixed), x, quiet=True)
    assert {row.parameter for row in found.failures} >= {"input"}


def factor(norm, name, width, batch, depth, seeds, skip=4, init="he_normal"):
    """ln of the mean-square delta's factor per layer (h -> norm -> phi -> W): one number for each seed."""
    net = repeat(serial(norm, activation(name), dense(width, init, bias=False)), depth)

    def read(site):
        return Rows.of(site.dy) if site.kind == "dense" else None

    @jax.jit
    def one(key):
        keys = jax.random.split(key, 3)
        params, _ = net.init(keys[0], (width,))
        x, dy = (scaled(jax.random.normal(k, (batch, width))) for k in keys[1:])
        return net.backward(params, net.forward(params, x)[1], dy, read)[1][2]

    logs = np.array([to_numpy(one(jax.random.key(s))).log10_rms() for s in range(seeds)]) * np.log(10)
    return 2 * (logs[:, skip] - logs[:, -2]) / (depth - 2 - skip)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [8, 32, 256])
def test_batch_norm_explodes(batch):
    """Yang et al. 2019: pi/(pi - 1) for ReLU as the batch grows. (Linear networks: tests/networks/test_laws.py.)

    The finite-batch values are of an independent simulation at width 1000, with its error; beside it
    4 standard errors of this one, and 2/n for its width.
    """
    width = 500
    want, error = {8: (1.783, 0.005), 32: (1.534, 0.005), 256: (1.470, 0.002)}[batch]
    logs = factor(batch_norm(gain=False, bias=False, eps=1e-12), "relu", width, batch, 14, 6)
    spread = 4 * logs.std(ddof=1) / len(logs) ** 0.5 + 2 / width
    assert abs(logs.mean() - np.log(want)) <= error / want + spread, np.exp(logs)
    if batch == 256:
        assert abs(want - np.pi / (np.pi - 1)) <= 2 / batch + 10 / width


@pytest.mark.slow
@pytest.mark.parametrize(("name", "want"), [("relu", 1.0), ("tanh", 1.17781), ("gelu", 1.07203), ("sigmoid", 0.152827)])
@pytest.mark.parametrize("norm", [layer_norm, rms_norm])
def test_layer_norm_does_not(name, want, norm):
    """E phi'^2 / E phi^2 for a unit Gaussian, whatever the weights' variance; corrections of 10/n."""
    width = 500
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    expect = lambda f: np.sum(weights * f**2) / np.sum(weights)
    entry = activation_named(name)
    with jax.enable_x64(True):
        z = jnp.asarray(nodes)
        ratio = expect(np.asarray(entry.dphi(z))) / expect(np.asarray(entry.phi(z)))
    assert ratio == pytest.approx(want, rel=1e-4)
    logs = factor(norm(gain=False, bias=False, eps=1e-12), name, width, 16, 14, 8)
    assert abs(logs.mean() - np.log(want)) <= 4 * logs.std(ddof=1) / len(logs) ** 0.5 + 10 / width
