"""One order of layers for a model, whichever way its trees were made, and part of what names the network."""

from typing import NamedTuple

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import gradlab as gl


@pytest.fixture(autouse=True)
def promotion():
    """The strangers' own."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def linen():
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.LayerNorm(name="norm")(nn.Dense(3, name="stem")(x))
            return nn.Dense(1, name="head")(nn.Dense(3, name="body")(x))

    init = lambda key: Model().init(key, jnp.ones((1, 2)))
    return [init(jax.random.key(0)), jax.jit(init)(jax.random.key(0))], ("body", "head", "norm", "stem")


def haiku():
    def model(x):
        for name in ("stem", "body", "head"):
            x = hk.Linear(3, name=name)(x)
        return x

    init = lambda key: hk.transform(model).init(key, jnp.ones((1, 2)))
    return [init(jax.random.key(0)), jax.jit(init)(jax.random.key(0))], ("body", "head", "stem")


class Dense(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Linear(2, 2, rngs=rngs)
        self.dense_10 = nnx.Linear(2, 2, rngs=rngs)
        self.dense_2 = nnx.Linear(2, 2, rngs=rngs)


def of_nnx():
    model = Dense(nnx.Rngs(0))
    state = nnx.state(model, nnx.Param)
    return [model, state, nnx.to_pure_dict(state), nnx.as_pure(state)], ("dense_2", "dense_10", "stem")


class Fields(eqx.Module):
    stem: eqx.nn.Linear
    body: list
    head: eqx.nn.Linear


def equinox():
    make = lambda key: Fields(
        eqx.nn.Linear(2, 2, key=key), [eqx.nn.Linear(2, 2, key=key)], eqx.nn.Linear(2, 1, key=key)
    )
    trees = [make(jax.random.key(0)), eqx.filter_jit(make)(jax.random.key(0))]
    return [eqx.filter(tree, eqx.is_array) for tree in trees], ("stem", "body/0", "head")


class Named(NamedTuple):
    stem: dict
    body: dict


def plain():
    layer = lambda: {"weight": jnp.ones((2, 2))}
    written = {"stem": layer(), "body": layer(), "dense_10": layer(), "dense_2": layer()}
    names = ("body", "dense_2", "dense_10", "stem")
    return [written, jax.jit(lambda tree: tree)(written), dict(sorted(written.items()))], names


@pytest.mark.parametrize("make", [linen, haiku, of_nnx, equinox, plain])
@pytest.mark.slow
def test_every_tree_of_a_model_has_its_layers_in_one_order(make):
    trees, names = make()
    tx = gl.monitored(optax.sgd(0.1))
    inside = jax.jit(lambda tree, state, params: (gl.observe(tree), tx.update(tree, state, params)[1]))
    hashes = set()
    for i, tree in enumerate(trees):
        found = [gl.observe(tree)]
        for params in trees[: 1 if i else 2]:  # of gradients and parameters that were made in different ways
            observed, state = inside(tree, tx.init(tree), params)
            found += [observed, gl.monitor_records(state)]
        for table in map(gl.frame, found):
            assert tuple(table["layer_name"]) == names
            hashes |= set(table["network"])
    assert len(hashes) == 1


def test_fields_of_a_tuple_keep_their_order():
    layer = {"weight": jnp.ones((2, 2))}
    assert list(gl.frame(gl.observe(Named(layer, layer)))["layer_name"]) == ["stem", "body"]


def test_the_order_asked_for_names_layers_or_arrays_and_is_part_of_the_hash():
    grads = {"stem.weight": np.ones((2, 2)), "stem.bias": np.ones(2), "body.weight": np.ones((2, 2))}
    sorted_, written = gl.frame(gl.observe(grads)), gl.frame(gl.observe(grads, order=list(grads)))
    assert list(sorted_["layer_name"]) == ["body", "stem"] and list(written["layer_name"]) == ["stem", "body"]
    assert set(sorted_["network"]) != set(written["network"])
    by_layer = gl.frame(gl.observe(grads, order=["stem", "body"]))
    assert set(by_layer["network"]) == set(written["network"])
