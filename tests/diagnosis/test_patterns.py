"""Activations, normalisations and logits are recognised however they are written."""

import jax
import jax.numpy as jnp
import pytest

from gradlab.diagnosis.program import Program

pytestmark = pytest.mark.usefixtures("standard_promotion")
W = jnp.ones((4, 8))
X = jnp.ones((3, 4))


def by_sign(numerator):
    """The logistic function as one writes it that is exact at both ends, times something."""

    def phi(z):
        small = jnp.exp(-jnp.abs(z))
        return numerator(z) * (jnp.where(z >= 0, 1, small) / (1 + small))

    return phi


ACTIVATIONS = {
    "relu": (jax.nn.relu, lambda z: jnp.maximum(z, 0), lambda z: jnp.where(z > 0, z, 0), lambda z: jnp.maximum(0.0, z)),
    "tanh": (jnp.tanh,),
    "sigmoid": (jax.nn.sigmoid, lambda z: 1 / (1 + jnp.exp(-z)), by_sign(jnp.ones_like)),
    "gelu": (jax.nn.gelu, lambda z: jax.nn.gelu(z, approximate=False)),
    "silu": (jax.nn.silu, jax.nn.swish, lambda z: z * jax.nn.sigmoid(z), by_sign(lambda z: z)),
    "elu": (jax.nn.elu, lambda z: jnp.where(z > 0, z, jnp.expm1(z))),
    "selu": (jax.nn.selu,),
    "softplus": (jax.nn.softplus, lambda z: jnp.log1p(jnp.exp(z))),
    "leaky_relu": (jax.nn.leaky_relu, lambda z: jnp.where(z > 0, z, 0.1 * z)),
    "hard_tanh": (jax.nn.hard_tanh,),
    "relu6": (jax.nn.relu6,),
    "mish": (jax.nn.mish,),
    "softsign": (jax.nn.soft_sign, lambda z: z / (1 + jnp.abs(z))),
    "sin": (jnp.sin,),
}


def of_kind(kind, loss, params=W, x=X):
    return [site for site in Program.of(loss, params, (x,)).sites if site.kind == kind]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_has_its_name(name):
    for function in ACTIVATIONS[name]:
        (site,) = of_kind("activation", lambda w, x, f=function: jnp.mean(f(x @ w + 1) @ w.T))
        assert (site.function, site.follows, site.features) == (name, 0, (1,))


@pytest.mark.parametrize(
    "after",
    [
        lambda z: jnp.mean(z**2),
        lambda z: -jnp.mean(jax.nn.log_softmax(z)),
        lambda z: -jnp.mean(jax.nn.log_sigmoid(z)),
        lambda z: jnp.sum(jnp.abs(z)),
        lambda z: jnp.mean((z - jnp.mean(z, -1, keepdims=True)) / jnp.std(z)),
    ],
)
def test_losses_and_statistics_are_no_activations(after):
    assert of_kind("activation", lambda w, x: after(x @ w)) == []


def test_what_a_gate_lets_through_is_not_of_the_gate():
    def loss(w, x):
        a, b = jnp.split(x @ w, 2, axis=-1)
        return jnp.mean(jnp.tanh(a * jax.nn.sigmoid(b)) @ w[:, :4])

    assert [site.function for site in of_kind("activation", loss)] == ["sigmoid"]


def test_an_activation_behind_a_normalisation_in_another_jit():
    @jax.jit
    def normed(z, scale):
        variance = jnp.var(z, -1, keepdims=True)
        return (z - jnp.mean(z, -1, keepdims=True)) * (jax.lax.rsqrt(variance + 1e-3) * scale)

    loss = lambda w, x: jnp.mean(jax.jit(jnp.tanh)(normed(jax.jit(jnp.matmul)(x, w), w[0])) @ w.T)
    (site,) = of_kind("activation", loss)
    assert (site.function, site.features) == ("tanh", (1,))
    (norm,) = of_kind("norm", loss)
    assert norm.function == "rsqrt" and norm.epsilon == pytest.approx(1e-3) and norm.shape == (3, 1)


def test_the_variance_under_a_square_root():
    loss = lambda w, x: jnp.mean(x @ w / jnp.sqrt(jnp.var(x @ w, -1, keepdims=True) + 1e-5))
    (norm,) = of_kind("norm", loss)
    assert norm.function == "sqrt" and norm.epsilon == pytest.approx(1e-5)


def test_logits_of_attention_are_read_where_they_are_scaled():
    def attention(w, x):
        logits = jnp.einsum("qd,kd->qk", x, x @ w @ w.T) / 2.0
        return jax.nn.softmax(jnp.where(jnp.eye(3) > 0, logits, -1e30)) @ x

    program = Program.of(lambda w, x: jnp.mean(attention(w, x)), W, (X,))
    assert [site.kind for site in program.sites] == ["product", "product", "logits", "inner"]
    found = program.run(W, (X,))
    # 4 * (8 * 4) / 2 for ones: before the mask
    assert float(found.values[2][0]) == pytest.approx(64.0)


def test_the_logits_of_a_loss_are_a_product():
    assert of_kind("logits", lambda w, x: -jnp.mean(jax.nn.log_softmax(x @ w))) == []


def test_carries_are_read_where_they_are_floats_and_change():
    def step(carried, w):
        i, h, kept = carried
        return (i + 1, jnp.tanh(h @ w), kept), None

    def loss(w, x):
        (_, h, _), _ = jax.lax.scan(step, (0, x, x), w)
        return jnp.mean(h)

    (site,) = of_kind("carry", loss, jnp.ones((5, 4, 4)))
    assert (site.name, site.shape, site.scans[0][:2]) == ("array/carry", (3, 4), ("layers", 5))


@pytest.mark.parametrize(
    ("behind", "found"),
    [
        (jax.nn.softmax, "softmax"),
        (lambda z: jnp.exp(z) / jnp.exp(z).sum(-1, keepdims=True), ""),  # of two exponentials, as it stands
        (lambda z: (lambda e: e / e.sum(-1, keepdims=True))(jnp.exp(z)), "softmax"),
        (lambda z: (lambda e: e / e.max(-1, keepdims=True))(jnp.exp(z)), ""),
        (jax.nn.log_softmax, ""),
    ],
)
def test_a_softmax_behind_a_product(behind, found):
    w, x = jnp.ones((3, 5)), jnp.ones((4, 3))
    sites = Program.of(lambda w, x: jnp.sum(jax.nn.log_softmax(behind(x @ w))[:, 0]), w, (x,)).sites
    assert [site.function for site in sites if site.kind == "activation"] == ([found] if found else [])
