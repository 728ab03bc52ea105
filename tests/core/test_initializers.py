"""Initialisers: each knows the variance of its weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab import config
from gradlab._errors import GradlabError
from gradlab.core.initializers import MADE_FOR, TABLE, initializer

SHAPE = (150, 250)
DRAWN = tuple(name for name in config.INITIALIZERS if name not in ("identity", "zeros", "constant"))


def rule(name):
    more = {"gaussian": {"sigma_w2": 1.7}, "critical": {"activation": "relu"}}
    return initializer(name, **more.get(name, {}))


def test_the_table_is_complete():
    assert {*TABLE, *MADE_FOR, "gaussian"} == {*config.INITIALIZERS, *TABLE.names}


@pytest.mark.parametrize("gain", [1.0, 2.5])
@pytest.mark.parametrize("name", DRAWN)
def test_each_knows_its_variance(name, gain):
    """Five standard errors, from the draw's own fourth moment: a false alarm in 1 of 1.7 million."""
    w = np.asarray(rule(name).weight(jax.random.key(7), SHAPE, gain), float)
    want = rule(name).sigma_w2(*SHAPE, gain) / SHAPE[0]
    error = np.std(w**2) / w.size**0.5
    assert abs(np.mean(w**2) - want) <= 5 * error
    assert abs(np.mean(w)) <= 5 * want**0.5 / w.size**0.5


def test_rules_are_those_of_the_papers():
    n, m = SHAPE
    want = {
        "xavier": 2 * n / (n + m), "he": 2.0, "lecun": 1.0, "pytorch": 1 / 3, "standard": 1 / 3, "gaussian": 1.7,
        "critical": 2.0,
        "orthogonal": n / m, "delta": n / m, "identity": n / m,
        "zeros": 0.0, "constant": 0.0,
    }  # fmt: skip
    for name in config.INITIALIZERS:
        assert rule(name).sigma_w2(n, m) == pytest.approx(want[name.split("_")[0]]), name


@pytest.mark.parametrize("name", config.INITIALIZERS)
def test_distributions_are_what_they_are_called(name):
    r = rule(name)
    w = np.asarray(r.weight(jax.random.key(1), SHAPE), float)
    top, std = np.abs(w).max(), (r.sigma_w2(*SHAPE) / SHAPE[0]) ** 0.5
    if r.family.name == "uniform":
        assert 0.99 * 3**0.5 * std < top <= 3**0.5 * std * (1 + 1e-6)
    elif r.family.name == "truncated":
        assert top <= 2 / 0.8796 * std
    elif r.family.name == "normal":
        assert top > 3.5 * std


@pytest.mark.parametrize("shape", [(40, 40), (30, 50), (50, 30)])
def test_orthogonal_on_the_smaller_side(shape, x64):
    w = np.asarray(initializer("orthogonal").weight(jax.random.key(0), shape, 1.5))
    gram = w @ w.T if shape[0] <= shape[1] else w.T @ w
    assert np.max(np.abs(gram - 2.25 * np.eye(min(shape)))) <= 1e-13


@pytest.mark.parametrize("shape", [(5, 5), (4, 7), (7, 4)])
def test_the_identity_is_no_draw(shape):
    """Ones on the diagonal, whatever the key; in a kernel at its centre, so that a channel is handed on as it is."""
    rule = initializer("identity")
    w = np.asarray(rule.weight(jax.random.key(3), shape, 1.5))
    assert np.array_equal(w, 1.5 * np.eye(*shape, dtype=w.dtype))
    assert np.sum(w**2) == pytest.approx(rule.sigma_w2(*shape, 1.5) / shape[0] * w.size)
    kernel = np.asarray(rule.kernel(jax.random.key(3), (3, 3), shape)).reshape(9, *shape)
    assert np.array_equal(np.flatnonzero(np.abs(kernel).sum((1, 2))), [4])
    assert np.array_equal(kernel[4], np.eye(*shape))


@pytest.mark.parametrize(("name", "value"), [("zeros", 0.0), ("constant", 1.5)])
def test_constants_are_no_draws(name, value):
    for make in (rule(name).weight, lambda key, shape, gain: rule(name).kernel(key, (3, 3), shape, gain)):
        assert np.all(np.asarray(make(jax.random.key(3), (4, 7), 1.5)) == value)


def test_biases():
    key = jax.random.key(0)
    assert not np.any(rule("he_normal").bias(key, 100, 5000))
    torch = np.asarray(rule("pytorch").bias(key, 100, 5000))
    assert 0.099 < np.abs(torch).max() <= 0.1
    assert rule("pytorch").sigma_b2(100) == pytest.approx(1 / 300)
    given = np.asarray(rule("pytorch").bias(key, 100, 5000, 0.5))
    assert np.var(given) == pytest.approx(0.25, abs=5 * 0.25 * (2 / 5000) ** 0.5)


def test_gaussian_takes_one_number():
    assert initializer("gaussian", std=0.1).sigma_w2(100, 7) == pytest.approx(1.0)
    for numbers in ({}, {"sigma_w2": 1.0, "std": 1.0}):
        with pytest.raises(GradlabError, match="one of"):
            initializer("gaussian", **numbers)


def test_a_registered_initialiser_is_usable(forget):
    gl.register_initializer(
        "signs", lambda key, shape, dtype: jax.random.rademacher(key, shape, dtype) / shape[0] ** 0.5, 1.0
    )
    net = gl.MLP(depth=2, width=8, init="signs")
    params = net.init_params(0, np.ones((2, 4), "float32"), outputs=2)
    assert np.abs(params[0][0]["weight"]) == pytest.approx(0.5)
    gl.register_initializer(
        "signs2", lambda key, shape, dtype: jax.random.normal(key, shape, dtype) / shape[1] ** 0.5, lambda n, m: n / m
    )
    assert TABLE["signs2"].sigma_w2(10, 5) == 2.0
    assert TABLE.fingerprint("signs") != TABLE.fingerprint("signs2") != ""


@pytest.mark.parametrize(
    ("draw", "sigma_w2", "words"),
    [
        (lambda key, shape, dtype: jax.random.normal(key, shape, dtype) / shape[0] ** 0.5, 1.2, "variance"),
        (lambda key, shape, dtype: jax.random.normal(key, shape[::-1], dtype), 400.0, "finite numbers"),
        (lambda key, shape, dtype: jnp.full(shape, jnp.nan, dtype), 1.0, "finite numbers"),
    ],
)
def test_a_wrong_initialiser_is_refused(forget, draw, sigma_w2, words):
    with pytest.raises(GradlabError, match=words):
        gl.register_initializer("wrong", draw, sigma_w2)
    assert "wrong" not in TABLE


def test_built_in_names_are_taken(forget):
    with pytest.raises(GradlabError, match="not built in"):
        gl.register_initializer("he_normal", lambda key, shape, dtype: jnp.zeros(shape), 0.0)
