"""Scales: bands are quantiles of the entries, in octaves, and the formats end where their numbers do."""

import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab import plots
from gradlab._errors import GradlabError

from .test_ridges import by_gid, counts

BATCH = 8
#: log2 of the middle of each layer's entries.
MIDDLES = {"log10_activation": (0, -12, -24), "log10_delta": (-24, -12, 0), "log10_weight_grad": (-24, -24, -24)}


def values(signal, layer):
    made = 2.0 ** np.random.default_rng(layer).normal(MIDDLES[signal][layer - 1], 1.0, 4000)
    made[:400] = 0
    return made


def table(signals=tuple(MIDDLES)):
    from gradlab.measurement.bins import size_rows

    rows = [
        pd.DataFrame(size_rows(counts(values(signal, layer)))).assign(signal=signal, layer=layer, batch=BATCH, width=4)
        for signal in signals for layer in (1, 2, 3)
    ]  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def test_bands_are_quantiles_and_lines_the_ends_of_formats():
    panels = plots.scales(table())
    for ax, signal in zip(panels, MIDDLES, strict=True):
        (median,) = by_gid(ax.lines, "median")
        shift = np.log2(BATCH) if signal == "log10_delta" else 0  # of the mean loss
        sizes = [np.log2(v[v > 0]) - shift for v in (values(signal, layer) for layer in (1, 2, 3))]
        np.testing.assert_allclose(median.get_ydata(), [np.median(v) for v in sizes], atol=0.25)  # half a bin
        (band,) = by_gid(ax.collections, "0.05 to 0.95")
        corners = band.get_paths()[0].vertices
        assert corners[:, 1].min() == pytest.approx(min(np.quantile(v, 0.05) for v in sizes), abs=0.25)
        drawn = {line.get_gid(): line.get_ydata()[0] for line in ax.lines if " " in str(line.get_gid())}
        ends = {"float16 smallest": -24, "float8_e5m2 smallest": -16, "float8_e4m3 smallest": -9}
        assert drawn == ends  # 2**9 lies too far above the data, and all of bfloat16
    texts = {t.get_text() for t in by_gid(panels[-1].texts, "end of a format")}
    assert texts == {"float16: 0", "E5M2: 0", "E4M3: 0"}
    ticks = {t.get_text() for t in panels[0].get_yticklabels()}
    assert "$2^{-24}$" in ticks
    text = plots.caption(panels)
    assert "float16 loses > 99 % of the delta in layer 1" in text and "float16 has no number below 2^-24" in text


@pytest.mark.slow
def test_shares_in_the_caption_are_those_of_the_columns():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 6)).astype("f"), np.arange(8) % 2
    net = gl.MLP(depth=4, width=8, activation="sigmoid", init="xavier_normal", gain=0.08)
    names = ["activation_below_float16", "delta_below_float8_e4m3", "weight_grad_below_float16"]
    trace = gl.measure(net, x, y, seeds=1, columns=names)
    text = plots.caption(plots.scales(gl.frame(gl.histograms(net, x, y, log10=True)), formats=["float16"]))
    worst = trace.columns["weight_grad_below_float16"][0, :4].max()
    assert 0.01 < worst < 0.99 and f"float16 loses {100 * worst:.0f} % of the weight gradient in layer 1" in text
    # 8 examples are a whole number of octaves, so the counts of the histogram lie on the ends of the formats
    assert trace.columns["activation_below_float16"][0, :4].max() == 0 and "of the signal" not in text


def test_which_formats_and_what_is_refused():
    panels = plots.scales(table(), formats=("bfloat16",))
    assert [line.get_gid() for line in panels[0].lines if " " in str(line.get_gid())] == ["bfloat16 smallest"]
    assert len(plots.scales(table(("log10_delta",)))) == 1
    with pytest.raises(GradlabError, match="float8_e4m3"):
        plots.scales(table(), formats=["float8"])
    with pytest.raises(GradlabError, match="log10=True"):
        plots.scales(table().assign(signal="delta"))
    with pytest.raises(GradlabError, match="one network"):
        plots.scales(pd.concat([table(), table().assign(width=5)]))
