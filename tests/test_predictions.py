"""Predictions by the network's name in the frame, and measured rates beside them, on networks that were computed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.config import MLPConfig
from gradlab.data import load
from gradlab.frames.rows import network_hash
from gradlab.measurement.records import LayerInfo, Trace
from gradlab.theory import Reason, predict, transients


def test_a_sweep_has_its_own_inputs():
    sweep = gl.Sweep(depth=3, width=16, activation="tanh", init="he_normal", batch=6, data="gaussian", q0=2.0, c0=0.5)
    (config,) = sweep.configs()
    found = gl.predict_all(sweep)[network_hash(config)]
    x = load("gaussian", batch=6, q0=2.0, c0=0.5).x
    for name, values in predict(gl.MLP(**config.changed()), x).columns.items():
        np.testing.assert_array_equal(found.columns[name], values)
    begun = gl.predict_all(sweep, q0=1.0)[network_hash(config)]
    assert 10 ** (2 * begun.columns["log10_preactivation_rms"][0]) == pytest.approx(2.0)  # sigma_w2 of He, q0 = 1


def test_what_theory_refuses_has_its_reason():
    nets = [gl.MLP(depth=2, norm="layer"), gl.ResNet(depth=2), gl.MLP(depth=2, activation="tanh")]
    found = list(gl.predict_all(nets, columns=["log10_delta_rms"]).values())
    assert found[0].reason is found[1].reason is Reason.OTHER_NETWORK
    assert found[0].text == "mean field asks for a network without normalisation, this is norm='layer'"
    assert found[1].text == "mean field asks for a fully connected network, this is resnet"
    assert list(found[2].columns) == ["log10_delta_rms"]
    with pytest.raises(GradlabError, match="networks, or a sweep"):
        gl.predict_all(3)


def made(config, signal):
    """Rows of a network whose log10_activation_rms is `signal`, a row for each seed."""
    width, layers = config.width, range(1, config.depth + 2)
    info = tuple(LayerInfo(i, f"hidden_{i}", width, width, width) for i in layers)
    columns = {"log10_activation_rms": signal, "delta_log10_mean": 0 * signal}
    seeds = tuple(range(len(signal)))
    return gl.frame(Trace(config, info, columns, seeds, ("ok",) * len(seeds), 1.0, 0.0, "probe", "x", 2, "float32"))


def test_where_theory_has_no_finite_width_term_it_takes_the_variances_that_were_measured():
    config = MLPConfig(depth=4, width=50, activation="tanh", init="xavier_normal")
    rng = np.random.default_rng(4)
    signal = rng.normal(-0.3, 0.1, size=(3, 5))
    frame, columns = made(config, signal), ("delta_log10_mean", "log10_delta_rms", "log10_preactivation_rms")
    x = rng.normal(size=(1, 7))
    plain, found = (next(iter(gl.predict_all(config, x, columns=columns, frame=f).values())) for f in (None, frame))
    above = 10 ** (2 * signal[:, :3])  # sigma_w2 is 1
    q = np.concatenate([np.full((3, 1), plain.sigma_w2[0] * np.mean(x**2)), above], 1)
    want = predict(config, x, q=q, columns=columns)
    for name in columns[:2]:
        assert found.columns[name][:4] == pytest.approx(want.columns[name][:4], abs=1e-12)
        assert found.functional[name] == want.functional[name] + " (a variance that shrinks for ever)"
    np.testing.assert_array_equal(found.columns[columns[2]], plain.columns[columns[2]])
    assert found.measured
    # two examples: each departs from its own curve by what the mean over both does
    x = np.sqrt([[0.2], [3.0]]) * np.ones((2, 7))
    found = next(iter(gl.predict_all(config, x, columns=columns, frame=frame).values()))
    own = np.exp(transients("tanh", sigma_w2=plain.sigma_w2[:-1], q0=np.array([0.2, 3.0]), depth=4).log_q).T
    both = own[:, None] * np.concatenate([np.ones((3, 1)), above / own[:, 1:].mean(0)], 1)
    want = predict(config, x, q=both, columns=columns)
    assert found.columns["delta_log10_mean"][:4] == pytest.approx(want.columns["delta_log10_mean"][:4], abs=1e-12)


@pytest.mark.parametrize(
    ("fields", "drop"),
    [({"init": "he_normal"}, ""), ({}, "log10_activation_rms"), ({}, "another network"), ({}, "training")],
)
def test_where_it_has_one_or_nothing_was_measured_it_stays_as_it_is(fields, drop):
    config = MLPConfig(depth=4, width=50, activation="tanh", **{"init": "xavier_normal", **fields})
    frame = made(replace(config, width=51) if drop == "another network" else config, np.zeros((2, 5)))
    frame = frame.assign(step=7) if drop == "training" else frame.drop(columns=drop, errors="ignore")
    (found,) = gl.predict_all(config, q0=1.0, frame=frame).values()
    assert not found.measured
    assert gl.rates(made(config, np.zeros((2, 5))), theory=gl.predict_all(config, q0=1.0))["basis"].item() == (
        "M/n" if fields else "none"
    )


@pytest.mark.slow
def test_marginal_networks_agree_with_theory_by_their_measured_variances():
    """Width 32, 200 seeds: without what finite width does theory is off by M/n, eight standard errors; with it |t| < 5.

    Four networks of 199 degrees of freedom: |t| > 5 by chance in one of 200,000 runs.
    """
    columns = ("delta_log10_mean", "log10_activation_rms")
    names = ["tanh", "hard_tanh", "elu", "softsign"]
    sweep = gl.Sweep(
        depth=30, width=32, activation=names, init="xavier_normal", readout="lecun_normal", seeds=200, batch=1,
        loss="probe", columns=columns,
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(1, 20)).astype("float32")
    frame = gl.run(sweep, data=(x, np.zeros(1, int)), progress=False)
    for rows, enough in ((None, False), (frame, True)):
        table = gl.rates(frame, theory=gl.predict_all(sweep, x, frame=rows))
        assert set(table["basis"]) == ({"measured q"} if enough else {"none"})
        error = (np.log(table["ratio_high"]) - np.log(table["ratio"])) / 1.972  # t-quantile
        off = np.abs(np.log(table["ratio"])) / error
        assert np.all(off < 5) if enough else np.all(off > 5), off.tolist()


@pytest.mark.slow
def test_measured_rates_and_depth_scales_are_those_of_theory():
    # bounds: 5 standard errors of the mean of 8 seeds; 8 % for 1 - c, which theory has without its term in 1/n
    columns = ("delta_log10_mean", "log10_delta_rms", "log10_preactivation_rms", "log10_one_minus_c")
    sweep = gl.Sweep(
        depth=30, width=400, activation="tanh", init="gaussian", sigma_w2=(1.0, 2.5), sigma_b2=0.05, seeds=8, batch=16,
        readout="lecun_normal", data="gaussian", c0=0.6, loss="probe", columns=columns,
    )  # fmt: skip
    frame, expected = gl.run(sweep, progress=False), gl.predict_all(sweep, columns=columns)
    table = gl.rates(frame, theory=expected)
    error = (np.log(table["ratio_high"]) - np.log(table["ratio"])) / 2.3646  # t-quantile of 7 degrees of freedom
    assert (np.abs(np.log(table["ratio"])) < 5 * error).all()
    scales = gl.depth_scales(frame, theory=expected)
    c = scales[(scales["scale"] == "xi_c") & (scales["sigma_w2"] < 1.1)].iloc[0]
    assert c["value"] == pytest.approx(c["same_fit"], rel=0.08)
    assert c["same_fit"] == pytest.approx(c["theory"], rel=0.02)


def networks(activation, sigma_w2, sigma_b2):
    """Rows of a frame that say of networks what they are, and nothing of what was measured."""
    about = {"activation": activation, "init": "gaussian", "sigma_w2": sigma_w2, "sigma_b2": sigma_b2, "layer": [1]}
    return pd.DataFrame(about)


def test_depths_that_theory_allows_are_multiples_of_the_depth_scale():
    frame = pd.concat([networks("tanh", w, 0.05) for w in (1.0, 1.0, 1.76, 4.0)], ignore_index=True)
    table = gl.trainable_depths(frame, scales=(3, 6))
    assert table["sigma_w2"].tolist() == [1.0, 1.76, 4.0] * 2 and table["scales"].tolist() == [3.0] * 3 + [6.0] * 3
    for row in table.itertuples():
        xi = gl.theory.mean_field("tanh", sigma_w2=row.sigma_w2, sigma_b2=0.05).xi_c
        assert row.xi_c == xi and row.depth == row.scales * xi
    # Schoenholz et al. 2017, figure 5: at sigma_b2 = 0.05 the scale peaks at 1.76, between order and chaos
    assert table["xi_c"].max() == table["xi_c"][1] > 100
    smooth = gl.trainable_depths(frame, sigma_w2=[1.0, 2.0])
    assert smooth["sigma_w2"].tolist() == [1.0, 2.0] and "init" not in smooth
    assert smooth["depth"][0] == table["depth"][3]


def test_depths_where_nothing_limits_them_and_where_there_is_nothing_to_keep():
    he = gl.trainable_depths(networks("relu", 2.0, 0.0))
    assert he["depth"].tolist() == [np.inf]
    assert np.isnan(gl.trainable_depths(networks("tanh", 0.8, 0.0))["depth"][0])


def test_depths_of_no_networks():
    frame = networks("tanh", 1.0, 0.05)
    with pytest.raises(GradlabError, match="'sigma_w2'"):
        gl.trainable_depths(frame.drop(columns="sigma_w2"))
    with pytest.raises(GradlabError, match="a variance of weights"):
        gl.trainable_depths(frame.assign(sigma_w2=np.nan))
    with pytest.raises(GradlabError, match="a variance of weights"):
        gl.trainable_depths(frame.assign(layer=0))


def test_a_geometric_mean_is_no_root_mean_square():
    """He ReLU, width 16, depth 50: over seeds the root mean square is decided by rare networks, and theory's is it.

    The rate of the geometric mean agrees: |t| < 4 with 39 degrees of freedom, by chance in one of 3,700 runs.
    """
    net = gl.MLP(depth=50, width=16, activation="relu", init="he_normal")
    x = np.random.default_rng(2).normal(size=(4, 16)).astype("float32")
    frame = gl.frame(gl.measure(net, x, loss="probe", seeds=40, columns=["log10_delta_rms", "delta_log10_mean"]))
    expected = gl.predict_all(net, x)
    row = gl.rates(frame, theory=expected, column="log10_delta_rms").iloc[0]
    assert np.isnan(row["ratio"]) and "geometric mean" in row["refused"] and "delta_log10_mean" in row["refused"]
    row = gl.rates(frame, theory=expected).iloc[0]
    error = np.log(row["ratio_high"] / row["ratio"]) / 2.0227  # t-quantile
    assert abs(np.log(row["ratio"])) < 4 * error and row["basis"] == "M/n"
    ax = gl.plots.gradient_flow(frame, theory=expected, value="log10_delta_rms")
    assert not [line for line in ax.lines if line.get_gid() == "theory"]
    assert "theory's a root mean square" in gl.plots.caption(ax)
    ax = gl.plots.gradient_flow(frame, theory=expected, value="delta_log10_mean")
    assert [line for line in ax.lines if line.get_gid() == "theory"]


def test_with_one_example_the_two_columns_are_one():
    net = gl.MLP(depth=20, width=16, activation="relu", init="he_normal")
    x = np.ones((1, 16), "float32")
    frame = gl.frame(gl.measure(net, x, loss="probe", seeds=8, columns=["log10_delta_rms", "delta_log10_mean"]))
    expected = gl.predict_all(net, x)
    rows = [gl.rates(frame, theory=expected, column=c).iloc[0] for c in ("log10_delta_rms", "delta_log10_mean")]
    assert rows[0]["ratio"] == pytest.approx(rows[1]["ratio"], rel=1e-6) and rows[0]["basis"] == "M/n"
    ax = gl.plots.gradient_flow(frame, theory=expected, value="log10_delta_rms")
    (line,) = [line for line in ax.lines if line.get_gid() == "theory"]
    law = next(iter(expected.values())).columns["delta_log10_mean"][:20]
    np.testing.assert_allclose(line.get_ydata() - line.get_ydata()[-1], law, atol=1e-9)
