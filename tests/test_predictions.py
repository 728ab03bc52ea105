"""Predictions by the network's name in the frame, and measured rates beside them, on networks that were computed."""

import numpy as np
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
