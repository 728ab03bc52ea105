"""Each rule at two strengths, on evidence that it must not take for its fault, and in other units of the loss."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlab._errors import GradlabError
from gradlab.diagnosis.evidence import Birth, Suspects
from gradlab.diagnosis.findings import Rule
from gradlab.diagnosis.lines import LINES, table
from gradlab.diagnosis.rules import disagreement, judge
from gradlab.diagnosis.sites import Coverage
from tests.diagnosis.making import BATCH, CLASSES, WIDTH, Model, mlp, times


def kinds(evidence, **options):
    """What is said, with its severity."""
    return {f.kind: f.severity for f in judge(evidence, **options)[0]}


def said(evidence, kind):
    """The finding of a kind."""
    (found,) = [f for f in judge(evidence)[0] if f.kind == kind]
    return found


def changed(model, row, **columns):
    """The model with other columns in one of its rows."""
    model.rows[row].update(columns)
    return model


# --- healthy ---------------------------------------------------------------------------------------------------------


def residual(depth=12, zero=False, growth=0.03):
    """Blocks of two products around a stream; `zero`: their last weights are 0."""
    model = Model()
    model.dense("stem")
    for i in range(depth):
        up = model.dense(f"block_{i}/up", delta=-math.inf if zero else -3 + growth * (depth - i))
        model.activation(up, dead_fraction=0.02)
        model.dense(f"block_{i}/down", -math.inf if zero else 0.0, -3 + growth * (depth - i))
        if zero:
            model.gradient_rows[-1]["log10_weight_norm"] = -math.inf
    model.readout()
    return model


def zero_readout():
    """All hidden deltas are exactly 0, the readout's weights too; its gradient is not."""
    model = mlp(6)
    for row in model.rows[:-1]:
        row.update(log10_delta_rms=-math.inf, delta_zero_fraction=1.0)
    for row in model.gradient_rows[:-1]:
        row.update(log10_grad_norm=-math.inf)
    model.rows[-1].update(log10_value_rms=-math.inf, value_zero_fraction=1.0)
    model.gradient_rows[-1].update(log10_weight_norm=-math.inf, identical_fraction=0.4)
    return model


def recurrence(rate, steps=20, gates=(), value=0.0, saturated=0.9):
    """A cell whose delta changes by `rate` a step back in time."""
    model = Model()
    cell = model.site("cell/w", scans=(("steps", steps, 0),), parameter="cell/w")
    for t in range(steps):
        model.place(cell, value, -3 + math.log10(rate) * (steps - 1 - t), (t,))
    for function in gates:
        gate = model.site(
            f"cell/{function}", "activation", follows=cell.number, function=function, scans=cell.scans, shape=cell.shape
        )
        for t in range(steps):
            model.place(gate, -0.2, -3.0, (t,), saturated_fraction=saturated)
    model.readout()
    return model


def critical_tanh():
    """Signal and delta change as a power of depth: by a decade over a hundred layers, most of it in the first."""
    model = mlp(100, function="tanh", activation={"saturated_fraction": 0.01})
    for k in range(100):
        changed(model, 2 * k, log10_value_rms=-0.55 * math.log10(k + 1), log10_delta_rms=-3 + 0.55 * math.log10(k + 1))
    return model


def experts():
    """One expert without an example: its units are 0 because nothing comes in."""
    model = Model()
    model.dense("gate", width=4)
    for i in range(4):
        empty = i == 2
        at = model.dense(f"expert_{i}/up", -math.inf if empty else 0.0, dead_fraction=1.0 if empty else 0.0)
        model.activation(at, value=-math.inf if empty else 0.0, dead_fraction=1.0 if empty else 0.1)
    model.readout()
    return model


def nearer():
    """Two examples in a deep ReLU network: 1 - c falls as the square of the depth, by more than two decades."""
    model = mlp(60)
    for k in range(60):
        changed(model, 2 * k, log10_one_minus_c=-0.1 - 2.4 * k / 59)
    return model


def different():
    """Parameters of which no two units are equal."""
    model = mlp(4)
    for row in model.gradient_rows:
        row["identical_fraction"] = 0.0
    return model


