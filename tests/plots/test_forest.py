"""The forest plot: marks and bars are the table of rates, rows are in its order, zones are the verdict's."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors

from gradlab import frames, plots
from gradlab._errors import GradlabError

from .synthetic import failed, healthy, trace


def drawn(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def test_marks_and_bars_are_the_rates():
    frame = healthy(depths=(16,))
    table = frames.rates(frame).sort_values("decades")
    for given in (frame, table):
        ax = plots.forest(given)
        marks = [line.get_xdata()[0] for line in drawn(ax, "mark")]
        np.testing.assert_array_equal(marks, table["decades"])
        bars = np.array([line.get_xdata() for line in drawn(ax, "interval")])
        np.testing.assert_array_equal(bars, table[["decades_low", "decades_high"]])
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == ["sigmoid, Xavier normal", "sigmoid, He normal", "ReLU, Xavier normal", "ReLU, He normal"]
    zones = {p.get_gid(): (p.get_x(), p.get_x() + p.get_width()) for p in ax.patches}
    assert zones["zone steady"] == (-1, 1)
    low, high = ax.get_xlim()
    assert low < table["decades_low"].min() and high > 1


def test_depths_share_a_row_from_light_to_dark():
    ax = plots.forest(healthy(depths=(4, 16)))
    assert len(ax.get_yticklabels()) == 4 and len(drawn(ax, "mark")) == 8
    grey = [np.mean(colors.to_rgb(line.get_color())) for line in drawn(ax, "mark")]
    assert all(light > dark for light, dark in zip(grey[::2], grey[1::2], strict=True))
    texts = [t.get_text() for t in ax.figure.legends[0].get_texts()]
    assert texts[:2] == ["depth 4", "depth 16"]


def test_the_undetermined_are_hollow_and_what_failed_is_named():
    frame = frames.frame(trace(10, 3, per_layer=-0.11, noise=0.05, activation="relu"))
    table = frames.rates(frame)
    assert table["verdict"].iloc[0] == "undetermined"
    ax = plots.forest(table)
    assert drawn(ax, "mark")[0].get_markerfacecolor() == "white"
    whole = frames.concat([frame, failed(depth=10, activation="gelu")])
    ax = plots.forest(whole)
    assert [t.get_text() for t in ax.texts if t.get_gid() == "lost"] == ["nothing measured"]
    assert "In 1 network some seeds failed" in plots.caption(ax)


def test_the_rate_has_a_line_at_1_and_bad_input_a_message():
    ax = plots.forest(healthy(), value="rate", order="given")
    assert drawn(ax, "steady")[0].get_xdata()[0] == 1 and not ax.patches
    for options in ({"value": "slope"}, {"order": "size"}, {"shade": "dpth"}):
        with pytest.raises(GradlabError):
            plots.forest(healthy(), **options)
    with pytest.raises(GradlabError, match="frame with rows"):
        plots.forest(pd.DataFrame())


def test_rows_are_named_by_the_columns_asked_for():
    frame = healthy(depths=(16,))
    few = frame[(frame["activation"] == "sigmoid") & (frame["init"] == "he_normal")]
    names = lambda **options: [t.get_text() for t in plots.forest(few, **options).get_yticklabels()]
    assert names() == ["all networks"]
    assert names(row=["activation", "init"]) == ["sigmoid, He normal"]
