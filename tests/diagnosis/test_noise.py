"""Signal-to-noise from parts of a batch against NumPy; any scale, layers of a stack, batches that cannot be split."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.diagnosis.noise import ENOUGH, signal_to_noise


def squares(params, x, y):
    """A gradient that is linear in the examples: -2 mean of x (y - x w)."""
    return jnp.mean((y - x @ params["w"]) ** 2)


def batch(n=19, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype("float32")
    return x, (x @ np.ones(3, "float32") + rng.normal(size=n)).astype("float32")


def expected(x, y, w, parts=8):
    size = len(x) // parts
    cuts = [slice(i * size, (i + 1) * size) for i in range(parts)]
    x, y = x.astype(np.float64), y.astype(np.float64)
    grads = np.array([-2 * np.mean(x[c] * (y[c] - x[c] @ w)[:, None], 0) for c in cuts])
    mean = grads.mean(0)
    return parts * mean @ mean / (((grads - mean) ** 2).sum() / (parts - 1))


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_ratio_of_a_linear_model(scale):
    x, y = batch()
    params = {"w": jnp.asarray([0.5, 0.0, 2.0])}
    loss = lambda *a: squares(*a) * jnp.float32(scale)
    found = signal_to_noise(loss, params, (jnp.asarray(x), jnp.asarray(y)))
    # differences of squares of float32, of parts some times as large as their mean
    assert found.parts == 8
    assert found.ratios[0] == pytest.approx(expected(x, y, np.array([0.5, 0, 2.0])), rel=1e-4)


def test_a_sum_has_the_ratio_of_the_mean():
    x, y = (jnp.asarray(a) for a in batch(16))
    params = {"w": jnp.asarray([0.5, 0.0, 2.0])}
    of_sum = signal_to_noise(lambda p, x, y: squares(p, x, y) * len(x), params, (x, y))
    assert of_sum.ratios[0] == pytest.approx(signal_to_noise(squares, params, (x, y)).ratios[0], rel=1e-5)


def test_pure_noise_is_one_and_a_certain_gradient_has_no_noise():
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(64, 4000)).astype("float32"))
    params = {"a": jnp.ones(4000), "b": jnp.ones(4), "c": jnp.ones(2)}
    loss = lambda p, x: jnp.mean(x @ p["a"]) + jnp.sum(p["b"]) + 0 * jnp.sum(p["c"])
    noise, certain, nothing = signal_to_noise(loss, params, (x,)).ratios
    # 4000 directions of 8 parts each: relative standard error sqrt(2/4000 * 8/7)
    assert noise == pytest.approx(1, abs=4 * 0.024)
    assert certain > 1e5
    assert np.isnan(nothing)


def test_layers_of_a_stack_have_their_own():
    x = jnp.asarray(np.random.default_rng(2).normal(size=(16, 5)).astype("float32"))
    loss = lambda p, x: jnp.mean(x @ p[0]) + jnp.sum(p[1])
    alone = signal_to_noise(lambda p, x: jnp.mean(x @ p), jnp.ones(5), (x,)).ratios[0]
    (found,) = signal_to_noise(loss, jnp.ones((2, 5)), (x,), depths=(1,)).ratios
    assert found.shape == (2,) and found[0] == pytest.approx(alone, rel=1e-5) and found[1] > 1e5


def test_keys_and_scalars_are_not_split():
    def loss(params, data, key):
        noise = jax.random.normal(key, data["x"].shape)
        return jnp.mean(data["scale"] * (data["x"] + noise) @ params)

    data = {"x": jnp.ones((6, 4)), "scale": jnp.float32(2), "note": None}
    found = signal_to_noise(loss, jnp.ones(4), (data, jax.random.key(0)))
    assert found.parts == 6 and found.reason == ""


def test_of_few_examples_nothing_is_measured():
    x, y = (jnp.asarray(a) for a in batch(127))
    found = signal_to_noise(squares, {"w": jnp.ones(3)}, (x, y), enough=ENOUGH)
    assert found.ratios is None and "127 examples" in found.reason
    x, y = (jnp.asarray(a) for a in batch(128))
    assert signal_to_noise(squares, {"w": jnp.ones(3)}, (x, y), enough=ENOUGH).ratios is not None


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ((jnp.ones((4, 3)), jnp.ones(5)), "lengths 4, 5"),
        ((jnp.ones((1, 3)), jnp.ones(1)), "1 example"),
        ((jnp.ones((0, 3)), jnp.ones(0)), "0 examples"),
        ((jnp.float32(1), jnp.float32(1)), "without axes"),
        ((jnp.ones((16, 3)), jnp.ones(16)), "TypeError"),
    ],
)
def test_a_batch_that_cannot_be_split_says_why(args, reason):
    def loss(params, x, y):
        return jnp.sum(params) * jnp.sum(x.reshape(16, 3))

    found = signal_to_noise(loss, jnp.ones(3), args)
    assert found.ratios is None and reason in found.reason
