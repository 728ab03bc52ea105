"""Flow and rate: the numbers on the axes are those of the summaries, zeros and failures are there."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from gradlab import frames, plots
from gradlab._errors import GradlabError

from .synthetic import SIGNALS, failed, healthy, sick, trace


def drawn(ax, gid):
    """Lines or bands of one kind."""
    return [artist for artist in (*ax.lines, *ax.collections) if artist.get_gid() == gid]


def values(line):
    return np.column_stack(line.get_data())


def hidden(frame):
    return frame[(frame["layer"] >= 1) & (frame["layer_name"] != "readout")]


def same(lines, groups, columns):
    """Each group's numbers stand on one of the lines, and there is no line more."""
    wanted = [g.sort_values(columns[0])[list(columns)].to_numpy(float) for g in groups]
    assert len(lines) == len(wanted)
    for line, numbers in zip(lines, wanted, strict=True):
        np.testing.assert_array_equal(values(line), numbers)


def groups(table, keys):
    return [rows for _, rows in table.groupby(keys, observed=True, sort=False)]


@pytest.mark.parametrize("x", ["layer", "from_loss"])
@pytest.mark.parametrize("seeds", [3, 16])
def test_flow_draws_what_summarise_returns(seeds, x):
    frame = healthy(seeds, depths=(16,))
    axes = plots.gradient_flow(frame, x=x, hue="activation", style="init")
    rows = hidden(frame).assign(from_loss=lambda f: f["depth"] + 1 - f["layer"])
    for ax, column in zip(axes, SIGNALS, strict=True):
        keys = ["activation", "init", "network"]
        table = frames.summarise(rows, [*keys, x], column)
        same(drawn(ax, "mean"), groups(table, keys), (x, "mean"))
        assert bool(drawn(ax, "band")) == (seeds > 8)
        assert len(drawn(ax, "seed")) == (0 if seeds > 8 else 4 * seeds)


@pytest.mark.parametrize("band", ["ci95", "sd", "range"])
def test_bands_are_those_of_summarise(band):
    frame = frames.frame(trace(seeds=5))
    ax = plots.gradient_flow(frame, band=band, value="log10_delta_rms")
    table = frames.summarise(hidden(frame), "layer", "log10_delta_rms", band).sort_values("layer")
    (shade,) = drawn(ax, "band")
    corners = {tuple(point) for path in shade.get_paths() for point in path.vertices}
    for side in ("low", "high"):
        assert set(zip(table["layer"].astype(float), table[side], strict=True)) <= corners
    assert not drawn(ax, "seed")


def test_each_seed_where_asked():
    frame = frames.frame(trace(seeds=12))
    ax = plots.gradient_flow(frame, band="seeds", value="log10_delta_rms")
    table = frames.summarise(hidden(frame), "layer", "log10_delta_rms", "seeds")
    same(drawn(ax, "seed"), groups(table, ["seed"]), ("layer", "mean"))


def test_a_delta_of_1e_630_has_its_place_and_its_tick():
    ax = plots.gradient_flow(frames.frame(trace(1000)), value="log10_delta_rms")
    low, high = ax.get_ylim()
    assert low < -629 < high
    assert ax.get_yscale() == "linear"
    labels = [t.get_text() for t in ax.get_yticklabels()]
    ticks = ax.get_yticks()
    assert "$10^{-600}$" in labels
    assert labels[list(ticks).index(-600)] == "$10^{-600}$"


def test_zeros_are_marked_on_the_floor_and_stand_in_the_caption():
    frame = sick()
    frame = frame[(frame["activation"] == "relu") & (frame["depth"] > 5)]
    ax = plots.gradient_flow(frame, hue="depth", value="log10_delta_rms")
    part, whole = drawn(ax, "zero")
    assert values(part)[:, 0].tolist() == list(range(1, 8)) and part.get_markerfacecolor() == "white"
    assert values(whole)[:, 0].tolist() == list(range(1, 41)) and whole.get_markerfacecolor() != "white"
    for line in (part, whole):
        height = line.get_transform().transform(values(line))[:, 1] - ax.bbox.y0
        assert np.all(
            (height >= 0) & (height < 0.15 * ax.bbox.height)
        )  # in the strip at the floor, whatever the limits
        assert not line.get_clip_on()
    assert ax.get_yticklabels()[0].get_text() == "0"
    finite = np.concatenate([values(line)[:, 1] for line in drawn(ax, "mean")])
    assert np.nanmin(finite) > ax.get_ylim()[0]
    zeros = frames.summarise(hidden(frame), ["network", "layer"], "log10_delta_rms")["n_zero"].sum()
    assert f"{zeros} exact zeros" in plots.caption(ax)


