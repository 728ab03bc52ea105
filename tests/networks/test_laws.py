"""The laws of signals and gradients at initialisation, in networks as a user builds and measures them."""

import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.norm import batch_norm
from gradlab.core.scaled import plain, scaled
from gradlab.core.unroll import Steps

pytestmark = pytest.mark.slow

DELTA = "log10_delta_rms"


def hidden(net, x, seeds, dtype="float32", column=DELTA):
    """A column in the counted layers, one row for each seed."""
    trace = gl.measure(net, x, loss="probe", seeds=seeds, columns=[column], dtype=dtype)
    assert set(trace.status) == {"ok"}
    counted = [i for i, info in enumerate(trace.layers) if info.layer >= 1 and info.layer_name != "readout"]
    return trace.columns[column][:, counted]


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def factor(net, x, seeds, skip=4):
    """Mean-square factor per layer without the first `skip` layers and the top: logarithm, and standard error."""
    deltas = hidden(net, x, seeds)
    logs = 2 * np.log(10) * (deltas[:, skip] - deltas[:, -2]) / (deltas.shape[1] - 2 - skip)
    return logs.mean(), logs.std(ddof=1) / len(logs) ** 0.5


def test_batch_norm_with_relu():
    """1.470 +- 0.002 at a batch of 256 (an independent simulation at width 1000, 14 layers), pi/(pi-1) beyond.

    The tolerance is that error and three standard errors of this simulation, which are stated below 0.002.
    """
    net = gl.MLP(depth=14, width=1000, activation="relu", init="he_normal", norm="batch", bias=False)
    log, error = factor(net, gaussian(256, 64), seeds=8)
    assert error <= 0.002
    assert abs(np.exp(log) - 1.470) <= 0.002 + 3 * error * 1.470
    assert abs(np.exp(log) - np.pi / (np.pi - 1)) <= 2 / 256 + 10 / 1000


@pytest.mark.parametrize("batch", [8, 16, 64])
def test_one_linear_batch_norm(batch):
    """(B - 2)/(B - 3) exactly, at any width: E 1/chi2, and what the two projections leave. 4 standard errors."""
    layer = batch_norm(gain=False, bias=False, eps=1e-12)
    x, dy = (jnp.asarray(gaussian(batch, 200_000, seed=s)) for s in (1, 2))
    _, saved = layer.forward({}, plain(x))
    dx = layer.backward({}, saved, plain(dy), lambda site: None)[0].mantissa
    units = np.asarray(jnp.sum(dx**2, 0), np.float64) / batch
    assert abs(units.mean() - (batch - 2) / (batch - 3)) <= 4 * units.std() / len(units) ** 0.5


@pytest.mark.parametrize("batch", [8, 16])
def test_linear_networks_with_batch_norm(batch):
    """(B - 2)/(B - 3) again in 14 layers, as far as the width n lets examples stay isotropic.

    The covariance of the d = B - 1 free directions of a batch is a mean over n units, so each layer adds d/n to
    the relative variance S of its eigenvalues, and a linear batch norm takes only 1 - (1 - 2/(d+2))^2 of it away. To
    second order E 1/sigma^2 rises by 2 S/(d+2), the tolerance here beside 4 standard errors: at equilibrium
    S = d (d+2)/(4n), so that the law asks for n far above B^2/4. At B = 64 the tolerance at this width would be
    as large as the law's own logarithm (it is the single layer above that holds there).
    """
    width, depth = 1000, 14
    free, spread = batch - 1, 0.0
    for _ in range(depth):
        spread = (1 - 2 / (free + 2)) ** 2 * spread + free / width
    net = gl.MLP(depth=depth, width=width, activation="identity", init="lecun_normal", norm="batch", bias=False)
    log, error = factor(net, gaussian(batch, 1000), seeds=8)
    assert abs(log - np.log((batch - 2) / (batch - 3))) <= 2 * spread / (free + 2) + 4 * error


