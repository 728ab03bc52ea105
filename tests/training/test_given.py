"""Training from weights that are given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab.core.losses import plain_loss

NET = gl.MLP(depth=2, width=4, activation="tanh", init="xavier_normal")
HOW = {"steps": 1, "batch": 12, "test": 0.0, "records": [0, 1], "columns": ["log10_weight_grad_norm"],
       "progress": False}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 3)).astype("float32"), np.arange(12) % 2


@pytest.fixture(scope="module")
def params(data):
    """Weights that nothing of gradlab draws."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: NET.init_params(0, data[0], outputs=2))
    return jax.tree.map(lambda v: jnp.asarray(rng.normal(size=v.shape), "float32"), shapes)


@pytest.fixture(scope="module")
def run(data, params):
    return gl.train(NET, *data, params=params, learning_rate=0.5, seeds=2, **HOW)


@pytest.mark.slow
def test_one_step_from_given_weights_is_the_one_that_autodiff_makes(run, data, params):
    x, y = data
    grads = jax.jit(jax.grad(lambda p: plain_loss("softmax_cross_entropy")(NET.apply(p, x), y)))(params)
    for seed in (0, 1):  # of the whole batch: the order of the examples makes no difference but rounding
        after = jax.tree.map(lambda p, g: p - 0.5 * g, params, grads)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), run.params[seed], after)
    norms = [np.log10(np.linalg.norm(p["weight"])) for _, p in NET.layers(grads)]
    assert np.allclose(run.traces[0].columns["log10_weight_grad_norm"], [norms] * 2, atol=1e-5)


def test_the_frame_tells_it_from_a_training_whose_weights_are_drawn(run):
    from gradlab.config import TrainingConfig
    from gradlab.frames.rows import network_hash

    named = set(gl.frame(run)["network"])
    assert len(named) == 1
    assert named != {network_hash(TrainingConfig(NET, learning_rate=0.5))}


def test_each_seed_goes_on_from_its_own(run, data):
    on = gl.train(NET, *data, params=run.params, learning_rate=0.5, seeds=2, **HOW)
    for seed in (0, 1):
        before = np.log10(np.linalg.norm(NET.layers(run.params[seed])[0][1]["weight"]))
        found = gl.measure(NET, *data, params=run.params[seed], columns=HOW["columns"])
        assert np.isfinite(before)
        assert np.allclose(
            on.traces[0].columns["log10_weight_grad_norm"][seed], found.columns["log10_weight_grad_norm"][0], atol=1e-5
        )


def test_a_checkpoint_belongs_to_the_weights_it_began_with(data, params, tmp_path):
    pytest.importorskip("orbax.checkpoint")
    one = gl.train(NET, *data, params=params, checkpoint=tmp_path, **HOW)
    again = gl.train(NET, *data, params=params, checkpoint=tmp_path, **HOW)
    jax.tree.map(np.testing.assert_array_equal, one.params, again.params)
    moved = jax.tree.map(lambda v: v + 1, params)
    for other in (moved, None):
        with pytest.raises(GradlabError, match="a checkpoint of this training"):
            gl.train(NET, *data, params=other, checkpoint=tmp_path, **HOW)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: jax.tree.map(lambda v: v[..., :-1], p), "outputs for 2 classes"),
        (lambda p: {1: p, 3: p}, "params of seeds 0, 1"),
        (lambda p: {0: p, 1: jax.tree.map(lambda v: v[:1], p)}, "of shape|another tree|outputs"),
        (lambda p: "weights.npz", "the parameters of the network"),
    ],
)
def test_weights_that_do_not_fit_are_told(spoil, words, data, params):
    with pytest.raises(GradlabError, match=words):
        gl.train(NET, *data, params=spoil(params), seeds=2, **HOW)
