"""Rows of a diagnosed model: its own names in its own order, every parameter once, and the house's schema."""

import dataclasses

import numpy as np

from gradlab.diagnosis.layers import columns, frame_rows, layer_rows, statuses
from gradlab.diagnosis.sites import Parameter

from .hand_made import dense


def test_a_row_is_a_product_with_its_activation_and_its_parameters():
    found = dense(3)
    rows = layer_rows(found)
    assert [r.name for r in rows] == ["dense_1", "dense_2", "dense_3", "head"]
    for row in rows:
        (weight,), (bias,) = row.weights, row.biases
        assert found.parameters[weight].path == f"{row.name}/kernel"
        assert found.parameters[bias].path == f"{row.name}/bias"
    assert [row.activation >= 0 for row in rows] == [True, True, True, False]
    made = columns(found, rows)
    # the activation's own rms, of the readout that of its product
    np.testing.assert_allclose(made["log10_activation_rms"][0], 0)
    np.testing.assert_allclose(made["weight_norm"][0], 10**0.6)
    np.testing.assert_allclose(made["log10_delta_rms"][0], -1)


def test_steps_of_a_scan_are_rows_of_their_own_with_their_own_bias():
    rows = layer_rows(found := dense(4, stacked=True, backward=-1))
    assert [r.name for r in rows] == ["blocks/up[0]", "blocks/up[1]", "blocks/up[2]", "blocks/up[3]", "head"]
    assert [found.parameters[r.biases[0]].path for r in rows[:2]] == ["blocks/up/bias[0]", "blocks/up/bias[1]"]
    np.testing.assert_allclose(columns(found, rows)["log10_weight_grad_norm"][0], [-5, -4, -3, -2, -1])


def with_parameter(found, parameter, at, grad):
    """The evidence with one more parameter, of this gradient."""
    gradients = {n: np.insert(v, at, np.nan, axis=1) for n, v in found.gradients.items()}
    gradients["log10_grad_norm"][:, at] = grad
    parameters = (*found.parameters[:at], parameter, *found.parameters[at:])
    return found.replace(parameters=parameters, gradients=gradients)


def test_parameters_that_feed_no_place_stand_behind_what_meets_data_before_them():
    found = with_parameter(dense(3), Parameter("norm/scale", 9, (), (16,), "float32"), 2, -3.0)
    rows = layer_rows(found)
    assert [r.name for r in rows] == ["dense_1", "norm", "dense_2", "dense_3", "head"]
    assert columns(found, rows)["log10_weight_grad_norm"][0, 1] == -3
    assert sorted(n for r in rows for n in (*r.weights, *r.biases)) == list(range(len(found.parameters)))


def test_a_norm_behind_a_stack_stands_behind_it_and_one_in_a_block_in_its_block():
    found = dense(3, stacked=True)
    found = with_parameter(found, Parameter("last/scale", 9, (), (16,), "float32"), 6, -3.0)
    found = with_parameter(found, Parameter("blocks/norm/scale[1]", 8, (1,), (16,), "float32"), 2, -3.0)
    names = [r.name for r in layer_rows(found)]
    assert names == ["blocks/up[0]", "blocks/norm[1]", "blocks/up[1]", "blocks/up[2]", "last", "head"]


def test_a_weight_that_is_used_twice_stands_once():
    found = dense(3)
    first = dataclasses.replace(found.parameters[0], places=(0, 2))
    rows = layer_rows(found.replace(parameters=(first, *found.parameters[1:])))
    assert [0 in r.weights for r in rows] == [True, False, False, False]


def test_the_status_says_what_is_frozen_zero_lost_or_not_finite():
    found = dense(3, samples=2)
    states = [dataclasses.replace(p, state="frozen") if p.path.startswith("dense_1") else p for p in found.parameters]
    grads = {n: v.copy() for n, v in found.gradients.items()}
    lost = [i for i, p in enumerate(states) if p.path.startswith("dense_2")]
    grads["log10_grad_norm"][0, lost] = -np.inf
    grads["exact_log10_grad_norm"][0, lost] = -60
    grads["log10_grad_norm"][1, lost] = -np.inf
    signals = {n: v.copy() for n, v in found.signals.items()}
    signals["value_not_finite"][1, 4] = 3
    found = found.replace(parameters=tuple(states), gradients=grads, signals=signals)
    one, two = statuses(found, layer_rows(found))
    assert one[0] == "no gradient: frozen by stop_gradient" and one[2] == "ok"
    assert one[1] == "underflow: gradient 0 in the working precision, but not in float64"
    assert two[1] == "gradient exactly 0" and two[2] == "not finite: value"
    made = columns(found, layer_rows(found))
    assert np.isnan(made["log10_weight_grad_norm"][:, 0]).all() and made["log10_weight_grad_norm"][0, 1] < -59


def test_width_times_fan_in_are_the_entries_of_the_weight():
    made = frame_rows(dense(2, width=16))
    np.testing.assert_array_equal(made["width"], [16, 16, 10])
    np.testing.assert_array_equal(made["fan_in"], [16, 16, 16])
