"""Measured against predicted rates: points, bars and residuals read back from the axes."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from gradlab import frames, plots
from gradlab._errors import GradlabError

from .gallery import compared
from .synthetic import healthy
from .test_lines import drawn


def test_points_bars_and_residuals_are_those_of_the_table():
    table = compared().copy()
    above, below = plots.predicted_against_measured(table, hue="sigma_w2")
    for bars, residuals, (_, row) in zip(above.containers, below.containers, table.iterrows(), strict=True):
        (x, y), (at, percent) = (np.array(c.lines[0].get_data()).ravel() for c in (bars, residuals))
        assert (x, y) == pytest.approx((np.log10(row["predicted"]), np.log10(row["rate"])))
        assert (at, percent) == (x, pytest.approx(100 * (row["rate"] / row["predicted"] - 1)))
        (stick,) = bars.lines[2][0].get_segments()
        np.testing.assert_allclose(stick[:, 1], np.log10([row["low"], row["high"]]))
        (stick,) = residuals.lines[2][0].get_segments()
        np.testing.assert_allclose(stick[:, 1], 100 * (row[["ratio_low", "ratio_high"]].to_numpy(float) - 1))
    (identity,) = drawn(above, "identity")
    np.testing.assert_array_equal(identity.get_xdata(), identity.get_ydata())
    worst = 100 * (table["ratio"] - 1).abs().max()
    assert f"by at most {worst:.2g} %" in plots.caption(above)


def test_networks_without_theory_are_counted_and_none_at_all_is_refused():
    table = compared().copy()
    table.loc[table.index[0], ["predicted", "ratio"]] = np.nan
    panels = plt.subplots(2, 1)[1]
    assert plots.predicted_against_measured(table, ax=panels)[0] is panels[0]
    assert len(panels[0].containers) == len(table) - 1 and "1 of 3 networks lack" in plots.caption(panels[0])
    with pytest.raises(GradlabError, match="'predicted'"):
        plots.predicted_against_measured(frames.rates(healthy()))
    with pytest.raises(GradlabError, match="too wide"):
        plots.predicted_against_measured(table.assign(predicted=np.nan, refused="too wide"))
