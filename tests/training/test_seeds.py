"""Seeds in one batched call, as accelerators take them: what comes out is what each seed gives alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradlab as gl
from gradlab.data import load
from gradlab.training.together import Together

NET = gl.MLP(depth=3, width=12, activation="relu", init="he_normal")
COLUMNS = ("log10_delta_rms", "log10_preactivation_rms", "log10_update_ratio", "log10_train_loss", "test_accuracy")


@pytest.fixture
def both(monkeypatch):
    """A training on a CPU, and the same as if on an accelerator; how often the latter went through one call."""
    data = load("digits", batch=200)
    calls = []
    together = Together.advance

    def counted(self, states, stop):
        calls.append(self.size)
        train.states = together(self, states, stop)
        return train.states

    def train(**how):
        how = dict(steps=40, batch=32, records=(0, 7, 30, 40), columns=COLUMNS, dtype="float64", progress=False) | how
        apart = gl.train(NET, data.x, data.y, **how)
        assert not calls
        monkeypatch.setattr(Together, "advance", counted)
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        together = gl.train(NET, data.x, data.y, **how)
        assert calls and set(calls) == {len(apart.params)}  # one shape, also behind a failure
        return apart, together

    return train


def assert_alike(apart, together, rtol=1e-8):
    assert together.steps == apart.steps and list(together.params) == list(apart.params)
    assert together.failures == apart.failures
    for seed in apart.params:
        np.testing.assert_allclose(together.losses[seed], apart.losses[seed], rtol=rtol)
        for a, b in zip(*map(jax.tree.leaves, (together.params[seed], apart.params[seed])), strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    for a, b in zip(together.traces, apart.traces, strict=True):
        assert (a.step, a.seeds, a.status) == (b.step, b.seeds, b.status)
        for name, values in b.columns.items():
            np.testing.assert_allclose(a.columns[name], values, rtol=rtol, atol=rtol, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        dict(optimizer="adam", dropout=0.2), dict(optimizer="momentum", clip_norm=0.5),
        dict(optimizer="muon", clip_adaptive=0.5), dict(optimizer="schedule_free"),
    ],
)  # fmt: skip
def test_each_seed_is_trained_as_it_is_alone(both, how):
    apart, together = both(seeds=(4, 0, 7), **how)  # 40 steps are eight epochs, each with an order of its own
    assert_alike(apart, together)


def poisoned(chosen):
    """SGD whose update of step 25 is infinite in the second layer of the networks that `chosen` says."""

    def update(updates, step, params):
        first, (hidden, *rest), head = updates
        bad = (step == 25) & chosen(params)
        weight = jnp.where(bad, jnp.inf, hidden["weight"])
        return (first, ({**hidden, "weight": weight}, *rest), head), step + 1

    return optax.chain(optax.sgd(1e-4), optax.GradientTransformation(lambda params: jnp.int32(0), update))


@pytest.mark.slow
def test_a_seed_that_fails_leaves_the_others_alone(both):
    positive = lambda params: params[0][0]["weight"][0, 0] > 0
    apart, together = both(seeds=(3, 4), optimizer=poisoned(positive))  # twenty steps of the one are recorded again
    assert [failure.seed for failure in apart.failures] == [3]
    assert {(f.direction, f.layer, f.step) for f in together.failures} == {("update", 2, 26)}
    assert_alike(apart, together)
    for one, other in zip(apart.failures, together.failures, strict=True):
        np.testing.assert_allclose(one.history["log10_delta_rms"], other.history["log10_delta_rms"], rtol=1e-8)
    assert together.traces[-1].seeds == (4,)


@pytest.mark.slow
def test_going_on_behind_a_loss_that_is_not_finite(both):
    assert_alike(*both(seeds=3, optimizer=poisoned(lambda params: True), on_failure="continue"))


@pytest.mark.slow
def test_where_all_fail_the_call_ends(both):
    apart, together = both(seeds=2, optimizer=poisoned(lambda params: True), records=(0, 40))
    assert len(together.failures) == 2
    assert_alike(apart, together)
    for state in both.states.values():  # of the last call
        assert np.isfinite(state.losses[:26]).all() and np.isnan(state.losses[27:]).all()
