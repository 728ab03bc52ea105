"""Draws without compilation: the bits are those of jax.random, whatever the shape, the key and the path."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.initializers import FAMILIES
from gradlab.core.keys import as_key, fold_in, fold_in_each, threefry
from gradlab.core.random import _BLOCK

NUMBERS = (0, 1, 77, 2**31, 0xFFFFFFFC)
BY_JAX = {
    "normal": jax.random.normal,
    "uniform": lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -(3**0.5), 3**0.5),
    "truncated": lambda key, shape, dtype: (
        jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) / jnp.asarray(0.87962566103423978, dtype)
    ),
}


@pytest.fixture
def compilations():
    """How often the compiler has been asked."""
    found = []
    listener = lambda event, duration, **_: found.append(event) if event.endswith("backend_compile_duration") else None
    jax.monitoring.register_event_duration_secs_listener(listener)
    yield found
    jax.monitoring.unregister_event_duration_listener(listener)


@pytest.mark.parametrize("seed", [0, 5, 2**32 - 1])
def test_keys_are_those_of_jax(seed):
    data = lambda key: np.asarray(jax.random.key_data(key)).tolist()
    key = jax.random.key(seed)
    assert data(as_key(seed)) == data(key)
    twice = fold_in(fold_in(key, 3), 8)
    assert data(twice) == data(jax.random.fold_in(jax.random.fold_in(key, 3), 8))
    assert [data(k) for k in fold_in_each(key, NUMBERS)] == [data(jax.random.fold_in(key, n)) for n in NUMBERS]


def test_other_generators_are_left_to_jax():
    """Keys of another generator, old-fashioned keys, and JAX's older order of bits."""
    for key in (jax.random.key(1, impl="rbg"), jax.random.PRNGKey(1)):
        assert jnp.array_equal(FAMILIES["normal"].draw(key, (3, 2), jnp.float32), jax.random.normal(key, (3, 2)))
        assert jnp.array_equal(*map(jax.random.key_data, (fold_in(key, 4), jax.random.fold_in(key, 4))))
    with jax.threefry_partitionable(False):
        key = jax.random.key(1)
        assert jnp.array_equal(FAMILIES["normal"].draw(key, (3, 2), jnp.float32), jax.random.normal(key, (3, 2)))


@pytest.mark.parametrize("family", ["normal", "uniform", "truncated"])
def test_bits_are_those_of_jax(family):
    """Of any shape: a draw begins as a longer one of the key does.

    JAX computes the limits of a truncated draw when it runs, we when it is compiled. The tests' quick compiler gives
    them another last bit, which the inverse error function (of slope 6.5 there) and the factor sqrt(2)/0.88 make 6.
    """
    key = jax.random.key(3)
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            long = np.asarray(BY_JAX[family](key, (3600,), jnp.dtype(dtype)))
            for shape in ((1, 1), (3, 5), (7, 3), (40, 90)):
                drawn = FAMILIES[family].draw(key, shape, dtype)
                assert drawn.dtype == dtype
                most = 6 * np.finfo(dtype).eps if family == "truncated" else 0
                assert np.max(np.abs(drawn - long[: drawn.size].reshape(shape))) <= most


@pytest.mark.parametrize("shape", [(3, 5), (40, 20)])
def test_orthogonal_bits_are_those_of_jax(shape):
    """On CPUs, where JAX calls the same LAPACK."""
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            drawn, key = FAMILIES["orthogonal"].draw(jax.random.key(3), shape, dtype), jax.random.key(3)
            assert np.array_equal(drawn, jax.nn.initializers.orthogonal()(key, shape, jnp.dtype(dtype)))


def test_several_blocks_are_one_draw():
    """At the end of a block and of a turn of its loop."""
    shape = (2, _BLOCK + 7)
    assert np.array_equal(
        FAMILIES["normal"].draw(jax.random.key(9), shape, jnp.float32), jax.random.normal(jax.random.key(9), shape)
    )


def test_numbers_of_entries_have_two_words():
    """A draw of 2**32 entries is beyond a test: the generator is held against JAX's at such numbers."""
    high, low = np.array([0, 0, 1, 7], np.uint32), np.array([0, 2**32 - 1, 5, 9], np.uint32)
    key = np.array([3, 2**31 + 5], np.uint32)
    want = jax.extend.random.threefry_2x32(key, jnp.concatenate([high, low]))
    assert np.array_equal(np.concatenate(threefry(*key[:, None], high, low)), want)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: gl.MLP(depth=3, width=n, init="he_normal", sigma_b2=0.1),
        lambda n: gl.MLP(depth=3, width=(n, n, n + 1), init="orthogonal", norm="layer"),
        lambda n: gl.ResNet(depth=3, width=n, branch_scale="learned"),
        lambda n: gl.ConvNet(depth=3, width=n, init="identity"),
        lambda n: gl.RNN(width=n, cell="lstm"),
        lambda n: gl.Transformer(depth=2, width=4 * n),
    ],
)
def test_a_second_shape_compiles_nothing(make, compilations):
    shapes = {gl.ConvNet: (8, 8), gl.RNN: (6,), gl.Transformer: (6,)}
    draw = lambda n: make(n).init_params(n, np.ones((2, *shapes.get(type(make(n)), ()), n), "float32"), outputs=3)
    draw(5)
    before = len(compilations)
    params = draw(6)
    assert len(compilations) == before
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    "init", ["he_normal", *(pytest.param(n, marks=pytest.mark.slow) for n in ("pytorch", "he_truncated", "orthogonal"))]
)
def test_inside_a_transformation_the_draw_is_the_same(init):
    """To four roundings: the compiler may join the factors of a draw, where each product is rounded outside.

    A decomposition is another one where examples are batched: to rounding over its 9 columns.
    """
    net, x = gl.MLP(depth=2, width=9, init=init, gain=1.3), np.ones((2, 5), "float32")
    draw = lambda key: net.init_params(key, x, outputs=3)
    keys = jax.random.split(jax.random.key(0), 2)
    together = jax.jit(jax.vmap(draw))(keys)
    for i in range(2):
        for got, want in zip(jax.tree.leaves(together), jax.tree.leaves(draw(keys[i])), strict=True):
            ulp = np.spacing(np.abs(want).max() if init == "orthogonal" else np.abs(want))
            assert np.max(np.abs(got[i] - want) / ulp) <= (4 * 9 if init == "orthogonal" else 4)


def test_a_deeper_network_begins_with_the_same_layers():
    x = np.ones((2, 5), "float32")
    for init in ("he_normal", "orthogonal"):
        short, long = (gl.MLP(depth=d, width=9, init=init).init_params(3, x, outputs=2) for d in (4, 7))
        assert jnp.array_equal(short[0][0]["weight"], long[0][0]["weight"])
        assert jnp.array_equal(short[1][0]["weight"], long[1][0]["weight"][:3])
