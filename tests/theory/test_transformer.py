"""The laws of attention and of transformers beside measurements, and what they refuse."""

import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab._types import MEASURED
from gradlab.core.activations import TABLE
from gradlab.theory.gram import kernels
from gradlab.theory.refusal import Reason
from gradlab.theory.transformer import TRANSFORMER_FUNCTIONALS

SEEDS = 32
#: What the law's own draws leave: 256 draws x 12 positions of matrices that scatter by a fifth, in decades.
OF_DRAWS = 0.2 / (256 * 12) ** 0.5 / np.log(10)


def sequences(count=1):
    return np.random.default_rng(3).normal(size=(count, 12, 16)).astype("float32")


NETS = {
    "no norm": {"norm": None, "branch_scale": "1/sqrt(L)"},
    "pre": {"norm": "layer"},
    "post": {"norm": "rms", "norm_position": "after"},
    "peri": {"norm_position": "peri", "activation": "relu", "init": "he_normal"},
    "causal, biases": {"norm": "rms", "causal": True, "activation": "tanh", "sigma_b2": 0.1},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NETS)
def test_a_transformer_is_as_predicted(case):
    """Stream, correlation of positions, entropy and gradients at both ends, within 3 standard errors over seeds."""
    net, x = gl.Transformer(depth=5, width=256, heads=8, **NETS[case]), sequences()
    law = gl.theory.predict(net, x, outputs=10)
    assert {*law.columns} == {*TRANSFORMER_FUNCTIONALS} <= {*MEASURED}
    trace = gl.measure(net, x, np.array([9]), seeds=SEEDS, columns=[*law.columns])
    for name, predicted in law.columns.items():
        values = trace.columns[name][:, 1:]  # without the stem
        backward = "delta" in name or "grad" in name
        if name == "attention_entropy":
            mean, error = values.mean(0), values.std(0, ddof=1) / SEEDS**0.5
        else:  # log10 of a mean, backward over that of the last block, and its error to first order
            size = 1 if "token" in name else 2
            share = 10 ** (size * values)
            mean = np.log10(share.mean(0)) / size
            relative = share / share.mean(0)
            if backward:
                mean, relative = mean - mean[-2], relative - relative[:, -2:-1]
            error = relative.std(0, ddof=1) / SEEDS**0.5 / size / np.log(10)
        # the first block, the last one, the readout
        rows = (0,) if backward else (0, -2, -1) if name == "log10_preactivation_rms" else (0, -2)
        for row in rows:
            assert abs(mean[row] - predicted[row]) < 3 * np.hypot(error[row], OF_DRAWS), (name, row)
    # Xavier's rule asks for the number of outputs
    assert np.isnan(gl.theory.predict(net, x).columns["log10_preactivation_rms"][-1])


@pytest.mark.parametrize(("name", "tolerance"), [("relu", 1e-6), ("gelu", 1e-8), ("tanh", 1e-8), ("hard_tanh", 2e-4)])
def test_kernels_of_two_positions_are_those_of_the_quadrature(name, tolerance):
    """Of an activation with kinks the Hermite series of 40 terms leaves little, and none at c = 1."""
    q1, q2, c = 1.5, 0.7, 0.6
    covariance = np.array([[[q1, c * np.sqrt(q1 * q2)], [c * np.sqrt(q1 * q2), q2]]])
    product, slopes = kernels(TABLE[name], covariance)
    at = gl.theory.overlap(name, q1, q2, np.arccos(c))
    alone = [np.exp(gl.theory.moments(name, np.log(q))) for q in (q1, q2)]
    distance = 2 * np.sqrt(q1 * q2) * (1 - c) * at.mean_slope
    assert product[0, 0, 1] == pytest.approx((alone[0][0] + alone[1][0] - distance) / 2, abs=tolerance)
    assert slopes[0, 0, 1] == pytest.approx(at.slopes, abs=50 * tolerance)
    assert np.diagonal(product[0]) == pytest.approx([one[0] for one in alone], rel=1e-8)
    assert np.diagonal(slopes[0]) == pytest.approx([one[1] for one in alone], rel=1e-6)


@pytest.mark.parametrize(("std", "positions"), [(0.5, 3), (2.5, 20), (6.0, 20)])
def test_softmax_of_gaussian_scores(std, positions):
    scores = std * np.random.default_rng(0).normal(size=(20000, positions))
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    for law, values in (
        (gl.theory.attention_participation, np.sum(p**2, 1)),
        (gl.theory.attention_entropy, -np.sum(p * np.log(p), 1)),
    ):
        assert abs(law(std, positions) - values.mean()) < 3 * values.std() / 20000**0.5


def test_limits_of_the_softmax():
    """Annealed below, frozen above: with b = s / sqrt(2 ln T) the participation tends to 1 - 1/b."""
    participation, entropy = gl.theory.attention_participation, gl.theory.attention_entropy
    assert participation(0.0, 100) == pytest.approx(0.01, rel=1e-12)
    assert entropy(0.0, 100) == pytest.approx(np.log(100), rel=1e-12)
    assert participation(1.0, 10**6) == pytest.approx(np.e / 10**6, rel=1e-4)
    far = 10**9  # ln T corrections to the frozen phase fall as ln ln T / ln T
    critical = gl.theory.freezing_std(far)
    assert critical == pytest.approx(np.sqrt(18 * np.log(10)))
    assert participation(2 * critical, far) == pytest.approx(0.5, abs=0.06)
    assert entropy(0.4 * critical, far) / np.log(far) == pytest.approx(0.84, abs=1e-3)


REFUSED = {
    "dyt": ({"norm": "dyt"}, {}, "norm='dyt'"),
    "normed scores": ({"qk_norm": True}, {}, "qk_norm=True"),
    "no draws": ({"init": "zeros"}, {}, "drawn at random"),
    "other widths": ({"parametrization": "mup"}, {}, "parametrization='mup'"),
    "a mean square alone": ({}, {"q0": 1.0}, "sequences x"),
    "one position": ({}, {"x": np.ones((2, 1, 3))}, "two positions"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_where_there_is_no_law_it_is_refused(case):
    options, given, words = REFUSED[case]
    with pytest.raises(GradlabError, match=words):
        gl.theory.predict(
            gl.Transformer(depth=2, **options), **({"x": sequences()} | given if "q0" not in given else given)
        )


def test_columns_without_a_law_say_why():
    law = gl.theory.predict(gl.Transformer(depth=1, width=16, skip=False), sequences(2))
    assert {*law.columns} == {"log10_preactivation_rms", "log10_delta_rms"}
    assert law.refused["log10_one_minus_token_c"].reason is Reason.SKIPS
    assert law.refused["log10_value_grad_norm"].reason is Reason.ONE_EXAMPLE
    theory = gl.predict_all([gl.Transformer(depth=1, width=16)], sequences(2))
    assert "log10_delta_rms" in next(iter(theory.values())).columns
