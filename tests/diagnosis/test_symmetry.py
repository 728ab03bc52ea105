"""Units that are the same to the bit, of any format, in stacks, and what is no matrix of units."""

import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.diagnosis.symmetry import identical_fraction


@pytest.fixture
def weight():
    return np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn", "complex64"])
def test_units_alike_in_weights_and_gradients(weight, dtype):
    weight = np.array(weight)
    weight[:, 3] = weight[:, 0]
    grad = weight / 2
    as_array = lambda x: jnp.asarray(x).astype(dtype)
    assert identical_fraction(as_array(weight), as_array(grad)) == 2 / 5
    grad[0, 3] *= 1.5  # told apart by the gradient alone
    assert identical_fraction(as_array(weight), as_array(grad)) == 0


def test_one_bit_tells_apart(weight):
    weight[:, :] = weight[:, :1]
    other = weight.copy()
    other[2, 4] = np.nextafter(other[2, 4], np.float32(np.inf))
    assert identical_fraction(jnp.asarray(weight), jnp.asarray(weight)) == 1
    assert identical_fraction(jnp.asarray(other), jnp.asarray(weight)) == 4 / 5
    # two entries exchanged: the same sum of bits
    other = weight.copy()
    other[[0, 1], 2] = other[[1, 0], 2]
    assert identical_fraction(jnp.asarray(other), jnp.asarray(weight)) == 4 / 5


def test_layers_of_a_stack_and_outputs_on_another_axis(weight):
    stack = np.stack([weight, np.ones_like(weight)])
    found = identical_fraction(jnp.asarray(stack), jnp.asarray(stack), depth=1)
    assert found.tolist() == [0, 1]
    stack[1] = np.arange(6)[:, None]
    assert identical_fraction(jnp.asarray(stack), jnp.asarray(stack), depth=1).tolist() == [0, 1]
    assert identical_fraction(jnp.asarray(stack), jnp.asarray(stack), depth=1, features=(0,)).tolist() == [0, 0]


def test_zeros_and_what_is_not_a_number_are_compared_as_bits():
    zero = jnp.zeros((3, 4))
    assert identical_fraction(zero, zero) == 1
    nan = jnp.full((3, 4), jnp.nan)
    assert identical_fraction(nan, nan) == 1


@pytest.mark.parametrize("shape", [(), (5,), (0, 4), (4, 0), (4, 1)])
def test_what_is_no_matrix_of_several_units(shape):
    assert np.isnan(identical_fraction(jnp.ones(shape), jnp.ones(shape)))
