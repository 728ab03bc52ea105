"""A dynamic tanh far outside the range of a float, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab._errors import GradlabError
from gradlab.core.dyt import dyt
from gradlab.core.scaled import Scaled, plain, scaled


def exact(s):
    return np.ldexp(np.asarray(s.mantissa, np.longdouble), np.asarray(s.exponent)[..., None])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_signal_of_any_size(dtype):
    """Beside long doubles: as small as it came in, or its sign, with a slope far below the smallest float."""
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 4, 8)).astype(dtype)
    x = np.sign(x) * (1 + 0.1 * np.abs(x))  # so that the slopes of one example do not lie thousands of decades apart
    g = rng.normal(size=8).astype(dtype)
    wide = lambda v: np.asarray(v, np.longdouble)
    with jax.enable_x64(dtype == "float64"):
        layer = dyt(bias=False)
        params = {"alpha": jnp.asarray(0.5, dtype), "gain": jnp.asarray(g)}

        @jax.jit
        def both(x, dy):
            y, saved = layer.forward(params, x)
            return y, layer.backward(params, saved, dy, lambda site: None)[0]

        # the slope at 2**9 is about 1e-240: float32 has no such number; the last signal has one of no meaning
        for power in (-3000, -31, -28, 0, 4, 9, 3000):
            s = scaled(jnp.asarray(x))
            y, dx = both(Scaled(s.mantissa, s.exponent + power), scaled(jnp.asarray(dy)))
            u = np.ldexp(wide(x), power) / 2
            size = np.minimum(np.abs(u), 5000)  # so that long doubles have its slope
            want = wide(g) * np.tanh(u), wide(g) * wide(dy) / 2 / np.cosh(size) ** 2
            # exp of an argument of 2**9 has an error of 2**10 roundings
            for got, theirs in zip((exact(y), exact(dx))[: 1 if power == 3000 else 2], want, strict=False):
                scale = np.max(np.abs(theirs), -1, keepdims=True)
                assert np.max(np.abs(got - theirs) / scale) <= 2**13 * np.finfo(dtype).eps, power
            assert np.all(np.isfinite(dx.mantissa))


def test_a_signal_that_is_zero():
    layer = dyt()
    params, _ = layer.init(jax.random.key(0), (3,))
    y, saved = layer.forward(params, scaled(jnp.zeros((2, 3))))
    dx, _ = layer.backward(params, saved, scaled(jnp.ones((2, 3))), lambda site: None)
    assert not np.any(y.value()) and np.array_equal(dx.value(), np.full((2, 3), 0.5))


def test_a_bad_slope_is_refused():
    with pytest.raises(GradlabError, match="alpha of dyt to be positive; received 0"):
        dyt(0)
    assert dyt(2.0).forward({"alpha": 2.0}, plain(jnp.ones((1, 1))))[0].mantissa.item() == pytest.approx(np.tanh(2.0))