def test_layer_norm_with_tanh():
    """E phi'^2 / E phi^2 = 1.17781, whatever the weights' variance; corrections of 10/n."""
    net = gl.MLP(depth=14, width=500, activation="tanh", init="xavier_normal", norm="layer", bias=False)
    log, error = factor(net, gaussian(16, 64), seeds=8)
    assert abs(log - np.log(1.17781)) <= 4 * error + 10 / 500


@pytest.mark.parametrize(("scale", "depth", "want"), [("1", 8, 2.0**8), ("1/sqrt(L)", 50, 1.02**50)])
def test_residual_branches(scale, depth, want):
    """1 + a^2 in each block: 2^L at a = 1, nearly e at a^2 = 1/L. Mean square over networks, 4 standard errors."""
    net = gl.ResNet(
        depth=depth + 1, width=128, activation="identity", init="lecun_normal", branch_layers=1, bias=False,
        branch_scale=scale if scale == "1" else f"{depth**-0.5}",
    )  # fmt: skip
    deltas = hidden(net, gaussian(8, 16), seeds=48)
    growth = 10 ** (2 * (deltas[:, 0] - deltas[:, -1]))
    assert abs(growth.mean() - want) <= 4 * growth.std(ddof=1) / len(growth) ** 0.5
    assert growth.std(ddof=1) / len(growth) ** 0.5 <= 0.1 * want


def test_rezero_is_exactly_the_identity_at_the_start():
    deltas = hidden(gl.ResNet(depth=20, width=16, branch_scale="learned", norm="layer"), gaussian(4, 8), seeds=2)
    assert np.array_equal(deltas, np.broadcast_to(deltas[:, :1], deltas.shape))


@pytest.mark.parametrize("radius", [0.5, 1.5])
def test_orthogonal_recurrence(radius):
    """|dL/dh_t| = rho^(T - t) |dL/dh_T|: to the rounding of 300 products in float64."""
    net = gl.RNN(width=16, activation="identity", init="orthogonal", gain=radius)
    deltas = hidden(net, gaussian(3, 300, 2), seeds=2, dtype="float64")
    law = np.log10(radius) * np.arange(299, -1, -1)
    assert np.max(np.abs(deltas - deltas[:, -1:] - law)) <= 1e-10


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, np.log(99.0)])
def test_path_through_the_cells_of_an_lstm(forget_bias, x64):
    """sigma(b_f)^(T - t): where inputs and recurrent weights are 0, nothing else passes. To 300 roundings."""
    steps = 100
    net = gl.RNN(cell="lstm", width=4, forget_bias=float(forget_bias))
    x = jnp.zeros((2, steps, 3))
    params = net.init_params(0, x, outputs=2)
    params[0]["recurrent"]["weight"] = jnp.zeros_like(params[0]["recurrent"]["weight"])
    layer, found = net.layer(2), {}
    _, saved = layer.forward(params, scaled(x, 2))
    keep = lambda site: found.update(cells=site.steps.dstate) if isinstance(site.steps, Steps) else None
    layer.backward(params, saved, scaled(jnp.asarray([[1.0, -2.0], [0.5, 3.0]])), keep)
    cells = np.asarray(found["cells"].value())[..., 1, :]
    law = (1 / (1 + np.exp(-forget_bias))) ** np.arange(steps - 1, -1, -1)
    assert np.max(np.abs(cells / cells[:, -1:] / law[:, None] - 1)) <= 300 * 2.2e-16


def test_delta_orthogonal_kernels_keep_both_norms():
    """Xiao et al. 2018: a linear ConvNet on a torus is an isometry, forward and backward, to 1e-12."""
    net = gl.ConvNet(depth=50, width=8, activation="identity", init="delta_orthogonal", padding="periodic", bias=False)
    x = gaussian(3, 5, 5, 2)
    for column in (DELTA, "log10_activation_rms"):
        values = hidden(net, x, seeds=2, dtype="float64", column=column)
        assert np.max(np.abs(values - values[:, :1])) <= 1e-12
