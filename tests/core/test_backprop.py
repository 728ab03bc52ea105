"""The backward pass against `jax.grad`, and against the law that needs no reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.config import INITIALIZERS
from tests import cases

QUICK = (*cases.COVERING[1::6], *cases.ODD[2:4])


@pytest.mark.parametrize(
    "case", [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in cases.FAST], ids=str
)
def test_every_layer_equals_jax_grad_in_float64(case, x64):
    x, y = cases.data(case.loss)
    params = case.net.init_params(3, x, outputs=cases.OUTPUTS)
    (value, ours), (reference, theirs) = cases.both(case, params, x, y, "float64")
    assert abs(value - reference) <= 1e-12 * max(1, abs(reference))
    found = cases.errors(case.net, ours, theirs)
    assert max(found.values()) <= cases.TOLERANCE["float64"], found


@pytest.mark.skipif("os.environ.get('GRADLAB_TEST_X64') == '1'", reason="float32")
@pytest.mark.parametrize("case", cases.FAST[1::14], ids=str)
def test_every_layer_equals_jax_grad_in_float32_where_that_is_in_range(case):
    x, y = cases.data(case.loss, dtype="float32")
    params = case.net.init_params(3, x, outputs=cases.OUTPUTS)
    (_, ours), (_, theirs) = cases.both(case, params, x, y, "float32")
    found = cases.errors(case.net, ours, theirs, floor=1.2e-38 / cases.TOLERANCE["float32"])
    assert found
    assert max(found.values()) <= cases.TOLERANCE["float32"], found


def _drawn(depth, width, dtype):
    """Parameters of every initialiser for one shape."""
    x, _ = cases.data("mse", dtype=dtype)
    for init in INITIALIZERS:
        case = cases.Case(depth, width, "relu", init, "mse")
        yield init, case.net.init_params(3, x, outputs=cases.OUTPUTS)


_DRAWS: dict = {}


def _draws(depth, width, dtype):
    if (depth, width, dtype) not in _DRAWS:
        _DRAWS[depth, width, dtype] = list(_drawn(depth, width, dtype))
    return _DRAWS[depth, width, dtype]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("depth", "activation", "loss"), cases.PROGRAMS)
def test_the_whole_product(depth, activation, loss, dtype):
    width = 64 if depth == 50 else 16
    floor = 0.0 if dtype == "float64" else 1.2e-38 / cases.TOLERANCE["float32"]
    with jax.enable_x64(dtype == "float64"):
        x, y = cases.data(loss, dtype=dtype)
        # The weights are drawn: which name the network has for them is of no account, and not every
        # activation takes "critical" for one.
        case, worst = cases.Case(depth, width, activation, "he_normal", loss), {}
        for init, params in _draws(depth, width, dtype):
            if (activation, init) == ("hard_tanh", "identity"):
                continue  # a saturated unit hands its 1 on to the kink of the next, where a slope is a convention
            if init == "constant":
                continue  # all units are alike, so that sums over classes cancel: what autodiff has left is rounding
            (_, ours), (_, theirs) = cases.both(case, params, x, y, dtype)
            finite = all(bool(jnp.all(jnp.isfinite(v))) for v in jax.tree.leaves(theirs))
            assert finite, init
            worst[init] = max(cases.errors(case.net, ours, theirs, floor).values())
    assert max(worst.values()) <= cases.TOLERANCE[dtype], worst


@pytest.mark.parametrize("activation", cases.HOMOGENEOUS)
@pytest.mark.parametrize("depth", [pytest.param(3, marks=pytest.mark.slow), 50])
def test_homogeneous_nets_have_the_same_product_of_weight_and_gradient_in_every_layer(activation, depth, x64):
    case = cases.Case(depth, 16, activation, "he_normal", "softmax_cross_entropy", (("bias", False),))
    x, y = cases.data(case.loss)
    params = case.net.init_params(0, x, outputs=cases.OUTPUTS)
    _, grads = jax.jit(lambda p: gl.backprop(case.net, p, x, y))(params)
    pairs = [
        (np.asarray(p["weight"]), np.asarray(g["weight"]))
        for (_, p), (_, g) in zip(case.net.layers(params), case.net.layers(grads), strict=True)
    ]
    products = np.array([np.sum(w * g) for w, g in pairs])
    size = max(np.linalg.norm(w) * np.linalg.norm(g) for w, g in pairs)
    assert np.max(np.abs(products - products[0])) <= 1e-13 * size
    assert abs(products[0]) > 1e-6 * size  # the law says something


def test_one_example_one_feature_one_unit(x64):
    net = gl.MLP(depth=2, width=1, activation="tanh", init="xavier_normal")
    x, y = np.ones((1, 1)), np.zeros(1, int)
    params = net.init_params(0, x, outputs=2)
    value, grads = jax.jit(lambda p, y: gl.backprop(net, p, x, y))(params, y)  # with traced labels too
    theirs = jax.jit(jax.grad(lambda p: -jax.nn.log_softmax(net.apply(p, x))[:, 0].mean()))(params)
    assert max(cases.errors(net, grads, theirs).values()) <= 1e-12
    assert jnp.shape(value) == ()


def test_gradients_have_the_tree_of_the_parameters(x64):
    net = gl.MLP(depth=4, width=(3, 5, 5, 2), activation="elu")
    x, y = cases.data("mse")
    params = net.init_params(0, x, y)
    _, grads = jax.jit(lambda p: gl.backprop(net, p, x, y))(params)
    assert jax.tree.map(jnp.shape, grads) == jax.tree.map(jnp.shape, params)


def test_units_of_an_example_of_zeros_have_a_slope(x64):
    """x = 0 and no bias put every preactivation on 0, where the plain forward pass must have a derivative."""
    case = cases.COVERING[9]
    assert case.activation == "softplus"
    x, y = cases.data(case.loss)
    params = case.net.init_params(3, x, outputs=cases.OUTPUTS)
    (_, ours), (_, theirs) = cases.both(case, params, 0 * x, y, "float64")
    assert max(cases.errors(case.net, ours, theirs).values()) <= 1e-12


@pytest.mark.parametrize(
    ("y", "loss", "words"),
    [
        (np.array([0, 1, 2, 7]), None, "labels"),
        (np.array([-1, 0, 1, 2]), None, "labels"),
        (np.ones((4, 3)), "softmax_cross_entropy", "integer labels"),
        (np.ones((4, 2)), "mse", "shape"),
        (np.array([0, 1, 2, 0]), "msee", "mse"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y, loss, words):
    net = gl.MLP(depth=2, width=4)
    x = jnp.ones((4, 3))
    params = net.init_params(0, x, outputs=3)
    with pytest.raises(GradlabError, match=words):
        gl.backprop(net, params, x, y, loss=loss)
