"""A circle carried through a network: its length against elliptic integrals, chords, and theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ellipe

import gradlab as gl
from gradlab.core.activations import activation_named
from gradlab.measurement.manifold import _circle


def test_a_linear_layer_makes_an_ellipse(x64):
    net = gl.MLP(depth=1, width=40, activation="identity", init="lecun_normal", bias=False)
    params = net.init_params(0, jnp.ones((1, 30)), outputs=1)
    found = gl.carry_circle(net, params=params, points=2000, q0=0.5, shapes=(0, 1))
    radius = (0.5 * 30) ** 0.5
    assert found.log10_length[0, 0] == pytest.approx(np.log10(2 * np.pi * radius), abs=1e-14)
    # half axes from the extent of the curve in its own plane, of rms 1
    assert found.in_plane[1] == pytest.approx(1, abs=1e-12)
    a, b = np.sort(np.abs(found.shapes[1]).max(0))[::-1]
    whole = np.sqrt(np.mean(np.sum(_values(net, params, 2000, 0.5, 30) ** 2, 1)))
    wanted = 4 * a * whole * ellipe(1 - (b / a) ** 2)
    # the largest of 2000 points misses the half axis by (pi / 2000)^2 / 2
    assert 10 ** found.log10_length[0, 1] == pytest.approx(wanted, rel=1e-5)


def _values(net, params, points, q0, features):
    """The curve in layer 1, centred: the plane is that of the key 0."""
    x, _ = _circle(points, features, q0, 0)
    z = x @ np.asarray(net.layers(params)[0][1]["weight"])
    return z - z.mean(0)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_the_length_is_that_of_a_fine_polygon(activation, x64):
    net = gl.MLP(depth=4, width=12, activation=activation, init="he_normal", sigma_b2=0.1)
    params = net.init_params(0, jnp.ones((1, 5)), outputs=2)
    found = gl.carry_circle(net, params=params, points=4000)
    x, _ = _circle(4000, 5, 1.0, 0)
    phi = activation_named(activation).phi
    z, lengths = jnp.asarray(x), []
    for i, (_, p) in enumerate(net.layers(params)[:4]):
        z = (z if i == 0 else phi(z)) @ p["weight"] + p["bias"]
        lengths.append(float(jnp.sum(jnp.linalg.norm(jnp.roll(z, -1, 0) - z, axis=1))))
    # a polygon is shorter by its angle squared over 24 on each chord: (2 pi 30 / 4000)^2 / 24 for a 30-fold wave
    assert 10 ** found.log10_length[0, 1:] == pytest.approx(lengths, rel=1e-4)


def test_a_curve_that_has_shrunk_below_every_float():
    net = gl.MLP(depth=700, width=8, activation="sigmoid", init="xavier_normal")
    found = gl.carry_circle(net, points=8, seeds=2, shapes=(0, 700))
    assert found.log10_length.shape == (2, 701)
    assert np.all(found.log10_length[:, -1] < -400) and np.isfinite(found.log10_length).all()
    assert np.abs(np.linalg.norm(found.shapes[0], axis=1) - 1).max() < 1e-5
    assert np.isnan(found.in_plane[700])  # the points themselves are one point to float32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sigma_w", "q_star", "chi1"), [(1.3, 0.60705, 0.93981), (2.5, 4.07912, 1.58522), (4.0, 12.60415, 2.36726)]
)
def test_the_length_grows_by_the_root_of_chi1_per_layer(sigma_w, q_star, chi1):
    """Poole et al. 2016, figure 3: tanh, sigma_b = 0.3, inputs of the variance that is kept."""
    net = gl.MLP(depth=8, width=1000, activation="tanh", init="gaussian", sigma_w2=sigma_w**2, sigma_b2=0.09)
    found = gl.carry_circle(net, q0=(q_star - 0.09) / sigma_w**2, key=jax.random.key(3))
    growth = 10 ** found.log10_growth[0, 1:]  # the first layer has no slope
    assert growth == pytest.approx(np.full(7, chi1**0.5), rel=0.03)


def test_errors():
    net = gl.MLP(depth=2, width=4)
    for options, message in (
        ({"points": 2}, "points to be an integer of at least 3"),
        ({"q0": 0.0}, "q0 above 0"),
        ({"shapes": (3,)}, "layers from 0 to 2"),
        ({"features": 1}, "at least 2 features"),
    ):
        with pytest.raises(gl.GradlabError, match=message):
            gl.carry_circle(net, **options)
    with pytest.raises(gl.GradlabError, match="an MLP"):
        gl.carry_circle(gl.dense(3))
