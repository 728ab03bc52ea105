"""Chains: which places play one part, and the rate over them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlab.diagnosis.chains import chains, stacks
from tests.diagnosis.making import BATCH, Model, mlp


def _products(evidence):
    return [c for c in chains(evidence) if evidence.places[c.places[0]].site.kind == "product"]


@pytest.mark.parametrize(
    "names", ["layers/{}", "Dense_{}", "net/linear_{}", "MLP_0/Dense_{}", "hidden.{}.w", "blocks/{}/mlp/up"]
)
def test_names_that_differ_in_numbers_are_one_chain(names):
    evidence = mlp(6, -0.5, -0.5, names=names).evidence()
    (chain,) = _products(evidence)
    assert chain.part == names.format("*") and chain.alike and len(chain.places) == 6
    assert chain.delta.value == pytest.approx(10**-0.5) and chain.value.value == pytest.approx(10**-0.5)


def test_a_first_name_without_a_number_belongs_to_the_others():
    model = Model()
    for name in ("mlp/linear", "mlp/linear_1", "mlp/linear_2", "mlp/linear_3"):
        model.dense(name)
    model.readout()
    assert [len(c.places) for c in _products(model.evidence())] == [4]


def test_the_same_last_name_is_one_part_before_other_numbers_of_it_are():
    model = Model()
    for i in range(5):
        for j in (0, 1):
            model.dense(f"Block_{i}/Dense_{j}", delta=-2.0 * j)
    model.readout()
    found = _products(model.evidence())
    assert sorted(c.part for c in found) == ["Block_*/Dense_0", "Block_*/Dense_1"]
    assert all(c.delta_decades == 0 for c in found), "a mixture of two parts has an alternating profile"
    assert len(stacks(found)) == 1


def test_the_readout_is_in_no_chain():
    model = mlp(4)
    model.places[-1] = model.places[-1].__class__(model.site("layers/9", parameter="layers/9"), ())
    (chain,) = _products(model.evidence())
    assert len(chain.places) == 4


def test_steps_of_a_scan_over_layers_are_a_chain():
    model = Model()
    site = model.site("blocks/up", scans=(("layers", 8, 0),), parameter="blocks/up")
    for i in range(8):
        model.place(site, 0.0, -3 - 0.3 * (7 - i), (i,))
    (chain,) = chains(model.evidence())
    assert chain.part == "blocks/up[*]" and chain.along == "layers"
    assert chain.delta.value == pytest.approx(10**-0.3)


def test_steps_in_time_are_a_chain_of_their_own_and_one_link_in_depth():
    model = Model()
    for name in ("cell_0", "cell_1", "cell_2", "cell_3"):
        site = model.site(name, scans=(("steps", 6, 0),), parameter=name)
        for t in range(6):
            model.place(site, 0.0, -3 - 0.5 * (5 - t), (t,))
    found = chains(model.evidence())
    assert [(c.along, len(c.places)) for c in found] == [("layers", 4)] + [("steps", 6)] * 4
    assert found[0].delta_decades == pytest.approx(0)
    assert found[1].delta_decades == pytest.approx(-2.5)


def test_one_parameter_used_again_and_again_is_a_chain_in_time():
    model = Model()
    for t in range(5):
        model.place(model.site("cell" + (f"#{t}" if t else ""), parameter="cell"), 0.0, -3 - 0.4 * (4 - t))
    (chain,) = chains(model.evidence())
    assert chain.along == "steps" and chain.delta_decades == pytest.approx(-1.6)


def test_unlike_layers_in_series_are_a_chain_of_last_resort_by_their_norms():
    model = Model()
    for i, (name, width) in enumerate((("conv1", 400), ("conv2", 100), ("fc", 25))):
        model.dense(name, delta=-2 * (2 - i) - 0.5 * np.log10(width * BATCH), width=width)
    model.readout()
    (chain,) = chains(model.evidence())
    assert not chain.alike and chain.delta_decades == pytest.approx(-4)


def test_beside_attention_there_is_no_last_resort():
    model = Model()
    for name in ("q", "k", "v"):
        model.dense(name)
    model.place(model.site("scores", "inner"))
    model.readout()
    assert chains(model.evidence()) == ()


def test_places_without_a_delta_are_left_out():
    model = mlp(8)
    for row in model.rows[:6:2]:
        row["log10_delta_rms"] = -np.inf
    (chain,) = _products(model.evidence())
    assert chain.delta.layers == (1, 5) and len(chain.places) == 8


def test_one_sample_has_no_interval_and_several_have():
    assert not _products(mlp(6, 0, -0.5).evidence())[0].delta.has_interval
    several = _products(mlp(6, 0, -0.5, samples=5, noise=0.05).evidence())[0]
    assert several.delta.has_interval
    assert several.delta.decades.high <= several.delta_decades < several.delta.decades.high + 0.1


def test_one_odd_layer_makes_no_trend():
    model = mlp(12)
    for row in model.rows[:4]:  # two layers with their activations
        row["log10_delta_rms"] = -6.0
    (chain,) = _products(model.evidence())
    assert chain.delta.decades.value == pytest.approx(-3) and abs(chain.delta_decades) < 1e-9


@settings(max_examples=25, deadline=None)
@given(st.floats(-400, 400), st.floats(-0.9, 0.9), st.integers(4, 30))
def test_a_rate_does_not_depend_on_the_unit(shift, slope, depth):
    model = mlp(depth, slope, slope)
    for row in model.rows:
        row["log10_delta_rms"] += shift
        row["log10_value_rms"] -= shift
    (chain,) = _products(model.evidence())
    assert np.log10(chain.delta.value) == pytest.approx(slope, abs=1e-9)
    assert np.log10(chain.value.value) == pytest.approx(slope, abs=1e-9)
