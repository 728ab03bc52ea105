"""Mean and largest absolute entry of a layer's weight gradient, beside the gradient that autodiff materialises."""

import jax
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.losses import plain_loss
from gradlab.networks.network import weighted
from tests.networks.architectures import CLASSES, TABLE

MEAN, MAX = "log10_weight_grad_mean_abs", "log10_weight_grad_max_abs"
PLAIN = TABLE[0]._replace(net=gl.MLP(depth=3, width=(5, 6, 6), activation="tanh"))
SLOW = [pytest.param(case, marks=pytest.mark.slow) for case in TABLE[2:]]


def blocks(params):
    """The weights of each row's block, the parts of stacked runs apart."""
    found = []
    for part in params:
        leaves = [np.asarray(leaf["weight"]) for _, leaf in weighted((), part)]
        copies = len(leaves[0]) if leaves[0].ndim > 2 else None
        found += [leaves] if copies is None else [[w[i] for w in leaves] for i in range(copies)]
    return found


@pytest.mark.parametrize("case", [PLAIN, TABLE[1], *SLOW], ids=str)
def test_they_are_those_of_the_gradient(case, x64):
    x, y = case.data()
    trace = gl.measure(case.net, x, y, key=2, seeds=[4], dtype="float64", columns=[MEAN, MAX])
    params = case.net.init_params(jax.random.fold_in(jax.random.key(2), 4), x, outputs=CLASSES)
    grads = jax.jit(jax.grad(lambda p: plain_loss("softmax_cross_entropy")(case.net.apply(p, x), y)))(params)
    rows = [i for i, v in enumerate(trace.columns[MAX][0]) if not np.isnan(v)]
    for row, block in zip(rows, blocks(grads), strict=True):
        entries = np.abs(np.concatenate([np.ravel(w) for w in block]))
        assert np.isclose(trace.columns[MAX][0, row], np.log10(entries.max()), rtol=0, atol=1e-10)
        assert np.isclose(trace.columns[MEAN][0, row], np.log10(entries.mean()), rtol=0, atol=1e-10)


def test_they_are_on_request_and_stay_far_below_the_range_of_the_format():
    net = gl.MLP(depth=80, width=16, activation="sigmoid", init="xavier_normal")
    x, y = TABLE[0].data("float32")
    assert MEAN not in gl.measure(gl.MLP(depth=1, width=2), x, y, seeds=1).columns
    trace = gl.measure(net, x, y, seeds=1, columns=[MEAN, MAX, "log10_weight_grad_norm"])
    mean, largest, norm = (trace.columns[name][0] for name in (MEAN, MAX, "log10_weight_grad_norm"))
    assert norm[0] < -45
    entries = np.array([info.fan_in * info.fan_out for info in trace.layers])
    # of n entries: mean <= root mean square <= largest <= norm; float32 rounds each to 1e-6 or so
    assert np.all(mean <= norm - 0.5 * np.log10(entries) + 1e-5)
    assert np.all(norm - 0.5 * np.log10(entries) <= largest + 1e-5)
    assert np.all(largest <= norm + 1e-5)


def test_a_step_is_a_row_even_where_nothing_is_measured_of_it():
    x, y = TABLE[3].data("float32")
    trace = gl.measure(TABLE[3].net, x, y, seeds=1, columns=["weight_norm"])
    assert [info.layer for info in trace.layers] == list(range(7))
    assert np.isfinite(trace.columns["weight_norm"][0]).tolist() == [True, *[False] * 5, True]


def test_a_block_of_several_weights_has_no_cosine_whatever_is_asked():
    x, y = TABLE[1].data("float32")
    trace = gl.measure(TABLE[1].net, x, y, seeds=1, columns=["gradient_cosine_mean"])
    assert np.isnan(trace.columns["gradient_cosine_mean"][0, 1:-1]).all()
