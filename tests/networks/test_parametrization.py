"""Parametrizations: the scales of the draws and the rates of each parameter, by the width over a base width."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab.config import CONFIGS
from gradlab.networks import build
from gradlab.networks.rules import hidden_rule, input_rule, readout_rule
from tests.networks.architectures import CLASSES, TABLE

BASE = 4


@pytest.mark.parametrize("name", ["mup", pytest.param("ntk", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "architecture", [name if name == "mlp" else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS]
)
def test_at_the_base_width_it_is_the_standard_one(architecture, name):
    """Draws, scores and rates are the same; the program is another one, so the bits of its sums may differ."""
    case = next(c for c in TABLE if c.net.architecture == architecture)
    x, y = case.data("float32")
    standard = case.net.with_options(width=BASE)
    other = standard.with_options(parametrization=name, base_width=BASE)
    params = other.init_params(0, x, y)
    np.testing.assert_array_equal(*(jnp.concatenate([v.ravel() for v in jax.tree.leaves(p)])
                                    for p in (params, standard.init_params(0, x, y))))  # fmt: skip
    np.testing.assert_allclose(other.apply(params, x), standard.apply(params, x), rtol=1e-6)
    for optimizer in ("sgd", "adam"):
        assert set(jax.tree.leaves(gl.rate_factors(other, params, optimizer=optimizer))) == {1.0}


@pytest.mark.parametrize("init", ["xavier_normal", "he_uniform", "orthogonal", "pytorch"])
@pytest.mark.parametrize("name", ["mup", "ntk"])
def test_variances_follow_the_width(name, init):
    """Yang et al. 2022, table 3; Xavier's variance of the first layer falls with the width by itself."""
    wide = build(gl.MLP(depth=2, width=BASE * 16, init=init, parametrization=name, base_width=BASE))
    base = wide.with_options(width=BASE)
    places = {input_rule: (7, 1, 0), hidden_rule: (1, 1, 1), readout_rule: (1, 3, 2 if name == "mup" else 1)}
    for rule, (n, m, power) in places.items():
        shape = lambda net: (n if n > 1 else net.width, m if m > 1 else net.width)  # noqa: B023
        ratio = (
            rule(wide).sigma_w2(*shape(wide)) / shape(wide)[0] / (rule(base).sigma_w2(*shape(base)) / shape(base)[0])
        )
        assert ratio == pytest.approx(16**-power, rel=1e-12)
    assert hidden_rule(wide).sigma_b2(wide.width) == pytest.approx(hidden_rule(base).sigma_b2(BASE))


#: Multipliers of the first, the hidden and the last weight, as powers of the width over the base (Yang & Hu 2021, table
#: 1: minus a of each layer).
MULTIPLIERS = {"mup": (0.5, 0.0, -0.5), "ntk": (0.0, -0.5, -0.5)}


@pytest.mark.slow
@pytest.mark.parametrize("name", MULTIPLIERS)
def test_a_step_is_that_of_the_form_with_multipliers(name, x64):
    """W = m w with one rate for all w: the update of W is m² times the gradient by W."""
    r = 8.0
    net = gl.MLP(depth=3, width=int(BASE * r), activation="tanh", parametrization=name, base_width=BASE, bias=False)
    x, y = np.random.default_rng(0).normal(size=(6, 5)), np.arange(6) % CLASSES
    params = net.init_params(0, x, y)
    first, between, last = (r**power for power in MULTIPLIERS[name])
    factors = (({"weight": first}, {}), ({"weight": between}, {}), ({"weight": last}, {}))
    small = jax.tree.map(lambda w, m: w / m, params, factors)
    whole = lambda small: jax.tree.map(lambda w, m: w * m, small, factors)
    slope = jax.grad(lambda small: gl.backprop(net, whole(small), x, y)[0])(small)
    wanted = whole(jax.tree.map(lambda w, g: w - 0.1 * g, small, slope))
    grads, rates = gl.backprop(net, params, x, y)[1], gl.rate_factors(net, params, optimizer="sgd")
    after = jax.tree.map(lambda w, g, f: w - 0.1 * f * g, params, grads, rates)
    for one, other in zip(jax.tree.leaves(after), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * float(jnp.abs(other).max()))


def shapes(n, heads):
    """Arrays as Flax has them: a convolution, heads with their biases, a table, a norm, a readout."""
    of = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
    return {
        "conv": of(3, 3, 3, n), "query": {"kernel": of(n, heads, n // heads), "bias": of(heads, n // heads)},
        "out": of(heads, n // heads, n), "embedding": of(50, n), "norm": {"scale": of(n)}, "up": of(n, 4 * n),
        "readout": {"kernel": of(n, 10), "bias": of(10)}, "step": of(),
    }  # fmt: skip


@pytest.mark.parametrize("heads", [(4, 4), (4, 16)], ids=["wider heads", "more heads"])
def test_axes_that_grow_say_what_an_array_is(heads):
    sgd = gl.rate_factors(shapes(64, heads[0]), shapes(256, heads[1]), optimizer="sgd")
    assert sgd == {
        "conv": 4.0, "query": {"kernel": 1.0, "bias": 4.0}, "out": 1.0, "embedding": 4.0, "norm": {"scale": 4.0},
        "up": 1.0, "readout": {"kernel": 0.25, "bias": 1.0}, "step": 1.0,
    }  # fmt: skip
    adam = gl.rate_factors(shapes(64, heads[0]), shapes(256, heads[1]), optimizer="adamw")
    assert adam == {
        "conv": 1.0, "query": {"kernel": 0.25, "bias": 1.0}, "out": 0.25, "embedding": 1.0, "norm": {"scale": 1.0},
        "up": 0.25, "readout": {"kernel": 0.25, "bias": 1.0}, "step": 1.0,
    }  # fmt: skip


def test_the_order_of_axes_is_asked_for():
    tree = lambda n: [np.zeros((n, 3)), np.zeros((2, n))]
    assert gl.rate_factors(tree(4), tree(8), optimizer="sgd", axes="out_in") == [2.0, 0.5]
    assert gl.rate_factors(tree(4), tree(8), optimizer="sgd") == [0.5, 2.0]


def test_what_is_not_known_is_refused():
    with pytest.raises(GradlabError, match=r"one width for all layers with parametrization='mup'"):
        gl.MLP(depth=2, width=(4, 8), parametrization="mup")
    with pytest.raises(GradlabError, match="weights that are drawn"):
        gl.RNN(init="identity", parametrization="ntk")
    with pytest.raises(GradlabError, match="heads that divide the base width"):
        gl.Transformer(heads=4, width=16, base_width=6, parametrization="mup")
    with pytest.raises(GradlabError, match="base_width= only with parametrization"):
        gl.MLP(base_width=4)
    with pytest.raises(GradlabError, match="an optimiser whose rates are known"):
        gl.rate_factors(gl.MLP(parametrization="mup"), optimizer="frobnicate")
    with pytest.raises(GradlabError, match="parameters like those at the base width"):
        gl.rate_factors([np.zeros(3)], {"weight": np.zeros(3)})
