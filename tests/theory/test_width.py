"""Exponents of the first step over the width, as published."""

import numpy as np
import pytest

from gradlab import GradlabError, theory


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_maximal_update_changes_all_layers_alike(optimizer):
    """Yang & Hu 2021: that is what it is made for."""
    for values in theory.width_exponents("mup", optimizer=optimizer, depth=4).values():
        assert np.isin(values[1:], 0).all() and values[0] in (0, -np.inf)


def test_standard_and_tangent_parametrizations():
    """Logits of one hidden layer grow as n, hidden layers of the tangent one change as the root of 1/n (lazily)."""
    standard, lazy = (theory.width_exponents(name, depth=3)["log10_change_rms"] for name in ("standard", "ntk"))
    assert standard.tolist() == [-0.5, 0.5, 0.5, 1.0] and lazy.tolist() == [-0.5, -0.5, -0.5, 0.0]
    by_entries = theory.width_exponents("standard", optimizer="adam", depth=2)
    assert by_entries["log10_weight_effect_rms"].tolist() == [0.0, 1.0, 1.0]
    assert by_entries["log10_carried_rms"].tolist() == [-np.inf, 0.0, 1.5]


def test_unknown_names_are_refused():
    with pytest.raises(GradlabError, match="parametrization"):
        theory.width_exponents("mean field")
    with pytest.raises(GradlabError, match="an optimiser of"):
        theory.width_exponents(optimizer="adamant")
    with pytest.raises(GradlabError, match="a depth of 1 or more"):
        theory.width_exponents(depth=0)
