"""A network of a user's own layers is trained as the built-in one that has the same layers."""

import jax
import numpy as np
import optax
import pytest

import gradlab as gl

X, Y = np.random.default_rng(0).normal(size=(8, 4)).astype("float32"), np.arange(8) % 3
DEPTH, WIDTH = 4, 5
MLP = gl.MLP(depth=DEPTH, width=WIDTH, activation="tanh", init="xavier_normal")
LOSS = "softmax_cross_entropy"


def block(width=WIDTH, activation="tanh"):
    return gl.serial(gl.dense(width, "xavier_normal"), gl.activation(activation))


def network():
    """The layers of `MLP`, laid out as its parameters are."""
    return gl.CustomNetwork(gl.serial(block(), gl.repeat(block(), DEPTH - 1), block(3, "identity")), shape=(4,))


@pytest.mark.slow
def test_trained_checked_and_curved_as_the_built_in_one():
    params = MLP.init_params(0, X, Y)
    how = {
        "steps": 3,
        "batch": 4,
        "test": 0.0,
        "records": [3],
        "progress": False,
        "params": params,
        "optimizer": "adam",
    }
    ours, theirs = (gl.train(n, X, Y, **how, columns=["log10_update_ratio"]) for n in (network(), MLP))
    np.testing.assert_allclose(ours.losses[0], theirs.losses[0], rtol=1e-5)
    ratios = (run.traces[-1].columns["log10_update_ratio"] for run in (ours, theirs))
    np.testing.assert_allclose(next(ratios), next(ratios), atol=1e-4)
    assert gl.frame(ours)["network"][0] != gl.frame(theirs)["network"][0]
    curved = [gl.sharpness(n, params, X, Y, loss=LOSS) for n in (network(), MLP)]
    assert curved[0] == pytest.approx(curved[1], rel=1e-3)
    assert gl.check(network(), X, Y, quiet=True).ok
    counted = [gl.frame(gl.histograms(n, X, Y, params=params))["count"].tolist() for n in (network(), MLP)]
    assert counted[0] == counted[1]


@pytest.mark.slow
def test_lifted_and_residual_layers_have_rows():
    def init(key, shape):
        return {"weight": jax.random.normal(key, (*shape, WIDTH)) / 2}, (WIDTH,)

    own = gl.lift(init, lambda p, x: (x @ p["weight"], x), lambda p, x, dy: (dy @ p["weight"].T, {"weight": x.T @ dy}))
    branch = gl.residual(gl.serial(gl.layer_norm(), gl.activation("relu"), gl.dense(WIDTH)))
    net = gl.CustomNetwork(gl.serial(own, gl.repeat(branch, 3), gl.layer_norm(), gl.dense(3)), (4,), name="mine")
    table = gl.frame(gl.measure(net, X, Y, seeds=2))
    assert table["layer_name"].unique().tolist() == ["hidden_1", "hidden_2", "hidden_3", "hidden_4", "readout"]
    assert table["architecture"].unique().tolist() == ["mine"]
    assert np.isfinite(table["log10_delta_rms"]).all() and np.isfinite(table["log10_weight_grad_norm"]).all()
    assert table["gradient_snr"].isna().tolist() == [True, False, False, False, False] * 2
    run = gl.train(net, X, Y, steps=2, batch=4, records=[2], optimizer=optax.adam(1e-2), progress=False)
    assert np.isfinite(gl.frame(run)["log10_update_ratio"]).all()
    rates = gl.rates(table)
    assert rates["architecture"].tolist() == ["mine"]
    assert "mine" in str(next(iter(gl.predict_all(net, X).values())))


@pytest.mark.slow
def test_trained_in_a_sweep(tmp_path):
    how = {"steps": 2, "batch": 4, "records": [2], "test": 0.0, "columns": ["log10_update_ratio"]}
    sweep = gl.TrainingSweep(networks=[network()], optimizer=["sgd", "adam"], seeds=1, **how)
    table = gl.run(sweep, (X, Y), out=tmp_path / "run", progress=False)
    alone = gl.train(network(), X, Y, optimizer="adam", progress=False, **how)
    ours = table[table["optimizer"] == "adam"]["log10_update_ratio"]
    assert np.array_equal(ours, gl.frame(alone)["log10_update_ratio"])