def test_nothing_but_zeros_is_drawn_too():
    frame = frames.frame(trace(4, zeros=[(s, 5) for s in range(3)]))
    ax = plots.gradient_flow(frame, value="log10_delta_rms")
    (marks,) = drawn(ax, "zero")
    assert len(values(marks)) == 4


def test_failures_are_shown_and_named():
    axes = plots.gradient_flow(sick(), hue="activation")
    assert all(drawn(ax, "failed") for ax in axes)
    text = plots.caption(axes)
    assert "GELU, depth 20 (3 seeds: MemoryError: no room)" in text
    overflowed = drawn(axes[0], "failed")[0]
    assert values(overflowed)[:, 0].tolist() == list(range(60, 81))
    names = [t.get_text() for t in axes[0].figure.legends[0].get_texts()]
    assert {"GELU", "exact zero", "not finite, or failed"} <= set(names)


def test_nothing_but_a_failure():
    axes = plots.gradient_flow(failed(depth=3))
    assert all(drawn(ax, "failed") for ax in axes)


def test_networks_are_never_averaged_into_one_line():
    ax = plots.gradient_flow(healthy(depths=(4, 8, 16)), hue="activation", value="log10_delta_rms")
    assert len(drawn(ax, "mean")) == 12
    assert "Networks that differ in initialiser and depth have lines of their own" in plots.caption(ax)


def test_what_differs_is_coloured_where_nothing_is_asked():
    axes = plots.gradient_flow(healthy(depths=(16,)))
    lines = drawn(axes[1], "mean")
    assert len({line.get_color() for line in lines}) == 2
    assert len({line.get_linestyle() for line in lines}) == 2
    assert "n = 3 seeds" in plots.caption(axes) and "geometric means" in plots.caption(axes)


def test_lines_differ_without_colour():
    axes = plots.gradient_flow(healthy(depths=(16,)), hue="activation")
    assert len({(line.get_marker(), str(line._dash_pattern)) for line in drawn(axes[0], "mean")}) == 2


def test_more_lines_than_colours():
    frame = frames.frame([trace(5, width=w) for w in range(8, 21)]).assign(
        name=lambda f: "w" + f["network"].astype(str)
    )
    lines = drawn(plots.gradient_flow(frame, hue="name", value="log10_delta_rms"), "mean")
    looks = {(line.get_color(), line.get_marker(), str(line._dash_pattern)) for line in lines}
    assert len(looks) == len(lines) == 13


def test_axes_that_are_given_are_drawn_on():
    _, given = plt.subplots(1, 3)
    axes = plots.gradient_flow(healthy(), ax=given)
    assert list(axes) == list(given) and len(plt.get_fignums()) == 1
    single = plots.gradient_flow(healthy(), ax=given[0], value="log10_weight_grad_norm", legend=False)
    assert single is given[0]
    assert single.get_ylabel().startswith("weight grad.")
    with pytest.raises(GradlabError, match="3 axes"):
        plots.gradient_flow(healthy(), ax=given[:2])


def test_rows_of_one_layer_and_one_seed():
    frame = frames.frame(trace(1, seeds=1))
    axes = plots.gradient_flow(frame)
    assert all(len(drawn(ax, "mean")) == 1 for ax in axes)


def test_steady_noise_does_not_fill_the_axis():
    ax = plots.gradient_flow(frames.frame(trace(50, 3, 0.0005, 0.003)), value="log10_delta_rms")
    assert np.ptp(ax.get_ylim()) >= 1 - 1e-9


def test_a_measure_that_does_not_apply_is_no_failure():
    frame = healthy(depths=(4,))
    frame["saturated_fraction"] = np.where(frame["activation"] == "relu", np.nan, 0.1)
    ax = plots.gradient_flow(frame, value="saturated_fraction")
    assert not drawn(ax, "failed")
    assert ax.get_ylabel() == "saturated units  [share]"


