"""Remedies that change options of gradlab's own networks: they are built, drawn anew and measured."""

import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.diagnosis.findings import Remedy, Rule
from gradlab.diagnosis.options import try_options
from gradlab.diagnosis.rebuilt import rebuilt
from gradlab.diagnosis.remedies import IN_CODE
from gradlab.diagnosis.rules import judge
from gradlab.diagnosis.view import View
from tests.diagnosis.making import mlp

DELTA = "factor per layer of the delta"


class Made:
    """A network whose factor per layer is known for each activation; without skips."""

    options = {**gl.MLP(depth=10, activation="tanh", init="xavier_normal").options(), "architecture": "mlp"}

    def evidence(self, changes):
        if "architecture" in changes:
            raise GradlabError("no skips", "skips", "none")
        return mlp(changes.get("depth", 10), backward=-0.01 if "init" in changes else -0.5).evidence()


def looked_at(kind, evidence):
    findings, _ = judge(evidence)
    return next(finding for finding in findings if finding.kind == kind), View(evidence)


@pytest.fixture(scope="module")
def tried():
    given = mlp(10, backward=-0.5).evidence()
    finding, view = looked_at("vanishing", given)
    advice = (Remedy("in the parameters", change="draw"), Remedy("in the code", not_tried=IN_CODE))
    network = Made()
    network.options = {**network.options, "activation": "sigmoid"}
    return try_options(finding, advice, view, network)


def rates(remedy):
    return {outcome.what: (outcome.before, outcome.predicted, outcome.after) for outcome in remedy.outcomes}


def test_what_was_changed_is_named_and_measured(tried):
    by_options = {tuple(name for name, _ in remedy.options): remedy for remedy in tried if remedy.options}
    assert {("activation", "init"), ("norm",), ("activation",), ("depth",)} <= by_options.keys()
    best = by_options["activation", "init"]
    assert best.text.startswith("activation='relu', init='he_normal'") and best.tried
    before, predicted, after = rates(best)[DELTA]
    assert (before, after) == (pytest.approx(10**-0.5), pytest.approx(10**-0.01)) and predicted == pytest.approx(1)


def test_advice_on_the_code_gives_way_and_advice_on_parameters_stays(tried):
    assert [remedy.text for remedy in tried if not remedy.options] == ["in the parameters"]


def test_those_that_cure_come_first_and_what_could_not_be_built_says_why(tried):
    order = [abs(rates(r)[DELTA][2] - 1) < 0.1 if r.tried and DELTA in rates(r) else r.tried for r in tried]
    assert order == sorted(order, reverse=True) and order[0] and not order[-1]
    refused = next(remedy for remedy in tried if ("architecture", "resnet") in remedy.options)
    assert not refused.tried and "no skips" in refused.not_tried


def test_fewer_layers_are_as_many_as_the_delta_passes(tried):
    (fewer,) = [remedy for remedy in tried if dict(remedy.options).keys() == {"depth"}]
    ((before, predicted, _),) = rates(fewer).values()
    # half a decade a layer: nine steps before, two after
    assert dict(fewer.options)["depth"] == 3
    assert (before, predicted) == (pytest.approx(-4.5), pytest.approx(-1))


def test_a_finding_that_no_option_helps_against_stays_as_it_is():
    finding, view = looked_at("vanishing", mlp(10, backward=-0.5).evidence())
    for rule in (Rule.GL011, Rule.GL018, Rule.GL019, Rule.GL021):
        advice = (Remedy("in the code", not_tried=IN_CODE),)
        other = type(finding)(rule, "warning", finding.layers, "", 1.0, 1.0)
        assert try_options(other, advice, view, Made()) == advice


def test_a_network_is_built_once_for_the_same_options_and_a_strangers_model_never():
    x, y = np.random.default_rng(0).normal(size=(16, 6)).astype("float32"), np.arange(16) % 3
    net = gl.MLP(depth=4, width=12, activation="sigmoid", init="xavier_normal")
    network = rebuilt(net, net.init_params(0, x, y), (x, y))
    first = network.evidence({"activation": "relu", "init": "he_normal"})
    assert network.evidence({"init": "he_normal", "activation": "relu"}) is first
    assert {p.site.function for p in first.places if p.site.kind == "activation"} == {"relu"}
    with pytest.raises(GradlabError, match="depht"):
        network.evidence({"depht": 3})
    layers = gl.serial(gl.dense(3), gl.activation("tanh"), gl.dense(2))
    custom = gl.CustomNetwork(layers, shape=(6,))
    assert rebuilt(custom, custom.init_params(0, x), (x, y)) is None
    assert rebuilt(lambda params, batch: 0.0, {"w": x}, (x, y)) is None


