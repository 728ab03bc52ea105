"""The simple noise scale: by its definition, of blocks of several weights, and as a table with intervals."""

import jax
import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.core.losses import plain_loss
from gradlab.networks.network import weighted
from tests.networks.architectures import CLASSES, ODD, TABLE

COLUMN = "inverse_noise_scale"
PLAIN = TABLE[0]._replace(net=gl.MLP(depth=2, width=5, activation="tanh"))
RECURRENT = [
    pytest.param(case, marks=pytest.mark.slow) for case in (TABLE[3], *(case for case in ODD if "lru" in str(case)))
]


def blocks(params):
    """The weights of each row's block as one vector, the copies of repeated blocks each by itself."""
    vectors = []
    for part in params:
        leaves = [np.asarray(leaf["weight"]) for _, leaf in weighted((), part)]
        copies = range(len(leaves[0])) if leaves[0].ndim > 2 else [...]
        vectors += [np.concatenate([w[i].ravel() for w in leaves]) for i in copies]
    return vectors


@pytest.mark.parametrize("case", [PLAIN, pytest.param(TABLE[1], marks=pytest.mark.slow), *RECURRENT], ids=str)
def test_it_is_the_mean_product_of_two_examples_over_the_trace_of_the_covariance(case, x64):
    """<g_i, g_j> of two independent examples is |G|^2 in the mean: no batch size enters."""
    x, y = case.data()
    trace = gl.measure(case.net, x, y, key=2, seeds=[4], dtype="float64", columns=[COLUMN])
    assert {*trace.columns} == {COLUMN, "log10_abs_loss", "loss_sign"}
    params = case.net.init_params(jax.random.fold_in(jax.random.key(2), 4), x, outputs=CLASSES)
    one = lambda p, xi, yi: plain_loss("softmax_cross_entropy")(case.net.apply(p, xi[None]), yi[None])
    each = jax.jit(jax.vmap(jax.grad(one), (None, 0, 0)))(params, x, y)
    own = [np.stack(rows) for rows in zip(*(blocks(jax.tree.map(lambda v: v[i], each)) for i in range(len(x))))]  # noqa: B023, B905
    seen = trace.columns[COLUMN][0]
    seen = seen[~np.isnan(seen)]  # time steps have no weight
    assert len(seen) == len(own)
    for value, vectors in zip(seen, own, strict=True):
        products = vectors @ vectors.T
        pairs = products[~np.eye(len(x), dtype=bool)].mean()
        assert value == pytest.approx(pairs / np.trace(np.cov(vectors.T)), rel=1e-9, abs=1e-12)


def test_one_example_has_no_noise_scale_and_a_lost_gradient_has_one():
    x, y = PLAIN.data("float32")
    assert np.isnan(gl.measure(PLAIN.net, x[:1], y[:1], seeds=1, columns=[COLUMN]).columns[COLUMN]).all()
    deep = gl.MLP(depth=80, width=16, activation="sigmoid", init="xavier_normal")  # a gradient of 1e-45 at the input
    assert np.isfinite(gl.measure(deep, x, y, seeds=1, columns=[COLUMN]).columns[COLUMN]).all()


def table(values, **columns):
    return pd.DataFrame({"layer": 1, "seed": range(len(values)), COLUMN: values, **columns})


def test_the_inverse_is_averaged_then_inverted():
    rows = gl.noise_scales(table([0.1, 0.3], step=0), by="layer")
    assert rows.columns.tolist() == ["layer", "noise_scale", "low", "high", "n"]
    # mean 0.2, half-width 12.706 * 0.1414 / 1.4142: the lower end is below 0
    assert rows["noise_scale"][0] == pytest.approx(5) and rows["low"][0] == pytest.approx(1 / 1.4706, rel=1e-4)
    assert rows["high"][0] == np.inf and rows["n"][0] == 2
    nothing = gl.noise_scales(table([-0.1, 0.05]), by="layer")
    assert nothing["noise_scale"][0] == np.inf and nothing["low"][0] > 0
    assert np.isnan(gl.noise_scales(table([0.1]), by="layer")["high"][0])
    with pytest.raises(GradlabError, match=COLUMN):
        gl.noise_scales(table([0.1]).drop(columns=COLUMN))
