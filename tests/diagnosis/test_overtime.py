"""A training judged from its frame: the first step of a fault, what is over, what has stopped, what is not finite."""

import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.config import MLPConfig
from gradlab.diagnosis.overtime import diagnose_frame
from gradlab.measurement.records import LayerInfo, Trace

DEPTH = 8
STEPS = (0, 1, 2, 5, 10, 20, 50, 100)


def training(per_layer=lambda step: 0.0, seeds=1, change=None):
    """The frame of a training whose deltas change by so many decades per layer toward the input at each step."""
    layers = tuple(
        LayerInfo(i + 1, "readout" if i == DEPTH else f"hidden_{i + 1}", 10 if i == DEPTH else 64, 64, 64)
        for i in range(DEPTH + 1)
    )
    rng = np.random.default_rng(0)
    traces = []
    for step in STEPS:
        noise = 0.01 * rng.normal(size=(seeds, DEPTH + 1))
        delta = -1 + per_layer(step) * (DEPTH - np.arange(DEPTH + 1)) + noise
        same = np.ones_like(delta)
        columns = {
            "log10_delta_rms": delta, "log10_weight_grad_norm": delta + 1, "log10_preactivation_rms": noise,
            "log10_activation_rms": noise, "dead_fraction": 0.1 * same, "saturated_fraction": np.nan * same,
            "weight_norm": 8 * same, "log10_update_ratio": -3 * same, "log10_abs_loss": 0.2 * same, "loss_sign": same,
        }  # fmt: skip
        traces.append(Trace(
            MLPConfig(depth=DEPTH, width=64, activation="relu"), layers, columns, tuple(range(seeds)),
            ("ok",) * seeds, 2.0, 0.0, "mse", "digits", 128, "float32", step=step,
        ))  # fmt: skip
    frame = gl.frame(traces)
    frame["status"] = frame["status"].astype(object)
    return frame if change is None else change(frame)


def kinds(found):
    return {f.kind: f for f in found.findings}


def test_a_healthy_training_is_healthy_and_says_what_was_judged():
    found = gl.diagnose(training(seeds=3))
    assert found.healthy, found
    assert "Judged at 8 steps from 0 to 100; layers, margins and figure are of step 100." in str(found)
    assert "3 samples, of different seeds" in str(found) and found.rate.has_interval


def test_the_first_step_at_which_a_rule_fires_is_told():
    found = diagnose_frame(training(lambda step: -0.6 if step >= 10 else 0.0))
    vanishing = kinds(found)["vanishing"]
    assert vanishing.evidence.startswith("from step 10 on: ") and vanishing.severity == "error"
    assert vanishing.layers[0] == "hidden_1"
    assert found.frame["log10_delta_rms"].iloc[0] < -5  # of the last step


def test_what_is_over_by_the_last_step_is_a_note():
    found = diagnose_frame(training(lambda step: -0.6 if 1 <= step <= 5 else 0.0))
    vanishing = kinds(found)["vanishing"]
    assert vanishing.evidence.startswith("from step 1 to step 5: ") and vanishing.severity == "info"
    assert found.healthy


def test_a_gradient_that_becomes_exactly_zero():
    def change(frame):
        at = frame["layer_name"].isin(["hidden_2", "hidden_3"]) & (frame["step"] > 20)
        frame.loc[at, "log10_weight_grad_norm"] = -np.inf
        return frame

    dead = kinds(diagnose_frame(training(change=change)))["dead_layer"]
    assert dead.layers == ("hidden_2", "hidden_3") and dead.severity == "error"
    assert "exactly 0 since after step 20" in dead.evidence


def test_a_layer_that_falls_behind_the_others_has_stopped_learning():
    def change(frame):
        at = (frame["layer_name"] == "hidden_4") & (frame["step"] >= 20)
        frame.loc[at, "log10_update_ratio"] = -7.0
        return frame

    found = kinds(diagnose_frame(training(change=change)))["update_ratio"]
    assert found.layers == ("hidden_4",) and "has fallen by 4.0 decades" in found.evidence

    def all_of_them(frame):  # a schedule that ends: nobody falls behind
        frame.loc[frame["step"] >= 20, "log10_update_ratio"] -= 5
        return frame

    assert "fallen" not in str(diagnose_frame(training(change=all_of_them)))


def test_weights_that_no_update_moves():
    def change(frame):
        frame["moved_fraction"] = np.where((frame["layer"] == 3) & (frame["step"] > 10), 0.0, 0.5)
        return frame

    found = kinds(diagnose_frame(training(change=change)))["update_ratio"]
    assert found.layers == ("hidden_3",) and "was changed by its update" in found.evidence


def test_an_update_out_of_proportion():
    def change(frame):
        frame.loc[(frame["layer"] == 5) & (frame["step"] >= 50), "log10_update_ratio"] = -0.3
        return frame

    found = kinds(diagnose_frame(training(change=change)))["update_ratio"]
    assert found.layers == ("hidden_5",) and found.severity == "warning" and "from step 50 on" in found.evidence


def test_the_first_step_that_is_not_finite_is_told_and_the_rest_still_judged():
    def change(frame):
        frame.loc[(frame["layer"] == 6) & (frame["step"] == 50), "status"] = "not finite: 3 entries of the gradient"
        frame.loc[frame["step"] == 100, "status"] = "overflow: the forward signal is not finite from layer 6"
        return frame

    found = diagnose_frame(training(lambda step: -0.6, change=change))
    bad = kinds(found)["nonfinite"]
    assert bad.layers == ("hidden_6",) and bad.severity == "error"
    assert bad.evidence == "first at step 50 of 100, in hidden_6: not finite: 3 entries of the gradient"
    assert "vanishing" in kinds(found) and "Judged at 6 of 8 steps" in str(found) and "are of step 20." in str(found)
    muted = diagnose_frame(training(change=change), mute=("nonfinite",))
    assert muted.healthy


def test_the_frame_of_a_monitor_is_judged_by_what_it_has():
    import jax.numpy as jnp

    seen = [
        gl.observe(
            {"a": {"kernel": jnp.full((4, 4), 10.0**-i)}, "b": {"kernel": jnp.full((4, 2), float(i < 3))}}, step=i
        )
        for i in range(6)
    ]
    found = diagnose_frame(gl.frame(seen))
    assert kinds(found)["dead_layer"].layers == ("b",)
    assert "The frame has no delta" in str(found) and str(found).startswith("the frame: 0 of 2 products seen")
    all_bad = gl.frame([gl.observe({"a": {"kernel": jnp.full((4, 4), jnp.nan)}}, step=i) for i in range(2)])
    assert kinds(diagnose_frame(all_bad))["nonfinite"].layers == ("a",)


def test_what_is_no_frame_of_one_network():
    frame = training()
    other = frame.copy()
    other["network"] = other["network"].astype(str).where(other["step"] == 0, "other")
    with pytest.raises(GradlabError, match="one network"):
        diagnose_frame(other)
    with pytest.raises(GradlabError, match="layer_name"):
        diagnose_frame(frame.drop(columns="layer_name"))
    with pytest.raises(GradlabError, match="gradients"):
        diagnose_frame(frame.drop(columns=["log10_weight_grad_norm", "weight_norm", "log10_update_ratio"]))