def muted_delta(model, decades):
    """All deltas smaller: a network that has converged."""
    for row in model.rows:
        row["log10_delta_rms"] -= decades
    model.loss *= 10**-decades
    return model


HEALTHY = {
    "He": mlp(20),
    "He of one draw": mlp(50, noise=0.15),
    "He of several draws": mlp(50, samples=4, noise=0.15),
    "Xavier of tanh": critical_tanh(),
    "post-LN at the start": mlp(12, backward=0.45 / 11),
    "residual": residual(),
    "residual with zeros": residual(zero=True),
    "zero readout": zero_readout(),
    "muP readout": changed(mlp(6), -1, log10_value_rms=-1.05),
    "forget bias 1": recurrence(0.731, gates=("logistic", "tanh"), saturated=0.1),
    "chrono gates": recurrence(0.999, gates=("logistic",), saturated=1.0),
    "gates of zero biases": recurrence(0.52, gates=("logistic",), saturated=0.0),
    "a recurrence of diagonal matrices": recurrence(0.97),
    "tanh that remembers some steps": recurrence(0.78),
    "examples that come nearer": nearer(),
    "weights that differ": different(),
    "experts": experts(),
    "converged": muted_delta(mlp(8), 8),
    "half of the units dead, all examples alike": mlp(60, activation={"dead_fraction": 0.52}),
    "three sigmoid layers": mlp(3, -0.05, -0.62, "logistic", activation={"saturated_fraction": 0.0}),
    "one layer": mlp(1),
    "nothing but a readout": mlp(0),
    "regression": changed(mlp(5, loss=0.5 * CLASSES), -1, log10_delta_rms=-math.log10(BATCH)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_said_of_a_healthy_network(name):
    findings, margins = judge(HEALTHY[name].evidence())
    assert [f for f in findings if f.severity != "info"] == []
    assert [m.rule for m in margins] == list(Rule)
    assert all(m.silent or math.isfinite(m.value) for m in margins)


# --- over depth and time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "kind", "severity"),
    [
        (mlp(10, 0, math.log10(0.236), "logistic"), "vanishing", "error"),
        (mlp(4, 0, math.log10(0.4), "logistic"), "vanishing", "warning"),
        (mlp(20, 0, math.log10(1.6), "tanh"), "exploding", "error"),
        (mlp(10, 0, math.log10(1.5), "tanh"), "exploding", "warning"),
        (mlp(10, math.log10(0.08), math.log10(0.08)), "init_too_small", "error"),
        (mlp(10, math.log10(0.7071), math.log10(0.7071)), "init_too_small", "warning"),
        (mlp(30, math.log10(1.5), math.log10(1.5)), "init_too_large", "error"),
        (mlp(8, math.log10(1.5), math.log10(1.5)), "init_too_large", "warning"),
        (mlp(3, -1.1, -1.1, names="fc{}"), "init_too_small", "warning"),
        (mlp(9, -0.5, -0.5, samples=4, noise=0.1), "init_too_small", "error"),
        (recurrence(0.2), "vanishing", "error"),
        (recurrence(0.62, steps=8), "vanishing", "warning"),
        (recurrence(0.2, gates=("logistic",)), "vanishing", "error"),
        (recurrence(1.5, steps=20), "exploding", "error"),
        (recurrence(1.5, steps=15), "exploding", "warning"),
    ],
)  # fmt: skip
def test_what_changes_from_layer_to_layer(model, kind, severity):
    assert kinds(model.evidence()) == {kind: severity}


def test_the_first_layers_are_named_first_where_the_gradient_vanishes():
    found = said(mlp(10, 0, -0.63, "logistic").evidence(), "vanishing")
    assert found.layers[:2] == ("layers/0", "layers/1") and "layers/9" not in found.layers
    assert found.value == pytest.approx(-0.63 * 9) and found.line == -1


def test_small_weights_hide_in_the_gradients_of_the_weights_and_this_is_said():
    found = said(mlp(10, -1.1, -1.1).evidence(), "init_too_small")
    assert "x 0.0794 per layer" in found.evidence and "(first over last 1.00)" in found.evidence


def test_an_interval_that_reaches_the_line_keeps_a_rule_silent():
    quiet = mlp(8, 0, -0.17, samples=3)
    for k, row in enumerate(quiet.rows):
        if k < 2:
            row["log10_delta_rms"] = row["log10_delta_rms"] + np.array([-0.4, 0.0, 0.4])
    assert kinds(quiet.evidence()) == {}
    assert kinds(mlp(8, 0, -0.17).evidence()) == {"vanishing": "warning"}


@pytest.mark.parametrize(
    ("factor", "kind"), [(1e-3, "init_too_small"), (0.03, "init_too_small"), (1e3, "init_too_large")]
)
def test_one_layer_of_the_wrong_size(factor, kind):
    model, shift = mlp(8), math.log10(factor)
    for k, row in enumerate(model.rows):
        row["log10_value_rms" if k >= 6 else "log10_delta_rms"] += shift  # from layer 3 on, and before it
    evidence = model.evidence()
    assert said(evidence, kind).layers == ("layers/3",)


def test_a_readout_a_millionth_and_one_by_mup():
    for decades, expected in ((6, {"init_too_small": "warning"}), (2, {})):
        model = mlp(5)
        for row in model.rows[:-1]:
            row["log10_delta_rms"] -= decades
        model.rows[-1]["log10_value_rms"] -= decades
        assert kinds(model.evidence()) == expected


def test_one_role_of_many_is_no_fault_of_the_stack():
    model = Model()
    for i in range(8):
        for name in ("q", "k", "v", "o"):
            model.dense(f"block_{i}/{name}", delta=-3 - (0.3 * (7 - i) if name == "q" else 0))
    model.readout()
    assert kinds(model.evidence()) == {}


def test_a_signal_that_overflows_is_told_from_the_values_before():
    model = mlp(12, 4.0, 0)
    for k, row in enumerate(model.rows):
        row["delta_not_finite"] = 64.0
        row["value_not_finite"] = float(k >= 18)
    birth = Birth("forward", "dot_general", "layers/9", "model.py:3", "inf", ("[-1e38, 1e38]",), ("loss",))
    evidence = model.evidence().replace(births=(birth,), losses=np.array([np.nan]), own_losses=np.array([np.nan]))
    found = kinds(evidence)
    assert found == {"nonfinite": "error", "init_too_large": "error"}


# --- units -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "severity"), [(0.6, "warning"), (0.993, "error")])
def test_saturation(share, severity):
    model = mlp(4, function="tanh", activation={"saturated_fraction": 0.02})
    changed(model, 3, saturated_fraction=share)
    changed(model, 2, value_mean_over_rms=-0.97)
    found = said(model.evidence(), "saturation")
    assert (found.severity, found.layers) == (severity, ("layers/1",)) and "not centred" in found.evidence


def test_an_output_may_be_at_its_limits():
    model = mlp(4, function="tanh", activation={"saturated_fraction": 0.02})
    model.activation(len(model.places) - 1, "logistic", saturated_fraction=1.0)
    assert kinds(model.evidence()) == {}


@pytest.mark.parametrize(
    ("share", "expected"), [(0.8, {"dead": "warning"}), (0.97, {"dead": "error"}), (1.0, {"dead_layer": "error"})]
)
def test_dead_units(share, expected):
    model = changed(mlp(5), 5, dead_fraction=share)
    assert kinds(model.evidence()) == expected
    assert judge(model.evidence())[0][0].layers == ("layers/2",)


def test_few_examples_are_no_evidence_of_dead_units():
    model = Model()
    at = model.place(model.site("w", shape=(8, 128)))
    model.activation(at, dead_fraction=0.9)
    model.readout()
    assert kinds(model.evidence()) == {}


def test_an_output_that_is_stuck_at_zero():
    model = mlp(3)
    last = len(model.places) - 1
    for row in model.rows:
        row["log10_delta_rms"] = -math.inf
    model.activation(last, dead_fraction=1.0)
    assert kinds(model.evidence()) == {"dead_layer": "error"}
    assert kinds(model.evidence().replace(losses=np.zeros(1), own_losses=np.zeros(1))) == {}


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_identical_units(share):
    model = mlp(4)
    model.gradient_rows[1]["identical_fraction"] = share
    found = said(model.evidence(), "symmetric")
    assert found.layers == ("layers/1/w",) and f"{share:.0%}" in found.evidence


def test_weights_that_wait_for_a_readout_of_zeros_are_not_identical_for_ever():
    model = zero_readout()
    model.gradient_rows[2].update(log10_weight_norm=-math.inf, identical_fraction=1.0)
    assert kinds(model.evidence()) == {}
    for row in model.gradient_rows:  # nothing will ever move them
        row.update(log10_weight_norm=-math.inf, identical_fraction=1.0)
    assert kinds(model.evidence())["symmetric"] == "error"


# --- examples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [-3.5, -9.0])
def test_collapse(depth):
    model = mlp(10)
    for k in range(10):
        changed(model, 2 * k, log10_one_minus_c=-0.3 + (depth + 0.3) * k / 9)
    found = said(model.evidence(), "collapse")
    assert found.layers[-1] == "layers/9" and found.value == pytest.approx(depth)


def test_data_that_are_alike_are_not_the_networks_doing():
    model = mlp(10)
    for k in range(10):
        changed(model, 2 * k, log10_one_minus_c=-4.0 - 0.05 * k)
    assert kinds(model.evidence()) == {}


def test_what_sees_no_data_has_not_collapsed():
    model = changed(mlp(6), 6, log10_one_minus_c=-math.inf)
    assert kinds(model.evidence()) == {}


@pytest.mark.parametrize(("bias", "behind", "expected"), [
    (1.4, -2.7, {"collapse": "warning"}), (0.7, -2.7, {}), (1.4, -1.8, {}),
])  # fmt: skip
def test_a_bias_that_drowns_what_its_inputs_make(bias, behind, expected):
    """Examples may come as near as this by themselves; with a bias of 25 times the signal there is a reason."""
    model = mlp(8)
    for k in range(8):
        changed(model, 2 * k, log10_one_minus_c=-0.1 if k <= 2 else behind - 0.02 * k)
    model.parameter("layers/2/b", (), (WIDTH,), weight=bias + 0.5 * math.log10(WIDTH))
    evidence = model.evidence()
    assert kinds(evidence) == expected
    if expected:
        assert said(evidence, "collapse").layers[:2] == ("layers/2", "layers/3")


def attention(spreads, logits=-2.0):
    """Layers of attention whose values differ over the places by these decades, relative to their size."""
    model = Model()
    for i, spread in enumerate(spreads):
        model.dense(f"layer_{i}/v", 0.0, -4.0, log10_one_minus_c=-0.3)
        model.place(model.site(f"scores_{i}", "logits", features=()), logits, -4.0 + 0.2 + spread)
        model.place(model.site(f"mixed_{i}", "inner", features=()), 0.2, -4.0)
    model.readout()
    return model.evidence()


@pytest.mark.parametrize(("spreads", "logits", "expected"), [
    ((0.0, -2.8, -7.5, -14, -14, -13), -2.0, {"collapse": "warning"}),
    ((-0.1, -0.2, -0.3, -0.3, -0.4, -0.6), -2.0, {}),  # a healthy transformer
    ((-0.7, -1.0, -1.0, -1.1), 0.3, {}),  # with places that have come nearer
    ((-4.0, -4.5, -5.0, -5.0), -2.0, {}),  # they came in alike
    ((0.0, -4.0, -5.0, -6.0), 1.2, {}),  # a softmax that picks one place passes nothing either
    ((0.0, -4.0, -5.0, -0.3), -2.0, {}),  # and apart again
])  # fmt: skip
def test_attention_that_mixes_equal_values(spreads, logits, expected):
    evidence = attention(spreads, logits)
    assert kinds(evidence) == expected
    if expected:
        assert said(evidence, "collapse").layers == tuple(f"layer_{i}/v" for i in (2, 3, 4, 5))
        assert kinds(times(evidence, 1e4)) == kinds(times(evidence, 1e-4)) == expected


@pytest.mark.parametrize("left", [0.02, 1e-4])
def test_shattered(left):
    model = mlp(10)
    for k in range(10):
        changed(model, 2 * k, log10_one_minus_c=-3.0 + 0.3 * k, delta_cosine=0.9 * (left / 0.9) ** ((9 - k) / 9))
    assert kinds(model.evidence()) == {"shattered": "warning"}
    for k in range(10):
        changed(model, 2 * k, log10_one_minus_c=-0.2)  # examples that never were similar
    assert kinds(model.evidence()) == {}


@pytest.mark.parametrize(
    ("near", "far", "first", "last"),
    [
        (-0.95, 0.1, 0.01, 0.9),  # examples that are not similar
        (-3.0, -2.5, 0.01, 0.9),  # and that stay so
        (-3.0, -0.3, 0.5, 0.9),  # whose deltas have much in common
        (-3.0, -0.3, 0.001, 0.1),  # or never had
    ],
)
def test_what_is_not_shattered(near, far, first, last):
    model = mlp(10)
    for k in range(10):
        changed(
            model, 2 * k, log10_one_minus_c=near + (far - near) * k / 9, delta_cosine=first + (last - first) * k / 9
        )
    assert kinds(model.evidence()) == {}


@pytest.mark.parametrize(("ratio", "expected"), [(0.9, {"noise": "info"}), (1.3, {"noise": "info"}), (9.0, {})])
def test_noise(ratio, expected):
    model = mlp(4)
    for row in model.gradient_rows:
        row["gradient_snr"] = ratio
    assert kinds(model.evidence()) == expected
    model.gradient_rows[0]["gradient_snr"] = 4.0  # one weight that the examples agree about is enough
    assert kinds(model.evidence()) == {}


# --- precision -------------------------------------------------------------------------------------------------------


def deep_sigmoid(look_again=True):
    """A hundred layers, of which float32 holds those above 10^-38."""
    model = mlp(100, 0, math.log10(0.236), "logistic")
    for row in model.rows:
        exact = row["log10_delta_rms"]
        row["log10_delta_rms"] = exact if exact > -38 else -math.inf
        row["exact_log10_delta_rms"] = exact if look_again else math.nan
        row["delta_lost_float32"] = (0.0 if exact > -38 else 1.0) if look_again else math.nan
    return model.evidence()


def test_float32_holds_nothing_below_a_layer():
    evidence = deep_sigmoid()
    border = next(i for i in range(100) if evidence.signals["log10_delta_rms"][0, 2 * i] > -math.inf)
    found = said(evidence, "underflow")
    assert found.severity == "error" and len(found.layers) == border
    assert f"float32 holds nothing below layers/{border}: " in found.evidence and "1e-65" in found.evidence
    deep = said(evidence, "vanishing")
    assert "0.236 per layer" in deep.evidence and deep.value == pytest.approx(-62.08, abs=0.05)


def test_without_a_second_look_zeros_behind_the_edge_of_the_format_say_it():
    found = said(deep_sigmoid(look_again=False), "underflow")
    assert "at the edge of what float32 holds" in found.evidence


@pytest.mark.parametrize(("share", "severity"), [(0.4, "warning"), (1.0, "error")])
def test_a_parameter_in_half_precision(share, severity):
    model = mlp(4)
    model.parameters[1] = model.parameters[1].__class__("layers/1/w", 1, (), (128, 128), "float16", "used", (2,))
    model.gradient_rows[1]["grad_lost_float16"] = share
    model.gradient_rows[2]["grad_lost_float16"] = 1.0  # of a format that this one is not held in
    found = said(model.evidence(), "underflow")
    assert (found.severity, found.layers) == (severity, ("layers/1/w",))


@pytest.mark.parametrize(("share", "expected"), [(0.9, {"below_epsilon": "info"}), (0.4, {})])
def test_below_the_optimisers_epsilon(share, expected):
    model = mlp(4)
    model.gradient_rows[1].update(below_adam_fraction=share)
    model.gradient_rows[2].update(below_adam_fraction=0.95, grad_zero_fraction=0.95)  # zeros stay zeros
    assert kinds(model.evidence()) == expected


# --- parameters, norms, attention -------------------------------------------------------------------------------------


def test_disconnected_and_frozen():
    model = mlp(3)
    model.parameter("spare/w", state="disconnected")
    model.parameter("old/w", state="frozen")
    assert kinds(model.evidence()) == {"disconnected": "warning", "frozen": "info"}
    model.parameter("scores/w", state="cut")
    found = {f.layers: f.evidence for f in judge(model.evidence())[0]}
    assert "round, argmax" in found["scores/w",] and "no way leads there" in found["spare/w",]
    lost = Model()
    lost.parameter("w", state="disconnected")
    assert kinds(lost.evidence())["disconnected"] == "error"


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (-0.5, {"update_ratio": "warning"}),
        (2.0, {"update_ratio": "warning"}),
        (-3.0, {}),
        (-9.0, {"update_ratio": "info"}),
    ],
)
def test_update_ratio(ratio, expected):
    model = mlp(3)
    model.gradient_rows[1]["log10_update_ratio"] = ratio
    assert kinds(model.evidence()) == expected


