"""Factored gradients: what they say without being multiplied out, beside the arrays themselves."""

import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.core.gradient import Outer, Positions, outer, row_sum
from gradlab.core.scaled import Scaled, scaled

BATCH, FAN_IN, FAN_OUT = 4, 5, 3


def factors(positions, fan_in=FAN_IN, seed=0, powers=0):
    """Input and delta, each example and position in its own power of two, and the arrays they stand for."""
    rng = np.random.default_rng(seed)
    lead = (BATCH, *positions)
    shift = rng.integers(-powers, powers + 1, lead) if powers else np.zeros(lead, int)
    a, d = rng.normal(size=(*lead, fan_in)), rng.normal(size=(*lead, FAN_OUT)) * np.exp2(shift)[..., None]
    return a, d


def scaled_rows(x):
    return scaled(jnp.asarray(x))


def size(log2):
    return np.exp2(np.asarray(log2.fraction) + np.asarray(log2.exponent))


@pytest.mark.parametrize("fan_in", [2, 400], ids=["multiplied out", "Gram"])
@pytest.mark.parametrize("powers", [0, 40])
def test_positions(fan_in, powers, x64):
    """Many rows and few features, or few rows and many features: both forms give the array's own numbers."""
    a, d = factors((3 if fan_in == 400 else 30,), fan_in, powers=powers)
    gradient = Positions(scaled_rows(a), scaled_rows(d))
    own = np.einsum("ipn,ipm->inm", a, d)
    total = own.sum(0)
    assert np.max(np.abs(gradient.materialise() - total)) <= 1e-13 * np.max(np.abs(total)) * 10
    assert size(gradient.norm()) == pytest.approx(np.linalg.norm(total), rel=1e-12)
    cosines, sizes = gradient.examples()
    lengths = np.linalg.norm(own.reshape(BATCH, -1), axis=1)
    assert np.asarray(sizes.value()) == pytest.approx(lengths, rel=1e-12)
    flat = own.reshape(BATCH, -1) / lengths[:, None]
    assert np.max(np.abs(cosines - flat @ flat.T)) <= 1e-12


def test_positions_far_outside_the_range(x64):
    """The products count: inputs of 2**-3000 against deltas of 2**3000."""
    a, d = factors((6,))
    shift = jnp.asarray(np.random.default_rng(1).integers(-4000, 4000, (BATCH, 6)), jnp.int32)
    x, y = scaled_rows(a), scaled_rows(d)
    far = Positions(Scaled(x.mantissa, x.exponent - shift), Scaled(y.mantissa, y.exponent + shift))
    near = Positions(x, y)
    assert size(far.norm()) == pytest.approx(size(near.norm()), rel=1e-12)
    for one, two in zip(far.examples(), near.examples(), strict=True):
        one, two = (np.asarray(v.value() if isinstance(v, Scaled) else v) for v in (one, two))
        assert one == pytest.approx(two, rel=1e-12, abs=1e-12)


def test_one_row_an_example_is_an_outer_product(x64):
    a, d = factors(())
    assert isinstance(outer(scaled_rows(a), scaled_rows(d)), Outer)
    image = factors((2, 3))
    several = outer(*(scaled(jnp.asarray(v), 3) for v in image))
    assert isinstance(several, Positions)
    assert several.a.mantissa.shape == (BATCH, 6, FAN_IN)
    assert np.allclose(several.materialise(), np.einsum("ipqn,ipqm->nm", *image), rtol=1e-13, atol=1e-13)
    bias = row_sum(scaled(jnp.asarray(image[1]), 3))
    assert np.allclose(bias.materialise(), image[1].sum((0, 1, 2)), rtol=1e-13, atol=1e-13)
