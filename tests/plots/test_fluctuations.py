"""Fluctuations: bars, curves and variances on the axes are those of the tables."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from gradlab import plots
from gradlab._errors import GradlabError

SIZES = {"flat": (0.2, 0.04), "long": (1.0, 0.2), "narrow": (2.5, 0.5)}


def tables(seeds=400, dead=0):
    rng = np.random.default_rng(0)
    samples, law = [], []
    for name, (variance, total) in SIZES.items():
        values = rng.normal(-variance / 2, variance**0.5, seeds)
        values[:dead] = -np.inf
        samples.append(pd.DataFrame({"network": name, "ln_norm2": values, "inverse_width_sum": total, "shape": name}))
        x = np.linspace(-8, 6, 50)
        density = np.exp(-((x + variance / 2) ** 2) / (2 * variance)) / (2 * np.pi * variance) ** 0.5
        law.append(pd.DataFrame({"network": name, "ln_norm2": x, "density": density, "variance": variance}))
    return pd.concat(samples, ignore_index=True), pd.concat(law, ignore_index=True)


def drawn(ax, gid):
    return [a for a in (*ax.lines, *ax.collections, *ax.patches) if a.get_gid() == gid]


def test_what_is_drawn_is_what_the_tables_say():
    samples, law = tables()
    left, right = plots.fluctuations(samples, theory=law)
    for line, name in zip(drawn(left, "law"), SIZES, strict=True):
        rows = law[law["network"] == name]
        np.testing.assert_array_equal(np.column_stack(line.get_data()), rows[["ln_norm2", "density"]])
    for polygon, name in zip(drawn(left, "histogram"), SIZES, strict=True):
        values = samples.loc[samples["network"] == name, "ln_norm2"]
        heights, edges = np.histogram(values, 40, density=True)
        (outline,) = (path.vertices for path in polygon.get_paths())
        np.testing.assert_allclose(np.unique(outline[:, 0]), edges, rtol=1e-12)
        assert outline[:, 1].max() == pytest.approx(heights.max())
    for bars, (name, (variance, total)) in zip(right.containers, SIZES.items(), strict=True):
        points, _, (sticks,) = bars.lines
        values = samples.loc[samples["network"] == name, "ln_norm2"]
        ((x, y),) = np.column_stack(points.get_data())
        assert (x, y) == (total, pytest.approx(np.var(values, ddof=1)))
        (stick,) = sticks.get_segments()
        error = 1.96 * (np.mean((values - values.mean()) ** 4) - y**2) ** 0.5 / len(values) ** 0.5
        np.testing.assert_allclose(stick[:, 1], [y - error, y + error])
        assert variance in [line.get_ydata()[0] for line in drawn(right, "law")]
    (line,) = drawn(right, "first order")
    assert line.get_ydata()[-1] == pytest.approx(5 * line.get_xdata()[-1])
    assert "95 % intervals" in plots.caption(left) and "n = 400" in plots.caption(left)


def test_dead_networks_are_counted_and_left_out():
    samples, law = tables(dead=3)
    axes = plots.fluctuations(samples, theory=law, first_order=None)
    assert "9 of 1200 networks are dead" in plots.caption(axes)
    assert not drawn(axes[1], "first order")


def test_users_axes_hue_and_choice():
    samples, law = tables()
    figure, axes = plt.subplots(1, 2)
    samples["kind"] = samples["network"].map({"flat": "a", "long": "a", "narrow": "b"})
    found = plots.fluctuations(samples, theory=law, hue="kind", shown=["long"], ax=axes, bins=10)
    assert list(found) == list(axes) and len(drawn(axes[0], "law")) == 1
    assert [t.get_text() for t in axes[0].get_legend().get_texts()][:2] == ["a", "b"]
    assert len(figure.axes) == 2


def test_wrong_tables_are_refused():
    samples, law = tables()
    with pytest.raises(GradlabError, match="inverse_width_sum"):
        plots.fluctuations(samples.drop(columns="inverse_width_sum"), theory=law)
    with pytest.raises(GradlabError, match="density"):
        plots.fluctuations(samples, theory=law.drop(columns="density"))
    with pytest.raises(GradlabError, match="flat, long, narrow"):
        plots.fluctuations(samples, theory=law, shown=["wide"])
    with pytest.raises(GradlabError, match="not dead"):
        plots.fluctuations(samples.assign(ln_norm2=-np.inf), theory=law)