@pytest.mark.parametrize(("variance", "expected"), [(-8.0, True), (-5.5, True), (-2.0, False)])
def test_a_norm_that_divides_by_epsilon(variance, expected):
    model = Model()
    model.dense("w")
    model.place(model.site("norm", "norm", function="rsqrt", epsilon=1e-5), variance)
    model.readout()
    assert kinds(model.evidence()) == ({"normalisation": "warning"} if expected else {})
    assert not expected or said(model.evidence(), "normalisation").layers == ("w",)


def test_a_norm_over_one_number_and_one_behind_weights_of_zero():
    for value, delta, expected in ((0.0, -math.inf, True), (0.0, -3.0, False), (-math.inf, -math.inf, False)):
        model = Model()
        model.dense("w", value, delta)
        model.place(model.site("norm", "norm", function="rsqrt", epsilon=1e-5), -math.inf)
        model.readout()
        assert kinds(model.evidence()) == ({"normalisation": "error"} if expected else {})


@pytest.mark.parametrize(("size", "expected"), [(80.0, True), (1e4, True), (16.0, False)])
def test_attention_logits(size, expected):
    model = mlp(2)
    model.place(model.site("scores", "logits"), math.log10(size))
    model.readout()
    assert kinds(model.evidence()) == ({"attention_logits": "warning"} if expected else {})


