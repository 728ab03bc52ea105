"""Predictions by the network's name in the frame, and measured rates beside them, on networks that were computed."""

import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.data import load
from gradlab.frames.rows import network_hash
from gradlab.theory import predict


def test_a_sweep_has_its_own_inputs():
    sweep = gl.Sweep(depth=3, width=16, activation="tanh", init="he_normal", batch=6, data="gaussian", q0=2.0, c0=0.5)
    (config,) = sweep.configs()
    found = gl.predictions(sweep)[network_hash(config)]
    x = load("gaussian", batch=6, q0=2.0, c0=0.5).x
    for name, values in predict(gl.MLP(**config.changed()), x).columns.items():
        np.testing.assert_array_equal(found.columns[name], values)
    begun = gl.predictions(sweep, q0=1.0)[network_hash(config)]
    assert 10 ** (2 * begun.columns["log10_preactivation_rms"][0]) == pytest.approx(2.0)  # sigma_w2 of He, q0 = 1


def test_what_theory_refuses_has_its_reason():
    nets = [gl.MLP(depth=2, norm="layer"), gl.ResNet(depth=2), gl.MLP(depth=2, activation="tanh")]
    found = list(gl.predictions(nets, columns=["log10_delta_rms"]).values())
    assert found[0] == "mean field asks for a network without normalisation, this is norm='layer'"
    assert found[1] == "mean field asks for a fully connected network, this is resnet"
    assert list(found[2].columns) == ["log10_delta_rms"]
    with pytest.raises(GradlabError, match="networks, or a sweep"):
        gl.predictions(3)


@pytest.mark.slow
def test_measured_rates_and_depth_scales_are_those_of_theory():
    # bounds: 5 standard errors of the mean of 8 seeds; 8 % for 1 - c, which theory has without its term in 1/n
    columns = ("delta_log10_mean", "log10_delta_rms", "log10_preactivation_rms", "log10_one_minus_c")
    sweep = gl.Sweep(
        depth=30, width=400, activation="tanh", init="gaussian", sigma_w2=(1.0, 2.5), sigma_b2=0.05, seeds=8, batch=16,
        readout="lecun_normal", data="gaussian", c0=0.6, loss="probe", columns=columns,
    )  # fmt: skip
    frame, expected = gl.run(sweep, progress=False), gl.predictions(sweep, columns=columns)
    table = gl.against_theory(frame, expected)
    error = (np.log(table["ratio_high"]) - np.log(table["ratio"])) / 2.3646  # t-quantile of 7 degrees of freedom
    assert (np.abs(np.log(table["ratio"])) < 5 * error).all()
    scales = gl.depth_scales(frame, expected)
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
