"""The second look at one example, where memory is short: what it says of the batch, and when it is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.diagnosis import precision
from gradlab.diagnosis.model import Model
from gradlab.diagnosis.one_example import first_example
from gradlab.diagnosis.problem import problem_of

DEPTH, WIDTH, EXAMPLES = 60, 8, 256


def loss(params, batch):
    """A scan over layers of sigmoids, which all examples come to look alike in."""
    x, y = batch
    h, _ = jax.lax.scan(lambda h, w: (jax.nn.sigmoid(h @ w), None), x, params)
    return jnp.mean((h[:, 0] - y) ** 2)


@pytest.fixture(scope="module")
def problem():
    random = np.random.default_rng(0)
    params = jnp.asarray(random.normal(size=(DEPTH, WIDTH, WIDTH)) / WIDTH**0.5, "float32")
    x = jnp.asarray(random.normal(size=(EXAMPLES, WIDTH)), "float32")
    return problem_of(loss, params, (x, jnp.linspace(1, 3, EXAMPLES)))


@pytest.fixture(scope="module")
def model(problem):
    return Model(problem)


@pytest.fixture(scope="module")
def short(model):
    """What is seen where there is memory for a few examples, and not for all."""
    with pytest.MonkeyPatch.context() as patch:
        need = precision.memory_of(model.program.gradient)
        patch.setattr(precision, "free_memory", lambda: need / precision.MEMORY - 1)
        return model.with_exact(model.evidence())


def test_one_example_continues_what_the_working_precision_resolves(model, short):
    """Deep in the network the deltas of examples are multiples of one another, so one of them tells of all."""
    whole = model.with_exact(model.evidence())
    assert "one example alone" in short.notes[0] and not whole.notes
    products = [i for i, place in enumerate(short.places) if place.site.kind == "product"]
    plain = short.signal("log10_delta_rms", exact=False)[0, products]
    one, all_ = (seen.signal("log10_delta_rms")[0, products] for seen in (short, whole))
    assert np.isneginf(plain[:5]).all() and np.isfinite(one).all()
    np.testing.assert_allclose(one, all_, atol=0.05)
    resolved = plain > -30
    assert (one[resolved] == plain[resolved]).all() and 10 < resolved.sum() < DEPTH - 5
    # all examples come into the second layer alike, into the first each with its own input
    norms = [seen.gradient("log10_grad_norm")[0] for seen in (short, whole)]
    np.testing.assert_allclose(norms[0][1:], norms[1][1:], atol=0.05)
    assert abs(norms[0][0] - norms[1][0]) < np.log10(EXAMPLES)


def test_shares_of_gradients_are_not_told_and_those_of_deltas_are(model, short):
    assert "grad_lost_float32" not in short.gradients
    lost, all_ = (seen.signals["delta_lost_float32"][0] for seen in (short, model.with_exact(model.evidence())))
    known = ~np.isnan(all_)
    np.testing.assert_allclose(lost[known], all_[known], atol=0.3)  # at most a few places are neither 0 nor 1
    assert np.mean(np.abs(lost - all_)[known] < 0.05) > 0.9


def test_what_cannot_be_sliced_is_left_out_aloud(problem, model, monkeypatch):
    monkeypatch.setattr(precision, "free_memory", lambda: 1.0)
    assert "of one example, it may take" in model.with_exact(model.evidence()).notes[0]
    x, y = problem.samples[0].args[0]
    uneven = Model(
        problem_of(lambda p, b: loss(p, (b[0], b[1][:-1])), problem.samples[0].params, (x, jnp.append(y, 0)))
    )
    assert "share no first axis" in uneven.with_exact(uneven.evidence()).notes[0]
    whole = lambda p, b: loss(p, (b[0].reshape(EXAMPLES, WIDTH), b[1]))
    fixed = Model(problem_of(whole, problem.samples[0].params, (x, y)))
    assert "does not run on one example" in fixed.with_exact(fixed.evidence()).notes[0]


def test_a_scalar_belongs_to_every_example():
    x, scale = jnp.ones((4, 3)), jnp.ones(())
    ((one, same), key) = first_example(((x, scale), jax.random.key(0)))
    assert one.shape == (1, 3) and same is scale and key.shape == ()
    assert first_example(((x, jnp.ones(3)),)) is None and first_example((jnp.ones((1, 3)),)) is None
