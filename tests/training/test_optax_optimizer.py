"""A user's own optimiser has a name, a hash and checkpoints of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradlab as gl
from gradlab.config import TrainingConfig
from gradlab.frames.rows import concat, failed_rows
from gradlab.training.optax_optimizer import optax_optimizer

NET = gl.MLP(depth=1, width=3)
X, Y = np.random.default_rng(0).normal(size=(8, 2)).astype("float32"), np.arange(8) % 2
HOW = {"steps": 2, "batch": 4, "test": 0.0, "records": [2], "columns": ["weight_norm"], "progress": False}
PARAMS = jax.eval_shape(lambda: NET.init_params(0, X, outputs=2))


def test_a_frame_names_it():
    own = optax_optimizer(optax.adam(1e-3), None, PARAMS)
    config = TrainingConfig(NET, optimizer=own.label, optimizer_fingerprint=own.fingerprint)
    rows = lambda config: failed_rows(config, [0], "ok", loss="mse", data="", batch=8, dtype="float32")
    table = rows(config)
    assert table["optimizer"].tolist() == [own.label]
    assert table["learning_rate"].dtype == float and table["learning_rate"].isna().all()
    other = optax_optimizer(optax.adam(1e-2), own.label, PARAMS)
    same_label = TrainingConfig(NET, optimizer=other.label, optimizer_fingerprint=other.fingerprint)
    found = concat([table, rows(TrainingConfig(NET)), rows(same_label)])
    assert found["network"].nunique() == 3
    assert found["learning_rate"].isna().tolist() == [True, False, True]


@pytest.mark.slow
def test_it_is_not_called_sgd():
    run = gl.train(NET, X, Y, optimizer=optax.adam(1e-3), **HOW)
    table = gl.frame(run)
    (name,) = table["optimizer"].unique()
    assert name.startswith("optax ")
    assert table["learning_rate"].dtype == float and table["learning_rate"].isna().all()
    named = {TrainingConfig(NET, optimizer=name).as_dict()["training"]["optimizer"] for name in ("sgd", "adam")}
    assert name not in named
    both = gl.frame([*run.traces, *gl.train(NET, X, Y, optimizer=optax.adam(1e-2), label="faster", **HOW).traces])
    assert both["network"].nunique() == 2
    assert both["optimizer"].unique().tolist() == [name, "faster"]


def test_it_is_known_by_what_it_computes():
    of = lambda transformation, params=PARAMS: optax_optimizer(transformation, None, params)
    falling = lambda rate: optax.adam(optax.linear_schedule(rate, 0.0, 10))
    one = of(optax.adam(1e-3))
    assert one == of(optax.adam(1e-3)) and hash(one) == hash(of(optax.adam(1e-3)))
    masked = optax.masked(optax.adam(1e-3), lambda p: jax.tree.map(lambda v: v.ndim > 1, p))
    others = [optax.adam(2e-3), optax.adamw(1e-3), falling(1e-3), falling(2e-3), optax.adam(1e-3, b1=0.8), masked]
    assert len({one, *map(of, others)}) == 1 + len(others)
    wider = jax.eval_shape(lambda: gl.MLP(depth=1, width=4).init_params(0, X, outputs=2))
    assert of(optax.adam(1e-3), wider).label == one.label


def test_options_that_it_has_inside_are_refused():
    for option in ({"learning_rate": 0.1}, {"momentum": 0.5}, {"schedule": "cosine"}, {"warmup": 1}):
        with pytest.raises(gl.GradlabError, match=next(iter(option))):
            gl.train(NET, X, Y, optimizer=optax.sgd(0.1), **option, **HOW)
    with pytest.raises(gl.GradlabError, match="no optimiser of gradlab's"):
        gl.train(NET, X, Y, optimizer=optax.adam(0.1), label="sgd", **HOW)
    with pytest.raises(gl.GradlabError, match="label= only"):
        gl.train(NET, X, Y, optimizer="adam", label="mine", **HOW)
    with pytest.raises(gl.GradlabError, match="optax transformation"):
        gl.train(NET, X, Y, optimizer=0.1, **HOW)


def test_adamw_decays_as_optax_s_does():
    assert TrainingConfig(NET, optimizer="adamw").weight_decay == 1e-4
    assert TrainingConfig(NET, optimizer="adam").weight_decay == 0
    assert TrainingConfig(NET, optimizer="adamw", weight_decay=0.0).weight_decay == 0
    grid = gl.TrainingSweep(depth=1, optimizer=["adam", "adamw"], activation="relu", init="he_normal")
    assert [config.weight_decay for config in grid.configs()] == [0, 1e-4]


@pytest.mark.slow
def test_another_one_s_checkpoint_is_refused(tmp_path):
    train = lambda transformation: gl.train(NET, X, Y, optimizer=transformation, checkpoint=tmp_path / "kept", **HOW)
    first = train(optax.adam(1e-3))
    assert np.array_equal(train(optax.adam(1e-3)).losses[0], first.losses[0])
    with pytest.raises(gl.GradlabError, match="checkpoint of this training"):
        train(optax.adam(1e-2))


@pytest.mark.slow
def test_a_function_registered_again_does_not_go_on_from_a_checkpoint(tmp_path, forget):
    gl.register_activation("own", jnp.sin, jnp.cos)
    net = gl.MLP(depth=1, width=3, activation="own")
    train = lambda: gl.train(net, X, Y, checkpoint=tmp_path / "kept", **HOW)
    train()
    gl.register_activation("own", jnp.tanh, lambda z: 1 - jnp.tanh(z) ** 2)
    with pytest.raises(gl.GradlabError, match="functions"):
        train()
