"""Activations: each pair against autodiff, their limits, and registration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab import config
from gradlab._errors import GradlabError
from gradlab.core import activations
from gradlab.core.activations import TABLE
from gradlab.core.scaled import Scaled


def test_the_table_is_complete():
    assert tuple(TABLE)[: len(config.ACTIVATIONS)] == config.ACTIVATIONS


@pytest.mark.parametrize("name", config.ACTIVATIONS)
def test_derivative_equals_autodiff(name, x64):
    """At 1000 points, on both sides of kinks, and at 0, where a bias-free network stands at an input of zeros."""
    entry = TABLE[name]
    near = [k + d for k in entry.kinks for d in (-1e-6, 1e-6)]
    z = jnp.asarray(np.concatenate([np.linspace(-20, 20, 1000), near, [0.0]]))
    theirs = jax.vmap(jax.grad(entry.phi))(z)
    assert np.max(np.abs(entry.dphi(z) - theirs) / np.maximum(1, np.abs(theirs))) <= 1e-13


@pytest.mark.parametrize("name", config.ACTIVATIONS)
def test_derivative_keeps_its_digits_far_out(name, x64):
    """Relative error of phi' in float32 where it is 1e-30: 1 - sigmoid or 1 - tanh**2 would be 0."""
    z = np.linspace(-30, 30, 41)
    with jax.enable_x64(False):
        ours = np.asarray(TABLE[name].dphi(jnp.asarray(z, jnp.float32)), float)
    with jax.enable_x64(True):
        exact = np.asarray(TABLE[name].dphi(jnp.asarray(z.astype(np.float32), jnp.float64)))
    kept = (np.abs(exact) > 1e-37) & ~np.isin(z, TABLE[name].kinks)
    if name in ("gelu", "silu"):
        kept &= z > -10  # phi' itself cancels: phi(z) + z phi'(z)
    # exp(-t) has the rounding of t, |t| eps, in its relative error: t up to 900 / 2 here
    assert np.all(np.abs(ours - exact)[kept] <= 900 * 1.2e-7 * np.abs(exact)[kept])


@pytest.mark.parametrize("name", config.ACTIVATIONS)
def test_limits_and_homogeneity_are_what_the_table_says(name, x64):
    entry = TABLE[name]
    ends = np.asarray(entry.phi(jnp.asarray([-1e12, 1e12])))
    if entry.limits is not None:
        assert ends == pytest.approx(entry.limits, abs=1e-9)
    else:
        assert np.max(np.abs(ends)) > 1e9
    z = jnp.linspace(-3, 3, 101)
    assert entry.homogeneous == bool(jnp.all(jnp.abs(entry.phi(4 * z) - 4 * entry.phi(z)) <= 1e-15))
    assert TABLE.fingerprint(name) == ""


def test_powers_of_two_pass_through_homogeneous_activations():
    z = Scaled(jnp.asarray([[0.5, -0.75]], jnp.float32), jnp.asarray([3000], jnp.int32))
    y = activations.phi_of(TABLE["leaky_relu"], z)
    assert int(y.exponent[0]) == 3000
    assert np.asarray(y.mantissa)[0] == pytest.approx([0.5, -0.0075])


@pytest.mark.slow
def test_a_registered_activation_is_usable_everywhere(forget, x64):
    gl.register_activation("mish", lambda z: z * jnp.tanh(jax.nn.softplus(z)), _dmish)
    x, y = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 3
    assert gl.check(gl.MLP(depth=2, width=4, activation="mish"), x, y, quiet=True).ok
    first = TABLE.fingerprint("mish")
    assert first
    gl.register_activation("mish", jnp.sin, jnp.cos)
    assert TABLE.fingerprint("mish") != first


def _dmish(z):
    s = jax.nn.softplus(z)
    return jnp.tanh(s) + z * jax.nn.sigmoid(z) / jnp.cosh(s) ** 2


def test_a_registered_homogeneous_activation_is_known_as_such(forget):
    gl.register_activation("double", lambda z: 2 * z, lambda z: 2 * jnp.ones_like(z))
    assert TABLE["double"].homogeneous
    gl.register_activation("sine", jnp.sin, jnp.cos)
    assert not TABLE["sine"].homogeneous


@pytest.mark.parametrize(
    ("phi", "dphi", "kinks", "words"),
    [
        (jnp.sin, jnp.sin, (), "derivative of phi"),
        (jnp.sin, lambda z: 0.999 * jnp.cos(z), (), "derivative of phi"),
        (jnp.abs, jnp.ones_like, (), "derivative of phi"),
        (lambda z: jnp.where(z > 0.001, z, 0), lambda z: (z > 0).astype(z.dtype), (0.001,), "derivative of phi"),
        (jnp.sum, jnp.cos, (), "elementwise"),
        (jnp.sin, lambda z: jnp.cos(z)[:3], (), "elementwise"),
        (lambda z: z.nonsense, jnp.cos, (), "elementwise"),
        (jnp.sin, lambda z: jnp.cos(z) * jnp.nan, (), "derivative of phi"),
    ],
)  # fmt: skip
def test_a_wrong_pair_is_refused(forget, phi, dphi, kinks, words):
    with pytest.raises(GradlabError, match=words):
        gl.register_activation("wrong", phi, dphi, kinks)
    assert "wrong" not in TABLE
    assert "wrong" not in TABLE.names


def test_built_in_names_are_taken_and_unknown_ones_are_told(forget):
    with pytest.raises(GradlabError, match="not built in"):
        gl.register_activation("tanh", jnp.sin, jnp.cos)
    with pytest.raises(GradlabError, match=r"'tanh'.*--import"):
        gl.MLP(activation="tahn")


def test_an_activation_with_kinks_passes_when_they_are_named(forget):
    gl.register_activation("size", jnp.abs, lambda z: jnp.where(z > 0, 1.0, -1.0).astype(z.dtype), (0.0,))
    assert TABLE["size"].homogeneous
