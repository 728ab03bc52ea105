"""Losses with logits of any size, against the same losses in logarithms and long doubles."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.config import LOSSES
from gradlab.core.batch import default_loss
from gradlab.core.losses import TABLE, loss_named, plain_loss
from gradlab.core.scaled import Scaled, scaled

LONG = np.longdouble
needs_long = pytest.mark.skipif(np.finfo(LONG).maxexp < 16384, reason="a long double with an exponent of 15 bits")


def test_the_table_is_complete():
    assert tuple(TABLE) == LOSSES


def _value(s: Scaled) -> np.ndarray:
    """A `Scaled` as long doubles."""
    m = np.asarray(s.mantissa).astype(LONG)
    e = np.zeros(m.shape[:-1], int) if s.exponent is None else np.asarray(s.exponent)
    e = np.where(m.any(-1), np.maximum(e, -20000), 0)
    return np.ldexp(m, e[..., None])


def _scalar(s: Scaled) -> LONG:
    return np.ldexp(LONG(np.asarray(s.mantissa)), int(s.exponent))


def _reference(name, o, y):
    """Value of the mean loss, and its cotangent with the logarithm of its size, in long doubles."""
    batch = len(o)
    if name == "mse":
        gap = o - y
        return np.mean(np.sum(gap * gap, -1)) / 2, gap / batch
    if name == "probe":
        return np.mean(np.sum(o * y, -1)), y / batch
    if name == "logistic":
        margin = (2 * y - 1) * o
        value = np.mean(np.sum(np.maximum(-margin, 0) + np.log1p(np.exp(-np.abs(margin))), -1))
        size = np.where(margin > 0, np.exp(-np.abs(margin)), 1) / (1 + np.exp(-np.abs(margin)))
        return value, -(2 * y - 1) * size / batch
    right = np.arange(o.shape[1]) == y[:, None]
    top = o.max(-1, keepdims=True)
    z = np.exp(o - top)
    value = np.mean(np.log(z.sum(-1)) + (top - o)[right])
    p = np.where(right, 0, z) / z.sum(-1, keepdims=True)
    return value, np.where(right, -p.sum(-1, keepdims=True), p) / batch


def _targets(name, batch, outputs, rng):
    if name == "softmax_cross_entropy":
        return rng.integers(0, outputs, batch)
    if name == "logistic":
        return rng.integers(0, 2, (batch, outputs)).astype(float)
    return rng.normal(size=(batch, outputs))


@functools.cache
def compiled(name):
    return jax.jit(loss_named(name))


@needs_long
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("exponent", [-2000, -200, -5, 0, 3, 12, 200, 2000])
def test_logits_of_any_size(name, exponent, dtype):
    rng = np.random.default_rng(0)
    m = rng.uniform(-1, 1, (16, 5)).astype(np.float32)
    y = _targets(name, 16, 5, rng)
    with jax.enable_x64(dtype == "float64"):
        y_ = jnp.asarray(y) if name == "softmax_cross_entropy" else jnp.asarray(y, dtype)
        logits = Scaled(jnp.asarray(m, dtype), jnp.full(16, exponent, jnp.int32))
        value, dy = compiled(name)(logits, y_)
        eps = float(jnp.finfo(dtype).eps)
        y = np.asarray(y_)
    o = np.ldexp(m.astype(LONG), exponent)
    with np.errstate(under="ignore", over="ignore"):
        want_value, want = _reference(name, o, y.astype(LONG) if y.dtype.kind == "f" else y)
    assert np.all(np.isfinite(np.asarray(dy.mantissa)))
    # exp(-gap) has the gap's rounding, gap * eps, in its relative error; so far as its size is 2**28 at most
    got, size = _value(dy), np.abs(want).max(-1)
    with np.errstate(divide="ignore", under="ignore", invalid="ignore"):
        gap = np.minimum(-np.log(size.astype(LONG)), 2.0**28)
        slack = 8 * eps * np.maximum(1, np.where(np.isfinite(gap), gap, 1)) + 20 * eps
        bad = np.abs(got - want).max(-1) > slack * size
    seen = size > 0  # beyond even the long double's range nothing is claimed here
    assert not np.any(bad & seen), (got[bad & seen], want[bad & seen])
    assert np.all((np.abs(got).max(-1) > 0) | (size == 0))
    terms = np.mean(np.abs(o * y)) if name == "probe" else 0  # a sum whose terms cancel has their rounding
    assert abs(_scalar(value) - want_value) <= 100 * eps * (abs(want_value) + terms)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_a_saturated_softmax_keeps_the_right_examples_tiny_and_the_wrong_ones_whole(dtype):
    with jax.enable_x64(dtype == "float64"):
        o = jnp.asarray([[1000.0, 0.0, 3.0], [1000.0, 0.0, 3.0]], dtype)
        y = jnp.asarray([0, 1])
        _, dy = TABLE["softmax_cross_entropy"](scaled(o), y)
        log2 = np.log2(np.abs(np.asarray(dy.mantissa[0], float))) + int(dy.exponent[0])
        wrong = np.asarray(Scaled(dy.mantissa[1], dy.exponent[1]).value())
    # half of exp(-1000), of exp(-997), and their sum
    want = np.array([np.log(np.exp(-3) + 1) - 997, -1000, -997]) / np.log(2) - 1
    assert log2 == pytest.approx(want, rel=0, abs=2e-4 if dtype == "float32" else 1e-12)
    assert wrong == pytest.approx([0.5, -0.5, 0], abs=1e-6)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "logistic", "mse"])
def test_far_beyond_doubt_wrong_examples_have_their_cotangent_and_nothing_is_nan(name):
    """Gaps of 2**2000: right ones are truly zero, wrong ones are not."""
    m = jnp.asarray([[0.9, -0.5], [0.9, -0.5]], jnp.float32)
    logits = Scaled(m, jnp.asarray([2000, 2000], jnp.int32))
    y = {"softmax_cross_entropy": jnp.asarray([0, 1])}.get(name, jnp.asarray([[1.0, 0.0], [0.0, 1.0]], jnp.float32))
    value, dy = TABLE[name](logits, y)
    assert np.all(np.isfinite(np.asarray(dy.mantissa)))
    assert np.isfinite(float(value.mantissa))
    assert 1990 < int(value.exponent) < 4010
    sizes = np.abs(np.asarray(dy.mantissa)).max(-1)
    assert sizes[1] > 0
    assert (sizes[0] > 0) == (name == "mse")


def test_a_target_of_zero_leaves_a_vanishing_output_its_cotangent():
    logits = Scaled(jnp.asarray([[0.5, 0.75], [0.5, 0.75]], jnp.float32), jnp.asarray([-900, -900], jnp.int32))
    _, dy = TABLE["mse"](logits, jnp.asarray([[0.0, 0.0], [1.0, 0.0]], jnp.float32))
    assert np.asarray(dy.mantissa)[0].tolist() == [0.25, 0.375]
    assert int(dy.exponent[0]) == -900
    assert np.asarray(dy.value())[1].tolist() == [-0.5, 0]


def test_an_output_of_exactly_zero_beside_a_huge_one_keeps_its_share_of_the_loss():
    logits = Scaled(jnp.asarray([[0.9, 0.0]], jnp.float32), jnp.asarray([300], jnp.int32))
    value, _ = TABLE["logistic"](logits, jnp.asarray([[1.0, 1.0]], jnp.float32))
    assert float(value.value()) == pytest.approx(np.log(2), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_where_floats_suffice_they_equal_jax_grad(name, x64):
    rng = np.random.default_rng(1)
    o = jnp.asarray(rng.normal(size=(6, 4)) * 3)
    y = jnp.asarray(_targets(name, 6, 4, rng))
    reference, gradient = jax.value_and_grad(plain_loss(name))(o, y)
    value, dy = TABLE[name](scaled(o), y)
    assert float(value.value()) == pytest.approx(float(reference), rel=1e-13)
    assert np.max(np.abs(dy.value() - gradient)) <= 1e-14 * np.max(np.abs(gradient))


@pytest.mark.parametrize("name", LOSSES)
def test_a_group_is_its_members(name, x64):
    rng = np.random.default_rng(2)
    o = jnp.asarray(rng.normal(size=(3, 6, 4)))
    y = jnp.asarray(_targets(name, 6, 4, rng))
    value, dy = TABLE[name](scaled(o), y)
    for i in range(3):
        one, d = TABLE[name](scaled(o[i]), y)
        assert float(value.value()[i]) == pytest.approx(float(one.value()), rel=1e-14)
        assert np.allclose(dy.value()[i], d.value(), rtol=1e-13, atol=0)


def test_the_default_follows_the_targets():
    assert default_loss(np.array([0, 1])) == "softmax_cross_entropy"
    assert default_loss(np.array([0.0, 1.0])) == "mse"
