"""Learning: steps of deep linear networks beside gradient descent on gradlab's own; the width that updates know of."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.theory import learning_steps

#: Steps of gradient descent until 0.99 of a mode of strength 1 is learnt at the rate 0.2 / L, by its first strength and
#: L, and the limit of infinite depth; from the law of Saxe, McClelland & Ganguli 2013.
STEPS = {
    0.5: ({1: 18, 10: 26, 100: 27, 300: 27}, 27.93),
    0.1: ({1: 21, 10: 63, 100: 77, 300: 78}, 78.91),
    1e-3: ({1: 21, 10: 1605, 100: 4495}, 5052),
}


def descent(depth, start, rate=0.2):
    """Steps of the scalar product of `depth` equal weights."""
    weight, steps = start ** (1 / depth), 0
    while weight**depth < 0.99:
        weight += rate / depth * weight ** (depth - 1) * (1 - weight**depth)
        steps += 1
    return steps


@pytest.mark.parametrize("start", STEPS)
def test_steps_of_a_mode_are_those_of_its_flow(start):
    """The table itself; the flow takes as many steps, but for two or so that are of a finite size."""
    table, limit = STEPS[start]
    for depth, steps in table.items():
        assert descent(depth, start) == steps
        assert learning_steps(depth, start, 0.99) == pytest.approx(steps, abs=2.1)
    assert learning_steps(math.inf, start, 0.99) == pytest.approx(limit, abs=0.51 if limit > 100 else 0.0051)
    closed = (math.log(0.99 * (1 - start) / (start * 0.01)) + 1 / start - 1 / 0.99) / 0.2
    assert learning_steps(math.inf, start, 0.99) == pytest.approx(closed, rel=1e-9)
    scaled = learning_steps(7, 3 * start, 3 * 0.99, target=3.0, learning_rate=0.2)
    assert scaled == pytest.approx(learning_steps(7, start, 0.99) / 3 ** (2 - 2 / 7), rel=1e-9)


@pytest.mark.parametrize("depth", [10, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("start", [0.5, pytest.param(0.1, marks=pytest.mark.slow)])
def test_gradlab_s_linear_networks_learn_in_as_many_steps(depth, start, x64):
    """Gradient descent by the hand-written backward pass from aligned weights: to the step."""
    net = gl.MLP(depth=depth - 1, width=3, activation="identity", init="orthogonal", bias=False)
    x = jnp.eye(3) * 3**0.5  # the mean of x x^T is 1
    params = net.init_params(0, x, outputs=3)
    params = jax.tree.map(lambda w: jnp.broadcast_to(start ** (1 / depth) * jnp.eye(3), w.shape), params)

    def step(state):
        params, steps = state
        grads = gl.backprop(net, params, x, x, loss="mse")[1]
        return jax.tree.map(lambda p, g: p - 0.2 / depth * g, params, grads), steps + 1

    ahead = lambda state: net.apply(state[0], x)[0, 0] < 0.99 * 3**0.5
    steps = int(jax.jit(lambda params: jax.lax.while_loop(ahead, step, (params, 0)))(params)[1])
    assert steps == STEPS[start][0][depth]


def test_what_cannot_be_is_refused():
    for wrong in ((0.5, 0.5, 0.99), (10, 0.0, 0.5), (10, 0.9, 0.5), (10, 0.5, 1.0)):
        with pytest.raises(GradlabError, match="expected"):
            learning_steps(*wrong)
    with pytest.raises(GradlabError, match="rate"):
        learning_steps(3, 0.5, 0.9, learning_rate=0.0)


WIDTHS = (256, 512, 1024, 2048, 4096)


def growth(scale, rates):
    """Slope of ln |change of the logit| against ln width: one step of gradient descent on a ReLU network of one layer.

    `scale` is the power of the width in the readout's variance, `rates` are those of the two layers' learning rates.
    Root of the mean square over 60 draws, each on one input of 16 features.
    """
    changes = []
    for width in WIDTHS:
        net = gl.MLP(depth=1, width=width, activation="relu", init="he_normal", readout="lecun_normal", bias=False)
        factor = width ** ((scale + 1) / 2)  # of a readout whose variance is 1/n

        def change(key, net=net, width=width, factor=factor):
            draw, data = jax.random.split(key)
            x = jax.random.normal(data, (1, 16))
            first, last = net.init_params(draw, x, outputs=1)
            params = (first, jax.tree.map(lambda w: w * factor, last))
            grads = gl.backprop(net, params, x, jnp.ones((1, 1)), loss="mse")[1]
            # a residual of 1, whatever the draw: the size of the gradient by the logit is no part of the check
            residual = net.apply(params, x)[0, 0] - 1
            moved = tuple(
                jax.tree.map(lambda p, g, r=r: p - 0.01 * width**r * g / residual, p, g)
                for p, g, r in zip(params, grads, rates, strict=True)
            )
            return (net.apply(moved, x) - net.apply(params, x))[0, 0]

        found = jax.jit(lambda keys, change=change: jax.lax.map(change, keys))(jax.random.split(jax.random.key(5), 60))
        changes.append(0.5 * np.log(np.mean(np.square(np.asarray(found, float)))))
    return np.polyfit(np.log(WIDTHS), changes, 1)[0]


@pytest.mark.slow
def test_the_width_that_one_step_of_gradient_descent_knows_of():
    """Yang & Hu 2021, coordinate check: the logit moves by n^1 in the standard parametrisation, by n^0 in muP.

    The readout's variance is 1/n^2 there, the rates are n times and 1/n times the common one. Slopes to 0.05.
    """
    assert growth(-1, (0, 0)) == pytest.approx(1.0, abs=0.05)
    assert growth(-2, (1, -1)) == pytest.approx(0.0, abs=0.05)
