"""The optimisers by name: what they refuse, which weights a training hands back, equal blocks each by itself."""

import jax
import numpy as np
import optax
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab.config import OPTIMIZERS, TrainingConfig
from gradlab.config.training import LEARNING_RATES
from gradlab.core.scaled import plain
from gradlab.training.optimizers import decays_in_loss, numbers_in_update
from gradlab.training.plan import Plan
from gradlab.training.split import split
from gradlab.training.trainer import Trainer

NET = gl.MLP(depth=4, width=6, activation="tanh", init="xavier_normal")
X, Y = np.random.default_rng(0).normal(size=(24, 3)), np.arange(24) % 3


def test_each_has_a_rate_and_decays_once():
    assert set(LEARNING_RATES) == set(OPTIMIZERS)
    for name in OPTIMIZERS:
        config = TrainingConfig(NET, optimizer=name, weight_decay=0.5)
        in_update = float(numbers_in_update(config, 1, "float32")["decay_in_update"])
        assert (in_update, decays_in_loss(config)) in ((0.5, False), (0.0, True))
    decays = {name: TrainingConfig(NET, optimizer=name).weight_decay for name in OPTIMIZERS}
    assert {name: decay for name, decay in decays.items() if decay} == {"adamw": 1e-4, "lion": 1e-3}


def test_options_that_an_optimiser_has_not_got_are_refused():
    for name, option in (
        ("schedule_free", {"schedule": "cosine"}), ("muon", {"momentum": 0.8}), ("lion", {"momentum": 0.8}),
        ("sign", {"momentum": 0.8}), ("schedule_free", {"momentum": 0.8}),
    ):  # fmt: skip
        with pytest.raises(GradlabError, match=next(iter(option))):
            TrainingConfig(NET, optimizer=name, **option)
    grid = gl.TrainingSweep(
        depth=2, activation="tanh", init="he_normal", optimizer=["adam", "schedule_free"], schedule="cosine", warmup=5
    )
    assert [(c.optimizer, c.schedule, c.warmup) for c in grid.configs()] == [
        ("adam", "cosine", 5), ("schedule_free", "constant", 5)
    ]  # fmt: skip
    with pytest.raises(GradlabError, match="no optimiser of gradlab's"):
        gl.train(NET, X, Y, optimizer=optax.contrib.muon(0.01), label="muon")


@pytest.mark.slow
def test_of_schedule_free_the_average_is_recorded_and_handed_back(x64):
    how = {"steps": 30, "batch": 6, "test": 0.0, "records": (30,), "dtype": "float64", "sharpness": True}
    run = gl.train(NET, X, Y, optimizer="schedule_free", learning_rate=0.02, progress=False, **how)
    plan = Plan(30, 6, (30,), "softmax_cross_entropy", "float64", 0)
    config = TrainingConfig(NET, optimizer="schedule_free", learning_rate=0.02)
    of = Trainer(config, split(X, Y, 0.0, 6, 3, "noise", 0), plan)
    state, points = of.start(0), []
    for step in range(1, 31):
        state = of.advance(0, state, step)
        points.append(state.opt_state.z)
    mean = jax.tree.map(lambda *z: sum(z) / len(z), *points)
    distance = lambda a, b: max(float(np.abs(v - w).max()) for v, w in zip(*map(jax.tree.leaves, (a, b)), strict=True))
    assert distance(run.params[0], mean) < 1e-14
    assert distance(state.params, mean) > 1e-4  # gradients are taken elsewhere
    logits = NET.layer(3).forward(run.params[0], plain(X))[0].value()
    loss = float(np.mean(jax.nn.logsumexp(logits, axis=1) - np.take_along_axis(logits, Y[:, None], 1)[:, 0]))
    assert run.last("log10_train_loss")[0] == pytest.approx(np.log10(loss), abs=1e-12)
    norm = float(np.linalg.norm(run.params[0][-1][0]["weight"]))
    assert run.last("log10_weight_norm" if "log10_weight_norm" in run.traces[-1].columns else "weight_norm")[0] in (
        pytest.approx(norm, rel=1e-12), pytest.approx(np.log10(norm), rel=1e-12)
    )  # fmt: skip


def long_trainer(net, **how):
    plan = Plan(1, 6, (1,), "softmax_cross_entropy", "float32", 0)
    return Trainer(TrainingConfig(net, **how), split(X, Y, 0.0, 6, 3, "noise", 0), plan)


@pytest.mark.slow
def test_an_update_of_muon_has_one_size_in_every_layer_however_small_its_gradient():
    """Newton-Schulz makes singular values of 0.7 to 1.2 or so, unless they are far below the largest one."""
    net = gl.MLP(depth=8, width=6, activation="sigmoid", init="xavier_normal", bias=False)
    of = long_trainer(net, optimizer="muon", learning_rate=1.0)
    step = of.step(0, of.start(0))
    (_, hidden, _), (_, grads, _) = step.update, of.gradient(0, of.start(0))[2]
    updates, sizes = np.asarray(hidden[0]["weight"]), np.linalg.norm(np.asarray(grads[0]["weight"]), axis=(1, 2))
    assert sizes[-1] > 100 * sizes[0]
    largest = np.linalg.norm(updates, 2, axis=(1, 2))
    assert ((largest > 0.6) & (largest < 1.3)).all()


@pytest.mark.slow
def test_adaptive_clipping_knows_the_norms_of_each_layer():
    of = long_trainer(NET, optimizer="sgd", clip_adaptive=1e-3)
    state = of.start(0)
    clipped = of.step(0, state).clipped
    for name, axis in (("weight", 1), ("bias", 1)):
        weights = np.asarray(state.params[1][0][name])
        bound = 1e-3 * np.maximum(np.linalg.norm(weights, axis=axis), 1e-3)
        size = np.linalg.norm(np.asarray(clipped[1][0][name]), axis=axis)
        assert (size <= bound * (1 + 1e-5)).all() and (size > 0.99 * bound).any()
