"""Dropout in every network: its gradients, where its masks stand, and that it leaves the parameters alone."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab.core.initializers import default_dtype
from gradlab.core.losses import plain_loss
from gradlab.core.scaled import plain
from tests.networks.architectures import BATCH, CLASSES, ODD, TABLE

RATE = 0.3
#: max|difference| / max|gradient|: a few hundred roundings in float64.
TOLERANCE = 1e-12
#: One network of each kind; those that take longest to compile are among the slow tests.
KINDS = [*TABLE[:2], *(pytest.param(a, marks=pytest.mark.slow) for a in TABLE[2:])]
SLOW = [pytest.param(a, marks=pytest.mark.slow) for a in ODD if not getattr(a.net, "truncate", None)]


def forward(net, dropout, params, x):
    """The plain forward pass with dropout, and what it saves."""
    return net.layer(CLASSES, dropout).forward(params, plain(jnp.asarray(x)))


class Program:
    """One compiled program for all that is asked of a network: rate and key are its arguments."""

    def __init__(self, case):
        x, y = case.data()
        # parameters move off their initial values, which hide mistakes
        rng = np.random.default_rng(1)
        shapes = jax.eval_shape(lambda: case.net.init_params(3, x, outputs=CLASSES))
        self.params = jax.tree.map(lambda v: jnp.asarray(rng.normal(size=v.shape)), shapes)
        self.traced = 0

        @jax.jit
        def everything(params, dropout):
            self.traced += 1

            def loss(params):
                logits, saved = forward(case.net, dropout, params, x)
                return plain_loss("softmax_cross_entropy")(logits.value(), y), saved

            (value, saved), grads = jax.value_and_grad(loss, has_aux=True)(params)
            without = plain_loss("softmax_cross_entropy")(case.net.apply(params, x), y)
            return gl.backprop(case.net, params, x, y, dropout=dropout), (value, grads), without, saved

        self.run = everything

    def __call__(self, rate, seed):
        """Value and gradients, the same by automatic differentiation, the loss without dropout, the masks."""
        *found, saved = self.run(self.params, gl.Dropout(rate, jax.random.key(seed)))
        kept = [np.asarray(v) for v in jax.tree.leaves(saved) if v.dtype == bool]
        # those of stacked copies apart
        return *found, [m for v in kept for m in ([v] if len(v) == BATCH else v)]


program = functools.cache(Program)


@pytest.mark.parametrize("case", [*KINDS, *SLOW], ids=str)
def test_gradients_equal_those_of_jax_grad_with_the_same_masks(case, x64):
    (value, grads), (expected, theirs), without, _ = program(case)(RATE, 5)
    assert abs(value - expected) < TOLERANCE * abs(expected)
    assert abs(value - without) > 1e-3 * abs(without)
    assert jax.tree.structure(grads) == jax.tree.structure(theirs) == jax.tree.structure(program(case).params)
    scale = max(np.max(np.abs(g)) for g in jax.tree.leaves(theirs))
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(grads), jax.tree.leaves(theirs), strict=True):
        # a bias before a batch norm has a gradient of 0, of which only rounding is left
        largest = max(np.max(np.abs(b), initial=0), 1e-3 * scale)
        assert np.max(np.abs(a - b), initial=0) <= TOLERANCE * largest, path


#: Masks of each network of the table.
COUNTS = {"mlp": 3, "resnet": 6, "convnet": 3, "rnn": 1, "transformer": 4}


@pytest.mark.parametrize("case", KINDS, ids=str)
def test_each_layer_has_a_mask_of_its_own_and_equal_keys_give_equal_masks(case, x64):
    """All by one compilation."""
    found, traced = program(case)(RATE, 7)[-1], program(case).traced
    again, other = (program(case)(RATE, seed)[-1] for seed in (7, 8))
    assert program(case).traced == traced
    assert len(found) == COUNTS[case.net.architecture]
    for a, b, c in zip(found, again, other, strict=True):
        assert np.array_equal(a, b) and not np.array_equal(a, c)
    for a, b in itertools.combinations(found, 2):
        assert a.shape != b.shape or not np.array_equal(a, b)
    kept = np.concatenate([np.ravel(m) for m in found])
    assert abs(kept.mean() - (1 - RATE)) < 5 * (RATE * (1 - RATE) / kept.size) ** 0.5


@pytest.mark.parametrize("case", KINDS, ids=str)
def test_a_rate_of_0_is_no_dropout_and_no_dropout_draws_nothing(case, x64):
    (value, _), _, without, masks = program(case)(0.0, 1)
    assert abs(value - without) < TOLERANCE * abs(without) and all(np.all(m) for m in masks)
    x, y = case.data()
    step = lambda dropout: lambda p: gl.backprop(case.net, p, x, y, dropout=dropout)
    assert "random_bits" in str(jax.make_jaxpr(step(gl.Dropout(0.0, 1)))(program(case).params))
    assert "random_bits" not in str(jax.make_jaxpr(step(None))(program(case).params))


@pytest.mark.parametrize("case", [TABLE[0], *(pytest.param(a, marks=pytest.mark.slow) for a in TABLE[1:])], ids=str)
def test_parameters_are_those_of_the_network_without_dropout(case):
    draw = lambda dropout: jax.jit(lambda key: case.net.layer(CLASSES, dropout).init(key, case.shape)[0])
    with_it, without = (draw(dropout)(jax.random.key(0)) for dropout in (gl.Dropout(RATE, 1), None))
    assert jax.tree.structure(with_it) == jax.tree.structure(without)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(with_it), jax.tree.leaves(without), strict=True))


def dropped(net):
    """Logits with every mask 0; and logits without dropout where the weights between first and last part are 0."""
    x = np.random.default_rng(0).normal(size=(4, 6, 3) if net.ranks != (1,) else (4, 3)).astype(default_dtype())
    silent = lambda path, v: jnp.zeros_like(v) if path[-1].key == "weight" else v

    @jax.jit
    def both(key):
        params = net.layer(CLASSES).init(key, x.shape[1:])[0]
        rest = params[0], *jax.tree_util.tree_map_with_path(silent, params[1:-1]), params[-1]
        return forward(net, gl.Dropout(1 - 1e-7, 0), params, x)[0].value(), net.apply(rest, x)

    return both(jax.random.key(0))


@pytest.mark.parametrize("net", [
    gl.MLP(depth=3, width=5, activation="softplus"),
    pytest.param(gl.MLP(depth=3, width=(5, 4, 4), activation="sigmoid"), marks=pytest.mark.slow),
    pytest.param(gl.ConvNet(depth=2, width=3, activation="softplus"), marks=pytest.mark.slow),
], ids=str)  # fmt: skip
def test_where_all_is_dropped_nothing_reaches_the_readout(net):
    """Masks behind the activation: softplus and sigmoid of a 0 would be none."""
    assert np.array_equal(dropped(net)[0], np.zeros((4, CLASSES)))


@pytest.mark.parametrize("net", [
    gl.ResNet(depth=3, width=4, activation="softplus", norm_position="after", bias=False),
    *(pytest.param(net, marks=pytest.mark.slow) for net in (
        gl.ResNet(depth=3, width=4, activation="softplus", norm="layer", bias=False),
        gl.ResNet(depth=2, width=4, activation="softplus", branch="conv", branch_layers=1, bias=False),
        gl.Transformer(depth=2, width=4, heads=2),
        gl.Transformer(depth=2, width=4, heads=2, norm_position="after"),
    )),
], ids=str)  # fmt: skip
def test_where_all_is_dropped_the_stream_stays(net):
    """Masks behind the activations of a branch, or on its output: then the branches are silent, and nothing else."""
    logits, alone = dropped(net)
    assert np.max(np.abs(alone)) > 0.1
    np.testing.assert_allclose(logits, alone, rtol=1e-5, atol=1e-6)


def test_the_mask_of_a_recurrent_network_stands_on_its_last_state_alone(x64):
    case = TABLE[3]
    x, _ = case.data()
    key = jax.random.key(2)

    @jax.jit
    def both(params):
        state = case.net.stack(CLASSES).earlier.forward(params[:1], plain(jnp.asarray(x)))[0].value()
        kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 1 - RATE, state.shape)
        head = params[-1][0]
        expected = jnp.where(kept, state / (1 - RATE), 0) @ head["weight"] + head["bias"]
        return forward(case.net, gl.Dropout(RATE, key), params, x)[0].value(), expected

    np.testing.assert_allclose(*both(program(case).params), rtol=1e-12)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_rates_outside_the_range(case, rate):
    x, y = case.data()
    step = lambda params: gl.backprop(case.net, params, x, y, dropout=gl.Dropout(rate, 0))
    with pytest.raises(GradlabError, match="dropout rate of at least 0 and below 1"):
        jax.eval_shape(lambda: step(case.net.init_params(0, x, outputs=CLASSES)))


def test_a_branch_without_an_activation_inside_has_no_place_for_dropout():
    net = gl.ResNet(depth=2, width=4, norm_position="after", branch_layers=1)
    with pytest.raises(GradlabError, match=r"an activation inside the branches.*branch_layers=2"):
        net.layer(CLASSES, gl.Dropout(RATE, 0))