# --- not finite ------------------------------------------------------------------------------------------------------


def test_a_nan_is_named_and_nothing_else_is_said_of_its_places():
    model = mlp(10, -1.1, -1.1)
    for row in model.rows:
        row["delta_not_finite"] = 1.0
    birth = Birth("backward", "sqrt", "layers/7", "net.py:12", "inf", ("[0, 3]",), ("layers/0/w", "layers/1/w"))
    evidence = model.evidence().replace(births=(birth,))
    findings = judge(evidence)[0]
    assert findings[0].kind == "nonfinite" and findings[0].layers == ("layers/7",)
    assert all(word in findings[0].evidence for word in ("sqrt", "net.py:12", "[0, 3]", "backward", "infinity"))
    assert {f.kind for f in findings} <= {"nonfinite", "init_too_small"}, "the values are known, the deltas are not"


def test_an_infinity_that_reaches_nothing_is_a_mask():
    birth = Birth("forward", "select_n", "scores", "attention.py:4", "inf")
    assert kinds(mlp(4).evidence().replace(births=(birth,))) == {}


def test_without_a_birth_the_first_place_is_named():
    model = changed(mlp(5), 4, value_not_finite=2.0)
    evidence = model.evidence().replace(losses=np.array([np.nan]))
    assert said(evidence, "nonfinite").layers == ("layers/2",)


