"""The table of architectures: one small network of each kind, with the shape of one example."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import gradlab as gl

CLASSES, BATCH = 3, 6


class Architecture(NamedTuple):
    """A network, and the shape of one example."""

    net: gl.MLP
    shape: tuple[int, ...]

    def __str__(self):
        changed = {k: v for k, v in self.net.changed().items() if k not in ("depth", "width")}
        return "-".join([self.net.architecture, *(f"{k}={v}" for k, v in changed.items())])

    def data(self, dtype="float64", seed=0):
        """Inputs and labels."""
        rng = np.random.default_rng(seed)
        return rng.normal(size=(BATCH, *self.shape)).astype(dtype), np.arange(BATCH) % CLASSES


#: One of each architecture: what the fast tests run over.
TABLE = (
    Architecture(gl.MLP(depth=3, width=5, activation="tanh", norm="layer"), (4,)),
    Architecture(gl.ResNet(depth=3, width=4, branch_scale="1/sqrt(L)"), (3,)),
    Architecture(gl.ConvNet(depth=3, width=3, activation="tanh", init="orthogonal", padding="periodic"), (4, 4, 2)),
    Architecture(gl.RNN(cell="lstm", width=4), (5, 3)),
    Architecture(gl.Transformer(depth=2, width=4, heads=2), (4, 3)),
)  # fmt: skip
#: What is odd of each.
ODD = (
    Architecture(gl.MLP(depth=3, width=(5, 5, 4), norm="batch", norm_position="after"), (4,)),
    Architecture(gl.MLP(depth=1, width=4, norm="rms"), (4,)),
    Architecture(gl.ResNet(depth=2, width=4, branch_scale="learned", branch_layers=1), (3,)),
    Architecture(gl.ResNet(depth=2, width=4, norm="batch", norm_position="after"), (3,)),
    Architecture(gl.ResNet(depth=2, width=3, branch="conv", norm="layer", bias=False), (4, 4, 2)),
    Architecture(gl.ConvNet(depth=1, width=3, kernel=2, norm="batch"), (6, 2)),
    Architecture(gl.RNN(width=4, init="orthogonal", gain=0.7, truncate=2), (5, 3)),
    Architecture(gl.RNN(cell="gru", width=4, depth=3), (5, 3)),
    Architecture(gl.RNN(cell="lru", width=4, r_min=0.5, r_max=0.9), (5, 3)),
    Architecture(
        gl.Transformer(depth=2, width=4, heads=1, norm="rms", norm_position="after", causal=True, activation="relu"),
        (4, 3),
    ),
    Architecture(gl.Transformer(depth=2, width=4, heads=2, norm=None, skip=False, branch_scale=0.7), (4, 3)),
    Architecture(gl.Transformer(depth=2, width=4, heads=2, branch_scale="learned", norm_position="after"), (4, 3)),
    Architecture(gl.MLP(depth=2, width=6, activation="tanh", parametrization="mup", base_width=3), (4,)),
    Architecture(gl.RNN(width=4, parametrization="ntk", base_width=2), (5, 3)),
    Architecture(gl.Transformer(depth=1, width=4, heads=2, parametrization="mup", base_width=2), (4, 3)),
    Architecture(gl.Transformer(depth=2, width=4, heads=2, norm_position="peri", qk_norm=True), (4, 3)),
    Architecture(gl.Transformer(depth=3, width=4, heads=2, norm_scaling=True), (4, 3)),
    Architecture(gl.Transformer(depth=2, width=4, heads=2, norm="dyt"), (4, 3)),
    Architecture(gl.MLP(depth=2, width=4, activation="tanh", norm="dyt", norm_position="after"), (4,)),
)  # fmt: skip
