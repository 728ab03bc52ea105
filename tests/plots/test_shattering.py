"""Shattering: cosines on the axes are means of seeds' means over pairs, with their t-intervals."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy.stats import ttest_1samp

from gradlab import plots
from gradlab._errors import GradlabError


def table(seeds=5):
    rng = np.random.default_rng(0)
    rows = [
        {"net": net, "seed": s, "layer": layer, "from_loss": 4 - layer, "distance": d, "pairs": pairs,
         "cosine": 0.5 ** (4 - layer) * (1 + 0.1 * rng.normal())}
        for net in ("plain", "skip") for s in range(seeds) for layer in range(5) for d, pairs in ((1.0, 3), (2.0, 9))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def drawn(ax, gid):
    return [a for a in (*ax.lines, *ax.collections) if a.get_gid() == gid]


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("x", ["from_loss", "layer", "distance"])
def test_means_and_bands(x, log):
    rows = table()
    ax = plots.shattering(rows, x=x, hue="net", log=log)
    for line, band, (_, group) in zip(drawn(ax, "mean"), drawn(ax, "band"), rows.groupby("net"), strict=True):
        corners = band.get_paths()[0].vertices
        for at, value in zip(*line.get_data(), strict=True):
            here = group[group[x] == at]
            of_seed = [np.average(g["cosine"], weights=g["pairs"]) for _, g in here.groupby("seed")]
            wanted = [np.mean(of_seed), *ttest_1samp(of_seed, 0).confidence_interval()]
            if log:
                wanted = np.log10(wanted)
            assert value == pytest.approx(wanted[0], abs=1e-12)
            edges = corners[corners[:, 0] == at, 1]
            np.testing.assert_allclose([edges.min(), edges.max()], wanted[1:], atol=1e-12)
        assert set(line.get_xdata()) == set(group[x])
    assert "n = 5 seeds" in plots.caption(ax)


def test_law_and_users_axes():
    rows = table()
    law = pd.DataFrame({"from_loss": np.arange(5), "cosine": 0.5 ** np.arange(5.0), "net": "plain"})
    _, ax = plt.subplots()
    assert plots.shattering(rows, hue="net", theory=law, ax=ax) is ax
    (line,) = drawn(ax, "law")
    np.testing.assert_allclose(line.get_ydata(), np.log10(law["cosine"]))
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    assert texts == ["plain", "skip", "theory, infinite width"]


def test_means_at_the_level_of_noise():
    """Negative means are hollow, at their size; where 0 is in the interval the noise is dotted, the band open below."""
    rows = table()
    noise = np.array([0.03, -0.01, -0.04, 0.02, -0.02])
    for layer, shift in ((0, 0.0), (1, -1.0)):  # noise about 0, and a mean that is negative beyond it
        far = rows["layer"] == layer
        rows.loc[far, "cosine"] = shift + noise[rows.loc[far, "seed"]]
    ax = plots.shattering(rows[rows["net"] == "plain"])
    (mean,), (hollow,), (dotted,), (band,) = (drawn(ax, g) for g in ("mean", "negative mean", "noise", "band"))
    assert list(mean.get_xdata()) == [0, 1, 2] and list(hollow.get_xdata()) == [3, 4]
    np.testing.assert_allclose(hollow.get_ydata(), np.log10([1.004, 0.004]), atol=1e-12)
    assert hollow.get_markerfacecolor() == "white" != mean.get_markerfacecolor()
    low, high = ttest_1samp(noise, 0).confidence_interval()
    np.testing.assert_allclose(dotted.get_ydata(), [np.nan] * 4 + [np.log10((high - low) / 2)], atol=1e-12)
    edges = band.get_paths()[0].vertices
    ends = [edges[edges[:, 0] == at, 1] for at in (3, 4)]
    np.testing.assert_allclose(np.ptp(ends[0]), np.log10((low - 1) / (high - 1)), atol=1e-12)
    np.testing.assert_allclose([ends[1].min(), ends[1].max()], np.log10([0.0004, -low]), atol=1e-12)
    said = plots.caption(ax)
    assert "negative means (2)" in said and "cannot be told from 0 (1)" in said
    linear = plots.shattering(rows[rows["net"] == "plain"], log=False)
    assert not drawn(linear, "noise") and "Hollow" not in plots.caption(linear)


def test_input_gradients_draw_their_rows():
    x = np.linspace(-2, 2, 64)
    rng = np.random.default_rng(1)
    white = rng.normal(size=64)
    rows = pd.concat(
        [pd.DataFrame({"network": n, "x": x, "gradient": g}) for n, g in (("white", white), ("slow", np.sin(x)))]
    )
    axes = plots.input_gradients(rows.sample(frac=1, random_state=0))
    assert {a.get_title() for a in axes} == {"white", "slow"}
    for ax in axes:
        (line,) = drawn(ax, "gradient")
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_array_equal(line.get_ydata(), white if ax.get_title() == "white" else np.sin(x))
    d = white - white.mean()
    assert f"{np.sum(d[1:] * d[:-1]) / np.sum(d * d):.2f} (white)" in plots.caption(axes)


def test_wrong_tables_are_refused():
    rows = table()
    with pytest.raises(GradlabError, match="cosine"):
        plots.shattering(rows.drop(columns="cosine"))
    with pytest.raises(GradlabError, match="from_loss"):
        plots.shattering(rows, x="depth")
    with pytest.raises(GradlabError, match="network"):
        plots.shattering(rows, hue="network")
    with pytest.raises(GradlabError, match=r"received .x."):
        plots.input_gradients(rows)
