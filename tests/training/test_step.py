"""One step of a training against automatic differentiation and optax, at each state of a trajectory."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradlab as gl
from gradlab.config import OPTIMIZERS, TrainingConfig
from gradlab.core.layer import walk
from gradlab.core.losses import plain_loss
from gradlab.core.scaled import plain
from gradlab.training import program
from gradlab.training.plan import Plan
from gradlab.training.split import split
from gradlab.training.trainer import Trainer
from tests.networks.architectures import CLASSES, TABLE

#: States of one trajectory, and max|difference| over the size of the step and of the parameters, in float64.
STATES, TOLERANCE = 100, 1e-12
SEED = 3
#: Rates at which every one of the small networks moves, and none diverges.
RATES = {
    "sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "rmsprop": 0.003, "adam": 0.003, "adamw": 0.003,
    "muon": 0.003, "lion": 0.001, "schedule_free": 0.003, "sign": 0.001,
}  # fmt: skip
REFERENCES = {
    "sgd": lambda rate, wd: optax.sgd(rate),
    "momentum": lambda rate, wd: optax.sgd(rate, momentum=0.9),
    "nesterov": lambda rate, wd: optax.sgd(rate, momentum=0.9, nesterov=True),
    "rmsprop": lambda rate, wd: optax.rmsprop(rate),
    "adam": lambda rate, wd: optax.adam(rate),
    "adamw": lambda rate, wd: optax.adamw(rate, weight_decay=wd, mask=is_weight),
    "muon": lambda rate, wd: optax.contrib.muon(rate, weight_decay=wd),
    "lion": lambda rate, wd: optax.lion(rate, weight_decay=wd, mask=is_weight),
    "schedule_free": lambda rate, wd: optax.contrib.schedule_free(
        optax.chain(
            optax.scale_by_rms(decay=0.999, eps_in_sqrt=False, bias_correction=True),
            optax.add_decayed_weights(wd, mask=is_weight),
            optax.scale_by_learning_rate(rate),
        ),
        learning_rate=rate,
    ),
    "sign": lambda rate, wd: optax.sign_sgd(rate),
}
DECAY_IN_UPDATE = ("adamw", "muon", "lion", "schedule_free")
ALL = list(itertools.product(TABLE, OPTIMIZERS))
#: What is fast; the slow run has all of them.
FAST = {(TABLE[0], "adamw")}


def is_weight(params):
    return jax.tree_util.tree_map_with_path(
        lambda path, _: getattr(path[-1], "key", "") not in ("bias", "gain", "scale"), params
    )


def layer_by_layer(reference, net):
    """A transformation that sees the arrays of each layer by themselves, where the network stacks those of equal ones.

    To take a tree into pieces is linear, and only moves numbers: its transpose puts them back.
    """
    pieces = lambda tree: [piece for *_, (piece,) in walk(net.layer(CLASSES), tree)]

    def update(grads, state, params):
        updates, state = reference.update(pieces(grads), state, pieces(params))
        return jax.linear_transpose(pieces, params)(updates)[0], state

    return optax.GradientTransformation(lambda params: reference.init(pieces(params)), update)


def trainer(case, how, *, steps=STATES, batch=6, loss="softmax_cross_entropy", examples=24, seed=0, **more):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(examples, *case.shape)), np.arange(examples) % CLASSES
    plan = Plan(steps=steps, batch=batch, records=(0, steps), loss=loss, dtype="float64", key=7, **more)
    return Trainer(TrainingConfig(case.net, **how), split(x, y, 0.0, batch, CLASSES, "noise", 0), plan)


def advanced(of, state, stop):
    return of.advance(SEED, state, stop)


def worst_step(of, reference, loss, extra=lambda params: 0.0):
    """The largest deviation of a step from that of automatic differentiation, over the trajectory.

    The step is that of the loop and that of its pieces, whichever deviates more.
    """
    given = of.arguments(of.key(SEED))
    loop, gradient = program.advance(of.kind, of.recipe), program.gradient(of.kind)
    update = program.update(of.recipe)

    def value(params, x, y, dropout):
        logits = of.net.layer(CLASSES, dropout).forward(params, plain(x))[0].value()
        return plain_loss(loss)(logits, y) + extra(params)

    def along(carry, _):
        state, opt_state = carry
        after = loop(state, given, state.step + 1, False)
        pieces, *_ = update(state, gradient(state, given), given.numbers)
        rows = jax.lax.dynamic_slice(after.order, (state.step % 4 * 6,), (6,))
        grads = jax.grad(value)(state.params, of.x[rows], of.y[rows], None)
        updates, opt_state = reference.update(grads, opt_state, state.params)
        wanted = optax.apply_updates(state.params, updates)
        size = lambda tree: jnp.max(jnp.stack([jnp.max(jnp.abs(v)) for v in jax.tree.leaves(tree)]))
        apart = [jax.tree.map(lambda a, b: a - b, found.params, wanted) for found in (after, pieces)]
        # the reference goes on from the same state: only its own memory is its own
        return (after, opt_state), (size(apart), size(updates), size(wanted))

    state = of.start(SEED)
    carry = state, reference.init(state.params)
    _, found = jax.jit(lambda carry: jax.lax.scan(along, carry, length=STATES))(carry)
    return [np.asarray(v) for v in found]


@pytest.mark.parametrize(
    ("case", "name"), [pytest.param(*pair, marks=[] if pair in FAST else pytest.mark.slow) for pair in ALL], ids=str
)
def test_a_step_is_that_of_automatic_differentiation_at_each_of_100_states(case, name, x64):
    of = trainer(case, {"optimizer": name, "learning_rate": RATES[name], "weight_decay": 0.01})
    decay = lambda params: (
        0.005
        * sum(
            jnp.sum(v**2) for v, w in zip(jax.tree.leaves(params), jax.tree.leaves(is_weight(params)), strict=True) if w
        )
    )
    in_loss = (lambda params: 0.0) if name in DECAY_IN_UPDATE else decay
    reference = layer_by_layer(REFERENCES[name](RATES[name], 0.01), of.net)
    apart, moved, size = worst_step(of, reference, "softmax_cross_entropy", in_loss)
    assert (moved > 1e-6).all()  # it does move
    assert (apart <= TOLERANCE * np.maximum(size, 1)).all()


CLIPS = {
    "clip_norm": optax.clip_by_global_norm(0.05),
    "clip_value": optax.clip(0.05),
    "clip_adaptive": optax.adaptive_grad_clip(0.05),
}


@pytest.mark.slow
def test_a_step_of_the_full_batch_sees_all_examples_in_their_order(x64):
    of = trainer(TABLE[0], {"optimizer": "sgd", "learning_rate": 0.1}, batch=24, full_batch=True)
    given, state = of.arguments(of.key(SEED)), of.start(SEED)
    value = lambda params: plain_loss("softmax_cross_entropy")(
        of.net.layer(CLASSES).forward(params, plain(of.x))[0].value(), of.y
    )
    for _ in range(3):
        after = program.advance(of.kind, of.recipe)(state, given, state.step + 1, False)
        wanted = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, jax.grad(value)(state.params))
        for found, want in zip(jax.tree.leaves(after.params), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(found, want, rtol=0, atol=TOLERANCE * np.abs(want).max())
        assert after.order.tolist() == list(range(24))
        assert after.losses[state.step] == pytest.approx(value(state.params))
        state = after


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
def test_clipping_and_schedules_are_optax_s(name, x64):
    how = {"optimizer": "momentum", "learning_rate": 0.05, name: 0.05, "schedule": "cosine", "warmup": 10}
    of = trainer(TABLE[1], how)
    shape = optax.join_schedules([lambda c: (c + 1) / 10, optax.cosine_decay_schedule(1.0, STATES - 10)], [10])
    rate = lambda count: 0.05 * shape(count.astype(jnp.float64))  # of an integer optax computes it in float32
    reference = layer_by_layer(optax.chain(CLIPS[name], optax.sgd(rate, momentum=0.9)), of.net)
    apart, moved, size = worst_step(of, reference, "softmax_cross_entropy")
    assert (moved > 0).all()
    assert (apart <= TOLERANCE * np.maximum(size, 1)).all()


@pytest.mark.slow
def test_schedule_free_warms_up_as_optax_s_and_is_its_adamw(x64):
    # optax counts from 1 for the weight of the average, and from 0 for the step
    for warmup, rising in ((0, lambda c: 0.003), (10, lambda c: 0.003 * jnp.minimum(c.astype(jnp.float64) / 10, 1))):
        of = trainer(TABLE[0], {"optimizer": "schedule_free", "learning_rate": 0.003, "warmup": warmup})
        adam = optax.chain(
            optax.scale_by_rms(decay=0.999, eps_in_sqrt=False, bias_correction=True),
            optax.scale_by_learning_rate(lambda c, rising=rising: rising(c + 1)),
        )
        references = [optax.contrib.schedule_free(adam, rising)]
        references += [optax.contrib.schedule_free_adamw(0.003)] if not warmup else []
        for reference in references:
            apart, moved, size = worst_step(of, reference, "softmax_cross_entropy")
            assert (moved > 1e-6).all()
            assert (apart <= TOLERANCE * np.maximum(size, 1)).all()


@pytest.mark.slow
def test_a_wrong_step_is_seen(x64):
    of = trainer(TABLE[0], {"optimizer": "sgd", "learning_rate": 0.1})
    apart, *_ = worst_step(of, optax.sgd(0.1001), "softmax_cross_entropy")
    assert (apart > 1e-9).all()


@pytest.mark.slow
def test_an_epoch_shows_each_example_once_and_the_next_in_another_order(x64):
    of = trainer(TABLE[0], {}, examples=24)
    state, orders = of.start(SEED), []
    for step in range(1, 9):
        state = advanced(of, state, step)
        orders.append(np.asarray(state.order))
    assert all((orders[0] == order).all() for order in orders[:4])
    assert all((orders[4] == order).all() for order in orders[4:])
    assert sorted(orders[0]) == sorted(orders[4]) == list(range(24))
    assert (orders[0] != orders[4]).any()


@pytest.mark.slow
@pytest.mark.parametrize("brief", [True, False])
def test_how_a_training_is_cut_into_calls_changes_no_bit(brief, x64):
    of = trainer(TABLE[1], {"optimizer": "adam", "dropout": 0.2})
    of.brief = brief
    whole = advanced(of, of.start(SEED), 40)
    state = of.start(SEED)
    for stop in (1, 2, 7, 30, 40):
        state = advanced(of, state, stop)
    same = jax.tree.map(lambda a, b: bool(np.array_equal(a, b, equal_nan=True)), whole, state)
    assert all(jax.tree.leaves(same))


@pytest.mark.slow
def test_masks_of_dropout_are_new_at_each_step(x64):
    of = trainer(TABLE[1], {"dropout": 0.5, "learning_rate": 1e-30})  # the weights stay as they are
    state = advanced(of, of.start(SEED), 8)
    losses = np.asarray(state.losses[:8])
    epochs = losses.reshape(2, 4)
    assert len(set(losses)) == 8
    assert not np.allclose(np.sort(epochs[0]), np.sort(epochs[1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "momentum", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("parametrization", ["mup", "ntk"])
def test_rates_of_a_parametrization_are_those_of_optax_with_a_factor_for_each_leaf(parametrization, name, x64):
    case = TABLE[1]._replace(net=TABLE[1].net.with_options(width=8, parametrization=parametrization, base_width=4))
    of = trainer(case, {"optimizer": name, "learning_rate": RATES[name], "weight_decay": 0.0})
    factors = gl.rate_factors(case.net, optimizer=name)
    assert len(set(jax.tree.leaves(factors))) > 1
    reference = optax.chain(REFERENCES[name](RATES[name], 0.0), gl.scale_by_leaf(factors))
    apart, moved, size = worst_step(of, reference, "softmax_cross_entropy")
    assert (moved > 1e-6).all() and (apart <= TOLERANCE * np.maximum(size, 1)).all()
