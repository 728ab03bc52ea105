"""Heat map, histograms, and what autodiff prints."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from gradlab import frames, plots
from gradlab._errors import GradlabError
from gradlab.plots.ground.cells import number

from .synthetic import bins, healthy, printed, sick


def cells(ax):
    """Texts of the cells by (column, row)."""
    return {tuple(map(int, t.get_position())): t.get_text() for t in ax.texts if t.get_gid() == "cell"}


def hatched(ax):
    return {p.get_gid(): p for p in ax.patches if p.get_gid() in ("zero", "failed", "absent")}


def test_cells_hold_the_decades_of_the_table():
    frame = healthy(depths=(4, 8, 16))
    frame = frame[frame["activation"] == "sigmoid"]
    ax = plots.heatmap(frame)
    (mesh,) = [c for c in ax.collections if c.get_array() is not None]
    rates = frames.rates(frame)
    wanted = rates.pivot(index="depth", columns="init", values="decades")[["xavier_normal", "he_normal"]]
    np.testing.assert_allclose(mesh.get_array(), wanted, rtol=1e-12)
    assert -mesh.norm.vmin == mesh.norm.vmax == pytest.approx(np.abs(wanted.to_numpy()).max())
    decades, half = cells(ax)[(0, 2)].split("\n±")
    assert decades == number(wanted.loc[16, "xavier_normal"]) == f"−{abs(wanted.iloc[2, 0]):.1f}"
    row = rates[(rates["init"] == "xavier_normal") & (rates["depth"] == 16)].iloc[0]
    assert float(half) == pytest.approx((row["decades_high"] - row["decades_low"]) / 2, rel=0.26)  # one digit
    assert [t.get_text() for t in ax.get_xticklabels()] == ["Xavier normal", "He normal"]


def test_a_third_coordinate_makes_panels_and_a_fourth_is_refused():
    axes = plots.heatmap(healthy())
    assert [ax.get_title() for ax in axes] == ["sigmoid", "ReLU"]
    frame = healthy().assign(data=lambda f: "a").astype({"data": "category"})
    other = frame.assign(data="b", network=frame["network"].astype(str) + "b")
    with pytest.raises(GradlabError, match="one network in each cell"):
        plots.heatmap(pd.concat([frame, other]))


def test_zeros_and_failures_are_hatched_and_counted_and_the_absent_is_grey():
    frame = sick()
    ax = plots.heatmap(frame, x="activation", y="depth")
    shown = cells(ax)
    assert shown[(1, 2)] == "3/3 zero"
    assert shown[(1, 1)].endswith("1/3 zero") and "\n" in shown[(1, 1)]
    assert shown[(2, 2)].endswith("1/3 failed")
    assert shown[(3, 1)] == "3/3 failed"
    assert shown[(3, 0)] == "–"
    assert set(hatched(ax)) == {"zero", "failed", "absent"}
    assert hatched(ax)["zero"].get_hatch() != hatched(ax)["failed"].get_hatch()
    text = plots.caption(ax)
    assert "4 that failed" in text and "4 networks and seeds with a delta that is exactly 0" in text


def test_large_maps_are_not_annotated_but_their_failures_are():
    ax = plots.heatmap(sick(), x="activation", annotate=False)
    assert sorted(text.split("\n")[-1] for text in cells(ax).values()) == [
        "1/3 failed", "1/3 zero", "3/3 failed", "3/3 zero",
    ]  # fmt: skip


def test_limits_and_axes_of_a_map():
    frame = healthy()
    _, given = plt.subplots(1, 2, layout="constrained")
    axes = plots.heatmap(frame, ax=given, limit=3)
    assert list(axes) == list(given)
    assert axes[0].collections[0].norm.vmax == 3
    with pytest.raises(GradlabError, match="limit"):
        plots.heatmap(frame, limit=-1)
    with pytest.raises(GradlabError, match="'depth'"):
        plots.heatmap(frame, y="dpth")
    with pytest.raises(GradlabError, match="two different"):
        plots.heatmap(frame, x="depth")


@pytest.mark.parametrize(
    ("value", "text"), [(-19.4, "−19"), (-1.94, "−1.9"), (-0.071, "−0.07"), (-1e-9, "0.00"), (0.3, "+0.3")]
)
def test_numbers_in_cells(value, text):
    assert number(value) == text


@pytest.mark.parametrize("edge", ["both", "left", "centre"])
def test_densities_are_counts_over_all_entries_and_width(edge):
    whole = edge == "both"  # the others are two layers of one initialiser
    axes = plots.histograms(bins(edge=edge) if whole else bins(("a",), layers=2, edge=edge))
    assert axes.shape == ((4, 5) if whole else (2, 2))
    assert [ax.get_title() for ax in axes[0]] == [f"layer {i}" for i in range(1, axes.shape[1] + 1)]
    width = 10 / 101
    for row in axes:
        for layer, ax in enumerate(row, 1):
            (steps,) = [p for p in ax.patches if p.get_gid() in ("activation", "delta")]
            heights, edges, _ = steps.get_data()
            assert len(heights) == 101
            np.testing.assert_allclose(edges, np.linspace(-5, 5, 102), atol=1e-12)
            assert heights[50 + layer] == pytest.approx(0.4 / width)
            assert heights[50 - layer] == pytest.approx(0.2 / width)
            assert np.sum(heights) * width == pytest.approx(0.6)
            (said,) = [t.get_text() for t in ax.texts if t.get_gid() == "beyond"]
            assert said == "0: 25 %\nbeyond ±5: 15 %"
            marks = {line.get_gid() for line in ax.lines}
            assert marks == {"zero", "below", "above"}


def test_rows_layers_signals_and_curves():
    table = bins(layers=20)
    axes = plots.histograms(table, signal="delta", layers=[1, 20])
    assert axes.shape == (2, 2)
    assert plots.histograms(table, preset="slide").shape == (4, 3)
    curves = plots.histograms(table, signal="activation", overlay=True)
    assert curves.shape == (2, 1)
    assert len([line for line in curves[0, 0].lines if line.get_gid() == "activation"]) == 5
    single = plots.histograms(table[table["init"] == "xavier_uniform"], signal="delta", overlay=True)
    assert single.get_xlabel().startswith("delta over its own rms")
    assert "5 of 20 layers" in plots.caption(single)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"signal": "deltas"}, "'delta'"), ({"layers": [99]}, "layers among 1"), ({"row": "int"}, "'init'")],
)
def test_errors_of_histograms(options, message):
    with pytest.raises(GradlabError, match=message):
        plots.histograms(bins(), **options)
    with pytest.raises(GradlabError, match="signal"):
        plots.histograms(healthy())


def test_autodiff_draws_each_method_and_where_it_dies():
    table = printed()
    ax = plots.autodiff(table)
    by_gid = lambda gid: [line for line in ax.lines if line.get_gid() == gid]
    lines = by_gid("method")
    for line, (_, rows) in zip(lines, table.groupby("method", sort=False), strict=True):
        value = rows["log10_weight_grad_norm"].to_numpy()
        np.testing.assert_array_equal(line.get_ydata(), np.where(np.isfinite(value), value, np.nan))
    assert sorted(len(line.get_xdata()) for line in by_gid("zero")) == [44, 72]
    assert {(line.get_xdata()[0]) for line in by_gid("death")} == {45, 73}
    floors = {line.get_gid(): line.get_ydata()[0] for line in ax.lines if line.get_gid() in ("float16", "float32")}
    assert floors["float16"] == pytest.approx(np.log10(2.0**-14))
    assert floors["float32"] == pytest.approx(np.log10(2.0**-126))
    said = {t.get_text() for t in ax.texts if t.get_gid() == "lost"}
    assert said == {"0 in layers\n1–72", "0 in layers\n1–44"}
    assert -82 < ax.get_ylim()[0] < -63
    assert "shows 0 in 72 of 100 layers" in plots.caption(ax)


def test_autodiff_on_given_axes_without_deaths_and_with_nothing_alive():
    _, ax = plt.subplots()
    alive = printed(30)
    alive = alive[alive["method"].str.contains("gradlab|64")]
    assert plots.autodiff(alive, ax=ax) is ax
    assert not [line for line in ax.lines if line.get_gid() in ("zero", "death")]
    dead = pd.DataFrame({"method": "float16", "layer": [1, 2], "log10_weight_grad_norm": -np.inf})
    plots.autodiff(dead)
    with pytest.raises(GradlabError, match="'method'"):
        plots.autodiff(alive.rename(columns={"method": "methods"}))
