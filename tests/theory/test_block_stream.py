"""The stream of a transformer's blocks: closed forms for ReLU, the asymptote of DyT, and networks of one position."""

import math

import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.theory import block_stream, dyt_stretch

DEPTH = 16
#: As fields of `gradlab.Transformer`.
KINDS = {
    "pre": {},
    "peri": {"norm_position": "peri"},
    "scaled": {"norm_scaling": True},
    "dyt": {"norm": "dyt"},
    "dyt around": {"norm": "dyt", "norm_position": "peri"},
}


def test_relu_streams_have_closed_forms():
    blocks = np.arange(DEPTH + 1)
    harmonic = np.concatenate([[0], np.cumsum(1 / blocks[1:])])
    want = {"pre": 1 + 1.5 * blocks, "peri": 1 + 2 * blocks, "scaled": 1 + 1.5 * harmonic}
    for kind, variance in want.items():
        law = block_stream("relu", DEPTH, **KINDS[kind])
        assert law.variance == pytest.approx(variance, rel=1e-12), kind
        assert law.log_growth == pytest.approx(math.log(variance[-1]), rel=1e-12), kind
    without = block_stream("relu", DEPTH, attention=0.0)
    alone = gl.theory.pre_norm("relu", DEPTH)
    assert without.variance == pytest.approx(alone.variance, rel=1e-12)
    assert without.factor == pytest.approx(alone.factor, rel=1e-12)


@pytest.mark.parametrize("attention", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
@pytest.mark.parametrize("alpha", [pytest.param(0.5, marks=pytest.mark.slow), 2.0])
def test_the_growth_behind_dyt_approaches_its_stretched_exponential(alpha, attention):
    """The slope of ln against the root of L tends to c: the rest is of order (alpha**2 K)**-1/2, here below 0.1."""
    depth = 2000 if alpha == 0.5 else 120
    law = block_stream("relu", depth, norm="dyt", alpha=alpha, attention=attention)
    logs = np.cumsum(np.log(law.factor))
    slope = (logs[-1] - logs[depth // 2 - 1]) / (math.sqrt(depth) - math.sqrt(depth / 2))
    assert slope == pytest.approx(dyt_stretch("relu", alpha=alpha, attention=attention), rel=0.1)


def test_bad_numbers_are_refused():
    for wrong in ({"norm": "batch"}, {"norm_position": "after"}, {"depth": 0}, {"attention": -1.0}, {"alpha": 0.0}):
        with pytest.raises(GradlabError):
            block_stream("relu", **{"depth": 2, **wrong})


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_one_position(kind):
    """Attention to one position is linear, so the law is that of independent branches: variances and factors.

    Width 128, 24 seeds: 4 standard errors, and 3/n per block for the width.
    """
    width, seeds, depth = 128, 24, 12
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 1, width)).astype("float32")
    net = gl.Transformer(depth=depth, width=width, activation="relu", init="lecun_normal", bias=False, **KINDS[kind])
    columns = ["log10_preactivation_rms", "log10_delta_rms"]
    trace = gl.measure(net, x, rng.integers(0, 3, 8), loss="probe", seeds=seeds, columns=columns)
    stream, delta = (10 ** (2 * trace.columns[name][:, : depth + 1]) for name in columns)
    # the stem's row is in front of the positions, which add cos(0)**2 to every second feature
    start = np.mean(stream[:, 0]) + 0.5
    law = block_stream("relu", depth, variance=start, **KINDS[kind])
    error = lambda v: 4 * np.std(v, 0, ddof=1) / seeds**0.5
    assert np.all(np.abs(stream[:, 1:].mean(0) - law.variance[1:]) < error(stream[:, 1:]) + 0.03 * law.variance[1:])
    # the delta of the last block and those below, relative to it; the stem's own is left out
    logs = np.log(delta[:, 1:depth] / delta[:, depth : depth + 1])
    want = np.cumsum(np.log(law.factor)[:0:-1])[::-1]
    assert np.all(np.abs(logs.mean(0) - want) < error(logs) + 3 / width * np.arange(depth - 1, 0, -1))
