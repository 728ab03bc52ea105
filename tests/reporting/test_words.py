import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.config import MLPConfig
from gradlab.frames.rows import frame
from gradlab.frames.summaries import rates
from gradlab.measurement.measure import measure
from gradlab.networks.mlp import MLP
from gradlab.reporting import words
from tests.reporting.report_frames import GRID, grid, trace


@pytest.mark.parametrize(
    ("log10", "text"),
    [
        (-19.4, "4e-20"), (-18.99, "1e-19"), (-630.7, "2e-631"), (-0.82, "0.15"), (0.5, "3.2"),
        (math.log10(96.0), "96"), (5.99999, "1e6"), (700.0, "1e700"), (-math.inf, "0"), (math.nan, "unknown"),
    ],
)  # fmt: skip
def test_power(log10, text):
    assert words.power(log10) == text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.236, 0.234, 0.238), "0.236(2)"),
        ((0.2356, 0.2343, 0.2369), "0.2356(13)"),
        ((1.002, 0.981, 1.023), "1.00(2)"),
        ((-19.523, -19.59, -19.45), "-19.52(7)"),
        ((31.0, 19.0, 43.0), "31(12)"),
        ((3.1e-9, 2.9e-9, 3.3e-9), "3.1(2)e-9"),
        ((0.0001, -0.02, 0.02), "0.00(2)"),
        ((-0.0001, -0.02, 0.02), "0.00(2)"),
        ((-0.04, -0.34, 0.26), "0.0(3)"),
        ((0.2361, math.nan, math.nan), "0.236"),
        ((0.5, 0.5, 0.5), "0.500"),
        ((math.nan, math.nan, math.nan), "–"),
    ],
)
def test_paren(numbers, text):
    assert words.paren(*numbers) == text


def test_paren_rounds_the_half_width_to_the_digit_it_shows():
    rng = np.random.default_rng(0)
    for _ in range(300):
        value = 10 ** rng.uniform(-3, 5)
        half = value * 10 ** rng.uniform(-5, -0.5)
        digits, bracket = words.paren(value, value - half, value + half).split("(")
        tail = bracket.split(")")[1]
        factor = float(f"1{tail}") if tail else 1.0
        place = len(digits.split(".")[1]) if "." in digits else 0
        units = int(bracket.split(")")[0])
        shown = units * (10.0**-place if place else 1.0) * factor
        assert abs(shown - half) <= 0.26 * half
        assert abs(float(digits) * factor - value) <= 0.51 * shown + 1e-12


def test_lists_and_ranges():
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.spans([1, 2, 3, 7, 9, 10]) == "1–3, 7, 9–10"
    assert words.counted(1, "network") == "1 network"
    assert words.counted(2, "network") == "2 networks"


def test_labels_name_what_differs_and_only_that():
    configs = [
        MLPConfig(depth=4, activation="relu"),
        MLPConfig(depth=4, activation="relu", gain=2.0),
        MLPConfig(depth=4, activation="relu", bias=False),
        MLPConfig(depth=4, activation="tanh", init="gaussian", sigma_w2=2.25, width=64),
    ]
    table = rates(frame([trace(c, -0.1) for c in configs]))
    table["sigma_w2"] = 2.25
    assert words.labels(table) == [
        "ReLU, He normal, width 128",
        "ReLU, He normal, gain 2, width 128",
        "ReLU, He normal, no bias, width 128",
        "tanh, Gaussian σ_w² = 2.25, width 64",
    ]


def test_networks_that_only_their_widths_tell_apart_get_their_hash():
    configs = [MLPConfig(depth=2, width=(8, 16)), MLPConfig(depth=2, width=(16, 8))]
    first, second = words.labels(rates(frame([trace(c, -0.1) for c in configs])))
    assert first != second
    assert first.startswith("ReLU, He normal [")


def test_sentence_is_the_one_of_the_issue():
    table = grid(depths=(32,))
    row = rates(table).to_dict("records")[0]
    rows = table[table["network"] == row["network"]]
    text = words.sentence("sigmoid, Xavier normal", row, words.float32(rows))
    assert text.startswith("sigmoid, Xavier normal, at initialisation: **vanishing**, 0.237 [")
    assert "per layer (95 %, 4 seeds, layers 1–32), 19 decades over 32" in text
    assert "the delta at layer 1 is 4e-20 of the delta at layer 32" in text
    # entries 10**(-0.625 * (33 - l)) * sqrt(2 ln 128**2) / 128 reach 2**-63 in layer 5
    lost = [
        i
        for i in range(1, 33)
        if -0.625 * (33 - i) + math.log10(math.sqrt(2 * math.log(128**2)) / 128) < -63 * math.log10(2)
    ]
    assert f"float32 code would print 0 for the gradient's norm in layers 1–{max(lost)} of 32" in text
    assert "gradient itself" not in text


def test_norm_and_gradient_are_lost_at_different_depths_and_named_so():
    table = frame(trace(MLPConfig(depth=100, activation="sigmoid"), -0.625))
    seen = words.float32(table)
    assert len(seen.norm_zero) > len(seen.gradient_zero) > 0
    assert seen.from_depth(seen.norm_zero) == 100 - max(seen.norm_zero) + 1
    assert seen.sentence.count(f" of {seen.depth}") == 2
    assert "in float32 the gradient itself is 0 in layer" in seen.sentence


def test_overflow_is_named():
    seen = words.float32(frame(trace(MLPConfig(depth=50), 0.6)))
    assert seen.norm_inf[0] == 1
    assert "would print inf for" in seen.sentence
    assert words.float32(frame(trace(MLPConfig(depth=4), 0.0))).sentence == ""


@pytest.mark.slow
def test_lost_norms_are_those_that_jax_shows_as_0():
    """The depths computed from measured columns are those at which jax.grad and the usual norm show 0."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 16)).astype("float32"), rng.integers(0, 10, 32)
    net = MLP(depth=70, width=48, activation="sigmoid", init="xavier_normal")
    params = jax.tree.map(lambda v: v.astype(x.dtype), net.init_params(jax.random.key(0), x, y, outputs=10))

    def loss(params):
        logits = net.apply(params, x)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1))

    gradients = [np.asarray(layer["weight"]) for _, layer in net.layers(jax.jit(jax.grad(loss))(params))][:-1]
    usual = [float(jnp.sqrt(jnp.sum(jnp.square(g)))) for g in gradients]
    norm_zero = [i + 1 for i, norm in enumerate(usual) if norm == 0]
    gradient_zero = [i + 1 for i, g in enumerate(gradients) if not g.any()]
    columns = ["log10_delta_rms", "log10_weight_grad_norm", "float32_zero_fraction"]
    seen = words.float32(frame(measure(net, x, y, params=params, columns=columns)))
    assert len(norm_zero) > len(gradient_zero) > 1
    assert abs(max(seen.norm_zero) - max(norm_zero)) <= 1
    assert abs(max(seen.gradient_zero) - max(gradient_zero)) <= 1


@pytest.mark.parametrize("scale", [-4.0, 4.0])
def test_verdicts_do_not_see_the_scale_of_the_loss(scale):
    plain, scaled = rates(grid()), rates(grid(scale=scale))
    assert plain["verdict"].tolist() == scaled["verdict"].tolist()
    assert plain["verdict"].nunique() == 3
    assert plain["numbers"].tolist() == scaled["numbers"].tolist()
    # what float32 shows does see it: that is why it is no part of a verdict
    deep = [words.float32(frame(trace(MLPConfig(depth=50), GRID[0][2], scale=s))) for s in (0.0, scale)]
    assert deep[0].norm_zero != deep[1].norm_zero
