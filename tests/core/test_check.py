"""`gl.check`: what is right passes, what is wrong is named, what cannot be compared is not called passed."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.core.activations import TABLE, Activation
from gradlab.core.attention import attention
from gradlab.core.case import case_of
from gradlab.core.check import program
from gradlab.core.layer import Layer
from gradlab.core.norm import batch_norm
from gradlab.core.outcome import Outcome
from tests import cases


def names(result):
    return {(r.layer, r.parameter): r for r in result.rows}


@pytest.mark.parametrize(
    "case", [c if c in cases.ODD else pytest.param(c, marks=pytest.mark.slow) for c in cases.FAST[::5]], ids=str
)
def test_what_is_right_passes(case):
    x, y = cases.data(case.loss)
    result = gl.check(case.net, x, y, loss=case.loss, quiet=True)
    assert result.ok, result
    assert result.max_error <= 1e-12
    rows = names(result)
    for layer in [*(f"hidden_{i + 1}" for i in range(case.depth)), "readout"]:
        assert rows[layer, "weight"].autodiff == "compared"
        assert rows[layer, "weight"].differences == "compared"
        assert rows[layer, "activation"].differences in ("compared", "below resolution")
    assert max(r.difference for r in result.rows if r.differences == "compared" and r.layer != "network") <= 1.5e-8


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", cases.FAST, ids=str)
def test_all_cases_pass(case, dtype):
    x, y = cases.data(case.loss)
    assert gl.check(case.net, x, y, loss=case.loss, dtype=dtype, quiet=True).ok


@pytest.mark.slow
def test_what_jax_grad_cannot_hold_is_not_called_passed(capsys):
    """A sigmoid network of depth 70: float32 holds 0 below the upper 57 layers or so."""
    x, y = cases.data("mse")
    net = gl.MLP(depth=70, width=16, activation="sigmoid", init="xavier_normal")
    result = gl.check(net, x, y, dtype="float32")
    rows = names(result)
    assert result.ok
    assert rows["hidden_1", "weight"].autodiff is Outcome.OUT_OF_RANGE
    assert rows["hidden_1", "weight"].not_compared.startswith("not compared: jax.grad is out of range (")
    assert np.isnan(rows["hidden_1", "weight"].error)
    assert rows["hidden_70", "weight"].autodiff == "compared"
    assert rows["hidden_1", "weight"].differences == "compared"  # by itself it can be compared at any depth
    assert rows["network", "direction"].differences in ("compared", "below resolution")
    printed = capsys.readouterr().out
    assert "out of range" in printed
    assert str(result) in printed


def test_where_nothing_can_be_compared_it_is_not_ok():
    nothing = Layer(
        lambda key, shape: ({}, shape),
        lambda p, x: (x._replace(mantissa=jnp.nan * x.mantissa), ()),
        lambda p, s, dy, read: (dy, {}),
    )
    result = gl.check(nothing, np.ones((2, 3)), quiet=True)
    assert not result.ok
    assert "nothing could be compared" in str(result)


@pytest.fixture
def wrong(request):
    """Another (phi, phi') under the name of tanh, for one test."""
    right = TABLE["tanh"]

    def put(dphi):
        TABLE.fill([replace(right, dphi=dphi)])

    yield put
    TABLE.fill([right])


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        pytest.param(lambda d: jnp.ones_like, "phi' is missing", marks=pytest.mark.slow),
        (lambda d: lambda z: -d(z), "sign"),
        (lambda d: lambda z: 0.999 * d(z), "constant factor, 0.999"),
        pytest.param(lambda d: jnp.zeros_like, "it is 0", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_derivative_is_found_and_named(wrong, make, hint):
    wrong(make(TABLE["tanh"].dphi))
    x, y = cases.data("mse")
    result = gl.check(gl.MLP(depth=2, width=4, activation="tanh"), x, y, quiet=True)
    rows = names(result)
    assert not result.ok
    assert hint in rows["hidden_2", "activation"].hint
    assert hint in rows["hidden_1", "activation"].hint
    assert rows["hidden_2", "bias"].differences == "compared"
    assert not rows["hidden_2", "bias"].ok
    assert rows["readout", "weight"].ok
    assert "look at hidden_2 activation" in str(result)


def own(backward):
    """A dense layer of 4 units without bias, with another backward pass."""
    init = lambda key, shape: ({"weight": gl.dense(4).init(key, shape)[0]["weight"]}, (4,))
    return gl.lift(init, lambda p, x: (x @ p["weight"], x), backward)


@pytest.mark.parametrize(
    ("backward", "row", "hint"),
    [
        (lambda p, x, dy: (dy @ p["weight"], {"weight": x.T @ dy}), "input", "not transposed"),
        (lambda p, x, dy: (-dy @ p["weight"].T, {"weight": x.T @ dy}), "input", "sign"),
        (lambda p, x, dy: (dy @ p["weight"].T, {"weight": dy.T @ x}), "weight", "equal after a transpose"),
        (lambda p, x, dy: (dy @ p["weight"].T, {"weight": -x.T @ dy}), "weight", "sign"),
        (lambda p, x, dy: (dy @ p["weight"].T, {"weight": 0.999 * x.T @ dy}), "weight", "constant factor, 0.999"),
        (
            lambda p, x, dy: (dy @ p["weight"].T, {"weight": x.T @ dy / 8}),
            "weight",
            "mean over the batch is taken twice",
        ),
        (lambda p, x, dy: (dy @ p["weight"].T, {"weight": 8 * x.T @ dy}), "weight", "mean over the batch is missing"),
        (lambda p, x, dy: (dy @ p["weight"].T, {"weight": jnp.nan * x.T @ dy}), "weight", "not finite"),
    ],
)
def test_a_bare_layer_is_checked_and_its_mistake_named(backward, row, hint):
    result = gl.check(own(backward), cases.data("mse", features=4)[0], quiet=True)
    assert not result.ok
    assert hint in names(result)["layer", row].hint, result


@pytest.mark.parametrize(
    ("backward", "words"),
    [
        (lambda p, x, dy: (dy @ p["weight"].T, {}), "tree like the parameters"),
        (lambda p, x, dy: (dy @ p["weight"].T, {"weight": dy}), "shape"),
        (lambda p, x, dy: (dy @ p["nothing"].T, {"weight": dy}), "backward pass that runs"),
        (lambda p, x, dy: (dy @ p["weight"][:3].T, {"weight": x.T @ dy}), "for the input"),
    ],
)
def test_a_backward_pass_of_the_wrong_form_is_told(backward, words):
    with pytest.raises(GradlabError, match=words):
        gl.check(own(backward), cases.data("mse", features=4)[0], quiet=True)


@pytest.mark.parametrize(("dtype", "wrong"), [("float64", 1e-9), pytest.param("float32", 1e-3, marks=pytest.mark.slow)])
def test_a_gradient_that_is_truly_zero_is_not_called_wrong(dtype, wrong):
    """A batch norm takes the mean away: what the bias before it gets is rounding, in both programs another."""
    dense = gl.dense(4)

    def backward(params, saved, dy, read):
        dx, grads = dense.backward(params, saved, dy, read)
        return dx, {**grads, "bias": grads["bias"] + wrong}

    x = np.random.default_rng(3).normal(size=(64, 5))
    rows = names(gl.check(gl.serial(dense, batch_norm()), x, dtype=dtype, quiet=True))
    (bias,) = (row for (layer, name), row in rows.items() if name == "bias" and row.scale < 1e-4)
    assert bias.ok and (bias.autodiff is Outcome.ROUNDING or bias.error == 0)
    broken = gl.check(gl.serial(dense._replace(backward=backward), batch_norm()), x, dtype=dtype, quiet=True)
    assert not names(broken)[bias.layer, "bias"].ok


@pytest.mark.slow
def test_given_weights_and_kinks():
    """Weights on which preactivations lie exactly on the kink: samples are taken off it."""
    net = gl.MLP(depth=2, width=3, activation="relu")
    x, y = cases.data("mse")
    params = net.init_params(0, x.astype("float32"), y)
    params[0][0]["weight"] = params[0][0]["weight"].at[:, 0].set(0)
    assert gl.check(net, x, y, params=params, quiet=True).ok


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": np.full((8, 6), np.nan)}, "finite"),
        ({"x": np.ones(8)}, "examples, features"),
        (
            {"net": batch_norm(), "x": np.ones((1, 3)), "y": None},
            "^expected a batch of at least 2 examples.*received 1",
        ),
        ({"net": attention(3), "x": np.ones((2, 3, 4)), "y": None}, "^expected heads that divide"),
        ({"x": "text"}, "array of numbers"),
        ({"y": np.arange(5)}, "one target"),
        ({"y": None}, "targets y"),
        ({"loss": "sofmax"}, "softmax_cross_entropy"),
        ({"dtype": "float16"}, "float32"),
        ({"net": 3}, "a network or a Layer"),
        ({"loss": "softmax_cross_entropy", "y": np.ones((8, 3))}, "integer labels"),
        (
            {"params": gl.MLP(depth=1, width=2).init_params(0, np.ones((1, 9), "float32"), outputs=3)},
            "of shape .6, 2., as",
        ),
    ],
)
def test_bad_input_is_told(change, words):
    x, y = cases.data("softmax_cross_entropy")
    given = {"net": gl.MLP(depth=1, width=2), "x": x, "y": y, **change}
    with pytest.raises(GradlabError, match=words):
        gl.check(given.pop("net"), given.pop("x"), given.pop("y"), quiet=True, **given)


