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


def test_a_number_behind_a_name_is_a_parameter(x64):
    """Read in any spelling, of one canonical form; the name alone is the usual number."""
    named = lambda name: gl.MLP(activation=name).activation
    assert {named("leaky_relu:0.180"), named("leaky_relu:18e-2")} == {"leaky_relu:0.18"}
    assert (named("leaky_relu:0.01"), named("elu:1"), named("elu:2.0")) == ("leaky_relu", "elu", "elu:2")
    z = jnp.asarray([-3.0, -0.5, 2.0])
    assert np.asarray(TABLE["leaky_relu:-0.25"].phi(z)) == pytest.approx([0.75, 0.125, 2.0], abs=1e-15)
    assert np.asarray(TABLE["elu:0.5"].phi(z)) == pytest.approx([*(0.5 * np.expm1([-3.0, -0.5])), 2.0], abs=1e-15)
    for name in ("leaky_relu:0.3", "leaky_relu:0", "leaky_relu:-1", "elu:0.5", "elu:0", "elu:100"):
        entry = TABLE[name]
        again = activations.checked("again", entry.phi, entry.dphi, entry.kinks)
        assert again.homogeneous == entry.homogeneous
        assert (entry.name, entry.fingerprint) == (named(name), "")
    hashed = lambda name: config.content_hash(gl.MLP(activation=name).as_dict())
    assert hashed("leaky_relu:0.2") == hashed("leaky_relu:0.20") != hashed("leaky_relu:0.3")
    assert not {e.name for e in TABLE.registered} & {"leaky_relu:0.3", "elu:0.5"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("relu:0.2", "no number behind activation 'relu'.*leaky_relu:0.01 and elu:1"),
        ("swish:2", "no number behind activation 'silu'"),
        ("leaky_relu:", "slope below 0.*from -1 to 1"),
        ("leaky_relu:1.5", "from -1 to 1"),
        ("leaky_relu:nan", "from -1 to 1"),
        ("elu:much", "from 0 to 100.*'much'"),
        ("elu:-1", "from 0 to 100"),
        ("leaky:0.2", "activation to be one of"),
        (0.2, "activation to be one of"),
    ],
)
def test_a_number_that_a_name_does_not_take_is_refused(name, words):
    with pytest.raises(GradlabError, match=words):
        gl.MLP(activation=name)


def test_an_activation_stands_in_place_of_its_name(forget):
    """Checked and registered as by hand; one name never stands for two functions."""
    own = gl.Activation("own", jnp.sin, jnp.cos)
    net = gl.MLP(depth=2, activation=(own, "tanh"))
    assert net.activation == ("own", "tanh") and TABLE["own"] == own
    assert gl.Sweep(activation=(own, TABLE["relu"], TABLE["elu:0.5"])).activation == ("own", "relu", "elu:0.5")
    gl.activation(gl.Activation("own", jnp.sin, jnp.cos))  # the same content
    with pytest.raises(GradlabError, match="one activation under the name 'own'"):
        gl.RNN(activation=gl.Activation("own", jnp.cos, lambda z: -jnp.sin(z)))
    with pytest.raises(GradlabError, match="derivative of phi"):
        gl.MLP(activation=gl.Activation("wrong", jnp.sin, jnp.sin))
    with pytest.raises(GradlabError, match="not built in"):
        gl.MLP(activation=gl.Activation("leaky_relu:7", jnp.sin, jnp.cos))
    assert gl.MLP(activation=gl.Activation("twice", lambda z: 2 * z, lambda z: 2 * jnp.ones_like(z))).activation
    assert TABLE["twice"].homogeneous
