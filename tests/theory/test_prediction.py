"""What theory predicts of a network: its own laws, and beside simulations of the same functional."""

import jax
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab._types import MEASURED
from gradlab.config import ACTIVATIONS, MLPConfig
from gradlab.measurement.measure import measure_group
from gradlab.theory import Reason, coefficients, finite_width_terms, mean_field, network_mean_field, predict, transients
from gradlab.theory.prediction import FUNCTIONALS

BACKWARD = ("log10_delta_rms", "delta_log10_mean", "log10_per_example_grad_norm_rms", "log10_weight_grad_norm")


def test_columns_are_the_frame_s_own_and_each_says_what_it_is():
    found = predict(gl.MLP(depth=4, width=30, activation="tanh", init="he_normal"), c0=0.5)
    assert set(found.columns) == set(found.functional) == set(FUNCTIONALS) <= set(MEASURED)
    assert all(len(values) == 5 for values in found.columns.values())
    for name in BACKWARD:
        assert found.columns[name][3] == 0 and np.isnan(found.columns[name][4])
    assert "M/n" in found.functional["delta_log10_mean"] and "with" in found.functional["delta_log10_mean"]
    assert (
        "infinite width" in found.functional["log10_delta_rms"] and "E|delta|^2" in found.functional["log10_delta_rms"]
    )
    assert "layer" in str(found) and "nan" not in str(found)


def test_at_a_fixed_point_the_rate_is_the_root_of_chi1():
    net = gl.MLP(depth=20, width=256, activation="selu", init="lecun_normal")
    found, point = predict(net), mean_field("selu", sigma_w2=1.0)
    assert found.rate == pytest.approx(point.chi1**0.5, rel=1e-12)
    deep = predict(gl.MLP(depth=160, width=256, activation="selu", init="lecun_normal"), columns=["delta_log10_mean"])
    per_layer = 2 * np.log(10) * -np.diff(deep.columns["delta_log10_mean"][:-1])
    # far from the input, where the variance has just begun to wander, and from the last layer
    bias = coefficients("selu", 1.0).M / 256
    assert per_layer[90:110] == pytest.approx(np.log(point.chi1) + bias, abs=1e-9)
    assert abs(per_layer[0] - np.log(point.chi1) - bias) > 1e-3
    assert found.decades() == pytest.approx(19 * 0.5 * np.log10(point.chi1), rel=1e-12)
    assert network_mean_field(net) == point


def test_unequal_widths_take_the_fan_rule():
    """ReLU, fan-in rule: E |delta_l|^2 summed over units is the same in all layers; Glorot: 2 n / (n + m) / 2 each."""
    widths = np.array([40, 10, 80, 20])
    found = predict(gl.MLP(depth=4, width=tuple(widths), activation="relu", init="he_normal"), np.ones((1, 7)))
    summed = 2 * found.columns["log10_delta_rms"][:4] + np.log10(widths)
    assert summed == pytest.approx(summed[0], abs=1e-12)
    # gradients of the weights: |delta_l|^2 |a_(l-1)|^2, with |a_l|^2 per unit 1 from inputs of mean square 1
    gradient = 2 * found.columns["log10_per_example_grad_norm_rms"][:4]
    inputs = np.array([7, *widths[:-1]])
    assert gradient - gradient[-1] == pytest.approx(np.log10(inputs / inputs[-1]), abs=1e-12)
    glorot = predict(gl.MLP(depth=4, width=tuple(widths), activation="relu", init="xavier_normal"), np.ones((1, 7)))
    ratio = np.diff(2 * glorot.columns["log10_delta_rms"][:4] + np.log10(widths))
    assert -ratio == pytest.approx(np.log10(widths[:-1] / (widths[:-1] + widths[1:])), abs=1e-12)


def test_data_start_each_example_and_each_pair():
    """Examples of mean squares 0.5 and 2, correlation 0.6: a ReLU network carries both, in closed form in layer 2."""
    rng = np.random.default_rng(3)
    one, other = np.linalg.qr(rng.normal(size=(50, 2)))[0].T * 50**0.5
    x = np.stack([0.5**0.5 * one, 2**0.5 * (0.6 * one + 0.8 * other)])
    found = predict(gl.MLP(depth=3, width=100, activation="relu", init="he_normal"), x, outputs=3)
    assert 2 * found.columns["log10_preactivation_rms"] == pytest.approx(np.log10([2.5, 2.5, 2.5, 2.5]), abs=1e-12)
    angle = np.arccos(0.6)
    c = (np.sin(angle) + (np.pi - angle) * 0.6) / np.pi
    assert found.columns["log10_one_minus_c"][:2] == pytest.approx(np.log10([0.4, 1 - c]), abs=1e-8)
    assert "log10_weight_grad_norm" in found.refused and "log10_weight_grad_norm" not in found.columns
    assert found.rate == pytest.approx(1)


