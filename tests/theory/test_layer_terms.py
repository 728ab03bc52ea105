"""First order in 1/n layer by layer: its limit, plain networks with biases, and gradlab's own over a grid of scales."""

import itertools

import numpy as np
import pytest

from gradlab._errors import GradlabError
from gradlab.config import ACTIVATIONS, MLPConfig
from gradlab.measurement.measure import measure_group
from gradlab.theory import coefficients, finite_width_terms, predict, transients

SMOOTH = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "silu": (lambda z: z / (1 + np.exp(-z)), lambda z: (1 + np.exp(-z) + z * np.exp(-z)) / (1 + np.exp(-z)) ** 2),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0))),
}


@pytest.mark.parametrize("case", [("relu", 2.0), ("identity", 0.5), ("leaky_relu", 3.0)])
@pytest.mark.parametrize("sigma_b2", [0.0, 0.7])
def test_homogeneous_activations_keep_m_whatever_the_variance_does(case, sigma_b2):
    log_q = np.random.default_rng(1).uniform(0, 400, size=(7, 3))
    found = finite_width_terms(case[0], log_q, width=50, sigma_b2=sigma_b2)
    assert found.total == pytest.approx(np.full((6, 3), coefficients(*case).M / 50), rel=1e-9)


@pytest.mark.parametrize(
    "case",
    [("tanh", 2.0, 0.0), ("selu", 1.0, 0.0), ("sigmoid", 1.0, 0.0), ("hard_tanh", 2.0, 0.0), ("softplus", 1.0, 0.0),
     ("silu", 1.3, 0.5), ("elu", 0.3, 0.5), ("gelu", 1.3, 3.0), ("softsign", 2.3, 0.05)],
)  # fmt: skip
def test_far_from_both_ends_the_terms_are_m(case):
    """Where nothing changes from layer to layer any more: the two are written apart, by sums and by recursions."""
    at = coefficients(*case)
    deep = finite_width_terms(case[0], np.full((400, 1), np.log(at.q_star)), width=64, sigma_b2=case[2])
    assert deep.total[200, 0] == pytest.approx(at.M / 64, rel=1e-6)
    still = finite_width_terms(case[0], np.full((400, 1), np.log(at.q_star)), width=64, sigma_b2=case[2], measured=True)
    assert still.gates == pytest.approx(deep.gates) and still.along == pytest.approx(deep.along)


@pytest.mark.parametrize(
    ("case", "measured", "error", "exact"),
    [(("silu", 1.3, 0.5), -1.77, 0.23, -1.54), (("elu", 0.3, 0.5), -1.82, 0.17, -1.44)],
)
def test_m_with_biases(case, measured, error, exact):
    """Beside Monte Carlo of M on plain networks, 3 of its standard errors; and the value itself, to its digits."""
    found = coefficients(*case).M
    assert abs(found - measured) < 3 * error
    assert round(found, 2) == exact


@pytest.mark.parametrize("case", [("tanh", 2.0, 0.5), ("silu", 1.3, 0.5), ("elu", 0.3, 3.0)])
def test_plain_networks_with_biases(case):
    """NumPy, width 40, depth 8, 1500 networks: the mean of ln|delta_1|^2/|delta_L|^2 within 4.5 standard errors.

    The second order is below (10/40)^2 = 0.06 of the first order's layers, a tenth of a standard error.
    """
    name, w, b = case
    phi, dphi = SMOOTH[name]
    rng, n, depth, nets = np.random.default_rng(3), 40, 8, 1500
    a, signals, weights = np.ones((nets, n)), [], []
    for _ in range(depth):
        weights.append(rng.normal(size=(nets, n, n)).astype("float32") * (w / n) ** 0.5)
        z = np.einsum("rij,rj->ri", weights[-1], a) + rng.normal(size=(nets, n)) * b**0.5
        signals.append(z)
        a = phi(z)
    delta = dphi(signals[-1]) * rng.normal(size=(nets, n))
    logs = -np.log(np.sum(delta**2, 1))
    for z, weight in zip(signals[-2::-1], weights[:0:-1], strict=True):
        delta = dphi(z) * np.einsum("rij,ri->rj", weight, delta)
    logs += np.log(np.sum(delta**2, 1))
    at = transients(name, sigma_w2=w, sigma_b2=b, depth=depth)
    chi = (np.log(w) + at.log_dphi2[:-1]).sum()
    terms = finite_width_terms(name, at.log_q[:, None], width=n, sigma_b2=b)
    error = np.std(logs, ddof=1) / nets**0.5
    assert abs(logs.mean() - chi - terms.total.sum()) < 4.5 * error
    assert abs(logs.mean() - chi) > 4.5 * error  # the test sees the terms