# --- the end ---------------------------------------------------------------------------------------------------------


def test_a_wrong_gradient():
    ruled = Coverage(5, 5, rules=("attention",))
    evidence = mlp(4).evidence().replace(suspects=Suspects((1.0, 1.6), 0.01), coverage=ruled)
    found = said(evidence, "wrong_gradient")
    assert found.layers == ("attention",) and found.severity == "error"
    assert kinds(evidence.replace(suspects=Suspects((1.0, 1.02), 0.01))) == {}
    assert kinds(evidence.replace(suspects=Suspects((1.0, 1.2), 0.1))) == {}
    assert kinds(evidence.replace(suspects=Suspects((1.0, 1.03), 0.001))) == {}


def test_where_no_rule_was_written_by_hand_another_gradient_is_meant():
    evidence = mlp(4).evidence().replace(suspects=Suspects((1.0, 1.6), 0.01))
    assert kinds(evidence) == {}
    assert "by hand" in next(m.silent for m in judge(evidence)[1] if m.rule is Rule.GL019)


def test_targets_of_a_million_and_of_ten_thousand():
    for size in (1e4, 1e6):
        model = mlp(4, loss=0.5 * CLASSES * size**2)
        evidence = changed(model, -1, log10_delta_rms=math.log10(size / BATCH)).evidence()
        assert "targets" in said(evidence, "scale").evidence