def test_measured_variances_take_the_place_of_the_theory_s():
    """With the part of M/n that does not come from a wandering variance, and is all of it where that stands still."""
    net = gl.MLP(depth=5, width=64, activation="tanh", init="xavier_normal")
    q = np.random.default_rng(0).uniform(0.1, 2, size=(3, 5))
    found = predict(net, q=q)
    chi = np.log(gl.theory.expectation("tanh", lambda z, u, p, d: d * d, q))
    rest = finite_width_terms("tanh", np.log(q).T, width=64, measured=True).total.T
    want = [0.5 * (chi[:, i:4] + rest[:, i:]).sum(1).mean() / np.log(10) for i in range(5)]
    assert found.columns["delta_log10_mean"][:5] == pytest.approx(want, abs=1e-12)
    assert found.measured and found.no_finite_width.reason is Reason.MEASURED_VARIANCES
    assert "from measured variances" in found.functional["delta_log10_mean"]
    assert "from measured variances" in found.functional["log10_delta_rms"]
    plain = predict(net, columns=["log10_delta_rms"])
    assert not plain.measured and "measured" not in plain.functional["log10_delta_rms"]
    with pytest.raises(GradlabError, match=r"q of shape \(..., 5\)"):
        predict(net, q=q[:, :4])
    with pytest.raises(GradlabError, match="q to be finite and positive"):
        predict(net, q=-q)


def test_a_delta_along_the_forward_signal_is_no_small_correction():
    """GELU with He at width 64: what M/n would add is half of |delta|^2 in a layer, and it is refused."""
    net = gl.MLP(depth=30, width=64, activation="gelu", init="he_normal")
    q = np.exp(transients("gelu", sigma_w2=2.0, depth=30).log_q)
    found = predict(net, q=q)
    assert "in a layer, so it is no small correction" in found.functional["delta_log10_mean"]
    assert found.no_finite_width.reason is Reason.LARGE_TERM and found.basis == "measured q"
    chi = 2 * gl.theory.expectation("gelu", lambda z, u, p, d: d * d, q)
    assert found.decades("delta_log10_mean") == pytest.approx(0.5 * np.log10(chi[:-1]).sum(), abs=1e-12)
    terms = finite_width_terms("gelu", np.log(q)[:, None], width=64, measured=True)
    assert terms.along.max() == terms.largest > 0.5 and not terms.wandering.any()


def test_a_finite_width_term_is_given_or_refused_with_its_reason():
    for activation, init, words in (
        ("relu", "he_normal", None),
        ("sigmoid", "xavier_uniform", None),
        ("tanh", "orthogonal", "not independent"),
        ("tanh", "xavier_normal", "shrinks"),
        ("gelu", "critical", ""),
    ):
        found = predict(gl.MLP(depth=3, width=20, activation=activation, init=init))
        assert (words is None) == (found.no_finite_width is None) == (found.basis == "M/n")
        assert words is None or words in found.no_finite_width.text
    orthogonal, gaussian = (
        predict(gl.MLP(depth=9, width=20, activation="tanh", init=init)).columns["log10_delta_rms"]
        for init in ("orthogonal", "lecun_normal")
    )
    assert orthogonal == pytest.approx(gaussian, nan_ok=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"x": np.zeros((2, 3))}, "not all zero"),
        ({"q0": 0.0}, "not all zero"),
        ({"q0": -1.0}, "q0 to be finite"),
        ({"c0": 1.5}, "c0 to be a correlation"),
        ({"x": np.ones((2, 3)), "q0": 1.0}, "either x or q0"),
        ({"x": np.ones(3)}, "x of shape"),
        ({"x": np.full((2, 3), np.nan)}, "finite"),
        ({"columns": ["log10_delta"]}, "log10_delta_rms"),
    ],
)
def test_wrong_input_is_refused(options, words):
    with pytest.raises(GradlabError, match=words):
        predict(gl.MLP(depth=3, width=8, activation="tanh"), **options)


