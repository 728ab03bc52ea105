"""The law of ln|Ju|^2 on gradlab's own networks: 2000 seeds, measured by `gl.measure`."""

import numpy as np
import pytest
from scipy.stats import kstest

import gradlab as gl

SEEDS, WIDTH = 2000, 100


@pytest.mark.slow
@pytest.mark.parametrize("depth", [10, 50])
def test_2000_seeds_of_he_relu_networks(depth):
    """Depth over width 0.1 and 0.5: mean, variance and fourth central moment within 4 standard errors of the exact law.

    Errors are the law's own, by its moments up to the eighth; Kolmogorov's test at 1e-3.
    """
    x = np.random.default_rng(depth).normal(size=(1, WIDTH)).astype("float32")
    net = gl.MLP(depth=depth, width=WIDTH, activation="relu", init="he_normal", bias=False)
    trace = gl.measure(net, x, loss="probe", seeds=SEEDS, key=depth, columns=["delta_log10_mean"])
    values = 2 * np.log(10) * trace.columns["delta_log10_mean"][:, 0] + np.log(WIDTH)

    law = gl.theory.log_norm_law([WIDTH] * depth)
    y, step = np.linspace(-15, 10, 4001, retstep=True)
    y, step = y * law.variance**0.5, step * law.variance**0.5
    m = [np.sum(law.density(law.mean + y) * y**k) * step for k in range(9)]
    d = values - np.mean(values)
    assert abs(np.mean(values) - law.mean) < 4 * (m[2] / SEEDS) ** 0.5
    assert abs(np.var(values, ddof=1) - law.variance) < 4 * ((m[4] - m[2] ** 2) / SEEDS) ** 0.5
    error = ((m[8] - m[4] ** 2 - 8 * m[3] * m[5] + 16 * m[2] * m[3] ** 2) / SEEDS) ** 0.5
    assert abs(np.mean(d**4) - 3 * law.variance**2 - law.fourth) < 4 * error
    assert kstest(values, law.cdf).pvalue > 1e-3
    # first order: 5 sum 1/n, whose own error is of order 1/n
    assert law.variance == pytest.approx(5 * depth / WIDTH, rel=5 / WIDTH)
