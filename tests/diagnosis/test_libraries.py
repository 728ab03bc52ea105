"""The same network in five libraries: the same numbers, and each user's own names. Stacked layers have theirs, too."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.diagnosis import reading
from gradlab.diagnosis.names import paths_of
from gradlab.diagnosis.program import Program
from tests.diagnosis.zoo import flax_nnx

pytestmark = pytest.mark.usefixtures("standard_promotion")
WIDTHS = (6, 8, 8, 3)
MATRICES = [jax.random.normal(jax.random.key(i), s) / s[0] ** 0.5 for i, s in enumerate(itertools.pairwise(WIDTHS))]
X = jax.random.normal(jax.random.key(9), (5, 6))


def through(layers, x):
    *hidden, last = layers
    for layer in hidden:
        x = jnp.tanh(layer(x))
    return jnp.mean(last(x) ** 2)


def as_dict():
    params = {f"dense_{i}": {"w": w, "b": jnp.zeros(w.shape[1])} for i, w in enumerate(MATRICES)}
    dense = lambda p: lambda x: x @ p["w"] + p["b"]
    return lambda params, x: through([dense(p) for p in params.values()], x), params


def as_linen():
    import flax.linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return through([nn.Dense(width, name=f"dense_{i}") for i, width in enumerate(WIDTHS[1:])], x)

    params = {f"dense_{i}": {"kernel": w, "bias": jnp.zeros(w.shape[1])} for i, w in enumerate(MATRICES)}
    return Net().apply, {"params": params}


def as_nnx():
    nnx = flax_nnx()
    layers = nnx.List([nnx.Linear(*w.shape, rngs=nnx.Rngs(0)) for w in MATRICES])
    graph, params = nnx.split(layers, nnx.Param)
    for i, w in enumerate(MATRICES):
        params[i]["kernel"][...] = w
    return lambda params, x: through(nnx.merge(graph, params), x), params


def as_equinox():
    import equinox as eqx

    layers = [eqx.nn.Linear(*w.shape, key=jax.random.key(0)) for w in MATRICES]
    layers = [
        eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, (w.T, jnp.zeros(w.shape[1])))
        for layer, w in zip(layers, MATRICES, strict=True)
    ]
    params, rest = eqx.partition({"layers": layers}, eqx.is_inexact_array)
    loss = lambda params, x: through([jax.vmap(layer) for layer in eqx.combine(params, rest)["layers"]], x)
    return loss, params


def as_haiku():
    import haiku as hk

    net = hk.without_apply_rng(hk.transform(lambda x: through([hk.Linear(width) for width in WIDTHS[1:]], x)))
    names = ("linear", "linear_1", "linear_2")
    params = {name: {"w": w, "b": jnp.zeros(w.shape[1])} for name, w in zip(names, MATRICES, strict=True)}
    return net.apply, params


NAMES = {
    as_dict: ("dense_0", "dense_1", "dense_2"),
    as_linen: ("dense_0", "dense_1", "dense_2"),
    as_nnx: ("0", "1", "2"),
    as_equinox: ("layers/0", "layers/1", "layers/2"),
    as_haiku: ("linear", "linear_1", "linear_2"),
}


def table(make):
    loss, params = make()
    program = Program.of(loss, params, (X,))
    found = program.run(params, (X,))
    rms = lambda vectors: [10 ** reading.columns(np.asarray(vectors[n]))["log10_rms"] for n in sorted(vectors)]
    norms = [np.linalg.norm(np.asarray(jax.tree.leaves(found.grads)[leaf])) for leaf in program.first_use]
    return program, rms(found.values), rms(found.deltas), norms


@pytest.mark.slow
@pytest.mark.parametrize("make", NAMES)
def test_the_same_network_has_the_same_numbers_and_its_own_names(make):
    program, *numbers = table(make)
    a, b, c = NAMES[make]
    assert [site.name for site in program.sites] == [a, f"{a}/tanh", b, f"{b}/tanh", c]
    assert [program.paths[leaf].rpartition("/")[0] for leaf in program.first_use] == [a, a, b, b, c, c]
    _, *plain = table(as_dict)
    for mine, own in zip(numbers, plain, strict=True):
        np.testing.assert_allclose(mine, own, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("remat", [False, True])
def test_layers_of_a_scanned_flax_transformer_have_numbers(remat):
    import flax.linen as nn

    class Block(nn.Module):
        @nn.compact
        def __call__(self, h, _):
            h = h + nn.MultiHeadDotProductAttention(2, name="attention")(nn.LayerNorm(name="ln1")(h))
            up = nn.gelu(nn.Dense(16, name="up")(nn.LayerNorm(name="ln2")(h)))
            return h + nn.Dense(8, name="down")(up), None

    class Net(nn.Module):
        @nn.compact
        def __call__(self, tokens):
            h = nn.Embed(11, 8, name="tokens")(tokens)
            block = nn.remat(Block, prevent_cse=False) if remat else Block
            stack = nn.scan(block, variable_axes={"params": 0}, split_rngs={"params": True}, length=24)
            h, _ = stack(name="blocks")(h, None)
            return nn.Dense(11, name="head")(nn.LayerNorm(name="ln")(h))

    net, tokens = Net(), jax.random.randint(jax.random.key(1), (2, 5), 0, 11)
    variables = net.init(jax.random.key(0), tokens)
    loss = lambda variables, tokens: jnp.mean(jax.nn.log_softmax(net.apply(variables, tokens))[..., 0])
    program = Program.of(loss, variables, (tokens,))
    kinds = ("lookup", "product", "logits", "inner", "carry")
    names = [re.sub(".*(logits|inner)", r"\1", f"{s.name}{s.kind if s.kind in ('logits', 'inner') else ''}")
             for s in program.sites if s.kind in kinds]  # fmt: skip
    attention = [f"blocks/attention/{name}" for name in ("query", "key", "value")]
    inside = [*attention, "logits", "inner", "blocks/attention/out", "blocks/up", "blocks/down", "blocks/carry"]
    assert names == ["tokens", *inside, "head"]
    found = program.run(variables, (tokens,))
    for site in program.sites:
        steps = (24,) if site.scans else ()
        assert np.shape(found.values[site.number])[:-1] == np.shape(found.deltas[site.number])[:-1] == steps
        assert all(scan[:2] == ("layers", 24) for scan in site.scans)
    carry = next(site for site in program.sites if site.kind == "carry")
    deltas = reading.columns(np.asarray(found.deltas[carry.number]))["log10_rms"]
    assert np.all(np.isfinite(deltas)) and len(set(deltas)) == 24
    assert dict(zip(program.paths, program.depths, strict=True))["blocks/up/kernel"] == 1


def test_paths_are_the_users_in_the_order_of_the_leaves():
    tree = {"b": {"kernel": 1.0, "bias": None}, "a": [2.0, {"x.y": jnp.arange(2)}]}
    assert paths_of(tree) == ("a/0", "a/1/x/y", "b/kernel")
    assert paths_of({"params": tree})[0] == "a/0"
    assert paths_of(3.0) == ("array",)
