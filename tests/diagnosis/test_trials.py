"""Remedies tried on networks that are computed here, in NumPy: before, predicted, after."""

import math

import numpy as np
import pytest

from gradlab.diagnosis.findings import Rule
from gradlab.diagnosis.remedies import advise
from gradlab.diagnosis.rules import judge
from gradlab.diagnosis.trials import try_remedies
from gradlab.diagnosis.view import View
from tests.diagnosis.making import BATCH, CLASSES, WIDTH, Model, mlp

PHI = {"relu": (lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0)), "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2)}
PHI["logistic"] = (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2)


def log10_rms(x):
    with np.errstate(divide="ignore"):
        return float(np.log10(np.sqrt(np.mean(np.square(x)))))


class Network:
    """A fully connected network as `measure` sees it, in float64."""

    def __init__(self, depth, std, function="relu", bias=None):
        self.function, self.calls = function, 0
        random = np.random.default_rng(0)
        self.x = random.normal(size=(BATCH, WIDTH))
        self.back = random.normal(size=(BATCH, CLASSES)) / BATCH
        self.params = [
            {"w": std * random.normal(size=(WIDTH, WIDTH)), "b": np.zeros(WIDTH) if bias is None else bias(i)}
            for i in range(depth)
        ]
        self.params.append({"w": random.normal(size=(WIDTH, CLASSES)) / WIDTH**0.5, "b": np.zeros(CLASSES)})

    def measure(self, params):
        """What is seen of the network with these parameters."""
        self.calls += 1
        phi, dphi = PHI[self.function]
        params = [{k: np.asarray(v, float) for k, v in layer.items()} for layer in params]
        signals, a = [], self.x
        for layer in params:
            signals.append((a, a @ layer["w"], a @ layer["w"] + layer["b"]))
            a = phi(signals[-1][2])
        deltas = [self.back]
        for k in reversed(range(len(params) - 1)):
            deltas.insert(0, deltas[0] @ params[k + 1]["w"].T * dphi(signals[k][2]))
        model = Model()
        leaf = 0
        for k, (layer, delta, (a, plain, z)) in enumerate(zip(params, deltas, signals, strict=True)):
            width = layer["w"].shape[1]
            at = model.place(
                model.site(f"{k}", width=width, parameter=f"{k}/w"), log10_rms(plain), log10_rms(delta),
                dead_fraction=np.mean((plain == 0).all(0)), value_zero_fraction=np.mean(plain == 0),
            )  # fmt: skip
            norm = lambda g: log10_rms(g) + 0.5 * math.log10(g.size)
            # leaves in the order of the tree: the bias before the weight
            model.parameter(f"{k}/b", [], (width,), weight=norm(layer["b"]), grad=norm(delta.sum(0)))
            model.parameter(f"{k}/w", [at], layer["w"].shape, weight=norm(layer["w"]), grad=norm(a.T @ delta))
            if k + 1 < len(params):
                out = phi(z)
                model.activation(
                    at, self.function, log10_rms(out), dead_fraction=np.mean((out == 0).all(0)),
                    saturated_fraction=np.mean(np.abs(out) > 0.98) if self.function == "tanh" else np.nan,
                )  # fmt: skip
            leaf += 2
        return model.evidence()

    def tried(self):
        """The first finding, its remedies tried."""
        evidence = self.measure(self.params)
        findings, _ = judge(evidence)
        return try_remedies(findings, evidence, self.params, self.measure)[0]


@pytest.fixture(scope="module")
def small():
    """The textbook case: ReLU, N(0, 0.01^2), width 128, depth 10."""
    network = Network(10, 0.01)
    return network, network.tried()


def outcomes(remedy):
    return {o.what: (o.before, o.predicted, o.after) for o in remedy.outcomes}


def test_small_weights_are_multiplied_to_hes(small):
    _, finding = small
    best = finding.remedies[0]
    assert finding.rule is Rule.GL003 and best.tried
    # of ten layers of 128 units: sd of the rate sqrt(A / (4 (L - 1) n)) of itself, A = 5
    error = 3 * math.sqrt(5 / (4 * 9 * WIDTH))
    assert best.factor == pytest.approx(12.5, rel=error) and "(He)" in best.text
    before, predicted, after = outcomes(best)["factor per layer of the delta"]
    assert before == pytest.approx(0.080, rel=error) and predicted == pytest.approx(1, rel=error)
    assert after == pytest.approx(1, abs=0.03)
    assert outcomes(best)["factor per layer of the signal"][2] == pytest.approx(1, abs=0.03)


