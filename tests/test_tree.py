"""Names of leaves and layers: what is told apart, in which order, and what survives `jit`."""

import dataclasses
from collections import OrderedDict
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab._errors import GradlabError
from gradlab._tree import layers_of, named_leaves

W, B = np.zeros((3, 2)), np.zeros(2)


class Pair(NamedTuple):
    weight: np.ndarray
    bias: np.ndarray


@pytest.mark.parametrize(
    ("tree", "names"),
    [
        ({"params": {"Dense_0": {"kernel": W, "bias": B}, "Dense_1": {"kernel": W}}}, ("Dense_0", "Dense_1")),
        ({"mlp/~/linear_0": {"w": W, "b": B}}, ("mlp/~/linear_0",)),
        ([(W, B), (W, B)], ("0", "1")),
        ([W, W], ("0", "1")),
        ([Pair(W, B)], ("0",)),
        ({"blocks.0.fc.weight": W, "blocks.0.fc.bias": B, "head.weight": W}, ("blocks/0/fc", "head")),
        ({"w1": W, "b1": B}, ("b1", "w1")),
        (W, ("array",)),
        ({"a": None, "b": {"w": W, "step": np.zeros(2, int), "name": "x"}}, ("b",)),
    ],
)
def test_what_hangs_on_one_parent_is_a_layer(tree, names):
    assert layers_of(tree).names == names


def test_every_leaf_has_a_name_of_its_own_whatever_it_hangs_on():
    leaves = named_leaves({"a": [W, (W, Pair(W, B))], "c": {"d.e": W}, "f": {3: W}})
    assert list(leaves) == ["a/0", "a/1/0", "a/1/1/weight", "a/1/1/bias", "c/d/e", "f/3"]
    with pytest.raises(GradlabError, match="two called a/b"):
        named_leaves({"a": {"b": W}, "a.b": W})


def test_weights_and_biases():
    layers = layers_of({
        "dense": {"kernel": W, "bias": B},
        "norm": {"scale": B, "bias": B},
        "pair": (W, B),
        "attention": {"wq": np.zeros((2, 3, 4)), "bq": np.zeros((3, 4)), "wo": np.zeros((3, 4, 2))},
    })  # fmt: skip
    told = {
        row.name: ([layers.slots[s].path for s in row.weights], [layers.slots[s].path for s in row.biases])
        for row in layers.rows
    }
    assert told["dense"] == (["dense/kernel"], ["dense/bias"])
    assert told["norm"] == (["norm/scale"], ["norm/bias"])
    assert told["pair"] == (["pair/0"], ["pair/1"])
    assert told["attention"] == (["attention/wo", "attention/wq"], ["attention/bq"])


TREE = {"input": {"w": W}, **{f"dense_{i}": {"w": W} for i in range(12)}, "output": {"w": W}}
DENSE = tuple(f"dense_{i}" for i in range(12))


def behind_jit(tree, **options):
    found = []
    jax.jit(lambda t: found.append(layers_of(t, **options)))(tree)
    return found[0]


def test_keys_of_a_dict_stand_by_name_and_numbers_count_however_it_was_written():
    for tree in (TREE, OrderedDict(reversed(TREE.items()))):
        for make in (layers_of, behind_jit):
            assert make(tree).names == (*DENSE, "input", "output")
            assert make(tree, order=["input", "dense_*", "output"]).names == ("input", *DENSE, "output")
            assert make(tree, order="output").names[0] == "output"
    assert layers_of(TREE, order=["output.w", "dense_3/*"]).names[:2] == ("output", "dense_3")


def test_stacked_layers_come_one_after_the_other_with_all_their_parts():
    stack = {"attention": {"w": np.zeros((11, 3, 2)), "b": np.zeros((11, 2))}, "mlp": {"w": np.zeros((11, 2, 2))}}
    layers = layers_of({"a": {"w": W}, "blocks": stack, "head": {"w": W}}, stacked="blocks")
    inner = [f"blocks/{i}/{part}" for i in range(11) for part in ("attention", "mlp")]
    assert layers.names == ("a", *inner, "head")
    row = layers.rows[1]
    assert len(row.weights) == len(row.biases) == 1 and layers.slots[row.weights[0]].entries == 6
    assert behind_jit({"w": jnp.zeros((3, 2, 2))}, stacked="w").names == ("w/0", "w/1", "w/2")


def test_the_layers_are_part_of_the_structure():
    layers = layers_of(TREE)
    assert jax.tree.leaves(layers) == []
    assert jax.jit(lambda x: x)(layers) == layers and hash(layers) == hash(layers_of(dict(TREE)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers_of({}), "a tree with arrays of floats"),
        (lambda: layers_of(TREE, order="dens"), "order to be one of"),
        (lambda: layers_of(TREE, stacked="blocks"), "stacked to be one of"),
        (lambda: layers_of({"a": np.array(1.0)}, stacked="a"), "an axis that counts layers"),
        (lambda: layers_of(TREE).align({"other": {"w": W}}, "gradient"), "each leaf of the gradient to be one of"),
        (lambda: layers_of(TREE).align({"input": {"w": W.T}}, "update"), r"input/w of the update of shape \(3, 2\)"),
        (lambda: layers_of(TREE).align([], "gradient"), "gradient with leaves"),
    ],
)
def test_what_cannot_be_named_is_refused(make, message):
    with pytest.raises(GradlabError, match=message):
        make()


def test_a_box_around_a_value_has_no_name():
    box = dataclasses.make_dataclass("Box", ["value"])
    jax.tree_util.register_dataclass(box, data_fields=["value"], meta_fields=[])
    assert list(named_leaves({"dense": {"kernel": box(W)}})) == ["dense/kernel"]
