"""Ridges: areas are shares of all entries, places are log10 of absolute values, and formats end where they do."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import gradlab as gl
from gradlab import plots
from gradlab._errors import GradlabError
from gradlab.core.scaled import Scaled
from gradlab.measurement.bins import SIZES, joined_sizes, size_counts, size_rows

#: log10 of the middle of each layer's entries, and its share of exact zeros.
MIDDLES, ZEROS = {1: -41.0, 2: -20.0, 3: -6.0, 4: 0.0}, {1: 0.25, 2: 0.0, 3: 0.0, 4: 0.0}


def values(layer, n=4000):
    made = 10 ** np.random.default_rng(layer).normal(MIDDLES[layer], 0.4, n)
    made[: int(ZEROS[layer] * n)] = 0
    return made * np.random.default_rng(layer).choice([-1, 1], n)


def counts(x):
    """As a measurement counts them, of any size: float64 for numbers, a power of two for where they are."""
    shift = int(np.floor(np.log2(np.abs(x).max())))
    mantissa = np.ldexp(x, -shift).astype(np.float32)
    return np.asarray(size_counts(Scaled(np.asarray(mantissa)[None], np.array([shift], np.int32)), 1))[0]


def table(signals=("log10_delta",), inits=("a",)):
    made = [
        pd.DataFrame(size_rows(counts(values(layer)))).assign(signal=s, layer=layer, init=i)
        for s in signals
        for i in inits
        for layer in MIDDLES
    ]
    return pd.concat(made, ignore_index=True)


def by_gid(artists, gid):
    return [a for a in artists if a.get_gid() == gid]


def test_ridges_are_where_the_entries_are():
    ax = plots.ridges(table())
    stairs = by_gid(ax.patches, "ridge")
    assert len(stairs) == 4
    scale = None
    for place, (layer, patch) in enumerate(zip(MIDDLES, stairs, strict=True)):
        heights, edges, base = patch.get_data()
        area = np.sum((heights - base) * np.diff(edges)) / (1 - ZEROS[layer])
        scale = scale or area
        assert base == place and area == pytest.approx(scale)  # equal shares have equal areas
        size = np.abs(values(layer))
        expected, _ = np.histogram(np.log10(size[size > 0]), edges)
        np.testing.assert_allclose((heights - base) * np.diff(edges) * 4000 / scale, expected, atol=2.5)
        (median,) = by_gid(ax.lines, "median")[place].get_xdata()
        assert median == pytest.approx(np.median(np.log10(size[size > 0])), abs=np.log10(2) / 4 + 1e-9)
    assert [t.get_text() for t in by_gid(ax.texts, "zeros")] == ["25 % zero"]
    text = plots.caption(ax)
    assert text.startswith("From layer 4 to layer 1 the median |δ| of a unit and an example falls by 41")
    assert "25 % are exactly zero in layer 1" in text and "n = 4000 values" in text


def test_floors_of_the_formats():
    ax = plots.ridges(table())
    for name, number in (("float16", 2.0**-14), ("float16: 0", 2.0**-24), ("bfloat16, float32", 2.0**-126)):
        (line,) = by_gid(ax.lines, name)
        assert line.get_xdata()[0] == pytest.approx(np.log10(number))
        low, high = ax.get_xlim()
        assert low < np.log10(number) < high
    assert np.log10(float(np.finfo(np.float16).smallest_subnormal)) == pytest.approx(-24 * np.log10(2))
    assert "bfloat16 and float32 have 0 below 1.2e-38" in plots.caption(ax)
    near = plots.ridges(table(), layers=[4])
    assert not by_gid(near.lines, "bfloat16, float32") and "float32" not in plots.caption(near)


@pytest.mark.slow
def test_panels_axes_and_what_is_no_table_of_sizes():
    axes = plots.ridges(table(("log10_delta", "log10_weight_grad"), ("a", "b")))
    assert [ax.get_title() for ax in axes] == ["a", "b", "a", "b"]
    assert len({ax.get_xlim() for ax in axes}) == 1
    _, ax = plt.subplots()
    ax.set_title("mine")
    assert plots.ridges(table(), ax=ax) is ax and ax.get_title() == "mine"
    with pytest.raises(GradlabError, match=r"log10=True"):
        plots.ridges(table().assign(signal="delta"))
    with pytest.raises(GradlabError, match=r"ridges"):
        plots.histograms(table())
    with pytest.raises(GradlabError, match="'log10_delta'"):
        plots.ridges(table(), signal="log10_weight_grad")


def test_counts_of_two_draws_are_joined():
    small, large = values(1), values(4)
    joined = joined_sizes([counts(small), counts(large)])
    assert joined[-1] == counts(large)[-1] and joined.sum() - joined[-1] == 8000
    assert joined[SIZES] == 3000 and joined[SIZES + 1] == 1000  # 41 decades below is beyond the bins
    again = joined_sizes([counts(large), counts(large), np.zeros(SIZES + 3)])
    np.testing.assert_array_equal(again[:-1], 2 * counts(large)[:-1])


@pytest.mark.slow
def test_a_network_from_measurement_to_figure():
    x, y = np.ones((4, 3), np.float32), np.arange(4) % 2
    made = gl.frame(gl.histograms(gl.MLP(depth=3, width=4, activation="sigmoid"), x, y, log10=True))
    axes = plots.ridges(made, preset="slide", title="Vanishing")
    assert len(axes) == 2 and axes[0].figure.get_suptitle() == "Vanishing"
