"""The weights of row s of a sweep are those of `init_params` with the key folded with s, to the bit."""

import jax
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.keys import fold_in_each
from gradlab.measurement import shared, single
from gradlab.measurement.measure import measure_group
from tests.networks.architectures import CLASSES, TABLE

SEEDS = (0, 3)
OTHERS = [pytest.param(case, marks=pytest.mark.slow) for case in TABLE[2:]]


class Drawn(Exception):
    """The weights are there; nothing is measured."""


def drawn_for(configs, x, y, monkeypatch):
    """The weights that each seed is measured with."""

    def over_seeds(draw, program, arguments, finish, key, seeds, signals):
        raise Drawn([draw(key)[0] for key in fold_in_each(key, seeds)])

    for way in (shared, single):
        monkeypatch.setattr(way, "over_seeds", over_seeds)
    with pytest.raises(Drawn) as found:
        measure_group(configs, x, y, loss=None, key=jax.random.key(5), seeds=SEEDS, columns=["weight_norm"])
    return found.value.args[0]


def equal(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", [TABLE[0], TABLE[1], *OTHERS], ids=str)
def test_networks_that_are_measured_by_themselves(case, monkeypatch):
    x, y = case.data("float32")
    found = drawn_for([case.net], x, y, monkeypatch)
    for seed, params in zip(SEEDS, found, strict=True):
        equal(params, case.net.init_params(jax.random.fold_in(jax.random.key(5), seed), x, outputs=CLASSES))


@pytest.mark.parametrize("options", [{}, {"sigma_b2": 0.3}, {"init": "orthogonal", "gain": 1.7}], ids=str)
def test_networks_that_share_their_draws(options, monkeypatch):
    """One base draw, and a scale for each network: the product is the weight, rounded once as there."""
    nets = [gl.MLP(depth=d, width=5, activation=a, **options) for d, a in ((2, "tanh"), (4, "relu"), (4, "tanh"))]
    x, y = TABLE[0].data("float32")
    found = drawn_for(nets, x, y, monkeypatch)
    for seed, (first, run, readout) in zip(SEEDS, found, strict=True):
        key = jax.random.fold_in(jax.random.key(5), seed)
        scales = np.asarray(first[0]["gain"])
        for net in nets:
            wanted = net.layers(net.init_params(key, x, outputs=CLASSES))
            hidden = [first[0], *(jax.tree.map(lambda v, i=i: v[i], run[0]) for i in range(net.depth - 1))]
            variant = next(i for i in range(len(scales)) if _is(first[0], i, wanted[0][1]))
            for own, (_, layer) in zip([*hidden, readout[0]], wanted, strict=True):
                assert _is(own, variant, layer)


def _is(own, variant, layer):
    """Whether a base draw with the scale of one network is this layer, bit for bit."""
    gain = np.asarray(own["gain"])[variant]
    same = np.array_equal(gain * np.asarray(own["weight"]), np.asarray(layer["weight"]))
    return same and np.array_equal(np.asarray(own["bias"])[variant].reshape(-1), np.asarray(layer["bias"]).reshape(-1))
