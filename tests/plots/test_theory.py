"""Theory beside measurement: lines, dots and colours on the axes are the numbers of the tables and of the records."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from gradlab import frames, plots
from gradlab._errors import GradlabError
from gradlab.config import MLPConfig
from gradlab.frames.rows import network_hash
from gradlab.frames.scales import depth_scales, distances
from gradlab.frames.summaries import rates, summarise
from gradlab.measurement.records import LayerInfo, Trace
from gradlab.theory.critical import CriticalLine
from gradlab.theory.meanfield import mean_field
from gradlab.theory.phase import PhaseDiagram
from gradlab.theory.prediction import FUNCTIONALS, Prediction
from gradlab.theory.refusal import Refusal

DEPTH, SEEDS = 24, 6
#: Of tanh with sigma_b2 = 0.05: ordered, nearly critical, chaotic.
SIGMA_W2 = (1.0, 1.7, 2.5)


def gaussian(sigma_w2, depth=DEPTH):
    return MLPConfig(depth=depth, activation="tanh", init="gaussian", sigma_w2=sigma_w2, sigma_b2=0.05)


def prediction(config):
    """Exponential approach to the fixed points, and a gradient with the factor chi1."""
    field = mean_field("tanh", sigma_w2=config.sigma_w2, sigma_b2=0.05)
    layer = np.arange(1, config.depth + 2)
    q = field.q_star * (1 + 0.5 * field.chi_q ** (layer - 1))
    gap = 0.1 * field.chi_c ** (layer - 1)
    one_minus_c = gap if field.c_star == 1 else 1 - field.c_star - gap
    delta = 0.5 * np.log10(field.chi1) * (config.depth - layer).astype(float)
    delta[-1] = np.nan
    columns = {
        "log10_preactivation_rms": 0.5 * np.log10(q), "log10_one_minus_c": np.log10(one_minus_c),
        "log10_delta_rms": delta, "delta_log10_mean": delta - 0.001 * (config.depth - layer),
    }  # fmt: skip
    sigmas = np.full(config.depth + 1, config.sigma_w2), np.full(config.depth + 1, 0.05)
    refused = {"log10_weight_grad_norm": Refusal("no", "no")}
    return Prediction("tanh", "gaussian", layer, columns, FUNCTIONALS, refused, *sigmas)


def measured(config, found, noise=0.1, offset=-3.0):
    """The prediction with noise, its delta multiplied by 10**offset."""
    rng = np.random.default_rng([config.depth, int(100 * config.sigma_w2)])
    tall = lambda values: np.tile(values, (SEEDS, 1))
    delta = tall(found.columns["log10_delta_rms"]) + offset
    delta[:, -1] = offset
    delta += noise * np.linspace(-1, 1, SEEDS)[:, None] * (config.depth - np.arange(config.depth + 1)) / config.depth
    columns = {
        "log10_delta_rms": delta, "delta_log10_mean": delta - 0.02, "log10_weight_grad_norm": delta + 1,
        "log10_preactivation_rms": tall(found.columns["log10_preactivation_rms"]),
        "log10_one_minus_c": tall(found.columns["log10_one_minus_c"]),
    }  # fmt: skip
    # noise that the mean over seeds is free of, so that the fits are exact
    wobble = np.linspace(-1, 1, SEEDS)[:, None] * 1e-6 * rng.normal(size=config.depth + 1)
    columns["log10_one_minus_c"] = columns["log10_one_minus_c"] + wobble
    columns["log10_preactivation_rms"] = columns["log10_preactivation_rms"] + wobble
    layers = tuple(
        LayerInfo(
            i + 1, "readout" if i == config.depth else f"hidden_{i + 1}", 10 if i == config.depth else 128, 128, 128
        )
        for i in range(config.depth + 1)
    )
    return Trace(
        config, layers, columns, tuple(range(SEEDS)), ("ok",) * SEEDS, config.sigma_w2, 0.05, "probe", "gaussian", 64,
        "float32",
    )  # fmt: skip


@pytest.fixture(scope="module")
def both():
    configs = [gaussian(w) for w in SIGMA_W2]
    found = {network_hash(c): prediction(c) for c in configs}
    return frames.frame([measured(c, p) for c, p in zip(configs, found.values(), strict=True)]), found


def drawn(ax, gid):
    return [a for a in (*ax.lines, *ax.collections) if a.get_gid() == gid]


def diagram():
    w, b = np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.1])
    chi1 = np.array([[0.5, 1.0, 2.0], [0.4, 0.8, 1.6]])
    line = CriticalLine(
        "tanh", np.array([0.5, 1.0, 2.0]), np.array([2.0, 2.3, 9.0]), np.array([0.0, 0.1, 0.2]), np.ones(3),
        np.array([True, True, False]),
    )  # fmt: skip
    return PhaseDiagram("tanh", w, b, chi1, chi1, chi1, chi1, chi1, chi1, line)


def test_phase_diagram_has_one_scale_for_theory_and_measured_rates(both):
    record, table = diagram(), rates(both[0])
    ax = plots.phase_diagram(table, theory=record)
    (mesh,) = [c for c in ax.collections if hasattr(c, "get_coordinates")]
    np.testing.assert_allclose(mesh.get_array().reshape(3, 2), np.log10(record.chi1.T))
    (points,) = drawn(ax, "measured")
    np.testing.assert_allclose(points.get_offsets(), table[["sigma_b2", "sigma_w2"]])
    np.testing.assert_allclose(points.get_array(), 2 * np.log10(table["rate"]))
    assert points.norm(0) == mesh.norm(0) == 0.5 and points.cmap.name == mesh.cmap.name
    (line,) = drawn(ax, "critical")
    np.testing.assert_array_equal(line.get_xydata()[:2], [[0, 2], [0.1, 2.3]])
    assert {t.get_text() for t in ax.texts} == {"ordered: vanish", "chaotic: explode"}
    assert "3 measured networks, n = 6 seeds" in plots.caption(ax) and "runs away" in plots.caption(ax)
    other = plots.phase_diagram(theory=record, field="xi_grad", ax=plt.subplots()[1])
    (mesh,) = [c for c in other.collections if hasattr(c, "get_coordinates")]
    assert mesh.get_array().reshape(3, 2)[0, 0] == pytest.approx(np.log10(1 / np.log(2)))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda table: plots.phase_diagram(theory="tanh"), "gl.theory.phase_diagram"),
        (lambda table: plots.phase_diagram(theory=diagram(), field="q"), "field"),
        (
            lambda table: plots.phase_diagram(table.assign(activation="relu"), theory=diagram()),
            "rates of networks of tanh",
        ),
    ],
)
def test_phase_diagram_refuses(both, call, text):
    with pytest.raises(GradlabError, match=text):
        call(rates(both[0]))


def test_rates_stand_beside_their_own_functional(both):
    frame, found = both
    table = rates(frame, theory=found)
    assert set(table["column"]) == {"delta_log10_mean"}
    for row in table.itertuples():
        chi1 = mean_field("tanh", sigma_w2=row.sigma_w2, sigma_b2=0.05).chi1
        assert row.predicted == pytest.approx(chi1**0.5 * 10**-0.001)
        assert row.ratio == pytest.approx(10**0.001, rel=1e-6)
        assert row.ratio_low < row.ratio < row.ratio_high and row.refused == ""
    pooled = rates(frame, theory=found, column="log10_delta_rms")
    assert pooled["predicted"].isna().all() and pooled["refused"].str.contains("delta_log10_mean is the same").all()
    alone = rates(frame.assign(batch=1), theory=found, column="log10_delta_rms")
    np.testing.assert_allclose(alone["predicted"], table["predicted"])
    refused = rates(frame, theory={next(iter(found)): Refusal("any", "a reason")})
    assert refused["refused"].tolist() == ["a reason", *["no prediction was made of this network"] * 2]
    assert refused["predicted"].isna().all() and refused["rate"].notna().all()
    trained = rates(frame.assign(step=5), theory=found)
    assert trained["refused"].str.contains("random weights").all()
    with pytest.raises(GradlabError, match="column"):
        rates(frame, theory=found, column="log10_activation_rms")


def test_depth_scales_are_those_the_curves_were_made_with(both):
    table = depth_scales(*both).set_index(["sigma_w2", "scale"])
    for w in SIGMA_W2:
        field = mean_field("tanh", sigma_w2=w, sigma_b2=0.05)
        for name in ("xi_q", "xi_c", "xi_grad"):
            row = table.loc[w, name]
            assert row["theory"] == getattr(field, name)
            assert row["value"] == pytest.approx(getattr(field, name), rel=1e-3), (w, name)
            assert row["low"] <= row["value"] <= row["high"] or name == "xi_grad"
    assert np.isinf(table.loc[1.7, "xi_grad"]["high"])  # its interval holds the rate 1


def test_a_curve_in_the_noise_has_no_depth_scale(both):
    frame, found = both
    rng = np.random.default_rng(0)
    noisy = frame.assign(log10_preactivation_rms=frame["log10_preactivation_rms"] + 0.3 * rng.normal(size=len(frame)))
    table = depth_scales(noisy, found)
    lost = table[table["scale"] == "xi_q"]
    assert lost["value"].isna().all() and lost["note"].str.contains("above noise").all()


def test_transition_draws_both(both):
    frame, found = both
    ax = plots.transition(frame, theory=found)
    for line, (name, one) in zip(drawn(ax, "theory"), found.items(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), one.columns["delta_log10_mean"][:DEPTH])
        own = frame[(frame["network"] == name) & (frame["layer"] <= DEPTH)]
        means = summarise(own, ["layer"], "delta_log10_mean")["mean"].to_numpy()
        (dots,) = [c.lines[0] for c in ax.containers if c.lines[0].get_color() == line.get_color()]
        at = dots.get_xdata().astype(int) - 1
        np.testing.assert_allclose(dots.get_ydata(), (means - means[-1])[at], atol=1e-12)
    (inset,) = ax.child_axes
    heights = [line.get_ydata()[0] for line in drawn(inset, "measured")]
    table = rates(frame, theory=found)
    sure = table[(table["low"] > 1) | (table["high"] < 1)]
    np.testing.assert_allclose(heights, np.log10(np.abs(1 / (2 * np.log(sure["rate"])))))
    assert len(heights) == 2  # between them the interval holds an infinite scale
    assert "with" not in plots.caption(ax) or FUNCTIONALS["delta_log10_mean"] in plots.caption(ax)


def test_transition_needs_a_prediction(both):
    with pytest.raises(GradlabError, match="no reason"):
        plots.transition(both[0], theory=dict.fromkeys(both[1], Refusal("any", "no reason")))


def test_depth_scales_draws_distances_and_fits(both):
    far = distances(*both)
    fits = depth_scales(*both)
    for ax, quantity in zip(plots.depth_scales(both[0], theory=both[1]), "qc", strict=True):
        for dots, line, w in zip(drawn(ax, "measured"), drawn(ax, "theory"), SIGMA_W2, strict=True):
            own = far[(far["quantity"] == quantity) & (far["sigma_w2"] == w)]
            seen = own[own["resolved"].cummin()]  # beyond the first gap a dot or two are noise
            np.testing.assert_array_equal(dots.get_xydata(), seen[["layer", "log10_distance"]])
            np.testing.assert_array_equal(line.get_ydata(), own["theory"])
        for line, w in zip(drawn(ax, "fit"), SIGMA_W2, strict=True):
            fit = fits[(fits["scale"] == f"xi_{quantity}") & (fits["sigma_w2"] == w)].iloc[0]
            slope = np.diff(line.get_ydata()) / np.diff(line.get_xdata())
            np.testing.assert_allclose(slope, -1 / (fit["value"] * np.log(10)))


def test_overlay_begins_at_the_measured_last_layer(both):
    frame, found = both
    axes = plots.gradient_flow(
        frame, theory=found, value=["log10_preactivation_rms", "log10_delta_rms", "log10_weight_grad_norm"]
    )
    forward, backward, refused = axes
    for ax, shift in ((forward, 0.0), (backward, -3.0)):
        column = ("log10_preactivation_rms", "log10_delta_rms")[ax is backward]
        for line, mean, one in zip(drawn(ax, "theory"), drawn(ax, "mean"), found.values(), strict=True):
            np.testing.assert_allclose(line.get_ydata(), one.columns[column][:DEPTH] + shift, atol=1e-9)
            np.testing.assert_allclose(line.get_color(), 0.55 * np.array(to_rgb(mean.get_color())))
    assert not drawn(refused, "theory")
    text = plots.caption(axes)
    assert FUNCTIONALS["log10_delta_rms"] in text
    assert "No line of theory for Frobenius norm of the gradient of the mean loss by the weight: no." in text
    first = {next(iter(found)): found[next(iter(found))]}
    part = plots.caption(plots.gradient_flow(frame, theory=first, value="log10_delta_rms"))
    assert "over batch and units (σ_w² = 1):" in part and "(σ_w² = 1.7 and σ_w² = 2.5): no prediction" in part
    from_loss = plots.gradient_flow(frame, theory=found, value="log10_delta_rms", x="from_loss")
    assert drawn(from_loss, "theory")[0].get_ydata()[0] == pytest.approx(drawn(backward, "theory")[0].get_ydata()[0])
    assert drawn(from_loss, "theory")[0].get_xdata()[0] == DEPTH


def test_overlay_of_one_prediction_or_none(both):
    frame, found = both
    name = next(iter(found))
    ax = plots.gradient_flow(frame[frame["network"] == name], theory=found[name], value="log10_delta_rms")
    assert len(drawn(ax, "theory")) == 1
    ax = plots.gradient_flow(
        frame, theory=dict.fromkeys(found, Refusal("any", "it is out of reach")), value="log10_delta_rms"
    )
    assert not drawn(ax, "theory") and "it is out of reach" in plots.caption(ax)
    with pytest.raises(GradlabError, match="a prediction for each network"):
        plots.gradient_flow(frame, theory=found[name])
    with pytest.raises(GradlabError, match="predictions"):
        plots.gradient_flow(frame, theory={name: 3.0})
