"""How a user's function may be called, what is differentiated by, what samples differ in, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab import MLP, GradlabError
from gradlab.diagnosis.problem import problem_of, trained

X, Y = np.ones((4, 3), np.float32), np.arange(4)
PARAMS = {"w": jnp.full((3, 5), 0.5), "n": 3, "none": None, "name": "a"}


def cross_entropy(logits, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()


def value(problem, sample=0):
    return float(jax.jit(problem.loss)(problem.samples[sample].params, *problem.samples[sample].args))


@pytest.mark.parametrize(
    ("loss", "batch"),
    [
        (lambda p, b: cross_entropy(b[0] @ p["w"], b[1]), (X, Y)),
        (lambda p, x, y: cross_entropy(x @ p["w"], y), (X, Y)),
        (lambda p, *b: cross_entropy(b[0] @ p["w"], b[1]), (X, Y)),
        (lambda p, b: cross_entropy(b["x"] @ p["w"], b["y"]), {"x": X, "y": Y, "what": "digits"}),
        (lambda p, b: cross_entropy(b @ p["w"], Y), X),
        (lambda p, x: cross_entropy(x @ p["w"], Y), (X,)),
        (lambda p, b: cross_entropy(b[0] @ p["w"], Y), (X,)),
        (lambda p: cross_entropy(X @ p["w"], Y), None),
        (lambda p, b: (cross_entropy(b[0] @ p["w"], b[1]), {"accuracy": "any"}), (X, Y)),
        (functools.partial(lambda scale, p, b: scale * cross_entropy(b[0] @ p["w"], b[1]), 1.0), (X, Y)),
    ],
)
def test_ways_to_call(loss, batch):
    problem = problem_of(loss, PARAMS, batch)
    assert value(problem) == pytest.approx(np.log(5), rel=1e-6)
    assert len(problem.samples) == 1 and problem.varied == ""
    assert [leaf.shape for leaf in jax.tree.leaves(problem.samples[0].params)] == [(3, 5)]


@pytest.mark.parametrize(
    "loss",
    [
        lambda p, x, y, key: cross_entropy(x @ p["w"] + jax.random.normal(key, (4, 5)), y),
        lambda p, b, key: cross_entropy(b[0] @ p["w"] + jax.random.normal(key, (4, 5)), b[1]),
        lambda p, b, *, rng=None: cross_entropy(b[0] @ p["w"] + jax.random.normal(rng, (4, 5)), b[1]),
    ],
)
def test_keys_make_samples(loss):
    problem = problem_of(loss, PARAMS, (X, Y), key=3, repeats=3)
    assert problem.varied == "keys" and len({value(problem, i) for i in range(3)}) == 3
    assert len(problem_of(loss, PARAMS, (X, Y), key=3).samples) == 4


def test_batches_and_initialisations_make_samples():
    loss = lambda p, b: jnp.mean((b @ p["w"]) ** 2)
    problem = problem_of(loss, PARAMS, X, batches=[2 * X, 3 * X])
    assert problem.varied == "batches"
    assert [value(problem, i) for i in range(3)] == pytest.approx([2.25, 9.0, 20.25])
    init = lambda key: {"w": jax.random.normal(key, (3, 5))}
    problem = problem_of(loss, None, X, init=init, repeats=2, key=1)
    assert problem.varied == "initialisations" and value(problem, 0) != value(problem, 1)


def test_statistics_beside_the_parameters_are_not_differentiated_by():
    linen = {"params": {"w": jnp.ones(2)}, "batch_stats": {"mean": jnp.ones(3)}}
    part, rest = trained(linen)
    assert [leaf.shape for leaf in jax.tree.leaves(part)] == [(2,)]
    assert [leaf.shape for leaf in jax.tree.leaves(rest)] == [(3,)]
    nnx = pytest.importorskip("flax.nnx")
    part, _ = trained(nnx.BatchNorm(4, rngs=nnx.Rngs(0)))
    assert len(jax.tree.leaves(part)) == 2  # scale and bias, not mean and variance


def test_a_network_of_gradlab_has_the_loss_of_its_targets():
    net = MLP(depth=2, width=4)
    params = net.init_params(0, X, Y)
    found = value(problem_of(net, params, (X, Y)))
    assert found == pytest.approx(float(cross_entropy(net.apply(params, X), Y)), rel=1e-6)
    real = np.linspace(-1, 1, 4)
    params = net.init_params(0, X, real)
    half = 0.5 * float(jnp.mean((net.apply(params, X)[:, 0] - real) ** 2))
    assert value(problem_of(net, params, (X, real))) == pytest.approx(half, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "params", "options", "words"),
    [
        (3, PARAMS, {}, "a function loss_fn"),
        (lambda p, b: b[0] @ p["w"], PARAMS, {}, "one number; received an array of shape"),
        (lambda p, b: b[1].sum(), PARAMS, {}, "a real float; received int"),
        (lambda p, b: "low", PARAMS, {}, "to return a number"),
        (lambda p, b: None, PARAMS, {}, "to return a number"),
        (lambda p, b: jnp.ones(()), {"n": np.arange(3)}, {}, "arrays of floats; received dict with 1 leaves: int64"),
        (lambda p, b: p["v"].sum(), PARAMS, {}, "KeyError from the function itself"),
        (lambda p, b, c, d: p["w"].sum(), PARAMS, {}, "try key=0"),
        (lambda p, b: p["w"].sum(), PARAMS, {"repeats": 3}, "samples that differ"),
        (lambda p, b: p["w"].sum(), PARAMS, {"repeats": 0}, "repeats"),
        (lambda p, b: p["w"].sum(), PARAMS, {"batches": [(X[:2], Y[:2])]}, "number 1 with (2, 3) for (4, 3)"),
        (lambda p, b: p["w"].sum(), PARAMS, {"init": 5}, "init to be a function"),
        (
            lambda p, b: p["w"].sum(),
            PARAMS,
            {"init": lambda k: PARAMS, "batches": [(X, Y)]},
            "either init= or batches=",
        ),
        (lambda p, b: p["w"].sum(), PARAMS, {"has_aux": True}, "to return (loss, aux)"),
        (lambda p, b: (p["w"].sum(), 1), PARAMS, {"has_aux": False}, "the loss alone"),
    ],
)
def test_what_cannot_be_judged_is_one_message(loss, params, options, words):
    with pytest.raises(GradlabError) as error:
        problem_of(loss, params, (X, Y), **options)
    assert words in str(error.value)


def test_the_users_own_exception_is_the_cause():
    with pytest.raises(GradlabError) as error:
        problem_of(lambda p, b: p["missing"].sum(), PARAMS, (X, Y))
    assert isinstance(error.value.__cause__, KeyError)
