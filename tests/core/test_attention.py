"""Attention: beside the textbook's sum over positions, what the mask hides, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab._errors import GradlabError
from gradlab.core.attention import attention, positions
from gradlab.core.gradient import Positions
from gradlab.core.scaled import plain, scaled

HEADS, TIME, FEATURES = 2, 5, 6


def drawn(layer, seed=0):
    params, _ = layer.init(jax.random.key(seed), (TIME, FEATURES))
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda v: v + jnp.asarray(0.3 * rng.normal(size=v.shape), v.dtype), params)
    return params, rng.normal(size=(3, TIME, FEATURES))


def textbook(params, x, causal):
    """One example, one head and one position after another."""
    out = np.zeros_like(x)
    p = jax.tree.map(np.asarray, params)
    for b, example in enumerate(x):
        q, k, v = (example @ p[n]["weight"] + p[n].get("bias", 0) for n in ("query", "key", "value"))
        size = FEATURES // HEADS
        for h in range(HEADS):
            part = slice(h * size, (h + 1) * size)
            for i in range(TIME):
                seen = range(i + 1) if causal else range(TIME)
                weight = np.exp([q[i, part] @ k[j, part] / np.sqrt(size) for j in seen])
                out[b, i, part] = weight @ v[list(seen), part] / weight.sum()
    return out @ p["output"]["weight"] + p["output"]["bias"]


@pytest.mark.parametrize("causal", [False, True])
def test_the_sum_over_positions(causal, x64):
    layer = attention(HEADS, causal=causal)
    params, x = drawn(layer)
    ours = layer.forward(params, plain(jnp.asarray(x)))[0].mantissa
    assert np.allclose(ours, textbook(params, x, causal), atol=1e-13)


def test_a_causal_position_sees_no_later_one(x64):
    layer = attention(HEADS, causal=True)
    params, x = drawn(layer)
    dy = jnp.zeros(x.shape).at[:, 2].set(1.0)
    _, saved = layer.forward(params, scaled(jnp.asarray(x), 2))
    dx, _ = layer.backward(params, saved, scaled(dy, 2), lambda site: None)
    assert not np.any(dx.value()[:, 3:]) and np.all(np.any(np.asarray(dx.value()[:, :3]) != 0, (0, 2)))


def test_large_scores_do_not_overflow():
    layer = attention(HEADS)
    params, x = drawn(layer)
    far = jnp.asarray(1e4 * x, "float32")
    params = jax.tree.map(lambda v: v.astype("float32"), params)
    y, saved = layer.forward(params, scaled(far, 2))
    dx, _ = layer.backward(params, saved, scaled(jnp.ones_like(far), 2), lambda site: None)
    assert np.all(np.isfinite(y.value())) and np.all(np.isfinite(dx.value()))


def test_each_weight_is_read_as_a_dense_layer_at_positions(x64):
    layer = attention(HEADS)
    params, x = drawn(layer)
    seen = {}
    _, saved = layer.forward(params, scaled(jnp.asarray(x), 2))
    layer.backward(params, saved, scaled(jnp.ones(x.shape), 2), lambda site: seen.update({site.path: site}))
    assert seen.keys() == {("query",), ("key",), ("value",), ("output",)}
    for site in seen.values():
        assert site.kind == "dense" and isinstance(site.gradient["weight"], Positions)
        assert site.dy.exponent.shape == (3,)
    assert "bias" not in params["key"] and "bias" in params["query"]


def test_positions_are_waves_or_parameters(x64):
    zero = plain(jnp.zeros((2, TIME, FEATURES)))
    waves = np.asarray(positions().forward({}, zero)[0].mantissa)
    for t in range(TIME):
        for j in range(FEATURES // 2):
            angle = t / 10000 ** (2 * j / FEATURES)
            assert waves[1, t, 2 * j : 2 * j + 2] == pytest.approx([np.sin(angle), np.cos(angle)], abs=1e-15)
    layer = positions("learned")
    params, shape = layer.init(jax.random.key(0), (TIME, FEATURES))
    assert shape == params["position"].shape == (TIME, FEATURES)
    assert np.array_equal(layer.forward(params, zero)[0].mantissa[0], params["position"])


@pytest.mark.parametrize(
    ("attempt", "told"),
    [
        (lambda: attention(4).init(jax.random.key(0), (5, 6)), "4 heads, 6 features; try heads=3"),
        (lambda: attention(1).init(jax.random.key(0), (0, 6)), "at least one step"),
        (lambda: attention(1).init(jax.random.key(0), (6,)), "time, features"),
        (lambda: attention(0), "heads"),
        (lambda: positions("fourier"), "learned, sinusoidal"),
    ],
)
def test_bad_input_is_told(attempt, told):
    with pytest.raises(GradlabError, match=told):
        attempt()


def test_an_empty_time_axis_is_refused_in_the_forward_pass():
    layer = attention(HEADS)
    params, _ = drawn(layer)
    with pytest.raises(GradlabError, match="at least one step"):
        layer.forward(params, plain(jnp.zeros((2, 0, FEATURES))))