def test_drawing_anew_orthogonal_and_unit_variance_are_tried_too(small):
    _, finding = small
    tried = {r.change: outcomes(r) for r in finding.remedies if r.tried}
    assert set(tried) == {"rescale", "draw", "orthogonal", "unit variance"}
    # of another draw of ten layers of 128 units: sd sqrt(A / (4 (L - 1) n)) of the log10 rate, A = 5, times ln 10
    error = 3 * math.sqrt(5 / (4 * 9 * WIDTH))
    for name in ("draw", "orthogonal"):
        assert tried[name]["factor per layer of the delta"][2] == pytest.approx(1, abs=error), name
    assert tried["unit variance"]["factor per layer of the signal"][2] == pytest.approx(1, abs=1e-3)


def test_what_stands_in_the_code_says_so(small):
    _, finding = small
    untried = [r for r in finding.remedies if not r.tried]
    assert untried and all(r.not_tried for r in untried)


def test_the_given_parameters_stay_as_they_are():
    network = Network(6, 0.01)
    before = [layer["w"].copy() for layer in network.params]
    network.tried()
    assert all((a == b["w"]).all() for a, b in zip(before, network.params, strict=True))


def test_chaotic_tanh_goes_to_the_critical_point():
    finding = Network(20, 2 / WIDTH**0.5, "tanh").tried()
    assert finding.kind == "exploding"
    best = finding.remedies[0]
    before, predicted, after = outcomes(best)["factor per layer of the delta"]
    assert best.factor == pytest.approx(0.5, rel=0.02) and before > 1.1
    # there the delta falls as a power of depth, which is 0.93 a layer over twenty; M / n = 1.7 / 128 of it is of width
    assert after == pytest.approx(predicted, abs=0.03) and 0.9 < predicted < 0.97


def test_theory_counts_the_biases_in():
    random = np.random.default_rng(1)
    finding = Network(12, 1 / WIDTH**0.5, "tanh", bias=lambda i: 2 * random.normal(size=WIDTH)).tried()
    before, predicted, after = outcomes(finding.remedies[0])["factor per layer of the delta"]
    # at sigma_w2 = 1 and without biases theory says 0.9; the factor on the weights is 1 within their scatter
    assert before < 0.6 and predicted == pytest.approx(before, abs=0.05) and after == pytest.approx(before, abs=0.02)


def test_sigmoids_are_repaired_by_weights_ten_times_as_large_or_by_another_activation():
    finding = Network(8, 1 / WIDTH**0.5, "logistic").tried()
    assert finding.kind == "vanishing"
    # chi1 = 1 at sigma_w2 = 103: there most units are near a limit, and few carry the whole gradient
    _, predicted, after = outcomes(finding.remedies[0])["factor per layer of the delta"]
    assert finding.remedies[0].factor == pytest.approx(10.1, abs=0.2) and after == pytest.approx(predicted, abs=0.05)
    others = {r.text.split()[0]: outcomes(r)["factor per layer of the delta"] for r in finding.remedies if not r.tried}
    assert 0.8 < others["tanh"][1] < 1 and others["ReLU"][1] == pytest.approx(1, abs=1e-6)


def test_one_small_layer_is_scaled_back():
    network = Network(8, (2 / WIDTH) ** 0.5)
    network.params[3]["w"] *= 1e-3
    finding = network.tried()
    assert finding.layers == ("3",)
    ((what, (before, predicted, after)),) = outcomes(finding.remedies[0]).items()
    assert "at 3" in what and before < 2e-3 and predicted == 1 and 0.5 < after < 2


def test_a_dead_layer_comes_back_without_its_bias():
    network = Network(5, (2 / WIDTH) ** 0.5, bias=lambda i: np.full(WIDTH, -50.0 if i == 2 else 0.0))
    finding = network.tried()
    assert (finding.kind, finding.layers) == ("dead_layer", ("2",))
    done = {r.change: outcomes(r) for r in finding.remedies if r.tried}
    assert done["no bias"]["dead share of 2"][0] == 1 and done["no bias"]["dead share of 2"][2] < 0.1
    assert done["draw"]["dead share of 2"][2] == 1 or done["draw"]["dead share of 2"][2] < 0.1


def test_a_saturated_layer_is_scaled():
    finding = Network(4, 8 / WIDTH**0.5, "tanh").tried()
    assert finding.kind == "saturation" or finding.kind == "exploding"
    evidence = Network(4, 8 / WIDTH**0.5, "tanh")
    found, _ = judge(evidence.measure(evidence.params))
    (saturated,) = [f for f in found if f.kind == "saturation"]
    (after,) = try_remedies([saturated], evidence.measure(evidence.params), evidence.params, evidence.measure)
    (done,) = [outcomes(r) for r in after.remedies if r.tried]
    ((before, _, now),) = done.values()
    assert before > 0.5 and now < 0.05


def test_every_rule_has_advice():
    view = View(mlp(3).evidence())
    from gradlab.diagnosis.findings import Finding

    for rule in Rule:
        finding = Finding(rule, "warning", ("layers/0",), "", 1.5, 1.0)
        remedies = advise(finding, view)
        assert remedies and all(r.text and (r.change or r.not_tried) for r in remedies), rule