@pytest.mark.parametrize("seeds", [3, 16])
def test_rates_are_those_of_the_table(seeds):
    frame = healthy(seeds, depths=(4, 8, 16))
    ax = plots.rate_against_depth(frame, hue="activation", style="init")
    rates = frames.rates(frame)
    keys = ["activation", "init"]
    lines = drawn(ax, "mean")
    assert len(lines) == 4
    for line, (_, rows) in zip(lines, rates.groupby(keys, observed=True, sort=False), strict=True):
        rows = rows.sort_values("depth")
        np.testing.assert_array_equal(line.get_xdata(), rows["depth"])
        np.testing.assert_allclose(line.get_ydata(), np.log10(rows["rate"]), rtol=1e-12, atol=1e-14)
    if seeds > 8:
        corners = np.concatenate([p.vertices[:, 1] for b in drawn(ax, "band") for p in b.get_paths()])
        for side in ("low", "high"):
            gaps = np.abs(np.log10(rates[side].to_numpy())[:, None] - corners).min(axis=1)
            assert gaps.max() < 1e-12  # the interval of the table


def test_rates_of_zeros_and_failures_are_shown():
    ax = plots.rate_against_depth(sick(), hue="activation")
    part = {tuple(values(line)[:, 0]) for line in drawn(ax, "zero")}
    assert part == {(20.0,), (80.0,)}
    assert {tuple(values(line)[:, 0]) for line in drawn(ax, "failed")} == {(80.0,), (20.0,)}


def test_a_power_law_is_hollow_and_a_single_layer_has_no_rate():
    frame = frames.frame([trace(200, noise=0.0), trace(1)])
    law = frames.frame(trace(200, activation="tanh"))
    fall = 2 * np.log10(law["layer"] / 200)
    law["log10_delta_rms"] = fall + 1e-4 * law["seed"] * fall
    ax = plots.rate_against_depth(frames.concat([frame, law]), hue="activation")
    assert frames.rates(law)["verdict"].tolist() == ["algebraic"]
    assert len(drawn(ax, "algebraic")) == 1
    assert "one hidden layer have no rate" in plots.caption(ax) and "power law" in plots.caption(ax)
    with pytest.raises(GradlabError, match="more than one hidden layer"):
        plots.rate_against_depth(frames.frame(trace(1)))


def test_depths_are_ticks():
    ax = plots.rate_against_depth(healthy(depths=(2, 4, 8, 16)))
    assert [t.get_text() for t in ax.get_xticklabels()] == ["2", "4", "8", "16"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: plots.gradient_flow(f, hue="activaton"), "'activation'"),
        (lambda f: plots.gradient_flow(f, style="int"), "'init'"),
        (lambda f: plots.gradient_flow(f, value="log10_delta"), "'log10_delta_rms'"),
        (lambda f: plots.gradient_flow(f, x="layers"), "'layer'"),
        (lambda f: plots.gradient_flow(f, band="ci"), "'ci95'"),
        (lambda f: plots.gradient_flow(f, preset="papr"), "'paper'"),
        (lambda f: plots.gradient_flow(f.iloc[:0]), "a frame with rows"),
        (lambda f: plots.gradient_flow([1]), "expected a frame"),
        (lambda f: plots.gradient_flow(f.filter(regex="^(?!log10_)")), "log10_activation_rms"),
        (lambda f: plots.gradient_flow(f.filter(regex="^(?!log10_)"), value="log10_delta_rms"), "log10_delta_rms"),
        (lambda f: plots.gradient_flow(f, ax=3), "1 axes"),
        (lambda f: plots.rate_against_depth(f, x="dept"), "'depth'"),
        (lambda f: plots.rate_against_depth(f.drop(columns="log10_delta_rms")), "log10_delta_rms"),
    ],
)
def test_errors_name_the_nearest(call, message):
    with pytest.raises(GradlabError, match=message):
        call(healthy())


def test_frames_without_categories():
    frame = pd.DataFrame(healthy()).astype({"activation": object, "init": object})
    assert len(drawn(plots.gradient_flow(frame)[0], "mean")) == 8