@pytest.mark.slow
def test_probe_needs_no_targets():
    assert gl.check(gl.MLP(depth=1, width=3), np.ones((2, 2)), loss="probe", quiet=True).ok


@pytest.mark.slow
def test_the_table_of_a_deep_network_is_short():
    x, y = cases.data("mse")
    result = gl.check(gl.MLP(depth=40, width=4, activation="tanh", init="xavier_normal"), x, y, quiet=True)
    assert len(result.rows) > 150
    assert len(str(result).splitlines()) < 50
    assert "rows more" in str(result)


def test_an_activation_pair_is_a_plain_record():
    assert isinstance(TABLE["tanh"], Activation)


def attention_truth(x, params, u):
    """The gradient by the queries' weight of two heads, in extended precision."""
    long = np.longdouble
    params = jax.tree.map(lambda v: np.asarray(v).astype(long), params)
    x, u = x.astype(long), u.astype(long)
    batch, time, features = x.shape
    split = lambda z: z.reshape(batch, time, 2, features // 2).swapaxes(1, 2)
    q, k, v = (split(x @ params[n]["weight"] + params[n].get("bias", 0)) for n in ("query", "key", "value"))
    root = np.sqrt(long(features // 2))
    scores = np.exp(q @ k.swapaxes(-1, -2) / root)
    p = scores / scores.sum(-1, keepdims=True)
    dp = split(u @ params["output"]["weight"].T) @ v.swapaxes(-1, -2)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / root
    return np.einsum("bti,btj->ij", x, (ds @ k).swapaxes(1, 2).reshape(x.shape))


def alike(spread, offset):
    """Sequences whose values are nearly the same: the gradient by queries is what is left of large terms."""
    return offset + spread * np.random.default_rng(0).normal(size=(4, 6, 8))


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="a long double of 64 bits or more")
def test_the_gradient_of_queries_of_values_that_are_alike_keeps_its_digits():
    x = alike(1e-3, 5.0)
    with jax.enable_x64(True):
        case = case_of(gl.attention(2), x, None, None, jax.random.key(0), None, "float64")
        (_, grads, _), _ = program(case)(case.params, case.x)
    wanted = attention_truth(x, case.params, np.asarray(case.y))
    error = np.max(np.abs(np.asarray(grads["query"]["weight"]) - wanted)) / np.max(np.abs(wanted))
    # the values lose spread / offset where their mean is taken off; the keys nothing, for ds sums to 0
    assert error < 50 * np.finfo(float).eps / (1e-3 / 5.0)


@pytest.mark.parametrize(("spread", "offset"), [pytest.param(1e-2, 1.0, marks=pytest.mark.slow), (1e-4, 5.0)])
@pytest.mark.slow
def test_what_rounding_leaves_of_terms_that_cancel_is_not_wrong_and_an_error_of_1e_9_is(spread, offset):
    layer, x = gl.attention(2), alike(spread, offset)
    found = gl.check(layer, x, quiet=True)
    queries = {row.parameter: row for row in found.rows if row.parameter.startswith("query")}
    assert found.ok and {row.autodiff for row in queries.values()} == {"compared"}, found

    def backward(params, saved, dy, read):
        dx, record = layer.backward(params, saved, dy, read)
        return dx, record | {"query": jax.tree.map(lambda g: g * (1 + 1e-9), record["query"])}

    wrong = gl.check(gl.Layer(layer.init, layer.forward, backward), x, quiet=True)
    assert {row.parameter for row in wrong.failures} == {"query.bias", "query.weight"}
    assert all("a constant factor, 1 +1e-09" in row.hint for row in wrong.failures)


def test_what_rounding_covers_is_not_compared():
    found = gl.check(gl.attention(2), alike(1e-4, 20.0), quiet=True)
    hidden = [row.not_compared for row in found.rows if row.parameter.startswith("query")]
    assert found.ok and all("its terms cancel, rounding may be" in told for told in hidden)
