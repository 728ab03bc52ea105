"""A thousand blocks in float32: every row finite, and the backward pass as exact as one in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.losses import probes
from gradlab.core.scaled import scaled
from gradlab.measurement.kept import on_host
from gradlab.measurement.rows import row
from gradlab.measurement.stats import statistics

pytestmark = pytest.mark.slow

OUTPUTS = 3
#: Decades from the smallest normal float32 to the largest.
FLOAT32 = 76
#: Network, shape of the batch, and the decades that its delta passes at least: these three leave float32 altogether.
DEEP = {
    "resnet, branch scale 1": (gl.ResNet(depth=1000, width=32, init="he_normal"), (4, 8), FLOAT32),
    "resnet, branch scale 1, batch norm": (
        gl.ResNet(depth=1000, width=32, init="he_normal", branch_layers=1, norm="batch"), (4, 8), 0
    ),
    "convnet, xavier": (gl.ConvNet(depth=1000, width=16, init="xavier_normal"), (4, 4, 4, 2), FLOAT32),
    "convnet, tanh": (gl.ConvNet(depth=1000, width=16, activation="tanh", gain=0.5), (4, 4, 4, 2), FLOAT32),
    "transformer": (gl.Transformer(depth=500, width=16, heads=2), (4, 6, 3), 0),
    "transformer, post": (gl.Transformer(depth=500, width=16, heads=2, norm_position="after"), (4, 6, 3), 0),
    "transformer, peri": (
        gl.Transformer(depth=500, width=16, heads=2, norm_position="peri", qk_norm=True), (4, 6, 3), 0
    ),
    "transformer, scaled norms": (gl.Transformer(depth=500, width=16, heads=2, norm_scaling=True), (4, 6, 3), 0),
    "transformer, DyT": (gl.Transformer(depth=500, width=16, heads=2, norm="dyt"), (4, 6, 3), 0),
}  # fmt: skip


def deltas(record):
    """log10 rms of the delta of every row: stem (or first layer), blocks, readout."""
    return np.concatenate([np.ravel(row(part)["log10_delta_rms"]) for part in on_host(record)])


@pytest.mark.parametrize("name", DEEP)
def test_a_thousand_blocks_in_float32(name):
    """Beside a backward pass in float64 through the same saved forward signal: rounding at depth 1000 is no more.

    A chaotic network sends two precisions along two trajectories, so it is the backward pass that is compared,
    over every row. 1e-3 in log10 is a relative error of 2.3e-3. A thousand products with an error of a few
    eps = 6e-8 each make 1e-4 of it at most where errors are not amplified; where a block cancels most of the
    cotangent they are (at width 16 an unscaled ResNet was seen to gain a factor of 30 in one such place).
    """
    net, shape, decades = DEEP[name]
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), "float32")
    layer = net.layer(OUTPUTS)
    params = jax.tree.map(lambda v: v.astype("float32"), net.init_params(0, x, outputs=OUTPUTS))
    logits, saved = jax.jit(layer.forward)(params, scaled(x, x.ndim - 1))
    dy = probes(jax.random.key(1), shape[0], OUTPUTS, "float32")
    assert np.all(np.isfinite(logits.mantissa))
    back = lambda: jax.jit(lambda p, s, dy: layer.backward(p, s, scaled(dy), statistics(["log10_delta_rms"]))[1])
    ours = deltas(on_host(back()(params, saved, dy)))
    with jax.enable_x64(True):
        wide = lambda v: jnp.asarray(np.asarray(v), "float64" if v.dtype == jnp.float32 else v.dtype)
        theirs = deltas(on_host(back()(*jax.tree.map(wide, (params, saved, dy)))))
    assert len(ours) == len(theirs) > net.depth
    assert np.all(np.isfinite(ours))
    assert np.max(np.abs(ours - theirs)) <= 1e-3
    assert np.ptp(ours) >= decades

    labels = np.arange(shape[0]) % OUTPUTS
    trace = gl.measure(net, x, labels, params=params, columns=["log10_delta_rms"])
    rows = trace.columns["log10_delta_rms"][0]
    assert len(rows) >= net.depth + 1 and np.all(np.isfinite(rows))
    assert trace.status == ("ok",)