@pytest.mark.parametrize(
    ("net", "laws"),
    [
        (gl.Transformer(depth=2), ("pre_norm", "pre_norm_gradients", "post_norm_factor")),
        (gl.ResNet(depth=2), ("residual_factor", "reduced_residual", "pre_norm")),
        (gl.ConvNet(depth=2), ("mean_field",)),
        (gl.RNN(cell="lstm"), ("recurrent_powers", "slope_bound", "log10_cell_path", "chrono_bias")),
        (gl.MLP(depth=2, norm="batch"), ("batch_norm_factor",)),
        (gl.MLP(depth=2, norm="rms"), ("layer_norm_factor",)),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else type(value).__name__,
)
def test_a_refusal_names_the_laws_that_do_apply(net, laws):
    with pytest.raises(GradlabError) as refused:
        predict(net)
    assert all(law in refused.value.hint and callable(getattr(gl.theory, law)) for law in laws)


def test_a_network_it_knows_no_law_of_is_refused():
    with pytest.raises(GradlabError, match="a fully connected network"):
        predict(lambda x: x)


def test_far_out_of_the_range_of_doubles():
    """Decades of 300 layers: ReLU, sigma_w2 = 100, 299 factors of sqrt(50)."""
    found = predict(gl.MLP(depth=300, width=50, activation="relu", init="gaussian", sigma_w2=100.0))
    assert found.decades() == pytest.approx(299 * 0.5 * np.log10(50))
    assert np.all(np.isfinite(found.columns["log10_preactivation_rms"][:-1]))


def discrepancies(configs, seeds):
    """t of ``delta_log10_mean`` between layers 1 and L, by network: measured over seeds against predicted.

    One example, so that the measured variances are its own. Where no finite-width term exists, each seed's
    prediction takes the variances of that seed, those of a layer given the activations below.
    """
    x = np.random.default_rng(11).normal(size=(1, 50))
    x /= np.sqrt(np.mean(x * x))
    traces = measure_group(
        configs, x.astype("float32"), np.zeros(1, int), loss="probe", key=29, seeds=range(seeds), outputs=10,
        columns=("delta_log10_mean", "log10_activation_rms"),
    )  # fmt: skip
    found = {}
    for config, trace in zip(configs, traces, strict=True):
        measured = trace.columns["delta_log10_mean"]
        measured = measured[:, 0] - measured[:, config.depth - 1]
        theory = predict(config, x, columns=["delta_log10_mean"])
        if theory.no_finite_width is not None:
            below = np.pad(10 ** (2 * trace.columns["log10_activation_rms"][:, : config.depth - 1]), ((0, 0), (1, 0)))
            below[:, 0] = 1  # the input
            q = theory.sigma_w2[:-1] * below + theory.sigma_b2[:-1]
            expected = np.array([predict(config, x, q=one).decades("delta_log10_mean") for one in q])
        else:
            expected = theory.decades("delta_log10_mean")
        gap = measured - expected
        found[f"{config.activation} {config.init}"] = gap.mean() / (gap.std(ddof=1) / len(gap) ** 0.5)
    return found


def networks(activations, inits, width, depth):
    refused = {("sigmoid", "critical"), ("softplus", "critical")}
    pairs = [(a, i) for a in activations for i in inits if (a, i) not in refused]
    return [MLPConfig(depth=depth, width=width, activation=a, init=i) for a, i in pairs]


def test_theory_equals_simulation_in_small():
    """4 networks, 24 seeds, 23 degrees of freedom: |t| > 5 by chance in one of 5,300 runs of other seeds."""
    found = discrepancies(networks(("tanh", "relu"), ("he_normal", "critical"), 64, 6), 24)
    assert max(map(abs, found.values())) < 5, found


@pytest.mark.slow
def test_theory_equals_simulation():
    """50 networks, 10 seeds, 9 degrees of freedom: |t| > 5 by chance in one of 27 runs of other seeds; these are fixed.

    The seeds are shared, so the cells are correlated and the true rate is lower.
    """
    inits = ("xavier_normal", "he_normal", "lecun_normal", "critical")
    found = discrepancies(networks(ACTIVATIONS, inits, 1000, 30), 10)
    assert len(found) == 50
    assert max(map(abs, found.values())) < 5, found


@pytest.mark.slow
@pytest.mark.timeout(1200)  # three billion random numbers
def test_correlations_fall_at_xi_c_and_float32_sees_it():
    """tanh, sigma_w2 = 1.4, sigma_b2 = 0.05, width 1000: ln(1 - c) falls by 1/xi_c = 0.0932 per layer.

    The slope of one network scatters by sqrt(4 / (1000 * 80)) = 0.007, that of 30 by 0.0013; asked is 5 %, 0.0047.
    """
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 100))
    x[1] = x[0] + 4.5e-3 * x[1]  # 1 - c is 1e-5
    fields = {"activation": "tanh", "init": "gaussian", "sigma_w2": 1.4, "sigma_b2": 0.05, "width": 1000}
    net = gl.MLP(depth=90, **fields)
    x = x.astype("float32")
    options = {"loss": "probe", "columns": ("log10_one_minus_c",)}
    trace = gl.measure(net, x, seeds=30, **options)
    log_gap = trace.columns["log10_one_minus_c"][:, :90] * np.log(10)
    slopes = np.polyfit(np.arange(80), log_gap[:, 10:].T, 1)[0]
    xi_c = mean_field("tanh", sigma_w2=1.4, sigma_b2=0.05).xi_c
    assert slopes.mean() == pytest.approx(-1 / xi_c, rel=0.05)
    params = net.init_params(jax.random.key(1), x, outputs=2)
    single, double = (gl.measure(net, x, params=params, dtype=t, **options) for t in ("float32", "float64"))
    one, two = (10 ** t.columns["log10_one_minus_c"][0, :90] for t in (single, double))
    assert two.min() < 4e-9
    assert one == pytest.approx(two, rel=0.01)