def test_outputs_of_raw_pixels():
    model = mlp(4, value=math.log10(255), loss=255 * 1.5)
    evidence = changed(model, -1, log10_value_rms=math.log10(255), log10_delta_rms=-0.35 - math.log10(BATCH)).evidence()
    assert "straight line" in said(evidence, "scale").evidence


def test_outputs_of_ten_thousand_are_not_taken_for_targets():
    model = mlp(4, value=4.0, loss=1.5e4)
    evidence = changed(model, -1, log10_value_rms=4.0, log10_delta_rms=-0.35 - math.log10(BATCH)).evidence()
    assert "straight line" in said(evidence, "scale").evidence


@pytest.mark.parametrize(("drop", "expected"), [(0.05, True), (0.002, False)])
def test_targets_of_some_hundreds_are_told_from_a_constant_in_the_loss_by_whether_it_can_fall(drop, expected):
    model = mlp(4, loss=0.5 * 400.0**2)
    model.dense("head", 0.0, math.log10(400 / BATCH), width=1)
    evidence = model.evidence()
    square = np.sum(100.0 ** evidence.gradients["log10_grad_norm"])
    evidence = evidence.replace(suspects=Suspects((1.0, 1.0), 0.1, ((drop * model.loss / square, 1.0),)))
    assert kinds(evidence) == ({"scale": "warning"} if expected else {})