@pytest.mark.slow
def test_a_deep_sigmoid_network_is_cured_by_another_activation():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 20)), np.arange(64) % 3
    net = gl.MLP(depth=20, width=64, activation="sigmoid", init="xavier_normal")
    found = gl.diagnose(net, net.init_params(0, x, y), (x, y), exact=False)
    vanishing = next(finding for finding in found.findings if finding.kind == "vanishing")
    changed = {remedy.options: rates(remedy)[DELTA] for remedy in vanishing.remedies if DELTA in rates(remedy)}
    # of another draw of 20 layers of 64 units: sd sqrt(A / (4 (L - 1) n)) of the rate, A = 5; three of them
    error = 3 * np.sqrt(5 / (4 * 19 * 64))
    before, predicted, after = changed[("activation", "relu"), ("init", "he_normal")]
    assert before == pytest.approx(0.236, rel=error)  # sqrt(chi) = phi'(0) sqrt(1 - ...) at the fixed point
    assert predicted == pytest.approx(1) and after == pytest.approx(1, abs=error)
    _, predicted, after = changed[(("norm", "layer"),)]
    assert after == pytest.approx(predicted, rel=error) and predicted < 0.5  # it is no cure, and theory knows
    assert changed[(("activation", "tanh"),)][2] == pytest.approx(changed[(("activation", "tanh"),)][1], rel=error)


def alike(depth):
    """A plain ReLU network whose examples become alike by a factor per layer."""
    model = mlp(depth)
    for k in range(depth):
        model.rows[2 * k].update(log10_one_minus_c=-0.1 - 4.0 * k / (depth - 1))
    return looked_at("collapse", model.evidence())


def test_a_strangers_relu_network_is_told_the_slope_of_its_depth():
    """With the variance that keeps the signal, and 1 - c that theory expects behind 40 layers; nothing is tried."""
    finding, _ = alike(40)
    (advice,) = [remedy for remedy in finding.remedies if "leaky" in remedy.text]
    assert "slope 0.378 below 0, tailored to 40 layers" in advice.text
    assert f"variance {2 / (1 + 0.378**2):.3g} / fan-in" in advice.text and advice.not_tried == IN_CODE
    before, predicted, after = rates(advice)["1 - c of two examples at the last layer"]
    assert before == pytest.approx(10**-4.1) and np.isnan(after)
    # c_map_path begins at the first layer, whose examples are alike by 1 - 10^-0.1
    assert predicted == pytest.approx(1 - gl.theory.c_map_path("leaky_relu:0.378", 39, 1 - 10**-0.1)[-1])
    shallow, _ = alike(12)  # ReLU itself keeps c below 0.9
    assert not any("tailored to 12" in remedy.text for remedy in shallow.remedies)


def test_a_network_of_gradlab_is_built_with_the_slope_of_its_depth():
    finding, view = alike(40)
    network = Made()
    network.options = {**network.options, "activation": "relu", "init": "he_normal", "sigma_b2": 0.3}
    tried = try_options(finding, finding.remedies, view, network)
    options = [dict(remedy.options) for remedy in tried if ("activation", "leaky_relu:0.378") in remedy.options]
    assert options == [{"activation": "leaky_relu:0.378", "init": "critical", "sigma_b2": 0.0}]
    assert not any("leaky ReLU with the slope" in remedy.text for remedy in tried)  # advice gives way


def test_a_number_behind_the_activation_decides_the_weights_that_keep_the_signal():
    """He's weights are sqrt(1 + 0.43^2) too large for a slope of 0.43."""
    finding, view = looked_at("exploding", mlp(40, backward=0.3, function="leaky_relu").evidence())
    network = Made()
    network.options = {**network.options, "activation": "leaky_relu:0.43", "init": "he_normal", "sigma_b2": 0.1}
    tried = try_options(finding, finding.remedies, view, network)
    (remedy,) = [r for r in tried if r.options == (("init", "critical"),)]
    assert rates(remedy)[DELTA][1] == pytest.approx(1, abs=1e-9)
    (biases,) = [r for r in tried if r.options == (("sigma_b2", 0.0),)]  # as they are, the rate of He's weights
    assert rates(biases)[DELTA][1] == pytest.approx(np.sqrt(1 + 0.43**2), abs=1e-6)


@pytest.mark.slow
def test_a_collapsed_relu_network_is_cured_by_a_tailored_slope():
    """Inputs are as near to uncorrelated as the 0.9 behind the network is made for."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 20)).astype("float32"), np.arange(24) % 3
    net = gl.MLP(depth=30, width=200, activation="relu", init="gaussian", sigma_w2=1.2, sigma_b2=0.3)
    diagnosed = gl.diagnose(net, net.init_params(0, x, y), (x, y), exact=False)
    collapse = next(finding for finding in diagnosed.findings if finding.kind == "collapse")
    slope = round(gl.theory.tailored_slope(30), 3)
    (remedy,) = [r for r in collapse.remedies if ("activation", f"leaky_relu:{slope}") in r.options]
    before, predicted, after = rates(remedy)["1 - c of two examples at the last layer"]
    assert before < 1e-3 < 0.05 < predicted < 0.12
    # ln(1 - c) of one network differs from the map by about sqrt(L / n) = 0.39: three of them
    assert abs(np.log(after / predicted)) < 3 * np.sqrt(30 / 200)
