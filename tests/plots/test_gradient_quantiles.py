"""Quantiles of gradient entries along a training, read back from the axes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from gradlab import plots
from gradlab._errors import GradlabError

from .synthetic import bins, counted
from .test_lines import drawn


def test_medians_and_bands_are_quantiles_of_the_values_that_were_counted():
    values, table = counted()
    axes = plots.gradient_quantiles(table)
    assert [ax.get_title() for ax in axes] == ["layer 1", "layer 2"]
    for layer, ax in enumerate(axes, 1):
        (median,) = drawn(ax, "median")
        at = median.get_xdata()
        # exact up to the width of a bin, 0.15 decades
        np.testing.assert_allclose(median.get_ydata(), [np.median(values[layer, s]) for s in at], atol=0.15)
        (band,) = [c for c in ax.collections if c.get_gid() == "0.25 to 0.75"]
        outline = band.get_paths()[0].vertices
        for step in at:
            ends = [y for x, y in outline if x == step]
            wanted = np.quantile(values[layer, step], [0.25, 0.75])
            np.testing.assert_allclose([min(ends), max(ends)], wanted, atol=0.15)
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert "falls 10-fold from step 0 to step 100" in plots.caption(axes[0])


def test_zeros_are_among_the_entries_and_stand_at_the_floor():
    _, table = counted(zeros={(1, 100): 0.6, (2, 10): 0.1})
    first, second = plots.gradient_quantiles(table)
    (median,) = drawn(first, "median")
    assert np.isnan(median.get_ydata()[-1]) and np.isfinite(median.get_ydata()[:-1]).all()
    (filled,), (hollow,) = drawn(first, "zero"), drawn(second, "zero")
    assert list(filled.get_xdata()) == [100] and list(hollow.get_xdata()) == [10]
    assert hollow.get_markerfacecolor() == "white" != filled.get_markerfacecolor()
    assert "exactly 0" in plots.caption(first)


def test_rows_given_axes_and_what_is_refused():
    _, table = counted()
    two = pd.concat([table.assign(init="he_normal"), table.assign(init="xavier_normal")])
    assert plots.gradient_quantiles(two, row="init", layers=[2]).shape == (2, 1)
    with pytest.raises(GradlabError, match="differ in init"):
        plots.gradient_quantiles(two)
    _, ax = plt.subplots()
    assert plots.gradient_quantiles(table, layers=[1], ax=ax) is ax
    with pytest.raises(GradlabError, match="log10=True"):
        plots.gradient_quantiles(bins().assign(step=0))
    with pytest.raises(GradlabError, match="'step'"):
        plots.gradient_quantiles(table.drop(columns="step"))