def test_wrong_widths_and_variances_are_refused():
    for wrong in ({"width": 0}, {"width": 8, "sigma_b2": -1.0}):
        with pytest.raises(GradlabError, match=r"width|sigma_b2"):
            finite_width_terms("tanh", np.zeros((3, 1)), **wrong)


def discrepancies(cases, width=64, depth=24, seeds=200):
    """t of measured over predicted rates by network, or why theory has no finite-width term there."""
    x = np.random.default_rng(5).normal(size=(1, width))
    x /= np.sqrt(np.mean(x * x))
    fields = {"depth": depth, "width": width, "init": "gaussian", "readout": "lecun_normal"}
    configs = [MLPConfig(activation=a, sigma_w2=w, sigma_b2=b, **fields) for a, w, b in cases]
    traces = measure_group(
        configs, x.astype("float32"), np.zeros(1, int), loss="probe", key=7, seeds=range(seeds), outputs=1,
        columns=("delta_log10_mean",),
    )  # fmt: skip
    found = {}
    for name, config, trace in zip(cases, configs, traces, strict=True):
        theory = predict(config, x, columns=["delta_log10_mean"])
        logs = trace.columns["delta_log10_mean"]
        gap = logs[:, 0] - logs[:, depth - 1] - theory.decades("delta_log10_mean")
        t = gap.mean() / (gap.std(ddof=1) / seeds**0.5)
        found[name] = t if theory.no_finite_width is None else theory.no_finite_width.text
    return found


@pytest.mark.slow
def test_rates_over_a_grid_of_weights_and_biases():
    """All activations, depth 24, 200 seeds, width 64: |t| < 4 wherever theory gives the term, else it says why.

    Where the term is no small correction at width 64 the same is asked at the first of 128 and 256 at which it is.
    With 199 degrees of freedom |t| > 4 comes by chance in one of 11,200 networks, in one of 71 runs of 158 networks
    if they were independent; they share their draws, and these seeds are fixed.
    """
    found = discrepancies(list(itertools.product(ACTIVATIONS, (0.3, 1.3, 2.3, 7.0), (0.0, 0.05, 0.5, 3.0))))
    large = [name for name, why in found.items() if "no small correction" in str(why)]
    endless = [name for name, why in found.items() if "for ever" in str(why)]
    given = {name: t for name, t in found.items() if not isinstance(t, str)}
    assert len(given) + len(large) + len(endless) == len(found)
    for width in (128, 256):
        wider = discrepancies([name for name in large if name not in given], width)
        given |= {name: t for name, t in wider.items() if not isinstance(t, str)}
    worst = max(given, key=lambda name: abs(given[name]))
    print(
        f"{len(given)} networks, largest |t| {abs(given[worst]):.2f}: {worst}; no small correction at width 64: {large}"
    )
    assert abs(given[worst]) < 4, (worst, given[worst])
    assert set(found) - set(given) - set(endless) <= {("silu", 2.3, 0.05)}  # V' is 0.67, but q comes from far above


@pytest.mark.slow
def test_rates_over_a_few_weights_and_biases():
    """What the old term had wrong: SiLU and ELU with biases, 100 seeds, 99 degrees of freedom.

    |t| > 4 comes by chance in one of 1,350 runs of six networks with other seeds.
    """
    found = discrepancies(list(itertools.product(("silu", "elu", "tanh"), (1.3,), (0.05, 0.5))), depth=16, seeds=100)
    assert max(abs(t) for t in found.values()) < 4, found
