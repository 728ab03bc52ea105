"""Every column of every architecture beside numbers of an earlier program.

``golden.json`` holds the columns, (seeds, rows), of `NETWORKS` as commit b72af52 measured them on an AMD EPYC with jax
0.10.2, when plain networks and all others had a way of their own each:
``gl.measure(net, x, y, key=3, seeds=2, dtype="float64").columns`` with the x and y below. New numbers belong here only
where results change on purpose, with a new results version.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import gradlab as gl

BATCH, CLASSES = 6, 3
GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
#: Networks, and the shape of one example.
NETWORKS = {
    "mlp": (gl.MLP(depth=3, width=5, activation="tanh", norm="layer"), (4,)),
    "mlp plain": (gl.MLP(depth=4, width=(5, 6, 6, 7), activation="relu", init="he_normal", sigma_b2=0.1), (4,)),
    "resnet": (gl.ResNet(depth=3, width=4, branch_scale="1/sqrt(L)"), (3,)),
    "convnet": (gl.ConvNet(depth=3, width=3, activation="tanh", init="orthogonal", padding="periodic"), (4, 4, 2)),
    "rnn": (gl.RNN(cell="lstm", width=4), (5, 3)),
    "gru": (gl.RNN(cell="gru", width=4, depth=3), (5, 3)),
    "transformer": (gl.Transformer(depth=2, width=4, heads=2), (4, 3)),
}
QUICK = "mlp plain"


@pytest.mark.parametrize("name", [n if n == QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS])
def test_columns_are_what_they_were(name, x64):
    net, shape = NETWORKS[name]
    x, y = np.random.default_rng(0).normal(size=(BATCH, *shape)), np.arange(BATCH) % CLASSES
    found = gl.measure(net, x, y, key=3, seeds=2, dtype="float64").columns
    assert len(GOLDEN[name]) >= 18
    for column, values in GOLDEN[name].items():
        np.testing.assert_allclose(found[column], values, rtol=1e-12, atol=1e-12, err_msg=column)
