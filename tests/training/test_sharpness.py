"""Sharpness while training: of the preconditioned Hessian, its threshold, and its cost."""

import jax
import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab.config import TrainingConfig
from gradlab.core.losses import plain_loss
from gradlab.training.optimizers import rates, stable_below
from gradlab.training.plan import Plan
from gradlab.training.preconditioner import is_preconditioned, preconditioner
from gradlab.training.split import split
from gradlab.training.trainer import Trainer

NET = gl.MLP(depth=1, width=4, activation="tanh", init="xavier_normal")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))
ASKED = ("sharpness", "preconditioned_sharpness", "sharpness_threshold", "hessian_products")


def hessian(params):
    flat, back = jax.flatten_util.ravel_pytree(params)
    value = lambda v: plain_loss("mse")(NET.apply(back(v), X), Y)
    return np.asarray(jax.hessian(value)(flat))


def leaves(tree):
    return np.concatenate([np.asarray(leaf, float).ravel() for leaf in jax.tree.leaves(tree)])


@pytest.mark.slow
def test_eigenvalues_are_those_of_the_dense_hessian_with_and_without_a_preconditioner(x64):
    params = NET.init_params(0, X, Y)
    dense, p = hessian(params), jax.tree.map(lambda v: 0.1 + np.abs(v), params)
    found = gl.hessian_eigenvalues(NET, params, X, Y, count=3, preconditioner=p)
    root = leaves(p) ** -0.5
    wanted = np.linalg.eigvalsh(root[:, None] * dense * root)[::-1]
    # within the residual that Lanczos' method stops at, 0.001 of the largest
    np.testing.assert_allclose(found.values, wanted[:3], rtol=0, atol=1e-3 * wanted[0])
    assert gl.sharpness(NET, params, X, Y) == pytest.approx(np.linalg.eigvalsh(dense)[-1], rel=1e-3)
    with pytest.raises(GradlabError, match="positive numbers"):
        gl.sharpness(NET, params, X, Y, preconditioner=jax.tree.map(np.zeros_like, params))
    with pytest.raises(GradlabError, match="arrays of params"):
        gl.sharpness(NET, params, X, Y, preconditioner={})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_a_step_is_the_moving_average_over_the_preconditioner(name, x64):
    config = TrainingConfig(NET, optimizer=name, learning_rate=0.01, weight_decay=0.0)
    plan = Plan(steps=6, batch=12, records=(0, 6), loss="mse", dtype="float64", key=0, full_batch=True)
    of = Trainer(config, split(X, Y, 0.0, "all", 2, "noise", 0), plan)
    state, average = of.start(0), 0.0
    for _ in range(6):
        step = of.step(0, state)
        # of Adam the average of gradients that its formula begins from 0 with; RMSProp takes the gradient
        average = leaves(step.clipped) if name == "rmsprop" else 0.9 * average + 0.1 * leaves(step.clipped)
        wanted = -0.01 * average / leaves(preconditioner(config, state.params, step.after.opt_state))
        np.testing.assert_allclose(leaves(step.update), wanted, rtol=1e-9)
        state = step.after


def test_adam_with_a_fixed_preconditioner_is_stable_below_38_over_the_rate():
    bound = stable_below(TrainingConfig(NET, optimizer="adam"))
    assert bound == pytest.approx(38)

    def size(product):
        x, m = 1.0, 0.0
        for _ in range(400):
            m = 0.9 * m + 0.1 * product * x
            x -= m
        return abs(x)

    assert size(0.97 * bound) < 0.5 and size(1.03 * bound) > 10
    assert stable_below(TrainingConfig(NET, optimizer="rmsprop")) == 2


@pytest.mark.parametrize("name", ["adam", "momentum"])
@pytest.mark.slow
def test_columns_of_the_sharpness_are_those_of_the_training_loss(name, x64):
    run = gl.train(
        NET, X, Y, optimizer=name, learning_rate=0.01, schedule="linear", steps=4, batch="all", test=0.0,
        records=(0, 4), sharpness=True, columns=(*ASKED, "log10_train_loss"), dtype="float64", progress=False,
    )  # fmt: skip
    frame = gl.frame(run).query("layer == 1").set_index("step")
    config = TrainingConfig(NET, optimizer=name, learning_rate=0.01, schedule="linear")
    assert frame["sharpness_threshold"][0] == pytest.approx({"adam": 3800, "momentum": 380}[name])
    assert frame["sharpness_threshold"][4] == np.inf and rates(config, 4)[4] == 0
    np.testing.assert_allclose(frame["log10_abs_loss"], frame["log10_train_loss"], rtol=1e-12)
    largest = lambda params: np.linalg.eigvalsh(hessian(params))[-1]
    assert frame["sharpness"][4] == pytest.approx(largest(run.params[0]), rel=1e-3)
    assert ("preconditioned_sharpness" in frame) == (name == "adam")
    assert frame["hessian_products"].between(2 if name == "momentum" else 4, 2 * 26).all()  # 26 parameters


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_factors_of_rates_divide_the_preconditioner(name, x64):
    net = gl.MLP(depth=2, width=8, activation="tanh", init="he_normal", parametrization="mup", base_width=2)
    config = TrainingConfig(net, optimizer=name, learning_rate=0.01)
    plan = Plan(steps=1, batch=12, records=(0, 1), loss="mse", dtype="float64", key=0, full_batch=True)
    of = Trainer(config, split(X, Y, 0.0, "all", 2, "noise", 0), plan)
    state = of.start(0)
    step = of.step(0, state)
    p = preconditioner(config, state.params, step.after.opt_state, of.numbers["rate_factors"])
    share = 1.0 if name == "sgd" else 0.1
    np.testing.assert_allclose(leaves(step.update), -0.01 * share * leaves(step.clipped) / leaves(p), rtol=1e-9)
    assert len(np.unique(of.numbers["rate_factors"])) > 1
    assert is_preconditioned(config) and not is_preconditioned(TrainingConfig(NET, optimizer="sgd"))


@pytest.mark.slow
def test_a_sweep_trains_on_all_examples_and_reads_all_from_the_command_line(tmp_path):
    from gradlab.cli import main

    options = ["--depth", "1", "--width", "4", "--activation", "tanh", "--init", "he_normal", "--steps", "2"]
    options += ["--records", "2", "--seeds", "1", "--examples", "50", "--sharpness", "--quiet"]
    assert main(["train", "--batch", "all", *options, "--out", str(tmp_path / "run")]) == 0
    frame = gl.load(tmp_path / "run").frame
    assert set(frame["batch"]) == {40}  # a fifth of the 50 is kept apart
    assert np.isfinite(frame["sharpness"]).all() and set(frame["sharpness_threshold"]) == {20.0}
    assert main(["train", "--batch", "most", *options, "--out", str(tmp_path / "other")]) == 2
    assert gl.TrainingSweep(batch="64").batch == 64