def test_a_second_softmax():
    for size, expected in ((CLASSES, True), (1, False)):
        model = changed(mlp(4), -1, log10_value_rms=-0.5)
        model.rows[-1]["log10_delta_rms"] -= math.log10(size)
        model.activation(len(model.places) - 1, "softmax")
        assert kinds(model.evidence()) == ({"scale": "warning"} if expected else {})


def test_a_second_softmax_is_told_from_its_number_where_the_loss_can_fall():
    def network(drop, classes=100):
        model = mlp(4, loss=math.log(classes))
        plain = 0.5 * math.log10(1 / classes) - math.log10(BATCH) - math.log10(classes)
        model.dense("head", -0.5, plain, width=classes)
        grads = 100.0 ** model.evidence().gradients["log10_grad_norm"][0]
        steps = ((drop * math.log(classes) / grads.sum(), 1.0),)
        return model.evidence().replace(suspects=Suspects((1.0, 1.0), 0.1, steps))

    assert "looks as if a softmax" in said(network(0.005), "scale").evidence
    assert kinds(network(1e-5)) == {}, "a constant in the loss of a network that has converged"


def test_a_second_sigmoid():
    for size, expected in ((1.0, False), (0.1, True)):  # the slope of the logistic loss at 0 is a half
        model = mlp(4, loss=math.log(2))
        model.dense("head", -1.0, math.log10(0.5 * size / BATCH), width=1)
        model.activation(len(model.places) - 1, "sigmoid", saturated_fraction=0.0)
        assert kinds(model.evidence()) == ({"scale": "warning"} if expected else {})


def test_an_output_at_one_limit_for_all_examples():
    for value, expected in ((-13.0, True), (-0.15, False)):  # half at 0 and half at 1: a classifier that is right
        model = mlp(4, loss=-1e-13)
        model.dense("head", 0.0, -15.0, width=1)
        model.activation(len(model.places) - 1, "sigmoid", value, saturated_fraction=1.0)
        assert kinds(model.evidence()) == ({"scale": "warning"} if expected else {})


@pytest.mark.parametrize(("inputs", "expected"), [(1e-5, True), (0.01, True), (0.2, False)])
def test_inputs_that_drown_in_the_first_bias(inputs, expected):
    model = Model()
    at = model.dense("in", math.log10(inputs))
    model.parameter("in/b", [], (128,), weight=0.5 * math.log10(128))
    model.activation(at)
    model.dense("hidden")
    model.readout()
    assert kinds(model.evidence()) == ({"scale": "warning"} if expected else {})


def test_a_discriminator_that_is_saturated_and_wrong():
    model = changed(mlp(4, loss=1.0), -1, log10_value_rms=1.0)
    model.rows[-1]["log10_delta_rms"] -= 4
    model.activation(len(model.places) - 1, "logistic", saturated_fraction=0.9)
    assert "saturated" in said(model.evidence(), "scale").evidence


# --- all rules -------------------------------------------------------------------------------------------------------

FAULTY = [
    mlp(10, -1.1, -1.1).evidence(),
    mlp(20, 0, 0.3, "tanh", activation={"saturated_fraction": 0.7}).evidence(),
    changed(mlp(5), 5, dead_fraction=1.0).evidence(),
    changed(mlp(4, loss=5e12), -1, log10_delta_rms=6 - math.log10(BATCH)).evidence(),
    mlp(6, 0, -0.6)
    .evidence()
    .replace(suspects=Suspects((1.0, 1.6), 0.01, ((1e-3, 0.9),)), coverage=Coverage(7, 7, rules=("f",))),
]


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([*FAULTY, *(m.evidence() for m in HEALTHY.values())]), st.sampled_from([1e-4, 1e4, -1]))
def test_a_loss_in_another_unit_changes_disagreement(evidence, factor):
    # -1: the sum over the batch in place of its mean
    assert kinds(times(evidence, BATCH if factor < 0 else factor)) == kinds(evidence)


def test_a_rescaled_input_with_the_first_layer_compensated_changes_nothing():
    evidence = mlp(10, -1.1, -1.1).evidence()
    gradients = {k: v.copy() for k, v in evidence.gradients.items()}
    gradients["log10_weight_norm"][:, 0] -= 3
    gradients["log10_grad_norm"][:, 0] += 3
    assert kinds(evidence.replace(gradients=gradients)) == kinds(evidence)


def test_rules_are_muted_by_code_or_kind():
    evidence = mlp(10, -1.1, -1.1).evidence()
    assert kinds(evidence, mute=["GL003"]) == kinds(evidence, mute=["init_too_small"]) == {}
    assert Rule.GL003 not in [m.rule for m in judge(evidence, mute=["GL003"])[1]]
    with pytest.raises(GradlabError, match="init_too_small"):
        judge(evidence, mute=["init_too_smal"])


def test_errors_stand_before_warnings_before_what_is_to_know():
    model = changed(mlp(5), 5, dead_fraction=1.0)
    model.parameter("old/w", state="frozen")
    model.parameter("spare/w", state="disconnected")
    assert [f.severity for f in judge(model.evidence())[0]] == ["error", "warning", "info"]


def test_another_loss_than_the_models_own_is_disagreement():
    evidence = mlp(4).evidence()
    assert disagreement(evidence) == ""
    assert disagreement(evidence.replace(own_losses=evidence.losses * (1 + 1e-6))) == ""
    assert "2.3" in disagreement(evidence.replace(own_losses=evidence.losses * 1.01))
    nan = np.array([np.nan])
    assert disagreement(evidence.replace(losses=nan, own_losses=nan)) == ""
    assert disagreement(evidence.replace(losses=nan)) != ""


def test_every_line_has_a_reason_and_a_source():
    assert len(table()) > 30 and all(unit and reason and source for _, _, unit, reason, source in table())
    with pytest.raises(AttributeError):
        LINES.dead = 0.5


def test_layers_of_falling_size_may_differ_by_more():
    for slope, expected in ((0.5, {}), (0.8, {"exploding": "warning"})):
        model = Model()
        for i in range(4):
            width = 2 ** (9 - i)
            model.dense(f"down_{i}", delta=-3 + slope * (3 - i) - 0.5 * math.log10(width), width=width)
        model.readout()
        assert kinds(model.evidence()) == expected
